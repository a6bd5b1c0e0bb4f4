/* identity/form.c - Pages that answer forms. */
#include "identity/form.h"

#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/account_page.h"
#include "identity/foreign.h"
#include "identity/input.h"
#include "identity/page.h"
#include "identity/secret.h"

/* Where it goes on from there; NULL: nowhere. */
#define TO_LOGIN "/auth/login", "Sign in"
#define TO_ACCOUNT IDENTITY_ACCOUNT_PAGE, "Your account"

static const struct {
    const char *path, *title, *text, *link, *link_text;
} done[] = {
    { "/auth/signup", "Almost there", "If you got a mail from us, open the link in it.", TO_LOGIN },
    { "/auth/verify", "Thank you", "Your address is confirmed: you can sign in now.", TO_LOGIN },
    { "/auth/recover/confirm", "Your password is set", "Sign in with it.", TO_LOGIN },
    { "/auth/magic/confirm", "You are signed in", "You can close this page.", TO_ACCOUNT },
    { "/auth/email/confirm", "Your address is changed", "From now on you sign in with it.",
      TO_ACCOUNT },
    { "/auth/account/restore", "Your account stays", "Nothing is deleted.", TO_LOGIN },
    { "/auth/invitations/accept", "Welcome", "You are signed in.", TO_ACCOUNT },
};

bool identity_form_is(const struct http_request *req)
{
    /* OAuth's endpoints take forms from programs. */
    return slice_starts(http_path(req), SLICE("/auth/")) &&
           slice_eq(http_content_type(req), SLICE("application/x-www-form-urlencoded"));
}

/* A member of the form that was posted, or SLICE_NULL. */
static struct slice member_of(struct task *task, struct http_request *req, const char *name,
                              size_t bytes_max)
{
    struct identity_input form;
    if (identity_input_read(task, req, &form) != STATUS_OK || !form.is_form)
        return SLICE_NULL;
    return identity_input_text(&form, name, bytes_max, false);
}

static bool is_sign_in(const struct http_route *route)
{
    struct slice pattern = slice_cstr(route->pattern);
    return slice_eq(pattern, SLICE("/auth/login")) || slice_eq(pattern, SLICE("/auth/mfa"));
}

static enum status send_done(struct task *task, struct http_request *req, int status)
{
    const char *title = "Look into your mail", *link = NULL, *link_text = NULL;
    const char *text = "If there is an account with this address, a mail is on its way.";
    struct slice pattern = slice_cstr(http_route_of(req)->pattern);
    struct buf b;
    for (size_t i = 0; i < ARRAY_LEN(done); i++) {
        if (!slice_eq(pattern, slice_cstr(done[i].path)))
            continue;
        title = done[i].title;
        text = done[i].text;
        link = done[i].link;
        link_text = done[i].link_text;
    }
    if (status == 201 && slice_eq(pattern, SLICE("/auth/signup"))) {
        title = "Welcome";
        text = "You are signed in.";
        link = IDENTITY_ACCOUNT_PAGE;
        link_text = "Your account";
    }
    identity_page_begin(task, &b, slice_cstr(title), slice_cstr(text));
    if (link)
        identity_page_link(&b, link, link_text);
    identity_page_end(&b);
    return identity_page_send(task, req, status == 204 ? 200 : status, &b, SLICE_NULL);
}

/* A path of ours that a form carries to be gone to; SLICE_NULL: it has none. */
static struct slice return_of(struct task *task, struct http_request *req)
{
    struct slice path = member_of(task, req, "return_to", IDENTITY_RETURN_MAX);
    return identity_return_is_path(path) ? path : SLICE_NULL;
}

static struct slice next_of(struct task *task, struct http_request *req)
{
    return identity_account_page_of(member_of(task, req, "next", IDENTITY_PAGE_PATH_MAX));
}

enum status identity_form_done(struct task *task, struct http_request *req, int status)
{
    enum status st;
    if (identity_account_answered(task, req, &st))
        return st;
    if (!is_sign_in(http_route_of(req)))
        return send_done(task, req, status);
    struct slice back = return_of(task, req);
    return identity_page_go(req, back.len ? back : next_of(task, req));
}

/* What the second step is asked with. */
struct second {
    struct slice mfa_token;
    bool has_passkey;
    const struct problem *problem; /* why it is asked again; NULL: it is not */
    struct slice next, back;       /* a page of ours, and any path or empty: where it leads */
};

