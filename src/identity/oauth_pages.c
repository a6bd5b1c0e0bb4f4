/* identity/oauth_pages.c - The pages of /oauth/authorize. */
#include "identity/oauth_pages.h"

#include "base/arena.h"
#include "base/macros.h"
#include "base/rights.h"
#include "fiber/task.h"
#include "identity/oauth_text.h"
#include "identity/page.h"
#include "identity/room.h"

enum status identity_page_wrong(struct task *task, struct http_request *req, int status,
                                struct slice reason)
{
    struct buf b;
    identity_page_begin(task, &b, SLICE("This did not work"), SLICE_NULL);
    identity_page_alert(&b, reason);
    buf_put_lit(&b, "<p>Go back to the program that sent you here and try again. If it happens "
                    "again, tell those who run it.</p>\n");
    identity_page_end(&b);
    return identity_page_send(task, req, status, &b, SLICE_NULL);
}

enum status identity_page_login(struct task *task, struct http_request *req,
                                const struct identity_oauth_view *view, struct slice email,
                                int status, struct slice wrong)
{
    struct buf b;
    identity_page_begin(
        task, &b, SLICE("Sign in"),
        arena_printf(task_arena(task), "to go on to %.*s", SLICE_ARG(view->client->name)));
    identity_page_alert(&b, wrong);
    identity_page_form(&b, "/oauth/login");
    identity_page_hidden(&b, "request", view->request);
    buf_put_lit(&b, "<label for=\"email\">E-mail address</label>\n"
                    "<input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"username\" "
                    "maxlength=\"254\" required");
    buf_put_cstr(&b, email.len ? " value=\"" : " autofocus");
    identity_page_text(&b, email);
    buf_put_cstr(&b, email.len ? "\">\n" : ">\n");
    buf_put_lit(&b, "<label for=\"password\">Password</label>\n"
                    "<input id=\"password\" name=\"password\" type=\"password\" "
                    "autocomplete=\"current-password\" required");
    buf_put_cstr(&b, email.len ? " autofocus>\n" : ">\n");
    identity_page_button(&b, "Sign in", "");
    identity_page_passkey(
        &b, "login",
        arena_printf(task_arena(task), "/oauth/authorize?%.*s", SLICE_ARG(view->request)));
    buf_put_lit(&b, "</form>\n");
    identity_page_script(&b);
    identity_page_end(&b);
    return identity_page_send_scripted(task, req, status, &b,
                                       identity_redirect_origin(view->redirect));
}

enum status identity_page_second(struct task *task, struct http_request *req,
                                 const struct identity_oauth_view *view, struct slice token,
                                 int status, struct slice wrong)
{
    struct buf b;
    identity_page_begin(task, &b, SLICE("One more step"),
                        SLICE("This account has a second factor."));
    identity_page_alert(&b, wrong);
    identity_page_form(&b, "/oauth/second");
    identity_page_hidden(&b, "request", view->request);
    identity_page_hidden(&b, "mfa_token", token);
    buf_put_lit(&b,
                "<label for=\"code\">Code of your authenticator app, or a recovery code</label>\n"
                "<input id=\"code\" name=\"code\" autocomplete=\"one-time-code\" maxlength=\"64\" "
                "spellcheck=\"false\" autocapitalize=\"off\" required autofocus>\n"
                "<button type=\"submit\">Go on</button>\n</form>\n"
                "<p class=\"where\"><a href=\"/oauth/authorize?");
    identity_page_text(&b, view->other_request);
    buf_put_lit(&b, "\">Begin again</a></p>\n");
    identity_page_end(&b);
    return identity_page_send(task, req, status, &b, identity_redirect_origin(view->redirect));
}

/* -- consent
 * ------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *text;
} own_scopes[] = {
    { "openid", "Know who you are on this site" },
    { "profile", "See your name and profile" },
    { "email", "See your e-mail address" },
    { "offline_access", "Stay signed in for you while you are away" },
};

static struct slice text_of(const struct identity_options *options, struct slice scope)
{
    for (size_t i = 0; i < ARRAY_LEN(own_scopes); i++)
        if (slice_eq(scope, slice_cstr(own_scopes[i].name)))
            return slice_cstr(own_scopes[i].text);
    for (unsigned i = 0; i < options->scopes_len; i++)
        if (slice_eq(scope, options->scopes[i].name))
            return options->scopes[i].text.len ? options->scopes[i].text : scope;
    return scope;
}

/* "Update posts", of a permission that is a scope itself. */
static void put_permission(struct buf *out, struct slice pattern)
{
    static const struct {
        const char *verb, *text;
    } verbs[] = { { "read", "Read " },
                  { "create", "Add to " },
                  { "update", "Change what is in " },
                  { "delete", "Delete from " },
                  { "*", "Do all that you may do with " } };
    struct slice area, verb;
    rights_split(pattern, &area, &verb);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (slice_eq(verb, slice_cstr(verbs[i].verb))) {
            buf_put_cstr(out, verbs[i].text);
            identity_page_text(out, slice_eq(area, SLICE("*")) ? SLICE("everything") : area);
            return;
        }
    identity_page_text(out, pattern);
}

static bool is_declared(const struct identity_options *options, struct slice scope)
{
    for (unsigned i = 0; i < options->scopes_len; i++)
        if (slice_eq(scope, options->scopes[i].name))
            return true;
    return false;
}

void identity_page_scopes(struct buf *out, const struct identity *identity, struct slice scope)
{
    struct slice one;
    buf_put_lit(out, "<ul class=\"scopes\">\n");
    while (identity_scope_next(&scope, &one)) {
        buf_put_lit(out, "<li>");
        if (rights_is_pattern(one) && !is_declared(&identity->options, one))
            put_permission(out, one);
        else
            identity_page_text(out, text_of(&identity->options, one));
        buf_put_lit(out, "</li>\n");
    }
    buf_put_lit(out, "</ul>\n");
}

enum status identity_page_consent(struct task *task, const struct identity *identity,
                                  struct http_request *req, const struct identity_oauth_view *view,
                                  struct slice csrf, struct slice email)
{
    struct buf b;
    struct slice origin = identity_redirect_origin(view->redirect);
    identity_page_begin(
        task, &b, arena_printf(task_arena(task), "Let %.*s in?", SLICE_ARG(view->client->name)),
        arena_printf(task_arena(task), "You are signed in as %.*s.", SLICE_ARG(email)));
    if (view->scope.len) {
        buf_put_lit(&b, "<p>It would like to:</p>\n");
        identity_page_scopes(&b, identity, view->scope);
    } else {
        buf_put_lit(&b, "<p>It asks for no rights of yours.</p>\n");
    }
    buf_put_lit(&b, "<p class=\"where\">You go on to <strong>");
    identity_page_text(&b, origin);
    buf_put_lit(&b, "</strong></p>\n");
    identity_page_form(&b, "/oauth/consent");
    identity_page_hidden(&b, "request", view->request);
    identity_page_hidden(&b, "csrf", csrf);
    buf_put_lit(&b, "<button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>\n"
                    "<button type=\"submit\" name=\"decision\" value=\"deny\" "
                    "class=\"other\">Do not allow</button>\n</form>\n"
                    "<p class=\"where\"><a href=\"/oauth/authorize?");
    identity_page_text(&b, view->other_request);
    buf_put_lit(&b, "\">Use another account</a></p>\n");
    identity_page_end(&b);
    return identity_page_send(task, req, 200, &b, origin);
}
