/*
 * identity/account_page.h - The pages of who is signed in: their account, in plain forms, for
 * applications that have no such pages of their own. Private to the room.
 *
 * Data passes: GET -> who is signed in by cookie (else to the page to sign in, and back), proved a
 * moment ago where the page asks for it (else they prove it on the spot) -> a view -> the page.
 * POST -> the form is ours, of this session -> the API's own handler -> a redirect to a page that
 * says what was done, or the page again with what was wrong.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/account.h"
#include "identity/page.h"
#include "identity/who.h"

struct http_request;
struct identity;
struct problem;
struct task;

#define IDENTITY_ACCOUNT_PAGE "/auth/account"
#define IDENTITY_SESSIONS_PAGE "/auth/account/sessions"
#define IDENTITY_APPS_PAGE "/auth/account/apps"
#define IDENTITY_PASSWORD_PAGE "/auth/account/password"
#define IDENTITY_EMAIL_PAGE "/auth/account/email"
#define IDENTITY_TOTP_PAGE "/auth/account/totp"
#define IDENTITY_CODES_PAGE "/auth/account/recovery-codes"
#define IDENTITY_PASSKEYS_PAGE "/auth/account/passkeys"
#define IDENTITY_ACTING_PAGE "/auth/account/acting" /* has no page: its form is on all of them */
#define IDENTITY_PROVIDERS_PAGE "/auth/account/providers"
#define IDENTITY_DELETE_PAGE "/auth/account/delete"

/* A page on its way. */
struct identity_view {
    struct task *task;
    struct http_request *req;
    struct identity *identity;
    struct identity_who who;
    struct identity_account account;
    struct slice csrf;             /* for the forms of this session */
    struct slice notice;           /* what was done just now; empty: nothing */
    const struct problem *problem; /* why the page is shown again; NULL: it is not */
    bool is_scripted;
    struct buf out;
};

/* Begin with the head, what was done, and what was wrong. */
void identity_view_begin(struct identity_view *v, struct slice title, struct slice lead);
/* A form that is posted to `action` (a path of ours). */
void identity_view_form(struct identity_view *v, struct slice action);
/* A form of one button. All constant but `id`, which is a last segment of the path, or empty. */
void identity_view_act(struct identity_view *v, const char *action, struct slice id,
                       const char *text, const char *kind);

typedef enum status (*identity_view_fn)(struct identity_view *v);

/* identity/page_home.c */
enum status identity__view_home(struct identity_view *v);
/* identity/page_lists.c */
enum status identity__view_sessions(struct identity_view *v);
enum status identity__view_apps(struct identity_view *v);
/* identity/page_changes.c */
enum status identity__view_password(struct identity_view *v);
enum status identity__view_email(struct identity_view *v);
enum status identity__view_delete(struct identity_view *v);
/* identity/page_factors.c */
enum status identity__view_totp(struct identity_view *v);
enum status identity__view_codes(struct identity_view *v);
enum status identity__view_passkeys(struct identity_view *v);

/* identity/page_providers.c */
enum status identity__view_providers(struct identity_view *v);

/* -- for the pages around them
 * ------------------------------------------------------------------------------------ */

/* Add the routes. */
enum status identity__account_pages_open(struct identity *identity);
/* Where a sign-in leads: the page that `path` names if it is one of these, else the first one.
 * Constant. */
struct slice identity_account_page_of(struct slice path);
/* The query that names a page to come back to: "?next=...", or empty for the first one. */
struct slice identity_account_next(struct arena *arena, struct slice path);
/* What was done, by its name in a query; empty: nothing that is known. Constant. */
struct slice identity_account_done(struct slice name);
/* A form was posted to an act of these pages, and it was done: go on. False: it is another route.
 */
bool identity_account_answered(struct task *task, struct http_request *req, enum status *ret_st);
