/*
 * identity/route_links.c - /auth/identities: which providers let the person in who is signed in;
 * one more, one less.
 */
#include "identity/routes.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account_page.h"
#include "identity/answer.h"
#include "identity/caller.h"
#include "identity/feed.h"
#include "identity/foreign.h"
#include "identity/foreign_page.h"
#include "identity/foreign_rows.h"
#include "identity/form.h"
#include "identity/input.h"
#include "identity/note.h"
#include "identity/notice.h"
#include "identity/room.h"
#include "identity/route_factors.h"

#define LIST_BYTES_MAX ((size_t)64 * 1024)

static struct slice label_of(const struct identity *identity, struct slice provider)
{
    const struct identity_source *source = identity_source_find(identity, provider);
    return source ? source->config->label : provider;
}

enum status identity__links_list(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_foreign_link *links;
    struct identity_who who;
    struct buf b;
    unsigned len;
    enum status st = identity_caller_require_self(task, identity, req, &who);
    if (st == STATUS_OK)
        st = identity_foreign_list(task, identity, &who.user, &links, &len);
    if (st != STATUS_OK)
        return st;
    buf_init(&b, task_arena(task), 1024, LIST_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    json_out_key(&o, SLICE("data"));
    json_out_array(&o);
    for (unsigned i = 0; i < len; i++) {
        json_out_object(&o);
        identity_put_text(&o, "provider", links[i].provider);
        identity_put_text(&o, "label", label_of(identity, links[i].provider));
        identity_put_text(&o, "email", links[i].email);
        identity_put_time(&o, "created_at", links[i].created_us);
        identity_put_time(&o, "used_at", links[i].used_us);
        json_out_end(&o);
    }
    json_out_end(&o);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

/* -- one more
 * ----------------------------------------------------------------------------------------- */

/* Begun by a POST that only a page of ours can make: a link that anybody could lead somebody to
 * would let them put a way in of their own into an account. */
enum status identity__link_add(struct task *task, struct http_request *req, void *arg)
{
    struct identity *identity = arg;
    struct identity_flow flow = { .has_user = true };
    struct identity_source *source =
        identity_source_find(identity, http_path_param(req, SLICE("provider")));
    struct identity_input in;
    struct identity_who who;
    struct slice url;
    struct buf b;
    enum status st =
        identity_caller_require_self_fresh(task, identity, req, IDENTITY_FACTOR_FRESH_US, &who);
    if (st == STATUS_OK)
        st = identity_input_read(task, req, &in);
    if (st != STATUS_OK)
        return st;
    if (!source)
        return problem_set(task, STATUS_NOT_FOUND, "identity/no-provider",
                           "There is no such provider to sign in with.");
    flow.return_to = identity_input_text(&in, "return_to", IDENTITY_RETURN_MAX, false);
    if (identity_input_status(&in) != STATUS_OK)
        return STATUS_INVALID;
    if (flow.return_to.len && !identity_return_is_good(identity, flow.return_to))
        return problem_set(task, STATUS_INVALID, "identity/foreign-return",
                           "return_to must be a path of this server, or a URL of an origin that "
                           "auth.return_origins lists.");
    flow.user = who.user;
    flow.session = who.session;
    st = identity_flow_begin(task, req, source, &flow);
    if (st == STATUS_OK)
        st = identity_source_url(task, source, &flow, &url);
    if (st != STATUS_OK)
        return st;
    if (identity_form_is(req))
        return identity_foreign_send_leave(task, req, source, url);
    buf_init(&b, task_arena(task), 1024, LIST_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    identity_put_text(&o, "url", url);
    json_out_end(&o);
    return identity_answer_json(task, req, 200, &b);
}

/* -- one less
 * ----------------------------------------------------------------------------------------- */

struct removing {
    struct identity *identity;
    struct uuid user;
    struct slice provider;
    struct identity_note note;
    int64_t now_us;
};

static enum status write_removed(struct store_tx *tx, void *arg)
{
    struct removing *r = arg;
    enum status st = identity_foreign_remove(tx, r->identity, &r->user, r->provider);
    if (st == STATUS_CONFLICT)
        return store_tx_problem_set(tx, st, "identity/last-way-in",
                                    "Nothing else lets you in: set a password or add a passkey "
                                    "first.");
    if (st == STATUS_NOT_FOUND)
        return store_tx_problem_set(tx, st, "identity/no-link",
                                    "This account is not linked with that provider.");
    /* Tokens of that issuer speak for nobody any more. */
    if (st == STATUS_OK)
        st = identity_feed_put(tx, IDENTITY_FEED_USER, &r->user, r->now_us);
    return st == STATUS_OK ? identity_note_put(tx, &r->note) : st;
}

static void tell_owner(struct task *task, const struct removing *r, struct http_request *req)
{
    struct slice label = label_of(r->identity, r->provider);
    struct slice words =
        arena_printf(task_arena(task), "Signing in with %.*s", SLICE_ARG(slice_head(label, 60)));
    char *factor = words.data ? arena_cstr(task_arena(task), words) : NULL;
    identity_notice_send(task, r->identity, req,
                         &(struct identity_notice){ .kind = IDENTITY_MAIL_FACTOR_REMOVED,
                                                    .user = &r->user,
                                                    .path = "recover",
                                                    .factor = factor });
}

enum status identity__link_remove(struct task *task, struct http_request *req, void *arg)
{
    struct removing r = { .identity = arg, .now_us = clock_wall_us() };
    struct identity_who who;
    enum status st =
        identity_caller_require_self_fresh(task, r.identity, req, IDENTITY_FACTOR_FRESH_US, &who);
    if (st != STATUS_OK)
        return st;
    r.user = who.user;
    r.provider = http_path_param(req, SLICE("provider"));
    identity_note_init(&r.note, r.identity, req, IDENTITY_AUDIT_PROVIDER_UNLINKED, &r.user);
    if (identity_source_find(r.identity, r.provider))
        r.note.event.details =
            arena_printf(task_arena(task), "{\"provider\":\"%.*s\"}", SLICE_ARG(r.provider));
    st = store_write(task, r.identity->store, write_removed, &r);
    if (st != STATUS_OK)
        return st;
    identity_feed_user_ended(r.identity, &r.user);
    tell_owner(task, &r, req);
    return identity_answer_empty(task, req);
}
