/*
 * Writes. What needs no database (parsing, validation, rules that the row itself decides) is done
 * in the task, so that the one writer has little to do. A create whose rule is decided is a single
 * INSERT, and its answer is written from the validated row: triggers only touch counts of other
 * tables. A change reads the row with both rules, compares, updates, and reads it again for the
 * answer and for the rule on the new row, all in one transaction.
 */
#include "resource/resource_private.h"

#include "base/clock.h"

static struct store_value id_value(const struct uuid *id)
{
    return store_blob(slice_of((const char *)id->bytes, sizeof(id->bytes)));
}

void resource__row_stamp(const struct resource_info *info, struct contract_row *row,
                         const struct uuid *id, int64_t now_us)
{
    /* Times are kept in whole milliseconds. A trusted import may have given its own. */
    int64_t now = now_us - now_us % CLOCK_MS;
    struct store_value *values = row->values;
    values[info->id->column] = id_value(id);
    if (values[info->created_at->column].kind == STORE_NULL)
        values[info->created_at->column] = store_i64(now);
    if (values[info->updated_at->column].kind == STORE_NULL)
        values[info->updated_at->column] = values[info->created_at->column];
    values[info->version->column] = store_i64(1);
    for (unsigned i = 0; i < info->contract->fields_len; i++)
        if (info->contract->fields[i]->type == CONTRACT_COUNT)
            values[info->contract->fields[i]->column] = store_i64(0);
}

/* -- rules
 * ------------------------------------------------------------------------------------------------
 */

enum status resource__rule_ask(struct store_tx *tx, const struct resource_op *op,
                               const struct contract *contract, enum contract_action action,
                               const struct contract_row *row, bool *ret_allowed)
{
    struct expr_context context = op->call->context;
    context.row = row;
    const struct expr *rule = contract->rules[action];
    enum expr_answer answer = expr_decide(rule, &context);
    if (answer != EXPR_ASK) {
        *ret_allowed = answer == EXPR_YES;
        return STATUS_OK;
    }
    struct store_sql sql;
    store_sql_init(&sql, op->arena);
    store_sql_lit(&sql, "SELECT ");
    expr_emit_row(rule, &context, &sql);
    if (store_sql_status(&sql) != STATUS_OK)
        return store_sql_status(&sql);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, buf_slice(&sql.text), sql.values, sql.values_len, &rows);
    if (st == STATUS_OK)
        *ret_allowed = store_rows_i64(rows, 0) != 0;
    return st;
}

/* -- create
 * ------------------------------------------------------------------------------------------------
 */

/* `exec` is store_tx_exec, or store_tx_exec_last where its promise is kept. */
static enum status insert_by(typeof(store_tx_exec) *exec, struct store_tx *tx,
                             const struct resource_info *info, const struct contract_row *row,
                             struct slice pointer)
{
    /* Not on the stack: a frame of the widest row is larger than any of ours may be. */
    struct store_value *values =
        arena_alloc(store_tx_arena(tx), info->insert_len * sizeof(*values));
    if (!values)
        return STATUS_EXHAUSTED;
    for (unsigned i = 0; i < info->insert_len; i++)
        values[i] = row->values[info->insert_columns[i]];
    enum status st = exec(tx, info->insert, values, info->insert_len, NULL);
    if (st == STATUS_CONFLICT)
        return resource__conflict(tx, info->contract, row, NULL, pointer);
    return st;
}

enum status resource__insert(struct store_tx *tx, const struct resource_info *info,
                             const struct contract_row *row, struct slice pointer)
{
    return insert_by(store_tx_exec, tx, info, row, pointer);
}

static void write_answer(struct resource_op *op)
{
    struct buf body;
    buf_init(&body, op->arena, 1024, RESOURCE_ANSWER_MAX);
    resource__row_write_values(&op->info->shown, op->row.values, &body);
    if (buf_status(&body) == STATUS_OK)
        op->answer = buf_slice(&body);
}

