/*
 * identity/route_pages.c - The pages that links in mail lead to, and sign-up, for applications that
 * have none of their own: plain forms to the routes of the API, which answer a form with a page.
 *
 * Opening a link uses nothing up: mail programs look into them. Its button does.
 */
#include "identity/routes.h"

#include "base/arena.h"
#include "base/macros.h"
#include "base/problem.h"
#include "contract/contract.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/form.h"
#include "identity/page.h"
#include "identity/room.h"

#define FIELD_EMAIL 1u
#define FIELD_PASSWORD 2u /* that is known */
#define FIELD_NEW_PASSWORD 4u
#define FIELD_PROFILE 8u

struct page {
    const char *path, *title, *lead, *button, *action;
    unsigned fields;
};

/* With a token in the query, and without one: what the link is asked for with. */
static const struct page with_token[] = {
    { "/auth/verify", "Confirm your address", "Then you can sign in.", "Confirm", "/auth/verify",
      0 },
    { "/auth/recover", "A new password", "Every device will be signed out.", "Set password",
      "/auth/recover/confirm", FIELD_NEW_PASSWORD },
    { "/auth/magic", "Sign in", "The link in your mail works once.", "Sign in",
      "/auth/magic/confirm", 0 },
    { "/auth/email", "Your new address", "From now on you sign in with it.", "Confirm",
      "/auth/email/confirm", 0 },
    { "/auth/restore", "Keep your account", "It will not be deleted.", "Keep it",
      "/auth/account/restore", 0 },
    { "/auth/invitation", "You are invited", "Choose a password and you are in.",
      "Accept the invitation", "/auth/invitations/accept", FIELD_NEW_PASSWORD | FIELD_PROFILE },
};
static const struct page without_token[] = {
    { "/auth/login", "Sign in", "", "Sign in", "/auth/login", FIELD_EMAIL | FIELD_PASSWORD },
    { "/auth/signup", "Make an account", "", "Sign up", "/auth/signup",
      FIELD_EMAIL | FIELD_NEW_PASSWORD | FIELD_PROFILE },
    { "/auth/verify", "Confirm your address", "You get another mail with a link.", "Send it",
      "/auth/verify/resend", FIELD_EMAIL },
    { "/auth/recover", "Forgot your password?", "You get a mail with a link to set a new one.",
      "Send it", "/auth/recover", FIELD_EMAIL },
    { "/auth/magic", "Sign in without a password", "You get a mail with a link that signs you in.",
      "Send it", "/auth/magic", FIELD_EMAIL },
};

static const struct page *find_page(const struct page *pages, size_t len, struct slice path)
{
    for (size_t i = 0; i < len; i++)
        if (slice_eq(path, slice_cstr(pages[i].path)))
            return &pages[i];
    return NULL;
}

/* -- fields
 * -------------------------------------------------------------------------------------------- */

static void put_input(struct buf *out, const char *name, struct slice label, const char *type,
                      const char *more)
{
    buf_put_lit(out, "<label for=\"");
    identity_page_text(out, slice_cstr(name));
    buf_put_lit(out, "\">");
    identity_page_text(out, label);
    buf_put_lit(out, "</label>\n<input id=\"");
    identity_page_text(out, slice_cstr(name));
    buf_put_lit(out, "\" name=\"");
    identity_page_text(out, slice_cstr(name));
    buf_printf(out, "\" type=\"%s\" %s>\n", type, more);
}

/* "display_name" is "Display name". */
static struct slice label_of(struct arena *arena, struct slice name)
{
    char *text = arena_cstr(arena, name);
    if (!text)
        return name;
    for (size_t i = 0; i < name.len; i++)
        if (text[i] == '_')
            text[i] = ' ';
    if (text[0] >= 'a' && text[0] <= 'z')
        text[0] = (char)(text[0] - 'a' + 'A');
    return slice_of(text, name.len);
}

