/*
 * contract/validate.h - Private: the validator's program. Each contract is compiled once into an
 * array of steps, one a field in the order of contract->fields, and sets of fields as bits, so that
 * validating a body is one walk over its keys: hash, step, next; and what was not given falls out
 * of a few words of bits.
 */
#pragma once

#include "contract/contract.h"

struct arena;

#define CONTRACT__FIELD_WORDS 2u /* CONTRACT_FIELDS_MAX bits */

struct contract__run;
struct contract__step;

/* Check one JSON value (never null) and convert it into the field's columns; false when it was
 * reported as wrong. */
typedef bool (*contract__check_fn)(struct contract__run *run, const struct contract__step *step,
                                   const json_t *value, struct store_value *ret_values);

struct contract__step {
    contract__check_fn check;
    const struct contract_field *field;
    int64_t min, max; /* of what the type counts; wide open when not said */
    const struct contract_pattern *pattern;
    const struct contract__step *item; /* list */
    struct store_value default_values[2];
    uint16_t column;
    uint8_t columns_len;
    bool takes_default; /* literal, in default_values */
};

struct contract__program {
    uint64_t required[CONTRACT__FIELD_WORDS]; /* at create: given, or a problem */
    uint64_t computed[CONTRACT__FIELD_WORDS]; /* counts: nobody sets them */
    uint64_t closed[CONTRACT__FIELD_WORDS];   /* readonly and system: not from a client */
    uint64_t immutable[CONTRACT__FIELD_WORDS];
    uint64_t defaulted[CONTRACT__FIELD_WORDS]; /* has some default */
    uint64_t kept[CONTRACT__FIELD_WORDS];      /* replace leaves them alone when absent */
    struct contract__step steps[];
};

/* A perfect hash of field names. */
struct contract__lookup {
    uint64_t seed;
    uint32_t mask;
    uint8_t slots[]; /* index of the field, or 255 */
};

/* One validation under way. */
struct contract__run {
    struct arena *arena;
    struct problem *problem;
    struct slice prefix; /* of pointers */
    struct slice name;   /* the field being checked */
    const char *member;  /* of money and media, or NULL */
    long item;           /* of a list, or -1 */
    bool failed;
    bool exhausted;
};

/* Report the place being checked. Past PROBLEM_FIELDS_MAX of them nothing more is kept, and nothing
 * is done for it: a body can be wrong in more places than it is worth to speak of. */
void contract__complain(struct contract__run *run, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline bool contract__is_enough(const struct contract__run *run)
{
    return run->problem->fields_len == PROBLEM_FIELDS_MAX;
}

contract__check_fn contract__check_of(enum contract_type type);
/* Fill a step (not its default) from a field whose constraints are known. False when the arena is
 * spent. */
bool contract__step_init(struct contract__step *step, const struct contract_field *field,
                         struct arena *arena);

/* Names to slots; names must differ. False when the arena is spent. */
bool contract__lookup_build(struct contract *contract, struct arena *arena);
/* From now on the field is not there for clients; what is stored stays as it is. */
void contract__field_hide(struct contract *contract, struct contract_field *field);
/* After fields, columns, patterns and schemas are complete; defaults are set by
 * contract__default_set. */
bool contract__program_build(struct contract *contract, struct arena *arena);
/* Check field->default_json and keep it as the default; false and problem fields when it breaks its
 * own rules. */
bool contract__default_set(const struct contract_field *field, struct contract *contract,
                           struct arena *arena, struct problem *problem);