static enum status validate(struct resource_op *op, const json_t *body, enum contract_mode mode,
                            struct contract_children *ret_children)
{
    struct contract_input input = { .mode = mode,
                                    .caller = op->call->context.caller,
                                    .now_us = op->call->context.now_us,
                                    .pointer = op->pointer };
    return contract_validate(op->info->contract, body, &input, op->arena, op->problem, &op->row,
                             ret_children);
}

static enum status prepare_create(struct resource_op *op)
{
    struct contract_children children = { 0 };
    enum status st = validate(op, op->body, CONTRACT_MODE_CREATE, &children);
    if (st != STATUS_OK)
        return st;
    resource__row_stamp(op->info, &op->row, &op->id, op->call->context.now_us);
    struct expr_context context = op->call->context;
    context.row = &op->row;
    op->create = expr_decide(op->info->contract->rules[CONTRACT_CREATE], &context);
    if (op->create == EXPR_NO)
        return resource__refuse(op->call, op->problem, op->arena, op->info->contract,
                                CONTRACT_CREATE);
    return children.len ? resource__children_prepare(op, &children) : STATUS_OK;
}

/* Nothing of the write is left to do, or to fail, once the row is in: its reader's rule is known to
 * hold or not to hold without asking the database. */
static bool is_last_change(const struct resource_op *op)
{
    struct expr_context context = op->call->context;
    context.row = &op->row;
    return op->is_alone && !op->children &&
           (op->minimal ||
            expr_decide(op->info->contract->rules[CONTRACT_READ], &context) != EXPR_ASK);
}

static enum status execute_create(struct resource_op *op, struct store_tx *tx)
{
    const struct contract *contract = op->info->contract;
    enum status st = STATUS_OK;
    bool allowed = true;
    if (op->create == EXPR_ASK)
        st = resource__rule_ask(tx, op, contract, CONTRACT_CREATE, &op->row, &allowed);
    if (st == STATUS_OK && !allowed)
        st = resource__refuse(op->call, op->problem, op->arena, contract, CONTRACT_CREATE);
    if (st == STATUS_OK)
        st = insert_by(is_last_change(op) ? store_tx_exec_last : store_tx_exec, tx, op->info,
                       &op->row, op->pointer);
    if (st == STATUS_OK && op->children)
        st = resource__children_insert(op, tx);
    bool readable = false;
    if (st == STATUS_OK && !op->minimal)
        st = resource__rule_ask(tx, op, contract, CONTRACT_READ, &op->row, &readable);
    if (st != STATUS_OK)
        return st;
    op->status = 201;
    op->version = 1;
    if (!readable)
        return STATUS_OK;
    if (!op->children) {
        write_answer(op);
        return STATUS_OK;
    }
    /* Children have moved the row's counts: show it as it stands. */
    struct store_value id = id_value(&op->id);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    st = store_tx_one(tx, op->info->select_by_id, &id, 1, &rows);
    if (st != STATUS_OK)
        return st;
    struct buf body;
    buf_init(&body, op->arena, 1024, RESOURCE_ANSWER_MAX);
    resource__row_write(&op->info->shown, rows, &body);
    op->answer = buf_slice(&body);
    return buf_status(&body);
}

/* -- the row that is to change
 * ------------------------------------------------------------------------------- */

struct current {
    struct store_value *values; /* in the order of contract->columns */
    int64_t version;
    bool deleted;
};

/* SELECT everything, may it be read, may it be changed. */
static enum status put_current(struct resource_op *op, enum contract_action action,
                               struct store_sql *sql)
{
    store_sql_init(sql, op->arena);
    store_sql_lit(sql, "SELECT ");
    store_sql_put(sql, op->info->stored.select);
    store_sql_lit(sql, ", ");
    expr_emit(op->info->contract->rules[CONTRACT_READ], &op->call->context, SLICE("t"), sql);
    store_sql_lit(sql, ", ");
    expr_emit(op->info->contract->rules[action], &op->call->context, SLICE("t"), sql);
    store_sql_lit(sql, " FROM ");
    store_sql_put(sql, op->info->table);
    store_sql_lit(sql, " AS t WHERE t.\"id\" = ");
    store_sql_value(sql, id_value(&op->id));
    return store_sql_status(sql);
}

