/* What stands between contracts: columns, refs, counts and who refers to whom; then validators, and
 * defaults through them. */
#include "base/macros.h"
#include "contract/load.h"
#include "contract/validate.h"

#define DEFAULT_BYTES_MAX ((size_t)4 << 20)

static struct slice field_path(struct contract__loader *ld, const struct contract_field *field,
                               struct slice key)
{
    struct slice path = contract__path(ld, SLICE("fields"), field->name);
    return key.len ? contract__path(ld, path, key) : path;
}

/* -- columns ----------------------------------------------------------------- */

static const char *sql_type_of(enum contract_type type)
{
    switch (type) {
    case CONTRACT_INTEGER:
    case CONTRACT_BOOLEAN:
    case CONTRACT_TIME:
    case CONTRACT_COUNT:
        return "INTEGER";
    case CONTRACT_NUMBER:
        return "REAL";
    case CONTRACT_UUID:
    case CONTRACT_REF:
        return "BLOB";
    default:
        return "TEXT";
    }
}

static void add_column(struct contract__loader *ld, struct contract__draft *d,
                       struct contract_field *field, struct slice name, const char *sql_type)
{
    struct contract *c = d->contract;
    const struct yaml_node *node = d->field_nodes[field->index];
    for (unsigned i = 0; i < c->columns_len; i++) {
        if (slice_eq(c->columns[i].name, name))
            contract__fail(ld, d, node ? node->key : NULL, field_path(ld, field, SLICE_NULL),
                           SLICE_NULL, "its column `%.*s` is also one of `%.*s`", SLICE_ARG(name),
                           SLICE_ARG(c->columns[i].field->name));
    }
    if (c->columns_len == CONTRACT_COLUMNS_MAX) {
        contract__fail(ld, d, node ? node->key : NULL, field_path(ld, field, SLICE_NULL),
                       SLICE_NULL, "more than %u columns (money has two)", CONTRACT_COLUMNS_MAX);
        return;
    }
    c->columns[c->columns_len++] = (struct contract_column){
        .name = name, .sql_type = sql_type, .field = field, .not_null = !field->nullable
    };
}

static void add_columns(struct contract__loader *ld, struct contract__draft *d)
{
    struct contract *c = d->contract;
    c->columns = contract__calloc(ld, CONTRACT_COLUMNS_MAX, sizeof(*c->columns));
    for (unsigned i = 0; i < c->fields_len && c->columns; i++) {
        struct contract_field *field = c->fields[i];
        field->column = c->columns_len;
        if (field->type != CONTRACT_MONEY) {
            add_column(ld, d, field, field->name, sql_type_of(field->type));
            continue;
        }
        struct slice amount = arena_printf(ld->arena, "%.*s_amount", SLICE_ARG(field->name));
        struct slice currency = arena_printf(ld->arena, "%.*s_currency", SLICE_ARG(field->name));
        ld->exhausted |= !amount.data || !currency.data;
        add_column(ld, d, field, amount, "INTEGER");
        add_column(ld, d, field, currency, "TEXT");
    }
}

/* -- refs and counts --------------------------------------------------------- */

static struct contract *find_resource(struct contract__loader *ld, struct contract__draft *d,
                                      const struct yaml_node *node, struct slice path,
                                      struct slice name)
{
    const struct contract_set *set = &ld->owned->set;
    struct contract *found = contract_find(set, name);
    if (found)
        return found;
    d->broken = true;
    if (ld->incomplete)
        return NULL;
    struct slice names[CONTRACT_RESOURCES_MAX];
    for (unsigned i = 0; i < set->len; i++)
        names[i] = set->contracts[i]->name;
    struct slice hint = diag_suggest(ld->arena, name, names, set->len);
    contract__fail(ld, d, node, path, hint, "there is no resource `%.*s`",
                   SLICE_ARG(slice_head(name, 80)));
    return NULL;
}

