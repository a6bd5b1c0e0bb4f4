/* identity/page_providers.c - The page of who else lets a person in. */
#include "identity/account_page.h"

#include "base/macros.h"
#include "fiber/task.h"
#include "identity/foreign.h"
#include "identity/foreign_rows.h"
#include "identity/room.h"

static const struct identity_foreign_link *find(const struct identity_foreign_link *links,
                                                unsigned len, struct slice provider)
{
    for (unsigned i = 0; i < len; i++)
        if (slice_eq(links[i].provider, provider))
            return &links[i];
    return NULL;
}

static void put_link(struct identity_view *v, struct slice label,
                     const struct identity_foreign_link *link)
{
    struct buf *out = &v->out;
    buf_put_lit(out, "<li>\n<div>\n<strong>");
    identity_page_text(out, label);
    buf_put_lit(out, "</strong>\n<p>");
    if (link->email.len) {
        identity_page_text(out, link->email);
        buf_put_lit(out, "<br>");
    }
    buf_put_lit(out, "Last used ");
    identity_page_time(out, link->used_us);
    buf_put_lit(out, "</p>\n</div>\n");
    buf_put_lit(out, "<form method=\"post\" action=\"" IDENTITY_PROVIDERS_PAGE "/");
    identity_page_text(out, link->provider);
    buf_put_lit(out, "/remove\">\n");
    identity_page_hidden(out, "csrf", v->csrf);
    identity_page_button(out, "Remove", "danger");
    buf_put_lit(out, "</form>\n</li>\n");
}

static void put_offer(struct identity_view *v, const struct identity_provider *p)
{
    buf_put_lit(&v->out, "<li>\n<div>\n<strong>");
    identity_page_text(&v->out, p->label);
    buf_put_lit(&v->out, "</strong>\n</div>\n");
    identity_view_act(v, IDENTITY_PROVIDERS_PAGE, p->name, "Add", "other");
    buf_put_lit(&v->out, "</li>\n");
}

enum status identity__view_providers(struct identity_view *v)
{
    const struct identity_foreign *foreign = v->identity->foreign;
    struct identity_foreign_link *links;
    unsigned len;
    enum status st = identity_foreign_list(v->task, v->identity, &v->who.user, &links, &len);
    if (st != STATUS_OK)
        return st;
    identity_view_begin(v, SLICE("Sign in with"),
                        SLICE("Accounts of yours elsewhere that let you in here."));
    buf_put_lit(&v->out, "<ul class=\"items\">\n");
    for (unsigned i = 0; i < len; i++) {
        const struct identity_source *source = identity_source_find(v->identity, links[i].provider);
        put_link(v, source ? source->config->label : links[i].provider, &links[i]);
    }
    for (unsigned i = 0; foreign && i < foreign->len; i++)
        if (!find(links, len, foreign->sources[i].config->name))
            put_offer(v, foreign->sources[i].config);
    buf_put_lit(&v->out, "</ul>\n");
    return STATUS_OK;
}
