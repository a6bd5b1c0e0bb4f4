/*
 * The mapping: read whole, checked whole. Every field of it is checked against the contract it
 * feeds, so that what can be known before the first row is said before the first row.
 */
#include "cmd/import.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/yaml.h"

#define FIELD_CHOICES_MAX 1000u
#define NAMES_MAX 500u
#define PIECES_MAX 32u
#define NAME_BYTES_MAX 200u

struct parsing {
    struct slice file;
    const struct contract_set *set;
    struct arena *arena;
    struct diag *diag;
    struct slice place; /* "imports.0.fields.author", for complaints */
    unsigned problems_before;
};

#define COMPLAIN(p, node, hint, ...)                                                               \
    diag_add((p)->diag, (p)->file, (node)->line, (node)->column, (p)->place, (hint), __VA_ARGS__)

static bool failed(const struct parsing *p)
{
    return p->diag->len + p->diag->dropped > p->problems_before;
}

static struct slice place_under(struct parsing *p, struct slice name)
{
    struct slice before = p->place;
    p->place =
        before.len ? arena_printf(p->arena, "%.*s.%.*s", SLICE_ARG(before), SLICE_ARG(name)) : name;
    return before;
}

static bool expect(struct parsing *p, const struct yaml_node *node, enum yaml_kind kind)
{
    static const char *const words[] = { "a single value", "a list", "keys with values" };
    if (node->kind == kind)
        return true;
    COMPLAIN(p, node, SLICE_NULL, "must be %s", words[kind]);
    return false;
}

/* Complain of every key that is none of `allowed`. */
static void check_keys(struct parsing *p, const struct yaml_node *map, const struct slice *allowed,
                       size_t allowed_len)
{
    for (const struct yaml_node *v = map->first; v; v = v->next) {
        bool known = false;
        for (size_t i = 0; i < allowed_len && !known; i++)
            known = slice_eq(v->key->text, allowed[i]);
        if (!known)
            COMPLAIN(p, v->key, diag_suggest(p->arena, v->key->text, allowed, allowed_len),
                     "unknown key `%.*s`", SLICE_ARG(v->key->text));
    }
}

/* A scalar that is not null: its text. */
static bool read_text(struct parsing *p, const struct yaml_node *node, struct slice *ret)
{
    if (!expect(p, node, YAML_SCALAR))
        return false;
    if (yaml_is_null(node) || !node->text.len) {
        COMPLAIN(p, node, SLICE_NULL, "must not be empty");
        return false;
    }
    *ret = node->text;
    return true;
}

static json_t *read_json(struct parsing *p, const struct yaml_node *node)
{
    json_t *value = yaml_to_json(node, p->arena);
    if (!value)
        COMPLAIN(p, node, SLICE_NULL, "is too large");
    return value;
}

/* -- source fields
 * ------------------------------------------------------------------------------------------- */

static bool path_from_text(struct parsing *p, const struct yaml_node *node, struct slice text,
                           struct import_path *ret)
{
    *ret = (struct import_path){ .name = text };
    if (!text.len || text.len > NAME_BYTES_MAX) {
        COMPLAIN(p, node, SLICE_NULL, "a source field has a name of 1 to %u bytes", NAME_BYTES_MAX);
        return false;
    }
    ret->is_item = slice_eq(text, SLICE("@item"));
    ret->is_line = slice_eq(text, SLICE("@line"));
    if (text.data[0] == '@' && !ret->is_item && !ret->is_line) {
        COMPLAIN(p, node, SLICE_NULL, "`%.*s` is neither @item nor @line", SLICE_ARG(text));
        return false;
    }
    struct slice rest = text, part;
    while (slice_split(&rest, '.', &part)) {
        if (!part.len || ret->len == IMPORT_PATH_DEPTH) {
            /* A name that only looks like a path ("Ph.D."): found whole or not at all. */
            ret->len = 0;
            break;
        }
        ret->parts[ret->len++] = part;
    }
    return true;
}

static bool read_path(struct parsing *p, const struct yaml_node *node, struct import_path *ret)
{
    struct slice text;
    return read_text(p, node, &text) && path_from_text(p, node, text, ret);
}