static enum status send_second(struct task *task, struct http_request *req,
                               const struct second *second, int status)
{
    struct buf b;
    identity_page_begin(task, &b, SLICE("One step more"),
                        SLICE("This account has a second factor."));
    identity_page_problem(&b, second->problem);
    identity_page_form(&b, "/auth/mfa");
    identity_page_hidden(&b, "mfa_token", second->mfa_token);
    identity_page_hidden(&b, "next", second->next);
    if (second->back.len)
        identity_page_hidden(&b, "return_to", second->back);
    if (second->has_passkey)
        identity_page_hidden(&b, "passkey", SLICE("1"));
    identity_page_input(&b, &(struct identity_page_input){
                                .name = "code",
                                .label = SLICE("Code"),
                                .type = "text",
                                .more = IDENTITY_PAGE_CODE " required autofocus",
                                .hint = "Of your authenticator app, or a recovery code." });
    identity_page_button(&b, "Sign in", "");
    if (second->has_passkey)
        identity_page_passkey(&b, "second", second->next);
    buf_put_lit(&b, "</form>\n");
    identity_page_link(&b, "/auth/login", "Begin again");
    if (second->has_passkey)
        identity_page_script(&b);
    identity_page_end(&b);
    return second->has_passkey ? identity_page_send_scripted(task, req, status, &b, SLICE_NULL)
                               : identity_page_send(task, req, status, &b, SLICE_NULL);
}

enum status identity_form_second(struct task *task, struct http_request *req,
                                 struct slice mfa_token, bool has_passkey)
{
    const struct second second = { mfa_token, has_passkey, NULL, next_of(task, req),
                                   return_of(task, req) };
    return send_second(task, req, &second, 200);
}

enum status identity_form_second_to(struct task *task, struct http_request *req,
                                    struct slice mfa_token, bool has_passkey,
                                    struct slice return_to)
{
    const struct second second = { mfa_token, has_passkey, NULL,
                                   identity_account_page_of(SLICE_NULL),
                                   identity_return_is_path(return_to) ? return_to : SLICE_NULL };
    return send_second(task, req, &second, 200);
}

enum status identity_form_wrong(struct task *task, struct http_request *req, int status,
                                struct slice reason)
{
    struct buf b;
    identity_page_begin(task, &b, SLICE("This did not work"), SLICE_NULL);
    identity_page_alert(&b, reason);
    identity_page_link(&b, IDENTITY_ACCOUNT_PAGE, "Your account");
    identity_page_end(&b);
    return identity_page_send(task, req, status, &b, SLICE_NULL);
}

/* Of the second step, a code that is wrong can be mended; a first step that is over cannot. */
static bool second_again(struct task *task, struct http_request *req, const struct problem *problem,
                         int status, enum status *ret_st)
{
    if (!slice_eq(slice_cstr(http_route_of(req)->pattern), SLICE("/auth/mfa")) ||
        (problem->type && slice_eq(slice_cstr(problem->type), SLICE("identity/invalid-mfa-token"))))
        return false;
    struct slice token = member_of(task, req, "mfa_token", IDENTITY_SECRET_TEXT_MAX);
    if (!token.len)
        return false;
    const struct second second = { token, member_of(task, req, "passkey", 1).len > 0, problem,
                                   next_of(task, req), return_of(task, req) };
    *ret_st = send_second(task, req, &second, status);
    return true;
}

enum status identity_form_failed(struct task *task, struct identity *identity,
                                 struct http_request *req, enum status st)
{
    struct problem problem = *task_problem(task);
    int status = problem.http_status ? problem.http_status : http_status_of(st);
    struct buf b;
    if (problem.fields_len && !problem.http_status)
        status = 422;
    if (st == STATUS_UNAUTHENTICATED)
        http_caller_failed(req);
    identity_page_retry_after(req, &problem);
    /* What is typed is read once more, and what is wrong with it is known. */
    *task_problem(task) = (struct problem){ .status = STATUS_OK };
    if (second_again(task, req, &problem, status, &st) ||
        identity_form_again(task, identity, req, &problem, status, &st))
        return st;
    identity_page_begin(task, &b, SLICE("This did not work"), SLICE_NULL);
    identity_page_problem(&b, &problem);
    identity_page_link(&b, "/auth/login", "Sign in");
    identity_page_end(&b);
    return identity_page_send(task, req, status, &b, SLICE_NULL);
}
