/*
 * Random changes of random contracts, on a database with rows: up, down, up again. Rows stay, what
 * triggers keep is right, and nothing differs afterwards.
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
#include "base/macros.h"
#include "database.h"
#include "model.h"

#define FIELDS 7
#define TABLES 3

struct chance_field {
    bool there, required, has_default, breaks, wide, indexed, searched, listed;
    enum contract_type type;
};
struct chance_table {
    bool there, soft_delete, counts, counts_some;
    struct chance_field fields[FIELDS];
};
struct chance {
    struct chance_table tables[TABLES];
};

static uint64_t seed;
static unsigned pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}
static bool coin(void)
{
    return pick(2) == 0;
}

/* The values are digits, so that these turn into each other. */
static const enum contract_type plain_types[] = { CONTRACT_STRING, CONTRACT_INTEGER,
                                                  CONTRACT_NUMBER, CONTRACT_TEXT };

static void chance_field_pick(struct chance_field *f)
{
    *f = (struct chance_field){ .there = true,
                                .has_default = coin(),
                                .wide = coin(),
                                .indexed = coin(),
                                .searched = coin(),
                                .listed = coin() };
    f->required = f->has_default && coin();
    f->breaks = coin();
    f->type = pick(4) ? plain_types[pick(4)] : CONTRACT_LIST;
}

static void chance_init(struct chance *x)
{
    memset(x, 0, sizeof(*x));
    for (unsigned t = 0; t < TABLES; t++) {
        x->tables[t].there = t < 2 || coin();
        x->tables[t].soft_delete = coin();
        x->tables[t].counts = coin();
        for (unsigned f = 0; f < FIELDS; f++)
            if (coin())
                chance_field_pick(&x->tables[t].fields[f]);
    }
}

static void chance_change(struct chance *x)
{
    unsigned changes = 1 + pick(4);
    for (unsigned i = 0; i < changes; i++) {
        struct chance_table *t = &x->tables[pick(TABLES)];
        struct chance_field *f = &t->fields[pick(FIELDS)];
        switch (pick(9)) {
        case 0:
            x->tables[TABLES - 1].there = !x->tables[TABLES - 1].there;
            break;
        case 1:
            t->soft_delete = !t->soft_delete;
            break;
        case 2:
            t->counts = !t->counts;
            break;
        case 3:
            t->counts_some = !t->counts_some;
            break;
        case 4:
            f->wide = !f->wide;
            break;
        case 5:
            f->indexed = !f->indexed;
            f->searched = coin();
            break;
        case 6:
            if (f->there && f->type != CONTRACT_LIST)
                f->type = plain_types[pick(4)];
            break;
        case 7:
            if (f->there && f->has_default)
                f->required = !f->required;
            break;
        default:
            if (f->there)
                f->there = false;
            else
                chance_field_pick(f);
        }
    }
}

static void chance_field_build(struct model *m, struct contract *c, const struct chance_field *f,
                               const char *name)
{
    struct contract_field *field = f->type == CONTRACT_LIST
                                       ? model_list(m, c, name, CONTRACT_STRING)
                                       : model_field(m, c, name, f->type);
    bool is_text = f->type == CONTRACT_STRING || f->type == CONTRACT_TEXT;
    if (f->has_default)
        model_default(field, f->type == CONTRACT_LIST ? json_pack("[s]", "7")
                             : is_text ? json_string(f->breaks && !f->wide ? "7\n;--" : "7")
                                       : json_integer(7));
    field->nullable = !f->required;
    if (f->wide && f->type != CONTRACT_LIST) {
        field->has_min = field->has_max = true;
        field->min_i64 = is_text ? 1 : 0;
        field->max_i64 = 9;
        field->min_double = 0;
        field->max_double = 9;
    }
    if (f->indexed && f->type != CONTRACT_LIST)
        model_index(m, c, CONTRACT_INDEX_ORDER, false, name)->where_text =
            f->listed ? SLICE("version > 0") : SLICE("");
    if (f->listed && f->type == CONTRACT_LIST)
        model_index(m, c, CONTRACT_INDEX_CONTAINS, false, name);
}

static const char *const table_names[TABLES] = { "alpha", "beta", "gamma" };

