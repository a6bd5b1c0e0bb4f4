/*
 * identity/audit_caller.c - Who a request's events are put down to.
 */
#include "base/arena.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/api_keys.h"
#include "identity/audit.h"
#include "identity/authorization.h"
#include "identity/caller.h"

static struct slice id_text(struct arena *arena, const struct uuid *id)
{
    char *text = arena_alloc(arena, UUID_TEXT_LEN);
    if (text)
        uuid_format(id, text);
    return slice_of(text, text ? UUID_TEXT_LEN : 0);
}

void identity_audit_from_request(struct http_request *req, struct identity_audit_event *event)
{
    const struct task_caller *caller = http_caller(req);
    const struct net_header *agent = net_header_get(http_net(req), NET_HEADER_USER_AGENT);
    event->actor = IDENTITY_AUDIT_ANONYMOUS;
    if (caller && caller->has_user) {
        event->actor = IDENTITY_AUDIT_USER;
        event->actor_id = id_text(http_arena(req),
                                  caller->has_impersonator ? &caller->impersonator : &caller->user);
        if (caller->has_impersonator)
            event->as_id = id_text(http_arena(req), &caller->user);
    } else if (caller && caller->roles_len > 0) {
        event->actor = IDENTITY_AUDIT_OPERATOR;
    }
    event->address = http_client_ip(req);
    event->agent = agent ? agent->value : SLICE_NULL;
    event->request_id = http_request_id(req);
}

/* Nothing else than a key of ours is looked up again: the bootstrap key would be a failure. */
static bool presents_key(const struct http_request *req)
{
    const struct net_header *key = net_header_get(http_net(req), NET_HEADER_X_API_KEY);
    if (key)
        return identity_api_key_is_ours(key->value);
    const struct net_header *bearer = net_header_get(http_net(req), NET_HEADER_AUTHORIZATION);
    return bearer && identity_api_key_is_ours(identity_bearer_of(bearer->value));
}

void identity_audit_from_caller(struct task *task, struct identity *identity,
                                struct http_request *req, struct identity_audit_event *event)
{
    struct identity_who who;
    identity_audit_from_request(req, event);
    if (event->actor != IDENTITY_AUDIT_OPERATOR || !identity || !presents_key(req) ||
        identity_caller_find(task, identity, req, &who) != STATUS_OK || !who.is_key)
        return;
    event->actor = IDENTITY_AUDIT_KEY;
    event->actor_id = id_text(http_arena(req), &who.session);
}