/* One source field, or a list of them. */
static bool read_paths(struct parsing *p, const struct yaml_node *node, unsigned max,
                       struct import_path *paths, unsigned *ret_len)
{
    if (node->kind != YAML_LIST) {
        *ret_len = 1;
        return read_path(p, node, &paths[0]);
    }
    if (!node->len || node->len > max) {
        COMPLAIN(p, node, SLICE_NULL, "must name 1 to %u source fields", max);
        return false;
    }
    bool good = true;
    unsigned n = 0;
    for (const struct yaml_node *v = node->first; v; v = v->next)
        good &= read_path(p, v, &paths[n++]);
    *ret_len = n;
    return good;
}

/* -- what a field is made of
 * ----------------------------------------------------------------------------------- */

static bool add_piece(struct parsing *p, const struct yaml_node *node, struct import_field *field,
                      const struct import_piece *piece)
{
    if (field->pieces_len == PIECES_MAX) {
        COMPLAIN(p, node, SLICE_NULL, "a template has at most %u pieces", PIECES_MAX);
        return false;
    }
    if (!field->pieces)
        field->pieces = arena_array_of(p->arena, struct import_piece, PIECES_MAX);
    if (!field->pieces)
        return false;
    field->pieces[field->pieces_len++] = *piece;
    return true;
}

static void read_template(struct parsing *p, const struct yaml_node *node,
                          struct import_field *field)
{
    struct slice rest;
    if (!read_text(p, node, &rest))
        return;
    field->kind = IMPORT_TEMPLATE;
    while (rest.len) {
        size_t open = slice_find(rest, '{');
        struct import_piece text = { .text = slice_head(rest, open) };
        if (text.text.len && !add_piece(p, node, field, &text))
            return;
        if (open == SIZE_MAX)
            return;
        rest = slice_from(rest, open + 1);
        size_t close = slice_find(rest, '}');
        if (close == SIZE_MAX) {
            COMPLAIN(p, node, SLICE_NULL, "a { is never closed");
            return;
        }
        struct import_piece path = { .is_path = true };
        if (!path_from_text(p, node, slice_head(rest, close), &path.path) ||
            !add_piece(p, node, field, &path))
            return;
        rest = slice_from(rest, close + 1);
    }
}

static void read_map(struct parsing *p, const struct yaml_node *node, struct import_field *field)
{
    if (!expect(p, node, YAML_MAP))
        return;
    if (!node->len || node->len > FIELD_CHOICES_MAX) {
        COMPLAIN(p, node, SLICE_NULL, "must name 1 to %u values", FIELD_CHOICES_MAX);
        return;
    }
    field->map = arena_array_of(p->arena, struct import_choice, node->len);
    for (const struct yaml_node *v = node->first; v && field->map; v = v->next)
        field->map[field->map_len++] =
            (struct import_choice){ .from = v->key->text, .to = read_json(p, v) };
}

static void read_unit(struct parsing *p, const struct yaml_node *node, struct import_field *field)
{
    static const struct slice units[] = { SLICE_INIT("seconds"), SLICE_INIT("milliseconds"),
                                          SLICE_INIT("microseconds") };
    struct slice text;
    if (!read_text(p, node, &text))
        return;
    for (unsigned i = 0; i < ARRAY_LEN(units); i++)
        if (slice_eq(text, units[i]))
            field->unit = (enum import_unit)(i + 1);
    if (field->unit == IMPORT_UNIT_NONE)
        COMPLAIN(p, node, diag_suggest(p->arena, text, units, ARRAY_LEN(units)),
                 "must be seconds, milliseconds or microseconds");
    else if (field->field->type != CONTRACT_TIME)
        COMPLAIN(p, node, SLICE_NULL, "`unit` is for fields of type time");
}

static void read_split(struct parsing *p, const struct yaml_node *node, struct import_field *field)
{
    if (!read_text(p, node, &field->split))
        return;
    if (field->field->type != CONTRACT_LIST)
        COMPLAIN(p, node, SLICE_NULL, "`split` is for fields of type list");
    else if (field->split.len > 16)
        COMPLAIN(p, node, SLICE_NULL, "is longer than 16 bytes");
}

static void read_currency(struct parsing *p, const struct yaml_node *node,
                          struct import_field *field)
{
    if (!read_text(p, node, &field->currency))
        return;
    if (field->field->type != CONTRACT_MONEY)
        COMPLAIN(p, node, SLICE_NULL, "`currency` is for fields of type money");
}

