/* identity/page.c - What the pages have in common. */
#include "identity/page.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/mail_values.h"

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

static void begin(struct task *task, struct buf *out, struct slice title, const char *class)
{
    buf_init(out, task_arena(task), 4096, IDENTITY_PAGE_BYTES_MAX);
    buf_put_lit(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta name=\"color-scheme\" content=\"light dark\">\n"
                     "<meta name=\"robots\" content=\"noindex\">\n<title>");
    identity_page_text(out, title);
    buf_printf(out,
               "</title>\n"
               "<link rel=\"icon\" href=\"/assets/mark.svg\" type=\"image/svg+xml\">\n"
               "<link rel=\"stylesheet\" href=\"/assets/style.css\">\n"
               "<link rel=\"stylesheet\" href=\"/assets/auth.css\">\n</head>\n<body>\n"
               "<main class=\"%s\">\n",
               class);
}

static void put_heading(struct buf *out, struct slice title, struct slice lead)
{
    buf_put_lit(out, "<h1>");
    identity_page_text(out, title);
    buf_put_lit(out, "</h1>\n");
    if (!lead.len)
        return;
    buf_put_lit(out, "<p class=\"lead\">");
    identity_page_text(out, lead);
    buf_put_lit(out, "</p>\n");
}

void identity_page_begin(struct task *task, struct buf *out, struct slice title, struct slice lead)
{
    begin(task, out, title, "auth");
    buf_put_lit(out, "<img src=\"/assets/mark.svg\" alt=\"\" width=\"40\" height=\"40\">\n");
    put_heading(out, title, lead);
}

