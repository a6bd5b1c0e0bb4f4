/*
 * A Pratt parser: each operator has a binding power, and an operand takes whatever binds tighter
 * than what stands to its left.
 *
 *     1  ? :      2  ||      3  &&      4  == != < <= > >= in      5  + -      6  * / %      7  ! -
 * (prefix)      8  . ()
 *
 * Recursion is bounded twice: by how deep the text nests (parentheses, prefixes) and by how deep
 * the tree gets (a + b + c ...).
 * && and || are lists, so that a long chain of them stays flat.
 */
#include "base/arena.h"
#include "contract/expr_private.h"

static bool too_deep(struct expr_compiler *c, size_t offset)
{
    return expr__fail(c, STATUS_TOO_LARGE, offset, "the expression nests more than %u levels deep",
                      EXPR_DEPTH_MAX);
}

struct expr_node *expr__node(struct expr_compiler *c, enum expr_kind kind, size_t offset)
{
    if (++c->nodes > EXPR_NODES_MAX) {
        (void)expr__fail(c, STATUS_TOO_LARGE, offset, "the expression has more than %u parts",
                         EXPR_NODES_MAX);
        return NULL;
    }
    struct expr_node *n = arena_new_of(c->arena, struct expr_node);
    if (n == NULL) {
        (void)expr__fail(c, STATUS_EXHAUSTED, offset, "no memory");
        return NULL;
    }
    n->kind = (uint8_t)kind;
    n->offset = (uint32_t)offset;
    n->depth = 1;
    return n;
}

bool expr__adopt(struct expr_compiler *c, struct expr_node *parent, struct expr_node *child)
{
    struct expr_node **place = &parent->first;
    while (*place)
        place = &(*place)->next;
    *place = child;
    for (; child; child = child->next)
        parent->depth = (uint8_t)MAX(parent->depth, child->depth + 1);
    return parent->depth <= EXPR_DEPTH_MAX || too_deep(c, parent->offset);
}

static bool is_op(const struct expr_compiler *c, const char *op)
{
    return c->token.kind == EXPR_TOKEN_OP && slice_eq(c->token.text, slice_cstr(op));
}

static bool is_word(const struct expr_compiler *c, const char *word)
{
    return c->token.kind == EXPR_TOKEN_NAME && slice_eq(c->token.text, slice_cstr(word));
}

static bool accept(struct expr_compiler *c, const char *op)
{
    if (!is_op(c, op))
        return false;
    expr__lex(c);
    return true;
}

static bool unexpected(struct expr_compiler *c, const char *wanted)
{
    if (c->token.kind == EXPR_TOKEN_END)
        return expr__fail(c, STATUS_INVALID, c->token.offset,
                          "the expression ends where %s should follow", wanted);
    return expr__fail(c, STATUS_INVALID, c->token.offset, "expected %s, found `%.*s`", wanted,
                      (int)MIN(c->token.text.len, 40),
                      c->token.text.data ? c->token.text.data : "");
}

static bool expect(struct expr_compiler *c, const char *op, const char *wanted)
{
    return accept(c, op) || unexpected(c, wanted);
}

static bool enter(struct expr_compiler *c)
{
    return ++c->depth <= EXPR_DEPTH_MAX || too_deep(c, c->token.offset);
}

static struct expr_node *parse(struct expr_compiler *c);

/* Expressions up to the closing bracket, which is consumed. */
static bool parse_items(struct expr_compiler *c, struct expr_node *parent, const char *close)
{
    if (accept(c, close))
        return true;
    do {
        if (parent->kind == EXPR_NODE_LIST && is_op(c, close))
            break; /* [1, 2,] */
        struct expr_node *item = parse(c);
        if (item == NULL || !expr__adopt(c, parent, item))
            return false;
    } while (accept(c, ","));
    return expect(c, close, *close == ')' ? "`,` or `)`" : "`,` or `]`");
}

