/*
 * identity/mail_words.c - What our mails say. Both parts of a mail are made of the same words, so
 * that the text leaves nothing out. The page is what mail programs of thirty years show alike:
 * tables, styles on the elements, colours for the dark in a style sheet that may be dropped, and
 * nothing from elsewhere.
 */
#include "identity/mail_words.h"

#include "base/buf.h"
#include "identity/mail_template.h"

struct words {
    const char *subject, *heading;
    const char *intro;  /* a paragraph */
    const char *facts;  /* lines, or NULL: what happened, where, when */
    const char *button; /* on the link; NULL: it has none */
    const char *end;    /* a paragraph: how long it holds, or what to do; or NULL */
    const char *ignore; /* a paragraph: if it was not you */
    const char *reason; /* "because ..." in the footer */
};

static const struct words words_of[IDENTITY_MAIL_KINDS] = {
    [IDENTITY_MAIL_VERIFY_EMAIL] = {
        .subject = "Confirm your address",
        .heading = "Is this your address?",
        .intro = "Confirm that {{to}} is yours to finish signing up for {{app}}.",
        .button = "Confirm the address",
        .end = "Link and code are good for {{expires_in}}, and once.",
        .ignore = "You did not sign up? Then ignore this mail: without the confirmation nothing "
                  "happens.",
        .reason = "somebody signed up for {{app}} with this address",
    },
    [IDENTITY_MAIL_RESET_PASSWORD] = {
        .subject = "Choose a new password",
        .heading = "Choose a new password",
        .intro = "Somebody, probably you, asked to set a new password for your account at "
                 "{{app}}.",
        .button = "Choose a password",
        .end = "The link is good for {{expires_in}}, and once. Your old password works until you "
               "choose a new one.",
        .ignore = "It was not you? Then ignore this mail: your password stays as it is.",
        .reason = "a new password was asked for",
    },
    [IDENTITY_MAIL_MAGIC_LINK] = {
        .subject = "Sign in to {{app}}",
        .heading = "Sign in",
        .intro = "Here is your way into {{app}}, without a password.",
        .button = "Sign in",
        .end = "Link and code are good for {{expires_in}}, and once. Do not pass them on: nobody "
               "at {{app}} will ask you for them.",
        .ignore = "You did not ask for this? Then ignore this mail: nobody gets in without it.",
        .reason = "somebody asked to sign in with this address",
    },
    [IDENTITY_MAIL_EMAIL_CHANGE] = {
        .subject = "Confirm your new address",
        .heading = "Is this your new address?",
        .intro = "Confirm that your account at {{app}} is to use {{to}} from now on.",
        .button = "Confirm the new address",
        .end = "Link and code are good for {{expires_in}}, and once. Until then the old address "
               "stays.",
        .ignore = "You have no account there? Then ignore this mail: somebody mistyped an address.",
        .reason = "it was entered as an account's new address",
    },
    [IDENTITY_MAIL_EMAIL_CHANGE_NOTICE] = {
        .subject = "Your address is about to change",
        .heading = "A new address for your account",
        .intro = "Your account at {{app}} is to use {{new_address}} instead of this address.",
        .facts = "{{#device}}From: {{device}}\n{{/device}}When: {{when}}",
        .button = "See your devices",
        .end = "It was not you? Then somebody else is in your account: sign out there what you do "
               "not know, and choose a new password at once.",
        .ignore = "It was you? Then there is nothing to do here; confirm it in the mail that went "
                  "to the new address.",
        .reason = "it is the address of an account",
    },
    [IDENTITY_MAIL_NEW_DEVICE] = {
        .subject = "A new sign-in to your account",
        .heading = "A new device signed in",
        .intro = "Somebody signed in to your account at {{app}} from a device that we had not "
                 "seen before.",
        .facts = "{{#device}}Device: {{device}}\n{{/device}}{{#ip}}Address: {{ip}}\n{{/ip}}"
                 "When: {{when}}",
        .button = "See your devices",
        .end = "It was not you? Then sign that device out there, and choose a new password.",
        .ignore = "It was you? Then there is nothing to do.",
        .reason = "it is the address of an account",
    },
    [IDENTITY_MAIL_INVITATION] = {
        .subject = "You are invited to {{app}}",
        .heading = "You are invited",
        .intro = "{{#inviter}}{{inviter}} invites you{{/inviter}}{{^inviter}}You are invited"
                 "{{/inviter}} to join {{app}}.",
        .button = "Accept the invitation",
        .end = "The invitation is good for {{expires_in}}, and once.",
        .ignore = "You do not want to? Then ignore this mail: nothing happens.",
        .reason = "somebody entered this address to invite you",
    },
    [IDENTITY_MAIL_PASSWORD_CHANGED] = {
        .subject = "Your password was changed",
        .heading = "Your password was changed",
        .intro = "The password of your account at {{app}} was changed. Other devices were signed "
                 "out.",
        .facts = "{{#device}}From: {{device}}\n{{/device}}{{#ip}}Address: {{ip}}\n{{/ip}}"
                 "When: {{when}}",
        .button = "It was not me: choose a new password",
        .ignore = "It was you? Then there is nothing to do.",
        .reason = "it is the address of an account",
    },
    [IDENTITY_MAIL_ACCOUNT_DELETION] = {
        .subject = "Your account will be deleted",
        .heading = "Your account will be deleted",
        .intro = "As you asked, your account at {{app}} and what is in it will be deleted for "
                 "good on {{expires_at}}.",
        .button = "Keep my account",
        .end = "Until then you can change your mind: follow the link, or sign in and keep it.",
        .ignore = "You did not ask for this? Then keep the account, and choose a new password.",
        .reason = "it is the address of an account",
    },
    [IDENTITY_MAIL_ACCOUNT_EXISTS] = {
        .subject = "You have an account already",
        .heading = "You have an account already",
        .intro = "Somebody, probably you, tried to sign up for {{app}} with this address. There "
                 "is an account with it already, so no second one was made.",
        .button = "Sign in",
        .end = "You do not remember the password? You can choose a new one where you sign in.",
        .ignore = "It was not you? Then ignore this mail: nothing was changed, and whoever it was "
                  "was not told that you have an account.",
        .reason = "somebody tried to sign up with it",
    },
    [IDENTITY_MAIL_EMAIL_CHANGED] = {
        .subject = "Your address was changed",
        .heading = "Your address was changed",
        .intro = "Your account at {{app}} uses {{new_address}} now. This address opens it no "
                 "more.",
        .facts = "{{#device}}From: {{device}}\n{{/device}}{{#ip}}Address: {{ip}}\n{{/ip}}"
                 "When: {{when}}",
        .end = "It was not you? Then answer this mail, or write to those who run {{app}}: only "
               "they can give the account back.",
        .ignore = "It was you? Then there is nothing to do.",
        .reason = "it was the address of an account",
    },
    [IDENTITY_MAIL_FACTOR_ADDED] = {
        .subject = "A new way to prove that it is you",
        .heading = "{{factor}} was added",
        .intro = "{{factor}} was added to your account at {{app}}. It opens the account, or is "
                 "asked for when somebody signs in.",
        .facts = "{{#device}}From: {{device}}\n{{/device}}{{#ip}}Address: {{ip}}\n{{/ip}}"
                 "When: {{when}}",
        .button = "It was not me: choose a new password",
        .ignore = "It was you? Then there is nothing to do.",
        .reason = "it is the address of an account",
    },
    [IDENTITY_MAIL_FACTOR_REMOVED] = {
        .subject = "A second step was removed",
        .heading = "{{factor}} was removed",
        .intro = "{{factor}} was removed from your account at {{app}}, and is not asked for any "
                 "more.",
        .facts = "{{#device}}From: {{device}}\n{{/device}}{{#ip}}Address: {{ip}}\n{{/ip}}"
                 "When: {{when}}",
        .button = "It was not me: choose a new password",
        .ignore = "It was you? Then there is nothing to do.",
        .reason = "it is the address of an account",
    },
    [IDENTITY_MAIL_ACTED_AS] = {
        .subject = "Somebody acts in your name",
        .heading = "Support acts in your name",
        .intro = "Somebody who may do so has begun to use {{app}} in your name, to see what you "
                 "see. They gave a reason, it is for a short while, and they can change neither "
                 "your password nor how you sign in.",
        .facts = "When: {{when}}",
        .button = "See where I am signed in",
        .end = "You can end it there at any time.",
        .ignore = "You asked for help? Then there is nothing to do.",
        .reason = "it is the address of an account",
    },
    [IDENTITY_MAIL_RECOVERY_CODES] = {
        .subject = "New recovery codes",
        .heading = "New recovery codes",
        .intro = "New recovery codes were made for your account at {{app}}. Those of before hold "
                 "no more.",
        .facts = "{{#device}}From: {{device}}\n{{/device}}{{#ip}}Address: {{ip}}\n{{/ip}}"
                 "When: {{when}}",
        .button = "It was not me: choose a new password",
        .ignore = "It was you? Then there is nothing to do.",
        .reason = "it is the address of an account",
    },
    [IDENTITY_MAIL_TEST] = {
        .subject = "A test of {{app}}'s mail",
        .heading = "It works",
        .intro = "This mail was sent by `purlin mail test`, on {{when}}. If you can read it, mail "
                 "leaves as it should.",
        .ignore = "Look at its headers, too: SPF, DKIM and DMARC ought to say \"pass\".",
        .reason = "somebody tested whether mail arrives",
    },
};

