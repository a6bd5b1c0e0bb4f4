/*
 * identity/oauth_authorize.c - /oauth/authorize and the forms of its pages: somebody signs in,
 * agrees, and goes back to the client with a code.
 *
 * The forms have a check of their own against forgery, for the pages have no script that could send
 * a header. A form to sign in must not come from another site. A form to agree carries a token that
 * is signed for this session and this very request.
 */
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/answer.h"
#include "identity/caller.h"
#include "identity/input.h"
#include "identity/login.h"
#include "identity/oauth.h"
#include "identity/oauth_code.h"
#include "identity/oauth_note.h"
#include "identity/oauth_request.h"
#include "identity/page.h"
#include "identity/room.h"

struct person {
    struct identity_who who;
    struct slice cookie; /* of their session */
};

/* -- the code
 * ------------------------------------------------------------------------------------------- */

struct issuing {
    struct identity_oauth_code code;
    struct identity_secret secret;
    struct uuid user;
    bool remember;
    const struct identity_note *note; /* they agreed just now; NULL: before */
    int64_t now_us;
};

static enum status write_code(struct store_tx *tx, void *arg)
{
    const struct issuing *i = arg;
    enum status st = identity_oauth_code_put(tx, &i->code, &i->secret, i->now_us);
    if (st == STATUS_OK && i->remember)
        st = identity_consent_put(tx, &i->user, i->code.client_id, i->code.scope, i->now_us);
    return st == STATUS_OK && i->note ? identity_note_put(tx, i->note) : st;
}

static enum status issue(const struct identity_oauth_request *r, const struct person *person,
                         bool remember, const struct identity_note *note)
{
    struct issuing i = {
        .code = { .client_id = r->client.id,
                  .redirect = r->redirect,
                  .challenge = r->challenge,
                  .scope = r->scope.len ? r->scope : SLICE(""),
                  .nonce = r->nonce,
                  .session = person->who.session },
        .user = person->who.user,
        .remember = remember,
        .note = note,
        .now_us = clock_wall_us(),
    };
    enum status st = identity_secret_make(SLICE(IDENTITY_CODE_PREFIX), &i.secret);
    if (st == STATUS_OK)
        st = store_write(r->task, r->identity->store, write_code, &i);
    if (st == STATUS_OK)
        st = identity_oauth_request_grant(r, identity_secret_text(&i.secret));
    identity_secret_wipe(&i.secret);
    return st;
}

/* -- agreeing
 * ------------------------------------------------------------------------------------------- */

/* What the token of the form is signed for. SLICE_NULL: no memory. */
static struct slice form_name(const struct identity_oauth_request *r, struct slice cookie)
{
    return arena_printf(task_arena(r->task), "%.*s\n%.*s", SLICE_ARG(cookie),
                        SLICE_ARG(r->view.request));
}

static enum status ask(const struct identity_oauth_request *r, const struct person *person)
{
    struct identity_account account;
    struct slice name = form_name(r, person->cookie);
    char *token = arena_alloc(task_arena(r->task), HTTP_CSRF_TOKEN_LEN);
    enum status st = identity_account_by_user(r->task, r->identity, &person->who.user, &account);
    if (st != STATUS_OK)
        return st;
    if (!name.data || !token)
        return problem_set(r->task, STATUS_EXHAUSTED, "identity/too-large",
                           "The page needs too much memory.");
    http_csrf_token_make(http_app_of(r->req), name, token);
    return identity_page_consent(r->task, r->identity, r->req, &r->view,
                                 slice_of(token, HTTP_CSRF_TOKEN_LEN), account.email);
}

/* Another program can pretend to be a public client of this machine: those ask each time (RFC 8252
 * section 8.6). */
static bool may_remember(const struct identity_oauth_request *r)
{
    return r->client.is_confidential || slice_starts(r->redirect, SLICE("https://"));
}

