/*
 * contract/contract.h - What a team declares: YAML contracts, read into a model; the validator, the
 * rule and filter language (contract/expr.h), JSON Schema (contract/schema.h), the SQL schema
 * (contract/sql.h) and the OpenAPI document (contract/openapi.h) all derive from the one model, so
 * that they cannot disagree.
 *
 * Data passes: files -> contract_set (immutable, shared by all loops, replaced whole on reload) ->
 * contract_validate turns a JSON body into a contract_row of SQL values -> the engine stores it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"
#include "store/store.h"

struct arena;
struct contract;
struct contract_pattern; /* a compiled regular expression (PCRE2, JIT, match limit) */
struct expr;
struct json_schema;
struct task_caller;

enum contract_type {
    CONTRACT_STRING,  /* one line, no control characters; max 255 unless said */
    CONTRACT_TEXT,    /* many lines; max 65536 unless said */
    CONTRACT_INTEGER, /* int64 */
    CONTRACT_NUMBER,  /* double, finite */
    CONTRACT_BOOLEAN,
    CONTRACT_TIME,  /* RFC 3339 <-> int64 microseconds, stored in whole milliseconds */
    CONTRACT_DATE,  /* "2026-01-02", stored as TEXT */
    CONTRACT_UUID,  /* BLOB 16 */
    CONTRACT_EMAIL, /* RFC 5321 mailbox without quotes or comments; domain lower-cased */
    CONTRACT_URL,   /* http or https unless `schemes` says otherwise; max 2048 */
    CONTRACT_JSON,  /* TEXT, checked by a JSON Schema when given */
    CONTRACT_LIST,  /* of a scalar type; TEXT holding a JSON array */
    CONTRACT_ENUM,
    CONTRACT_REF,   /* the id of a row of another resource; BLOB 16 */
    CONTRACT_MONEY, /* {"amount_minor": 1234, "currency": "EUR"}; two columns NAME_amount,
                       NAME_currency */
    CONTRACT_MEDIA, /* {"url", "type", "bytes"?, "width"?, "height"?, "alt"?}; TEXT holding that
                       JSON */
    CONTRACT_COUNT, /* computed: how many rows of another resource refer to this one; kept by
                       triggers, readonly */
    CONTRACT_TYPES
};

enum contract_on_delete { CONTRACT_RESTRICT, CONTRACT_CASCADE, CONTRACT_SET_NULL };
enum contract_default {
    CONTRACT_DEFAULT_NONE,
    CONTRACT_DEFAULT_VALUE,
    CONTRACT_DEFAULT_USER,
    CONTRACT_DEFAULT_NOW
};

#define CONTRACT_FIELDS_MAX 120u /* of one resource, system fields included */
#define CONTRACT_RESOURCES_MAX 200u
#define CONTRACT_COLUMNS_MAX 160u

struct contract_field {
    struct slice name;
    struct slice description;
    unsigned index; /* in contract->fields */
    enum contract_type type;
    bool system;    /* id, created_at, updated_at, version, deleted_at */
    bool required;  /* must be given at create, never null */
    bool nullable;  /* null may be stored: not required, and no default unless `optional: true`;
                       on_delete set_null */
    bool immutable; /* may be given at create, not changed later */
    bool readonly;  /* never taken from a client (an import may set it) */
    bool writeonly; /* never shown */
    bool hidden;    /* not there for clients, in an older version; readonly and writeonly too */
    bool unique;    /* `unique: true` on the field */

    unsigned column;      /* first of its columns in contract->columns */
    unsigned columns_len; /* 1, money 2 */

    bool has_min, has_max;
    int64_t min_i64,
        max_i64; /* characters of text, value of integer, microseconds of time, days of date */
    double min_double, max_double; /* number */
    struct slice pattern_text;
    struct contract_pattern *pattern; /* NULL: none */
    struct slice *values; /* enum; currencies of money (empty: any ISO 4217); schemes of url; types
                             of media */
    unsigned values_len;
    struct contract_field *of; /* list: the item, a field without name or column */
    bool unique_items;
    unsigned min_items, max_items; /* list; max 1000, default 100 */
    struct json_schema *schema;    /* json: NULL when anything goes */
    json_t *schema_json;
    int64_t bytes_max;                /* json text, media */
    struct contract *ref;             /* ref: target; count: the resource that refers */
    struct contract_field *ref_field; /* count: its ref field */
    struct expr *count_where;         /* count: which rows count, or NULL */
    struct slice count_where_text;
    enum contract_on_delete on_delete;
    enum contract_default default_kind;
    json_t *default_json;
    int line; /* in the file */
};

