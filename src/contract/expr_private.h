/*
 * contract/expr_private.h - The tree behind contract/expr.h, and the steps that make and use it.
 *
 * text -> expr_lex.c (tokens) -> expr_parse.c (tree of names and calls) -> expr_name.c,
 * expr_check.c and expr_call.c (names become fields, every node gets a type) -> expr_fold.c
 * (constants) -> expr_eval.c decides what needs no stored row, expr_sql.c and expr_value.c write
 * the rest as SQL.
 */
#pragma once

#include "base/id.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "contract/expr.h"

enum expr_kind {
    /* constants */
    EXPR_NODE_NULL,
    EXPR_NODE_BOOL,     /* as.i64 */
    EXPR_NODE_INT,      /* as.i64 */
    EXPR_NODE_DOUBLE,   /* as.real */
    EXPR_NODE_STRING,   /* text */
    EXPR_NODE_TIME,     /* as.i64, microseconds */
    EXPR_NODE_DURATION, /* as.i64, microseconds */
    EXPR_NODE_DATE,     /* text */
    EXPR_NODE_UUID,     /* as.uuid */
    /* the caller */
    EXPR_NODE_USER,
    EXPR_NODE_ROLES,
    EXPR_NODE_SCOPES,
    EXPR_NODE_NOW,
    /* only until checked */
    EXPR_NODE_NAME,   /* text */
    EXPR_NODE_MEMBER, /* first.text */
    EXPR_NODE_CALL,   /* text(children), or first.text(rest) when receiver */
    /* of the row */
    EXPR_NODE_FIELD, /* field of the row in scope, column sub */
    EXPR_NODE_PATH,  /* field of the row that first, a ref, points to */
    EXPR_NODE_LIST,  /* [children] */
    /* conditions: never null */
    EXPR_NODE_AND, /* two or more children */
    EXPR_NODE_OR,
    EXPR_NODE_NOT,
    EXPR_NODE_COMPARE, /* op */
    EXPR_NODE_IN,      /* first in second */
    EXPR_NODE_IS_NULL,
    EXPR_NODE_STARTS,
    EXPR_NODE_ENDS,
    EXPR_NODE_CONTAINS,
    EXPR_NODE_CAN,    /* the caller has the permission text */
    EXPR_NODE_EXISTS, /* a row of contract for which first holds */
    /* values */
    EXPR_NODE_TERNARY,
    EXPR_NODE_NEGATE,
    EXPR_NODE_ARITH, /* op */
    EXPR_NODE_SIZE,
    EXPR_NODE_LOWER
};

enum expr_op {
    EXPR_OP_EQ,
    EXPR_OP_NE,
    EXPR_OP_LT,
    EXPR_OP_LE,
    EXPR_OP_GT,
    EXPR_OP_GE,
    EXPR_OP_ADD,
    EXPR_OP_SUB,
    EXPR_OP_MUL,
    EXPR_OP_DIV,
    EXPR_OP_MOD
};

enum expr_type {
    EXPR_TYPE_NULL,
    EXPR_TYPE_BOOL,
    EXPR_TYPE_INT,
    EXPR_TYPE_DOUBLE,
    EXPR_TYPE_STRING,
    EXPR_TYPE_TIME,
    EXPR_TYPE_DURATION,
    EXPR_TYPE_DATE,
    EXPR_TYPE_UUID,
    EXPR_TYPE_LIST,
    EXPR_TYPE_OPAQUE /* json, media, money as a whole: only null tests */
};

/* What a value depends on. */
#define EXPR_NEEDS_CALLER 1u
#define EXPR_NEEDS_ROW 2u      /* a field of the outermost row */
#define EXPR_NEEDS_DATABASE 4u /* other rows */

