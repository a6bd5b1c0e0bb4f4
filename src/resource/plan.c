/*
 * Query parameters to a plan. Everything wrong is reported at once, each with the parameter it
 * stands in; a parameter that means nothing here is refused, as a misspelt filter that is ignored
 * would show rows that nobody asked for.
 */
#include "resource/resource_private.h"

#include "base/diag.h"

#define Q_BYTES_MAX 512u
#define SORTABLE_CHARACTERS_MAX 1024 /* longer text is not sorted by: cursors carry it */
#define ENUM_BYTES_MAX 64

struct parser {
    const struct resource_plan_input *in;
    const struct contract *contract;
    struct resource_plan *plan;
    unsigned expand_nodes;
    uint32_t seen; /* bits of `parameters`, to refuse repetition */
};

static void bad(struct parser *p, struct slice name, const char *code, struct slice detail)
{
    struct problem *problem = p->in->problem;
    (void)resource__fail(problem, p->in->arena, STATUS_INVALID, 400, "query/invalid",
                         "One or more query parameters are not valid.");
    char pointer[80];
    size_t len = MIN(name.len, sizeof(pointer) - 1);
    pointer[0] = '?';
    memcpy(pointer + 1, name.data ? name.data : "", len);
    problem_field_add(problem, p->in->arena, slice_of(pointer, len + 1), code, "%.*s",
                      SLICE_ARG(detail));
}

#define BAD(p, name, code, ...) bad((p), (name), (code), arena_printf((p)->in->arena, __VA_ARGS__))

static struct slice suggest_field(struct parser *p, struct slice wrong)
{
    return diag_suggest(p->in->arena, wrong, p->in->info->field_names, p->in->info->shown.len);
}

/* A field that a client may name; NULL after reporting. */
static const struct contract_field *find_field(struct parser *p, struct slice parameter,
                                               struct slice name)
{
    const struct contract_field *field = contract_field_find(p->contract, name);
    if (field && !field->writeonly)
        return field;
    struct slice hint = suggest_field(p, name);
    BAD(p, parameter, "unknown_field", "There is no field `%.*s`.%s%.*s",
        SLICE_ARG(slice_head(name, 64)), hint.len ? " " : "", SLICE_ARG(hint));
    return NULL;
}

static void parse_limit(struct parser *p, struct slice name, struct slice value)
{
    bool is_export = (p->in->uses & RESOURCE_PLAN_EXPORT) != 0;
    int64_t max = is_export ? INT64_MAX : p->in->limit_max;
    int64_t n;
    if (!slice_to_i64(value, &n) || n < 1 || n > max) {
        if (is_export)
            BAD(p, name, "range", "`limit` is a number from 1.");
        else
            BAD(p, name, "range", "`limit` is a number from 1 to %u.", p->in->limit_max);
        return;
    }
    p->plan->limit = n;
}

static void parse_offset(struct parser *p, struct slice name, struct slice value)
{
    int64_t n;
    if (!slice_to_i64(value, &n) || n < 0 || n > RESOURCE_OFFSET_MAX) {
        BAD(p, name, "range", "`offset` is a number from 0 to %d; use `cursor` to go further.",
            RESOURCE_OFFSET_MAX);
        return;
    }
    p->plan->offset = n;
    p->plan->has_offset = true;
}

static void parse_cursor(struct parser *p, struct slice name, struct slice value)
{
    (void)name;
    p->plan->cursor = value;
    p->plan->has_cursor = true;
}

static bool is_sortable(const struct contract_field *field)
{
    switch (field->type) {
    case CONTRACT_TEXT:
    case CONTRACT_JSON:
    case CONTRACT_LIST:
    case CONTRACT_MEDIA:
        return false;
    case CONTRACT_STRING:
        return !field->has_max || field->max_i64 <= SORTABLE_CHARACTERS_MAX;
    default:
        return true;
    }
}