struct contract_column {
    struct slice name;
    const char *sql_type; /* "TEXT", "INTEGER", "REAL", "BLOB" */
    struct contract_field *field;
    bool not_null;
};

enum contract_index_kind { CONTRACT_INDEX_ORDER, CONTRACT_INDEX_CONTAINS };
struct contract_index {
    enum contract_index_kind kind;
    bool unique;
    struct contract_field **fields; /* CONTAINS: one list field */
    bool *descending;
    unsigned len;
    struct expr *where; /* partial index, or NULL */
    struct slice where_text;
};

struct contract_limit {  /* limits: { create: 30/minute/user } - enforced by the engine, shown in
                            OpenAPI */
    struct slice action; /* list read create update delete */
    uint32_t count;
    int64_t per_us;
    struct slice by; /* user, ip, key */
};

/* Another resource's ref field that points here. */
struct contract_referrer {
    struct contract *contract;
    struct contract_field *field;
    struct slice name; /* how expand and nested create call it: the resource's name, or
                          resource_field when ambiguous */
};

/* Where a text stands in its file. */
struct contract_place {
    int line, column; /* from 1; 0: nowhere, it was left out */
    bool is_plain;    /* it stands there as it is, on one line: bytes of it are columns */
};

enum contract_action {
    CONTRACT_READ,
    CONTRACT_CREATE,
    CONTRACT_UPDATE,
    CONTRACT_DELETE,
    CONTRACT_ACTIONS
};
#define CONTRACT_EVENT_CREATED 1u
#define CONTRACT_EVENT_UPDATED 2u
#define CONTRACT_EVENT_DELETED 4u

struct contract {
    struct slice name; /* also the table's */
    struct slice description;
    struct slice file;
    unsigned index; /* in the set */
    struct contract_field *
        *fields; /* id, the declared ones in order, created_at, updated_at, version[, deleted_at] */
    unsigned fields_len;
    struct contract_column *columns; /* in the order of fields */
    unsigned columns_len;
    struct contract_index *indexes; /* `indexes` and `unique` */
    unsigned indexes_len;
    struct contract_field **search; /* full text over these, in table NAME__search (FTS5) */
    unsigned search_len;
    struct expr
        *rules[CONTRACT_ACTIONS]; /* never NULL; a rule left out is `false` (deny by default) */
    struct slice rules_text[CONTRACT_ACTIONS];
    struct contract_place rules_at[CONTRACT_ACTIONS]; /* where each stands in `file` */
    bool soft_delete;
    bool absent;          /* not there for clients, in an older version */
    int64_t cache_ttl_us; /* 0: not cached */
    struct slice *cache_tags;
    unsigned cache_tags_len;
    struct contract_limit *limits;
    unsigned limits_len;
    unsigned events; /* CONTRACT_EVENT_ bits */
    struct contract_referrer *referrers;
    unsigned referrers_len;
    /* private to contract/: perfect hash of field names, validator program */
    void *lookup;
    void *program;
};

#define CONTRACT_VERSIONS_MAX 16u /* older ones */

struct contract_set {
    struct contract **contracts; /* by name */
    unsigned len;
    unsigned version_number;    /* 1, or one more than the newest of the older versions */
    struct slice version;       /* "v1": the API is at /api/v1/ */
    struct contract_set *older; /* the version before: the same tables, other names; or NULL */
    uint64_t fingerprint;       /* of the texts: same contracts, same number */
    struct arena *arena;        /* everything lives here; freed by contract_set_free */
};

/*
 * Read every *.yaml of a folder, check all of it (names, types, references between files, rules
 * type-checked, indexes, searches, defaults) and report every problem at once. Folders v1, v2, ...
 * in it say what was different in older versions of the API (contract/version.c): sets of their
 * own, at `older`.
 *
 * Errors   INVALID with everything wrong in `diag`.
 * Memory   the caller frees the set with contract_set_free; diag texts live in diag's arena.
 */
enum status contract_set_load(struct slice folder, struct diag *diag,
                              struct contract_set **ret_set);
/* The same from texts (tests, fuzzing); file names as given. */
struct contract_source {
    struct slice file, text;
};
enum status contract_set_parse(const struct contract_source *sources, unsigned sources_len,
                               struct diag *diag, struct contract_set **ret_set);
void contract_set_free(struct contract_set *set); /* and what is older */

/*
 * Add an older version: the same contracts with what its overlays say. `sources` are what `set` was
 * parsed from. INVALID with everything wrong in `diag`; `set` is then as before.
 */
enum status contract_set_version_add(struct contract_set *set, unsigned number,
                                     const struct contract_source *sources, unsigned sources_len,
                                     const struct contract_source *overlays, unsigned overlays_len,
                                     struct diag *diag);
