/*
 * purlin audit. Reads only: a running server is not disturbed, and a copy of its database (a
 * backup) can be verified as well as the database itself.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/operator.h"
#include "cmd/security.h"
#include "fiber/task.h"
#include "identity/audit.h"

#define LIST_DEFAULT 50
#define OUT_BYTES_MAX ((size_t)4 << 20)

struct audit_call {
    const struct cmd_verb *verb;
    struct app_common common;
    bool json;
    struct slice from, head;                     /* verify */
    struct slice user, act, since, until, limit; /* list */
    bool has_list_option, has_verify_option;
    bool secret_is_in_database;
    struct cmd_progress progress;

    struct identity_audit_verify_options verify;
    struct identity_audit_head witness;
    struct identity_audit_filter filter;
    int64_t rows_max; /* 0: all */
};

/* -- verify
 * ------------------------------------------------------------------------------------------------
 */

static struct slice head_text(struct arena *arena, const struct identity_audit_head *head)
{
    struct buf text;
    buf_init(&text, arena, 96, 128);
    buf_put_i64(&text, head->seq);
    buf_putc(&text, ':');
    buf_put_hex(&text, head->hash, sizeof(head->hash));
    return buf_slice(&text);
}

static int print_report_json(struct task *task, const struct audit_call *call,
                             const struct identity_audit_report *report)
{
    struct buf out;
    buf_init(&out, task_arena(task), 512, 4096);
    struct json_out o = json_out(&out);
    bool is_whole = report->fault == IDENTITY_AUDIT_WHOLE;
    json_out_object(&o);
    json_out_key(&o, SLICE("whole"));
    json_out_bool(&o, is_whole);
    json_out_ki(&o, "rows", report->rows);
    json_out_ki(&o, "first", report->first_seq);
    json_out_ki(&o, "last", report->last.seq);
    json_out_ki(&o, "pruned", report->pruned_seq);
    json_out_key(&o, SLICE("head"));
    if (report->rows)
        json_out_string(&o, head_text(task_arena(task), &report->last));
    else
        json_out_null(&o);
    json_out_kv(&o, "fault", identity_audit_fault_name(report->fault));
    json_out_key(&o, SLICE("fault_seq"));
    if (is_whole)
        json_out_null(&o);
    else
        json_out_i64(&o, report->fault_seq);
    json_out_key(&o, SLICE("detail"));
    if (is_whole)
        json_out_null(&o);
    else
        json_out_string(&o, report->detail);
    json_out_kv(&o, "secret", call->secret_is_in_database ? "database" : "configured");
    json_out_end(&o);
    buf_putc(&out, '\n');
    return cmd_print_out(buf_slice(&out));
}

static int print_report(struct task *task, const struct audit_call *call,
                        const struct identity_audit_report *report)
{
    struct buf out;
    buf_init(&out, task_arena(task), 512, 4096);
    if (call->secret_is_in_database)
        (void)fprintf(stderr,
                      "purlin audit: the secret stands in the same database: whoever can write the "
                      "file can make\nanother log that verifies. Set PURLIN_SECRET.\n");
    if (report->fault != IDENTITY_AUDIT_WHOLE) {
        (void)fprintf(stderr, "purlin audit: %.*s (%s)\n", SLICE_ARG(report->detail),
                      identity_audit_fault_name(report->fault));
        buf_printf(&out, "Rows before it that are whole: %lld.\n", (long long)report->rows);
    } else if (report->rows == 0) {
        buf_put_lit(&out, "The audit log is whole: it has no rows yet.\n");
    } else {
        buf_printf(&out, "The audit log is whole: %lld row%s, %lld to %lld.\n",
                   (long long)report->rows, report->rows == 1 ? "" : "s",
                   (long long)report->first_seq, (long long)report->last.seq);
        if (report->pruned_seq)
            buf_printf(&out, "Rows up to %lld were pruned.\n", (long long)report->pruned_seq);
        buf_printf(&out, "Head: %.*s\n", SLICE_ARG(head_text(task_arena(task), &report->last)));
    }
    return cmd_print_out(buf_slice(&out));
}

