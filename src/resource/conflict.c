/*
 * The database has the last word on what may be stored: between validating and writing another
 * request may have taken the name. Here what it said becomes words about fields: 409 for what is
 * taken, missing or in use, 422 for what is not allowed.
 */
#include "resource/resource_private.h"

struct place {
    struct store_tx *tx;
    const struct contract *contract;
    struct slice pointer;
};

static void add_field(struct place *p, struct slice field, const char *code, const char *detail)
{
    struct arena *arena = store_tx_arena(p->tx);
    struct slice pointer =
        arena_printf(arena, "%.*s/%.*s", SLICE_ARG(p->pointer), SLICE_ARG(field));
    problem_field_add(store_tx_problem(p->tx), arena, pointer, code, "%s", detail);
}

static const struct contract_field *field_of_column(const struct contract *contract,
                                                    struct slice column)
{
    for (unsigned i = 0; i < contract->columns_len; i++)
        if (slice_eq(contract->columns[i].name, column))
            return contract->columns[i].field;
    return NULL;
}

static enum status conflict_unique(struct place *p, struct slice columns)
{
    struct problem *problem = store_tx_problem(p->tx);
    enum status st = resource__fail(problem, store_tx_arena(p->tx), STATUS_CONFLICT, 409,
                                    "conflict/unique", "Another row has this value already.");
    struct slice rest = columns, column;
    while (columns.len && slice_split(&rest, ',', &column)) {
        const struct contract_field *field = field_of_column(p->contract, slice_trim(column));
        if (field)
            add_field(p, field->name, "not_unique", "Another row has this value already.");
    }
    return st;
}

static enum status is_present(struct store_tx *tx, const struct contract *contract,
                              const struct store_value *id, bool *ret_present)
{
    struct store_sql sql;
    store_sql_init(&sql, store_tx_arena(tx));
    store_sql_lit(&sql, "SELECT 1 FROM ");
    store_sql_name(&sql, contract->name);
    store_sql_lit(&sql, " WHERE \"id\" = ");
    store_sql_value(&sql, *id);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, buf_slice(&sql.text), sql.values, sql.values_len, &rows);
    *ret_present = st == STATUS_OK;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* Which of the refs that were written points nowhere? */
static enum status conflict_missing(struct place *p, const struct contract_row *row)
{
    enum status st =
        resource__fail(store_tx_problem(p->tx), store_tx_arena(p->tx), STATUS_CONFLICT, 409,
                       "conflict/reference", "The row refers to a row that does not exist.");
    for (unsigned i = 0; i < p->contract->fields_len; i++) {
        const struct contract_field *field = p->contract->fields[i];
        const struct store_value *value = &row->values[field->column];
        if (field->type != CONTRACT_REF || value->kind != STORE_BLOB)
            continue;
        bool present = true;
        enum status asked = is_present(p->tx, field->ref, value, &present);
        if (asked != STATUS_OK)
            return asked;
        if (!present)
            add_field(p, field->name, "missing_reference", "There is no such row.");
    }
    return st;
}

/* Which rows still refer to the one that was to go? */
static enum status conflict_referred(struct place *p, const struct uuid *id)
{
    struct arena *arena = store_tx_arena(p->tx);
    for (unsigned i = 0; i < p->contract->referrers_len; i++) {
        const struct contract_referrer *referrer = &p->contract->referrers[i];
        if (referrer->field->on_delete != CONTRACT_RESTRICT)
            continue;
        struct store_sql sql;
        store_sql_init(&sql, arena);
        store_sql_lit(&sql, "SELECT 1 FROM ");
        store_sql_name(&sql, referrer->contract->name);
        store_sql_lit(&sql, " WHERE ");
        store_sql_name(&sql, referrer->contract->columns[referrer->field->column].name);
        store_sql_lit(&sql, " = ");
        store_sql_value(&sql, store_blob(slice_of((const char *)id->bytes, sizeof(id->bytes))));
        store_sql_lit(&sql, " LIMIT 1");
        CLEANUP(store_rows_close) struct store_rows *rows = NULL;
        enum status st =
            store_tx_one(p->tx, buf_slice(&sql.text), sql.values, sql.values_len, &rows);
        if (st == STATUS_NOT_FOUND)
            continue;
        if (st != STATUS_OK)
            return st;
        st =
            resource__fail(store_tx_problem(p->tx), arena, STATUS_CONFLICT, 409,
                           "conflict/referenced", "Rows of %.*s still refer to this one by `%.*s`.",
                           SLICE_ARG(referrer->contract->name), SLICE_ARG(referrer->field->name));
        add_field(p, SLICE("id"), "referenced", "Other rows refer to this one.");
        return st;
    }
    return resource__fail(store_tx_problem(p->tx), arena, STATUS_CONFLICT, 409,
                          "conflict/referenced", "Other rows still refer to this one.");
}

static enum status conflict_check(struct place *p, struct slice constraint)
{
    const struct contract_field *field = contract_sql_check_field(p->contract, constraint);
    add_field(p, field ? field->name : SLICE_NULL, "check", "The value is not allowed.");
    return STATUS_INVALID;
}

enum status resource__conflict(struct store_tx *tx, const struct contract *contract,
                               const struct contract_row *row, const struct uuid *id,
                               struct slice pointer)
{
    /* Copied: what asks further replaces it. */
    const struct store_conflict conflict = *store_tx_conflict(tx);
    struct place p = { .tx = tx, .contract = contract, .pointer = pointer };
    const struct contract_field *field;
    switch (conflict.kind) {
    case STORE_CONFLICT_UNIQUE:
        return conflict_unique(&p, conflict.columns);
    case STORE_CONFLICT_FOREIGN:
        return row ? conflict_missing(&p, row) : conflict_referred(&p, id);
    case STORE_CONFLICT_CHECK:
        return conflict_check(&p, conflict.constraint);
    case STORE_CONFLICT_NOT_NULL:
        field = field_of_column(contract, conflict.columns);
        add_field(&p, field ? field->name : SLICE_NULL, "required", "A value is needed.");
        return STATUS_INVALID;
    case STORE_CONFLICT_TRIGGER:
    case STORE_CONFLICT_NONE:
        break;
    }
    return resource__fail(store_tx_problem(tx), store_tx_arena(tx), STATUS_CONFLICT, 409,
                          "conflict/constraint", "The database refuses this change.");
}