static enum status go_on(const struct identity_oauth_request *r, const struct person *person)
{
    bool is_given = r->client.is_trusted;
    enum status st = STATUS_OK;
    if (!is_given && may_remember(r))
        st = identity_consent_is_given(r->task, r->identity, &person->who.user, r->client.id,
                                       r->scope, &is_given);
    if (st != STATUS_OK)
        return st;
    if (is_given && !r->consent)
        return issue(r, person, false, NULL);
    if (r->none)
        return identity_oauth_request_fail(r, IDENTITY_OAUTH_CONSENT_REQUIRED,
                                           "The person has to agree first.");
    return ask(r, person);
}

/* -- /oauth/authorize
 * ----------------------------------------------------------------------------------- */

/* NOT_FOUND: nobody is signed in in this browser. */
static enum status find_person(const struct identity_oauth_request *r, struct person *ret)
{
    enum status st = identity_caller_find(r->task, r->identity, r->req, &ret->who);
    ret->cookie = http_cookie(r->req, SLICE(HTTP_SESSION_COOKIE));
    /* Who acts as another person does not give their rights away. */
    if (st == STATUS_UNAUTHENTICATED ||
        (st == STATUS_OK && (!ret->who.is_cookie || ret->who.has_impersonator)))
        return STATUS_NOT_FOUND;
    return st;
}

static bool is_fresh(const struct identity_oauth_request *r, const struct person *person)
{
    int64_t age_us = clock_wall_us() - person->who.auth_us;
    return !r->login && (r->max_age_s < 0 || age_us <= r->max_age_s * CLOCK_SECOND);
}

enum status identity__oauth_authorize(struct task *task, struct http_request *req, void *arg)
{
    struct identity_oauth_request r = { .task = task, .req = req, .identity = arg };
    struct person person;
    enum status st = STATUS_OK;
    if (http_method(req) == NET_METHOD_POST) {
        struct slice body;
        st = http_body(task, req, IDENTITY_FORM, &body);
        if (st != STATUS_OK || !identity_oauth_request_carried(&r, body, &st))
            return st;
    } else {
        st = http_query(task, req, &r.params.items, &r.params.len);
        if (st != STATUS_OK || !identity_oauth_request_read(&r, &st))
            return st;
    }
    st = find_person(&r, &person);
    if (st == STATUS_OK && is_fresh(&r, &person))
        return go_on(&r, &person);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    if (r.none)
        return identity_oauth_request_fail(&r, IDENTITY_OAUTH_LOGIN_REQUIRED,
                                           "Nobody is signed in, or not lately.");
    return identity_page_login(task, req, &r.view, r.hint, 200, SLICE_NULL);
}

/* -- the forms
 * ------------------------------------------------------------------------------------------ */

/* Read a form and the request that it carries. False as identity_oauth_request_read. */
static bool read_form(struct identity_oauth_request *r, struct identity_input *form,
                      enum status *ret_st)
{
    *ret_st = identity_input_read(r->task, r->req, form);
    if (*ret_st != STATUS_OK)
        return false;
    if (!form->is_form || http_is_cross_site(r->req)) {
        *ret_st = identity_page_wrong(r->task, r->req, 403,
                                      SLICE("The form was sent from another site."));
        return false;
    }
    struct slice request =
        identity_input_text(form, "request", IDENTITY_OAUTH_REQUEST_BYTES_MAX + 64, true);
    if (!request.len) {
        *ret_st =
            identity_page_wrong(r->task, r->req, 400, SLICE("The form is not one of this site's."));
        return false;
    }
    return identity_oauth_request_carried(r, request, ret_st);
}

static bool is_told_on_page(enum status st)
{
    return st == STATUS_INVALID || st == STATUS_UNAUTHENTICATED || st == STATUS_DENIED ||
           st == STATUS_EXHAUSTED;
}

/* What was wrong with a form, and the status to show it again with. */
static int what_was_wrong(const struct identity_oauth_request *r, enum status st,
                          const char *incomplete, struct slice *ret_wrong)
{
    const struct problem *problem = task_problem(r->task);
    *ret_wrong = problem->fields_len ? slice_cstr(incomplete) : problem->detail;
    identity_page_retry_after(r->req, problem);
    if (st == STATUS_UNAUTHENTICATED)
        http_caller_failed(r->req);
    return problem->http_status ? problem->http_status : http_status_of(st);
}

