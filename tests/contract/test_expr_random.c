/*
 * Thousands of random expressions over random rows: the evaluator and SQLite must agree on every
 * one, the statement for a candidate row must agree with both, and the negation must be the exact
 * opposite.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "contract/sql.h"
#include "fiber/task.h"
#include "model.h"
#include "store/store.h"

#define ROWS 40
#define OTHERS 6
#define NOW_US INT64_C(1700000000000000)

struct fixture {
    struct model *m;
    struct contract *things;
    sqlite3 *db;
    struct contract_row rows[ROWS];
    struct task_caller user;
};

static uint64_t seed = 88172645463325252u;

static unsigned pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 11) % n);
}

#define PICK(array) ((array)[pick((unsigned)ARRAY_LEN(array))])

/* -- rows ---------------------------------------------------------------------------------------
 */

static const int64_t integers[] = { 0,
                                    1,
                                    -1,
                                    2,
                                    3,
                                    7,
                                    10,
                                    -5,
                                    9007199254740993,
                                    -9007199254740993,
                                    INT64_MAX,
                                    INT64_MIN,
                                    INT64_MAX - 1,
                                    1000000,
                                    4611686018427387904 };
static const double doubles[] = { 0,
                                  0.5,
                                  -0.5,
                                  1,
                                  2,
                                  3,
                                  1e300,
                                  -1e300,
                                  9007199254740992.0,
                                  1e-300,
                                  0.1,
                                  9223372036854775808.0,
                                  -9223372036854775808.0,
                                  7 };
static const char *const texts[] = { "",        "a",     "A",  "ab",  "b",          "\u00e4",
                                     "\u00c4b", "a%b",   "a_", "abc", "\U0001F600", "\u00e9\u00e8",
                                     "~",       "a~",    "'",  "\"",  "x\\y",       "a\nb",
                                     "2026",    "public" };
static const char *const enums[] = { "red", "green", "blue" };
static const char *const dates[] = { "2026-01-01", "2023-11-14", "1999-12-31" };
static const int64_t times[] = { NOW_US, NOW_US - 1000, NOW_US + 86400000000,
                                 0,      -1000,         NOW_US - 7 * 86400000000 };
static const char *const lists[] = { "[]", "[\"a\"]", "[\"a\",\"b\"]",
                                     "[\"\u00e4\",\"a\\\"b\",\"\\u00e9\"]", "[\"ab\",\"\"]" };
static const char *const number_lists[] = { "[]", "[1,2,3]", "[0,-1]", "[9007199254740993]",
                                            "[7]" };

static struct uuid ids[OTHERS];

static struct slice id_slice(unsigned i)
{
    return slice_of((const char *)ids[i].bytes, 16);
}

static struct store_value random_value(const struct contract_column *column)
{
    const struct contract_field *f = column->field;
    if (!column->not_null && pick(4) == 0)
        return store_null();
    switch (f->type) {
    case CONTRACT_INTEGER:
        return store_i64(PICK(integers));
    case CONTRACT_NUMBER:
        return store_double(PICK(doubles));
    case CONTRACT_BOOLEAN:
        return store_i64(pick(2));
    case CONTRACT_TIME:
        return store_i64(PICK(times));
    case CONTRACT_DATE:
        return store_text(slice_cstr(PICK(dates)));
    case CONTRACT_ENUM:
        return store_text(slice_cstr(PICK(enums)));
    case CONTRACT_UUID:
    case CONTRACT_REF:
        return store_blob(id_slice(pick(OTHERS)));
    case CONTRACT_LIST:
        return store_text(
            slice_cstr(f->of->type == CONTRACT_INTEGER ? PICK(number_lists) : PICK(lists)));
    default:
        return store_text(slice_cstr(PICK(texts)));
    }
}