static void add_sort(struct parser *p, const struct contract_field *field, bool descending)
{
    p->plan->sort[p->plan->sort_len++] = (struct resource_sort){
        .field = field,
        .descending = descending,
        .nullable = !p->contract->columns[field->column].not_null && !field->system,
    };
    /* Deletion is a state, the one system field that may be missing. */
    if (field == p->in->info->deleted_at)
        p->plan->sort[p->plan->sort_len - 1].nullable = true;
}

/* The most that the field takes in a cursor: its kind, the length of text, and the value. */
static size_t cursor_bytes(const struct contract_field *field)
{
    switch (field->type) {
    case CONTRACT_STRING:
        return 3 + 4 * (size_t)field->max_i64;
    case CONTRACT_EMAIL:
    case CONTRACT_URL: /* ASCII */
        return 3 + (size_t)field->max_i64;
    case CONTRACT_ENUM:
        return 3 + ENUM_BYTES_MAX;
    default:
        return 3 + sizeof(struct uuid);
    }
}

/* A cursor that cannot be given out would end the list before its end. */
static bool fits_cursor(const struct parser *p, const struct contract_field *field)
{
    size_t bytes = cursor_bytes(field) + cursor_bytes(p->in->info->id);
    for (unsigned i = 0; i < p->plan->sort_len; i++)
        bytes += cursor_bytes(p->plan->sort[i].field);
    return bytes <= RESOURCE_CURSOR_KEYS_MAX;
}

static void parse_sort_item(struct parser *p, struct slice name, struct slice item)
{
    bool descending = slice_starts(item, SLICE("-"));
    const struct contract_field *field = find_field(p, name, slice_from(item, descending));
    if (!field)
        return;
    if (!is_sortable(field)) {
        BAD(p, name, "not_sortable", "`%.*s` is of type %s, which has no order.",
            SLICE_ARG(field->name), contract_type_name(field->type));
        return;
    }
    for (unsigned i = 0; i < p->plan->sort_len; i++)
        if (p->plan->sort[i].field == field) {
            BAD(p, name, "repeated", "`%.*s` is named twice.", SLICE_ARG(field->name));
            return;
        }
    if (p->plan->sort_len == RESOURCE_SORT_MAX) {
        BAD(p, name, "too_many", "At most %u fields to sort by.", RESOURCE_SORT_MAX);
        return;
    }
    if (!fits_cursor(p, field)) {
        BAD(p, name, "too_long", "These fields hold too much text to sort by all of them.");
        return;
    }
    add_sort(p, field, descending);
}

static void parse_sort(struct parser *p, struct slice name, struct slice value)
{
    p->plan->sort_is_given = true;
    struct slice rest = value, item;
    for (unsigned i = 0; i < 2 * RESOURCE_SORT_MAX && slice_split(&rest, ',', &item); i++)
        parse_sort_item(p, name, slice_trim(item));
}

static void parse_filter(struct parser *p, struct slice name, struct slice value)
{
    struct expr_error error = { 0 };
    enum status st = expr_compile(p->in->catalog->set, p->contract, value, EXPR_FILTER,
                                  p->in->arena, &p->plan->filter, &error);
    if (st == STATUS_OK)
        return;
    if (st == STATUS_EXHAUSTED) {
        BAD(p, name, "too_complex", "The filter is too large.");
        return;
    }
    BAD(p, name, st == STATUS_TOO_LARGE ? "too_complex" : "filter", "At character %zu: %s%s%s",
        utf8_count(slice_head(value, error.offset)) + 1, error.reason, error.hint[0] ? ". " : ".",
        error.hint);
}

static void parse_q(struct parser *p, struct slice name, struct slice value)
{
    if (p->contract->search_len == 0) {
        BAD(p, name, "not_searchable", "This resource has no full text search.");
        return;
    }
    if (value.len > Q_BYTES_MAX) {
        BAD(p, name, "too_long", "`q` has at most %u bytes.", Q_BYTES_MAX);
        return;
    }
    p->plan->q = value;
    if (resource__search_match(value, p->in->arena, &p->plan->match) != STATUS_OK)
        BAD(p, name, "empty", "`q` holds no word to look for.");
}