static void read_ref(struct parsing *p, const struct yaml_node *node, struct import_field *field)
{
    struct slice name;
    if (!read_text(p, node, &name))
        return;
    const struct contract_field *target = field->field;
    if (target->type != CONTRACT_REF) {
        COMPLAIN(p, node, SLICE_NULL, "`%.*s` is of type %s, not a reference",
                 SLICE_ARG(target->name), contract_type_name(target->type));
        return;
    }
    if (!slice_eq(name, target->ref->name)) {
        COMPLAIN(p, node, SLICE_NULL, "`%.*s` refers to %.*s", SLICE_ARG(target->name),
                 SLICE_ARG(target->ref->name));
        return;
    }
    field->ref = target->ref;
}

static void read_missing(struct parsing *p, const struct yaml_node *node,
                         struct import_field *field)
{
    if (!expect(p, node, YAML_SCALAR))
        return;
    field->missing_null = yaml_is_null(node) || slice_eq(node->text, SLICE("null"));
    if (!field->missing_null && !slice_eq(node->text, SLICE("error")))
        COMPLAIN(p, node, SLICE_NULL,
                 "must be `null` (leave the reference empty) or `error` (refuse the row)");
    else if (field->missing_null && !field->field->nullable)
        COMPLAIN(p, node, SLICE_NULL,
                 "`%.*s` must have a value, so a missing row cannot become null",
                 SLICE_ARG(field->field->name));
}

static void read_trim(struct parsing *p, const struct yaml_node *node, struct import_field *field)
{
    if (!yaml_to_bool(node, &field->trim))
        COMPLAIN(p, node, SLICE_NULL, "must be true or false");
}

static void read_from(struct parsing *p, const struct yaml_node *node, struct import_field *field)
{
    field->from = arena_array_of(p->arena, struct import_path, IMPORT_PATHS_MAX);
    if (field->from)
        (void)read_paths(p, node, IMPORT_PATHS_MAX, field->from, &field->from_len);
}

static void read_constant(struct parsing *p, const struct yaml_node *node,
                          struct import_field *field)
{
    field->kind = IMPORT_CONSTANT;
    field->constant = read_json(p, node);
}

static void read_default(struct parsing *p, const struct yaml_node *node,
                         struct import_field *field)
{
    field->fallback = read_json(p, node);
}

static void read_otherwise(struct parsing *p, const struct yaml_node *node,
                           struct import_field *field)
{
    field->otherwise = read_json(p, node);
}

static const struct slice field_keys[] = {
    SLICE_INIT("from"),     SLICE_INIT("value"),     SLICE_INIT("template"), SLICE_INIT("default"),
    SLICE_INIT("map"),      SLICE_INIT("otherwise"), SLICE_INIT("split"),    SLICE_INIT("unit"),
    SLICE_INIT("currency"), SLICE_INIT("trim"),      SLICE_INIT("ref"),      SLICE_INIT("missing"),
};
static void (*const field_readers[])(struct parsing *, const struct yaml_node *,
                                     struct import_field *) = {
    read_from,  read_constant, read_template, read_default, read_map, read_otherwise,
    read_split, read_unit,     read_currency, read_trim,    read_ref, read_missing,
};

/* What does not go together. */
static void check_field(struct parsing *p, const struct yaml_node *node,
                        const struct import_field *field)
{
    bool from = yaml_get(node, SLICE("from")), value = yaml_get(node, SLICE("value")),
         template = yaml_get(node, SLICE("template"));
    if (from + value + template != 1)
        COMPLAIN(p, node, SLICE_NULL, "needs one of `from`, `value` and `template`");
    if (field->otherwise && !field->map)
        COMPLAIN(p, yaml_get(node, SLICE("otherwise")), SLICE_NULL, "`otherwise` needs `map`");
    if (yaml_get(node, SLICE("missing")) && !yaml_get(node, SLICE("ref")))
        COMPLAIN(p, yaml_get(node, SLICE("missing")), SLICE_NULL, "`missing` needs `ref`");
    if (field->from_len > 1 && !field->ref)
        COMPLAIN(
            p, yaml_get(node, SLICE("from")), SLICE_NULL,
            "several source fields make one value only in a reference (`ref`) or a `template`");
    if (field->ref && (field->map || field->split.len || field->trim || field->kind != IMPORT_FROM))
        COMPLAIN(
            p, yaml_get(node, SLICE("ref")), SLICE_NULL,
            "`ref` goes with `from`, `default` and `missing` alone: keys are compared as they are");
    if (value && node->len > 1)
        COMPLAIN(p, node, SLICE_NULL, "`value` stands alone");
}