/* The set of a version: `set` itself or an older one; NULL when there is none. */
const struct contract_set *contract_set_version(const struct contract_set *set, unsigned number);
/* Whether a server of one set can go on with the other: its paths stay. */
bool contract_set_same_versions(const struct contract_set *a, const struct contract_set *b);

/* "read", "create", ...: the verb of a permission. */
struct slice contract_action_name(enum contract_action action);
struct contract *contract_find(const struct contract_set *set, struct slice name);
/* O(1), no string compare beyond one. NULL when there is none. */
struct contract_field *contract_field_find(const struct contract *contract, struct slice name);
/* "string", "ref", ...; never NULL. */
const char *contract_type_name(enum contract_type type);
/* The column of a system field. */
static inline struct contract_field *contract_id_field(const struct contract *c)
{
    return c->fields[0];
}

/* -- validation ------------------------------------------------------------- */

enum contract_mode {
    CONTRACT_MODE_CREATE,  /* defaults filled in, required checked */
    CONTRACT_MODE_REPLACE, /* PUT: as create; what is absent becomes its default or null, but these
                              stay as they are when absent: readonly, immutable and writeonly
                              fields, and those with default @user or @now */
    CONTRACT_MODE_PATCH    /* only what is present */
};

struct contract_input {
    enum contract_mode mode;
    const struct task_caller *caller; /* for @user */
    int64_t now_us;                   /* for @now */
    bool trusted;         /* an import: readonly, immutable and system times may be set */
    struct slice pointer; /* prefix of reported pointers, "/operations/3/body" or empty */
};

/* A row on its way into the store: SQL values by column, and which fields they were given for. */
struct contract_row {
    const struct contract *contract;
    struct store_value *values; /* [contract->columns_len] */
    bool *present; /* [contract->fields_len]: to be written: given, defaulted, or (REPLACE) set to
                      null for want of being given. Guarded fields are present too */
    bool *guarded; /* [contract->fields_len]: REPLACE/PATCH gave a readonly, immutable or system
                      field; the engine must refuse it ("read_only", "immutable") unless it equals
                      what is stored */
};

/*
 * Validate a JSON object against the contract and convert it. All bad fields are reported at once
 * as problem fields (pointer, code, detail). Codes: required, unknown_field, type, too_short,
 * too_long, too_small, too_large, pattern, format, enum, not_null, items_too_few, items_too_many,
 * not_unique, read_only, schema, currency, null_byte, control_character, ...
 *
 * Children of nested creates (keys that are referrer names, whose values are arrays) are skipped
 * when `ret_children` is given and returned there for the engine.
 *
 * Errors   INVALID with the problem filled; EXHAUSTED.
 * Memory   the row and its texts live in `arena`, or point into the JSON tree.
 * Context  any thread; never suspends; allocates only from the arena.
 */
struct contract_child {
    const struct contract_referrer *referrer;
    const json_t *items; /* an array */
};
#define CONTRACT_CHILDREN_MAX 8u
struct contract_children {
    struct contract_child items[CONTRACT_CHILDREN_MAX];
    unsigned len;
};
enum status contract_validate(const struct contract *contract, const json_t *object,
                              const struct contract_input *input, struct arena *arena,
                              struct problem *problem, struct contract_row *ret_row,
                              struct contract_children *ret_children);

/* An empty row (nothing present, all NULL) for callers that fill it themselves. */
enum status contract_row_init(const struct contract *contract, struct arena *arena,
                              struct contract_row *ret_row);

/*
 * Convert the text of a query parameter, CSV cell or cursor into the field's SQL value (scalars
 * only), by the same checks of format (not of length). INVALID with *ret_reason (constant) when it
 * does not fit.
 */
enum status contract_value_parse(const struct contract_field *field, struct slice text,
                                 struct arena *arena, struct store_value *ret_value,
                                 const char **ret_reason);

/* Append the field's JSON value from SQL values (the reverse of contract_validate): times as RFC
 * 3339, ids as text, money as an object, lists and json as they are stored. `values` are the
 * field's columns. */
void contract_value_write(const struct contract_field *field, const struct store_value *values,
                          struct buf *out);
/* The same straight from a row of the store whose columns for this field begin at `column`. */
void contract_value_write_rows(const struct contract_field *field, const struct store_rows *rows,
                               unsigned column, struct buf *out);

/* The JSON Schema (2020-12) for contract files themselves, for editors; and for one resource's
 * create, replace, patch and read bodies (kind 'c', 'u', 'p', 'r'). Append to `out`. */
void contract_meta_schema(struct buf *out);
void contract_json_schema(const struct contract *contract, char kind, struct buf *out);
