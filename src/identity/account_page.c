/*
 * identity/account_page.c - Which pages an account has, what can be done on them, and how they are
 * asked for.
 *
 * The acts are the handlers of the API as they are. Their routes here pay no heed to the header
 * that a script would send against forgery; the form carries a token of this session instead.
 */
#include "identity/account_page.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/caller.h"
#include "identity/foreign_page.h"
#include "identity/form.h"
#include "identity/input.h"
#include "identity/room.h"
#include "identity/route_factors.h"
#include "identity/routes.h"

#define PROOF_PATH "/auth/account/proof"

struct page {
    const char *path;
    identity_view_fn show;
    bool is_fresh; /* for who proved a moment ago who they are */
    bool is_oauth;
};

static const struct page pages[] = {
    { IDENTITY_ACCOUNT_PAGE, identity__view_home, false, false }, /* the first one */
    { IDENTITY_SESSIONS_PAGE, identity__view_sessions, false, false },
    { IDENTITY_APPS_PAGE, identity__view_apps, false, true },
    { IDENTITY_PASSWORD_PAGE, identity__view_password, false, false },
    { IDENTITY_EMAIL_PAGE, identity__view_email, true, false },
    { IDENTITY_TOTP_PAGE, identity__view_totp, true, false },
    { IDENTITY_CODES_PAGE, identity__view_codes, true, false },
    { IDENTITY_PASSKEYS_PAGE, identity__view_passkeys, true, false },
    { IDENTITY_PROVIDERS_PAGE, identity__view_providers, true, false },
    { IDENTITY_DELETE_PAGE, identity__view_delete, true, false },
};

struct act {
    const char *path;
    http_handler_fn handler;
    const char *page; /* shown again when it fails */
    const char *then; /* where it leads; NULL: it is answered with what there is to see */
    const char *name, *words;
    bool is_oauth;
};

static const struct act acts[] = {
    { IDENTITY_SESSIONS_PAGE, identity__sessions_revoke_others, IDENTITY_SESSIONS_PAGE,
      IDENTITY_SESSIONS_PAGE, "others", "All other devices are signed out.", false },
    { IDENTITY_SESSIONS_PAGE "/{id}", identity__sessions_revoke_one, IDENTITY_SESSIONS_PAGE,
      IDENTITY_SESSIONS_PAGE, "session", "The device is signed out.", false },
    { IDENTITY_APPS_PAGE "/{client_id}", identity__consent_withdraw, IDENTITY_APPS_PAGE,
      IDENTITY_APPS_PAGE, "app", "The app is disconnected.", true },
    { IDENTITY_PASSWORD_PAGE, identity__password, IDENTITY_PASSWORD_PAGE, IDENTITY_ACCOUNT_PAGE,
      "password", "Your password is changed. Other devices are signed out.", false },
    { IDENTITY_EMAIL_PAGE, identity__email, IDENTITY_EMAIL_PAGE, IDENTITY_ACCOUNT_PAGE, "email",
      "Look into the mail that went to your new address: the change holds when you have "
      "confirmed it there.",
      false },
    { IDENTITY_TOTP_PAGE, identity__totp, IDENTITY_TOTP_PAGE, IDENTITY_TOTP_PAGE, "totp", "",
      false },
    { IDENTITY_TOTP_PAGE "/confirm", identity__totp_confirm, IDENTITY_TOTP_PAGE, NULL, NULL, NULL,
      false },
    { IDENTITY_TOTP_PAGE "/remove", identity__totp_remove, IDENTITY_TOTP_PAGE,
      IDENTITY_ACCOUNT_PAGE, "totp-removed", "The authenticator app is removed.", false },
    { IDENTITY_CODES_PAGE, identity__recovery_codes, IDENTITY_CODES_PAGE, NULL, NULL, NULL, false },
    { IDENTITY_PASSKEYS_PAGE "/{id}", identity__passkey_rename, IDENTITY_PASSKEYS_PAGE,
      IDENTITY_PASSKEYS_PAGE, "passkey", "The passkey has its new name.", false },
    { IDENTITY_PASSKEYS_PAGE "/{id}/remove", identity__passkey_remove, IDENTITY_PASSKEYS_PAGE,
      IDENTITY_PASSKEYS_PAGE, "passkey-removed", "The passkey is removed.", false },
    { IDENTITY_PROVIDERS_PAGE "/{provider}", identity__link_add, IDENTITY_PROVIDERS_PAGE,
      IDENTITY_PROVIDERS_PAGE, "provider", "It lets you in from now on.", false },
    { IDENTITY_PROVIDERS_PAGE "/{provider}/remove", identity__link_remove, IDENTITY_PROVIDERS_PAGE,
      IDENTITY_PROVIDERS_PAGE, "provider-removed", "It lets you in no more.", false },
    { IDENTITY_DELETE_PAGE, identity__account_delete, IDENTITY_DELETE_PAGE, "/auth/login",
      "deleted",
      "Your account will be deleted. You have a mail that says when; until then you can sign in "
      "and "
      "keep it.",
      false },
    { IDENTITY_ACCOUNT_PAGE "/keep", identity__account_restore, IDENTITY_ACCOUNT_PAGE,
      IDENTITY_ACCOUNT_PAGE, "kept", "Your account stays. Nothing is deleted.", false },
    { IDENTITY_ACCOUNT_PAGE "/logout", identity__logout, IDENTITY_ACCOUNT_PAGE, "/auth/login",
      "logout", "You are signed out.", false },
    { IDENTITY_ACTING_PAGE, identity__impersonate_end, IDENTITY_ACCOUNT_PAGE, IDENTITY_ACCOUNT_PAGE,
      "yourself", "You are yourself again.", false },
    { PROOF_PATH, identity__step_up, NULL, NULL, NULL, NULL,
      false }, /* back to where it was asked */
};

