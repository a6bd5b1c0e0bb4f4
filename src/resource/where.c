/*
 * The conditions and order of a list, as SQL.
 *
 * The order is that of the sort fields, then the id; nulls count as larger than any value (last
 * when ascending, first when descending), so that turning every direction round turns the order
 * round exactly, which is how a list is walked backward. The place of a cursor is written so that
 * SQLite can seek to it in an index: a comparison of row values where all fields go one way and
 * none is nullable; else by cases, led by a bound on the first field.
 */
#include "resource/resource_private.h"

static const struct slice main_alias = SLICE_INIT("t");

bool resource__put_rule(struct store_sql *sql, const struct resource_call *call,
                        const struct contract *contract, enum contract_action action,
                        struct slice alias)
{
    const struct expr *rule = contract->rules[action];
    enum expr_answer answer = expr_decide(rule, &call->context);
    if (answer == EXPR_NO)
        return false;
    if (answer == EXPR_ASK) {
        store_sql_lit(sql, " AND ");
        expr_emit(rule, &call->context, alias, sql);
    }
    return true;
}

static void put_column(struct store_sql *sql, const struct contract *contract,
                       const struct contract_field *field)
{
    store_sql_lit(sql, "t.");
    store_sql_name(sql, contract->columns[field->column].name);
}

/* field = value, or field IN (...) when it was given more than once. */
static void put_equal(struct store_sql *sql, const struct resource_plan *plan, unsigned at,
                      uint32_t *done)
{
    const struct resource_equal *equal = &plan->equals[at];
    if (*done & 1u << at)
        return;
    store_sql_lit(sql, " AND ");
    unsigned times = 0;
    bool has_null = false;
    for (unsigned i = at; i < plan->equals_len; i++)
        if (plan->equals[i].field == equal->field) {
            times += plan->equals[i].value.kind != STORE_NULL;
            has_null |= plan->equals[i].value.kind == STORE_NULL;
            *done |= 1u << i;
        }
    const struct contract *contract = plan->info->contract;
    if (has_null) {
        store_sql_lit(sql, "(");
        put_column(sql, contract, equal->field);
        buf_put_cstr(&sql->text, times ? " IS NULL OR " : " IS NULL)");
    }
    if (times == 0)
        return;
    put_column(sql, contract, equal->field);
    if (times == 1) {
        store_sql_lit(sql, " = ");
    } else {
        store_sql_lit(sql, " IN (");
    }
    bool first = true;
    for (unsigned i = at; i < plan->equals_len; i++) {
        if (plan->equals[i].field != equal->field || plan->equals[i].value.kind == STORE_NULL)
            continue;
        if (!first)
            store_sql_lit(sql, ", ");
        store_sql_value(sql, plan->equals[i].value);
        first = false;
    }
    if (times > 1)
        store_sql_lit(sql, ")");
    if (has_null)
        store_sql_lit(sql, ")");
}

static void put_search_table(struct store_sql *sql, const struct resource_plan *plan)
{
    resource__put_name(&sql->text, contract_sql_search_table(plan->info->contract, sql->arena));
}

bool resource__put_from(struct store_sql *sql, const struct resource_call *call,
                        const struct resource_plan *plan)
{
    const struct resource_info *info = plan->info;
    store_sql_lit(sql, " FROM ");
    if (plan->q.data) {
        put_search_table(sql, plan);
        store_sql_lit(sql, " JOIN ");
        store_sql_put(sql, info->table);
        store_sql_lit(sql, " AS t ON t.rowid = ");
        put_search_table(sql, plan);
        store_sql_lit(sql, ".rowid WHERE ");
        put_search_table(sql, plan);
        store_sql_lit(sql, " MATCH ");
        store_sql_value(sql, store_text(plan->match));
    } else {
        store_sql_put(sql, info->table);
        /* Something to hang every AND on. */
        store_sql_lit(sql, " AS t WHERE 1");
    }
    if (info->deleted_at) {
        if (plan->deleted)
            store_sql_lit(sql, " AND t.\"deleted_at\" IS NOT NULL");
        else
            store_sql_lit(sql, " AND t.\"deleted_at\" IS NULL");
    }
    uint32_t done = 0;
    for (unsigned i = 0; i < plan->equals_len; i++)
        put_equal(sql, plan, i, &done);
    if (plan->filter) {
        store_sql_lit(sql, " AND ");
        expr_emit(plan->filter, &call->context, main_alias, sql);
    }
    for (unsigned i = 0; i < plan->lists_len; i++) {
        store_sql_lit(sql, " AND ");
        expr_emit(plan->lists[i], &call->context, main_alias, sql);
    }
    if (!resource__put_rule(sql, call, info->contract, CONTRACT_READ, main_alias))
        return false;
    return !plan->deleted ||
           resource__put_rule(sql, call, info->contract, CONTRACT_UPDATE, main_alias);
}

/* -- order and place
 * ------------------------------------------------------------------------------------- */