static struct expr_node *parse_constant(struct expr_compiler *c)
{
    static const struct {
        const char *word;
        enum expr_kind kind;
        int64_t value;
    } words[] = { { "true", EXPR_NODE_BOOL, 1 },
                  { "false", EXPR_NODE_BOOL, 0 },
                  { "null", EXPR_NODE_NULL, 0 } };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (is_word(c, words[i].word)) {
            struct expr_node *n = expr__node(c, words[i].kind, c->token.offset);
            if (n)
                n->as.i64 = words[i].value;
            expr__lex(c);
            return n;
        }
    return NULL;
}

static struct expr_node *parse_name(struct expr_compiler *c)
{
    if (is_word(c, "true") || is_word(c, "false") || is_word(c, "null"))
        return parse_constant(c);
    if (is_word(c, "in")) {
        (void)unexpected(c, "a value");
        return NULL;
    }
    struct expr_token token = c->token;
    expr__lex(c);
    bool is_call = accept(c, "(");
    struct expr_node *n = expr__node(c, is_call ? EXPR_NODE_CALL : EXPR_NODE_NAME, token.offset);
    if (n == NULL)
        return NULL;
    n->text = token.text;
    return !is_call || parse_items(c, n, ")") ? n : NULL;
}

static struct expr_node *parse_context(struct expr_compiler *c)
{
    static const struct {
        struct slice name;
        enum expr_kind kind;
    } names[] = { { SLICE_INIT("user"), EXPR_NODE_USER },
                  { SLICE_INIT("roles"), EXPR_NODE_ROLES },
                  { SLICE_INIT("scopes"), EXPR_NODE_SCOPES },
                  { SLICE_INIT("now"), EXPR_NODE_NOW } };
    struct expr_suggestion suggestion = { .wrong = c->token.text };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(c->token.text, names[i].name)) {
            struct expr_node *n = expr__node(c, names[i].kind, c->token.offset);
            expr__lex(c);
            return n;
        }
        expr__suggest_try(&suggestion, names[i].name);
    }
    (void)expr__fail(c, STATUS_INVALID, c->token.offset,
                     "there is no `@%.*s`, only @user, @roles, @scopes and @now",
                     (int)MIN(c->token.text.len, 40), c->token.text.data);
    if (suggestion.best.len)
        expr__hint(c, "Did you mean `@%.*s`?", SLICE_ARG(suggestion.best));
    return NULL;
}

static struct expr_node *parse_literal(struct expr_compiler *c)
{
    struct expr_token token = c->token;
    enum expr_kind kind = token.kind == EXPR_TOKEN_INT      ? EXPR_NODE_INT
                          : token.kind == EXPR_TOKEN_DOUBLE ? EXPR_NODE_DOUBLE
                                                            : EXPR_NODE_STRING;
    if (kind == EXPR_NODE_INT && token.as.u64 > INT64_MAX) {
        (void)expr__fail(c, STATUS_INVALID, token.offset, "the number `%.*s` is too large",
                         SLICE_ARG(token.text));
        return NULL;
    }
    struct expr_node *n = expr__node(c, kind, token.offset);
    if (n == NULL)
        return NULL;
    if (kind == EXPR_NODE_INT)
        n->as.i64 = (int64_t)token.as.u64;
    else if (kind == EXPR_NODE_DOUBLE)
        n->as.real = token.as.real;
    else
        n->text = token.text;
    expr__lex(c);
    return n;
}

static struct expr_node *parse_primary(struct expr_compiler *c)
{
    struct expr_node *n = NULL;
    uint32_t offset = c->token.offset;
    switch (c->token.kind) {
    case EXPR_TOKEN_NAME:
        return parse_name(c);
    case EXPR_TOKEN_CONTEXT:
        return parse_context(c);
    case EXPR_TOKEN_INT:
    case EXPR_TOKEN_DOUBLE:
    case EXPR_TOKEN_STRING:
        return parse_literal(c);
    case EXPR_TOKEN_OP:
        if (accept(c, "(")) {
            n = parse(c);
            return n && expect(c, ")", "`)`") ? n : NULL;
        }
        if (accept(c, "[")) {
            n = expr__node(c, EXPR_NODE_LIST, offset);
            return n && parse_items(c, n, "]") ? n : NULL;
        }
        break;
    default:
        break;
    }
    (void)unexpected(c, "a value");
    return NULL;
}

