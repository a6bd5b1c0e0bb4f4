/*
 * purlin rules test: the cases of a file, over rows in a database of its own that is gone
 * afterwards. What is asked is what the engine asks (resource_decide). Answers are TAP: a line a
 * case and caller, and behind what fails, where it is said and why it came out otherwise.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "cmd/rules.h"
#include "cmd/rules_file.h"
#include "cmd/scratch.h"
#include "contract/sql.h"
#include "store/store.h"

#define OUT_BYTES_MAX ((size_t)16 << 20)
#define SCHEMA_BYTES_MAX ((size_t)16 << 20)

struct testing {
    struct rules_file file;
    unsigned number, failed;
};

/* -- the rows
 * ------------------------------------------------------------------------------------------ */

struct inserting {
    struct contract_row row;
    const struct rules_row *of;
};

static enum status insert(struct store_tx *tx, void *arg)
{
    struct inserting *i = arg;
    return resource_tx_insert(tx, &i->row, &i->of->id, NULL);
}

static bool put_row(struct task *task, struct app *app, const struct testing *t,
                    const struct rules_row *row)
{
    struct inserting inserting = { .of = row };
    const struct contract_input input = { .mode = CONTRACT_MODE_CREATE,
                                          .now_us = clock_wall_us(),
                                          .trusted = true };
    json_t *body = yaml_to_json(row->node, task_arena(task));
    enum status st = body ? contract_validate(row->contract, body, &input, task_arena(task),
                                              task_problem(task), &inserting.row, NULL)
                          : STATUS_EXHAUSTED;
    if (st == STATUS_OK)
        st = store_write(task, app->store, insert, &inserting);
    if (st == STATUS_OK)
        return true;
    (void)fprintf(stderr, "%.*s:%d:%d: the row %.*s/%.*s cannot be made\n", SLICE_ARG(t->file.path),
                  row->node->line, row->node->column, SLICE_ARG(row->contract->name),
                  SLICE_ARG(row->name));
    (void)cmd_print_problem("rules", task_problem(task));
    return false;
}

/* -- the cases
 * ----------------------------------------------------------------------------------------- */

static void put_name(const struct rules_case *c, const struct rules_caller *caller, struct buf *out)
{
    buf_printf(out, "%.*s", SLICE_ARG(c->contract->name));
    if (c->row)
        buf_printf(out, "/%.*s", SLICE_ARG(c->row->name));
    buf_printf(out, ": %.*s %.*s%s", SLICE_ARG(caller->name),
               SLICE_ARG(contract_action_name(c->action)),
               c->row && c->body ? " with changes" : "");
}

static void put_problem(const struct problem *problem, struct buf *out)
{
    buf_printf(out, "#   %.*s\n", SLICE_ARG(problem->detail));
    for (unsigned i = 0; i < problem->fields_len; i++)
        buf_printf(out, "#   %.*s: %.*s\n", SLICE_ARG(problem->fields[i].pointer),
                   SLICE_ARG(problem->fields[i].detail));
}

static void ask(struct task *task, struct app *app, struct testing *t, const struct rules_case *c,
                unsigned who, struct buf *out)
{
    const struct rules_caller *caller = &t->file.callers[who];
    bool wanted = (c->allowed >> who & 1) != 0;
    struct resource_decision decision = { .allowed = EXPR_NO };
    const struct resource_question q = {
        .contract = c->contract,
        .action = c->action,
        .caller = &caller->caller,
        .now_us = clock_wall_us(),
        .row = c->row ? &c->row->id : NULL,
        .body = c->body ? yaml_to_json(c->body, task_arena(task)) : NULL,
    };
    problem_clear(task_problem(task));
    enum status st =
        c->body && !q.body ? STATUS_EXHAUSTED : resource_decide(task, app->store, &q, &decision);
    bool allowed = st == STATUS_OK && decision.allowed == EXPR_YES;
    /* A body that is not valid is nobody's doing: the case is wrong, whatever it wants. */
    bool is_good = st == STATUS_OK && allowed == wanted;
    buf_printf(out, "%s %u - ", is_good ? "ok" : "not ok", ++t->number);
    put_name(c, caller, out);
    buf_printf(out, " is %s\n", wanted ? "allowed" : "denied");
    if (is_good)
        return;
    t->failed++;
    buf_printf(out, "# %.*s:%d:%d: it came out otherwise\n", SLICE_ARG(t->file.path), c->line,
               c->column);
    if (st == STATUS_OK)
        rules_put_decision(&q, &decision, "#   ", out);
    else
        put_problem(task_problem(task), out);
}

static int test_task(struct task *task, struct app *app, void *arg)
{
    struct testing *t = arg;
    struct buf out;
    buf_init(&out, app->arena, 65536, OUT_BYTES_MAX);
    for (unsigned i = 0; i < t->file.rows_len; i++) {
        struct arena_mark mark = arena_mark(task_arena(task));
        if (!put_row(task, app, t, &t->file.rows[i]))
            return CMD_USAGE;
        arena_rewind(task_arena(task), mark);
    }
    buf_put_lit(&out, "TAP version 13\n");
    for (unsigned i = 0; i < t->file.cases_len; i++)
        for (unsigned k = 0; k < t->file.callers_len; k++) {
            struct arena_mark mark = arena_mark(task_arena(task));
            ask(task, app, t, &t->file.cases[i], k, &out);
            arena_rewind(task_arena(task), mark);
        }
    buf_printf(&out, "1..%u\n# pass %u\n# fail %u\n", t->number, t->number - t->failed, t->failed);
    int code = cmd_print_out(buf_slice(&out));
    return code == CMD_OK && t->failed ? CMD_FAILED : code;
}

/* -- a database for it
 * --------------------------------------------------------------------------------- */

static int open_database(struct app *app, const char *verb)
{
    struct buf sql;
    int code = app_open_store(app, verb, true, false);
    if (code != CMD_OK)
        return code;
    buf_init(&sql, app->arena, 65536, SCHEMA_BYTES_MAX);
    contract_sql_schema(app->set, &sql);
    if (buf_status(&sql) != STATUS_OK ||
        store_script(app->store, buf_slice(&sql), app->arena, &app->problem) != STATUS_OK)
        return cmd_print_problem(verb, &app->problem);
    return CMD_OK;
}

int rules_test(struct app *app, struct rules_call *call)
{
    struct testing t = { .number = 0 };
    struct scratch scratch;
    if (call->words_len > 1)
        return cmd_usage_error(call->verb, "one file at a time");
    int code = app_open_config(app, &call->common);
    if (code == CMD_OK)
        code = app_open_contracts(app);
    if (code != CMD_OK)
        return code;
    struct slice path = call->words_len ? call->words[0]
                                        : arena_printf(app->arena, "%.*s/rules.test.yaml",
                                                       SLICE_ARG(app->config.contracts));
    if (!rules_file_read(app, path, &t.file))
        return cmd_print_diag(&app->diag);
    code = scratch_begin(&scratch, app, call->verb->name);
    if (code != CMD_OK)
        return code;
    code = open_database(app, call->verb->name);
    if (code == CMD_OK)
        code = app_run_task(app, test_task, &t);
    scratch_end(&scratch, app);
    return code;
}