enum status identity__oauth_login(struct task *task, struct http_request *req, void *arg)
{
    struct identity_oauth_request r = { .task = task, .req = req, .identity = arg };
    struct identity_input form;
    struct person person;
    struct slice second, wrong;
    enum status st = STATUS_OK;
    if (!read_form(&r, &form, &st))
        return st;
    st = identity_login_form(task, r.identity, req, &form, &person.who, &person.cookie, &second);
    if (is_told_on_page(st)) {
        int status = what_was_wrong(&r, st, "Enter an e-mail address and a password.", &wrong);
        struct slice email = identity_input_text(&form, "email", IDENTITY_EMAIL_MAX, false);
        return identity_page_login(task, req, &r.view, email, status, wrong);
    }
    if (st != STATUS_OK)
        return st;
    if (second.len)
        return identity_page_second(task, req, &r.view, second, 200, SLICE_NULL);
    return go_on(&r, &person);
}

enum status identity__oauth_second(struct task *task, struct http_request *req, void *arg)
{
    struct identity_oauth_request r = { .task = task, .req = req, .identity = arg };
    struct identity_input form;
    struct person person;
    struct slice wrong;
    enum status st = STATUS_OK;
    if (!read_form(&r, &form, &st))
        return st;
    st = identity_mfa_form(task, r.identity, req, &form, &person.who, &person.cookie);
    if (st == STATUS_OK)
        return go_on(&r, &person);
    if (!is_told_on_page(st))
        return st;
    const char *type = task_problem(task)->type;
    int status = what_was_wrong(&r, st, "Enter a code.", &wrong);
    if (type && slice_eq(slice_cstr(type), SLICE("identity/invalid-mfa-token")))
        return identity_page_login(task, req, &r.view, SLICE_NULL, status, wrong);
    struct slice token = identity_input_text(&form, "mfa_token", IDENTITY_SECRET_TEXT_MAX, false);
    return identity_page_second(task, req, &r.view, token, status, wrong);
}

/* They said yes or no. */
static enum status settle(const struct identity_oauth_request *r, const struct person *person,
                          bool is_allowed)
{
    struct identity_note note;
    identity_note_init(&note, r->identity, r->req, IDENTITY_AUDIT_CONSENT_GRANTED,
                       &person->who.user);
    identity_note_by_user(&note, &person->who.user);
    enum status st = identity_note_client(&note, task_arena(r->task), r->client.id, r->scope);
    if (st != STATUS_OK)
        return st;
    if (is_allowed) {
        st = issue(r, person, may_remember(r), &note);
        if (st == STATUS_OK)
            identity__oauth_count_consent(r->identity, IDENTITY__CONSENT_GRANTED);
        return st;
    }
    note.event.outcome = IDENTITY_AUDIT_REFUSED;
    identity_note_later(&note);
    identity__oauth_count_consent(r->identity, IDENTITY__CONSENT_DECLINED);
    return identity_oauth_request_fail(r, IDENTITY_OAUTH_ACCESS_DENIED, "The person said no.");
}

enum status identity__oauth_consent(struct task *task, struct http_request *req, void *arg)
{
    struct identity_oauth_request r = { .task = task, .req = req, .identity = arg };
    struct identity_input form;
    struct person person;
    enum status st = STATUS_OK;
    if (!read_form(&r, &form, &st))
        return st;
    st = find_person(&r, &person);
    if (st == STATUS_NOT_FOUND)
        return identity_page_login(task, req, &r.view, SLICE_NULL, 200, SLICE_NULL);
    if (st != STATUS_OK)
        return st;
    struct slice token = identity_input_text(&form, "csrf", HTTP_CSRF_TOKEN_LEN, false);
    struct slice name = form_name(&r, person.cookie);
    if (!name.data || !http_csrf_token_verify(http_app_of(req), name, token))
        return identity_page_wrong(task, req, 403,
                                   SLICE("The form is too old, or was made for another session."));
    struct slice decision = identity_input_text(&form, "decision", 16, false);
    return settle(&r, &person, slice_eq(decision, SLICE("allow")));
}
