/*
 * All rows that match, streamed. The export is a walk over the list in pages: a page's statement is
 * over, and its connection and snapshot given back, before the bytes are handed to a client who may
 * take his time. Rows that come or go meanwhile are seen or not, as in any walk by cursor; none is
 * seen twice.
 */
#include "resource/resource_private.h"

#define PAGE_ROWS 500
#define PIECE_BYTES_MAX ((size_t)4 << 20)
#define EXPORT_DEADLINE_US ((int64_t)15 * 60 * 1000000)

struct export
{
    struct resource_call *call;
    struct resource_plan *plan;
    struct resource_shape shape;
    struct resource_cursor place;
    bool has_place, is_over;
    int64_t left; /* rows; INT64_MAX: all */
    unsigned rank_column;
};

static enum status choose_shape(struct export *e)
{
    const struct contract_field *hidden[RESOURCE_SORT_MAX + 1];
    unsigned hidden_len = 0;
    for (unsigned i = 0; i < e->plan->sort_len; i++)
        if (e->plan->sort[i].field)
            hidden[hidden_len++] = e->plan->sort[i].field;
    return resource__shape_init(e->plan->info->contract,
                                &(struct resource_shape_options){ .fields = e->plan->fields,
                                                                  .hidden = hidden,
                                                                  .hidden_len = hidden_len },
                                e->call->arena, &e->shape);
}

static bool put_statement(struct export *e, struct store_sql *sql, int64_t limit)
{
    store_sql_lit(sql, "SELECT ");
    store_sql_put(sql, e->shape.select);
    if (e->plan->q.data) {
        e->rank_column = e->shape.select_len;
        store_sql_lit(sql, ", ");
        resource__put_name(&sql->text,
                           contract_sql_search_table(e->plan->info->contract, sql->arena));
        store_sql_lit(sql, ".\"rank\"");
    }
    if (!resource__put_from(sql, e->call, e->plan))
        return false;
    if (e->has_place)
        resource__put_keyset(sql, e->plan, &e->place);
    resource__put_order(sql, e->plan, /* backward= */ false);
    store_sql_lit(sql, " LIMIT ");
    store_sql_value(sql, store_i64(limit));
    return true;
}

static void write_row(struct export *e, const struct store_rows *rows, struct buf *out)
{
    if (e->plan->format == RESOURCE_FORMAT_CSV) {
        resource__csv_row(&e->shape, rows, out);
        return;
    }
    resource__row_write(&e->shape, rows, out);
    buf_putc(out, '\n');
}

/* Keep the place of a row in memory that outlives the page: the caller's arena is rewound between
 * pages. */
static enum status keep_place(struct export *e, const struct store_rows *rows, struct buf *keys)
{
    buf_clear(keys);
    e->place.len = e->plan->sort_len;
    size_t starts[RESOURCE_SORT_MAX + 1];
    for (unsigned i = 0; i < e->plan->sort_len; i++) {
        const struct contract_field *field = e->plan->sort[i].field;
        unsigned column = field ? (unsigned)e->shape.column_of[field->index] : e->rank_column;
        struct store_value *key = &e->place.keys[i];
        key->kind = store_rows_kind(rows, column);
        starts[i] = keys->len;
        if (key->kind == STORE_I64)
            key->as.i64 = store_rows_i64(rows, column);
        else if (key->kind == STORE_DOUBLE)
            key->as.real = store_rows_double(rows, column);
        else if (key->kind != STORE_NULL) {
            key->as.bytes = store_rows_bytes(rows, column);
            buf_put_slice(keys, key->as.bytes);
        }
    }
    for (unsigned i = 0; i < e->plan->sort_len; i++)
        if (e->place.keys[i].kind == STORE_TEXT || e->place.keys[i].kind == STORE_BLOB)
            e->place.keys[i].as.bytes.data = keys->data + starts[i];
    e->has_place = true;
    return buf_status(keys);
}