/* One route of this app. */
struct served {
    struct identity *identity;
    const struct page *page;
    const struct act *act; /* NULL: the page itself */
};

static const struct page *find_page(struct slice path)
{
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        if (slice_eq(path, slice_cstr(pages[i].path)))
            return &pages[i];
    return NULL;
}

static const struct act *find_act(struct slice pattern)
{
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        if (slice_eq(pattern, slice_cstr(acts[i].path)))
            return &acts[i];
    return NULL;
}

/* -- names in queries
 * ----------------------------------------------------------------------------------- */

struct slice identity_account_page_of(struct slice path)
{
    const struct page *page = find_page(path);
    return slice_cstr(page ? page->path : pages[0].path);
}

struct slice identity_account_next(struct arena *arena, struct slice path)
{
    const struct page *page = find_page(path);
    return page && page != &pages[0] ? arena_printf(arena, "?next=%s", page->path) : SLICE("");
}

struct slice identity_account_done(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(acts); i++)
        if (acts[i].name && slice_eq(name, slice_cstr(acts[i].name)))
            return slice_cstr(acts[i].words);
    return SLICE("");
}

static enum status go_to_login(struct task *task, struct http_request *req, struct slice path)
{
    struct slice next = identity_account_next(task_arena(task), path);
    struct slice where = arena_printf(task_arena(task), "/auth/login%.*s", SLICE_ARG(next));
    return where.data ? identity_page_go(req, where) : STATUS_EXHAUSTED;
}

/* -- a view
 * --------------------------------------------------------------------------------------------- */

static void put_banner(struct identity_view *v)
{
    buf_put_lit(&v->out, "<div class=\"notice acting\" role=\"status\">\n<p>You act as <strong>");
    identity_page_text(&v->out, v->account.email);
    buf_put_lit(&v->out, "</strong>. They see it, and it is in the log.</p>\n");
    identity_view_act(v, IDENTITY_ACTING_PAGE, SLICE_NULL, "Be yourself again", "other");
    buf_put_lit(&v->out, "</div>\n");
}

void identity_view_begin(struct identity_view *v, struct slice title, struct slice lead)
{
    bool is_first = slice_eq(http_path(v->req), SLICE(IDENTITY_ACCOUNT_PAGE));
    identity_page_begin_wide(v->task, &v->out, title, lead,
                             is_first ? NULL : IDENTITY_ACCOUNT_PAGE);
    if (v->who.has_impersonator)
        put_banner(v);
    identity_page_notice(&v->out, v->notice);
    identity_page_problem(&v->out, v->problem);
}

void identity_view_form(struct identity_view *v, struct slice action)
{
    buf_put_lit(&v->out, "<form method=\"post\" action=\"");
    identity_page_text(&v->out, action);
    buf_put_lit(&v->out, "\">\n");
    identity_page_hidden(&v->out, "csrf", v->csrf);
}

void identity_view_act(struct identity_view *v, const char *action, struct slice id,
                       const char *text, const char *kind)
{
    buf_printf(&v->out, "<form method=\"post\" action=\"%s", action);
    if (id.len) {
        buf_putc(&v->out, '/');
        identity_page_text(&v->out, id);
    }
    buf_put_lit(&v->out, "\">\n");
    identity_page_hidden(&v->out, "csrf", v->csrf);
    identity_page_button(&v->out, text, kind);
    buf_put_lit(&v->out, "</form>\n");
}

/* What the tokens of these forms are signed for. SLICE_NULL: no memory. */
static struct slice form_name(struct task *task, struct http_request *req)
{
    struct slice cookie = http_cookie(req, SLICE(HTTP_SESSION_COOKIE));
    return arena_printf(task_arena(task), "%.*s\naccount", SLICE_ARG(cookie));
}