static void read_field(struct parsing *p, const struct yaml_node *node,
                       const struct contract *contract, struct import_field *ret)
{
    *ret = (struct import_field){ .line = node->line,
                                  .field = contract_field_find(contract, node->key->text) };
    if (!ret->field) {
        struct slice *names = arena_array_of(p->arena, struct slice, contract->fields_len);
        for (unsigned i = 0; names && i < contract->fields_len; i++)
            names[i] = contract->fields[i]->name;
        COMPLAIN(p, node->key,
                 diag_suggest(p->arena, node->key->text, names, names ? contract->fields_len : 0),
                 "%.*s has no such field", SLICE_ARG(contract->name));
        return;
    }
    if (ret->field->type == CONTRACT_COUNT) {
        COMPLAIN(p, node->key, SLICE_NULL, "is counted by the database and cannot be given");
        return;
    }
    if (node->kind == YAML_SCALAR) {
        read_from(p, node, ret);
        return;
    }
    if (!expect(p, node, YAML_MAP))
        return;
    check_keys(p, node, field_keys, ARRAY_LEN(field_keys));
    for (size_t i = 0; i < ARRAY_LEN(field_keys); i++) {
        const struct yaml_node *v = yaml_get(node, field_keys[i]);
        if (v)
            field_readers[i](p, v, ret);
    }
    check_field(p, node, ret);
}

/* -- an entry
 * -----------------------------------------------------------------------------------------------------
 */

static void check_required(struct parsing *p, const struct yaml_node *node,
                           const struct import_entry *entry)
{
    for (unsigned i = 0; i < entry->contract->fields_len; i++) {
        const struct contract_field *field = entry->contract->fields[i];
        bool given = !field->required || field->system || field->type == CONTRACT_COUNT;
        for (unsigned k = 0; k < entry->fields_len && !given; k++)
            given = entry->fields[k].field == field;
        if (!given)
            COMPLAIN(p, node, SLICE_NULL, "%.*s needs `%.*s`, which nothing feeds",
                     SLICE_ARG(entry->contract->name), SLICE_ARG(field->name));
    }
}

static void read_fields(struct parsing *p, const struct yaml_node *node, struct import_entry *entry)
{
    if (!expect(p, node, YAML_MAP))
        return;
    struct slice outer = place_under(p, SLICE("fields"));
    entry->fields = arena_array_of(p->arena, struct import_field, node->len + 1);
    for (const struct yaml_node *v = node->first; v && entry->fields; v = v->next) {
        struct slice before = place_under(p, v->key->text);
        struct import_field *field = &entry->fields[entry->fields_len++];
        read_field(p, v, entry->contract, field);
        if (field->ref)
            field->ref_index = entry->refs_len++;
        p->place = before;
    }
    p->place = outer;
    check_required(p, node, entry);
}

static void read_ignore(struct parsing *p, const struct yaml_node *node, struct import_entry *entry)
{
    if (!expect(p, node, YAML_LIST))
        return;
    if (node->len > NAMES_MAX) {
        COMPLAIN(p, node, SLICE_NULL, "names more than %u fields", NAMES_MAX);
        return;
    }
    entry->ignore = arena_array_of(p->arena, struct import_path, node->len + 1);
    for (const struct yaml_node *v = node->first; v && entry->ignore; v = v->next)
        if (read_path(p, v, &entry->ignore[entry->ignore_len]))
            entry->ignore_len++;
}

static void read_filter_values(struct parsing *p, const struct yaml_node *node,
                               struct import_filter *filter)
{
    unsigned n = node->kind == YAML_LIST ? node->len : 1;
    filter->values = arena_array_of(p->arena, struct slice, n + 1);
    const struct yaml_node *v = node->kind == YAML_LIST ? node->first : node;
    for (; v && filter->values && filter->values_len < n; v = v->next)
        if (read_text(p, v, &filter->values[filter->values_len]))
            filter->values_len++;
}

