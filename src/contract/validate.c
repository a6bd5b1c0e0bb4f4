/*
 * A body is walked once. Each key is hashed to its field, whose step checks and converts the value;
 * what was seen is kept as bits, so that "required but missing" and "absent with a default" are an
 * AND over two words. Nothing is allocated but the row and what conversions need, all in the
 * caller's arena.
 */
#include "contract/validate.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"
#include "fiber/task.h"

struct walk {
    struct contract__run run;
    const struct contract *contract;
    const struct contract__program *program;
    const struct contract_input *input;
    struct contract_row *row;
    struct contract_children *children;
    uint64_t seen[CONTRACT__FIELD_WORDS];
};

static inline bool bit_get(const uint64_t *words, unsigned i)
{
    return words[i / 64] >> (i % 64) & 1;
}

static inline void bit_set(uint64_t *words, unsigned i)
{
    words[i / 64] |= (uint64_t)1 << (i % 64);
}

/* -- names to fields --------------------------------------------------------- */

static bool try_seed(struct contract__lookup *lookup, const struct contract *contract,
                     uint64_t seed)
{
    memset(lookup->slots, 255, lookup->mask + 1);
    lookup->seed = seed;
    for (unsigned i = 0; i < contract->fields_len; i++) {
        if (contract->fields[i]->hidden)
            continue;
        uint8_t *slot = &lookup->slots[hash64(contract->fields[i]->name, seed) & lookup->mask];
        if (*slot != 255)
            return false;
        *slot = (uint8_t)i;
    }
    return true;
}

bool contract__lookup_build(struct contract *contract, struct arena *arena)
{
    uint32_t size = 16;
    while (size < contract->fields_len * 2)
        size *= 2;
    /* The table grows until a seed without collisions is found: sixteen entries a field at the very
     * most. */
    for (;; size *= 2) {
        struct arena_mark before = arena_mark(arena);
        struct contract__lookup *lookup = arena_alloc(arena, sizeof(*lookup) + size);
        if (!lookup)
            return false;
        lookup->mask = size - 1;
        for (uint64_t seed = 1; seed <= 256; seed++) {
            if (try_seed(lookup, contract, seed)) {
                contract->lookup = lookup;
                return true;
            }
        }
        arena_rewind(arena, before);
    }
}

struct contract_field *contract_field_find(const struct contract *contract, struct slice name)
{
    const struct contract__lookup *lookup = contract->lookup;
    uint8_t slot = lookup->slots[hash64(name, lookup->seed) & lookup->mask];
    if (slot == 255 || !slice_eq(contract->fields[slot]->name, name))
        return NULL;
    return contract->fields[slot];
}

/* -- compiling --------------------------------------------------------------- */

static void set_bounds(struct contract__step *step, const struct contract_field *field)
{
    bool from_zero = field->type == CONTRACT_STRING || field->type == CONTRACT_TEXT ||
                     field->type == CONTRACT_EMAIL || field->type == CONTRACT_URL;
    step->min = field->has_min ? field->min_i64 : from_zero ? 0 : INT64_MIN;
    step->max = field->has_max ? field->max_i64 : INT64_MAX;
    if (field->type == CONTRACT_JSON || field->type == CONTRACT_MEDIA)
        step->max = field->bytes_max;
}

bool contract__step_init(struct contract__step *step, const struct contract_field *field,
                         struct arena *arena)
{
    step->check = contract__check_of(field->type);
    step->field = field;
    step->pattern = field->pattern;
    step->column = (uint16_t)field->column;
    step->columns_len = (uint8_t)field->columns_len;
    set_bounds(step, field);
    if (field->type != CONTRACT_LIST)
        return true;
    struct contract__step *item = arena_new_of(arena, struct contract__step);
    if (!item)
        return false;
    item->check = contract__check_of(field->of->type);
    item->field = field->of;
    item->pattern = field->of->pattern;
    set_bounds(item, field->of);
    step->item = item;
    return true;
}

static void sort_into_sets(struct contract__program *program, const struct contract_field *field)
{
    unsigned i = field->index;
    bool closed = field->system || field->readonly;
    if (field->type == CONTRACT_COUNT)
        bit_set(program->computed, i);
    if (closed || field->type == CONTRACT_COUNT)
        bit_set(program->closed, i);
    if (field->immutable)
        bit_set(program->immutable, i);
    if (field->default_kind != CONTRACT_DEFAULT_NONE)
        bit_set(program->defaulted, i);
    else if (!field->nullable && !closed && field->type != CONTRACT_COUNT)
        bit_set(program->required, i);
    /* Who made a row and when stays true when it is replaced; a secret that is not shown cannot be
     * sent back. */
    if (closed || field->type == CONTRACT_COUNT || field->immutable || field->writeonly ||
        field->default_kind == CONTRACT_DEFAULT_USER || field->default_kind == CONTRACT_DEFAULT_NOW)
        bit_set(program->kept, i);
}