struct expr_node {
    uint8_t kind, op, type;
    uint8_t item;    /* LIST type: the items' type */
    uint8_t needs;   /* EXPR_NEEDS_ bits */
    uint8_t depth;   /* of the tree below, itself included */
    uint8_t scope;   /* FIELD: 0 the outermost row; EXISTS: the scope it opens */
    uint8_t sub;     /* FIELD, PATH: column within the field (money: 0 amount, 1 currency) */
    bool receiver;   /* CALL */
    bool qualified;  /* FIELD: written resource.field */
    bool guarded;    /* EXISTS, PATH: the other row's read rule applies */
    uint32_t offset; /* in the text */
    struct slice text;
    struct expr_node *first, *next;     /* children; siblings */
    const struct contract_field *field; /* FIELD, PATH */
    const struct contract *owner;       /* FIELD, PATH: whose field it is */
    struct slice column;                /* FIELD, PATH */
    bool not_null;                      /* FIELD, PATH: the column is */
    const struct contract *contract; /* EXISTS: of the other row. UUID type: whose id; NULL: any */
    union {
        int64_t i64;
        double real;
        struct uuid uuid;
    } as;
};

struct expr {
    struct expr_node *root;
    const struct contract *contract;
    enum expr_use use;
    unsigned cost;
    struct slice resource, action; /* of a rule: expr_permission_set; else empty */
};

/* May this caller do at all what the rule is about, by their scopes? */
bool expr__is_in_scope(const struct expr *expr, const struct expr_context *context);

/* -- compiling
 * ------------------------------------------------------------------------------------------- */

enum expr_token_kind {
    EXPR_TOKEN_END,
    EXPR_TOKEN_NAME,
    EXPR_TOKEN_CONTEXT, /* @name, text without the @ */
    EXPR_TOKEN_INT,     /* as.u64, up to 2^63 so that -2^63 can be written */
    EXPR_TOKEN_DOUBLE,
    EXPR_TOKEN_STRING, /* text, escapes resolved */
    EXPR_TOKEN_OP,     /* text is the operator or punctuation */
    EXPR_TOKEN_BAD     /* the error is set */
};

struct expr_token {
    enum expr_token_kind kind;
    uint32_t offset;
    struct slice text;
    union {
        uint64_t u64;
        double real;
    } as;
};

struct expr_compiler {
    const struct contract_set *set; /* may be NULL */
    enum expr_use use;
    struct arena *arena;
    struct slice text;
    size_t at;               /* the lexer's place */
    struct expr_token token; /* the next one */
    unsigned nodes, depth;
    const struct contract *scopes[EXPR_EXISTS_DEPTH_MAX + 1];
    unsigned scopes_len;
    enum status status; /* the first failure */
    struct expr_error *error;
};

