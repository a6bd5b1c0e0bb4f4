/*
 * A list: one statement for the page, one more row than asked for telling whether there is another
 * page; a second statement only when a count is asked for or an order has no index. Rows go from
 * the statement's columns into the answer as they come; only a page walked backward, whose rows
 * come in the wrong order, and one that is expanded are put together afterwards.
 */
#include "resource/resource_private.h"

#define HINT_MAX 65536u
#define SNIPPET_TOKENS "32"

struct page {
    struct resource_call *call;
    struct resource_plan *plan;
    const struct resource_shape *shape;
    struct resource_shape custom;
    struct resource_cursor cursor;
    struct slice context; /* that cursors are bound to */
    struct buf body;
    struct resource_rowset set; /* with expand */
    size_t *starts;             /* backward: where each row begins in the body */
    struct resource_cursor first,
        last; /* places of the rows at the ends, in the order of the statement */
    unsigned rank_column;
    unsigned rows;
    bool is_full;  /* of bytes, before it was of rows */
    bool has_more; /* in the direction walked */
    int64_t total; /* -1: not asked for */
    bool total_is_exact;
};

/* Everything the shape shows, and what cursors are made of. */
static enum status choose_shape(struct page *page)
{
    struct resource_plan *plan = page->plan;
    page->shape = &page->call->info->shown;
    if (!plan->fields)
        return STATUS_OK;
    const struct contract_field *hidden[RESOURCE_SORT_MAX + 1];
    unsigned hidden_len = 0;
    for (unsigned i = 0; i < plan->sort_len; i++)
        if (plan->sort[i].field)
            hidden[hidden_len++] = plan->sort[i].field;
    for (const struct resource_expand *node = plan->expand; node; node = node->next)
        if (node->field)
            plan->fields[node->field->index] = true;
    page->shape = &page->custom;
    return resource__shape_init(plan->info->contract,
                                &(struct resource_shape_options){ .fields = plan->fields,
                                                                  .hidden = hidden,
                                                                  .hidden_len = hidden_len },
                                page->call->arena, &page->custom);
}

static enum status read_cursor(struct page *page)
{
    struct resource_call *call = page->call;
    if (!page->plan->has_cursor)
        return STATUS_OK;
    enum status st = resource__cursor_read(call->engine->cursor_key, page->context,
                                           page->plan->cursor, call->arena, &page->cursor);
    if (st == STATUS_OK && page->cursor.len == page->plan->sort_len)
        return STATUS_OK;
    if (st == STATUS_EXHAUSTED)
        return st;
    st = resource__fail(
        call->problem, call->arena, STATUS_INVALID, 400, "query/cursor",
        "The cursor is not one of this list: it was changed, or filter, sort, search "
        "or who asks differ from when it was given out.");
    problem_field_add(call->problem, call->arena, SLICE("?cursor"), "cursor",
                      "Start again without a cursor.");
    return st;
}

/* -- the statement
 * --------------------------------------------------------------------------------------- */

static void put_search_columns(struct page *page, struct store_sql *sql)
{
    const struct contract *contract = page->plan->info->contract;
    struct slice table = contract_sql_search_table(contract, sql->arena);
    page->rank_column = page->shape->select_len;
    store_sql_lit(sql, ", ");
    resource__put_name(&sql->text, table);
    store_sql_lit(sql, ".\"rank\"");
    for (unsigned i = 0; i < contract->search_len; i++) {
        store_sql_lit(sql, ", snippet(");
        resource__put_name(&sql->text, table);
        buf_printf(&sql->text, ", %u, char(2), char(3), char(8230), " SNIPPET_TOKENS ")", i);
    }
}

