/* What builds on fields: counts' conditions, indexes, search, rules, cache, limits, events. */
#include "base/clock.h"
#include "base/macros.h"
#include "contract/expr.h"
#include "contract/load.h"

#define INDEXES_MAX 64u
#define INDEX_FIELDS_MAX 8u
#define SEARCH_FIELDS_MAX 8u
#define TAGS_MAX 16u
#define EVENTS_MAX 16u
#define TAG_BYTES_MAX 100u
#define CACHE_TTL_MAX (30 * CLOCK_DAY)

static struct slice under(struct contract__loader *ld, const char *parent, struct slice key)
{
    return contract__path(ld, slice_cstr(parent), key);
}

/* A list, or reported; an empty one is fine. */
static bool is_list(struct contract__loader *ld, const struct contract__draft *d,
                    const struct yaml_node *node, struct slice path, unsigned max)
{
    if (node->kind != YAML_LIST) {
        contract__fail(ld, d, node, path, SLICE("As in [a, b]."), "must be a list");
        return false;
    }
    if (node->len > max) {
        contract__fail(ld, d, node, path, SLICE_NULL, "more than %u entries", max);
        return false;
    }
    return true;
}

static bool is_map(struct contract__loader *ld, const struct contract__draft *d,
                   const struct yaml_node *node, struct slice path)
{
    if (node->kind == YAML_MAP)
        return true;
    contract__fail(ld, d, node, path, SLICE_NULL, "must be a map");
    return false;
}

/* -- expressions ------------------------------------------------------------- */

static struct expr *compile(struct contract__loader *ld, struct contract__draft *d,
                            const struct yaml_node *node, struct slice path,
                            const struct contract *over, struct slice text, enum expr_use use)
{
    struct expr *expr = NULL;
    struct expr_error error = { 0 };
    /* While a type is not known, every complaint about it would be a guess. */
    for (unsigned i = 0; i < ld->drafts_len; i++) {
        if (ld->drafts[i].broken)
            return NULL;
    }
    enum status st = expr_compile(&ld->owned->set, over, text, use, ld->arena, &expr, &error);
    if (st == STATUS_OK)
        return expr;
    ld->exhausted |= st == STATUS_EXHAUSTED;
    if (st != STATUS_EXHAUSTED && !(ld->incomplete && strstr(error.reason, "resource")))
        contract__fail_at(ld, d, node, error.offset, path, slice_cstr(error.hint), "%s",
                          error.reason);
    return NULL;
}

static void read_count_where(struct contract__loader *ld, struct contract__draft *d,
                             struct contract_field *field)
{
    const struct yaml_node *node = yaml_get(d->field_nodes[field->index], SLICE("where"));
    struct slice path = contract__path(ld, under(ld, "fields", field->name), SLICE("where"));
    if (node && field->ref && contract__read_text(ld, d, node, path, &field->count_where_text))
        field->count_where =
            compile(ld, d, node, path, field->ref, field->count_where_text, EXPR_INDEX);
}

/* -- rules ------------------------------------------------------------------- */

static const struct slice action_names[CONTRACT_ACTIONS] = {
    [CONTRACT_READ] = SLICE_INIT("read"),
    [CONTRACT_CREATE] = SLICE_INIT("create"),
    [CONTRACT_UPDATE] = SLICE_INIT("update"),
    [CONTRACT_DELETE] = SLICE_INIT("delete"),
};

struct slice contract_action_name(enum contract_action action)
{
    return action_names[action];
}

static void read_rules(struct contract__loader *ld, struct contract__draft *d)
{
    const struct yaml_node *rules = yaml_get(d->root, SLICE("rules"));
    if (rules && !is_map(ld, d, rules, SLICE("rules")))
        rules = NULL;
    for (const struct yaml_node *value = rules ? rules->first : NULL; value; value = value->next) {
        unsigned i = 0;
        while (i < CONTRACT_ACTIONS && !slice_eq(value->key->text, action_names[i]))
            i++;
        if (i == CONTRACT_ACTIONS)
            contract__fail_unknown(ld, d, value->key, under(ld, "rules", value->key->text),
                                   "action", value->key->text, action_names, CONTRACT_ACTIONS);
    }
    for (unsigned i = 0; i < CONTRACT_ACTIONS; i++) {
        const struct yaml_node *node = yaml_get(rules, action_names[i]);
        struct slice path = under(ld, "rules", action_names[i]);
        d->contract->rules_text[i] = SLICE("false"); /* what is not allowed is denied */
        if (node && !contract__read_text(ld, d, node, path, &d->contract->rules_text[i]))
            continue;
        if (node)
            d->contract->rules_at[i] = contract__place_of(d, node);
        d->contract->rules[i] = compile(ld, d, node ? node : d->root, path, d->contract,
                                        d->contract->rules_text[i], EXPR_RULE);
        if (d->contract->rules[i])
            expr_permission_set(d->contract->rules[i], d->contract->name, action_names[i]);
    }
}

