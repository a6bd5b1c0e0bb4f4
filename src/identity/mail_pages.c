/*
 * identity/mail_pages.c - What a mailbox looks like: a list, and a mail. Styled as the site's pages
 * are (web/style.css), with a few rules of its own (web/mail.css).
 */
#include "identity/mail_pages.h"

#include "base/buf.h"
#include "identity/mail_template.h"
#include "identity/page.h"

static void begin(struct buf *out, const char *title, const char *lead)
{
    buf_printf(out,
               "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               "<meta name=\"color-scheme\" content=\"light dark\">\n<title>%s - Purlin</title>\n"
               "<link rel=\"icon\" href=\"/assets/mark.svg\" type=\"image/svg+xml\">\n"
               "<link rel=\"stylesheet\" href=\"/assets/style.css\">\n"
               "<link rel=\"stylesheet\" href=\"/assets/mail.css\">\n</head>\n<body>\n"
               "<a class=\"skip\" href=\"#main\">Skip to the mail</a>\n<header>\n"
               "  <a class=\"mark\" href=\"/\" aria-label=\"Purlin\"><img src=\"/assets/mark.svg\" "
               "alt=\"\" width=\"40\" height=\"40\"></a>\n  <div>\n    <h1>%s</h1>\n    <p>%s</p>\n"
               "  </div>\n",
               title, title, lead);
}

static void end(struct buf *out)
{
    buf_put_lit(out, "</main>\n</body>\n</html>\n");
}

static void put_id(struct buf *out, const struct uuid *id)
{
    char text[UUID_TEXT_LEN];
    uuid_format(id, text);
    buf_put(out, text, sizeof(text));
}

static void put_or(struct buf *out, struct slice text, const char *otherwise)
{
    identity_page_text(out, text.len ? text : slice_cstr(otherwise));
}

/* "magic_link" as "magic link" */
static void put_kind(struct buf *out, struct slice kind)
{
    for (size_t i = 0; i < kind.len; i++) {
        struct slice c = slice_of(kind.data + i, 1);
        identity_page_text(out, kind.data[i] == '_' ? SLICE(" ") : c);
    }
}

/* -- the list
 * -------------------------------------------------------------------------------------------------
 */

void identity__mail_page_list(struct buf *out, const struct identity__mail_entry *entries,
                              unsigned len, struct slice folder)
{
    begin(out, "Mail", "What would have been sent. In development nothing leaves this machine.");
    buf_printf(out,
               "  <p class=\"state\">%u %s</p>\n</header>\n<main id=\"main\" tabindex=\"-1\">\n",
               len, len == 1 ? "mail" : "mails");
    if (len == 0)
        buf_put_lit(out, "<div class=\"empty\">\n<h2>Nothing yet</h2>\n<p>Sign up, ask for a new "
                         "password, or try it:</p>\n"
                         "<pre><code>purlin mail test you@example.org</code></pre>\n</div>\n");
    else
        buf_put_lit(out, "<ol class=\"mails\" reversed>\n");
    for (unsigned i = 0; i < len; i++) {
        const struct identity__mime_view *view = &entries[i].view;
        buf_put_lit(out, "<li><a href=\"/console/mail/");
        put_id(out, &entries[i].id);
        buf_put_lit(out, "\"><strong>");
        put_or(out, view->subject, "(no subject)");
        buf_put_lit(out, "</strong><span class=\"to\">");
        put_or(out, view->to, "(nobody)");
        buf_put_lit(out, "</span><span class=\"kind\">");
        put_kind(out, view->kind);
        buf_put_lit(out, "</span><time>");
        identity_page_text(out, view->date);
        buf_put_lit(out, "</time></a></li>\n");
    }
    if (len > 0)
        buf_put_lit(out, "</ol>\n");
    buf_put_lit(out, "<p class=\"where\">Kept as files in <code>");
    identity_page_text(out, folder);
    buf_put_lit(out, "</code>, the newest 200. Set <code>SMTP_URL</code> to send instead.</p>\n");
    end(out);
}

/* -- a mail
 * --------------------------------------------------------------------------------------------------
 */

static void put_row(struct buf *out, const char *name, struct slice value)
{
    buf_printf(out, "<dt>%s</dt><dd>", name);
    put_or(out, value, "-");
    buf_put_lit(out, "</dd>\n");
}

/* How much of `text` is an address of http: up to a space, or what encloses addresses. */
static size_t link_len(struct slice text)
{
    if (!slice_starts(text, SLICE("https://")) && !slice_starts(text, SLICE("http://")))
        return 0;
    size_t len = 0;
    while (len < text.len && (unsigned char)text.data[len] > ' ' && text.data[len] != '<' &&
           text.data[len] != '>' && text.data[len] != '"')
        len++;
    return len;
}

static void put_linked(struct buf *out, struct slice text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.len;) {
        size_t len = link_len(slice_from(text, i));
        if (len == 0) {
            i++;
            continue;
        }
        struct slice link = slice_of(text.data + i, len);
        identity_page_text(out, slice_of(text.data + from, i - from));
        buf_put_lit(out, "<a href=\"");
        identity_page_text(out, link);
        buf_put_lit(out, "\" target=\"_blank\" rel=\"noopener noreferrer\">");
        identity_page_text(out, link);
        buf_put_lit(out, "</a>");
        i += len;
        from = i;
    }
    identity_page_text(out, slice_from(text, from));
}

void identity__mail_page_one(struct buf *out, const struct uuid *id,
                             const struct identity__mime_view *view)
{
    begin(out, "Mail", "<a href=\"/console/mail\">All mails</a>");
    buf_put_lit(out, "</header>\n<main id=\"main\" tabindex=\"-1\">\n<h2 class=\"subject\">");
    put_or(out, view->subject, "(no subject)");
    buf_put_lit(out, "</h2>\n<dl class=\"head\">\n");
    put_row(out, "To", view->to);
    put_row(out, "From", view->from);
    put_row(out, "Date", view->date);
    buf_put_lit(out, "<dt>Kind</dt><dd>");
    put_kind(out, view->kind);
    buf_put_lit(out,
                "</dd>\n</dl>\n<section aria-labelledby=\"html\">\n<h3 id=\"html\">As a page"
                "</h3>\n<iframe title=\"The mail as a page\" "
                "sandbox=\"allow-popups allow-popups-to-escape-sandbox\" src=\"/console/mail/");
    put_id(out, id);
    buf_put_lit(out, "/html\"></iframe>\n</section>\n<section aria-labelledby=\"text\">\n"
                     "<h3 id=\"text\">As text</h3>\n<pre class=\"text\">");
    put_linked(out, view->text);
    buf_put_lit(out, "</pre>\n</section>\n<p class=\"where\"><a href=\"/console/mail/");
    put_id(out, id);
    buf_put_lit(out, "/raw\">The message itself</a>, with its headers</p>\n");
    end(out);
}

void identity__mail_page_frame(struct buf *out, struct slice html)
{
    static const struct slice head = SLICE_INIT("<head>");
    size_t at = slice_find_slice(html, head);
    size_t begins = at == SIZE_MAX ? 0 : at + head.len;
    buf_put_slice(out, slice_head(html, begins));
    buf_put_lit(out, "<base target=\"_blank\">");
    buf_put_slice(out, slice_from(html, begins));
}
