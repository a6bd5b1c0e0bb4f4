/* identity/page_factors.c - The pages of an authenticator app, recovery codes and passkeys. */
#include "identity/page_factors.h"

#include <sodium.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/account_page.h"
#include "identity/base32.h"
#include "identity/passkey_rows.h"
#include "identity/qr.h"
#include "identity/recovery.h"
#include "identity/relying_party.h"
#include "identity/room.h"
#include "identity/route_factors.h"

#define URI_BYTES_MAX ((size_t)1024)

static void put_code_input(struct buf *out, const char *hint)
{
    identity_page_input(out, &(struct identity_page_input){ .name = "code",
                                                            .label = SLICE("Code"),
                                                            .type = "text",
                                                            .more = IDENTITY_PAGE_CODE " required",
                                                            .hint = hint });
}

/* -- the app
 * ------------------------------------------------------------------------------------------- */

/* Four letters at a time can be typed without losing one's place. */
static void put_grouped(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (i > 0 && i % 4 == 0)
            buf_putc(out, ' ');
        buf_putc(out, text.data[i]);
    }
}

static enum status show_pending(struct identity_view *v, const struct identity_otp *otp)
{
    struct buf *out = &v->out, secret, uri;
    struct arena *arena = task_arena(v->task);
    buf_init(&secret, arena, 128, URI_BYTES_MAX);
    buf_init(&uri, arena, 256, URI_BYTES_MAX);
    identity_base32_put(&secret, otp->secret, otp->secret_len);
    identity_totp_put_uri(&uri, v->identity, otp, v->account.email);
    if (buf_status(&secret) != STATUS_OK || buf_status(&uri) != STATUS_OK)
        return STATUS_EXHAUSTED;
    identity_view_begin(v, SLICE("Set up your app"),
                        SLICE("Scan this with an authenticator app, then enter the code that it "
                              "shows."));
    enum status st = identity_qr_put(out, buf_slice(&uri), "QR code for authenticator apps");
    if (st != STATUS_OK && st != STATUS_TOO_LARGE) /* too long for one: there is the text */
        return st;
    buf_put_lit(out, "<p>You cannot scan? <a href=\"");
    identity_page_text(out, buf_slice(&uri));
    buf_put_lit(out, "\">Open your app</a> on this device, or type this into it:</p>\n"
                     "<p class=\"secret\">");
    put_grouped(out, buf_slice(&secret));
    buf_put_lit(out, "</p>\n");
    identity_view_form(v, SLICE(IDENTITY_TOTP_PAGE "/confirm"));
    put_code_input(out, "The six digits that the app shows now.");
    identity_page_button(out, "Turn it on", "");
    buf_put_lit(out, "</form>\n");
    return STATUS_OK;
}

static void show_removal(struct identity_view *v)
{
    identity_view_begin(v, SLICE("Authenticator app"),
                        SLICE("It is on: who signs in needs its code."));
    buf_put_lit(&v->out, "<p>You can remove it, and sign in with your password alone.</p>\n");
    identity_view_form(v, SLICE(IDENTITY_TOTP_PAGE "/remove"));
    put_code_input(&v->out, "Of the app, or a recovery code.");
    identity_page_button(&v->out, "Remove the app", "danger");
    buf_put_lit(&v->out, "</form>\n");
}

enum status identity__view_totp(struct identity_view *v)
{
    struct identity_otp otp;
    if (v->account.totp.len) {
        show_removal(v);
        return STATUS_OK;
    }
    enum status st = identity_totp_pending(v->task, v->identity, &v->who.user, &otp);
    if (st == STATUS_OK)
        st = show_pending(v, &otp);
    sodium_memzero(&otp, sizeof(otp));
    if (st != STATUS_NOT_FOUND)
        return st;
    identity_view_begin(v, SLICE("Authenticator app"),
                        SLICE("A second step when you sign in: who has only your password stays "
                              "outside."));
    buf_put_lit(&v->out, "<p>You need an app that shows codes, on your phone or in your password "
                         "manager. Other devices will be signed out.</p>\n");
    identity_view_act(v, IDENTITY_TOTP_PAGE, SLICE_NULL, "Set it up", "");
    return STATUS_OK;
}

/* -- recovery codes
 * ------------------------------------------------------------------------------------ */

enum status identity_page_codes(struct task *task, struct http_request *req,
                                const struct identity_recovery *codes, bool is_first)
{
    struct buf b;
    identity_page_begin_wide(task, &b, SLICE("Your recovery codes"),
                             is_first ? SLICE("It is on. Other devices are signed out.")
                                      : SLICE("The codes of before hold no more."),
                             NULL);
    buf_put_lit(&b, "<p>Each of these lets you in once, when you cannot use your second step. "
                    "<strong>They are shown this once:</strong> print this page, or write them "
                    "down, and keep them where your phone is not.</p>\n<ul class=\"codes\">\n");
    for (unsigned i = 0; i < IDENTITY_RECOVERY_CODES; i++)
        buf_printf(&b, "<li>%.*s</li>\n", (int)sizeof(codes->texts[i]), codes->texts[i]);
    buf_put_lit(&b, "</ul>\n");
    identity_page_link(&b, IDENTITY_ACCOUNT_PAGE, "I have kept them: to my account");
    identity_page_end(&b);
    return identity_page_send(task, req, 200, &b, SLICE_NULL);
}

