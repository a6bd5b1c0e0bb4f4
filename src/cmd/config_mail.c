/*
 * The keys of mail: what has to fit together, and the templates.
 */
#include "base/arena.h"
#include "cmd/config.h"
#include "identity/mail.h"

static void refuse(struct diag *diag, const char *key, const char *why)
{
    diag_add(diag, SLICE("configuration"), 0, 0, slice_cstr(key), SLICE_NULL, "%s", why);
}

void config_check_mail(const struct config *c, struct arena *arena, struct diag *diag)
{
    const char *reason = "is too long";
    struct slice address;
    if (c->mail_smtp_url.len &&
        identity_mail_url_check(c->mail_smtp_url, arena, &reason) != STATUS_OK)
        refuse(diag, "mail.smtp_url", reason);
    if (c->mail_from.len && identity_mail_sender_check(c->mail_from, arena, &reason) != STATUS_OK)
        refuse(diag, "mail.from", reason);
    if (c->mail_smtp_url.len && !c->mail_from.len)
        refuse(diag, "mail.from",
               "is needed with mail.smtp_url: who mail is from, such as Example "
               "<no-reply@example.org>");
    if (c->mail_reply_to.len &&
        identity_mail_address_read(arena, c->mail_reply_to, &address, &reason) != STATUS_OK)
        refuse(diag, "mail.reply_to", reason);
    identity_mail_templates_check(c->mail_templates, arena, diag);
}