static struct model *chance_build(const struct chance *x)
{
    struct model *m = model_new();
    struct contract *tables[TABLES] = { NULL };
    for (unsigned t = 0; t < TABLES; t++)
        if (x->tables[t].there)
            tables[t] = model_contract(m, table_names[t]);
    for (unsigned t = 0; t < TABLES; t++) {
        struct contract *c = tables[t];
        if (c == NULL)
            continue;
        char searched[64] = "";
        c->soft_delete = x->tables[t].soft_delete;
        model_ref(m, c, "up", tables[t ? t - 1 : 0], CONTRACT_CASCADE);
        for (unsigned f = 0; f < FIELDS; f++) {
            const struct chance_field *field = &x->tables[t].fields[f];
            char name[8];
            snprintf(name, sizeof(name), "f%u", f);
            if (!field->there)
                continue;
            chance_field_build(m, c, field, name);
            if (field->searched && (field->type == CONTRACT_STRING || field->type == CONTRACT_LIST))
                snprintf(searched + strlen(searched), sizeof(searched) - strlen(searched), "%s%s",
                         *searched ? " " : "", name);
        }
        if (*searched)
            model_search(m, c, searched);
    }
    for (unsigned t = 0; t + 1 < TABLES; t++)
        if (tables[t] && tables[t + 1] && x->tables[t].counts)
            model_count(m, tables[t], "below", tables[t + 1], "up",
                        x->tables[t].counts_some ? "version == 1" : NULL);
    model_finish(m);
    return m;
}

static void put_random_value(struct buf *sql, const struct contract_column *column)
{
    if (!column->not_null && pick(4) == 0)
        buf_put_lit(sql, "NULL");
    else if (column->field->type == CONTRACT_LIST)
        buf_printf(sql, "'[\"%u\",\"%u\"]'", pick(4), pick(4));
    else
        buf_printf(sql, strcmp(column->sql_type, "TEXT") == 0 ? "'%u'" : "%u", 1 + pick(9));
}

static void insert_rows(sqlite3 *db, const struct model *m)
{
    for (unsigned t = 0; t < m->set.len; t++) {
        const struct contract *c = m->contracts[t];
        for (unsigned row = 0; row < 6; row++) {
            struct buf sql;
            buf_init(&sql, NULL, 0, 1 << 16);
            buf_printf(&sql, "INSERT INTO \"%.*s\" (id, created_at, updated_at, version",
                       SLICE_ARG(c->name));
            for (unsigned i = 0; i < c->columns_len; i++)
                if (!c->columns[i].field->system && c->columns[i].field->type != CONTRACT_COUNT)
                    buf_printf(&sql, ", \"%.*s\"", SLICE_ARG(c->columns[i].name));
            buf_printf(&sql, ") VALUES (randomblob(16), 1, 1, %u", 1 + pick(2));
            for (unsigned i = 0; i < c->columns_len; i++) {
                const struct contract_field *f = c->columns[i].field;
                if (f->system || f->type == CONTRACT_COUNT)
                    continue;
                buf_put_lit(&sql, ", ");
                if (f->type == CONTRACT_REF)
                    buf_printf(&sql, "(SELECT id FROM \"%.*s\" ORDER BY random() LIMIT 1)",
                               SLICE_ARG(f->ref->name));
                else
                    put_random_value(&sql, &c->columns[i]);
            }
            buf_put_lit(&sql, ")");
            buf_putc(&sql, '\0');
            database_run(db, sql.data);
            buf_fini(&sql);
        }
        if (c->soft_delete) {
            char sql[100];
            snprintf(sql, sizeof(sql), "UPDATE %.*s SET deleted_at = 1 WHERE random() %% 3 = 0",
                     SLICE_ARG(c->name));
            database_run(db, sql);
        }
    }
}

/* What triggers keep is what a computation from the rows gives. */
static void assert_kept(sqlite3 *db, const struct model *m)
{
    char sql[1000];
    for (unsigned t = 0; t < m->set.len; t++) {
        const struct contract *c = m->contracts[t];
        struct slice search = contract_sql_search_table(c, m->arena);
        if (search.len) {
            snprintf(sql, sizeof(sql),
                     "SELECT (SELECT count(*) FROM %.*s_docsize) = count(*) FROM %.*s%s",
                     SLICE_ARG(search), SLICE_ARG(c->name),
                     c->soft_delete ? " WHERE deleted_at IS NULL" : "");
            database_assert_answer(db, sql, "|1");
            snprintf(sql, sizeof(sql),
                     "INSERT INTO %.*s (%.*s, rank) VALUES ('integrity-check', %d)",
                     SLICE_ARG(search), SLICE_ARG(search), c->soft_delete ? 0 : 1);
            database_run(db, sql);
        }
        for (unsigned i = 0; i < c->fields_len; i++) {
            const struct contract_field *f = c->fields[i];
            struct slice side = contract_sql_list_table(c, f, m->arena);
            if (side.len) {
                snprintf(sql, sizeof(sql),
                         "SELECT (SELECT count(*) || coalesce(sum(row * value), '') FROM %.*s) = "
                         "count(*) || coalesce(sum(r * v), '') FROM (SELECT DISTINCT _row AS r, "
                         "value AS v "
                         "FROM %.*s, json_each(%.*s))",
                         SLICE_ARG(side), SLICE_ARG(c->name), SLICE_ARG(f->name));
                database_assert_answer(db, sql, "|1");
            }
            if (f->type == CONTRACT_COUNT) {
                snprintf(
                    sql, sizeof(sql),
                    "SELECT count(*) FROM %.*s t WHERE below <> (SELECT count(*) FROM %.*s b WHERE "
                    "b.up = t.id%s%s)",
                    SLICE_ARG(c->name), SLICE_ARG(f->ref->name),
                    f->ref->soft_delete ? " AND b.deleted_at IS NULL" : "",
                    f->count_where ? " AND b.version = 1" : "");
                database_assert_answer(db, sql, "|0");
            }
        }
    }
}