static void link_ref(struct contract__loader *ld, struct contract__draft *d,
                     struct contract_field *field)
{
    const struct yaml_node *map = d->field_nodes[field->index];
    const struct yaml_node *node = yaml_get(map, SLICE("ref"));
    struct slice path = field_path(ld, field, SLICE("ref")), name;
    if (!node) {
        contract__fail(ld, d, map, path, SLICE("As in { ref: users }."),
                       "missing: which resource it refers to");
        d->broken = true;
    } else if (contract__read_text(ld, d, node, path, &name)) {
        field->ref = find_resource(ld, d, node, path, name);
    } else {
        d->broken = true;
    }
}

static void link_count(struct contract__loader *ld, struct contract__draft *d,
                       struct contract_field *field)
{
    const struct yaml_node *map = d->field_nodes[field->index];
    const struct yaml_node *node = yaml_get(map, SLICE("count"));
    struct slice path = field_path(ld, field, SLICE("count")), text;
    if (!node) {
        contract__fail(ld, d, map, path, SLICE("As in { count: comments.post }."),
                       "missing: what it counts");
        d->broken = true;
        return;
    }
    if (!contract__read_text(ld, d, node, path, &text))
        return;
    size_t point = slice_find(text, '.');
    if (point == SIZE_MAX) {
        contract__fail(ld, d, node, path, SLICE("As in { count: comments.post }."),
                       "must be RESOURCE.FIELD, the field being a ref to `%.*s`",
                       SLICE_ARG(d->contract->name));
        return;
    }
    struct contract *other = find_resource(ld, d, node, path, slice_head(text, point));
    if (!other)
        return;
    struct slice names[CONTRACT_FIELDS_MAX], name = slice_from(text, point + 1);
    size_t len = 0;
    for (unsigned i = 0; i < other->fields_len; i++) {
        struct contract_field *f = other->fields[i];
        if (f->type != CONTRACT_REF || f->ref != d->contract)
            continue;
        names[len++] = f->name;
        if (slice_eq(f->name, name)) {
            field->ref = other;
            field->ref_field = f;
            return;
        }
    }
    d->broken = true;
    if (!ld->incomplete)
        contract__fail(ld, d, node, path, diag_suggest(ld->arena, name, names, len),
                       "`%.*s` has no ref field `%.*s` to `%.*s`", SLICE_ARG(other->name),
                       SLICE_ARG(slice_head(name, 80)), SLICE_ARG(d->contract->name));
}

/* -- who refers to whom ------------------------------------------------------ */

static unsigned refs_between(const struct contract *from, const struct contract *to)
{
    unsigned n = 0;
    for (unsigned i = 0; i < from->fields_len; i++)
        n += from->fields[i]->type == CONTRACT_REF && from->fields[i]->ref == to;
    return n;
}

static bool is_taken(const struct contract *c, struct slice name)
{
    for (unsigned i = 0; i < c->fields_len; i++) {
        if (slice_eq(c->fields[i]->name, name))
            return true;
    }
    for (unsigned i = 0; i < c->referrers_len; i++) {
        if (slice_eq(c->referrers[i].name, name))
            return true;
    }
    return false;
}

static void add_referrer(struct contract__loader *ld, struct contract__draft *d,
                         struct contract_field *field, unsigned refs)
{
    struct contract *from = d->contract, *to = field->ref;
    struct slice name = from->name;
    if (refs > 1 || is_taken(to, name))
        name = arena_printf(ld->arena, "%.*s_%.*s", SLICE_ARG(from->name), SLICE_ARG(field->name));
    if (!name.data) {
        ld->exhausted = true;
        return;
    }
    if (is_taken(to, name)) {
        contract__fail(
            ld, d, d->field_nodes[field->index]->key, field_path(ld, field, SLICE_NULL), SLICE_NULL,
            "rows of `%.*s` cannot be expanded from `%.*s`: the name `%.*s` is taken there; "
            "rename the field",
            SLICE_ARG(from->name), SLICE_ARG(to->name), SLICE_ARG(name));
        return;
    }
    to->referrers[to->referrers_len++] =
        (struct contract_referrer){ .contract = from, .field = field, .name = name };
}

