/*
 * One row. The plain case, no parameters, is one statement whose text was prepared with the
 * contract, plus the caller's rule.
 */
#include "resource/resource_private.h"

#define HINT_MAX 65536u

enum status resource__path_id(struct resource_call *call, struct uuid *ret_id)
{
    if (!uuid_parse(http_path_param(call->req, SLICE("id")), ret_id))
        return resource__not_found(call->problem, call->arena);
    return STATUS_OK;
}

static void put_select(struct store_sql *sql, const struct resource_plan *plan,
                       const struct resource_shape *shape, const struct uuid *id)
{
    struct store_value id_value = store_blob(slice_of((const char *)id->bytes, sizeof(id->bytes)));
    if (shape == &plan->info->shown && !plan->deleted) {
        /* The text names $1; the value is put beside it by hand. */
        struct buf text = sql->text;
        store_sql_value(sql, id_value);
        sql->text.len = text.len;
        store_sql_put(sql, plan->info->select_by_id);
        return;
    }
    store_sql_lit(sql, "SELECT ");
    store_sql_put(sql, shape->select);
    store_sql_lit(sql, " FROM ");
    store_sql_put(sql, plan->info->table);
    store_sql_lit(sql, " AS t WHERE t.\"id\" = ");
    store_sql_value(sql, id_value);
    if (plan->deleted)
        store_sql_lit(sql, " AND t.\"deleted_at\" IS NOT NULL");
    else if (plan->info->deleted_at)
        store_sql_lit(sql, " AND t.\"deleted_at\" IS NULL");
}

/* With `expand`: keep the row, fetch what it refers to, write the tree. */
static enum status write_expanded(struct resource_call *call, const struct resource_plan *plan,
                                  const struct resource_shape *shape, struct store_rows **rows,
                                  struct buf *body)
{
    struct resource_rowset set = { .info = call->info, .shape = shape };
    enum status st = resource__rowset_add(&set, *rows, shape->select_len, call->arena);
    store_rows_close(*rows);
    *rows = NULL;
    if (st == STATUS_OK)
        st = resource__rowset_expand(call, &set, plan->expand);
    if (st == STATUS_OK)
        resource__rowset_write(&set, 0, body);
    return st;
}

static enum status choose_shape(struct resource_call *call, const struct resource_plan *plan,
                                struct resource_shape *custom, const struct resource_shape **ret)
{
    *ret = &call->info->shown;
    if (!plan->fields)
        return STATUS_OK;
    for (const struct resource_expand *node = plan->expand; node; node = node->next)
        if (node->field)
            plan->fields[node->field->index] = true;
    *ret = custom;
    return resource__shape_init(call->info->contract,
                                &(struct resource_shape_options){ .fields = plan->fields },
                                call->arena, custom);
}

enum status resource__read(struct resource_call *call)
{
    struct uuid id;
    enum status st = resource__path_id(call, &id);
    struct resource_plan plan;
    if (st == STATUS_OK)
        st = resource__plan_read(call, RESOURCE_PLAN_ITEM, &plan);
    struct resource_shape custom;
    const struct resource_shape *shape = NULL;
    if (st == STATUS_OK)
        st = choose_shape(call, &plan, &custom, &shape);
    if (st != STATUS_OK)
        return st;

    const struct contract *contract = call->info->contract;
    struct store_sql sql;
    store_sql_init(&sql, call->arena);
    put_select(&sql, &plan, shape, &id);
    if (!resource__put_rule(&sql, call, contract, CONTRACT_READ, SLICE("t")) ||
        (plan.deleted && !resource__put_rule(&sql, call, contract, CONTRACT_UPDATE, SLICE("t")))) {
        if (resource__is_anonymous(call))
            return resource__refuse(call, call->problem, call->arena, contract, CONTRACT_READ);
        return resource__not_found(call->problem, call->arena);
    }
    if (store_sql_status(&sql) != STATUS_OK)
        return store_sql_status(&sql);

    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    st = store_one(call->task, call->engine->store, buf_slice(&sql.text), sql.values,
                   sql.values_len, &rows);
    if (st == STATUS_NOT_FOUND)
        return resource__not_found(call->problem, call->arena);
    if (st != STATUS_OK)
        return st;

    int64_t version = store_rows_i64(rows, shape->version_column);
    atomic_uint *hint = (atomic_uint *)(uintptr_t)&call->info->item_bytes;
    struct buf body;
    buf_init(&body, call->arena, atomic_load_explicit(hint, memory_order_relaxed),
             RESOURCE_ANSWER_MAX);
    if (plan.expand) {
        st = write_expanded(call, &plan, shape, &rows, &body);
        if (st != STATUS_OK)
            return st;
    } else {
        resource__row_write(shape, rows, &body);
        store_rows_close(rows);
        rows = NULL;
    }
    if (buf_status(&body) != STATUS_OK)
        return buf_status(&body);
    unsigned bytes = (unsigned)MIN(body.len + body.len / 8 + 64, HINT_MAX);
    if (bytes > atomic_load_explicit(hint, memory_order_relaxed))
        atomic_store_explicit(hint, bytes, memory_order_relaxed);
    resource__send_item(call, 200, version, buf_slice(&body), SLICE_NULL);
    return STATUS_OK;
}