/* Contents of all columns that both sets define alike. */
static char *contents(sqlite3 *db, const struct model *a, const struct model *b)
{
    struct buf out;
    buf_init(&out, NULL, 0, 1 << 24);
    for (unsigned t = 0; t < a->set.len; t++) {
        const struct contract *c = a->contracts[t], *other = NULL;
        for (unsigned i = 0; i < b->set.len; i++)
            if (slice_eq(b->contracts[i]->name, c->name))
                other = b->contracts[i];
        for (unsigned i = 0; other && i < c->columns_len; i++)
            for (unsigned k = 0; k < other->columns_len; k++) {
                const struct contract_column *x = &c->columns[i], *y = &other->columns[k];
                if (!slice_eq(x->name, y->name) || strcmp(x->sql_type, y->sql_type) != 0 ||
                    x->not_null != y->not_null || x->field->type == CONTRACT_COUNT)
                    continue;
                char sql[300];
                snprintf(sql, sizeof(sql), "SELECT quote(%.*s) FROM %.*s ORDER BY _row",
                         SLICE_ARG(x->name), SLICE_ARG(c->name));
                char *values = database_ask(db, sql);
                buf_printf(&out, "%.*s: %s\n", SLICE_ARG(x->name), values);
                free(values);
            }
    }
    buf_putc(&out, '\0');
    return out.data;
}

static void assert_contents(sqlite3 *db, const struct model *a, const struct model *b,
                            const char *want)
{
    char *got = contents(db, a, b);
    assert_string_equal(got, want);
    free(got);
}

static void one_change(uint64_t number)
{
    seed = number * 0x9E3779B97F4A7C15u + 1;
    struct chance x;
    chance_init(&x);
    struct model *before = chance_build(&x);
    chance_change(&x);
    struct model *after = chance_build(&x);
    struct arena *arena = arena_new(NULL, 0);
    sqlite3 *db = database_new();
    struct contract_diff make, change, again;
    database_diff(db, &before->set, "", arena, &make);
    database_migrate(db, &make.up);
    insert_rows(db, before);
    assert_kept(db, before);
    char *want = contents(db, before, after);
    database_diff(db, &after->set, "", arena, &change);
    for (int round = 0; round < 2; round++) {
        database_migrate(db, &change.up);
        database_assert_sound(db);
        database_assert_same(db, after, arena);
        assert_contents(db, before, after, want);
        assert_kept(db, after);
        database_migrate(db, &change.down);
        database_assert_sound(db);
        database_assert_same(db, before, arena);
        assert_contents(db, before, after, want);
        assert_kept(db, before);
        database_diff(db, &after->set, "", arena, &again);
        assert_true(slice_eq(buf_slice(&again.up), buf_slice(&change.up)));
    }
    database_migrate(db, &change.up);
    insert_rows(db, after);
    assert_kept(db, after);
    free(want);
    sqlite3_close(db);
    arena_free(arena);
    model_free(before);
    model_free(after);
}

static void test_sql_survives_random_changes(void **state)
{
    (void)state;
    const char *only = getenv("TEST_SEED"), *rounds = getenv("TEST_ROUNDS");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1;
    uint64_t to = only ? from : rounds ? strtoull(rounds, NULL, 10) : 100;
    for (uint64_t i = from; i <= to; i++) {
        if (only == NULL && i % 50 == 0)
            print_message("%u changes\n", (unsigned)i);
        one_change(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sql_survives_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
