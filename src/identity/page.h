/*
 * identity/page.h - Pages that people sign in and agree on: plain HTML that works without a script,
 * in the site's clothes (web/style.css, web/auth.css). Private to the room.
 *
 * Data passes: begin -> the page's own parts, outside text only through the functions here ->
 * end -> send, with a policy that lets nothing in but our own style sheet, nobody frame it, and its
 * forms lead only where they must.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct http_request;
struct task;

#define IDENTITY_PAGE_BYTES_MAX ((size_t)64 * 1024)

/* An empty page in the task's arena. `title` and `lead` are shown; the lead may be empty. */
void identity_page_begin(struct task *task, struct buf *out, struct slice title, struct slice lead);
void identity_page_end(struct buf *out);

/* Outside text, escaped for elements and attributes in double quotes. */
void identity_page_text(struct buf *out, struct slice text);
/* What went wrong, read out by screen readers at once. */
void identity_page_alert(struct buf *out, struct slice text);
/* A form that is posted to `action` (constant), and a value that it carries. */
void identity_page_form(struct buf *out, const char *action);
void identity_page_hidden(struct buf *out, const char *name, struct slice value);

/*
 * Send it. `form_target` is an origin that its form may lead to after our own (a redirect by the
 * answer counts as well in browsers); empty: none.
 *
 * Errors   EXHAUSTED with the problem set.
 */
enum status identity_page_send(struct task *task, struct http_request *req, int status,
                               const struct buf *page, struct slice form_target);