static void add_referrers(struct contract__loader *ld)
{
    const struct contract_set *set = &ld->owned->set;
    for (unsigned i = 0; i < set->len; i++) {
        unsigned n = 0;
        for (unsigned j = 0; j < set->len; j++)
            n += refs_between(set->contracts[j], set->contracts[i]);
        set->contracts[i]->referrers = contract__calloc(ld, n, sizeof(struct contract_referrer));
        if (!set->contracts[i]->referrers)
            return;
    }
    for (unsigned i = 0; i < ld->drafts_len; i++) {
        struct contract *c = ld->drafts[i].contract;
        for (unsigned j = 0; c && j < c->fields_len; j++) {
            struct contract_field *field = c->fields[j];
            if (field->type == CONTRACT_REF && field->ref)
                add_referrer(ld, &ld->drafts[i], field, refs_between(c, field->ref));
        }
    }
}

/* -- defaults ---------------------------------------------------------------- */

static void check_default(struct contract__loader *ld, struct contract__draft *d,
                          const struct contract_field *field)
{
    struct problem problem = { .status = STATUS_OK };
    const struct yaml_node *node = yaml_get(d->field_nodes[field->index], SLICE("default"));
    if (contract__default_set(field, d->contract, ld->arena, &problem))
        return;
    for (size_t i = 0; i < problem.fields_len; i++) {
        struct slice detail = problem.fields[i].detail;
        bool needs_quotes = field->type != CONTRACT_BOOLEAN &&
                            strcmp(problem.fields[i].code, "type") == 0 &&
                            node->kind == YAML_SCALAR && !node->quoted &&
                            json_is_string(field->default_json) == false;
        contract__fail(ld, d, node, field_path(ld, field, SLICE("default")),
                       needs_quotes && field->type != CONTRACT_INTEGER &&
                               field->type != CONTRACT_NUMBER
                           ? SLICE("Text that looks like something else is put in quotes.")
                           : SLICE_NULL,
                       "breaks the field's own rules: %.*s", SLICE_ARG(detail));
    }
    ld->exhausted |= problem.fields_len == 0;
}

static void compile(struct contract__loader *ld, struct contract__draft *d)
{
    if (!contract__lookup_build(d->contract, ld->arena) ||
        !contract__program_build(d->contract, ld->arena)) {
        ld->exhausted = true;
        return;
    }
    for (unsigned i = 0; i < d->contract->fields_len && !d->broken; i++) {
        const struct contract_field *field = d->contract->fields[i];
        if (field->default_kind == CONTRACT_DEFAULT_VALUE && field->default_json)
            check_default(ld, d, field);
    }
}

void contract__link(struct contract__loader *ld)
{
    for (unsigned i = 0; i < ld->drafts_len; i++) {
        struct contract__draft *d = &ld->drafts[i];
        for (unsigned j = 0; d->contract && j < d->contract->fields_len; j++) {
            if (d->contract->fields[j]->type == CONTRACT_REF)
                link_ref(ld, d, d->contract->fields[j]);
        }
    }
    for (unsigned i = 0; i < ld->drafts_len; i++) {
        struct contract__draft *d = &ld->drafts[i];
        for (unsigned j = 0; d->contract && j < d->contract->fields_len; j++) {
            if (d->contract->fields[j]->type == CONTRACT_COUNT)
                link_count(ld, d, d->contract->fields[j]);
        }
        if (d->contract)
            add_columns(ld, d);
    }
    if (!ld->exhausted)
        add_referrers(ld);
    for (unsigned i = 0; i < ld->drafts_len && !ld->exhausted; i++) {
        if (ld->drafts[i].contract)
            compile(ld, &ld->drafts[i]);
    }
}