static enum status copy_current(struct resource_op *op, const struct store_rows *rows,
                                struct current *ret_current)
{
    const struct contract *contract = op->info->contract;
    const struct resource_shape *shape = &op->info->stored;
    struct store_value *values =
        arena_array_of(op->arena, struct store_value, contract->columns_len);
    if (!values)
        return STATUS_EXHAUSTED;
    for (unsigned i = 0; i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        for (unsigned c = 0; c < field->columns_len; c++) {
            enum status st = resource__rows_copy(rows, (unsigned)shape->column_of[i] + c, op->arena,
                                                 &values[field->column + c]);
            if (st != STATUS_OK)
                return st;
        }
    }
    *ret_current = (struct current){
        .values = values,
        .version = values[op->info->version->column].as.i64,
        .deleted = op->info->deleted_at && values[op->info->deleted_at->column].kind != STORE_NULL,
    };
    return STATUS_OK;
}

static enum status check_if_match(struct resource_op *op, int64_t version)
{
    if (!op->if_match.data || resource__if_match_allows(op->if_match, version))
        return STATUS_OK;
    return resource__fail(op->problem, op->arena, STATUS_CONFLICT, 412, "precondition/failed",
                          "The row has changed since: it is at version %lld now.",
                          (long long)version);
}

/*
 * Read the row, in this order: what may not be read is not there; then what may be read may not be
 * changed; then its version. A deleted row is there only for restoring, and for who may change it.
 */
static enum status read_current(struct resource_op *op, struct store_tx *tx,
                                enum contract_action action, struct current *ret_current)
{
    struct store_sql sql;
    enum status st = put_current(op, action, &sql);
    if (st != STATUS_OK)
        return st;
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    st = store_tx_one(tx, buf_slice(&sql.text), sql.values, sql.values_len, &rows);
    if (st == STATUS_NOT_FOUND)
        return resource__not_found(op->problem, op->arena);
    if (st != STATUS_OK)
        return st;
    unsigned rules = op->info->stored.select_len;
    bool may_read = store_rows_i64(rows, rules) != 0;
    bool may_change = store_rows_i64(rows, rules + 1) != 0;
    struct current current = { .values = NULL };
    st = copy_current(op, rows, &current);
    if (st != STATUS_OK)
        return st;
    bool restoring = op->verb == RESOURCE_RESTORE;
    if (!may_read || (current.deleted && (!restoring || !may_change)))
        return resource__not_found(op->problem, op->arena);
    if (!may_change)
        return resource__refuse(op->call, op->problem, op->arena, op->info->contract, action);
    *ret_current = current;
    return check_if_match(op, current.version);
}

/* After the change: the rule holds for the new row too, and the answer is the row as it stands. */
static enum status read_changed(struct resource_op *op, struct store_tx *tx)
{
    const struct resource_info *info = op->info;
    struct store_sql sql;
    store_sql_init(&sql, op->arena);
    store_sql_lit(&sql, "SELECT ");
    store_sql_put(&sql, info->shown.select);
    store_sql_lit(&sql, ", ");
    expr_emit(info->contract->rules[CONTRACT_READ], &op->call->context, SLICE("t"), &sql);
    store_sql_lit(&sql, ", ");
    expr_emit(info->contract->rules[CONTRACT_UPDATE], &op->call->context, SLICE("t"), &sql);
    store_sql_lit(&sql, " FROM ");
    store_sql_put(&sql, info->table);
    store_sql_lit(&sql, " AS t WHERE t.\"id\" = ");
    store_sql_value(&sql, id_value(&op->id));
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_sql_status(&sql);
    if (st == STATUS_OK)
        st = store_tx_one(tx, buf_slice(&sql.text), sql.values, sql.values_len, &rows);
    if (st != STATUS_OK)
        return st;
    unsigned rules = info->shown.select_len;
    if (!store_rows_i64(rows, rules + 1))
        return resource__refuse(op->call, op->problem, op->arena, info->contract, CONTRACT_UPDATE);
    op->status = 200;
    op->version = store_rows_i64(rows, info->shown.version_column);
    if (op->minimal || !store_rows_i64(rows, rules))
        return STATUS_OK;
    struct buf body;
    buf_init(&body, op->arena, 1024, RESOURCE_ANSWER_MAX);
    resource__row_write(&info->shown, rows, &body);
    op->answer = buf_slice(&body);
    return buf_status(&body);
}