static int verify_task(struct task *task, struct app *app, void *arg)
{
    struct audit_call *call = arg;
    struct identity_audit_report report;
    call->verify.progress = cmd_progress_update;
    call->verify.arg = &call->progress;
    cmd_progress_start(&call->progress, "Verifying");
    enum status st = identity_audit_verify(task, app->audit, &call->verify, &report);
    cmd_progress_end(&call->progress);
    if (st != STATUS_OK)
        return cmd_print_problem("audit", task_problem(task));
    int code =
        call->json ? print_report_json(task, call, &report) : print_report(task, call, &report);
    return report.fault == IDENTITY_AUDIT_WHOLE ? code : CMD_FAILED;
}

static int read_verify(struct audit_call *call)
{
    if (call->has_list_option)
        return cmd_usage_error(call->verb, "verify takes --from, --head and --json only");
    if (call->from.len &&
        (!slice_to_i64(call->from, &call->verify.from_seq) || call->verify.from_seq < 1))
        return cmd_usage_error(call->verb, "--from must be the number of a row");
    if (call->head.len && !identity_audit_head_parse(call->head, &call->witness))
        return cmd_usage_error(call->verb, "--head must be as verify prints it: NUMBER:HASH");
    call->verify.witness = call->head.len ? &call->witness : NULL;
    return CMD_OK;
}

/* -- list
 * --------------------------------------------------------------------------------------------------
 */

static void put_row(const struct identity_audit_row *row, bool json, struct buf *out)
{
    char at[CLOCK_RFC3339_LEN];
    if (json) {
        identity_audit_row_write(row, out);
        buf_putc(out, '\n');
        return;
    }
    clock_format_rfc3339(row->at_us, at);
    buf_printf(out, "%6lld  %.*s  %-26.*s %-7.*s  %.*s", (long long)row->seq, CLOCK_RFC3339_LEN, at,
               SLICE_ARG(row->act), SLICE_ARG(row->outcome), SLICE_ARG(row->actor));
    if (row->actor_id.len)
        buf_printf(out, " %.*s", SLICE_ARG(row->actor_id));
    if (row->subject_kind.len)
        buf_printf(out, " -> %.*s %.*s", SLICE_ARG(row->subject_kind), SLICE_ARG(row->subject_id));
    if (row->address.len)
        buf_printf(out, "  from %.*s", SLICE_ARG(row->address));
    if (row->details.len)
        buf_printf(out, "  %.*s", SLICE_ARG(row->details));
    buf_putc(out, '\n');
}

static int list_task(struct task *task, struct app *app, void *arg)
{
    struct audit_call *call = arg;
    struct identity_audit_page page = { .has_more = true };
    int64_t left = call->rows_max;
    while (page.has_more && (call->rows_max == 0 || left > 0)) {
        struct arena_mark mark = arena_mark(task_arena(task));
        struct buf out;
        call->filter.limit = call->rows_max && left < IDENTITY_AUDIT_LIST_MAX
                                 ? (unsigned)left
                                 : IDENTITY_AUDIT_LIST_MAX;
        if (identity_audit_list(task, app->audit, &call->filter, &page) != STATUS_OK)
            return cmd_print_problem("audit", task_problem(task));
        buf_init(&out, task_arena(task), 4096, OUT_BYTES_MAX);
        for (unsigned i = 0; i < page.len; i++)
            put_row(&page.rows[i], call->json, &out);
        if (page.len) {
            call->filter.before_us = page.rows[page.len - 1].at_us;
            call->filter.before_seq = page.rows[page.len - 1].seq;
        }
        left -= page.len;
        if (buf_status(&out) != STATUS_OK || cmd_print_out(buf_slice(&out)) != CMD_OK)
            return CMD_FAILED;
        arena_rewind(task_arena(task), mark);
    }
    return CMD_OK;
}

