/* identity/page_home.c - The page of an account: what there is, in a few words each, and the way to
 * change it. */
#include "identity/account_page.h"

#include "base/macros.h"
#include "fiber/task.h"
#include "identity/consents.h"
#include "identity/factors.h"
#include "identity/room.h"
#include "identity/session_list.h"

struct facts {
    struct identity_factors factors;
    unsigned sessions, apps;
};

static enum status read_facts(struct identity_view *v, struct facts *ret)
{
    struct identity_session_row *rows;
    struct identity_consent *apps;
    unsigned len = 0;
    enum status st = identity_factors_read(v->task, v->identity, &v->who.user, &ret->factors);
    if (st == STATUS_OK)
        st = identity_session_list(v->task, v->identity, &v->who, &rows, &len);
    for (unsigned i = 0; i < len && st == STATUS_OK; i++)
        ret->sessions += rows[i].client_id.len == 0;
    if (st == STATUS_OK && v->identity->options.oauth)
        st = identity_consents_list(v->task, v->identity, &v->who.user, &apps, &ret->apps);
    return st;
}

static void put_row(struct buf *out, const char *path, const char *name)
{
    buf_printf(out, "<li><a href=\"%s\"><strong>%s</strong> <span>", path, name);
}

static void put_row_end(struct buf *out)
{
    buf_put_lit(out, "</span></a></li>\n");
}

static void put_count(struct buf *out, const char *path, const char *name, unsigned n,
                      const char *one, const char *many, const char *none)
{
    put_row(out, path, name);
    if (n)
        buf_printf(out, "%u %s", n, n == 1 ? one : many);
    else
        buf_put_cstr(out, none);
    put_row_end(out);
}

static void put_sign_in(struct identity_view *v, const struct facts *facts)
{
    struct buf *out = &v->out;
    bool has_factor = facts->factors.has_totp || facts->factors.passkeys;
    buf_put_lit(out, "<h2>How you sign in</h2>\n<ul class=\"rows\">\n");
    put_row(out, IDENTITY_EMAIL_PAGE, "E-mail address");
    identity_page_text(out, v->account.email);
    put_row_end(out);
    put_row(out, IDENTITY_PASSWORD_PAGE, "Password");
    if (v->account.password.len && v->account.password_us) {
        buf_put_lit(out, "Chosen ");
        identity_page_date(out, v->account.password_us);
    } else {
        buf_put_cstr(out, v->account.password.len ? "Set" : "None: you sign in without one");
    }
    put_row_end(out);
    put_row(out, IDENTITY_TOTP_PAGE, "Authenticator app");
    buf_put_cstr(out, facts->factors.has_totp ? "On" : "Off");
    put_row_end(out);
    put_count(out, IDENTITY_PASSKEYS_PAGE, "Passkeys", facts->factors.passkeys, "passkey",
              "passkeys", "None");
    if (v->identity->foreign) {
        put_row(out, IDENTITY_PROVIDERS_PAGE, "Sign in with");
        buf_put_lit(out, "Accounts elsewhere");
        put_row_end(out);
    }
    if (has_factor)
        put_count(out, IDENTITY_CODES_PAGE, "Recovery codes", facts->factors.recovery_codes,
                  "is left", "are left", "None are left: make new ones");
    buf_put_lit(out, "</ul>\n");
}

static void put_access(struct identity_view *v, const struct facts *facts)
{
    buf_put_lit(&v->out, "<h2>Who has access</h2>\n<ul class=\"rows\">\n");
    put_count(&v->out, IDENTITY_SESSIONS_PAGE, "Devices", facts->sessions, "is signed in",
              "are signed in", "None");
    if (v->identity->options.oauth)
        put_count(&v->out, IDENTITY_APPS_PAGE, "Connected apps", facts->apps, "app", "apps",
                  "None");
    buf_put_lit(&v->out, "</ul>\n");
}

/* It is on its way out: this is said before all else. */
static void put_deletion(struct identity_view *v)
{
    if (!v->account.delete_us)
        return;
    buf_put_lit(&v->out,
                "<div class=\"alert\" role=\"alert\">\n<p>This account will be deleted on ");
    identity_page_time(&v->out, v->account.delete_us);
    buf_put_lit(&v->out, ".</p>\n");
    identity_view_act(v, IDENTITY_ACCOUNT_PAGE "/keep", SLICE_NULL, "Keep my account", "");
    buf_put_lit(&v->out, "</div>\n");
}

enum status identity__view_home(struct identity_view *v)
{
    struct facts facts = { .sessions = 0 };
    enum status st = read_facts(v, &facts);
    if (st != STATUS_OK)
        return st;
    identity_view_begin(v, SLICE("Your account"), v->account.email);
    put_deletion(v);
    put_sign_in(v, &facts);
    put_access(v, &facts);
    buf_put_lit(&v->out, "<div class=\"end\">\n");
    identity_view_act(v, IDENTITY_ACCOUNT_PAGE "/logout", SLICE_NULL, "Sign out", "other");
    if (!v->account.delete_us)
        identity_page_link(&v->out, IDENTITY_DELETE_PAGE, "Delete this account");
    buf_put_lit(&v->out, "</div>\n");
    return STATUS_OK;
}