/* -- indexes ----------------------------------------------------------------- */

static struct contract_field *find_field(struct contract__loader *ld,
                                         const struct contract__draft *d,
                                         const struct yaml_node *node, struct slice path,
                                         struct slice name)
{
    struct contract_field *field = contract_field_find(d->contract, name);
    if (field)
        return field;
    struct slice names[CONTRACT_FIELDS_MAX];
    for (unsigned i = 0; i < d->contract->fields_len; i++)
        names[i] = d->contract->fields[i]->name;
    contract__fail(ld, d, node, path, diag_suggest(ld->arena, name, names, d->contract->fields_len),
                   "there is no field `%.*s`", SLICE_ARG(slice_head(name, 80)));
    return NULL;
}

static bool can_be_ordered(enum contract_type type)
{
    return type != CONTRACT_JSON && type != CONTRACT_LIST && type != CONTRACT_MEDIA &&
           type != CONTRACT_MONEY;
}

/* One name of an index. */
static bool read_index_field(struct contract__loader *ld, const struct contract__draft *d,
                             const struct yaml_node *node, struct slice path,
                             struct contract_index *index)
{
    struct slice name;
    if (!contract__read_text(ld, d, node, path, &name))
        return false;
    bool descending = slice_starts(name, SLICE("-"));
    struct contract_field *field = find_field(ld, d, node, path, slice_from(name, descending));
    if (!field)
        return false;
    for (unsigned i = 0; i < index->len; i++) {
        if (index->fields[i] == field) {
            contract__fail(ld, d, node, path, SLICE_NULL, "`%.*s` stands here twice",
                           SLICE_ARG(field->name));
            return false;
        }
    }
    bool contains = index->kind == CONTRACT_INDEX_CONTAINS;
    if (contains ? field->type != CONTRACT_LIST : !can_be_ordered(field->type)) {
        contract__fail(ld, d, node, path,
                       field->type == CONTRACT_LIST ? SLICE("Say { on: [...], kind: contains }.")
                                                    : SLICE_NULL,
                       "%s index cannot be on `%.*s`, which is of type %s",
                       contains ? "a contains" : "an ordered", SLICE_ARG(field->name),
                       contract_type_name(field->type));
        return false;
    }
    if (descending && (contains || index->unique)) {
        contract__fail(ld, d, node, path, SLICE_NULL,
                       "this kind of index has no order: leave the dash out");
        return false;
    }
    index->fields[index->len] = field;
    index->descending[index->len++] = descending;
    return true;
}

static bool read_index_fields(struct contract__loader *ld, const struct contract__draft *d,
                              const struct yaml_node *node, struct slice path,
                              struct contract_index *index)
{
    if (!is_list(ld, d, node, path, INDEX_FIELDS_MAX))
        return false;
    if (node->len == 0 || (index->kind == CONTRACT_INDEX_CONTAINS && node->len != 1)) {
        contract__fail(ld, d, node, path, SLICE_NULL,
                       node->len == 0 ? "names no field" : "a contains index is on one list");
        return false;
    }
    index->fields = contract__calloc(ld, node->len, sizeof(struct contract_field *));
    index->descending = contract__calloc(ld, node->len, sizeof(bool));
    if (!index->fields || !index->descending)
        return false;
    bool good = true;
    for (const struct yaml_node *item = node->first; item; item = item->next)
        good &= read_index_field(ld, d, item, path, index);
    return good;
}

static bool is_same_index(const struct contract_index *a, const struct contract_index *b)
{
    bool same = a->kind == b->kind && a->unique == b->unique && a->len == b->len &&
                slice_eq(a->where_text, b->where_text);
    for (unsigned i = 0; same && i < a->len; i++)
        same = a->fields[i] == b->fields[i] && a->descending[i] == b->descending[i];
    return same;
}