/* UNAUTHENTICATED: nobody is signed in in this browser. */
static enum status find_person(struct identity_view *v)
{
    enum status st = identity_caller_find(v->task, v->identity, v->req, &v->who);
    if (st == STATUS_NOT_FOUND || (st == STATUS_OK && !v->who.is_cookie))
        return STATUS_UNAUTHENTICATED;
    if (st == STATUS_OK)
        st = identity_account_by_user(v->task, v->identity, &v->who.user, &v->account);
    return st == STATUS_NOT_FOUND ? STATUS_UNAUTHENTICATED : st;
}

static enum status open_view(struct identity_view *v)
{
    struct slice name = form_name(v->task, v->req);
    char *token = arena_alloc(task_arena(v->task), HTTP_CSRF_TOKEN_LEN);
    enum status st = find_person(v);
    if (st != STATUS_OK)
        return st;
    if (!name.data || !token)
        return STATUS_EXHAUSTED;
    http_csrf_token_make(http_app_of(v->req), name, token);
    v->csrf = slice_of(token, HTTP_CSRF_TOKEN_LEN);
    return STATUS_OK;
}

static enum status send_view(struct identity_view *v, int status)
{
    identity_page_end(&v->out);
    return v->is_scripted
               ? identity_page_send_scripted(v->task, v->req, status, &v->out, SLICE_NULL)
               : identity_page_send(v->task, v->req, status, &v->out, SLICE_NULL);
}

/* -- proving it again
 * ------------------------------------------------------------------------------------ */

static bool is_fresh(const struct identity_view *v)
{
    return clock_wall_us() - v->who.auth_us <= IDENTITY_FACTOR_FRESH_US;
}

/* Who has neither password nor factor has come by a provider, and comes by it again. */
static enum status ask_for_provider(struct identity_view *v, struct slice next, int status)
{
    identity_view_begin(v, SLICE("Is it still you?"),
                        SLICE("What comes next is only for you, so sign in once more."));
    identity_foreign_put_buttons(v->identity, identity_account_page_of(next).data, &v->out);
    return send_view(v, status);
}

static enum status ask_for_proof(struct identity_view *v, struct slice next, int status)
{
    bool has_factor = v->account.totp.len > 0 || v->account.has_passkey;
    if (!has_factor && !v->account.password.len && v->identity->foreign)
        return ask_for_provider(v, next, status);
    identity_view_begin(v, SLICE("Is it still you?"),
                        SLICE("What comes next is only for you, so prove it once more."));
    identity_view_form(v, SLICE(PROOF_PATH));
    identity_page_hidden(&v->out, "next", next);
    if (has_factor)
        identity_page_input(&v->out,
                            &(struct identity_page_input){
                                .name = "code",
                                .label = SLICE("Code"),
                                .type = "text",
                                .more = IDENTITY_PAGE_CODE " required autofocus",
                                .hint = "Of your authenticator app, or a recovery code." });
    else
        identity_page_input(&v->out,
                            &(struct identity_page_input){
                                .name = "password",
                                .label = SLICE("Password"),
                                .type = "password",
                                .more = "autocomplete=\"current-password\" required autofocus" });
    identity_page_button(&v->out, "Go on", "");
    if (v->account.has_passkey)
        identity_page_passkey(&v->out, "proof", next);
    buf_put_lit(&v->out, "</form>\n");
    if (v->account.has_passkey)
        identity_page_script(&v->out);
    v->is_scripted = v->account.has_passkey;
    return send_view(v, status);
}

/* -- GET
 * ------------------------------------------------------------------------------------------------
 */

static enum status show(const struct page *page, struct identity_view *v, int status)
{
    if (page->is_fresh && !is_fresh(v))
        return ask_for_proof(v, slice_cstr(page->path), status);
    enum status st = page->show(v);
    return st == STATUS_OK ? send_view(v, status) : st;
}

static enum status serve_page(struct task *task, struct http_request *req, void *arg)
{
    const struct served *served = arg;
    const struct http_param *params;
    unsigned len;
    struct identity_view v = { .task = task, .req = req, .identity = served->identity };
    enum status st = http_query(task, req, &params, &len);
    if (st == STATUS_OK)
        st = open_view(&v);
    if (st == STATUS_UNAUTHENTICATED)
        return go_to_login(task, req, slice_cstr(served->page->path));
    for (unsigned i = 0; i < len && st == STATUS_OK; i++)
        if (slice_eq(params[i].name, SLICE("done")))
            v.notice = identity_account_done(params[i].value);
    return st == STATUS_OK ? show(served->page, &v, 200) : st;
}