static void parse_fields(struct parser *p, struct slice name, struct slice value)
{
    bool *fields = arena_array_of(p->in->arena, bool, p->contract->fields_len);
    if (!fields) {
        BAD(p, name, "too_many", "Too many fields.");
        return;
    }
    struct slice rest = value, item;
    while (slice_split(&rest, ',', &item)) {
        const struct contract_field *field = find_field(p, name, slice_trim(item));
        if (!field)
            return;
        fields[field->index] = true;
    }
    p->plan->fields = fields;
}

/* -- expand
 * ------------------------------------------------------------------------------------------ */

static const struct contract_referrer *find_referrer(const struct contract *contract,
                                                     struct slice name)
{
    for (unsigned i = 0; i < contract->referrers_len; i++)
        if (slice_eq(contract->referrers[i].name, name))
            return contract->referrers[i].contract->absent ? NULL : &contract->referrers[i];
    return NULL;
}

static bool resolve_expand(const struct resource_catalog *catalog, const struct contract *contract,
                           struct resource_expand *node)
{
    const struct contract_field *field = contract_field_find(contract, node->name);
    if (field && field->type == CONTRACT_REF && !field->writeonly && !field->ref->absent) {
        node->field = field;
        node->target = resource__info_of(catalog, field->ref);
        return true;
    }
    const struct contract_referrer *referrer = find_referrer(contract, node->name);
    if (!referrer || referrer->field->writeonly)
        return false;
    node->referrer = referrer;
    node->target = resource__info_of(catalog, referrer->contract);
    return true;
}

static struct slice suggest_expand(struct parser *p, const struct contract *contract,
                                   struct slice wrong)
{
    struct slice *names =
        arena_array_of(p->in->arena, struct slice, contract->fields_len + contract->referrers_len);
    unsigned len = 0;
    if (!names)
        return SLICE_NULL;
    for (unsigned i = 0; i < contract->fields_len; i++)
        if (contract->fields[i]->type == CONTRACT_REF && !contract->fields[i]->writeonly)
            names[len++] = contract->fields[i]->name;
    for (unsigned i = 0; i < contract->referrers_len; i++)
        if (!contract->referrers[i].contract->absent)
            names[len++] = contract->referrers[i].name;
    return diag_suggest(p->in->arena, wrong, names, len);
}

/* Find or add the node `name` among *nodes; NULL after reporting. */
static struct resource_expand *add_expand(struct parser *p, struct slice parameter,
                                          const struct contract *contract, struct slice name,
                                          struct resource_expand **nodes)
{
    struct resource_expand **end = nodes;
    for (; *end; end = &(*end)->next)
        if (slice_eq((*end)->name, name))
            return *end;
    if (++p->expand_nodes > RESOURCE_EXPAND_MAX) {
        BAD(p, parameter, "too_many", "At most %u things to expand.", RESOURCE_EXPAND_MAX);
        return NULL;
    }
    struct resource_expand *node = arena_new_of(p->in->arena, struct resource_expand);
    if (!node)
        return NULL;
    node->name = name;
    if (!resolve_expand(p->in->catalog, contract, node)) {
        struct slice hint = suggest_expand(p, contract, name);
        BAD(p, parameter, "unknown_field", "`%.*s` of %.*s cannot be expanded.%s%.*s",
            SLICE_ARG(slice_head(name, 64)), SLICE_ARG(contract->name), hint.len ? " " : "",
            SLICE_ARG(hint));
        return NULL;
    }
    return *end = node;
}

static void parse_expand_path(struct parser *p, struct slice name, struct slice path)
{
    struct resource_expand **nodes = &p->plan->expand;
    const struct contract *contract = p->contract;
    struct slice part;
    for (unsigned depth = 0; slice_split(&path, '.', &part); depth++) {
        if (depth == p->in->expand_depth_max) {
            BAD(p, name, "too_deep", "`expand` goes at most %u deep.", p->in->expand_depth_max);
            return;
        }
        struct resource_expand *node = add_expand(p, name, contract, slice_trim(part), nodes);
        if (!node)
            return;
        nodes = &node->children;
        contract = node->target->contract;
    }
}

