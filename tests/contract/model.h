/*
 * tests/contract/model.h - Contracts built in C, without files: for tests that need odd or random
 * ones.
 */
#pragma once

#include <stdbool.h>

#include "contract/contract.h"
#include "contract/expr.h"

struct arena;

#define MODEL_CONTRACTS_MAX 16

struct model {
    struct arena *arena;
    struct contract_set set;
    struct contract *contracts[MODEL_CONTRACTS_MAX];
    struct {
        struct contract *contract;
        struct contract_index *index;
        struct slice names[8];
    } pending[64]; /* indexes, which may name system fields */
    unsigned pending_len;
};

struct model *model_new(void);
void model_free(struct model *m);
/* `name` is copied. Rules are `true` until set. */
struct contract *model_contract(struct model *m, const char *name);
/* Nullable until told otherwise. */
struct contract_field *model_field(struct model *m, struct contract *c, const char *name,
                                   enum contract_type type);
struct contract_field *model_ref(struct model *m, struct contract *c, const char *name,
                                 struct contract *target, enum contract_on_delete on_delete);
struct contract_field *model_list(struct model *m, struct contract *c, const char *name,
                                  enum contract_type item);
/* Values separated by spaces. */
struct contract_field *model_enum(struct model *m, struct contract *c, const char *name,
                                  const char *values);
struct contract_field *model_count(struct model *m, struct contract *c, const char *name,
                                   struct contract *from, const char *ref_field, const char *where);
/* Fields separated by spaces, "-" before descending ones. */
struct contract_index *model_index(struct model *m, struct contract *c,
                                   enum contract_index_kind kind, bool unique, const char *fields);
void model_required(struct contract_field *f);
void model_default(struct contract_field *f, json_t *value);
void model_search(struct model *m, struct contract *c, const char *fields);
/* Add the system fields, number columns, compile counts and index conditions. Once, when all
 * contracts are there. */
void model_finish(struct model *m);
/* After model_finish. */
void model_rule(struct model *m, struct contract *c, enum contract_action action, const char *text);

struct contract *model_find(const struct model *m, const char *name);
struct contract_field *model_field_find(const struct contract *c, const char *name);