static void put_sort_column(struct store_sql *sql, const struct resource_plan *plan,
                            const struct resource_sort *sort)
{
    if (sort->field) {
        put_column(sql, plan->info->contract, sort->field);
        return;
    }
    put_search_table(sql, plan);
    store_sql_lit(sql, ".\"rank\"");
}

void resource__put_order(struct store_sql *sql, const struct resource_plan *plan, bool backward)
{
    store_sql_lit(sql, " ORDER BY ");
    for (unsigned i = 0; i < plan->sort_len; i++) {
        const struct resource_sort *sort = &plan->sort[i];
        if (i)
            store_sql_lit(sql, ", ");
        put_sort_column(sql, plan, sort);
        bool descending = sort->descending != backward;
        if (descending)
            store_sql_lit(sql, " DESC");
        if (sort->nullable) {
            if (descending)
                store_sql_lit(sql, " NULLS FIRST");
            else
                store_sql_lit(sql, " NULLS LAST");
        }
    }
}

struct keyset {
    struct store_sql *sql;
    const struct resource_plan *plan;
    const struct resource_cursor *cursor;
};

static void put_compare(struct keyset *k, unsigned i, const char *operator)
{
    put_sort_column(k->sql, k->plan, &k->plan->sort[i]);
    buf_put_cstr(&k->sql->text, operator);
    store_sql_value(k->sql, k->cursor->keys[i]);
}

/* Field i stands after the cursor's, nulls being largest. */
static void put_after(struct keyset *k, unsigned i)
{
    const struct resource_sort *sort = &k->plan->sort[i];
    bool descending = sort->descending != k->cursor->backward;
    bool at_null = k->cursor->keys[i].kind == STORE_NULL;
    if (at_null && !descending) {
        store_sql_lit(k->sql, "0");
    } else if (at_null) {
        put_sort_column(k->sql, k->plan, sort);
        store_sql_lit(k->sql, " IS NOT NULL");
    } else if (descending) {
        put_compare(k, i, " < ");
    } else if (sort->nullable) {
        store_sql_lit(k->sql, "(");
        put_compare(k, i, " > ");
        store_sql_lit(k->sql, " OR ");
        put_sort_column(k->sql, k->plan, sort);
        store_sql_lit(k->sql, " IS NULL)");
    } else {
        put_compare(k, i, " > ");
    }
}

static void put_same(struct keyset *k, unsigned i)
{
    if (k->cursor->keys[i].kind == STORE_NULL) {
        put_sort_column(k->sql, k->plan, &k->plan->sort[i]);
        store_sql_lit(k->sql, " IS NULL");
    } else {
        put_compare(k, i, " = ");
    }
}

/* (after0 OR (same0 AND (after1 OR (same1 AND ... after_last)))) */
static void put_cases(struct keyset *k)
{
    unsigned last = k->plan->sort_len - 1;
    for (unsigned i = 0; i < last; i++) {
        store_sql_lit(k->sql, "(");
        put_after(k, i);
        store_sql_lit(k->sql, " OR (");
        put_same(k, i);
        store_sql_lit(k->sql, " AND ");
    }
    put_after(k, last);
    for (unsigned i = 0; i < last; i++)
        store_sql_lit(k->sql, "))");
}

static bool is_one_way(const struct resource_plan *plan)
{
    for (unsigned i = 0; i < plan->sort_len; i++)
        if (plan->sort[i].nullable || plan->sort[i].descending != plan->sort[0].descending)
            return false;
    return true;
}

static void put_row_values(struct keyset *k)
{
    store_sql_lit(k->sql, "(");
    for (unsigned i = 0; i < k->plan->sort_len; i++) {
        if (i)
            store_sql_lit(k->sql, ", ");
        put_sort_column(k->sql, k->plan, &k->plan->sort[i]);
    }
    bool descending = k->plan->sort[0].descending != k->cursor->backward;
    buf_put_cstr(&k->sql->text, descending ? ") < (" : ") > (");
    for (unsigned i = 0; i < k->plan->sort_len; i++) {
        if (i)
            store_sql_lit(k->sql, ", ");
        store_sql_value(k->sql, k->cursor->keys[i]);
    }
    store_sql_lit(k->sql, ")");
}

void resource__put_keyset(struct store_sql *sql, const struct resource_plan *plan,
                          const struct resource_cursor *cursor)
{
    struct keyset k = { .sql = sql, .plan = plan, .cursor = cursor };
    store_sql_lit(sql, " AND ");
    if (plan->sort_len == 1) {
        put_after(&k, 0);
        return;
    }
    if (is_one_way(plan)) {
        put_row_values(&k);
        return;
    }
    bool descending = plan->sort[0].descending != cursor->backward;
    if (cursor->keys[0].kind != STORE_NULL && (descending || !plan->sort[0].nullable)) {
        put_compare(&k, 0, descending ? " <= " : " >= ");
        store_sql_lit(sql, " AND ");
    }
    put_cases(&k);
}