static void parse_expand(struct parser *p, struct slice name, struct slice value)
{
    struct slice rest = value, path;
    while (slice_split(&rest, ',', &path))
        parse_expand_path(p, name, slice_trim(path));
}

/* -- the small ones
 * ------------------------------------------------------------------------------------ */

static void parse_count(struct parser *p, struct slice name, struct slice value)
{
    if (slice_eq(value, SLICE("exact")))
        p->plan->count = RESOURCE_COUNT_EXACT;
    else if (slice_eq(value, SLICE("estimated")))
        p->plan->count = RESOURCE_COUNT_ESTIMATED;
    else if (!slice_eq(value, SLICE("none")))
        BAD(p, name, "enum", "`count` is `exact`, `estimated` or `none`.");
}

static void parse_deleted(struct parser *p, struct slice name, struct slice value)
{
    if (!slice_eq(value, SLICE("true")) && !slice_eq(value, SLICE("false")))
        BAD(p, name, "enum", "`deleted` is `true` or `false`.");
    else if (!p->contract->soft_delete)
        BAD(p, name, "not_kept", "This resource keeps no deleted rows.");
    else
        p->plan->deleted = slice_eq(value, SLICE("true"));
}

static void parse_format(struct parser *p, struct slice name, struct slice value)
{
    p->plan->format_is_given = true;
    if (slice_eq(value, SLICE("csv")))
        p->plan->format = RESOURCE_FORMAT_CSV;
    else if (slice_eq(value, SLICE("ndjson")))
        p->plan->format = RESOURCE_FORMAT_NDJSON;
    else
        BAD(p, name, "enum", "`format` is `csv` or `ndjson`.");
}

static const struct {
    struct slice name;
    unsigned uses;
    void (*parse)(struct parser *p, struct slice name, struct slice value);
} parameters[] = {
    { SLICE_INIT("limit"), RESOURCE_PLAN_LIST | RESOURCE_PLAN_EXPORT, parse_limit },
    { SLICE_INIT("cursor"), RESOURCE_PLAN_LIST, parse_cursor },
    { SLICE_INIT("offset"), RESOURCE_PLAN_LIST, parse_offset },
    { SLICE_INIT("sort"), RESOURCE_PLAN_LIST | RESOURCE_PLAN_EXPORT, parse_sort },
    { SLICE_INIT("filter"), RESOURCE_PLAN_LIST | RESOURCE_PLAN_EXPORT, parse_filter },
    { SLICE_INIT("q"), RESOURCE_PLAN_LIST | RESOURCE_PLAN_EXPORT, parse_q },
    { SLICE_INIT("fields"), ~0u, parse_fields },
    { SLICE_INIT("expand"), RESOURCE_PLAN_LIST | RESOURCE_PLAN_ITEM, parse_expand },
    { SLICE_INIT("count"), RESOURCE_PLAN_LIST, parse_count },
    { SLICE_INIT("deleted"), ~0u, parse_deleted },
    { SLICE_INIT("format"), RESOURCE_PLAN_EXPORT, parse_format },
};

/* -- ?field=value
 * ---------------------------------------------------------------------------------------- */

