/*
 * identity/page.h - Pages that people sign in and agree on: plain HTML that works without a script,
 * in the site's clothes (web/style.css, web/auth.css). Private to the room.
 *
 * Data passes: begin -> the page's own parts, outside text only through the functions here ->
 * end -> send, with a policy that lets nothing in but our own style sheet, nobody frame it, and its
 * forms lead only where they must.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct http_request;
struct problem;
struct task;

#define IDENTITY_PAGE_BYTES_MAX ((size_t)512 * 1024) /* 200 devices, 200 apps with 32 scopes */
#define IDENTITY_PAGE_PATH_MAX 64u

/* An empty page in the task's arena. `title` and `lead` are shown; the lead may be empty. */
void identity_page_begin(struct task *task, struct buf *out, struct slice title, struct slice lead);
/* The same for the pages of an account: wider, with a way back to `up` (a path; NULL: to nothing).
 */
void identity_page_begin_wide(struct task *task, struct buf *out, struct slice title,
                              struct slice lead, const char *up);
void identity_page_end(struct buf *out);

/* Outside text, escaped for elements and attributes in double quotes. */
void identity_page_text(struct buf *out, struct slice text);
/* What went wrong, read out by screen readers at once. */
void identity_page_alert(struct buf *out, struct slice text);
/* What came of it, read out when there is time. */
void identity_page_notice(struct buf *out, struct slice text);
/* The alert of a handler's failure, with each field that was wrong. NULL: none. */
void identity_page_problem(struct buf *out, const struct problem *problem);
/* Retry-After, where the problem says when to come back. */
void identity_page_retry_after(struct http_request *req, const struct problem *problem);
/* A form that is posted to `action` (constant), and a value that it carries. */
void identity_page_form(struct buf *out, const char *action);
void identity_page_hidden(struct buf *out, const char *name, struct slice value);

/* Attributes of inputs. */
#define IDENTITY_PAGE_CODE                                                                         \
    "autocomplete=\"one-time-code\" maxlength=\"64\" spellcheck=\"false\" autocapitalize=\"off\""
#define IDENTITY_PAGE_NEW_PASSWORD                                                                 \
    "autocomplete=\"new-password\" minlength=\"8\" maxlength=\"1024\""
#define IDENTITY_PAGE_EMAIL "autocomplete=\"username\" maxlength=\"254\""

struct identity_page_input {
    const char *name;   /* its id as well */
    struct slice label; /* what is wrong with it goes by this word too */
    const char *type;
    const char *more;   /* further attributes, constant */
    struct slice value; /* empty: none */
    const char *hint;   /* a sentence below the label; NULL: none */
};
void identity_page_input(struct buf *out, const struct identity_page_input *input);
/* `kind`: "" for the main act, "other", "danger". Both constant. */
void identity_page_button(struct buf *out, const char *text, const char *kind);
/* A link in a paragraph of its own. `text` and `path` are constant. */
void identity_page_link(struct buf *out, const char *path, const char *text);
/* "6 November 2026, 08:49 UTC", as an element that says it to programs too. */
void identity_page_time(struct buf *out, int64_t wall_us);
void identity_page_date(struct buf *out, int64_t wall_us);

/* Go to `path` (constant, or in the request's arena) by a GET: what came of a form must not come
 * again with a reload. */
enum status identity_page_go(struct http_request *req, struct slice path);

/*
 * Send it. `form_target` is an origin that its form may lead to after our own (a redirect by the
 * answer counts as well in browsers); empty: none.
 *
 * Errors   EXHAUSTED with the problem set.
 */
enum status identity_page_send(struct task *task, struct http_request *req, int status,
                               const struct buf *page, struct slice form_target);
/* The same, and scripts of this site may run and ask it (identity_page_script). */
enum status identity_page_send_scripted(struct task *task, struct http_request *req, int status,
                                        const struct buf *page, struct slice form_target);
/* What the browser can do only by a script: passkeys. Without one the page lacks that, no more. */
void identity_page_script(struct buf *out);
/*
 * A button, within a form, that the script shows: a passkey in place of what the form asks for.
 * `act` (constant): "login"; "second", of the form's mfa_token; "proof". `then` is where it leads.
 */
void identity_page_passkey(struct buf *out, const char *act, struct slice then);
