/*
 * purlin rules explain: may this caller do this to this row, and why. Reads the database that the
 * configuration names, and changes nothing.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "cmd/rights.h"
#include "cmd/rules.h"
#include "cmd/security.h"
#include "identity/api_keys.h"
#include "identity/identity.h"

#define OUT_BYTES_MAX ((size_t)1 << 20)

struct explaining {
    struct rules_call *call;
    struct resource_question q;
    struct task_caller caller;
    struct uuid row;
};

/* -- who asks
 * ------------------------------------------------------------------------------------------ */

static bool split_words(struct arena *arena, struct slice list, const struct slice **ret,
                        unsigned *ret_len)
{
    struct slice *items = arena_array_of(arena, struct slice, RULES_SCOPES_MAX), word;
    *ret_len = 0;
    while (items && list.len && *ret_len < RULES_SCOPES_MAX && slice_split(&list, ' ', &word))
        if (word.len)
            items[(*ret_len)++] = word;
    *ret = items;
    return items != NULL;
}

/* The one key that is called so. */
static enum status find_key(struct task *task, struct app *app, struct slice name,
                            struct identity_api_key_info *ret)
{
    struct uuid id, after;
    struct identity_api_keys_filter filter = { .limit = IDENTITY_API_KEYS_LIST_MAX };
    struct identity_api_keys_page page = { .has_more = true };
    unsigned found = 0;
    if (uuid_parse(name, &id))
        return identity_api_key_get(task, app->api_keys, &id, ret);
    while (page.has_more) {
        enum status st =
            identity_api_keys_list(task, app->api_keys, &filter, clock_wall_us(), &page);
        if (st != STATUS_OK)
            return st;
        for (unsigned i = 0; i < page.len; i++)
            if (slice_starts(page.items[i].shown, name) && found++ == 0)
                *ret = page.items[i];
        if (page.len)
            after = page.items[page.len - 1].id;
        filter.after = page.len ? &after : NULL;
    }
    if (found == 1)
        return STATUS_OK;
    return problem_set(task, STATUS_NOT_FOUND, "cmd/rules",
                       found ? "Several live keys are shown as %.*s: name one by its id."
                             : "There is no live key %.*s.",
                       SLICE_ARG(name));
}

static enum status read_key(struct task *task, struct app *app, struct explaining *e)
{
    struct identity_api_key_info info = { .has_user = false };
    struct task_caller *caller = &e->caller;
    char user[UUID_TEXT_LEN];
    enum status st = find_key(task, app, e->call->key, &info);
    if (st == STATUS_OK && info.has_user) {
        uuid_format(&info.user, user);
        st = identity_caller_of(task, app->store, slice_of(user, sizeof(user)), caller);
    }
    if (st != STATUS_OK)
        return st;
    if (!info.has_user &&
        !split_words(task_arena(task), info.roles, &caller->roles, &caller->roles_len))
        return STATUS_EXHAUSTED;
    caller->is_scoped = info.scopes.len > 0;
    return split_words(task_arena(task), info.scopes, &caller->scopes, &caller->scopes_len)
               ? STATUS_OK
               : STATUS_EXHAUSTED;
}

static enum status read_caller(struct task *task, struct app *app, struct explaining *e)
{
    const struct rules_call *call = e->call;
    struct task_caller *caller = &e->caller;
    struct arena *arena = task_arena(task);
    enum status st = STATUS_OK;
    if (call->key.len)
        st = read_key(task, app, e);
    else if (call->as.len)
        st = identity_caller_of(task, app->store, call->as, caller);
    if (st != STATUS_OK)
        return st;
    if (call->roles.len &&
        !rules_split(arena, call->roles, RULES_SCOPES_MAX, &caller->roles, &caller->roles_len))
        return problem_set(task, STATUS_INVALID, "cmd/rules", "--roles names more than 64.");
    if (call->has_scopes) {
        caller->is_scoped = true;
        if (!rules_split(arena, call->scopes, RULES_SCOPES_MAX, &caller->scopes,
                         &caller->scopes_len))
            return problem_set(task, STATUS_INVALID, "cmd/rules", "--scopes names more than 64.");
        st = rights_check_scopes(task, app, caller->scopes, caller->scopes_len);
    }
    caller->rights = &app->config.rights;
    if (st == STATUS_OK && call->roles.len)
        st = rights_check_roles(task, app, caller->roles, caller->roles_len);
    return st;
}

/* -- the answer
 * ---------------------------------------------------------------------------------------- */

static void put_json_rule(struct json_out *o, const char *key, const struct resource_question *q,
                          enum contract_action action, const struct resource_rule_answer *rule)
{
    static const char *const answers[] = {
        [EXPR_NO] = "no", [EXPR_YES] = "yes", [EXPR_ASK] = "unknown"
    };
    if (!rule->steps_len)
        return;
    json_out_key(o, slice_cstr(key));
    json_out_object(o);
    json_out_key(o, SLICE("file"));
    json_out_string(o, q->contract->file);
    json_out_ki(o, "line", q->contract->rules_at[action].line);
    json_out_key(o, SLICE("in_scope"));
    json_out_bool(o, rule->is_in_scope);
    json_out_kv(o, "answer", answers[rule->answer]);
    json_out_key(o, SLICE("conditions"));
    json_out_array(o);
    for (unsigned i = 0; i < rule->steps_len; i++) {
        json_out_object(o);
        json_out_ki(o, "depth", rule->steps[i].depth);
        json_out_key(o, SLICE("text"));
        json_out_string(o, rule->steps[i].text);
        json_out_key(o, SLICE("values"));
        json_out_string(o, rule->steps[i].values);
        json_out_kv(o, "answer", answers[rule->steps[i].answer]);
        json_out_end(o);
    }
    json_out_end(o);
    json_out_end(o);
}