/* `"value" in tags`, in the filter's own language. */
static void parse_contains(struct parser *p, const struct contract_field *field, struct slice value)
{
    struct buf text;
    buf_init(&text, p->in->arena, value.len + field->name.len + 16, EXPR_BYTES_MAX);
    bool is_text = field->of->type != CONTRACT_INTEGER && field->of->type != CONTRACT_NUMBER &&
                   field->of->type != CONTRACT_BOOLEAN;
    if (is_text)
        json_put_string(&text, value);
    else
        buf_put_slice(&text, value);
    buf_put_lit(&text, " in ");
    buf_put_slice(&text, field->name);

    struct expr_error error = { 0 };
    if (p->plan->lists_len == ARRAY_LEN(p->plan->lists))
        BAD(p, field->name, "too_many", "At most %zu lists to look into.",
            ARRAY_LEN(p->plan->lists));
    else if (buf_status(&text) != STATUS_OK ||
             expr_compile(p->in->catalog->set, p->contract, buf_slice(&text), EXPR_FILTER,
                          p->in->arena, &p->plan->lists[p->plan->lists_len], &error) != STATUS_OK)
        BAD(p, field->name, "type", "This is no item that the list could hold.");
    else
        p->plan->lists_len++;
}

static void parse_equal(struct parser *p, const struct contract_field *field, struct slice value)
{
    switch (field->type) {
    case CONTRACT_LIST:
        parse_contains(p, field, value);
        return;
    case CONTRACT_MONEY:
    case CONTRACT_JSON:
    case CONTRACT_MEDIA:
        BAD(p, field->name, "type",
            "A field of type %s cannot be compared like this; use `filter`.",
            contract_type_name(field->type));
        return;
    default:
        break;
    }
    if (p->plan->equals_len == RESOURCE_EQUALS_MAX) {
        BAD(p, field->name, "too_many", "At most %u values to compare with.", RESOURCE_EQUALS_MAX);
        return;
    }
    struct resource_equal equal = { .field = field };
    bool is_text = field->type == CONTRACT_STRING || field->type == CONTRACT_TEXT;
    if (is_text || !slice_eq(value, SLICE("null"))) {
        const char *reason = NULL;
        if (contract_value_parse(field, value, p->in->arena, &equal.value, &reason) != STATUS_OK) {
            BAD(p, field->name, "type", "%s", reason ? reason : "This is no value of the field.");
            return;
        }
    }
    p->plan->equals[p->plan->equals_len++] = equal;
}

static void unknown_parameter(struct parser *p, struct slice name)
{
    struct slice names[ARRAY_LEN(parameters) + CONTRACT_FIELDS_MAX];
    unsigned len = 0;
    for (unsigned i = 0; i < ARRAY_LEN(parameters); i++)
        if (parameters[i].uses & p->in->uses)
            names[len++] = parameters[i].name;
    if (p->in->uses != RESOURCE_PLAN_ITEM)
        for (unsigned i = 0; i < p->in->info->shown.len; i++)
            names[len++] = p->in->info->field_names[i];
    struct slice hint = diag_suggest(p->in->arena, name, names, len);
    BAD(p, name, "unknown_parameter", "There is no parameter `%.*s` here.%s%.*s",
        SLICE_ARG(slice_head(name, 64)), hint.len ? " " : "", SLICE_ARG(hint));
}

static void parse_parameter(struct parser *p, const struct http_param *param)
{
    for (unsigned i = 0; i < ARRAY_LEN(parameters); i++) {
        if (!slice_eq(parameters[i].name, param->name) || !(parameters[i].uses & p->in->uses))
            continue;
        if (p->seen & 1u << i)
            BAD(p, param->name, "repeated", "`%.*s` is given twice.", SLICE_ARG(param->name));
        else
            parameters[i].parse(p, param->name, param->value);
        p->seen |= 1u << i;
        return;
    }
    const struct contract_field *field = contract_field_find(p->contract, param->name);
    if (!field || field->writeonly || p->in->uses == RESOURCE_PLAN_ITEM)
        unknown_parameter(p, param->name);
    else
        parse_equal(p, field, param->value);
}

/* Is the field pinned to one value, so that it may stand anywhere at the front of an index? */
static bool is_pinned(const struct resource_plan *plan, const struct contract_field *field)
{
    unsigned times = 0;
    for (unsigned i = 0; i < plan->equals_len; i++)
        times += plan->equals[i].field == field;
    return times == 1;
}