/* What the contract asks of a person and a line of text can be: the rest has a default. */
static void put_profile(struct task *task, const struct identity *identity, struct buf *out)
{
    const struct identity_people *people = &identity->options.people;
    struct contract_set *set = people->hold(people->arg);
    const struct contract *contract = contract_find(set, SLICE(IDENTITY_PEOPLE));
    for (unsigned i = 0; contract && i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        if (!field->required || field->system || field->readonly ||
            slice_eq(field->name, SLICE("email")))
            continue;
        struct slice name =
            arena_printf(task_arena(task), IDENTITY_FORM_PROFILE "%.*s", SLICE_ARG(field->name));
        if (name.data)
            put_input(out, name.data, label_of(task_arena(task), field->name), "text", "required");
    }
    people->release(people->arg, set);
}

static void put_fields(struct task *task, const struct identity *identity, const struct page *page,
                       struct buf *out)
{
    if (page->fields & FIELD_EMAIL)
        put_input(out, "email", SLICE("E-mail address"), "email",
                  "autocomplete=\"username\" maxlength=\"254\" required");
    if (page->fields & FIELD_PROFILE)
        put_profile(task, identity, out);
    if (page->fields & FIELD_PASSWORD)
        put_input(out, "password", SLICE("Password"), "password",
                  "autocomplete=\"current-password\" required");
    if (page->fields & FIELD_NEW_PASSWORD)
        put_input(out, "password", SLICE("New password"), "password",
                  "autocomplete=\"new-password\" minlength=\"8\" maxlength=\"1024\" required");
}

static void put_links(const struct identity *identity, const struct page *page, struct buf *out)
{
    if (!(page->fields & FIELD_PASSWORD))
        return;
    buf_put_lit(out,
                "<p class=\"where\"><a href=\"/auth/recover\">Forgot your password?</a></p>\n");
    if (identity->options.sign_up)
        buf_put_lit(out, "<p class=\"where\"><a href=\"/auth/signup\">Make an account</a></p>\n");
}

enum status identity__page(struct task *task, struct http_request *req, void *arg)
{
    const struct identity *identity = arg;
    const struct http_param *params;
    unsigned len;
    struct slice token = SLICE_NULL, path = http_path(req);
    struct buf b;
    enum status st = http_query(task, req, &params, &len);
    if (st != STATUS_OK)
        return st;
    for (unsigned i = 0; i < len; i++)
        if (slice_eq(params[i].name, SLICE("token")))
            token = params[i].value;
    const struct page *page = NULL;
    if (token.len)
        page = find_page(with_token, ARRAY_LEN(with_token), path);
    if (!page)
        page = find_page(without_token, ARRAY_LEN(without_token), path);
    if (!page)
        return identity_form_wrong(task, req, 422,
                                   SLICE("This link is not whole. Copy all of it from the mail."));
    identity_page_begin(task, &b, slice_cstr(page->title), slice_cstr(page->lead));
    identity_page_form(&b, page->action);
    if (token.len)
        identity_page_hidden(&b, "token", token);
    put_fields(task, identity, page, &b);
    buf_put_lit(&b, "<button type=\"submit\">");
    identity_page_text(&b, slice_cstr(page->button));
    buf_put_lit(&b, "</button>\n</form>\n");
    put_links(identity, page, &b);
    identity_page_end(&b);
    return identity_page_send(task, req, 200, &b, SLICE_NULL);
}

enum status identity__pages_open(struct identity *identity)
{
    static const char *const paths[] = { "/auth/login",   "/auth/signup",    "/auth/verify",
                                         "/auth/recover", "/auth/magic",     "/auth/email",
                                         "/auth/restore", "/auth/invitation" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const char *reason;
        bool is_sign_up = slice_eq(slice_cstr(paths[i]), SLICE("/auth/signup"));
        if (is_sign_up && !identity->options.sign_up)
            continue;
        enum status st = http_route_add(identity->app,
                                        &(struct http_route){ .method = NET_METHOD_GET,
                                                              .pattern = paths[i],
                                                              .handler = identity__page,
                                                              .arg = identity,
                                                              .priority = HTTP_PRIORITY_READ,
                                                              .body_bytes_max = -1 },
                                        &reason);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}