/* -- the text
 * -------------------------------------------------------------------------------------------------
 */

static void put_text(const struct words *w, bool has_code, struct buf *out)
{
    buf_printf(out, "Subject: %s\n\nHello{{#name}} {{name}}{{/name}},\n\n%s\n\n", w->subject,
               w->intro);
    if (w->facts)
        buf_printf(out, "%s\n\n", w->facts);
    if (w->button)
        buf_printf(out, "{{#link}}%s:\n\n{{link}}\n\n{{/link}}", w->button);
    if (has_code)
        buf_put_lit(out, "{{#code}}Or enter this code: {{code}}\n\n{{/code}}");
    if (w->end)
        buf_printf(out, "%s\n\n", w->end);
    buf_printf(out, "%s\n\n-- \n{{app}}\nThis mail went to {{to}} because %s.\n", w->ignore,
               w->reason);
}

/* -- the page
 * -------------------------------------------------------------------------------------------------
 */

#define FONT                                                                                       \
    "font-family:-apple-system,'Segoe UI',Roboto,'Helvetica Neue','DejaVu Sans',Arial,sans-serif;"
#define PARAGRAPH "margin:0 0 16px;font-size:16px;line-height:1.55;"

static const char page_begin[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<meta name=\"supported-color-schemes\" content=\"light dark\">\n"
    "<title>{{app}}</title>\n"
    "<style>\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  .ground { background: #14181d !important; }\n"
    "  .sheet { background: #1c2229 !important; border-color: #313943 !important; "
    "border-top-color: #e08b4f !important; }\n"
    "  .ink { color: #e8e6e1 !important; }\n"
    "  .soft { color: #a3abb8 !important; }\n"
    "  .link { color: #f0a36c !important; }\n"
    "  .button { background: #e08b4f !important; }\n"
    "  .button a { color: #14181d !important; }\n"
    "  .box { background: #14181d !important; border-color: #313943 !important; }\n"
    "}\n"
    "</style>\n"
    "</head>\n"
    "<body class=\"ground\" style=\"margin:0;padding:0;background:#f6f4ef;\">\n";

static const char sheet_begin[] =
    "<table role=\"presentation\" class=\"ground\" width=\"100%\" cellpadding=\"0\" "
    "cellspacing=\"0\" border=\"0\" style=\"background:#f6f4ef;\">\n"
    "<tr><td align=\"center\" style=\"padding:32px 16px;\">\n"
    "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" "
    "style=\"max-width:560px;\">\n"
    "<tr><td class=\"soft\" style=\"" FONT
    "font-size:14px;font-weight:600;color:#586475;padding:0 4px 12px;\">{{app}}</td></tr>\n"
    "<tr><td class=\"sheet ink\" style=\"" FONT
    "background:#ffffff;border:1px solid #ddd8cc;border-top:4px solid "
    "#a4501e;border-radius:8px;padding:32px 28px 16px;color:#1c2530;\">\n";

static void put_paragraph(struct buf *out, const char *text)
{
    buf_printf(out, "<p style=\"" PARAGRAPH "\">%s</p>\n", text);
}

static void put_facts(struct buf *out, const char *facts)
{
    buf_put_lit(out, "<p class=\"box\" style=\"margin:0 0 20px;padding:12px 16px;"
                     "font-size:15px;line-height:1.6;background:#f6f4ef;border:1px solid #ddd8cc;"
                     "border-radius:6px;\">");
    for (const char *p = facts; *p; p++) {
        if (*p == '\n')
            buf_put_lit(out, "<br>\n");
        else
            buf_putc(out, *p);
    }
    buf_put_lit(out, "</p>\n");
}

static void put_button(struct buf *out, const char *text)
{
    buf_printf(out,
               "{{#link}}<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" "
               "border=\"0\" style=\"margin:8px 0 24px;\">\n"
               "<tr><td class=\"button\" style=\"background:#8a4116;border-radius:6px;\">"
               "<a href=\"{{link}}\" style=\"" FONT
               "display:inline-block;padding:13px 26px;font-size:16px;font-weight:600;"
               "color:#ffffff;text-decoration:none;\">%s</a></td></tr>\n"
               "</table>\n{{/link}}",
               text);
}

static void put_code(struct buf *out)
{
    buf_put_lit(out, "{{#code}}<p style=\"margin:0 0 8px;font-size:16px;line-height:1.55;\">Or "
                     "enter this code:</p>\n"
                     "<p class=\"box\" style=\"margin:0 0 24px;padding:12px 16px;"
                     "font-family:Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:28px;"
                     "line-height:1.3;letter-spacing:6px;text-align:center;background:#f6f4ef;"
                     "border:1px solid #ddd8cc;border-radius:6px;\">{{code}}</p>\n{{/code}}");
}

static void put_page(const struct words *w, bool has_code, struct buf *out)
{
    buf_put_lit(out, page_begin);
    /* What a list of mails shows beside the subject. */
    buf_printf(out, "<div style=\"display:none;max-height:0;overflow:hidden;\">%s</div>\n",
               w->intro);
    buf_put_lit(out, sheet_begin);
    buf_printf(out,
               "<h1 style=\"margin:0 0 16px;font-size:22px;line-height:1.3;font-weight:700;\">%s"
               "</h1>\n",
               w->heading);
    buf_put_lit(out, "<p style=\"" PARAGRAPH "\">Hello{{#name}} {{name}}{{/name}},</p>\n");
    put_paragraph(out, w->intro);
    if (w->facts)
        put_facts(out, w->facts);
    if (w->button)
        put_button(out, w->button);
    if (has_code)
        put_code(out);
    if (w->end)
        put_paragraph(out, w->end);
    buf_printf(out, "<p class=\"soft\" style=\"" PARAGRAPH "color:#586475;\">%s</p>\n", w->ignore);
    buf_put_lit(out, "</td></tr>\n<tr><td class=\"soft\" style=\"" FONT
                     "font-size:13px;line-height:1.5;color:#586475;padding:16px 4px 0;\">\n");
    if (w->button)
        buf_put_lit(out, "{{#link}}<p style=\"margin:0 0 12px;\">The button does not work? Copy "
                         "this address into your browser:<br>\n<a class=\"link\" "
                         "href=\"{{link}}\" style=\"color:#8a4116;word-break:break-all;\">{{link}}"
                         "</a></p>\n{{/link}}");
    buf_printf(out,
               "<p style=\"margin:0;\">This mail went to {{to}} because %s.</p>\n"
               "</td></tr>\n</table>\n</td></tr>\n</table>\n</body>\n</html>\n",
               w->reason);
}

void identity__mail_words_put(enum identity_mail_kind kind, bool is_html, struct buf *out)
{
    bool has_code = (identity__mail_values_of(kind) & IDENTITY__MAIL_BIT(IDENTITY__MAIL_CODE)) != 0;
    if (is_html)
        put_page(&words_of[kind], has_code, out);
    else
        put_text(&words_of[kind], has_code, out);
}