static void read_only(struct parsing *p, const struct yaml_node *node, struct import_entry *entry)
{
    if (!expect(p, node, YAML_MAP))
        return;
    entry->only = arena_array_of(p->arena, struct import_filter, node->len + 1);
    for (const struct yaml_node *v = node->first; v && entry->only; v = v->next) {
        struct import_filter *filter = &entry->only[entry->only_len];
        if (v->kind == YAML_MAP) {
            COMPLAIN(p, v, SLICE_NULL, "must be a value or a list of values");
            continue;
        }
        if (!path_from_text(p, v->key, v->key->text, &filter->path))
            continue;
        read_filter_values(p, v, filter);
        entry->only_len++;
    }
}

static void read_format(struct parsing *p, const struct yaml_node *node, struct import_entry *entry)
{
    const struct yaml_node *format = yaml_get(node, SLICE("format"));
    const struct yaml_node *delimiter = yaml_get(node, SLICE("delimiter"));
    struct slice text = SLICE_NULL;
    entry->delimiter = ',';
    if (format && !read_text(p, format, &text))
        return;
    if (!format) {
        static const struct slice json_ends[] = { SLICE_INIT(".ndjson"), SLICE_INIT(".jsonl"),
                                                  SLICE_INIT(".jl") };
        bool is_json = false;
        for (unsigned i = 0; i < ARRAY_LEN(json_ends); i++)
            is_json |= slice_ends(entry->file, json_ends[i]);
        bool is_tsv = slice_ends(entry->file, SLICE(".tsv"));
        text = is_json                                            ? SLICE("ndjson")
               : is_tsv || slice_ends(entry->file, SLICE(".csv")) ? SLICE("csv")
                                                                  : SLICE_NULL;
        entry->delimiter = is_tsv ? '\t' : ',';
    }
    entry->format = slice_eq(text, SLICE("csv")) ? IMPORT_CSV : IMPORT_NDJSON;
    if (!slice_eq(text, SLICE("csv")) && !slice_eq(text, SLICE("ndjson")) && entry->file.len)
        COMPLAIN(p, format ? format : node, SLICE_NULL, "the format must be ndjson or csv%s",
                 format ? "" : " (the file's name does not say which: give `format`)");
    if (!delimiter || !read_text(p, delimiter, &text))
        return;
    entry->delimiter = text.data[0];
    if (text.len != 1 || text.data[0] == '"' || text.data[0] == '\n' || text.data[0] == '\r')
        COMPLAIN(p, delimiter, SLICE_NULL, "must be one character, no quote and no line end");
    else if (entry->format != IMPORT_CSV)
        COMPLAIN(p, delimiter, SLICE_NULL, "`delimiter` is for CSV");
}

static const struct contract *read_resource(struct parsing *p, const struct yaml_node *node)
{
    struct slice name;
    if (!read_text(p, node, &name))
        return NULL;
    const struct contract *contract = contract_find(p->set, name);
    if (contract)
        return contract;
    struct slice *names = arena_array_of(p->arena, struct slice, p->set->len + 1);
    for (unsigned i = 0; names && i < p->set->len; i++)
        names[i] = p->set->contracts[i]->name;
    COMPLAIN(p, node, diag_suggest(p->arena, name, names, names ? p->set->len : 0),
             "there is no resource `%.*s`", SLICE_ARG(name));
    return NULL;
}

/* Every name that the entry uses or ignores. */
static void collect_known(struct parsing *p, struct import_entry *entry)
{
    size_t max = entry->key_len + entry->ignore_len + entry->only_len + 1;
    for (unsigned i = 0; i < entry->fields_len; i++)
        max += entry->fields[i].from_len + entry->fields[i].pieces_len;
    entry->known = arena_array_of(p->arena, struct slice, max);
    if (!entry->known)
        return;
    for (unsigned i = 0; i < entry->key_len; i++)
        entry->known[entry->known_len++] = entry->key[i].name;
    for (unsigned i = 0; i < entry->ignore_len; i++)
        entry->known[entry->known_len++] = entry->ignore[i].name;
    for (unsigned i = 0; i < entry->only_len; i++)
        entry->known[entry->known_len++] = entry->only[i].path.name;
    for (unsigned i = 0; i < entry->fields_len; i++) {
        const struct import_field *field = &entry->fields[i];
        for (unsigned k = 0; k < field->from_len; k++)
            entry->known[entry->known_len++] = field->from[k].name;
        for (unsigned k = 0; k < field->pieces_len; k++)
            if (field->pieces[k].is_path)
                entry->known[entry->known_len++] = field->pieces[k].path.name;
    }
}