static void bind_value(sqlite3_stmt *stmt, int at, const struct store_value *v)
{
    static const char empty[] = "";
    const char *data = v->as.bytes.data ? v->as.bytes.data : empty;
    switch (v->kind) {
    case STORE_I64:
        sqlite3_bind_int64(stmt, at, v->as.i64);
        return;
    case STORE_DOUBLE:
        sqlite3_bind_double(stmt, at, v->as.real);
        return;
    case STORE_TEXT:
        sqlite3_bind_text(stmt, at, data, (int)v->as.bytes.len, SQLITE_STATIC);
        return;
    case STORE_BLOB:
        sqlite3_bind_blob(stmt, at, data, (int)v->as.bytes.len, SQLITE_STATIC);
        return;
    default:
        sqlite3_bind_null(stmt, at);
    }
}

static sqlite3_stmt *prepare(sqlite3 *db, struct slice text, const struct store_value *values,
                             unsigned len)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, text.data, (int)text.len, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s\n%.*s", sqlite3_errmsg(db), SLICE_ARG(text));
    for (unsigned i = 0; i < len; i++)
        bind_value(stmt, (int)i + 1, &values[i]);
    return stmt;
}

static void insert(sqlite3 *db, const struct contract *c, const struct store_value *values)
{
    struct buf sql;
    buf_init(&sql, NULL, 0, 1 << 16);
    buf_printf(&sql, "INSERT INTO %.*s VALUES (NULL", SLICE_ARG(c->name));
    for (unsigned i = 0; i < c->columns_len; i++)
        buf_printf(&sql, ", $%u", i + 1);
    buf_put_lit(&sql, ")");
    sqlite3_stmt *stmt = prepare(db, buf_slice(&sql), values, c->columns_len);
    if (sqlite3_step(stmt) != SQLITE_DONE)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    buf_fini(&sql);
}

static void fill(struct fixture *f, struct contract *c, unsigned rows, struct contract_row *keep)
{
    for (unsigned r = 0; r < rows; r++) {
        struct store_value *values =
            arena_array_of(f->m->arena, struct store_value, c->columns_len);
        for (unsigned i = 0; i < c->columns_len; i++)
            values[i] = random_value(&c->columns[i]);
        struct uuid *id = arena_new_of(f->m->arena, struct uuid);
        *id = keep ? uuid_v7() : ids[r];
        values[0] = store_blob(slice_of((const char *)id->bytes, 16));
        const struct contract_field *price = model_field_find(c, "price");
        if (values[price->column].kind == STORE_NULL ||
            values[price->column + 1].kind == STORE_NULL)
            values[price->column] = values[price->column + 1] = store_null();
        else {
            values[price->column] = store_i64(PICK(integers));
            values[price->column + 1] = store_text(SLICE("EUR"));
        }
        insert(f->db, c, values);
        if (keep)
            keep[r] = (struct contract_row){ .contract = c, .values = values };
    }
}