enum status identity__view_codes(struct identity_view *v)
{
    struct identity_factors factors;
    enum status st = identity_factors_read(v->task, v->identity, &v->who.user, &factors);
    if (st != STATUS_OK)
        return st;
    identity_view_begin(v, SLICE("Recovery codes"),
                        SLICE("They let you in when your phone is lost."));
    if (!factors.has_totp && !factors.passkeys) {
        buf_put_lit(&v->out, "<p class=\"empty\">They come with an authenticator app or a passkey. "
                             "You have neither.</p>\n");
        identity_page_link(&v->out, IDENTITY_TOTP_PAGE, "Set up an authenticator app");
        return STATUS_OK;
    }
    buf_printf(
        &v->out,
        "<p>%u of %u %s left. New ones take their place: those of before hold no more.</p>\n",
        factors.recovery_codes, IDENTITY_RECOVERY_CODES,
        factors.recovery_codes == 1 ? "is" : "are");
    identity_view_act(v, IDENTITY_CODES_PAGE, SLICE_NULL, "Make new codes", "");
    return STATUS_OK;
}

/* -- passkeys
 * ------------------------------------------------------------------------------------------- */

static void put_passkey(struct identity_view *v, const struct identity_passkey *passkey)
{
    struct buf *out = &v->out;
    char id[UUID_TEXT_LEN];
    uuid_format(&passkey->id, id);
    buf_put_lit(out, "<li>\n<div>\n<strong>");
    identity_page_text(out, passkey->name);
    buf_put_lit(out, "</strong>");
    if (passkey->backed_up)
        buf_put_lit(out, " <span class=\"mark\">Synced</span>");
    buf_put_lit(out, "\n<p>Added ");
    identity_page_time(out, passkey->created_us);
    if (passkey->used_us) {
        buf_put_lit(out, "<br>Last used ");
        identity_page_time(out, passkey->used_us);
    }
    buf_put_lit(out, "</p>\n<details>\n<summary>Rename</summary>\n");
    struct slice action =
        arena_printf(task_arena(v->task), IDENTITY_PASSKEYS_PAGE "/%.*s", (int)sizeof(id), id);
    identity_view_form(v, action);
    buf_printf(out, "<label for=\"name-%.*s\">Name</label>\n", (int)sizeof(id), id);
    buf_printf(out, "<input id=\"name-%.*s\" name=\"name\" maxlength=\"%u\" required value=\"",
               (int)sizeof(id), id, IDENTITY_PASSKEY_NAME_MAX);
    identity_page_text(out, passkey->name);
    buf_put_lit(out, "\">\n");
    identity_page_button(out, "Rename", "other");
    buf_put_lit(out, "</form>\n</details>\n</div>\n");
    struct slice removal = arena_printf(task_arena(v->task), "%.*s/remove", (int)sizeof(id), id);
    identity_view_act(v, IDENTITY_PASSKEYS_PAGE, removal, "Remove", "other");
    buf_put_lit(out, "</li>\n");
}

/* Filled and shown by the script: without one there is nothing to press. */
static void put_addition(struct identity_view *v)
{
    buf_put_lit(&v->out, "<noscript><p class=\"where\">To add a passkey, allow scripts for this "
                         "page: browsers make them only that way.</p></noscript>\n"
                         "<form data-passkey=\"add\" hidden>\n"
                         "<label for=\"passkey-name\">Name</label>\n"
                         "<input id=\"passkey-name\" name=\"name\" maxlength=\"100\" "
                         "placeholder=\"My phone\">\n");
    identity_page_button(&v->out, "Add a passkey", "");
    buf_put_lit(&v->out, "<p class=\"alert\" role=\"alert\" hidden></p>\n</form>\n");
    identity_page_script(&v->out);
    v->is_scripted = true;
}

enum status identity__view_passkeys(struct identity_view *v)
{
    struct identity_passkey *passkeys;
    unsigned len;
    enum status st = identity_passkeys_read(v->task, v->identity, &v->who.user, &passkeys, &len);
    if (st != STATUS_OK)
        return st;
    identity_view_begin(v, SLICE("Passkeys"),
                        SLICE("You sign in with your finger, face or PIN, and nobody can ask you "
                              "for a password."));
    if (len == 0)
        buf_put_lit(&v->out, "<p class=\"empty\">You have no passkeys yet.</p>\n");
    else
        buf_put_lit(&v->out, "<ul class=\"items\">\n");
    for (unsigned i = 0; i < len; i++)
        put_passkey(v, &passkeys[i]);
    if (len > 0)
        buf_put_lit(&v->out, "</ul>\n");
    put_addition(v);
    return STATUS_OK;
}