static void check_item(struct parsing *p, const struct yaml_node *node,
                       const struct import_entry *entry)
{
    bool uses_item = import_entry_knows(entry, SLICE("@item"));
    if (uses_item && !entry->each.name.len)
        COMPLAIN(p, node, SLICE_NULL, "@item needs `each`, the list whose items are meant");
    if (entry->each.name.len && entry->format == IMPORT_CSV)
        COMPLAIN(p, node, SLICE_NULL, "`each` is for JSON Lines; CSV has no lists");
    else if (entry->each.name.len && !uses_item)
        COMPLAIN(p, node, SLICE_NULL, "`each` is given, but no field uses @item");
}

static const struct slice entry_keys[] = {
    SLICE_INIT("resource"),  SLICE_INIT("file"),   SLICE_INIT("format"),
    SLICE_INIT("delimiter"), SLICE_INIT("key"),    SLICE_INIT("each"),
    SLICE_INIT("fields"),    SLICE_INIT("ignore"), SLICE_INIT("only"),
};

static void read_entry(struct parsing *p, const struct yaml_node *node, struct import_entry *entry)
{
    *entry = (struct import_entry){ .line = node->line };
    if (!expect(p, node, YAML_MAP))
        return;
    check_keys(p, node, entry_keys, ARRAY_LEN(entry_keys));
    static const struct slice needed[] = { SLICE_INIT("resource"), SLICE_INIT("file"),
                                           SLICE_INIT("key"), SLICE_INIT("fields") };
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        if (!yaml_get(node, needed[i]))
            COMPLAIN(p, node, SLICE_NULL, "`%.*s` is missing", SLICE_ARG(needed[i]));
    const struct yaml_node *v;
    if ((v = yaml_get(node, SLICE("file"))))
        (void)read_text(p, v, &entry->file);
    read_format(p, node, entry);
    if ((v = yaml_get(node, SLICE("key"))))
        (void)read_paths(p, v, IMPORT_PATHS_MAX, entry->key, &entry->key_len);
    if ((v = yaml_get(node, SLICE("each"))))
        (void)read_path(p, v, &entry->each);
    if ((v = yaml_get(node, SLICE("ignore"))))
        read_ignore(p, v, entry);
    if ((v = yaml_get(node, SLICE("only"))))
        read_only(p, v, entry);
    if ((v = yaml_get(node, SLICE("resource"))))
        entry->contract = read_resource(p, v);
    if ((v = yaml_get(node, SLICE("fields"))) && entry->contract)
        read_fields(p, v, entry);
    collect_known(p, entry);
    check_item(p, node, entry);
}

/* -- the order of entries
 * -------------------------------------------------------------------------------------------- */

/* Whether the entry refers to a resource that an entry not yet placed feeds. */
static bool must_wait(const struct import_entry *entries, unsigned len, const bool *placed,
                      unsigned i)
{
    for (unsigned f = 0; f < entries[i].fields_len; f++) {
        const struct contract *ref = entries[i].fields[f].ref;
        for (unsigned k = 0; ref && k < len; k++)
            if (k != i && !placed[k] && entries[k].contract == ref && ref != entries[i].contract)
                return true;
    }
    return false;
}

/* Rows that are referred to come first; entries that refer to each other stay as written. */
static bool sort_entries(struct parsing *p, struct import_mapping *m)
{
    bool placed[IMPORT_ENTRIES_MAX] = { false };
    struct import_entry *sorted = arena_array_of(p->arena, struct import_entry, m->len + 1);
    if (!sorted)
        return false;
    for (unsigned n = 0; n < m->len; n++) {
        unsigned next = UINT32_MAX, first = UINT32_MAX;
        for (unsigned i = 0; i < m->len && next == UINT32_MAX; i++) {
            if (placed[i])
                continue;
            first = MIN(first, i);
            if (!must_wait(m->entries, m->len, placed, i))
                next = i;
        }
        next = next == UINT32_MAX ? first : next;
        placed[next] = true;
        sorted[n] = m->entries[next];
    }
    m->entries = sorted;
    return true;
}

/* -- the whole
 * --------------------------------------------------------------------------------------------------------
 */