/* Remember the first failure; always false, so that `return expr__fail(...)` reads well. */
bool expr__fail(struct expr_compiler *c, enum status st, size_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Give the failure a hint. */
void expr__hint(struct expr_compiler *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "Did you mean `x`?" when one of the names is near. Feed candidates, then finish. */
struct expr_suggestion {
    struct slice wrong, best;
    unsigned distance;
};
void expr__suggest_try(struct expr_suggestion *s, struct slice candidate);
void expr__suggest_done(struct expr_compiler *c, const struct expr_suggestion *s);

/* Read the next token into c->token. */
void expr__lex(struct expr_compiler *c);

/* NULL: failed (TOO_LARGE or EXHAUSTED set). */
struct expr_node *expr__node(struct expr_compiler *c, enum expr_kind kind, size_t offset);
/* Append a child (and its siblings). False: the tree got too deep. */
bool expr__adopt(struct expr_compiler *c, struct expr_node *parent, struct expr_node *child);
struct expr_node *expr__parse(struct expr_compiler *c);

/* Resolve, type and fold a tree in place. */
bool expr__check(struct expr_compiler *c, struct expr_node *n);
bool expr__check_name(struct expr_compiler *c, struct expr_node *n);
bool expr__check_member(struct expr_compiler *c, struct expr_node *n);
/* Turn a CALL whose arguments are not checked yet into what it means. */
bool expr__check_call(struct expr_compiler *c, struct expr_node *n);
/* The types of `first in second`, both checked. */
bool expr__check_in(struct expr_compiler *c, struct expr_node *n);
/* Make a literal fit the type of what it is compared with (a text with a time becomes a time), and
 * check that the two compare. */
bool expr__unify(struct expr_compiler *c, struct expr_node *a, struct expr_node *b);
bool expr__is_literal(const struct expr_node *n);
/* The field whose enum values a text must be of, or NULL. */
const struct contract_field *expr__enum_field(const struct expr_node *n);
/* "a time", "text", ...: for messages. */
const char *expr__type_name(const struct expr_node *n);
struct contract_field *expr__field_find(const struct contract *contract, struct slice name,
                                        enum expr_use use);
const struct contract *expr__contract_find(const struct contract_set *set, struct slice name);
/* Type of a field's value, as a field of `contract`. */
void expr__type_field(struct expr_node *n, const struct contract *contract,
                      const struct contract_field *field);

/* The canonical text of a part. */
void expr__print(const struct expr_node *n, struct buf *out);

/* Replace what is constant by its value. False: an overflow, or no memory. */
bool expr__fold(struct expr_compiler *c, struct expr_node *n);
unsigned expr__cost(const struct expr_node *n);

/* -- using
 * -----------------------------------------------------------------------------------------------
 */

enum expr_value_kind {
    EXPR_VALUE_UNKNOWN, /* it depends on stored rows */
    EXPR_VALUE_NULL,
    EXPR_VALUE_I64, /* also booleans, times and durations */
    EXPR_VALUE_DOUBLE,
    EXPR_VALUE_TEXT, /* also dates */
    EXPR_VALUE_BLOB, /* ids */
    EXPR_VALUE_ROLES,
    EXPR_VALUE_SCOPES,
    EXPR_VALUE_LIST, /* a literal */
    EXPR_VALUE_JSON  /* a list field's text */
};

struct expr_value {
    enum expr_value_kind kind;
    bool lower; /* TEXT: to be read in lower case */
    union {
        int64_t i64;
        double real;
        struct slice bytes;
        const struct expr_node *list;
    } as;
};

/* The value of any node, as far as it is known. Context->row holds the outermost row or is NULL. */
struct expr_value expr__eval(const struct expr_node *n, const struct expr_context *context);
enum expr_answer expr__decide(const struct expr_node *n, const struct expr_context *context);
/* @scopes of a caller (may be NULL): of their token or key; who has none shows what their roles
 * give. expr_rights.c. */
bool expr__scopes_have(const struct task_caller *caller, struct slice name);
int64_t expr__scopes_len(const struct task_caller *caller);
struct expr_value expr__arith(enum expr_op op, struct expr_value a, struct expr_value b);
/* <0, 0, >0 as SQLite compares numbers, text and blobs; both known and not null. */
int expr__compare(struct expr_value a, struct expr_value b);
/* Is the value an item of a JSON array of scalars (the text of a list field)? Ids are looked up in
 * their text form. */
bool expr__json_has(struct slice json, struct expr_value needle);
int64_t expr__json_len(struct slice json);

struct expr_scope {
    struct slice alias; /* empty: take number */
    bool quoted;        /* the alias is a table's name, which may be a word of SQL */
    unsigned number;    /* of a table of ours, written _1, _2, ... */
};
struct expr_emitter {
    struct store_sql *sql; /* NULL: literals are written into the text */
    struct buf *out;
    struct slice prefix; /* DDL: before column names */
    struct expr_context context;
    bool grouped; /* what comes next stands in parentheses already */
    struct expr_scope scopes[EXPR_EXISTS_DEPTH_MAX + 1];
    unsigned *numbers; /* the last one given out */
};
void expr__emit_condition(struct expr_emitter *e, const struct expr_node *n, bool negated);
void expr__emit_value(struct expr_emitter *e, const struct expr_node *n);
void expr__emit_known(struct expr_emitter *e, struct expr_value value);
void expr__emit_name(struct expr_emitter *e, struct slice name);
/* alias."column" */
void expr__emit_column(struct expr_emitter *e, const struct expr_scope *scope, struct slice column);
void expr__emit_number(struct expr_emitter *e, unsigned number);
/* " AND " what every other row must satisfy: not deleted, and readable when guarded. */
void expr__emit_guard(struct expr_emitter *e, const struct contract *other, bool guarded,
                      unsigned number);
/* The text of a constant for expr_emit_ddl. */
void expr__emit_literal(struct buf *out, struct expr_value value);
bool expr__may_be_null(const struct expr_node *n);

static inline bool expr__is_condition(const struct expr_node *n)
{
    return n->kind >= EXPR_NODE_AND && n->kind <= EXPR_NODE_EXISTS;
}
