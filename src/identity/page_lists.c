/* identity/page_lists.c - The pages that list who has access: devices, and connected apps. */
#include "identity/account_page.h"

#include "base/arena.h"
#include "fiber/task.h"
#include "identity/agent.h"
#include "identity/consents.h"
#include "identity/oauth_pages.h"
#include "identity/room.h"
#include "identity/session_list.h"

/* -- devices
 * ------------------------------------------------------------------------------------------- */

static void put_when(struct buf *out, const char *words, int64_t at_us)
{
    buf_put_cstr(out, words);
    identity_page_time(out, at_us);
}

static void put_session(struct identity_view *v, const struct identity_session_row *row)
{
    struct buf *out = &v->out;
    char id[UUID_TEXT_LEN];
    uuid_format(&row->id, id);
    buf_put_lit(out, "<li>\n<div>\n<strong>");
    identity_page_text(out, identity_agent_words(task_arena(v->task), row->agent));
    buf_put_lit(out, "</strong>");
    if (row->is_current)
        buf_put_lit(out, " <span class=\"mark\">This device</span>");
    if (row->has_impersonator)
        buf_put_lit(out, " <span class=\"mark\">Support, in your name</span>");
    buf_put_lit(out, "\n<p>");
    if (row->address.len) {
        buf_put_lit(out, "From ");
        identity_page_text(out, row->address);
        buf_put_lit(out, ", signed in ");
    } else {
        buf_put_lit(out, "Signed in ");
    }
    identity_page_time(out, row->created_us);
    if (!row->is_current)
        put_when(out, "<br>Last seen ", row->seen_us);
    buf_put_lit(out, "</p>\n</div>\n");
    if (!row->is_current)
        identity_view_act(v, IDENTITY_SESSIONS_PAGE, slice_of(id, sizeof(id)), "Sign out", "other");
    buf_put_lit(out, "</li>\n");
}

enum status identity__view_sessions(struct identity_view *v)
{
    struct identity_session_row *rows;
    unsigned len, others = 0;
    enum status st = identity_session_list(v->task, v->identity, &v->who, &rows, &len);
    if (st != STATUS_OK)
        return st;
    identity_view_begin(v, SLICE("Your devices"),
                        SLICE("Where you are signed in. You do not know one? Sign it out, and "
                              "choose a new password."));
    buf_put_lit(&v->out, "<ul class=\"items\">\n");
    for (unsigned i = 0; i < len; i++)
        if (rows[i].is_current)
            put_session(v, &rows[i]);
    for (unsigned i = 0; i < len; i++) {
        if (rows[i].is_current || rows[i].client_id.len) /* apps have a page of their own */
            continue;
        put_session(v, &rows[i]);
        others++;
    }
    buf_put_lit(&v->out, "</ul>\n");
    if (others > 1)
        identity_view_act(v, IDENTITY_SESSIONS_PAGE, SLICE_NULL, "Sign out all other devices",
                          "danger");
    return STATUS_OK;
}

/* -- connected apps
 * ------------------------------------------------------------------------------------ */

static void put_app(struct identity_view *v, const struct identity_consent *app)
{
    struct buf *out = &v->out;
    buf_put_lit(out, "<li>\n<div>\n<strong>");
    identity_page_text(out, app->name);
    buf_put_lit(out, "</strong>\n");
    if (app->scope.len)
        identity_page_scopes(out, v->identity, app->scope);
    buf_put_lit(out, "<p>");
    if (app->granted_us)
        put_when(out, "You agreed ", app->granted_us);
    if (app->seen_us)
        put_when(out, app->granted_us ? "<br>Last seen " : "Last seen ", app->seen_us);
    buf_put_lit(out, "</p>\n</div>\n");
    identity_view_act(v, IDENTITY_APPS_PAGE, app->client_id, "Disconnect", "other");
    buf_put_lit(out, "</li>\n");
}

enum status identity__view_apps(struct identity_view *v)
{
    struct identity_consent *apps;
    unsigned len;
    enum status st = identity_consents_list(v->task, v->identity, &v->who.user, &apps, &len);
    if (st != STATUS_OK)
        return st;
    identity_view_begin(v, SLICE("Connected apps"),
                        SLICE("They may act for you. Disconnected, an app is signed out within "
                              "seconds, and has to ask you again."));
    if (len == 0) {
        buf_put_lit(&v->out, "<p class=\"empty\">No app is connected to your account.</p>\n");
        return STATUS_OK;
    }
    buf_put_lit(&v->out, "<ul class=\"items\">\n");
    for (unsigned i = 0; i < len; i++)
        put_app(v, &apps[i]);
    buf_put_lit(&v->out, "</ul>\n");
    return STATUS_OK;
}