/* Is there an index that has the rows with these equal fields by the time of creation? */
static bool has_index_by_time(const struct resource_plan *plan)
{
    const struct contract *contract = plan->info->contract;
    for (unsigned i = 0; i < contract->indexes_len; i++) {
        const struct contract_index *index = &contract->indexes[i];
        if (index->kind != CONTRACT_INDEX_ORDER || index->where)
            continue;
        unsigned at = 0;
        while (at < index->len && is_pinned(plan, index->fields[at]))
            at++;
        if (at > 0 && at < index->len && index->fields[at] == plan->info->created_at)
            return true;
    }
    return false;
}

/* What nobody asked to sort: the best match first, else the newest. */
static void default_sort(struct parser *p)
{
    struct resource_plan *plan = p->plan;
    if (plan->q.data)
        plan->sort[plan->sort_len++] = (struct resource_sort){ .field = NULL };
    else if (plan->equals_len > 0 && has_index_by_time(plan))
        add_sort(p, p->in->info->created_at, /* descending= */ true);
}

/* The order always ends with the id: no two rows share a place. It goes the way of the last field,
 * as indexes do. */
static void complete_sort(struct parser *p)
{
    struct resource_plan *plan = p->plan;
    if (plan->sort_len == 0)
        default_sort(p);
    bool descending = plan->sort_len == 0 || plan->sort[plan->sort_len - 1].descending;
    for (unsigned i = 0; i < plan->sort_len; i++)
        if (plan->sort[i].field == p->in->info->id) {
            plan->sort_len = i + 1; /* what follows a unique field decides nothing */
            return;
        }
    plan->sort[plan->sort_len++] =
        (struct resource_sort){ .field = p->in->info->id, .descending = descending };
}

enum status resource__plan_parse(const struct resource_plan_input *input,
                                 const struct http_param *params, unsigned params_len,
                                 struct resource_plan *ret_plan)
{
    struct resource_plan *plan = ret_plan;
    *plan = (struct resource_plan){
        .info = input->info,
        .uses = input->uses,
        .limit = input->uses & RESOURCE_PLAN_EXPORT ? 0 : input->limit_default,
        .format =
            input->uses & RESOURCE_PLAN_EXPORT ? RESOURCE_FORMAT_NDJSON : RESOURCE_FORMAT_JSON,
    };
    struct parser parser = { .in = input, .contract = input->info->contract, .plan = plan };
    for (unsigned i = 0; i < params_len; i++)
        parse_parameter(&parser, &params[i]);
    if (plan->has_cursor && plan->has_offset)
        BAD(&parser, SLICE("offset"), "conflict", "`offset` and `cursor` exclude each other.");
    if (input->problem->status != STATUS_OK)
        return input->problem->status;
    complete_sort(&parser);
    return STATUS_OK;
}

enum status resource__plan_read(struct resource_call *call, unsigned uses,
                                struct resource_plan *ret_plan)
{
    const struct http_param *params = NULL;
    unsigned params_len = 0;
    if (http_net(call->req)->query.len > 0) {
        enum status st = http_query(call->task, call->req, &params, &params_len);
        if (st != STATUS_OK)
            return st;
    }
    const struct resource_plan_input input = {
        .catalog = call->catalog,
        .info = call->info,
        .uses = uses,
        .limit_default = call->engine->limit_default,
        .limit_max = call->engine->limit_max,
        .expand_depth_max = call->engine->expand_depth_max,
        .arena = call->arena,
        .problem = call->problem,
    };
    return resource__plan_parse(&input, params, params_len, ret_plan);
}

