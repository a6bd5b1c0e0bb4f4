/* identity/form.c - Pages that answer forms. */
#include "identity/form.h"

#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/page.h"

static const struct {
    const char *path, *title, *text;
} done[] = {
    { "/auth/login", "You are signed in", "You can close this page." },
    { "/auth/mfa", "You are signed in", "You can close this page." },
    { "/auth/signup", "Almost there", "If you got a mail from us, open the link in it." },
    { "/auth/verify", "Thank you", "Your address is confirmed: you can sign in now." },
    { "/auth/recover/confirm", "Your password is set", "Sign in with it." },
    { "/auth/magic/confirm", "You are signed in", "You can close this page." },
    { "/auth/email/confirm", "Your address is changed", "From now on you sign in with it." },
    { "/auth/account/restore", "Your account stays", "Nothing is deleted." },
    { "/auth/invitations/accept", "Welcome", "You are signed in." },
};

bool identity_form_is(const struct http_request *req)
{
    /* OAuth's endpoints take forms from programs. */
    return slice_starts(http_path(req), SLICE("/auth/")) &&
           slice_eq(http_content_type(req), SLICE("application/x-www-form-urlencoded"));
}

enum status identity_form_done(struct task *task, struct http_request *req, int status)
{
    const char *title = "Look into your mail";
    const char *text = "If there is an account with this address, a mail is on its way.";
    const struct http_route *route = http_route_of(req);
    struct buf b;
    for (size_t i = 0; i < ARRAY_LEN(done); i++) {
        if (!slice_eq(slice_cstr(route->pattern), slice_cstr(done[i].path)))
            continue;
        title = done[i].title;
        text = done[i].text;
    }
    identity_page_begin(task, &b, slice_cstr(title), slice_cstr(text));
    identity_page_end(&b);
    return identity_page_send(task, req, status == 204 ? 200 : status, &b, SLICE_NULL);
}

enum status identity_form_second(struct task *task, struct http_request *req,
                                 struct slice mfa_token)
{
    struct buf b;
    identity_page_begin(task, &b, SLICE("One step more"),
                        SLICE("The code of your authenticator app, or a recovery code."));
    identity_page_form(&b, "/auth/mfa");
    identity_page_hidden(&b, "mfa_token", mfa_token);
    buf_put_lit(&b, "<label for=\"code\">Code</label>\n"
                    "<input id=\"code\" name=\"code\" autocomplete=\"one-time-code\" "
                    "maxlength=\"64\" required autofocus>\n"
                    "<button type=\"submit\">Sign in</button>\n</form>\n");
    identity_page_end(&b);
    return identity_page_send(task, req, 200, &b, SLICE_NULL);
}

enum status identity_form_wrong(struct task *task, struct http_request *req, int status,
                                struct slice reason)
{
    struct buf b;
    identity_page_begin(task, &b, SLICE("This did not work"), SLICE_NULL);
    identity_page_alert(&b, reason);
    buf_put_lit(&b, "<p class=\"where\">Go back to mend it.</p>\n");
    identity_page_end(&b);
    return identity_page_send(task, req, status, &b, SLICE_NULL);
}

enum status identity_form_failed(struct task *task, struct http_request *req, enum status st)
{
    const struct problem *problem = task_problem(task);
    int status = problem->http_status ? problem->http_status : http_status_of(st);
    struct buf b;
    if (problem->fields_len && !problem->http_status)
        status = 422;
    identity_page_begin(task, &b, SLICE("This did not work"), SLICE_NULL);
    identity_page_alert(&b, problem->detail.len ? problem->detail
                                                : SLICE("Something went wrong. Try again."));
    if (problem->fields_len) {
        buf_put_lit(&b, "<ul>\n");
        for (size_t i = 0; i < problem->fields_len; i++) {
            size_t slash = problem->fields[i].pointer.len;
            while (slash > 0 && problem->fields[i].pointer.data[slash - 1] != '/')
                slash--;
            buf_put_lit(&b, "<li><strong>");
            identity_page_text(&b, slice_from(problem->fields[i].pointer, slash));
            buf_put_lit(&b, "</strong>: ");
            identity_page_text(&b, problem->fields[i].detail);
            buf_put_lit(&b, "</li>\n");
        }
        buf_put_lit(&b, "</ul>\n");
    }
    buf_put_lit(&b, "<p class=\"where\">Go back to mend it.</p>\n");
    identity_page_end(&b);
    return identity_page_send(task, req, status, &b, SLICE_NULL);
}
