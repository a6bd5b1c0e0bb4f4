/* identity/page.c - What the pages have in common. */
#include "identity/page.h"

#include "base/arena.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"

void identity_page_text(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case '&':
            buf_put_lit(out, "&amp;");
            break;
        case '<':
            buf_put_lit(out, "&lt;");
            break;
        case '>':
            buf_put_lit(out, "&gt;");
            break;
        case '"':
            buf_put_lit(out, "&quot;");
            break;
        case '\'':
            buf_put_lit(out, "&#39;");
            break;
        default:
            buf_putc(out, text.data[i]);
        }
    }
}

void identity_page_begin(struct task *task, struct buf *out, struct slice title, struct slice lead)
{
    buf_init(out, task_arena(task), 4096, IDENTITY_PAGE_BYTES_MAX);
    buf_put_lit(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta name=\"color-scheme\" content=\"light dark\">\n"
                     "<meta name=\"robots\" content=\"noindex\">\n<title>");
    identity_page_text(out, title);
    buf_put_lit(out, "</title>\n"
                     "<link rel=\"icon\" href=\"/assets/mark.svg\" type=\"image/svg+xml\">\n"
                     "<link rel=\"stylesheet\" href=\"/assets/style.css\">\n"
                     "<link rel=\"stylesheet\" href=\"/assets/auth.css\">\n</head>\n<body>\n"
                     "<main class=\"auth\">\n"
                     "<img src=\"/assets/mark.svg\" alt=\"\" width=\"40\" height=\"40\">\n<h1>");
    identity_page_text(out, title);
    buf_put_lit(out, "</h1>\n");
    if (!lead.len)
        return;
    buf_put_lit(out, "<p class=\"lead\">");
    identity_page_text(out, lead);
    buf_put_lit(out, "</p>\n");
}

void identity_page_end(struct buf *out)
{
    buf_put_lit(out, "</main>\n</body>\n</html>\n");
}

void identity_page_alert(struct buf *out, struct slice text)
{
    if (!text.len)
        return;
    buf_put_lit(out, "<p class=\"alert\" role=\"alert\">");
    identity_page_text(out, text);
    buf_put_lit(out, "</p>\n");
}

void identity_page_form(struct buf *out, const char *action)
{
    buf_put_lit(out, "<form method=\"post\" action=\"");
    identity_page_text(out, slice_cstr(action));
    buf_put_lit(out, "\">\n");
}

void identity_page_hidden(struct buf *out, const char *name, struct slice value)
{
    buf_put_lit(out, "<input type=\"hidden\" name=\"");
    identity_page_text(out, slice_cstr(name));
    buf_put_lit(out, "\" value=\"");
    identity_page_text(out, value);
    buf_put_lit(out, "\">\n");
}

enum status identity_page_send(struct task *task, struct http_request *req, int status,
                               const struct buf *page, struct slice form_target)
{
    struct slice policy =
        arena_printf(task_arena(task),
                     "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
                     "form-action 'self'%s%.*s; frame-ancestors 'none'",
                     form_target.len ? " " : "", SLICE_ARG(form_target));
    if (buf_status(page) != STATUS_OK || !policy.data)
        return problem_set(task, STATUS_EXHAUSTED, "identity/too-large",
                           "The page grew too large.");
    identity_answer_private(req);
    http_header_add(req, SLICE("Content-Security-Policy"), policy);
    /* Without one, older browsers would post the form with "Origin: null". */
    http_header_add(req, SLICE("Referrer-Policy"), SLICE("same-origin"));
    http_send(req, status, "text/html; charset=utf-8", buf_slice(page));
    return STATUS_OK;
}
