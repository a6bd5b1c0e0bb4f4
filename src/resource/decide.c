/*
 * What the engine would say of a request, and why, without doing anything: the rules are asked in
 * the order in which write.c and read.c ask them, with the row that is stored, or is to be.
 */
#include "base/clock.h"
#include "resource/resource_private.h"

struct deciding {
    struct task *task;
    struct store *store;
    const struct resource_question *q;
    struct arena *arena;
    struct resource_decision *out;
    struct contract_row row; /* what rules look at; values NULL: none */
};

static enum status ask(void *arg, const struct store_sql *sql, bool *ret_yes)
{
    struct deciding *d = arg;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st =
        store_one(d->task, d->store, buf_slice(&sql->text), sql->values, sql->values_len, &rows);
    if (st == STATUS_OK)
        *ret_yes = store_rows_i64(rows, 0) != 0;
    return st;
}

static enum status ask_rule(struct deciding *d, enum contract_action action,
                            struct resource_rule_answer *ret)
{
    const struct contract *contract = d->q->contract;
    const struct expr_context context = { .caller = d->q->caller,
                                          .now_us = d->q->now_us,
                                          .row = d->row.values ? &d->row : NULL };
    enum status st = expr_trace(contract->rules[action], &context, d->arena, ask, d, &ret->steps,
                                &ret->steps_len);
    if (st != STATUS_OK)
        return st;
    ret->is_in_scope = !d->q->caller || task_caller_is_in_scope(d->q->caller, contract->name,
                                                                contract_action_name(action));
    ret->answer = ret->is_in_scope ? ret->steps[0].answer : EXPR_NO;
    return STATUS_OK;
}

/* -- the row
 * ------------------------------------------------------------------------------------------- */

/* NOT_FOUND: there is none, or it was deleted. */
static enum status read_row(struct deciding *d)
{
    const struct contract *contract = d->q->contract;
    struct store_sql sql;
    enum status st = contract_row_init(contract, d->arena, &d->row);
    if (st != STATUS_OK)
        return st;
    store_sql_init(&sql, d->arena);
    store_sql_lit(&sql, "SELECT ");
    for (unsigned i = 0; i < contract->columns_len; i++) {
        if (i)
            store_sql_lit(&sql, ", ");
        store_sql_name(&sql, contract->columns[i].name);
    }
    store_sql_lit(&sql, " FROM ");
    store_sql_name(&sql, contract->name);
    store_sql_lit(&sql, " WHERE \"id\" = ");
    store_sql_value(&sql,
                    store_blob(slice_of((const char *)d->q->row->bytes, sizeof(d->q->row->bytes))));
    if (contract->soft_delete)
        store_sql_lit(&sql, " AND \"deleted_at\" IS NULL");
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    st = store_sql_status(&sql);
    if (st == STATUS_OK)
        st = store_one(d->task, d->store, buf_slice(&sql.text), sql.values, sql.values_len, &rows);
    for (unsigned i = 0; st == STATUS_OK && i < contract->columns_len; i++)
        st = resource__rows_copy(rows, i, d->arena, &d->row.values[i]);
    return st;
}

static enum status validate(struct deciding *d, enum contract_mode mode, struct contract_row *ret)
{
    struct contract_children children = { 0 };
    const struct contract_input input = { .mode = mode,
                                          .caller = d->q->caller,
                                          .now_us = d->q->now_us };
    return contract_validate(d->q->contract, d->q->body, &input, d->arena, task_problem(d->task),
                             ret, &children);
}

/* The row that a create would insert. */
static enum status make_row(struct deciding *d)
{
    struct resource_info info = { .contract = d->q->contract };
    const struct uuid id = uuid_v7();
    enum status st = resource__info_begin(&info, d->arena);
    if (st == STATUS_OK)
        st = validate(d, CONTRACT_MODE_CREATE, &d->row);
    if (st == STATUS_OK)
        resource__row_stamp(&info, &d->row, &id, d->q->now_us);
    return st;
}

/* The stored row with what would change. What may not be set is refused as the engine does it. */
static enum status change_row(struct deciding *d)
{
    const struct contract *contract = d->q->contract;
    struct contract_row change;
    enum status st = validate(d, CONTRACT_MODE_PATCH, &change);
    for (unsigned i = 0; st == STATUS_OK && i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        for (unsigned c = 0; change.present[i] && c < field->columns_len; c++) {
            struct store_value *stored = &d->row.values[field->column + c];
            const struct store_value *given = &change.values[field->column + c];
            if (change.guarded[i] && !resource__value_eq(stored, given))
                st = problem_set(d->task, STATUS_INVALID, "validation/failed",
                                 "The field %.*s is not for a request to change.",
                                 SLICE_ARG(field->name));
            *stored = *given;
        }
    }
    return st;
}

/* -- the verdict
 * --------------------------------------------------------------------------------------- */

static enum expr_answer both(enum expr_answer a, enum expr_answer b)
{
    if (a == EXPR_NO || b == EXPR_NO)
        return EXPR_NO;
    return a == EXPR_ASK || b == EXPR_ASK ? EXPR_ASK : EXPR_YES;
}

static const char *reason_of(const struct resource_rule_answer *rule)
{
    if (!rule->is_in_scope)
        return "The caller's scopes do not cover it.";
    if (rule->answer == EXPR_ASK)
        return "It depends on the row.";
    return rule->answer == EXPR_YES ? "The rule holds." : "The rule does not hold.";
}

static enum status decide_create(struct deciding *d)
{
    enum status st = d->q->body ? make_row(d) : STATUS_OK;
    if (st == STATUS_OK)
        st = ask_rule(d, CONTRACT_CREATE, &d->out->action);
    d->out->allowed = d->out->action.answer;
    d->out->is_readable = true;
    d->out->reason = reason_of(&d->out->action);
    return st;
}

static enum status decide_stored(struct deciding *d)
{
    struct resource_decision *out = d->out;
    enum status st = ask_rule(d, CONTRACT_READ, &out->read);
    if (st == STATUS_OK)
        st = ask_rule(d, d->q->action, &out->action);
    if (st != STATUS_OK)
        return st;
    out->is_readable = out->read.answer == EXPR_YES;
    out->allowed = both(out->read.answer, out->action.answer);
    out->reason = reason_of(&out->action);
    if (out->read.answer == EXPR_NO && d->q->action != CONTRACT_READ)
        out->reason = out->read.is_in_scope ? "What may not be read is not there for the caller."
                                            : "The caller's scopes do not cover reading it.";
    if (out->allowed != EXPR_YES || !d->q->body || d->q->action != CONTRACT_UPDATE)
        return STATUS_OK;
    st = change_row(d);
    if (st == STATUS_OK)
        st = ask_rule(d, CONTRACT_UPDATE, &out->changed);
    out->has_changed = true;
    out->allowed = out->changed.answer;
    if (out->changed.answer == EXPR_NO)
        out->reason = "The rule does not hold for the row as it would become.";
    return st;
}

enum status resource_decide(struct task *task, struct store *store,
                            const struct resource_question *question, struct resource_decision *ret)
{
    struct deciding d = {
        .task = task, .store = store, .q = question, .arena = task_arena(task), .out = ret
    };
    *ret = (struct resource_decision){ .is_there = true, .allowed = EXPR_NO };
    if (question->action == CONTRACT_CREATE)
        return decide_create(&d);
    enum status st = question->row ? read_row(&d) : STATUS_OK;
    if (st == STATUS_NOT_FOUND) {
        ret->is_there = false;
        ret->reason = "There is no such row.";
        return STATUS_OK;
    }
    return st == STATUS_OK ? decide_stored(&d) : st;
}