static void read_source(struct parsing *p, const struct yaml_node *root, struct import_mapping *m)
{
    const struct yaml_node *node = yaml_get(root, SLICE("source"));
    if (!node) {
        COMPLAIN(p, root, SLICE_NULL,
                 "`source` is missing: a name for where the data comes from, for its keys");
        return;
    }
    if (!read_text(p, node, &m->source))
        return;
    bool plain = m->source.len <= 64;
    for (size_t i = 0; i < m->source.len; i++) {
        char c = m->source.data[i];
        plain &=
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    }
    if (!plain)
        COMPLAIN(p, node, SLICE_NULL, "must be at most 64 of a-z, 0-9, _ - and .");
}

static void read_entries(struct parsing *p, const struct yaml_node *root, struct import_mapping *m)
{
    const struct yaml_node *node = yaml_get(root, SLICE("imports"));
    if (!node) {
        COMPLAIN(p, root, SLICE_NULL, "`imports` is missing: which file feeds which resource");
        return;
    }
    struct slice before = place_under(p, SLICE("imports"));
    if (!expect(p, node, YAML_LIST))
        return;
    if (!node->len || node->len > IMPORT_ENTRIES_MAX) {
        COMPLAIN(p, node, SLICE_NULL, "must have 1 to %u entries", IMPORT_ENTRIES_MAX);
        return;
    }
    m->entries = arena_array_of(p->arena, struct import_entry, node->len);
    for (const struct yaml_node *v = node->first; v && m->entries; v = v->next) {
        struct slice outer = place_under(p, arena_printf(p->arena, "%u", m->len));
        read_entry(p, v, &m->entries[m->len++]);
        p->place = outer;
    }
    p->place = before;
}

enum status import_mapping_parse(struct slice text, struct slice file,
                                 const struct contract_set *set, struct arena *arena,
                                 struct diag *diag, struct import_mapping *ret)
{
    static const struct slice keys[] = { SLICE_INIT("source"), SLICE_INIT("imports") };
    struct parsing p = { .file = file,
                         .set = set,
                         .arena = arena,
                         .diag = diag,
                         .problems_before = diag->len + diag->dropped };
    struct import_mapping mapping = { .file = file };
    struct yaml_node *root = NULL;
    enum status st = yaml_read(text, file, (struct yaml_limits){ 0 }, arena, diag, &root);
    if (st != STATUS_OK)
        return st;
    if (!expect(&p, root, YAML_MAP))
        return STATUS_INVALID;
    check_keys(&p, root, keys, ARRAY_LEN(keys));
    read_source(&p, root, &mapping);
    read_entries(&p, root, &mapping);
    if (failed(&p))
        return STATUS_INVALID;
    if (!sort_entries(&p, &mapping))
        return STATUS_EXHAUSTED;
    *ret = mapping;
    return STATUS_OK;
}

/* -- names
 * ----------------------------------------------------------------------------------------------------------------
 */

bool import_entry_knows(const struct import_entry *entry, struct slice name)
{
    for (unsigned i = 0; i < entry->known_len; i++)
        if (slice_eq(entry->known[i], name))
            return true;
    return false;
}

bool import_entry_knows_inside(const struct import_entry *entry, struct slice name)
{
    for (unsigned i = 0; i < entry->known_len; i++)
        if (entry->known[i].len > name.len + 1 && slice_starts(entry->known[i], name) &&
            entry->known[i].data[name.len] == '.')
            return true;
    return false;
}

static bool has_cell(const struct slice *cells, unsigned len, struct slice name)
{
    for (unsigned i = 0; i < len; i++)
        if (slice_eq(cells[i], name))
            return true;
    return false;
}

bool import_header_check(const struct import_entry *entry, struct slice file,
                         const struct slice *cells, unsigned cells_len, struct diag *diag)
{
    unsigned before = diag->len + diag->dropped;
    for (unsigned i = 0; i < cells_len; i++) {
        if (has_cell(cells, i, cells[i]))
            diag_add(diag, file, 1, 0, cells[i], SLICE_NULL, "the column stands there twice");
        else if (!import_entry_knows(entry, cells[i]))
            diag_add(diag, file, 1, 0, cells[i],
                     SLICE("Use it in `fields`, or list it in `ignore`."),
                     "the mapping neither uses nor ignores this column");
    }
    for (unsigned i = 0; i < entry->known_len; i++) {
        struct slice name = entry->known[i];
        if (name.data[0] != '@' && !has_cell(cells, cells_len, name))
            diag_add(diag, file, 1, 0, name, diag_suggest(diag->arena, name, cells, cells_len),
                     "there is no such column");
    }
    return diag->len + diag->dropped == before;
}
