/*
 * identity/route_consents.c - /auth/consents: the applications that may act for who is signed in,
 * listed and withdrawn.
 */
#include "identity/routes.h"

#include "base/clock.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/caller.h"
#include "identity/clients.h"
#include "identity/consents.h"
#include "identity/feed.h"
#include "identity/note.h"
#include "identity/oauth_note.h"
#include "identity/oauth_text.h"
#include "identity/room.h"

#define LIST_BYTES_MAX ((size_t)1024 * 1024)

static void put_consent(struct json_out *o, const struct identity_consent *consent)
{
    struct slice rest = consent->scope, scope;
    json_out_object(o);
    identity_put_text(o, "client_id", consent->client_id);
    identity_put_text(o, "name", consent->name);
    json_out_key(o, SLICE("scopes"));
    json_out_array(o);
    while (identity_scope_next(&rest, &scope))
        json_out_string(o, scope);
    json_out_end(o);
    identity_put_time(o, "granted_at", consent->granted_us);
    identity_put_time(o, "seen_at", consent->seen_us);
    json_out_ki(o, "sessions", consent->sessions);
    json_out_end(o);
}

enum status identity__consents(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct identity_consent *all;
    unsigned len;
    enum status st = identity_caller_require(task, identity, req, &who);
    if (st == STATUS_OK)
        st = identity_consents_list(task, identity, &who.user, &all, &len);
    if (st != STATUS_OK)
        return st;
    struct buf b;
    buf_init(&b, task_arena(task), 1024, LIST_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("data"));
    json_out_array(&o);
    for (unsigned i = 0; i < len; i++)
        put_consent(&o, &all[i]);
    json_out_end(&o);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

struct withdrawal {
    struct uuid user;
    struct slice client_id;
    struct identity_note note;
};

static enum status write_withdrawal(struct store_tx *tx, void *arg)
{
    struct withdrawal *w = arg;
    int64_t ended;
    enum status st = identity_consent_withdraw(tx, &w->user, w->client_id, clock_wall_us(), &ended);
    return st == STATUS_OK ? identity_note_put(tx, &w->note) : st;
}

enum status identity__consent_withdraw(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_who who;
    struct withdrawal w = { .client_id = http_path_param(req, SLICE("client_id")) };
    enum status st = identity_caller_require_self(task, identity, req, &who);
    if (st != STATUS_OK)
        return st;
    w.user = who.user;
    identity_note_init(&w.note, identity, req, IDENTITY_AUDIT_CONSENT_REVOKED, &who.user);
    st = identity_note_client(&w.note, task_arena(task), w.client_id, SLICE_NULL);
    if (st == STATUS_OK && w.client_id.len <= IDENTITY_CLIENT_ID_MAX)
        st = store_write(task, identity->store, write_withdrawal, &w);
    else if (st == STATUS_OK)
        st = STATUS_NOT_FOUND;
    if (st == STATUS_NOT_FOUND)
        return problem_set(task, st, "identity/no-such-consent",
                           "No application of this id may act for you.");
    if (st != STATUS_OK)
        return st;
    identity_feed_user_ended(identity, &w.user);
    identity__oauth_count_consent(identity, IDENTITY__CONSENT_WITHDRAWN);
    return identity_answer_empty(task, req);
}