static void put_json(const struct resource_question *q, const struct resource_decision *d,
                     struct buf *out)
{
    struct json_out o = json_out(out);
    json_out_object(&o);
    json_out_key(&o, SLICE("allowed"));
    if (d->allowed == EXPR_ASK)
        json_out_null(&o);
    else
        json_out_bool(&o, d->allowed == EXPR_YES);
    json_out_kv(&o, "reason", d->reason);
    if (q->action != CONTRACT_READ)
        put_json_rule(&o, "read", q, CONTRACT_READ, &d->read);
    put_json_rule(&o, "rule", q, q->action, &d->action);
    put_json_rule(&o, "changed", q, q->action, &d->changed);
    json_out_end(&o);
    buf_putc(out, '\n');
}

static int decide(struct task *task, struct app *app, void *arg)
{
    struct explaining *e = arg;
    struct resource_decision decision;
    json_t *body = NULL;
    struct json_error_at at;
    enum status st = read_caller(task, app, e);
    if (st == STATUS_OK && e->call->body.len &&
        json_read(task_arena(task), e->call->body, JSON_LIMITS_DEFAULT, &body, &at) != STATUS_OK)
        st = problem_set(task, STATUS_INVALID, "cmd/rules", "--body is no JSON: %s.", at.reason);
    e->q.caller = &e->caller;
    e->q.now_us = clock_wall_us();
    e->q.body = body;
    if (st == STATUS_OK)
        st = resource_decide(task, app->store, &e->q, &decision);
    if (st != STATUS_OK) {
        (void)cmd_print_problem("rules", task_problem(task));
        return CMD_USAGE;
    }
    struct buf out;
    buf_init(&out, task_arena(task), 4096, OUT_BYTES_MAX);
    if (e->call->json)
        put_json(&e->q, &decision, &out);
    else
        rules_put_decision(&e->q, &decision, "", &out);
    int code = cmd_print_out(buf_slice(&out));
    return code == CMD_OK && decision.allowed != EXPR_YES ? CMD_FAILED : code;
}

/* -- the question
 * -------------------------------------------------------------------------------------- */

static int read_question(struct app *app, struct explaining *e)
{
    const struct rules_call *call = e->call;
    struct slice resource = call->words[0];
    size_t slash = slice_find(resource, '/');
    if (slash != SIZE_MAX && !uuid_parse(slice_from(resource, slash + 1), &e->row))
        return cmd_usage_error(call->verb, "%.*s is no id",
                               SLICE_ARG(slice_from(resource, slash + 1)));
    if (slash != SIZE_MAX)
        resource = slice_head(resource, slash);
    e->q.row = slash != SIZE_MAX ? &e->row : NULL;
    e->q.contract = contract_find(app->set, resource);
    if (!e->q.contract)
        return cmd_usage_error(call->verb, "there is no resource %.*s", SLICE_ARG(resource));
    if (!rules_action(call->words[1], &e->q.action))
        return cmd_usage_error(call->verb, "%.*s is none of read, create, update, delete",
                               SLICE_ARG(call->words[1]));
    if (e->q.action == CONTRACT_CREATE && e->q.row)
        return cmd_usage_error(call->verb, "what is made has no id yet: give it by --body");
    bool takes_body = e->q.action == CONTRACT_CREATE || e->q.action == CONTRACT_UPDATE;
    if (call->body.len && (!takes_body || (e->q.action == CONTRACT_UPDATE && !e->q.row)))
        return cmd_usage_error(call->verb, "--body is for create, and for update of a row");
    return CMD_OK;
}

static int read_words(const struct rules_call *call)
{
    unsigned who =
        (call->as.len > 0 || call->roles.len > 0) + (call->key.len > 0) + call->anonymous;
    if (call->words_len != 2)
        return cmd_usage_error(call->verb, "say of what and which: explain posts/ID update");
    if (who != 1)
        return cmd_usage_error(call->verb, "say who asks, by one of --as (with --roles), --roles, "
                                           "--key and --anonymous");
    return CMD_OK;
}

int rules_explain(struct app *app, struct rules_call *call)
{
    struct explaining e = { .call = call };
    int code = read_words(call);
    if (code == CMD_OK)
        code = app_open_config(app, &call->common);
    if (code == CMD_OK)
        code = app_open_contracts(app);
    if (code == CMD_OK)
        code = read_question(app, &e);
    /* Keys keep when they were used, so their room writes. */
    if (code == CMD_OK)
        code = call->key.len ? security_open_tool(app, call->verb->name, false)
                             : app_open_store(app, call->verb->name, false, true);
    return code == CMD_OK ? app_run_task(app, decide, &e) : code;
}
