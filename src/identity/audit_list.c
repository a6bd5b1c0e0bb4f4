/*
 * identity/audit_list.c - Reading the log, newest first. Each filter walks an index in the order of
 * the list, so a page costs its own rows, however long the log is. Who did something and to whom it
 * was done stand in two columns: each gives its newest rows, and the page is the newest of both.
 */
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/audit_private.h"

static void put_conditions(struct store_sql *sql, const struct identity_audit_filter *filter,
                           const char *user_column)
{
    store_sql_lit(sql, " WHERE 1 = 1");
    if (user_column) {
        /* The index is of those that are not empty. */
        store_sql_lit(sql, " AND ");
        store_sql_put(sql, slice_cstr(user_column));
        store_sql_lit(sql, " <> '' AND ");
        store_sql_put(sql, slice_cstr(user_column));
        store_sql_lit(sql, " = ");
        store_sql_value(sql, store_text(filter->user));
    }
    if (filter->act.len) {
        store_sql_lit(sql, " AND act = ");
        store_sql_value(sql, store_text(filter->act));
    }
    if (filter->since_us) {
        store_sql_lit(sql, " AND at >= ");
        store_sql_value(sql, store_i64(filter->since_us));
    }
    if (filter->until_us) {
        store_sql_lit(sql, " AND at < ");
        store_sql_value(sql, store_i64(filter->until_us));
    }
    if (filter->before_seq) {
        store_sql_lit(sql, " AND (at, seq) < (");
        store_sql_value(sql, store_i64(filter->before_us));
        store_sql_lit(sql, ", ");
        store_sql_value(sql, store_i64(filter->before_seq));
        store_sql_lit(sql, ")");
    }
}

static void put_order(struct store_sql *sql, unsigned limit)
{
    store_sql_lit(sql, " ORDER BY at DESC, seq DESC LIMIT ");
    store_sql_value(sql, store_i64(limit));
}

static void put_part(struct store_sql *sql, const struct identity_audit_filter *filter,
                     const char *user_column, unsigned limit)
{
    store_sql_lit(sql, "SELECT * FROM (SELECT " IDENTITY__AUDIT_COLUMNS " FROM purlin_audit");
    put_conditions(sql, filter, user_column);
    put_order(sql, limit);
    store_sql_lit(sql, ") AS part");
}

static struct store_sql select_page(const struct identity_audit_filter *filter, unsigned limit,
                                    struct arena *arena)
{
    struct store_sql sql;
    store_sql_init(&sql, arena);
    if (filter->user.len) {
        put_part(&sql, filter, "actor_id", limit);
        store_sql_lit(&sql, " UNION "); /* a row that is both is one row */
        put_part(&sql, filter, "subject_id", limit);
        put_order(&sql, limit);
    } else {
        put_part(&sql, filter, NULL, limit);
    }
    return sql;
}

static enum status copy_row(struct arena *arena, struct identity_audit_row *row)
{
    struct slice *const texts[] = {
        &row->act,        &row->outcome, &row->actor, &row->actor_id,   &row->subject_kind,
        &row->subject_id, &row->address, &row->agent, &row->request_id, &row->details,
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        enum status st = arena_copy(arena, *texts[i], texts[i]);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

enum status identity_audit_list(struct task *task, struct identity_audit *audit,
                                const struct identity_audit_filter *filter,
                                struct identity_audit_page *ret_page)
{
    struct arena *arena = task_arena(task);
    unsigned limit = MIN(MAX(filter->limit, 1), IDENTITY_AUDIT_LIST_MAX);
    struct identity_audit_page page = { .rows = arena_array_of(arena, struct identity_audit_row,
                                                               limit) };
    struct store_sql sql = select_page(filter, limit + 1, arena);
    enum status st = page.rows ? store_sql_status(&sql) : STATUS_EXHAUSTED;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    if (st == STATUS_OK)
        st = store_query_sql(task, audit->store, &sql, &rows);
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK) {
        if (page.len == limit) {
            page.has_more = true;
            break;
        }
        (void)identity__audit_row_take(rows, &page.rows[page.len]); /* verify finds a bad hash */
        st = copy_row(arena, &page.rows[page.len]);
        page.len++;
    }
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    *ret_page = page;
    return STATUS_OK;
}

static void put_text(struct json_out *o, const char *key, struct slice text)
{
    json_out_key(o, slice_cstr(key));
    if (text.len)
        json_out_string(o, text);
    else
        json_out_null(o);
}

static void put_whom(struct json_out *o, const char *key, struct slice kind, struct slice id)
{
    json_out_key(o, slice_cstr(key));
    if (!kind.len && !id.len) {
        json_out_null(o);
        return;
    }
    json_out_object(o);
    put_text(o, "kind", kind);
    put_text(o, "id", id);
    json_out_end(o);
}

void identity_audit_row_write(const struct identity_audit_row *row, struct buf *out)
{
    char hex[2 * IDENTITY_AUDIT_HASH_BYTES];
    struct buf hash = { .data = hex, .cap = sizeof(hex), .max = sizeof(hex) };
    buf_put_hex(&hash, row->hash, sizeof(row->hash));
    struct json_out o = json_out(out);
    json_out_object(&o);
    json_out_ki(&o, "seq", row->seq);
    json_out_key(&o, SLICE("at"));
    json_out_time(&o, row->at_us);
    json_out_key(&o, SLICE("act"));
    json_out_string(&o, row->act);
    json_out_key(&o, SLICE("outcome"));
    json_out_string(&o, row->outcome);
    put_whom(&o, "actor", row->actor, row->actor_id);
    put_whom(&o, "subject", row->subject_kind, row->subject_id);
    put_text(&o, "address", row->address);
    put_text(&o, "user_agent", row->agent);
    put_text(&o, "request_id", row->request_id);
    json_out_key(&o, SLICE("details"));
    if (row->details.len)
        json_out_raw(&o, row->details);
    else
        json_out_null(&o);
    json_out_key(&o, SLICE("hash"));
    json_out_string(&o, slice_of(hash.data, hash.len));
    json_out_end(&o);
}
