/*
 * What can be prepared from a contract before any request: the text of column lists and statements,
 * JSON keys, names. Built once for a set of contracts, read by all loops.
 */
#include "resource/resource_private.h"

#include <stdlib.h>

void resource__put_name(struct buf *out, struct slice identifier)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < identifier.len; i++) {
        if (identifier.data[i] == '"')
            buf_putc(out, '"');
        buf_putc(out, identifier.data[i]);
    }
    buf_putc(out, '"');
}

static struct slice make_key(struct slice name, bool first, struct arena *arena)
{
    struct buf b;
    buf_init(&b, arena, name.len + 8, 4096);
    buf_putc(&b, first ? '{' : ',');
    json_put_string(&b, name);
    buf_putc(&b, ':');
    return buf_slice(&b);
}

static void select_field(struct resource_shape *shape, const struct contract *contract,
                         const struct contract_field *field, struct buf *select)
{
    if (shape->column_of[field->index] >= 0)
        return;
    shape->column_of[field->index] = (int16_t)shape->select_len;
    for (unsigned i = 0; i < field->columns_len; i++) {
        if (select->len)
            buf_put_lit(select, ", ");
        buf_put_lit(select, "t.");
        resource__put_name(select, contract->columns[field->column + i].name);
        shape->select_len++;
    }
}

static const struct contract_field *version_field(const struct contract *contract)
{
    return contract_field_find(contract, SLICE("version"));
}

enum status resource__shape_init(const struct contract *contract,
                                 const struct resource_shape_options *options, struct arena *arena,
                                 struct resource_shape *ret_shape)
{
    struct resource_shape shape = {
        .fields = arena_alloc(arena, contract->fields_len * sizeof(*shape.fields)),
        .keys = arena_alloc(arena, contract->fields_len * sizeof(*shape.keys)),
        .columns = arena_alloc(arena, contract->fields_len * sizeof(*shape.columns)),
        .column_of = arena_alloc(arena, contract->fields_len * sizeof(*shape.column_of)),
    };
    if (!shape.fields || !shape.keys || !shape.columns || !shape.column_of)
        return STATUS_EXHAUSTED;
    for (unsigned i = 0; i < contract->fields_len; i++)
        shape.column_of[i] = -1;

    struct buf select;
    buf_init(&select, arena, 512, 64 << 10);
    for (unsigned i = 0; i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        if ((field->writeonly && !options->writeonly) || (options->fields && !options->fields[i]))
            continue;
        select_field(&shape, contract, field, &select);
        shape.fields[shape.len] = field;
        shape.keys[shape.len] = make_key(field->name, shape.len == 0, arena);
        shape.columns[shape.len++] = (uint16_t)shape.column_of[i];
    }
    select_field(&shape, contract, contract_id_field(contract), &select);
    select_field(&shape, contract, version_field(contract), &select);
    for (unsigned i = 0; i < options->hidden_len; i++)
        select_field(&shape, contract, options->hidden[i], &select);

    shape.id_column = (unsigned)shape.column_of[contract_id_field(contract)->index];
    shape.version_column = (unsigned)shape.column_of[version_field(contract)->index];
    shape.select = buf_slice(&select);
    if (buf_status(&select) != STATUS_OK)
        return buf_status(&select);
    *ret_shape = shape;
    return STATUS_OK;
}

static struct slice make_select_by_id(const struct resource_info *info, struct arena *arena)
{
    struct buf b;
    buf_init(&b, arena, 1024, 64 << 10);
    buf_put_lit(&b, "SELECT ");
    buf_put_slice(&b, info->shown.select);
    buf_put_lit(&b, " FROM ");
    buf_put_slice(&b, info->table);
    buf_put_lit(&b, " AS t WHERE t.\"id\" = $1");
    if (info->deleted_at)
        buf_put_lit(&b, " AND t.\"deleted_at\" IS NULL");
    return buf_slice(&b);
}

/* Counts have a default and are kept by triggers. */
static bool is_inserted(const struct contract_field *field)
{
    return field->type != CONTRACT_COUNT;
}

static struct slice make_insert(struct resource_info *info, struct arena *arena)
{
    const struct contract *contract = info->contract;
    struct buf b;
    buf_init(&b, arena, 1024, 64 << 10);
    buf_put_lit(&b, "INSERT INTO ");
    buf_put_slice(&b, info->table);
    buf_put_lit(&b, " (");
    for (unsigned i = 0; i < contract->columns_len; i++) {
        if (!is_inserted(contract->columns[i].field))
            continue;
        if (info->insert_len)
            buf_put_lit(&b, ", ");
        resource__put_name(&b, contract->columns[i].name);
        info->insert_columns[info->insert_len++] = (uint16_t)i;
    }
    buf_put_lit(&b, ") VALUES (");
    for (unsigned i = 0; i < info->insert_len; i++)
        buf_printf(&b, i ? ", $%u" : "$%u", i + 1);
    buf_putc(&b, ')');
    return buf_slice(&b);
}