/* -- replace and patch
 * ---------------------------------------------------------------------------------------- */

/* Readonly, immutable and system fields may be sent as they are, so that what was read can be sent
 * back. */
static enum status check_guarded(struct resource_op *op, const struct current *current)
{
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < op->info->contract->fields_len; i++) {
        const struct contract_field *field = op->info->contract->fields[i];
        if (!op->row.guarded[i])
            continue;
        bool same = true;
        for (unsigned c = 0; c < field->columns_len; c++)
            same &= resource__value_eq(&op->row.values[field->column + c],
                                       &current->values[field->column + c]);
        if (same)
            continue;
        st = STATUS_INVALID;
        problem_field_add(
            op->problem, op->arena,
            arena_printf(op->arena, "%.*s/%.*s", SLICE_ARG(op->pointer), SLICE_ARG(field->name)),
            field->immutable && !field->readonly ? "immutable" : "read_only",
            "This field cannot be changed.");
    }
    return st;
}

/* The validator marked what a replacement sets to null, and left out what it keeps: a secret that
 * is not shown, who made the row. */
static bool is_set(const struct resource_op *op, const struct contract_field *field)
{
    return !field->system && field->type != CONTRACT_COUNT && !op->row.guarded[field->index] &&
           op->row.present[field->index];
}

static bool put_assignments(struct resource_op *op, const struct current *current,
                            struct store_sql *sql)
{
    bool changes = false;
    const struct contract *contract = op->info->contract;
    for (unsigned i = 0; i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        if (!is_set(op, field))
            continue;
        for (unsigned c = 0; c < field->columns_len; c++) {
            const struct store_value *value = &op->row.values[field->column + c];
            if (resource__value_eq(value, &current->values[field->column + c]))
                continue;
            changes = true;
            store_sql_name(sql, contract->columns[field->column + c].name);
            store_sql_lit(sql, " = ");
            store_sql_value(sql, *value);
            store_sql_lit(sql, ", ");
        }
    }
    return changes;
}

/* Set what differs. A change that changes nothing leaves the version alone. */
static enum status update(struct resource_op *op, struct store_tx *tx,
                          const struct current *current)
{
    struct store_sql sql;
    store_sql_init(&sql, op->arena);
    store_sql_lit(&sql, "UPDATE ");
    store_sql_put(&sql, op->info->table);
    store_sql_lit(&sql, " SET ");
    if (op->verb == RESOURCE_RESTORE)
        store_sql_lit(&sql, "\"deleted_at\" = NULL, ");
    else if (!put_assignments(op, current, &sql))
        return STATUS_OK;
    int64_t now = op->call->context.now_us - op->call->context.now_us % CLOCK_MS;
    store_sql_lit(&sql, "\"updated_at\" = ");
    store_sql_value(&sql, store_i64(now));
    store_sql_lit(&sql, ", \"version\" = \"version\" + 1 WHERE \"id\" = ");
    store_sql_value(&sql, id_value(&op->id));
    enum status st = store_sql_status(&sql);
    if (st == STATUS_OK)
        st = store_tx_exec_sql(tx, &sql, NULL);
    if (st == STATUS_CONFLICT) {
        const struct contract_row written = { .contract = op->info->contract,
                                              .values = op->verb == RESOURCE_RESTORE
                                                            ? current->values
                                                            : op->row.values };
        return resource__conflict(tx, op->info->contract, &written, &op->id, op->pointer);
    }
    return st;
}

static bool has_object(const struct contract_field *field)
{
    return field->type == CONTRACT_JSON || field->type == CONTRACT_MONEY ||
           field->type == CONTRACT_MEDIA;
}

