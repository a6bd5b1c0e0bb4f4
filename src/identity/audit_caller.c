/*
 * identity/audit_caller.c - Who a request's events are put down to.
 */
#include "base/arena.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/audit.h"

static struct slice id_text(struct arena *arena, const struct uuid *id)
{
    char *text = arena_alloc(arena, UUID_TEXT_LEN);
    if (text)
        uuid_format(id, text);
    return slice_of(text, text ? UUID_TEXT_LEN : 0);
}

static void put_program(struct http_request *req, struct http_program program,
                        struct identity_audit_event *event)
{
    event->actor = program.kind == HTTP_PROGRAM_CLIENT ? IDENTITY_AUDIT_CLIENT : IDENTITY_AUDIT_KEY;
    event->actor_id = program.id;
    if (program.kind == HTTP_PROGRAM_CERTIFICATE)
        event->actor_id = arena_printf(http_arena(req), "certificate:%.*s", SLICE_ARG(program.id));
}

void identity_audit_from_request(struct http_request *req, struct identity_audit_event *event)
{
    const struct task_caller *caller = http_caller(req);
    const struct net_header *agent = net_header_get(http_net(req), NET_HEADER_USER_AGENT);
    struct http_program program = http_program(req);
    event->actor = IDENTITY_AUDIT_ANONYMOUS;
    if (caller && caller->has_user) {
        event->actor = IDENTITY_AUDIT_USER;
        event->actor_id = id_text(http_arena(req),
                                  caller->has_impersonator ? &caller->impersonator : &caller->user);
        if (caller->has_impersonator)
            event->as_id = id_text(http_arena(req), &caller->user);
    } else if (program.kind != HTTP_PROGRAM_NONE) {
        put_program(req, program, event);
    } else if (caller && caller->roles_len > 0) {
        event->actor = IDENTITY_AUDIT_OPERATOR;
    }
    event->address = http_client_ip(req);
    event->agent = agent ? agent->value : SLICE_NULL;
    event->request_id = http_request_id(req);
}