bool contract__program_build(struct contract *contract, struct arena *arena)
{
    struct contract__program *program = arena_calloc(
        arena, 1, sizeof(*program) + contract->fields_len * sizeof(struct contract__step));
    if (!program)
        return false;
    for (unsigned i = 0; i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        if (!contract__step_init(&program->steps[i], field, arena))
            return false;
        sort_into_sets(program, field);
    }
    contract->program = program;
    return true;
}

void contract__field_hide(struct contract *contract, struct contract_field *field)
{
    struct contract__program *program = contract->program;
    unsigned i = field->index;
    field->hidden = field->readonly = field->writeonly = true;
    bit_set(program->closed, i);
    bit_set(program->kept, i);
    program->required[i / 64] &= ~((uint64_t)1 << (i % 64));
}

bool contract__default_set(const struct contract_field *field, struct contract *contract,
                           struct arena *arena, struct problem *problem)
{
    struct contract__program *program = contract->program;
    struct contract__step *step = &program->steps[field->index];
    struct contract__run run = { .arena = arena, .problem = problem, .item = -1 };
    struct store_value values[2] = { 0 };
    if (!step->check(&run, step, field->default_json, values))
        return false;
    memcpy(step->default_values, values, sizeof(values));
    step->takes_default = true;
    return true;
}

/* -- walking a body ---------------------------------------------------------- */

enum status contract_row_init(const struct contract *contract, struct arena *arena,
                              struct contract_row *ret_row)
{
    size_t values_bytes = contract->columns_len * sizeof(struct store_value);
    char *block = arena_calloc(arena, 1, values_bytes + 2 * (size_t)contract->fields_len);
    if (!block)
        return STATUS_EXHAUSTED;
    _Static_assert(STORE_NULL == 0, "zeroed values are null");
    *ret_row = (struct contract_row){
        .contract = contract,
        .values = (struct store_value *)(void *)block,
        .present = (bool *)(void *)(block + values_bytes),
        .guarded = (bool *)(void *)(block + values_bytes + contract->fields_len),
    };
    return STATUS_OK;
}

static const struct contract_referrer *find_referrer(const struct contract *contract,
                                                     struct slice key)
{
    for (unsigned i = 0; i < contract->referrers_len; i++) {
        const struct contract_referrer *referrer = &contract->referrers[i];
        if (slice_eq(referrer->name, key))
            return referrer->contract->absent || referrer->field->hidden ? NULL : referrer;
    }
    return NULL;
}

static void take_children(struct walk *w, const struct contract_referrer *referrer,
                          const json_t *value)
{
    if (!json_is_array(value)) {
        contract__complain(&w->run, "type", "Must be a list of rows to create with this one.");
    } else if (w->children->len == CONTRACT_CHILDREN_MAX) {
        contract__complain(&w->run, "items_too_many", "At most %u kinds of children at once.",
                           CONTRACT_CHILDREN_MAX);
    } else {
        w->children->items[w->children->len++] =
            (struct contract_child){ .referrer = referrer, .items = value };
    }
}

static void complain_of_unknown(struct walk *w, struct slice key)
{
    if (contract__is_enough(&w->run)) { /* looking for what was meant costs more than saying it */
        contract__complain(&w->run, "unknown_field", "There is no such field.");
        return;
    }
    unsigned nearest = 1 + (unsigned)(MIN(key.len, 64) / 4) + 1;
    struct slice name = SLICE_NULL;
    for (unsigned i = 0; i < w->contract->fields_len; i++) {
        unsigned distance = slice_distance(key, w->contract->fields[i]->name);
        if (!w->contract->fields[i]->hidden && distance < nearest &&
            distance < w->contract->fields[i]->name.len) {
            nearest = distance;
            name = w->contract->fields[i]->name;
        }
    }
    if (name.len)
        contract__complain(&w->run, "unknown_field", "There is no such field. Did you mean `%.*s`?",
                           SLICE_ARG(name));
    else
        contract__complain(&w->run, "unknown_field", "There is no such field.");
}

/* Whether the field may be taken from this body at all; marks what the engine must compare with the
 * stored row. */
static bool is_welcome(struct walk *w, const struct contract_field *field)
{
    unsigned i = field->index;
    bool computed = bit_get(w->program->computed, i);
    if (w->input->trusted && !computed)
        return true;
    bool closed = bit_get(w->program->closed, i);
    if (w->input->mode == CONTRACT_MODE_CREATE || w->input->trusted) {
        if (!closed)
            return true;
        contract__complain(&w->run, "read_only", "Is set by the server, not by a request.");
        return false;
    }
    w->row->guarded[i] = closed || bit_get(w->program->immutable, i);
    return true;
}

static void take_value(struct walk *w, const struct contract_field *field, const json_t *value)
{
    const struct contract__step *step = &w->program->steps[field->index];
    bit_set(w->seen, field->index);
    if (!is_welcome(w, field))
        return;
    if (json_is_null(value)) {
        if (field->nullable)
            w->row->present[field->index] = true;
        else
            contract__complain(&w->run, "not_null", "Cannot be null.");
        return;
    }
    if (step->check(&w->run, step, value, &w->row->values[step->column]))
        w->row->present[field->index] = true;
}