static void keep_index(struct contract__loader *ld, struct contract__draft *d,
                       const struct yaml_node *node, struct slice path,
                       const struct contract_index *index)
{
    struct contract *c = d->contract;
    for (unsigned i = 0; i < c->indexes_len; i++) {
        if (is_same_index(&c->indexes[i], index)) {
            contract__fail(ld, d, node, path, SLICE_NULL, "the same index twice");
            return;
        }
    }
    if (c->indexes_len == INDEXES_MAX) {
        contract__fail(ld, d, node, path, SLICE_NULL, "more than %u indexes", INDEXES_MAX);
        return;
    }
    struct slice field = index->fields[0]->name;
    if (index->kind == CONTRACT_INDEX_CONTAINS &&
        (slice_eq(field, SLICE("search")) || slice_starts(field, SLICE("by_")))) {
        contract__fail(ld, d, node, path, SLICE("Rename the field."),
                       "the table of this index would be called like another");
        return;
    }
    c->indexes[c->indexes_len++] = *index;
}

static void read_index_map(struct contract__loader *ld, struct contract__draft *d,
                           const struct yaml_node *node, struct slice path,
                           struct contract_index *index)
{
    static const struct slice keys[] = { SLICE_INIT("on"), SLICE_INIT("kind"), SLICE_INIT("where"),
                                         SLICE_INIT("unique") };
    static const struct slice kinds[] = { SLICE_INIT("order"), SLICE_INIT("contains") };
    for (const struct yaml_node *value = node->first; value; value = value->next) {
        unsigned i = 0;
        while (i < ARRAY_LEN(keys) && !slice_eq(keys[i], value->key->text))
            i++;
        if (i == ARRAY_LEN(keys))
            contract__fail_unknown(ld, d, value->key, path, "key", value->key->text, keys,
                                   ARRAY_LEN(keys));
    }
    const struct yaml_node *kind = yaml_get(node, SLICE("kind"));
    struct slice text;
    if (kind && contract__read_text(ld, d, kind, path, &text)) {
        if (slice_eq(text, kinds[CONTRACT_INDEX_CONTAINS]))
            index->kind = CONTRACT_INDEX_CONTAINS;
        else if (!slice_eq(text, kinds[CONTRACT_INDEX_ORDER]))
            contract__fail_unknown(ld, d, kind, path, "kind of index", text, kinds,
                                   ARRAY_LEN(kinds));
    }
    const struct yaml_node *unique = yaml_get(node, SLICE("unique"));
    if (unique)
        (void)contract__read_bool(ld, d, unique, contract__path(ld, path, SLICE("unique")),
                                  &index->unique);
    const struct yaml_node *where = yaml_get(node, SLICE("where"));
    struct slice where_path = contract__path(ld, path, SLICE("where"));
    if (where && contract__read_text(ld, d, where, where_path, &index->where_text))
        index->where =
            compile(ld, d, where, where_path, d->contract, index->where_text, EXPR_INDEX);
    if (index->kind == CONTRACT_INDEX_CONTAINS && (index->unique || where))
        contract__fail(ld, d, unique && index->unique ? unique : where, path, SLICE_NULL,
                       "a contains index is neither unique nor partial");
    const struct yaml_node *on = yaml_get(node, SLICE("on"));
    if (!on)
        contract__fail(ld, d, node, path, SLICE("As in { on: [tags], kind: contains }."),
                       "missing: `on`, the fields");
    else if (read_index_fields(ld, d, on, path, index))
        keep_index(ld, d, node, path, index);
}

static void read_index(struct contract__loader *ld, struct contract__draft *d,
                       const struct yaml_node *node, struct slice path, bool unique)
{
    struct contract_index index = { .unique = unique, .where_text = SLICE("") };
    if (node->kind == YAML_MAP && !unique)
        read_index_map(ld, d, node, path, &index);
    else if (read_index_fields(ld, d, node, path, &index))
        keep_index(ld, d, node, path, &index);
}

static void read_indexes(struct contract__loader *ld, struct contract__draft *d)
{
    d->contract->indexes = contract__calloc(ld, INDEXES_MAX, sizeof(struct contract_index));
    if (!d->contract->indexes)
        return;
    static const struct slice keys[] = { SLICE_INIT("indexes"), SLICE_INIT("unique") };
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
        const struct yaml_node *list = yaml_get(d->root, keys[i]);
        if (!list || !is_list(ld, d, list, keys[i], INDEXES_MAX))
            continue;
        unsigned n = 0;
        for (const struct yaml_node *item = list->first; item; item = item->next, n++)
            read_index(ld, d, item, arena_printf(ld->arena, "%.*s[%u]", SLICE_ARG(keys[i]), n),
                       i == 1);
    }
}

