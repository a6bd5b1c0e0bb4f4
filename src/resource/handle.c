/*
 * The handlers of single writes: what HTTP asks around a write (types, preconditions, preferences,
 * idempotency), and the way through the store and back.
 */
#include "resource/resource_private.h"

enum status resource__not_found(struct problem *problem, struct arena *arena)
{
    return resource__fail(problem, arena, STATUS_NOT_FOUND, 0, "resource/not-found",
                          "There is no such row.");
}

static const char *action_words(enum contract_action action)
{
    static const char *const words[] = {
        [CONTRACT_READ] = "read",
        [CONTRACT_CREATE] = "create",
        [CONTRACT_UPDATE] = "change",
        [CONTRACT_DELETE] = "delete",
    };
    return words[action];
}

enum status resource__refuse(const struct resource_call *call, struct problem *problem,
                             struct arena *arena, const struct contract *contract,
                             enum contract_action action)
{
    /* Where the rule is plainly false, no credentials would help. */
    bool nobody_may = slice_eq(contract->rules_text[action], SLICE("false")) ||
                      contract->rules_text[action].len == 0;
    if (resource__is_anonymous(call) && !nobody_may)
        return resource__fail(problem, arena, STATUS_UNAUTHENTICATED, 0, "auth/required",
                              "Sign in to %s this in %.*s.", action_words(action),
                              SLICE_ARG(contract->name));
    return resource__fail(problem, arena, STATUS_DENIED, 0, "rule/denied",
                          "You may not %s this in %.*s.", action_words(action),
                          SLICE_ARG(contract->name));
}

bool resource__prefers_minimal(const struct resource_call *call)
{
    const struct net_header *prefer = net_header_get(http_net(call->req), NET_HEADER_PREFER);
    return prefer && slice_find_slice(prefer->value, SLICE("return=minimal")) != SIZE_MAX;
}

struct write {
    struct resource_op op;
    struct resource_idempotency idempotency;
    struct slice location, etag;
};

static enum status run_write(struct store_tx *tx, void *arg)
{
    struct write *w = arg;
    enum status st = resource__op_execute(&w->op, tx);
    if (st != STATUS_OK)
        return st;
    if (w->op.status == 200 && w->op.answer.len == 0)
        w->op.status = 204;
    if (w->op.verb != RESOURCE_DELETE)
        w->etag = resource__etag(w->op.version, w->op.answer, w->op.arena);
    return resource__idempotency_keep(&w->idempotency, tx, w->op.status, w->location, w->etag,
                                      w->op.answer);
}

static void answer(struct resource_call *call, const struct write *w)
{
    const struct resource_op *op = &w->op;
    if (w->location.len)
        http_header_add(call->req, SLICE("Location"), w->location);
    if (w->etag.len)
        http_header_add(call->req, SLICE("ETag"), w->etag);
    if (op->minimal)
        http_header_add(call->req, SLICE("Preference-Applied"), SLICE("return=minimal"));
    if (op->answer.len)
        http_send_json(call->req, op->status, op->answer);
    else
        http_send_empty(call->req, op->status);
}

static void op_init(struct resource_call *call, enum resource_verb verb, struct resource_op *ret)
{
    const struct net_header *if_match = net_header_get(http_net(call->req), NET_HEADER_IF_MATCH);
    *ret = (struct resource_op){
        .verb = verb,
        .call = call,
        .info = call->info,
        .arena = call->arena,
        .problem = call->problem,
        .if_match = if_match ? if_match->value : SLICE_NULL,
        .minimal = resource__prefers_minimal(call),
    };
}

static enum status run(struct resource_call *call, struct write *w)
{
    struct resource_tally tally = { .len = 0 };
    enum status st = resource__op_prepare(&w->op);
    if (st == STATUS_OK)
        resource__tally_op(&tally, &w->op);
    if (st == STATUS_OK && tally.len)
        st = resource__tally_take(call, &tally);
    w->op.is_alone = !w->idempotency.is_on;
    if (st == STATUS_OK)
        st = store_write(call->task, call->engine->store, run_write, w);
    resource__idempotency_end(&w->idempotency);
    if (st == STATUS_OK)
        answer(call, w);
    return st;
}

/* Refuse before the body is read whom the rule refuses whatever the row. */
static enum status check_caller(struct resource_call *call, enum contract_action action)
{
    const struct contract *contract = call->info->contract;
    if (expr_decide(contract->rules[action], &call->context) != EXPR_NO)
        return STATUS_OK;
    /* Somebody known may be told 404 or 403 only when the row was looked at. */
    if (action != CONTRACT_CREATE && !resource__is_anonymous(call))
        return STATUS_OK;
    return resource__refuse(call, call->problem, call->arena, contract, action);
}