static void walk_object(struct walk *w, const json_t *object)
{
    json_t *o =
        (json_t *)(uintptr_t)object; /* jansson's iterators are not const; nothing is changed */
    for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at)) {
        struct slice key = slice_of(json_object_iter_key(at), json_object_iter_key_len(at));
        const struct contract_field *field = contract_field_find(w->contract, key);
        w->run.name = key;
        if (LIKELY(field != NULL)) {
            take_value(w, field, json_object_iter_value(at));
            continue;
        }
        const struct contract_referrer *referrer =
            w->children ? find_referrer(w->contract, key) : NULL;
        if (referrer)
            take_children(w, referrer, json_object_iter_value(at));
        else
            complain_of_unknown(w, key);
    }
}

static bool fill_user(struct walk *w, struct store_value *ret)
{
    const struct task_caller *caller = w->input->caller;
    if (!caller || !caller->has_user)
        return false;
    struct slice id;
    if (arena_copy(w->run.arena, slice_of((const char *)caller->user.bytes, 16), &id) !=
        STATUS_OK) {
        w->run.exhausted = true;
        return true;
    }
    *ret = store_blob(id);
    return true;
}

static bool fill_now(struct walk *w, const struct contract_field *field, struct store_value *ret)
{
    int64_t us = w->input->now_us;
    if (field->type == CONTRACT_TIME) {
        int64_t rest = us % CLOCK_MS;
        *ret = store_i64(us - (rest < 0 ? rest + CLOCK_MS : rest));
        return true;
    }
    char text[CLOCK_DATE_LEN];
    int64_t days = us / CLOCK_DAY - (us % CLOCK_DAY < 0);
    clock_format_date((int32_t)days, text);
    struct slice copy;
    if (arena_copy(w->run.arena, slice_of(text, sizeof(text)), &copy) != STATUS_OK) {
        w->run.exhausted = true;
        return true;
    }
    *ret = store_text(copy);
    return true;
}

static void fill_default(struct walk *w, unsigned i)
{
    const struct contract_field *field = w->contract->fields[i];
    const struct contract__step *step = &w->program->steps[i];
    struct store_value *values = &w->row->values[step->column];
    bool filled = false;
    if (step->takes_default) {
        memcpy(values, step->default_values, step->columns_len * sizeof(*values));
        filled = true;
    } else if (field->default_kind == CONTRACT_DEFAULT_USER) {
        filled = fill_user(w, values);
    } else if (field->default_kind == CONTRACT_DEFAULT_NOW) {
        filled = fill_now(w, field, values);
    }
    if (filled || field->nullable) {
        w->row->present[i] = true;
        return;
    }
    w->run.name = field->name;
    contract__complain(&w->run, "required", "Must be given.");
}

static void fill_absent(struct walk *w)
{
    bool replace = w->input->mode == CONTRACT_MODE_REPLACE;
    const struct contract__program *program = w->program;
    for (unsigned word = 0; word * 64 < w->contract->fields_len; word++) {
        uint64_t absent = ~w->seen[word];
        if (replace)
            absent &= ~program->kept[word];
        for (uint64_t left = absent & program->defaulted[word]; left; left &= left - 1)
            fill_default(w, word * 64 + (unsigned)__builtin_ctzll(left));
        for (uint64_t left = absent & program->required[word]; left; left &= left - 1) {
            unsigned i = word * 64 + (unsigned)__builtin_ctzll(left);
            w->run.name = w->contract->fields[i]->name;
            contract__complain(&w->run, "required", "Must be given.");
        }
        if (!replace)
            continue;
        /* What a replacement does not say becomes null. */
        absent &= ~program->defaulted[word] & ~program->required[word];
        for (uint64_t left = absent; left; left &= left - 1) {
            unsigned i = word * 64 + (unsigned)__builtin_ctzll(left);
            if (i < w->contract->fields_len)
                w->row->present[i] = true;
        }
    }
}

enum status contract_validate(const struct contract *contract, const json_t *object,
                              const struct contract_input *input, struct arena *arena,
                              struct problem *problem, struct contract_row *ret_row,
                              struct contract_children *ret_children)
{
    struct contract_row row;
    struct contract_children children = { .len = 0 };
    enum status st = contract_row_init(contract, arena, &row);
    if (st != STATUS_OK)
        return st;
    struct walk w = {
        .run = { .arena = arena, .problem = problem, .prefix = input->pointer, .item = -1 },
        .contract = contract,
        .program = contract->program,
        .input = input,
        .row = &row,
        .children = ret_children ? &children : NULL,
    };
    if (!json_is_object(object)) {
        contract__complain(&w.run, "type", "Must be a JSON object.");
        return STATUS_INVALID;
    }
    walk_object(&w, object);
    if (input->mode != CONTRACT_MODE_PATCH)
        fill_absent(&w);
    if (w.run.exhausted)
        return STATUS_EXHAUSTED;
    if (w.run.failed)
        return STATUS_INVALID;
    *ret_row = row;
    if (ret_children)
        *ret_children = children;
    return STATUS_OK;
}