/* Does merging need what is stored? Only where an object meets a field that holds one. */
static bool needs_stored(const struct resource_op *op)
{
    const char *key;
    size_t key_len;
    json_t *value;
    if (!json_is_object(op->body))
        return false;
    json_object_keylen_foreach(op->body, key, key_len, value)
    {
        const struct contract_field *field =
            json_is_object(value) ? contract_field_find(op->info->contract, slice_of(key, key_len))
                                  : NULL;
        if (field && has_object(field))
            return true;
    }
    return false;
}

/* The stored row as JSON, as its owner sees it. */
static enum status stored_document(struct resource_op *op, const struct current *current,
                                   json_t **ret_document)
{
    struct buf text;
    buf_init(&text, op->arena, 1024, RESOURCE_ANSWER_MAX);
    resource__row_write_values(&op->info->shown, current->values, &text);
    if (buf_status(&text) != STATUS_OK)
        return buf_status(&text);
    return json_read(op->arena, buf_slice(&text),
                     (struct json_limits){ .bytes_max = RESOURCE_ANSWER_MAX, .depth_max = 64 },
                     ret_document, NULL);
}

/* {"meta": {...}} with what is stored merged in, each field by itself: null still means "set null".
 */
static json_t *merge_fields(struct resource_op *op, json_t *document)
{
    struct arena *before = json_arena_set(op->arena);
    json_t *flat = json_object();
    const char *key;
    size_t key_len;
    json_t *value;
    json_object_keylen_foreach(op->body, key, key_len, value)
    {
        const struct contract_field *field =
            contract_field_find(op->info->contract, slice_of(key, key_len));
        json_t *merged = value;
        if (field && has_object(field) && json_is_object(value))
            merged = resource__merge(json_object_getn(document, key, key_len), value, op->arena);
        if (!merged || !flat || json_object_setn(flat, key, key_len, merged) != 0) {
            flat = NULL;
            break;
        }
    }
    (void)json_arena_set(before);
    return flat;
}

/* What a patched document says differently from the one before, as a flat patch: a member that is
 * gone is null. */
static json_t *differences(struct resource_op *op, json_t *before_patch, json_t *after)
{
    struct arena *before = json_arena_set(op->arena);
    json_t *flat = json_object();
    const char *key;
    size_t key_len;
    json_t *value;
    bool failed = !flat;
    json_object_keylen_foreach(after, key, key_len, value)
    {
        const json_t *old = json_object_getn(before_patch, key, key_len);
        if (!failed && (!old || !json_equal(old, value)))
            failed = json_object_setn(flat, key, key_len, value) != 0;
    }
    json_object_keylen_foreach(before_patch, key, key_len,
                               value) if (!failed && !json_is_null(value) &&
                                          !json_object_getn(after, key, key_len)) failed =
        json_object_setn_new(flat, key, key_len, json_null()) != 0;
    (void)json_arena_set(before);
    return failed ? NULL : flat;
}

/* Validation of a patch that depends on what is stored. */
static enum status validate_stored(struct resource_op *op, const struct current *current)
{
    json_t *document = NULL, *flat;
    enum status st = stored_document(op, current, &document);
    if (st != STATUS_OK)
        return st;
    if (op->verb == RESOURCE_MERGE) {
        flat = merge_fields(op, document);
    } else {
        json_t *patched = NULL;
        st = resource__patch(document, op->body, op->pointer, op->arena, op->problem, &patched);
        if (st != STATUS_OK)
            return st;
        if (!json_is_object(patched)) {
            problem_field_add(op->problem, op->arena, op->pointer, "type",
                              "What the patch leaves is no object.");
            return STATUS_INVALID;
        }
        flat = differences(op, document, patched);
    }
    return flat ? validate(op, flat, CONTRACT_MODE_PATCH, NULL) : STATUS_EXHAUSTED;
}