static enum status refuse_params(struct resource_call *call)
{
    static const char *const none[] = { NULL };
    const struct http_param *params;
    unsigned params_len;
    return resource__params_refuse(call, none, &params, &params_len);
}

enum status resource__create(struct resource_call *call)
{
    struct slice body;
    enum status st = refuse_params(call);
    if (st == STATUS_OK)
        st = check_caller(call, CONTRACT_CREATE);
    if (st == STATUS_OK)
        st = http_body(call->task, call->req, HTTP_JSON, &body);
    if (st != STATUS_OK)
        return st;
    struct write w = { 0 };
    op_init(call, RESOURCE_CREATE, &w.op);
    w.op.id = uuid_v7();
    w.location = resource__location(call->info, &w.op.id, call->arena);
    bool replayed;
    st = resource__idempotency_begin(call, body, &w.idempotency, &replayed);
    if (st == STATUS_OK && !replayed)
        st = resource__body_read(call, body, &w.op.body);
    if (st == STATUS_OK && !replayed)
        st = run(call, &w);
    resource__idempotency_end(&w.idempotency);
    return st;
}

static enum status check_if_match_given(struct resource_call *call)
{
    if (!call->engine->require_if_match || net_header_get(http_net(call->req), NET_HEADER_IF_MATCH))
        return STATUS_OK;
    return resource__fail(call->problem, call->arena, STATUS_INVALID, 428, "precondition/required",
                          "Send If-Match with the ETag of the row that the change is based on.");
}

/* What all changes of a stored row begin with. */
static enum status begin_change(struct resource_call *call, enum contract_action action,
                                struct uuid *ret_id)
{
    enum status st = refuse_params(call);
    if (st == STATUS_OK)
        st = resource__path_id(call, ret_id);
    if (st == STATUS_OK)
        st = check_caller(call, action);
    if (st == STATUS_OK)
        st = check_if_match_given(call);
    return st;
}

enum status resource__replace(struct resource_call *call)
{
    struct write w = { 0 };
    op_init(call, RESOURCE_REPLACE, &w.op);
    struct slice body;
    enum status st = begin_change(call, CONTRACT_UPDATE, &w.op.id);
    if (st == STATUS_OK)
        st = http_body(call->task, call->req, HTTP_JSON, &body);
    if (st == STATUS_OK)
        st = resource__body_read(call, body, &w.op.body);
    return st == STATUS_OK ? run(call, &w) : st;
}

enum status resource__update(struct resource_call *call)
{
    struct write w = { 0 };
    struct slice type = http_content_type(call->req);
    bool is_json_patch = slice_eq(type, SLICE("application/json-patch+json"));
    op_init(call, is_json_patch ? RESOURCE_PATCH : RESOURCE_MERGE, &w.op);
    struct slice body;
    enum status st = begin_change(call, CONTRACT_UPDATE, &w.op.id);
    if (st == STATUS_OK && !is_json_patch && !slice_eq(type, SLICE(HTTP_JSON)) &&
        !slice_eq(type, SLICE("application/merge-patch+json"))) {
        http_header_add(call->req, SLICE("Accept-Patch"),
                        SLICE("application/merge-patch+json, application/json-patch+json, "
                              "application/json"));
        return resource__fail(call->problem, call->arena, STATUS_INVALID, 415, "body/type",
                              "A patch is application/merge-patch+json or "
                              "application/json-patch+json.");
    }
    if (st == STATUS_OK)
        st = http_body(call->task, call->req, /* type= */ NULL, &body);
    if (st == STATUS_OK)
        st = resource__body_read(call, body, &w.op.body);
    return st == STATUS_OK ? run(call, &w) : st;
}

enum status resource__delete(struct resource_call *call)
{
    struct write w = { 0 };
    op_init(call, RESOURCE_DELETE, &w.op);
    w.op.minimal = false;
    enum status st = begin_change(call, CONTRACT_DELETE, &w.op.id);
    return st == STATUS_OK ? run(call, &w) : st;
}

enum status resource__restore(struct resource_call *call)
{
    struct write w = { 0 };
    op_init(call, RESOURCE_RESTORE, &w.op);
    enum status st = refuse_params(call);
    if (st == STATUS_OK)
        st = resource__path_id(call, &w.op.id);
    if (st != STATUS_OK)
        return st;
    if (!call->info->deleted_at)
        return resource__fail(call->problem, call->arena, STATUS_NOT_FOUND, 0,
                              "resource/not-restorable", "This resource keeps no deleted rows.");
    st = check_caller(call, CONTRACT_UPDATE);
    bool replayed = false;
    if (st == STATUS_OK)
        st = resource__idempotency_begin(call, SLICE_NULL, &w.idempotency, &replayed);
    if (st == STATUS_OK && !replayed)
        st = run(call, &w);
    resource__idempotency_end(&w.idempotency);
    return st;
}