/* False: nothing can match. */
static bool put_statement(struct page *page, struct store_sql *sql)
{
    struct resource_plan *plan = page->plan;
    store_sql_lit(sql, "SELECT ");
    store_sql_put(sql, page->shape->select);
    if (plan->q.data)
        put_search_columns(page, sql);
    if (!resource__put_from(sql, page->call, plan))
        return false;
    if (plan->has_cursor)
        resource__put_keyset(sql, plan, &page->cursor);
    resource__put_order(sql, plan, page->cursor.backward);
    store_sql_lit(sql, " LIMIT ");
    store_sql_value(sql, store_i64(plan->limit + 1));
    if (plan->offset > 0) {
        store_sql_lit(sql, " OFFSET ");
        store_sql_value(sql, store_i64(plan->offset));
    }
    return true;
}

/* -- rows
 * ------------------------------------------------------------------------------------------------
 */

static enum status take_place(struct page *page, const struct store_rows *rows,
                              struct resource_cursor *ret_place)
{
    const struct resource_plan *plan = page->plan;
    ret_place->len = plan->sort_len;
    for (unsigned i = 0; i < plan->sort_len; i++) {
        const struct contract_field *field = plan->sort[i].field;
        unsigned column =
            field ? (unsigned)page->shape->column_of[field->index] : page->rank_column;
        enum status st = resource__rows_copy(rows, column, page->call->arena, &ret_place->keys[i]);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

static void write_search(struct page *page, const struct store_rows *rows)
{
    const struct contract *contract = page->plan->info->contract;
    struct buf *out = &page->body;
    if (buf_status(out) == STATUS_OK)
        out->len--; /* the brace */
    buf_put_lit(out, ",\"_search\":{\"score\":");
    buf_put_double(out, -store_rows_double(rows, page->rank_column));
    buf_put_lit(out, ",\"highlight\":{");
    bool first = true;
    for (unsigned i = 0; i < contract->search_len; i++) {
        struct slice snippet = store_rows_bytes(rows, page->rank_column + 1 + i);
        if (contract->search[i]->writeonly || slice_find(snippet, '\2') == SIZE_MAX)
            continue;
        if (!first)
            buf_putc(out, ',');
        first = false;
        json_put_string(out, contract->search[i]->name);
        buf_putc(out, ':');
        resource__search_highlight(snippet, out);
    }
    buf_put_lit(out, "}}}");
}

static enum status take_places(struct page *page, const struct store_rows *rows)
{
    const struct resource_plan *plan = page->plan;
    enum status st = STATUS_OK;
    if (page->rows == 0 && (plan->has_cursor || plan->offset > 0))
        st = take_place(page, rows, &page->first);
    /* A place is needed of the last row when another follows: of a full page. Backward, of the last
     * there is. */
    if (st == STATUS_OK && (page->rows + 1 == (unsigned)plan->limit || page->cursor.backward))
        st = take_place(page, rows, &page->last);
    return st;
}

static enum status take_row(struct page *page, const struct store_rows *rows)
{
    enum status st = take_places(page, rows);
    if (st != STATUS_OK)
        return st;
    page->rows++;
    if (page->plan->expand)
        return resource__rowset_add(&page->set, rows, page->shape->select_len, page->call->arena);
    if (page->starts)
        page->starts[page->rows - 1] = page->body.len;
    else if (page->rows > 1)
        buf_putc(&page->body, ',');
    resource__row_write(page->shape, rows, &page->body);
    if (page->plan->q.data)
        write_search(page, rows);
    if (page->body.len > RESOURCE_PAGE_BYTES && !page->is_full) {
        page->is_full = true;
        st = take_place(page, rows, &page->last);
    }
    return st == STATUS_OK ? buf_status(&page->body) : st;
}

static enum status run_statement(struct page *page)
{
    struct resource_call *call = page->call;
    struct store_sql sql;
    store_sql_init(&sql, call->arena);
    if (!put_statement(page, &sql))
        return STATUS_OK;
    if (store_sql_status(&sql) != STATUS_OK)
        return store_sql_status(&sql);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_query_sql(call->task, call->engine->store, &sql, &rows);
    if (st != STATUS_OK)
        return st;
    while ((st = store_rows_next(rows)) == STATUS_OK) {
        if (page->is_full || page->rows == (unsigned)page->plan->limit) {
            page->has_more = true;
            return STATUS_OK;
        }
        st = take_row(page, rows);
        if (st != STATUS_OK)
            return st;
    }
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* Rows that came in the order of the statement, in the order of the list. */
static void turn_round(struct page *page, size_t begin)
{
    struct buf *body = &page->body;
    if (!page->starts || buf_status(body) != STATUS_OK)
        return;
    struct buf turned;
    buf_init(&turned, page->call->arena, body->len + page->rows, RESOURCE_ANSWER_MAX);
    buf_put(&turned, body->data, begin);
    size_t end = body->len;
    for (unsigned i = page->rows; i-- > 0;) {
        buf_put(&turned, body->data + page->starts[i], end - page->starts[i]);
        end = page->starts[i];
        if (i > 0)
            buf_putc(&turned, ',');
    }
    *body = turned;
}

static enum status write_expanded(struct page *page)
{
    enum status st = resource__rowset_expand(page->call, &page->set, page->plan->expand);
    if (st != STATUS_OK)
        return st;
    for (unsigned i = 0; i < page->set.len; i++) {
        if (i)
            buf_putc(&page->body, ',');
        unsigned at = page->cursor.backward ? page->set.len - 1 - i : i;
        resource__rowset_write(&page->set, at, &page->body);
    }
    return STATUS_OK;
}

static enum status write_rows(struct page *page)
{
    struct resource_call *call = page->call;
    buf_put_lit(&page->body, "{\"data\":[");
    size_t begin = page->body.len;
    if (page->cursor.backward && !page->plan->expand) {
        page->starts = arena_array_of(call->arena, size_t, (size_t)page->plan->limit);
        if (!page->starts)
            return STATUS_EXHAUSTED;
    }
    page->set = (struct resource_rowset){ .info = call->info, .shape = page->shape };
    enum status st = run_statement(page);
    if (st == STATUS_OK && page->plan->expand)
        st = write_expanded(page);
    if (st == STATUS_OK)
        turn_round(page, begin);
    return st;
}

/* -- counting
 * -------------------------------------------------------------------------------------------- */

static enum status count_up_to(struct resource_call *call, const struct resource_plan *plan,
                               int64_t max, int64_t *ret_count)
{
    struct store_sql sql;
    store_sql_init(&sql, call->arena);
    store_sql_lit(&sql, "SELECT count(*)");
    if (max)
        store_sql_lit(&sql, " FROM (SELECT 1");
    if (!resource__put_from(&sql, call, plan)) {
        *ret_count = 0;
        return STATUS_OK;
    }
    if (max) {
        store_sql_lit(&sql, " LIMIT ");
        store_sql_value(&sql, store_i64(max));
        store_sql_lit(&sql, ")");
    }
    if (store_sql_status(&sql) != STATUS_OK)
        return store_sql_status(&sql);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(call->task, call->engine->store, buf_slice(&sql.text), sql.values,
                               sql.values_len, &rows);
    if (st == STATUS_OK)
        *ret_count = store_rows_i64(rows, 0);
    return st;
}

static enum status count_rows(struct page *page)
{
    page->total = -1;
    page->total_is_exact = true;
    switch (page->plan->count) {
    case RESOURCE_COUNT_NONE:
        return STATUS_OK;
    case RESOURCE_COUNT_EXACT:
        return count_up_to(page->call, page->plan, 0, &page->total);
    case RESOURCE_COUNT_ESTIMATED:
        break;
    }
    /* Only what the caller may read is counted, so that no estimate tells of the rest. */
    enum status st = count_up_to(page->call, page->plan, RESOURCE_COUNT_MAX + 1, &page->total);
    if (st == STATUS_OK && page->total > RESOURCE_COUNT_MAX) {
        page->total = RESOURCE_COUNT_MAX;
        page->total_is_exact = false;
    }
    return st;
}

/* Without an index all matching rows are read and sorted for each page. */
enum status resource__check_order(struct resource_call *call, const struct resource_plan *plan)
{
    if (!plan->sort_is_given || resource__sort_is_indexed(plan))
        return STATUS_OK;
    int64_t count = 0;
    enum status st = count_up_to(call, plan, RESOURCE_SORT_ROWS_MAX + 1, &count);
    if (st != STATUS_OK || count <= RESOURCE_SORT_ROWS_MAX)
        return st;
    st = resource__fail(call->problem, call->arena, STATUS_INVALID, 400, "query/unindexed-sort",
                        "More than %d rows match, and no index has them in this order.",
                        RESOURCE_SORT_ROWS_MAX);
    problem_field_add(
        call->problem, call->arena, SLICE("?sort"), "not_indexed",
        "Narrow the list down, or sort by fields that an index of the contract holds.");
    return st;
}

/* -- the end of the answer
 * ---------------------------------------------------------------------------------- */

static struct slice cursor_text(struct page *page, const struct resource_cursor *place,
                                bool backward)
{
    struct resource_cursor cursor = *place;
    cursor.backward = backward;
    struct buf b;
    buf_init(&b, page->call->arena, 128, 8192);
    resource__cursor_write(page->call->engine->cursor_key, page->context, &cursor, &b);
    if (buf_status(&b) == STATUS_OK)
        return buf_slice(&b);
    /* An answer without its cursor would say that the list ends here. */
    page->body.status = buf_status(&b);
    return SLICE_NULL;
}

/* </api/v1/posts?limit=20&cursor=...>; rel="next": the parameters as they were sent, but for the
 * place. */
static void put_link(struct page *page, struct buf *out, struct slice cursor, const char *rel)
{
    if (!cursor.len)
        return;
    if (out->len)
        buf_put_lit(out, ", ");
    buf_putc(out, '<');
    buf_put_slice(out, page->call->info->path);
    buf_putc(out, '?');
    struct slice rest = http_net(page->call->req)->query, part;
    while (rest.data && slice_split(&rest, '&', &part)) {
        if (part.len == 0 || slice_starts(part, SLICE("cursor=")) ||
            slice_starts(part, SLICE("offset=")))
            continue;
        for (size_t i = 0; i < part.len; i++) {
            unsigned char c = (unsigned char)part.data[i];
            /* What would end the link or the header; the rest was let through by the parser as it
             * is. */
            if (c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '"')
                buf_printf(out, "%%%02X", c);
            else
                buf_putc(out, (char)c);
        }
        buf_putc(out, '&');
    }
    buf_put_lit(out, "cursor=");
    buf_put_slice(out, cursor);
    buf_put_lit(out, ">; rel=\"");
    buf_put_cstr(out, rel);
    buf_putc(out, '"');
}

static void put_text_or_null(struct buf *out, struct slice text)
{
    if (!text.len) {
        buf_put_lit(out, "null");
        return;
    }
    buf_putc(out, '"'); /* base64url needs no escapes */
    buf_put_slice(out, text);
    buf_putc(out, '"');
}

static void write_end(struct page *page)
{
    const struct resource_plan *plan = page->plan;
    struct slice next = SLICE_NULL, prev = SLICE_NULL;
    if (page->cursor.backward) {
        if (page->rows > 0)
            next = cursor_text(page, &page->first, /* backward= */ false);
        if (page->has_more)
            prev = cursor_text(page, &page->last, /* backward= */ true);
    } else {
        if (page->has_more)
            next = cursor_text(page, &page->last, /* backward= */ false);
        if ((plan->has_cursor || plan->offset > 0) && page->rows > 0)
            prev = cursor_text(page, &page->first, /* backward= */ true);
    }
    struct buf *out = &page->body;
    buf_put_lit(out, "],\"page\":{\"limit\":");
    buf_put_i64(out, plan->limit);
    buf_put_lit(out, ",\"next\":");
    put_text_or_null(out, next);
    buf_put_lit(out, ",\"prev\":");
    put_text_or_null(out, prev);
    buf_put_lit(out, ",\"has_more\":");
    buf_put_cstr(out, next.len ? "true" : "false");
    if (page->total >= 0) {
        buf_put_lit(out, ",\"total\":");
        buf_put_i64(out, page->total);
        buf_put_cstr(out, page->total_is_exact ? ",\"total_is\":\"exact\""
                                               : ",\"total_is\":\"at_least\"");
    }
    buf_put_lit(out, "}}");
    if (!next.len && !prev.len)
        return;
    struct buf link;
    buf_init(&link, page->call->arena, 512, 32 << 10);
    put_link(page, &link, next, "next");
    put_link(page, &link, prev, "prev");
    if (buf_status(&link) == STATUS_OK)
        http_header_add(page->call->req, SLICE("Link"), buf_slice(&link));
}

static enum status answer_json(struct page *page)
{
    struct resource_call *call = page->call;
    enum status st = choose_shape(page);
    if (st != STATUS_OK)
        return st;
    page->context = resource__plan_context(page->plan, call->context.caller, call->arena);
    st = read_cursor(page);
    if (st == STATUS_OK)
        st = resource__check_order(call, page->plan);
    if (st != STATUS_OK)
        return st;

    atomic_uint *hint = (atomic_uint *)(uintptr_t)&call->info->list_bytes;
    unsigned reserve = atomic_load_explicit(hint, memory_order_relaxed);
    buf_init(&page->body, call->arena, reserve, RESOURCE_ANSWER_MAX);
    st = write_rows(page);
    if (st == STATUS_OK)
        st = count_rows(page);
    if (st != STATUS_OK)
        return st;
    write_end(page);
    if (buf_status(&page->body) != STATUS_OK)
        return buf_status(&page->body);
    unsigned bytes = (unsigned)MIN(page->body.len + page->body.len / 8 + 512, HINT_MAX);
    if (bytes > reserve)
        atomic_store_explicit(hint, bytes, memory_order_relaxed);
    http_header_add(call->req, SLICE("Vary"), SLICE("Accept")); /* the same path exports */
    http_send_json(call->req, 200, buf_slice(&page->body));
    return STATUS_OK;
}

/* Accept: text/csv or application/x-ndjson, and JSON not among them: an export. */
static enum resource_format accepted_format(const struct resource_call *call)
{
    const struct net_header *accept = net_header_get(http_net(call->req), NET_HEADER_ACCEPT);
    if (!accept || slice_find_slice(accept->value, SLICE("json")) == SIZE_MAX) {
        if (accept && slice_find_slice(accept->value, SLICE("text/csv")) != SIZE_MAX)
            return RESOURCE_FORMAT_CSV;
        return RESOURCE_FORMAT_JSON;
    }
    bool ndjson = slice_find_slice(accept->value, SLICE("application/x-ndjson")) != SIZE_MAX;
    bool json = slice_find_slice(accept->value, SLICE("application/json")) != SIZE_MAX;
    return ndjson && !json ? RESOURCE_FORMAT_NDJSON : RESOURCE_FORMAT_JSON;
}

enum status resource__list(struct resource_call *call)
{
    struct resource_plan plan;
    enum resource_format format = accepted_format(call);
    enum status st = resource__plan_read(
        call, format == RESOURCE_FORMAT_JSON ? RESOURCE_PLAN_LIST : RESOURCE_PLAN_EXPORT, &plan);
    if (st != STATUS_OK)
        return st;
    const struct contract *contract = call->info->contract;
    if (expr_decide(contract->rules[CONTRACT_READ], &call->context) == EXPR_NO)
        return resource__refuse(call, call->problem, call->arena, contract, CONTRACT_READ);
    if (plan.deleted && expr_decide(contract->rules[CONTRACT_UPDATE], &call->context) == EXPR_NO)
        return resource__refuse(call, call->problem, call->arena, contract, CONTRACT_UPDATE);
    if (format != RESOURCE_FORMAT_JSON) {
        if (!plan.format_is_given)
            plan.format = format;
        return resource__export_plan(call, &plan);
    }
    struct page page = { .call = call, .plan = &plan };
    return answer_json(&page);
}