static enum status execute_change(struct resource_op *op, struct store_tx *tx)
{
    struct current current = { .values = NULL };
    enum status st = read_current(op, tx, CONTRACT_UPDATE, &current);
    if (st == STATUS_OK && !op->is_prepared)
        st = validate_stored(op, &current);
    if (st == STATUS_OK)
        st = check_guarded(op, &current);
    if (st == STATUS_OK)
        st = update(op, tx, &current);
    return st == STATUS_OK ? read_changed(op, tx) : st;
}

/* -- delete and restore
 * ------------------------------------------------------------------------------------------ */

/* How many rows would a delete take along or change, down to four levels? More than the maximum is
 * counted no further. */
static enum status count_cascade(struct resource_op *op, struct store_tx *tx,
                                 const struct contract *contract, struct slice ids, unsigned depth,
                                 int64_t *left)
{
    for (unsigned i = 0; i < contract->referrers_len && *left >= 0; i++) {
        const struct contract_referrer *referrer = &contract->referrers[i];
        if (referrer->field->on_delete == CONTRACT_RESTRICT)
            continue;
        struct buf where;
        buf_init(&where, op->arena, 256, 16 << 10);
        buf_put_lit(&where, " FROM ");
        resource__put_name(&where, referrer->contract->name);
        buf_put_lit(&where, " WHERE ");
        resource__put_name(&where, referrer->contract->columns[referrer->field->column].name);
        buf_put_lit(&where, " IN (");
        buf_put_slice(&where, ids);
        buf_putc(&where, ')');
        struct store_sql sql;
        store_sql_init(&sql, op->arena);
        store_sql_lit(&sql, "SELECT count(*) FROM (SELECT 1");
        /* Its one value is named by the innermost level, so it comes first in the text. */
        store_sql_put(&sql, buf_slice(&where));
        buf_printf(&sql.text, " LIMIT %d)", RESOURCE_CASCADE_MAX + 1);
        struct store_value id = id_value(&op->id);
        CLEANUP(store_rows_close) struct store_rows *rows = NULL;
        enum status st = buf_status(&where);
        if (st == STATUS_OK)
            st = store_tx_one(tx, buf_slice(&sql.text), &id, 1, &rows);
        if (st != STATUS_OK)
            return st;
        int64_t count = store_rows_i64(rows, 0);
        *left -= count;
        if (count > 0 && depth < 3 && referrer->field->on_delete == CONTRACT_CASCADE) {
            struct slice inner =
                arena_printf(op->arena, "SELECT \"id\"%.*s", SLICE_ARG(buf_slice(&where)));
            st = count_cascade(op, tx, referrer->contract, inner, depth + 1, left);
            if (st != STATUS_OK)
                return st;
        }
    }
    return STATUS_OK;
}

static enum status check_cascade(struct resource_op *op, struct store_tx *tx)
{
    int64_t left = RESOURCE_CASCADE_MAX;
    enum status st = count_cascade(op, tx, op->info->contract, SLICE("$1"), 0, &left);
    if (st == STATUS_OK && left < 0)
        st = resource__fail(op->problem, op->arena, STATUS_CONFLICT, 409, "conflict/too-many",
                            "More than %d rows depend on this one; delete them first.",
                            RESOURCE_CASCADE_MAX);
    return st;
}

static enum status execute_delete(struct resource_op *op, struct store_tx *tx)
{
    const struct resource_info *info = op->info;
    struct current current = { .values = NULL };
    enum status st = read_current(op, tx, CONTRACT_DELETE, &current);
    if (st == STATUS_OK && !info->deleted_at)
        st = check_cascade(op, tx);
    if (st != STATUS_OK)
        return st;
    struct store_sql sql;
    store_sql_init(&sql, op->arena);
    if (info->deleted_at) {
        int64_t now = op->call->context.now_us - op->call->context.now_us % CLOCK_MS;
        store_sql_lit(&sql, "UPDATE ");
        store_sql_put(&sql, info->table);
        store_sql_lit(&sql, " SET \"deleted_at\" = ");
        store_sql_value(&sql, store_i64(now));
        store_sql_lit(&sql, ", \"updated_at\" = ");
        store_sql_value(&sql, store_i64(now));
        store_sql_lit(&sql, ", \"version\" = \"version\" + 1");
    } else {
        store_sql_lit(&sql, "DELETE FROM ");
        store_sql_put(&sql, info->table);
    }
    store_sql_lit(&sql, " WHERE \"id\" = ");
    store_sql_value(&sql, id_value(&op->id));
    st = store_sql_status(&sql);
    if (st == STATUS_OK)
        st = store_tx_exec_sql(tx, &sql, NULL);
    if (st == STATUS_CONFLICT)
        return resource__conflict(tx, info->contract, NULL, &op->id, op->pointer);
    const struct resource_engine *engine = op->call->engine;
    if (st == STATUS_OK && engine->on_delete)
        st = engine->on_delete(engine->on_delete_arg, tx, info->contract, &op->id);
    op->status = 204;
    op->version = current.version;
    return st;
}