enum status resource__params_refuse(struct resource_call *call, const char *const *allowed,
                                    const struct http_param **ret_params, unsigned *ret_len)
{
    if (http_net(call->req)->query.len == 0) {
        *ret_len = 0;
        return STATUS_OK;
    }
    enum status st = http_query(call->task, call->req, ret_params, ret_len);
    if (st != STATUS_OK)
        return st;
    for (unsigned i = 0; i < *ret_len; i++) {
        struct slice name = (*ret_params)[i].name;
        const char *const *known = allowed;
        while (*known && !slice_eq(slice_cstr(*known), name))
            known++;
        if (*known)
            continue;
        st = resource__fail(call->problem, call->arena, STATUS_INVALID, 400, "query/invalid",
                            "One or more query parameters are not valid.");
        problem_field_add(call->problem, call->arena,
                          arena_printf(call->arena, "?%.*s", SLICE_ARG(slice_head(name, 64))),
                          "unknown_parameter", "There is no parameter `%.*s` here.",
                          SLICE_ARG(slice_head(name, 64)));
    }
    return st;
}

/* -- what the plan means to others
 * ------------------------------------------------------------------------- */

static void put_value(struct buf *b, const struct store_value *value)
{
    buf_putc(b, (char)('0' + value->kind));
    if (value->kind == STORE_I64)
        buf_put(b, &value->as.i64, 8);
    else if (value->kind == STORE_DOUBLE)
        buf_put(b, &value->as.real, 8);
    else if (value->kind != STORE_NULL) {
        uint64_t len = value->as.bytes.len;
        buf_put(b, &len, sizeof(len));
        buf_put_slice(b, value->as.bytes);
    }
}

static void put_text(struct buf *b, struct slice text)
{
    put_value(b, &(struct store_value){ .kind = STORE_TEXT, .as.bytes = text });
}

struct slice resource__plan_context(const struct resource_plan *plan,
                                    const struct task_caller *caller, struct arena *arena)
{
    struct buf b;
    buf_init(&b, arena, 256, 64 << 10);
    put_text(&b, plan->info->contract->name);
    buf_putc(&b, caller && caller->has_user ? 'u' : 'a');
    for (unsigned i = 0; caller && i < caller->roles_len; i++)
        put_text(&b, caller->roles[i]);
    for (unsigned i = 0; caller && caller->is_scoped && i < caller->scopes_len; i++)
        put_text(&b, caller->scopes[i]);
    buf_putc(&b, plan->deleted ? 'd' : 'l');
    for (unsigned i = 0; i < plan->sort_len; i++) {
        const struct contract_field *field = plan->sort[i].field;
        buf_putc(&b, plan->sort[i].descending ? '-' : '+');
        buf_putc(&b, (char)(field ? 'A' + field->type : '*'));
        put_text(&b, field ? field->name : SLICE_NULL);
    }
    for (unsigned i = 0; i < plan->equals_len; i++) {
        put_text(&b, plan->equals[i].field->name);
        put_value(&b, &plan->equals[i].value);
    }
    put_text(&b, plan->q);
    if (plan->filter)
        expr_print(plan->filter, &b);
    for (unsigned i = 0; i < plan->lists_len; i++)
        expr_print(plan->lists[i], &b);
    return buf_slice(&b);
}

static bool index_gives(const struct resource_plan *plan, const struct contract_index *index)
{
    if (index->kind != CONTRACT_INDEX_ORDER || index->where)
        return false;
    unsigned i = 0;
    while (i < index->len && is_pinned(plan, index->fields[i]))
        i++;
    bool reversed = false;
    for (unsigned s = 0; s + 1 < plan->sort_len; s++, i++) {
        if (i >= index->len || index->fields[i] != plan->sort[s].field)
            return false;
        bool differs = (index->descending && index->descending[i]) != plan->sort[s].descending;
        if (s > 0 && differs != reversed)
            return false;
        reversed = differs;
    }
    return true;
}

bool resource__sort_is_indexed(const struct resource_plan *plan)
{
    if (plan->sort_len == 1) /* by id alone */
        return true;
    const struct contract *contract = plan->info->contract;
    for (unsigned i = 0; i < contract->indexes_len; i++)
        if (index_gives(plan, &contract->indexes[i]))
            return true;
    /* Each ref has an index, each unique field too. */
    const struct contract_field *first = plan->sort[0].field;
    return plan->sort_len == 2 && first && (first->unique || first->type == CONTRACT_REF);
}