static enum status read_page(struct export *e, struct buf *out, struct buf *keys)
{
    struct resource_call *call = e->call;
    int64_t limit = MIN(e->left, PAGE_ROWS);
    struct store_sql sql;
    store_sql_init(&sql, call->arena);
    if (!put_statement(e, &sql, limit)) {
        e->is_over = true;
        return STATUS_OK;
    }
    if (store_sql_status(&sql) != STATUS_OK)
        return store_sql_status(&sql);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_query_sql(call->task, call->engine->store, &sql, &rows);
    if (st != STATUS_OK)
        return st;
    int64_t seen = 0;
    while ((st = store_rows_next(rows)) == STATUS_OK) {
        write_row(e, rows, out);
        seen++;
        /* A page of long rows ends early. */
        bool is_last = seen == limit || out->len > PIECE_BYTES_MAX / 4;
        if (is_last) {
            st = keep_place(e, rows, keys);
            break;
        }
    }
    if (st == STATUS_NOT_FOUND) {
        e->is_over = true;
        st = STATUS_OK;
    }
    e->left -= seen;
    e->is_over |= e->left <= 0;
    return st != STATUS_OK ? st : buf_status(out);
}

static const char *content_type(const struct export *e)
{
    return e->plan->format == RESOURCE_FORMAT_CSV ? "text/csv; charset=utf-8; header=present"
                                                  : "application/x-ndjson";
}

static enum status begin(struct export *e)
{
    struct resource_call *call = e->call;
    bool csv = e->plan->format == RESOURCE_FORMAT_CSV;
    if (call->engine->on_export)
        call->engine->on_export(call->engine->on_export_arg, call->req, call->info->contract->name);
    http_header_add(call->req, SLICE("Content-Disposition"),
                    arena_printf(call->arena, "attachment; filename=\"%.*s.%s\"",
                                 SLICE_ARG(call->info->contract->name), csv ? "csv" : "ndjson"));
    return http_stream_begin(call->req, 200, content_type(e));
}

static enum status walk(struct export *e, struct buf *out, struct buf *keys)
{
    struct resource_call *call = e->call;
    /* The first page is read before the answer begins: what fails then still gets its status. */
    enum status st = read_page(e, out, keys);
    if (st == STATUS_OK)
        st = begin(e);
    while (st == STATUS_OK) {
        if (out->len > 0)
            st = http_stream_write(call->task, call->req, buf_slice(out));
        if (st != STATUS_OK || e->is_over)
            break;
        buf_clear(out);
        struct arena_mark mark = arena_mark(call->arena);
        st = read_page(e, out, keys);
        if (st == STATUS_OK) /* else the words of the problem live there */
            arena_rewind(call->arena, mark);
    }
    if (st == STATUS_OK)
        http_stream_end(call->req);
    return st;
}

enum status resource__export_plan(struct resource_call *call, struct resource_plan *plan)
{
    struct export e = { .call = call, .plan = plan, .left = plan->limit ? plan->limit : INT64_MAX };
    enum status st = choose_shape(&e);
    if (st == STATUS_OK)
        st = resource__check_order(call, plan);
    if (st != STATUS_OK)
        return st;
    int64_t deadline = loop_now_us(task_loop(call->task)) + EXPORT_DEADLINE_US;
    if (task_deadline(call->task) != 0)
        task_deadline_set(call->task, deadline);
    /* On the heap: they are grown within marks of the arena, and outlive the pages. */
    CLEANUP(buf_fini) struct buf out;
    CLEANUP(buf_fini) struct buf keys;
    buf_init(&out, NULL, 64 << 10, PIECE_BYTES_MAX);
    buf_init(&keys, NULL, 256, 64 << 10);
    if (plan->format == RESOURCE_FORMAT_CSV)
        resource__csv_header(&e.shape, &out);
    return walk(&e, &out, &keys);
}

enum status resource__export(struct resource_call *call)
{
    struct resource_plan plan;
    enum status st = resource__plan_read(call, RESOURCE_PLAN_EXPORT, &plan);
    if (st != STATUS_OK)
        return st;
    if (!plan.format_is_given) {
        const struct net_header *accept = net_header_get(http_net(call->req), NET_HEADER_ACCEPT);
        if (accept && slice_find_slice(accept->value, SLICE("text/csv")) != SIZE_MAX)
            plan.format = RESOURCE_FORMAT_CSV;
    }
    const struct contract *contract = call->info->contract;
    if (expr_decide(contract->rules[CONTRACT_READ], &call->context) == EXPR_NO)
        return resource__refuse(call, call->problem, call->arena, contract, CONTRACT_READ);
    if (plan.deleted && expr_decide(contract->rules[CONTRACT_UPDATE], &call->context) == EXPR_NO)
        return resource__refuse(call, call->problem, call->arena, contract, CONTRACT_UPDATE);
    return resource__export_plan(call, &plan);
}
