/*
 * fuzz/fuzz_expr.c - Text of rules and filters. What compiles must become SQL that SQLite prepares
 * and runs, must print as text that compiles to the same print, and must be decided without a
 * crash.
 */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/diag.h"
#include "contract/contract.h"
#include "contract/expr.h"
#include "contract/sql.h"
#include "fiber/task.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char users[] = "resource: users\n"
                            "fields:\n"
                            "  name: { type: string, required: true }\n"
                            "  secret: { type: string, writeonly: true, optional: true }\n"
                            "  born: { type: date, optional: true }\n"
                            "rules: { read: '@user != null || name == \"public\"' }\n";
static const char posts[] = "resource: posts\n"
                            "soft_delete: true\n"
                            "fields:\n"
                            "  author: { ref: users, optional: true }\n"
                            "  title: { type: string, required: true }\n"
                            "  body: { type: text, optional: true }\n"
                            "  tags: { type: list, of: string, optional: true }\n"
                            "  readers: { type: list, of: uuid, optional: true }\n"
                            "  kind: { enum: [red, green], default: red }\n"
                            "  price: { type: money, optional: true }\n"
                            "  score: { type: integer, default: 0 }\n"
                            "  rating: { type: number, optional: true }\n"
                            "  pinned: { type: boolean, optional: true }\n"
                            "  parent: { ref: posts, optional: true, on_delete: cascade }\n"
                            "  replies: { count: posts.parent }\n"
                            "  extra: { type: json, optional: true }\n"
                            "indexes: [ { on: [tags], kind: contains }, [author, -created_at] ]\n"
                            "rules: { read: 'author == @user || exists(users, id == author)' }\n";

static struct contract_set *set;
static sqlite3 *db;

static void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_expr: %s\n", what);
    abort();
}

static void start(void)
{
    const struct contract_source sources[] = {
        { .file = SLICE("users.yaml"), .text = slice_of(users, sizeof(users) - 1) },
        { .file = SLICE("posts.yaml"), .text = slice_of(posts, sizeof(posts) - 1) },
    };
    struct arena *arena = arena_new(NULL, 0);
    struct diag diag;
    diag_init(&diag, arena);
    enum status st = contract_set_parse(sources, 2, &diag, &set);
    if (st != STATUS_OK && diag.len)
        fprintf(stderr, "%.*s\n", SLICE_ARG(diag.items[0].message));
    must(st == STATUS_OK, "the contracts");
    struct buf schema;
    buf_init(&schema, arena, 0, (size_t)1 << 20);
    contract_sql_schema(set, &schema);
    buf_putc(&schema, '\0');
    must(sqlite3_open(":memory:", &db) == SQLITE_OK, "the database");
    must(sqlite3_exec(db, schema.data, NULL, NULL, NULL) == SQLITE_OK, "the schema");
    must(
        sqlite3_exec(
            db,
            "INSERT INTO users (id, created_at, updated_at, name) VALUES (zeroblob(16), 1, 1, 'a');"
            "INSERT INTO posts (id, created_at, updated_at, title, tags, replies)"
            " VALUES (zeroblob(16), 1, 1, 't', '[\"x\"]', 0)",
            NULL, NULL, NULL) == SQLITE_OK,
        sqlite3_errmsg(db));
    arena_free(arena);
}

static void run(const struct store_sql *sql)
{
    /* What is too large for a statement is refused before it gets to the database. */
    if (store_sql_status(sql) != STATUS_OK)
        return;
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql->text.data, (int)sql->text.len, &stmt, NULL);
    if (rc != SQLITE_OK)
        fprintf(stderr, "%.*s\n", SLICE_ARG(buf_slice(&sql->text)));
    must(rc == SQLITE_OK, sqlite3_errmsg(db));
    must(sqlite3_bind_parameter_count(stmt) == (int)sql->values_len, "a value is missing");
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        continue;
    must(rc == SQLITE_DONE, sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
}

static void use(const struct expr *expr, const struct expr_context *context, struct arena *arena)
{
    (void)expr_decide(expr, context);
    struct store_sql sql;
    store_sql_init(&sql, arena);
    store_sql_lit(&sql, "SELECT t.id FROM posts AS t WHERE ");
    expr_emit(expr, context, SLICE("t"), &sql);
    run(&sql);
}

static enum status ask(void *arg, const struct store_sql *sql, bool *ret_yes)
{
    (void)arg;
    run(sql);
    *ret_yes = false;
    return STATUS_OK;
}

static void name(void *arg, enum expr_name kind, struct slice text, size_t offset)
{
    (void)kind;
    must(text.len <= *(const size_t *)arg && offset < *(const size_t *)arg, "a name is elsewhere");
}

/* What is decided without the database, its parts say as well. */
static void trace(const struct expr *expr, const struct expr_context *context, struct arena *arena)
{
    struct expr_step *steps;
    unsigned len = 0;
    must(expr_trace(expr, context, arena, ask, NULL, &steps, &len) == STATUS_OK && len > 0,
         "no trace");
    enum expr_answer answer = expr_decide(expr, context);
    must(answer == EXPR_ASK || steps[0].answer == answer, "the parts say something else");
}

static void try(struct slice text, enum expr_use kind)
{
    struct arena *arena = arena_new(NULL, 0);
    struct expr *expr = NULL, *again = NULL;
    struct expr_error error;
    struct contract *contract = contract_find(set, SLICE("posts"));
    enum status st = expr_compile(set, contract, text, kind, arena, &expr, &error);
    if (st == STATUS_OK) {
        static const struct slice role = SLICE_INIT("red");
        const struct task_caller caller = { .has_user = true, .roles = &role, .roles_len = 1 };
        struct buf first, second;
        buf_init(&first, arena, 0, (size_t)1 << 20);
        buf_init(&second, arena, 0, (size_t)1 << 20);
        use(expr, &(struct expr_context){ .now_us = 1 }, arena);
        use(expr, &(struct expr_context){ .now_us = 1, .caller = &caller }, arena);
        trace(expr, &(struct expr_context){ .now_us = 1, .caller = &caller }, arena);
        expr_names(expr, name, &text.len);
        expr_print(expr, &first);
        st = expr_compile(set, contract, buf_slice(&first), kind, arena, &again, &error);
        /* Printing may make a text longer (escapes, spaces, units), never wrong. */
        must(st == STATUS_OK || st == STATUS_TOO_LARGE, error.reason);
        if (st == STATUS_OK) {
            expr_print(again, &second);
            must(slice_eq(buf_slice(&first), buf_slice(&second)), "the print is not stable");
        }
    } else {
        must(*error.reason != '\0' && error.offset <= text.len, "an error without reason or place");
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (set == NULL)
        start();
    struct slice text = slice_of((const char *)data, size);
    try(text, EXPR_FILTER);
    try(text, EXPR_RULE);
    try(text, EXPR_INDEX);
    return 0;
}