/* .name and .name(arguments), as many as there are. */
static struct expr_node *parse_postfix(struct expr_compiler *c)
{
    struct expr_node *base = parse_primary(c);
    while (base && is_op(c, ".")) {
        expr__lex(c);
        if (c->token.kind != EXPR_TOKEN_NAME) {
            (void)unexpected(c, "a name");
            return NULL;
        }
        struct expr_token token = c->token;
        expr__lex(c);
        bool is_call = accept(c, "(");
        struct expr_node *n =
            expr__node(c, is_call ? EXPR_NODE_CALL : EXPR_NODE_MEMBER, token.offset);
        if (n == NULL)
            return NULL;
        n->text = token.text;
        n->receiver = is_call;
        if (!expr__adopt(c, n, base) || (is_call && !parse_items(c, n, ")")))
            return NULL;
        base = n;
    }
    if (base && is_op(c, "[")) {
        (void)expr__fail(c, STATUS_INVALID, c->token.offset,
                         "items of a list have no numbers here");
        expr__hint(c, "Ask whether a value is in the list: \"x\" in tags.");
        return NULL;
    }
    return base;
}

static struct expr_node *parse_prefix(struct expr_compiler *c)
{
    uint32_t offset = c->token.offset;
    if (!is_op(c, "!") && !is_op(c, "-"))
        return parse_postfix(c);
    bool negate = is_op(c, "-");
    expr__lex(c);
    if (negate && (c->token.kind == EXPR_TOKEN_INT || c->token.kind == EXPR_TOKEN_DOUBLE)) {
        /* Here, so that the smallest integer can be written. */
        bool is_int = c->token.kind == EXPR_TOKEN_INT;
        struct expr_node *n = expr__node(c, is_int ? EXPR_NODE_INT : EXPR_NODE_DOUBLE, offset);
        if (n && is_int)
            n->as.i64 = (int64_t)(0 - c->token.as.u64);
        else if (n)
            n->as.real = -c->token.as.real;
        expr__lex(c);
        return n;
    }
    if (!enter(c))
        return NULL;
    struct expr_node *operand = parse_prefix(c);
    c->depth--;
    struct expr_node *n =
        operand ? expr__node(c, negate ? EXPR_NODE_NEGATE : EXPR_NODE_NOT, offset) : NULL;
    return n && expr__adopt(c, n, operand) ? n : NULL;
}

struct infix {
    const char *text;
    int power;
    enum expr_kind kind;
    enum expr_op op;
};
static const struct infix infixes[] = {
    { "||", 2, EXPR_NODE_OR, 0 },
    { "&&", 3, EXPR_NODE_AND, 0 },
    { "==", 4, EXPR_NODE_COMPARE, EXPR_OP_EQ },
    { "!=", 4, EXPR_NODE_COMPARE, EXPR_OP_NE },
    { "<", 4, EXPR_NODE_COMPARE, EXPR_OP_LT },
    { "<=", 4, EXPR_NODE_COMPARE, EXPR_OP_LE },
    { ">", 4, EXPR_NODE_COMPARE, EXPR_OP_GT },
    { ">=", 4, EXPR_NODE_COMPARE, EXPR_OP_GE },
    { "in", 4, EXPR_NODE_IN, 0 },
    { "+", 5, EXPR_NODE_ARITH, EXPR_OP_ADD },
    { "-", 5, EXPR_NODE_ARITH, EXPR_OP_SUB },
    { "*", 6, EXPR_NODE_ARITH, EXPR_OP_MUL },
    { "/", 6, EXPR_NODE_ARITH, EXPR_OP_DIV },
    { "%", 6, EXPR_NODE_ARITH, EXPR_OP_MOD },
};
#define POWER_COMPARE 4

