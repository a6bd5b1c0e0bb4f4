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
#include "identity/account_page.h"
#include "identity/answer.h"
#include "identity/foreign_page.h"
#include "identity/form.h"
#include "identity/input.h"
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

static const struct page *find_action(const struct page *pages, size_t len, struct slice action)
{
    for (size_t i = 0; i < len; i++)
        if (slice_eq(action, slice_cstr(pages[i].action)))
            return &pages[i];
    return NULL;
}

/* One on its way. */
struct showing {
    struct task *task;
    struct http_request *req;
    const struct identity *identity;
    const struct page *page;
    struct slice token, next, notice;
    const struct identity_input *typed; /* before, and was refused; NULL: nothing */
    const struct problem *problem;
    struct buf out;
};

/* -- fields
 * -------------------------------------------------------------------------------------------- */

static struct slice typed_before(const struct showing *s, const char *name)
{
    return s->typed ? identity_input_text(s->typed, name, IDENTITY_INPUT_BYTES_MAX, false)
                    : SLICE_NULL;
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
static void put_profile(struct showing *s)
{
    struct arena *arena = task_arena(s->task);
    const struct identity_people *people = &s->identity->options.people;
    struct contract_set *set = people->hold(people->arg);
    const struct contract *contract = contract_find(set, SLICE(IDENTITY_PEOPLE));
    for (unsigned i = 0; contract && i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        if (!field->required || field->system || field->readonly ||
            slice_eq(field->name, SLICE("email")))
            continue;
        struct slice name =
            arena_printf(arena, IDENTITY_FORM_PROFILE "%.*s", SLICE_ARG(field->name));
        if (name.data)
            identity_page_input(
                &s->out, &(struct identity_page_input){ .name = name.data,
                                                        .label = label_of(arena, field->name),
                                                        .type = "text",
                                                        .more = "required",
                                                        .value = typed_before(s, name.data) });
    }
    people->release(people->arg, set);
}

static void put_fields(struct showing *s)
{
    unsigned fields = s->page->fields;
    if (fields & FIELD_EMAIL)
        identity_page_input(&s->out,
                            &(struct identity_page_input){ .name = "email",
                                                           .label = SLICE("E-mail address"),
                                                           .type = "email",
                                                           .more = IDENTITY_PAGE_EMAIL " required",
                                                           .value = typed_before(s, "email") });
    if (fields & FIELD_PROFILE)
        put_profile(s);
    if (fields & FIELD_PASSWORD)
        identity_page_input(&s->out, &(struct identity_page_input){
                                         .name = "password",
                                         .label = SLICE("Password"),
                                         .type = "password",
                                         .more = "autocomplete=\"current-password\" required" });
    if (fields & FIELD_NEW_PASSWORD)
        identity_page_input(
            &s->out, &(struct identity_page_input){ .name = "password",
                                                    .label = SLICE("New password"),
                                                    .type = "password",
                                                    .more = IDENTITY_PAGE_NEW_PASSWORD " required",
                                                    .hint = "At least 8 characters of any kind." });
}

static void put_links(struct showing *s)
{
    struct slice path = slice_cstr(s->page->path);
    if (slice_eq(path, SLICE("/auth/login")) || slice_eq(path, SLICE("/auth/signup")))
        identity_foreign_put_buttons(s->identity, NULL, &s->out);
    if (slice_eq(path, SLICE("/auth/signup")))
        identity_page_link(&s->out, "/auth/login", "You have an account? Sign in");
    if (!(s->page->fields & FIELD_PASSWORD)) {
        if (!s->token.len && slice_eq(path, SLICE("/auth/recover")))
            identity_page_link(&s->out, "/auth/login", "Back to signing in");
        return;
    }
    identity_page_link(&s->out, "/auth/recover", "Forgot your password?");
    if (s->identity->options.sign_up)
        identity_page_link(&s->out, "/auth/signup", "Make an account");
}

static enum status show(struct showing *s, int status)
{
    const struct page *page = s->page;
    identity_page_begin(s->task, &s->out, slice_cstr(page->title), slice_cstr(page->lead));
    identity_page_notice(&s->out, s->notice);
    identity_page_problem(&s->out, s->problem);
    identity_page_form(&s->out, page->action);
    if (s->token.len)
        identity_page_hidden(&s->out, "token", s->token);
    if (s->next.len)
        identity_page_hidden(&s->out, "next", s->next);
    put_fields(s);
    bool is_sign_in = (page->fields & FIELD_PASSWORD) != 0;
    identity_page_button(&s->out, page->button, "");
    if (is_sign_in)
        identity_page_passkey(&s->out, "login", identity_account_page_of(s->next));
    buf_put_lit(&s->out, "</form>\n");
    put_links(s);
    if (is_sign_in)
        identity_page_script(&s->out);
    identity_page_end(&s->out);
    if (is_sign_in)
        return identity_page_send_scripted(s->task, s->req, status, &s->out, SLICE_NULL);
    return identity_page_send(s->task, s->req, status, &s->out, SLICE_NULL);
}

enum status identity__page(struct task *task, struct http_request *req, void *arg)
{
    struct showing s = { .task = task, .req = req, .identity = arg };
    const struct http_param *params;
    unsigned len;
    struct slice path = http_path(req);
    enum status st = http_query(task, req, &params, &len);
    if (st != STATUS_OK)
        return st;
    for (unsigned i = 0; i < len; i++) {
        if (slice_eq(params[i].name, SLICE("token")))
            s.token = params[i].value;
        else if (slice_eq(params[i].name, SLICE("next")))
            s.next = identity_account_page_of(params[i].value);
        else if (slice_eq(params[i].name, SLICE("done")))
            s.notice = identity_account_done(params[i].value);
    }
    if (s.token.len)
        s.page = find_page(with_token, ARRAY_LEN(with_token), path);
    if (!s.page)
        s.page = find_page(without_token, ARRAY_LEN(without_token), path);
    if (!s.page)
        return identity_form_wrong(task, req, 422,
                                   SLICE("This link is not whole. Copy all of it from the mail."));
    return show(&s, 200);
}

bool identity_form_again(struct task *task, const struct identity *identity,
                         struct http_request *req, const struct problem *problem, int status,
                         enum status *ret_st)
{
    struct slice action = slice_cstr(http_route_of(req)->pattern);
    struct identity_input typed;
    struct showing s = { .task = task, .req = req, .identity = identity, .problem = problem };
    if (identity_input_read(task, req, &typed) != STATUS_OK || !typed.is_form)
        return false;
    s.token = identity_input_text(&typed, "token", IDENTITY_SECRET_TEXT_MAX, false);
    s.next = identity_input_text(&typed, "next", IDENTITY_PAGE_PATH_MAX, false);
    if (s.next.len)
        s.next = identity_account_page_of(s.next);
    s.typed = &typed;
    s.page = s.token.len ? find_action(with_token, ARRAY_LEN(with_token), action)
                         : find_action(without_token, ARRAY_LEN(without_token), action);
    /* A link that holds no more is no better the next time. */
    if (!s.page || (s.token.len && !problem->fields_len))
        return false;
    *ret_st = show(&s, status);
    return true;
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