static enum status execute_restore(struct resource_op *op, struct store_tx *tx)
{
    struct current current = { .values = NULL };
    enum status st = read_current(op, tx, CONTRACT_UPDATE, &current);
    if (st == STATUS_OK && current.deleted)
        st = update(op, tx, &current);
    return st == STATUS_OK ? read_changed(op, tx) : st;
}

/* -- an operation
 * --------------------------------------------------------------------------------------------------
 */

enum status resource__op_prepare(struct resource_op *op)
{
    enum status st = STATUS_OK;
    switch (op->verb) {
    case RESOURCE_CREATE:
        st = prepare_create(op);
        break;
    case RESOURCE_REPLACE:
        st = validate(op, op->body, CONTRACT_MODE_REPLACE, NULL);
        break;
    case RESOURCE_MERGE:
        if (needs_stored(op))
            return STATUS_OK; /* inside the transaction */
        st = validate(op, op->body, CONTRACT_MODE_PATCH, NULL);
        break;
    case RESOURCE_PATCH:
        return STATUS_OK;
    case RESOURCE_DELETE:
    case RESOURCE_RESTORE:
        break;
    }
    op->is_prepared = st == STATUS_OK;
    return st;
}

enum status resource__op_execute(struct resource_op *op, struct store_tx *tx)
{
    op->arena = store_tx_arena(tx);
    op->problem = store_tx_problem(tx);
    switch (op->verb) {
    case RESOURCE_CREATE:
        return execute_create(op, tx);
    case RESOURCE_REPLACE:
    case RESOURCE_MERGE:
    case RESOURCE_PATCH:
        return execute_change(op, tx);
    case RESOURCE_DELETE:
        return execute_delete(op, tx);
    case RESOURCE_RESTORE:
        return execute_restore(op, tx);
    }
    return STATUS_INTERNAL;
}

enum status resource_tx_insert(struct store_tx *tx, const struct contract_row *row,
                               const struct uuid *id, struct uuid *ret_id)
{
    struct arena *arena = store_tx_arena(tx);
    /* An import calls this thousands of times in one transaction. */
    struct arena_mark mark = arena_mark(arena);
    struct resource_info info = { .contract = row->contract };
    enum status st = resource__info_begin(&info, arena);
    if (st != STATUS_OK)
        return st;
    struct uuid fresh;
    if (!id) {
        const struct store_value *created = &row->values[info.created_at->column];
        fresh = created->kind == STORE_I64 ? uuid_v7_at(created->as.i64) : uuid_v7();
        id = &fresh;
    }
    struct contract_row stamped = *row;
    size_t bytes = row->contract->columns_len * sizeof(*stamped.values);
    stamped.values = arena_alloc(arena, bytes);
    if (!stamped.values)
        return STATUS_EXHAUSTED;
    memcpy(stamped.values, row->values, bytes);
    resource__row_stamp(&info, &stamped, id, clock_wall_us());
    st = resource__insert(tx, &info, &stamped, SLICE_NULL);
    if (st == STATUS_OK && ret_id)
        *ret_id = *id;
    if (st == STATUS_OK) /* else the words of the problem live there */
        arena_rewind(arena, mark);
    return st == STATUS_INVALID ? STATUS_CONFLICT : st;
}