void identity_page_begin_wide(struct task *task, struct buf *out, struct slice title,
                              struct slice lead, const char *up)
{
    begin(task, out, title, "auth wide");
    if (up)
        buf_printf(out, "<p class=\"up\"><a href=\"%s\">Your account</a></p>\n", up);
    else
        buf_put_lit(out, "<img src=\"/assets/mark.svg\" alt=\"\" width=\"40\" height=\"40\">\n");
    put_heading(out, title, lead);
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

void identity_page_notice(struct buf *out, struct slice text)
{
    if (!text.len)
        return;
    buf_put_lit(out, "<p class=\"notice\" role=\"status\">");
    identity_page_text(out, text);
    buf_put_lit(out, "</p>\n");
}

/* Members whose inputs have another name on pages. */
static const struct {
    const char *name, *label;
} labels[] = {
    { "current", "Current password" },
    { "email", "E-mail address" },
};

/* "/profile/display_name" is "Display name", as its input is called. */
static void put_field(struct buf *out, struct slice pointer)
{
    size_t slash = pointer.len;
    while (slash > 0 && pointer.data[slash - 1] != '/')
        slash--;
    struct slice name = slice_from(pointer, slash);
    for (size_t i = 0; i < ARRAY_LEN(labels); i++)
        if (slice_eq(name, slice_cstr(labels[i].name)))
            name = slice_cstr(labels[i].label);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (i == 0 && c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        identity_page_text(out, c == '_' ? SLICE(" ") : slice_of(&c, 1));
    }
}

void identity_page_problem(struct buf *out, const struct problem *problem)
{
    if (!problem)
        return;
    if (!problem->fields_len) {
        identity_page_alert(out, problem->detail.len ? problem->detail
                                                     : SLICE("Something went wrong. Try again."));
        return;
    }
    buf_put_lit(out, "<div class=\"alert\" role=\"alert\">\n<ul>\n");
    for (size_t i = 0; i < problem->fields_len; i++) {
        buf_put_lit(out, "<li><strong>");
        put_field(out, problem->fields[i].pointer);
        buf_put_lit(out, "</strong>: ");
        identity_page_text(out, problem->fields[i].detail);
        buf_put_lit(out, "</li>\n");
    }
    buf_put_lit(out, "</ul>\n</div>\n");
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

void identity_page_input(struct buf *out, const struct identity_page_input *input)
{
    struct slice name = slice_cstr(input->name);
    buf_put_lit(out, "<label for=\"");
    identity_page_text(out, name);
    buf_put_lit(out, "\">");
    identity_page_text(out, input->label);
    buf_put_lit(out, "</label>\n");
    if (input->hint) {
        buf_put_lit(out, "<p class=\"hint\" id=\"");
        identity_page_text(out, name);
        buf_printf(out, "-hint\">%s</p>\n", input->hint);
    }
    buf_put_lit(out, "<input id=\"");
    identity_page_text(out, name);
    buf_put_lit(out, "\" name=\"");
    identity_page_text(out, name);
    buf_printf(out, "\" type=\"%s\" %s", input->type, input->more);
    if (input->hint) {
        buf_put_lit(out, " aria-describedby=\"");
        identity_page_text(out, name);
        buf_put_lit(out, "-hint\"");
    }
    if (input->value.len) {
        buf_put_lit(out, " value=\"");
        identity_page_text(out, input->value);
        buf_putc(out, '"');
    }
    buf_put_lit(out, ">\n");
}

void identity_page_button(struct buf *out, const char *text, const char *kind)
{
    buf_printf(out,
               kind[0] ? "<button type=\"submit\" class=\"%s\">" : "<button type=\"submit\">%s",
               kind);
    buf_printf(out, "%s</button>\n", text);
}

void identity_page_link(struct buf *out, const char *path, const char *text)
{
    buf_printf(out, "<p class=\"where\"><a href=\"%s\">%s</a></p>\n", path, text);
}

static void put_time(struct buf *out, int64_t wall_us, bool with_minutes)
{
    char text[CLOCK_RFC3339_LEN];
    clock_format_rfc3339(wall_us, text);
    buf_printf(out, "<time datetime=\"%.*s\">", with_minutes ? CLOCK_RFC3339_LEN : CLOCK_DATE_LEN,
               text);
    identity__moment_put(out, wall_us, with_minutes);
    buf_put_lit(out, "</time>");
}

void identity_page_time(struct buf *out, int64_t wall_us)
{
    put_time(out, wall_us, true);
}

void identity_page_date(struct buf *out, int64_t wall_us)
{
    put_time(out, wall_us, false);
}

void identity_page_passkey(struct buf *out, const char *act, struct slice then)
{
    buf_printf(out, "<button type=\"button\" class=\"other\" data-passkey=\"%s\" data-then=\"",
               act);
    identity_page_text(out, then);
    buf_put_lit(out, "\" hidden>Use a passkey</button>\n"
                     "<p class=\"alert\" role=\"alert\" hidden></p>\n");
}

void identity_page_script(struct buf *out)
{
    buf_put_lit(out, "<script src=\"/assets/passkeys.js\" defer></script>\n");
}

static enum status send_page(struct task *task, struct http_request *req, int status,
                             const struct buf *page, struct slice form_target, const char *scripts)
{
    struct slice policy =
        arena_printf(task_arena(task),
                     "default-src 'none'; style-src 'self'; img-src 'self' data:; %sbase-uri "
                     "'none'; form-action 'self'%s%.*s; frame-ancestors 'none'",
                     scripts, form_target.len ? " " : "", SLICE_ARG(form_target));
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

enum status identity_page_send(struct task *task, struct http_request *req, int status,
                               const struct buf *page, struct slice form_target)
{
    return send_page(task, req, status, page, form_target, "");
}

enum status identity_page_send_scripted(struct task *task, struct http_request *req, int status,
                                        const struct buf *page, struct slice form_target)
{
    return send_page(task, req, status, page, form_target,
                     "script-src 'self'; connect-src 'self'; ");
}

void identity_page_retry_after(struct http_request *req, const struct problem *problem)
{
    int64_t seconds = (problem->retry_after_us + CLOCK_SECOND - 1) / CLOCK_SECOND;
    if (seconds > 0)
        http_header_add(req, SLICE("Retry-After"),
                        arena_printf(http_arena(req), "%lld", (long long)seconds));
}

enum status identity_page_go(struct http_request *req, struct slice path)
{
    identity_answer_private(req);
    http_header_add(req, SLICE("Location"), path);
    http_send_empty(req, 303);
    return STATUS_OK;
}