static const struct infix *infix_find(const struct expr_compiler *c)
{
    for (size_t i = 0; i < ARRAY_LEN(infixes); i++)
        if (infixes[i].kind == EXPR_NODE_IN ? is_word(c, "in") : is_op(c, infixes[i].text))
            return &infixes[i];
    return NULL;
}

/* Make one node of two; a chain of the same && or || becomes one list. */
static struct expr_node *join(struct expr_compiler *c, const struct infix *infix, uint32_t offset,
                              struct expr_node *left, struct expr_node *right)
{
    struct expr_node *n = left;
    bool is_chain = infix->kind == EXPR_NODE_AND || infix->kind == EXPR_NODE_OR;
    if (!is_chain || left->kind != infix->kind) {
        n = expr__node(c, infix->kind, offset);
        if (n == NULL)
            return NULL;
        n->op = (uint8_t)infix->op;
        if (!expr__adopt(c, n, left))
            return NULL;
    }
    struct expr_node *added = is_chain && right->kind == infix->kind ? right->first : right;
    return expr__adopt(c, n, added) ? n : NULL;
}

static struct expr_node *parse_ternary(struct expr_compiler *c, struct expr_node *condition)
{
    uint32_t offset = c->token.offset;
    expr__lex(c);
    struct expr_node *yes = parse(c);
    if (yes == NULL || !expect(c, ":", "`:`"))
        return NULL;
    struct expr_node *no = parse(c);
    struct expr_node *n = no ? expr__node(c, EXPR_NODE_TERNARY, offset) : NULL;
    return n && expr__adopt(c, n, condition) && expr__adopt(c, n, yes) && expr__adopt(c, n, no)
               ? n
               : NULL;
}

/* Recursion through here is bounded by the powers, which grow. */
static struct expr_node *parse_infix(struct expr_compiler *c, int power_min)
{
    struct expr_node *left = parse_prefix(c);
    int last = 0; /* power of the operator that made `left` */
    while (left) {
        const struct infix *infix = infix_find(c);
        if (infix == NULL || infix->power < power_min)
            break;
        uint32_t offset = c->token.offset;
        if (infix->power == POWER_COMPARE && last == POWER_COMPARE) {
            (void)expr__fail(c, STATUS_INVALID, offset, "comparisons do not chain");
            expr__hint(c, "Write a < b && b < c.");
            return NULL;
        }
        last = infix->power;
        expr__lex(c);
        struct expr_node *right = parse_infix(c, infix->power + 1);
        left = right ? join(c, infix, offset, left, right) : NULL;
    }
    if (left && power_min <= 1 && is_op(c, "?"))
        left = parse_ternary(c, left);
    return left;
}

static struct expr_node *parse(struct expr_compiler *c)
{
    if (!enter(c))
        return NULL;
    struct expr_node *n = parse_infix(c, 1);
    c->depth--;
    return n;
}

struct expr_node *expr__parse(struct expr_compiler *c)
{
    expr__lex(c);
    if (c->token.kind == EXPR_TOKEN_END) {
        (void)expr__fail(c, STATUS_INVALID, 0, "the expression is empty");
        return NULL;
    }
    struct expr_node *n = parse(c);
    if (n == NULL || c->token.kind == EXPR_TOKEN_END)
        return n;
    static const struct {
        struct slice word;
        const char *means;
    } words[] = { { SLICE_INIT("and"), "&&" }, { SLICE_INIT("AND"), "&&" },
                  { SLICE_INIT("or"), "||" },  { SLICE_INIT("OR"), "||" },
                  { SLICE_INIT("IN"), "in" },  { SLICE_INIT("is"), "==" } };
    (void)unexpected(c, "an operator");
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (c->token.kind == EXPR_TOKEN_NAME && slice_eq(c->token.text, words[i].word))
            expr__hint(c, "Did you mean `%s`?", words[i].means);
    return NULL;
}