static void fields_add(struct model *m, struct contract *c, struct contract *others)
{
    model_field(m, c, "i", CONTRACT_INTEGER);
    model_required(model_field(m, c, "n", CONTRACT_INTEGER));
    model_field(m, c, "d", CONTRACT_NUMBER);
    model_field(m, c, "b", CONTRACT_BOOLEAN);
    model_required(model_field(m, c, "c", CONTRACT_BOOLEAN));
    model_field(m, c, "s", CONTRACT_STRING);
    model_required(model_field(m, c, "t", CONTRACT_TEXT));
    model_enum(m, c, "e", "red green blue");
    model_field(m, c, "at", CONTRACT_TIME);
    model_field(m, c, "day", CONTRACT_DATE);
    model_field(m, c, "u", CONTRACT_UUID);
    model_ref(m, c, "r", others, CONTRACT_SET_NULL);
    model_field(m, c, "price", CONTRACT_MONEY);
    model_list(m, c, "l", CONTRACT_STRING);
    model_list(m, c, "k", CONTRACT_STRING);
    model_list(m, c, "ln", CONTRACT_INTEGER);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct model *m = f->m = model_new();
    for (unsigned i = 0; i < OTHERS; i++)
        ids[i] = uuid_v7_at(NOW_US + i);
    struct contract *others = model_contract(m, "others");
    fields_add(m, others, others);
    struct contract *things = f->things = model_contract(m, "things");
    fields_add(m, things, others);
    model_index(m, things, CONTRACT_INDEX_CONTAINS, false, "l");
    model_index(m, others, CONTRACT_INDEX_CONTAINS, false, "l");
    static const char *const indexed[] = { "i", "d", "s", "at", "u", "r", "day" };
    for (size_t i = 0; i < ARRAY_LEN(indexed); i++)
        model_index(m, things, CONTRACT_INDEX_ORDER, false, indexed[i]);
    model_finish(m);
    model_rule(m, others, CONTRACT_READ, "b != true || s == null");
    struct buf schema;
    buf_init(&schema, m->arena, 0, 1 << 20);
    contract_sql_schema(&m->set, &schema);
    buf_putc(&schema, '\0');
    assert_int_equal(sqlite3_open(":memory:", &f->db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(f->db, schema.data, NULL, NULL, NULL), SQLITE_OK);
    fill(f, others, OTHERS, NULL);
    fill(f, things, ROWS, f->rows);
    static const struct slice roles[] = { SLICE_INIT("a"), SLICE_INIT("public"),
                                          SLICE_INIT("\u00e4") };
    f->user =
        (struct task_caller){ .has_user = true, .user = ids[2], .roles = roles, .roles_len = 3 };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sqlite3_close(f->db);
    model_free(f->m);
    free(f);
    return 0;
}

/* -- expressions --------------------------------------------------------------------------------
 */

static void put_text(struct buf *out, const char *text)
{
    buf_putc(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_putc(out, '\\');
        if (*text == '\n')
            buf_put_lit(out, "\\n");
        else
            buf_putc(out, *text);
    }
    buf_putc(out, '"');
}

static void put_id(struct buf *out, unsigned i)
{
    char text[UUID_TEXT_LEN];
    uuid_format(&ids[i], text);
    buf_printf(out, "\"%.*s\"", UUID_TEXT_LEN, text);
}

static void gen_condition(struct buf *out, int depth);

/* One of a type's fields, of the row itself or of the row it refers to. */
static void gen_field(struct buf *out, const char *name)
{
    if (pick(8) == 0)
        buf_put_lit(out, "r.");
    buf_put_cstr(out, name);
}

static void gen_between(struct buf *out, void (*gen)(struct buf *, int), const char *op, int depth)
{
    buf_putc(out, '(');
    gen(out, depth - 1);
    buf_put_cstr(out, op);
    gen(out, depth - 1);
    buf_putc(out, ')');
}

static void gen_ternary(struct buf *out, void (*gen)(struct buf *, int), int depth)
{
    buf_putc(out, '(');
    gen_condition(out, depth - 1);
    buf_put_lit(out, " ? ");
    if (pick(6) == 0)
        buf_put_lit(out, "null");
    else
        gen(out, depth - 1);
    buf_put_lit(out, " : ");
    gen(out, depth - 1);
    buf_putc(out, ')');
}

static void gen_text(struct buf *out, int depth)
{
    static const char *const fields[] = { "s", "t", "e", "price.currency" };
    switch (pick(depth > 0 ? 6 : 4)) {
    case 0:
    case 1:
        put_text(out, PICK(texts));
        return;
    case 2:
    case 3:
        gen_field(out, fields[pick(2)]);
        return;
    case 4:
        gen_text(out, depth - 1);
        buf_put_lit(out, ".lowerAscii()");
        return;
    default:
        gen_ternary(out, gen_text, depth);
    }
}

static void gen_number(struct buf *out, int depth)
{
    static const char *const fields[] = { "i", "n", "d", "price.amount_minor", "version" };
    static const char *const operators[] = { " + ", " - ", " * ", " / ", " % " };
    double d;
    switch (pick(depth > 0 ? 9 : 5)) {
    case 0:
        buf_put_i64(out, pick(3) ? (int64_t)pick(12) - 2 : PICK(integers));
        return;
    case 1:
        d = PICK(doubles);
        buf_printf(out, "%.17e", d);
        return;
    case 2:
    case 3:
    case 4:
        gen_field(out, PICK(fields));
        return;
    case 5:
        buf_put_lit(out, "-");
        gen_between(out, gen_number, " + ", depth);
        return;
    case 6:
        gen_ternary(out, gen_number, depth);
        return;
    case 7:
        if (pick(2)) {
            static const char *const lists_of[] = { "l", "k", "ln", "@roles" };
            buf_printf(out, "size(%s)", PICK(lists_of));
        } else {
            buf_put_lit(out, "size(");
            gen_text(out, depth - 1);
            buf_putc(out, ')');
        }
        return;
    default:
        gen_between(out, gen_number, PICK(operators), depth);
    }
}

static void gen_span(struct buf *out, int depth);

static void gen_time(struct buf *out, int depth)
{
    char text[CLOCK_RFC3339_LEN];
    switch (pick(depth > 0 ? 6 : 4)) {
    case 0:
        clock_format_rfc3339(PICK(times), text);
        buf_printf(out, "timestamp(\"%.*s\")", CLOCK_RFC3339_LEN, text);
        return;
    case 1:
        buf_put_lit(out, "@now");
        return;
    case 2:
    case 3:
        gen_field(out, pick(2) ? "at" : "created_at");
        return;
    case 4:
        gen_ternary(out, gen_time, depth);
        return;
    default:
        buf_putc(out, '(');
        gen_time(out, depth - 1);
        buf_put_cstr(out, pick(2) ? " + " : " - ");
        gen_span(out, depth - 1);
        buf_putc(out, ')');
    }
}

static void gen_span(struct buf *out, int depth)
{
    static const char *const spans[] = { "1ms", "0s", "24h", "7d", "5m" };
    switch (pick(depth > 0 ? 4 : 1)) {
    case 0:
        buf_printf(out, "duration(\"%s\")", PICK(spans));
        return;
    case 1:
        gen_between(out, gen_time, " - ", depth);
        return;
    case 2:
        buf_putc(out, '-');
        gen_between(out, gen_span, " - ", depth);
        return;
    default:
        gen_between(out, gen_span, " + ", depth);
    }
}

static void gen_uuid(struct buf *out, int depth)
{
    switch (pick(depth > 0 ? 6 : 4)) {
    case 0:
        put_id(out, pick(OTHERS));
        return;
    case 1:
        buf_put_lit(out, "@user");
        return;
    case 2:
        gen_field(out, "u");
        return;
    case 3:
    case 4:
        gen_field(out, "r");
        return;
    default:
        gen_ternary(out, gen_uuid, depth);
    }
}

static void gen_date(struct buf *out, int depth)
{
    (void)depth;
    if (pick(2))
        gen_field(out, "day");
    else
        put_text(out, PICK(dates));
}

static void gen_compare(struct buf *out, int depth)
{
    static void (*const kinds[])(struct buf *, int) = { gen_number, gen_number, gen_text, gen_time,
                                                        gen_span,   gen_uuid,   gen_date };
    static const char *const operators[] = { " == ", " != ", " < ", " <= ", " > ", " >= " };
    gen_between(out, PICK(kinds), PICK(operators), depth);
}

static void gen_list(struct buf *out, int depth)
{
    switch (pick(6)) {
    case 0:
        buf_put_lit(out, "(\"a\" in ");
        gen_field(out, pick(2) ? "l" : "k");
        buf_putc(out, ')');
        return;
    case 1:
        buf_printf(out, "%s.contains(s)", pick(2) ? "l" : "k");
        return;
    case 2:
        buf_printf(out, "(%s in ln)", pick(2) ? "n" : "i");
        return;
    case 3:
        buf_put_lit(out, "(s in @roles)");
        return;
    case 4:
        buf_put_lit(out, "(@user in [r, u, ");
        put_id(out, pick(OTHERS));
        buf_put_lit(out, "])");
        return;
    default:
        buf_putc(out, '(');
        gen_text(out, depth - 1);
        buf_put_lit(out, " in [");
        for (unsigned i = pick(4); i > 0; i--) {
            put_text(out, PICK(texts));
            buf_put_cstr(out, ",");
        }
        buf_put_lit(out, "s])");
    }
}

static void gen_null_test(struct buf *out)
{
    static const char *const fields[] = { "i",     "s", "at", "r", "u",
                                          "price", "l", "b",  "n", "price.currency",
                                          "r.s" };
    static const char *const forms[] = { "(%s == null)", "(%s != null)", "has(%s)", "!has(%s)" };
    const char *form = PICK(forms), *field = PICK(fields);
    for (; *form; form++) {
        if (form[0] == '%') {
            buf_put_cstr(out, field);
            form++;
        } else {
            buf_putc(out, *form);
        }
    }
}

static void gen_exists(struct buf *out, int depth)
{
    static const char *const links[] = { "id == things.r", "u == things.u", "s == things.s",
                                         "n > things.n", "r == @user" };
    buf_printf(out, "exists(others, %s", PICK(links));
    if (pick(2)) {
        buf_put_cstr(out, pick(2) ? " && " : " || ");
        gen_compare(out, depth - 1);
    }
    buf_putc(out, ')');
}

static void gen_condition(struct buf *out, int depth)
{
    static const char *const methods[] = { "startsWith", "endsWith", "contains" };
    if (depth <= 0) {
        static const char *const leaves[] = { "b",     "c",          "r.b", "true",
                                              "false", "b == false", "!b",  "e == \"red\"" };
        buf_put_cstr(out, PICK(leaves));
        return;
    }
    switch (pick(14)) {
    case 0:
    case 1:
    case 2:
        gen_between(out, gen_condition, pick(2) ? " && " : " || ", depth);
        return;
    case 3:
        buf_putc(out, '!');
        gen_between(out, gen_condition, pick(2) ? " && " : " || ", depth);
        return;
    case 4:
        gen_between(out, gen_condition, pick(2) ? " == " : " != ", depth);
        return;
    case 5:
        gen_text(out, depth - 1);
        buf_printf(out, ".%s(", PICK(methods));
        gen_text(out, 0);
        buf_putc(out, ')');
        return;
    case 6:
        gen_list(out, depth);
        return;
    case 7:
        gen_null_test(out);
        return;
    case 8:
        gen_exists(out, depth);
        return;
    case 9:
        gen_ternary(out, gen_condition, depth);
        return;
    default:
        gen_compare(out, depth);
    }
}

/* -- agreement ----------------------------------------------------------------------------------
 */

static void sql_answers(struct fixture *f, const struct expr *expr,
                        const struct expr_context *context, struct arena *arena, bool answers[ROWS])
{
    struct store_sql sql;
    store_sql_init(&sql, arena);
    store_sql_lit(&sql, "SELECT t._row FROM things AS t WHERE ");
    expr_emit(expr, context, SLICE("t"), &sql);
    assert_int_equal(store_sql_status(&sql), STATUS_OK);
    sqlite3_stmt *stmt = prepare(f->db, buf_slice(&sql.text), sql.values, sql.values_len);
    memset(answers, 0, ROWS * sizeof(bool));
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        answers[sqlite3_column_int64(stmt, 0) - 1] = true;
    if (rc != SQLITE_DONE)
        fail_msg("%s\n%.*s", sqlite3_errmsg(f->db), SLICE_ARG(buf_slice(&sql.text)));
    sqlite3_finalize(stmt);
}

static bool row_answer(struct fixture *f, const struct expr *expr,
                       const struct expr_context *context, struct arena *arena)
{
    struct store_sql sql;
    store_sql_init(&sql, arena);
    store_sql_lit(&sql, "SELECT ");
    expr_emit_row(expr, context, &sql);
    assert_int_equal(store_sql_status(&sql), STATUS_OK);
    sqlite3_stmt *stmt = prepare(f->db, buf_slice(&sql.text), sql.values, sql.values_len);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    bool answer = sqlite3_column_int(stmt, 0) != 0;
    sqlite3_finalize(stmt);
    return answer;
}

/* As a trigger or partial index would have it; nothing when it speaks of more than the row. */
static void ddl_answers(struct fixture *f, struct slice text, struct arena *arena,
                        bool answers[ROWS])
{
    struct expr *expr = NULL;
    struct expr_error error;
    if (expr_compile(&f->m->set, f->things, text, EXPR_INDEX, arena, &expr, &error) != STATUS_OK)
        return;
    struct buf sql;
    buf_init(&sql, arena, 0, 1 << 20);
    buf_put_lit(&sql, "SELECT t._row FROM things AS t WHERE ");
    expr_emit_ddl(expr, SLICE("t."), &sql);
    sqlite3_stmt *stmt = prepare(f->db, buf_slice(&sql), NULL, 0);
    memset(answers, 0, ROWS * sizeof(bool));
    while (sqlite3_step(stmt) == SQLITE_ROW)
        answers[sqlite3_column_int64(stmt, 0) - 1] = true;
    sqlite3_finalize(stmt);
}

static struct slice sql_of(const struct expr *expr, const struct expr_context *context,
                           struct arena *arena)
{
    struct store_sql sql;
    store_sql_init(&sql, arena);
    expr_emit(expr, context, SLICE("t"), &sql);
    return buf_slice(&sql.text);
}

/* True when the expression compiled (some literals overflow, some ids are of the wrong resource).
 */
static bool check_one(struct fixture *f, struct slice text, enum expr_use use, unsigned *asked)
{
    struct arena *arena = arena_new(NULL, 0);
    struct expr *expr = NULL, *opposite = NULL, *again = NULL;
    struct expr_error error;
    enum status st = expr_compile(&f->m->set, f->things, text, use, arena, &expr, &error);
    if (st != STATUS_OK) {
        arena_free(arena);
        return false;
    }
    struct buf printed;
    buf_init(&printed, arena, 0, 1 << 16);
    expr_print(expr, &printed);
    struct slice negated = arena_printf(arena, "!(%.*s)", SLICE_ARG(text));
    st = expr_compile(&f->m->set, f->things, negated, use, arena, &opposite, &error);
    if (st == STATUS_TOO_LARGE)
        opposite = NULL;
    st = expr_compile(&f->m->set, f->things, buf_slice(&printed), use, arena, &again, &error);
    if (st != STATUS_OK && st != STATUS_TOO_LARGE)
        fail_msg("%.*s\nprints as\n%.*s\n%zu: %s", SLICE_ARG(text), SLICE_ARG(buf_slice(&printed)),
                 error.offset, error.reason);
    struct expr_context context = { .caller = pick(4) ? &f->user : NULL, .now_us = NOW_US };
    bool yes[ROWS], no[ROWS], same[ROWS];
    sql_answers(f, expr, &context, arena, yes);
    sql_answers(f, opposite ? opposite : expr, &context, arena, no);
    sql_answers(f, again ? again : expr, &context, arena, same);
    ddl_answers(f, text, arena, same);
    for (unsigned r = 0; r < ROWS; r++) {
        context.row = &f->rows[r];
        enum expr_answer answer = expr_decide(expr, &context);
        *asked += answer == EXPR_ASK;
        bool candidate = row_answer(f, expr, &context, arena);
        bool wrong = (answer != EXPR_ASK && (answer == EXPR_YES) != yes[r]) ||
                     candidate != yes[r] || (opposite && no[r] == yes[r]) || same[r] != yes[r];
        context.row = NULL;
        if (wrong)
            fail_msg("row %u: sql %d, decided %d, as candidate %d, negated %d, printed "
                     "%d\n%.*s\n%.*s\n%.*s",
                     r + 1, yes[r], answer, candidate, no[r], same[r], SLICE_ARG(text),
                     SLICE_ARG(sql_of(expr, &context, arena)),
                     SLICE_ARG(sql_of(opposite ? opposite : expr, &context, arena)));
    }
    arena_free(arena);
    return true;
}

static void test_expr_agrees_with_sqlite(void **state)
{
    struct fixture *f = *state;
    const char *rounds = getenv("TEST_ROUNDS");
    unsigned total = rounds ? (unsigned)strtoul(rounds, NULL, 10) : 4000, compiled = 0, asked = 0;
    for (unsigned i = 0; i < total; i++) {
        struct buf text;
        buf_init(&text, NULL, 0, 1 << 20);
        gen_condition(&text, 1 + (int)pick(4));
        compiled += check_one(f, buf_slice(&text), pick(2) ? EXPR_RULE : EXPR_FILTER, &asked);
        buf_fini(&text);
    }
    print_message("%u of %u compiled, %u questions left to the database\n", compiled, total, asked);
    assert_true(compiled > total / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expr_agrees_with_sqlite),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