/* -- POST
 * -----------------------------------------------------------------------------------------------
 */

/* False: it was answered, or *ret_st is to be returned. */
static bool check_form(struct task *task, struct http_request *req, struct slice *ret_next,
                       enum status *ret_st)
{
    struct identity_input form;
    *ret_st = identity_input_read(task, req, &form);
    if (*ret_st != STATUS_OK)
        return false;
    struct slice name = form_name(task, req);
    struct slice token = identity_input_text(&form, "csrf", HTTP_CSRF_TOKEN_LEN, false);
    *ret_next =
        identity_account_page_of(identity_input_text(&form, "next", IDENTITY_PAGE_PATH_MAX, false));
    if (form.is_form && !http_is_cross_site(req) && name.data &&
        http_csrf_token_verify(http_app_of(req), name, token))
        return true;
    *ret_st = identity_form_wrong(task, req, 403,
                                  SLICE("The form is too old, or was made for another session."));
    return false;
}

/* The page again, with the reason why nothing was done. */
static enum status show_again(struct task *task, struct http_request *req,
                              const struct served *served, struct slice path, enum status st)
{
    struct problem problem = *task_problem(task);
    struct slice type = problem.type ? slice_cstr(problem.type) : SLICE("");
    const struct page *page = find_page(path);
    int status = problem.http_status ? problem.http_status : http_status_of(st);
    struct identity_view v = { .task = task, .req = req, .identity = served->identity };
    *task_problem(task) = (struct problem){ .status = STATUS_OK };
    enum status found = open_view(&v);
    if (found == STATUS_UNAUTHENTICATED)
        return go_to_login(task, req, path);
    if (found != STATUS_OK || !page)
        return found;
    if (st == STATUS_UNAUTHENTICATED)
        http_caller_failed(req);
    identity_page_retry_after(req, &problem);
    /* Asking to prove it is no reason to complain. */
    if (!slice_eq(type, SLICE("identity/step-up")))
        v.problem = &problem;
    return served->act->page ? show(page, &v, status) : ask_for_proof(&v, path, status);
}

static enum status serve_act(struct task *task, struct http_request *req, void *arg)
{
    const struct served *served = arg;
    struct slice next;
    enum status st = STATUS_OK;
    if (!check_form(task, req, &next, &st))
        return st;
    st = served->act->handler(task, req, served->identity);
    if (st == STATUS_OK || st == STATUS_CANCELLED || http_is_answered(req))
        return st;
    return show_again(task, req, served, served->act->page ? slice_cstr(served->act->page) : next,
                      st);
}

bool identity_account_answered(struct task *task, struct http_request *req, enum status *ret_st)
{
    const struct act *act = find_act(slice_cstr(http_route_of(req)->pattern));
    struct slice where;
    if (!act)
        return false;
    if (act->then)
        where = arena_printf(task_arena(task), "%s?done=%s", act->then, act->name);
    else if (!check_form(task, req, &where, ret_st))
        return true;
    *ret_st = where.data ? identity_page_go(req, where) : STATUS_EXHAUSTED;
    return true;
}

/* -- routes
 * --------------------------------------------------------------------------------------------- */

static enum status add(struct identity *identity, const struct page *page, const struct act *act)
{
    const char *reason;
    struct served *served = arena_new_of(identity->arena, struct served);
    if (!served)
        return STATUS_EXHAUSTED;
    *served = (struct served){ identity, page, act };
    return http_route_add(identity->app,
                          &(struct http_route){
                              .method = act ? NET_METHOD_POST : NET_METHOD_GET,
                              .pattern = act ? act->path : page->path,
                              .handler = act ? serve_act : serve_page,
                              .arg = served,
                              .priority = act ? HTTP_PRIORITY_AUTH : HTTP_PRIORITY_READ,
                              .body_bytes_max = act ? 65536 : -1,
                              .signs_in = act != NULL,
                          },
                          &reason);
}

static bool is_of_providers(const char *path)
{
    return slice_starts(slice_cstr(path), SLICE(IDENTITY_PROVIDERS_PAGE));
}

enum status identity__account_pages_open(struct identity *identity)
{
    enum status st = STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(pages) && st == STATUS_OK; i++)
        if ((identity->options.oauth || !pages[i].is_oauth) &&
            (identity->foreign || !is_of_providers(pages[i].path)))
            st = add(identity, &pages[i], NULL);
    for (size_t i = 0; i < ARRAY_LEN(acts) && st == STATUS_OK; i++)
        if ((identity->options.oauth || !acts[i].is_oauth) &&
            (identity->foreign || !is_of_providers(acts[i].path)))
            st = add(identity, NULL, &acts[i]);
    return st;
}