static void read_search(struct contract__loader *ld, struct contract__draft *d)
{
    struct contract *c = d->contract;
    const struct slice path = SLICE("search");
    const struct yaml_node *list = yaml_get(d->root, path);
    if (!list || !is_list(ld, d, list, path, SEARCH_FIELDS_MAX))
        return;
    c->search = contract__calloc(ld, list->len, sizeof(struct contract_field *));
    for (const struct yaml_node *item = list->first; item && c->search; item = item->next) {
        struct slice name;
        if (!contract__read_text(ld, d, item, path, &name))
            continue;
        struct contract_field *f = find_field(ld, d, item, path, name);
        unsigned i = 0;
        while (f && i < c->search_len && c->search[i] != f)
            i++;
        if (!f)
            continue;
        enum contract_type type = f->type == CONTRACT_LIST ? f->of->type : f->type;
        if (i < c->search_len)
            contract__fail(ld, d, item, path, SLICE_NULL, "`%.*s` stands here twice",
                           SLICE_ARG(name));
        else if (type != CONTRACT_STRING && type != CONTRACT_TEXT)
            contract__fail(ld, d, item, path, SLICE_NULL,
                           "only strings, texts and lists of them can be searched, not %s",
                           contract_type_name(f->type));
        else if (f->writeonly)
            contract__fail(ld, d, item, path, SLICE_NULL, "what is never shown cannot be searched");
        else if (slice_eq(name, SLICE("rank")))
            contract__fail(ld, d, item, path, SLICE_NULL,
                           "the full text index has a `rank` of its own");
        else
            c->search[c->search_len++] = f;
    }
}

/* -- cache, limits, events --------------------------------------------------- */

static void check_tag(struct contract__loader *ld, struct contract__draft *d,
                      const struct yaml_node *node, struct slice tag)
{
    const struct slice path = SLICE("cache.tags");
    struct slice rest = tag;
    size_t open;
    if (tag.len == 0 || tag.len > TAG_BYTES_MAX)
        contract__fail(ld, d, node, path, SLICE_NULL, "must have 1 to %u characters",
                       TAG_BYTES_MAX);
    while ((open = slice_find(rest, '{')) != SIZE_MAX) {
        rest = slice_from(rest, open + 1);
        size_t close = slice_find(rest, '}');
        if (close == SIZE_MAX) {
            contract__fail(ld, d, node, path, SLICE("As in \"author:{author}\"."),
                           "`{` is not closed");
            return;
        }
        const struct contract_field *f = find_field(ld, d, node, path, slice_head(rest, close));
        if (f && (f->writeonly || f->type == CONTRACT_JSON || f->type == CONTRACT_LIST ||
                  f->type == CONTRACT_MONEY || f->type == CONTRACT_MEDIA))
            contract__fail(ld, d, node, path, SLICE_NULL, "`%.*s` cannot be part of a tag",
                           SLICE_ARG(f->name));
        rest = slice_from(rest, close + 1);
    }
}

static void read_cache(struct contract__loader *ld, struct contract__draft *d)
{
    static const struct slice keys[] = { SLICE_INIT("ttl"), SLICE_INIT("tags") };
    struct contract *c = d->contract;
    const struct yaml_node *cache = yaml_get(d->root, SLICE("cache"));
    if (!cache || !is_map(ld, d, cache, SLICE("cache")))
        return;
    for (const struct yaml_node *value = cache->first; value; value = value->next) {
        if (!slice_eq(value->key->text, keys[0]) && !slice_eq(value->key->text, keys[1]))
            contract__fail_unknown(ld, d, value->key, under(ld, "cache", value->key->text), "key",
                                   value->key->text, keys, ARRAY_LEN(keys));
    }
    const struct yaml_node *ttl = yaml_get(cache, keys[0]);
    if (!ttl)
        contract__fail(ld, d, cache, SLICE("cache.ttl"), SLICE("As in 60s."),
                       "missing: how long answers are kept");
    else if (ttl->kind != YAML_SCALAR || !clock_parse_duration(ttl->text, &c->cache_ttl_us) ||
             c->cache_ttl_us == 0 || c->cache_ttl_us > CACHE_TTL_MAX)
        contract__fail(ld, d, ttl, SLICE("cache.ttl"), SLICE("As in 250ms, 60s, 5m, 2h or 7d."),
                       "must be a duration, at most 30 days");
    const struct yaml_node *tags = yaml_get(cache, keys[1]);
    if (!tags || !is_list(ld, d, tags, SLICE("cache.tags"), TAGS_MAX))
        return;
    c->cache_tags = contract__calloc(ld, tags->len, sizeof(struct slice));
    for (const struct yaml_node *item = tags->first; item && c->cache_tags; item = item->next) {
        struct slice *tag = &c->cache_tags[c->cache_tags_len];
        if (!contract__read_text(ld, d, item, SLICE("cache.tags"), tag))
            continue;
        check_tag(ld, d, item, *tag);
        c->cache_tags_len++;
    }
}