static void name_fields(struct resource_info *info)
{
    const struct contract *contract = info->contract;
    info->id = contract_id_field(contract);
    info->created_at = contract_field_find(contract, SLICE("created_at"));
    info->updated_at = contract_field_find(contract, SLICE("updated_at"));
    info->version = version_field(contract);
    info->deleted_at =
        contract->soft_delete ? contract_field_find(contract, SLICE("deleted_at")) : NULL;
}

enum status resource__info_begin(struct resource_info *info, struct arena *arena)
{
    name_fields(info);
    struct buf table;
    buf_init(&table, arena, info->contract->name.len + 4, 4096);
    resource__put_name(&table, info->contract->name);
    info->table = buf_slice(&table);
    info->insert_columns = arena_array_of(arena, uint16_t, info->contract->columns_len);
    if (!info->insert_columns)
        return STATUS_EXHAUSTED;
    info->insert = make_insert(info, arena);
    return buf_status(&table);
}

static enum status info_init(struct resource_info *info, struct http_app *app, struct arena *arena)
{
    const struct contract *contract = info->contract;
    enum status st = resource__info_begin(info, arena);
    if (st != STATUS_OK)
        return st;
    info->path = arena_printf(arena, "%.*s%.*s", SLICE_ARG(info->catalog->prefix),
                              SLICE_ARG(contract->name));
    info->item_label = arena_printf(arena, "%.*s/{id}", SLICE_ARG(info->path));
    info->restore_label = arena_printf(arena, "%.*s/{id}/restore", SLICE_ARG(info->path));
    info->export_label = arena_printf(arena, "%.*s/export", SLICE_ARG(info->path));
    info->field_names = arena_array_of(arena, struct slice, contract->fields_len);
    if (!info->field_names)
        return STATUS_EXHAUSTED;
    st = resource__shape_init(contract, &(struct resource_shape_options){ 0 }, arena, &info->shown);
    if (st == STATUS_OK)
        st = resource__shape_init(contract, &(struct resource_shape_options){ .writeonly = true },
                                  arena, &info->stored);
    if (st != STATUS_OK)
        return st;
    for (unsigned i = 0; i < info->shown.len; i++)
        info->field_names[i] = info->shown.fields[i]->name;
    info->select_by_id = make_select_by_id(info, arena);
    atomic_init(&info->item_bytes, 1024);
    atomic_init(&info->list_bytes, 8192);
    return resource__limits_init(info, app, arena);
}

/* Of one version. */
static enum status catalog_make(struct contract_set *set, struct http_app *app,
                                struct resource_catalog **ret_catalog)
{
    struct arena *arena = arena_new(NULL, 0);
    struct resource_catalog *catalog = arena_new_of(arena, struct resource_catalog);
    catalog->arena = arena;
    catalog->set = set;
    catalog->prefix = arena_printf(arena, "/api/%.*s/", SLICE_ARG(set->version));
    catalog->infos = arena_array_of(arena, struct resource_info, MAX(set->len, 1u));
    for (unsigned i = 0; i < set->len; i++) {
        struct resource_info *info = &catalog->infos[set->contracts[i]->index];
        info->contract = set->contracts[i];
        info->catalog = catalog;
        enum status st = info_init(info, app, arena);
        if (st != STATUS_OK) {
            arena_free(arena);
            return st;
        }
    }
    *ret_catalog = catalog;
    return STATUS_OK;
}

/* The sets are not the catalogs' yet, or not any more. */
void resource__catalogs_drop(struct resource_catalog *catalog)
{
    while (catalog) {
        struct resource_catalog *older = catalog->older;
        arena_free(catalog->arena);
        catalog = older;
    }
}

enum status resource__catalog_new(struct contract_set *set, struct http_app *app,
                                  struct resource_catalog **ret_catalog)
{
    struct resource_catalog *newest = NULL, **end = &newest;
    for (; set; set = set->older) {
        enum status st = catalog_make(set, app, end);
        if (st != STATUS_OK) {
            resource__catalogs_drop(newest);
            return st;
        }
        end = &(*end)->older;
    }
    *ret_catalog = newest;
    return STATUS_OK;
}

void resource__catalog_free(struct resource_catalog *catalog)
{
    if (!catalog)
        return;
    contract_set_free(catalog->set); /* and the older ones */
    resource__catalogs_drop(catalog);
}

const struct resource_info *resource__info_find(const struct resource_catalog *catalog,
                                                struct slice name)
{
    const struct contract *contract = contract_find(catalog->set, name);
    return contract && !contract->absent ? &catalog->infos[contract->index] : NULL;
}
