/*
 * contract/load.h - Private: reading contracts. Every file is read into a draft (load.c), its
 * fields into the model (load_field.c), then the drafts are tied together (load_link.c: refs,
 * counts, referrers, lookups, defaults) and what builds on fields is read last (load_option.c:
 * indexes, search, rules, cache, limits, events). Each step goes on past what is wrong, so that one
 * run shows everything.
 */
#pragma once

#include "base/arena.h"
#include "base/yaml.h"
#include "contract/contract.h"

struct contract__pattern_link {
    struct contract_pattern *pattern;
    struct contract__pattern_link *next;
};

struct contract__schema_link {
    struct json_schema *schema;
    struct contract__schema_link *next;
};

/* A set with what it must release. */
struct contract__owned {
    struct contract_set set;
    struct contract__pattern_link *patterns;
    struct contract__schema_link *schemas;
};

/* One file on its way to a contract. */
struct contract__draft {
    struct slice file, text;
    const struct yaml_node *root;
    struct contract *contract;                                /* NULL: not even a name */
    const struct yaml_node *field_nodes[CONTRACT_FIELDS_MAX]; /* by index; NULL: a system field */
    bool broken; /* a field's type is not known: rules cannot be checked */
};

struct contract__loader {
    struct arena *arena; /* the set's */
    struct diag *diag;
    struct contract__owned *owned;
    struct contract__draft *drafts;
    unsigned drafts_len;
    bool incomplete; /* a file has no readable contract: what others miss may be in it */
    bool exhausted;
};

/* Report a node of a file. `key` is the path to it ("fields.title.max"). */
void contract__fail(struct contract__loader *ld, const struct contract__draft *d,
                    const struct yaml_node *node, struct slice key, struct slice hint,
                    const char *format, ...) __attribute__((format(printf, 6, 7)));
/* The same at a byte of the node's text, when that can be found in the file. */
void contract__fail_at(struct contract__loader *ld, const struct contract__draft *d,
                       const struct yaml_node *node, size_t offset, struct slice key,
                       struct slice hint, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
/* Where the text of a node stands. */
struct contract_place contract__place_of(const struct contract__draft *d,
                                         const struct yaml_node *node);
/* "a.b" in the set's arena; empty when it is spent. */
struct slice contract__path(struct contract__loader *ld, struct slice parent, struct slice key);
/* "Did you mean `x`? Allowed: a, b, c." */
struct slice contract__allowed(struct contract__loader *ld, struct slice wrong,
                               const struct slice *names, size_t names_len);
/* Report an unknown `wrong` at `node`. */
void contract__fail_unknown(struct contract__loader *ld, const struct contract__draft *d,
                            const struct yaml_node *node, struct slice path, const char *what,
                            struct slice wrong, const struct slice *names, size_t names_len);

/* Text of a plain or quoted scalar that is not null; false and reported otherwise. */
bool contract__read_text(struct contract__loader *ld, const struct contract__draft *d,
                         const struct yaml_node *node, struct slice key, struct slice *ret);
bool contract__read_bool(struct contract__loader *ld, const struct contract__draft *d,
                         const struct yaml_node *node, struct slice key, bool *ret);
bool contract__read_integer(struct contract__loader *ld, const struct contract__draft *d,
                            const struct yaml_node *node, struct slice key, int64_t min,
                            int64_t max, int64_t *ret);
/* arena_calloc that remembers when the arena is spent. */
void *contract__calloc(struct contract__loader *ld, size_t count, size_t size);

/* The steps. */
void contract__read_fields(struct contract__loader *ld, struct contract__draft *d);
void contract__link(struct contract__loader *ld);
void contract__read_options(struct contract__loader *ld, struct contract__draft *d);

/* Whether a field may have this name; false and reported otherwise. */
bool contract__field_name_check(struct contract__loader *ld, const struct contract__draft *d,
                                const struct yaml_node *node, struct slice path, struct slice name);
/* The number of a version's folder ("v12": 12), or 0: another folder. */
unsigned contract__version_of(struct slice folder);

/* What may stand in a field, for the reader and for the published schema. */
struct contract__field_key {
    struct slice name;
    uint32_t types;     /* 1 << enum contract_type */
    bool of_items;      /* on a list: about its items */
    const char *schema; /* JSON Schema of the value, without braces */
    const char *description;
};
extern const struct contract__field_key contract__field_keys[];
extern const unsigned contract__field_keys_len;
extern const struct slice contract__top_keys[];
extern const unsigned contract__top_keys_len;
/* Whether a key may stand in a field of a type; `item` counts for lists (CONTRACT_TYPES: none). */
bool contract__key_fits(const struct contract__field_key *key, enum contract_type type,
                        enum contract_type item);
bool contract__type_find(struct slice name, enum contract_type *ret);
/* Types that a list may hold. */
bool contract__type_is_item(enum contract_type type);