/* "30/minute/user" */
static bool parse_limit(struct slice text, struct contract_limit *ret)
{
    static const struct {
        struct slice name;
        int64_t us;
    } units[] = {
        { SLICE_INIT("second"), CLOCK_SECOND },
        { SLICE_INIT("minute"), CLOCK_MINUTE },
        { SLICE_INIT("hour"), CLOCK_HOUR },
        { SLICE_INIT("day"), CLOCK_DAY },
    };
    struct slice rest = text, number, unit, by, extra;
    int64_t count;
    if (!slice_split(&rest, '/', &number) || !slice_split(&rest, '/', &unit) ||
        !slice_split(&rest, '/', &by) || slice_split(&rest, '/', &extra) ||
        !slice_to_i64(number, &count) || count < 1 || count > 1000000000)
        return false;
    if (!slice_eq(by, SLICE("user")) && !slice_eq(by, SLICE("ip")) && !slice_eq(by, SLICE("key")))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (slice_eq(unit, units[i].name)) {
            ret->count = (uint32_t)count;
            ret->per_us = units[i].us;
            ret->by = by;
            return true;
        }
    }
    return false;
}

static void read_limits(struct contract__loader *ld, struct contract__draft *d)
{
    static const struct slice actions[] = { SLICE_INIT("list"), SLICE_INIT("read"),
                                            SLICE_INIT("create"), SLICE_INIT("update"),
                                            SLICE_INIT("delete") };
    struct contract *c = d->contract;
    const struct yaml_node *limits = yaml_get(d->root, SLICE("limits"));
    if (!limits || !is_map(ld, d, limits, SLICE("limits")))
        return;
    c->limits = contract__calloc(ld, limits->len, sizeof(struct contract_limit));
    for (const struct yaml_node *value = limits->first; value && c->limits; value = value->next) {
        struct contract_limit limit = { .action = value->key->text };
        struct slice path = under(ld, "limits", value->key->text);
        unsigned i = 0;
        while (i < ARRAY_LEN(actions) && !slice_eq(limit.action, actions[i]))
            i++;
        if (i == ARRAY_LEN(actions))
            contract__fail_unknown(ld, d, value->key, path, "action", limit.action, actions,
                                   ARRAY_LEN(actions));
        else if (value->kind != YAML_SCALAR || !parse_limit(value->text, &limit))
            contract__fail(ld, d, value, path, SLICE("As in 30/minute/user."),
                           "must be NUMBER/(second, minute, hour or day)/(user, ip or key)");
        else
            c->limits[c->limits_len++] = limit;
    }
}

static void read_events(struct contract__loader *ld, struct contract__draft *d)
{
    static const struct slice names[] = { SLICE_INIT("created"), SLICE_INIT("updated"),
                                          SLICE_INIT("deleted") };
    static const unsigned bits[] = { CONTRACT_EVENT_CREATED, CONTRACT_EVENT_UPDATED,
                                     CONTRACT_EVENT_DELETED };
    const struct slice path = SLICE("events");
    const struct yaml_node *list = yaml_get(d->root, path);
    if (!list || !is_list(ld, d, list, path, EVENTS_MAX))
        return;
    for (const struct yaml_node *item = list->first; item; item = item->next) {
        struct slice name;
        if (!contract__read_text(ld, d, item, path, &name))
            continue;
        unsigned i = 0;
        while (i < ARRAY_LEN(names) && !slice_eq(name, names[i]))
            i++;
        if (i == ARRAY_LEN(names))
            contract__fail_unknown(ld, d, item, path, "event", name, names, ARRAY_LEN(names));
        else if (d->contract->events & bits[i])
            contract__fail(ld, d, item, path, SLICE_NULL, "`%.*s` stands here twice",
                           SLICE_ARG(name));
        else
            d->contract->events |= bits[i];
    }
}

void contract__read_options(struct contract__loader *ld, struct contract__draft *d)
{
    for (unsigned i = 0; i < d->contract->fields_len; i++) {
        if (d->contract->fields[i]->type == CONTRACT_COUNT)
            read_count_where(ld, d, d->contract->fields[i]);
    }
    read_indexes(ld, d);
    read_search(ld, d);
    read_rules(ld, d);
    read_cache(ld, d);
    read_limits(ld, d);
    read_events(ld, d);
}