static int read_list(struct audit_call *call)
{
    int64_t now_us = clock_wall_us();
    enum identity_audit_act act;
    if (call->has_verify_option)
        return cmd_usage_error(call->verb, "--from and --head are of verify");
    if (call->act.len && !identity_audit_act_find(call->act, &act))
        return cmd_usage_error(call->verb, "there is no act %.*s; docs/audit.md lists them",
                               SLICE_ARG(call->act));
    if (call->since.len && !operator_time(call->since, now_us, -1, &call->filter.since_us))
        return cmd_usage_error(call->verb, "--since must be a time (2027-01-31) or how long ago "
                                           "(24h)");
    if (call->until.len && !operator_time(call->until, now_us, -1, &call->filter.until_us))
        return cmd_usage_error(call->verb, "--until must be a time (2027-01-31) or how long ago "
                                           "(24h)");
    call->rows_max = LIST_DEFAULT;
    if (call->limit.len && (!slice_to_i64(call->limit, &call->rows_max) || call->rows_max < 0))
        return cmd_usage_error(call->verb, "--limit must be a number of rows, or 0 for all");
    call->filter.act = call->act;
    call->filter.user = call->user;
    return CMD_OK;
}

/* -- the verb
 * ---------------------------------------------------------------------------------------------- */

static int run_call(struct audit_call *call, struct slice what)
{
    struct app app = { 0 };
    bool is_verify = slice_eq(what, SLICE("verify"));
    int code = CMD_OK;
    if (is_verify)
        code = read_verify(call);
    else if (slice_eq(what, SLICE("list")))
        code = read_list(call);
    else
        code = cmd_usage_error(call->verb,
                               what.len ? "there is no purlin audit %.*s"
                                        : "what to do is missing%.*s: verify or list",
                               SLICE_ARG(what));
    if (code != CMD_OK)
        return code;
    code = app_open_config(&app, &call->common);
    call->secret_is_in_database = app.config.secret.len == 0;
    if (code == CMD_OK)
        code = security_open_tool(&app, call->verb->name, true);
    if (code == CMD_OK)
        code = app_run_task(&app, is_verify ? verify_task : list_task, call);
    app_close(&app);
    return code;
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    struct audit_call call = { .verb = verb };
    bool *in_list = &call.has_list_option, *in_verify = &call.has_verify_option;
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(call.common),
        { .name = "--user",
          .value = "ID",
          .text = &call.user,
          .is_set = in_list,
          .help = "list: what this user (or key, client, operator) did, or was done to it." },
        { .name = "--act",
          .value = "NAME",
          .text = &call.act,
          .is_set = in_list,
          .help = "list: only this act, such as login.failed." },
        { .name = "--since",
          .value = "TIME",
          .text = &call.since,
          .is_set = in_list,
          .help = "list: at this time or later: 2027-01-31, RFC 3339, or 24h for a day ago." },
        { .name = "--until",
          .value = "TIME",
          .text = &call.until,
          .is_set = in_list,
          .help = "list: before this time." },
        { .name = "--limit",
          .value = "N",
          .text = &call.limit,
          .is_set = in_list,
          .help = "list: so many rows (50), or 0 for all." },
        { .name = "--from",
          .value = "N",
          .text = &call.from,
          .is_set = in_verify,
          .help = "verify: from this row on, taking what stands before as given." },
        { .name = "--head",
          .value = "N:HASH",
          .text = &call.head,
          .is_set = in_verify,
          .help = "verify: a head that was printed before must still be in the log." },
        { .name = "--json", .is_set = &call.json, .help = "One JSON object; of list, one a line." },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len > 1)
        return cmd_usage_error(verb, "unexpected argument %.*s", SLICE_ARG(args.words[1]));
    return run_call(&call, args.words_len ? args.words[0] : SLICE_NULL);
}

const struct cmd_verb cmd_audit = {
    .name = "audit",
    .summary = "Verify or list the audit log.",
    .synopsis = "verify [--from N] [--head N:HASH] [--json]\n"
                "       purlin audit list [--user ID] [--act NAME] [--since TIME] [--until TIME] "
                "[--limit N] [--json]",
    .details = "verify walks the chain of all rows and exits 0 when it is whole, 1 when a row was "
               "changed, taken out,\n"
               "moved or made up, or the newest ones were cut off; it says which. Note the head "
               "that it prints somewhere\n"
               "else, and give it with --head the next time: that also finds a database that was "
               "put back to an older\n"
               "state. list prints rows, newest first. Both only read.",
    .run = run,
};
