/* identity/page_changes.c - The pages that change an account: password, address, and its end. */
#include "identity/account_page.h"

#include "base/clock.h"
#include "identity/mail.h"
#include "identity/room.h"

enum status identity__view_password(struct identity_view *v)
{
    struct buf *out = &v->out;
    bool has_password = v->account.password.len > 0;
    identity_view_begin(v, has_password ? SLICE("Change your password") : SLICE("Set a password"),
                        SLICE("All other devices will be signed out."));
    identity_view_form(v, SLICE(IDENTITY_PASSWORD_PAGE));
    /* For password managers: whose it is. */
    buf_put_lit(out, "<input type=\"email\" name=\"username\" autocomplete=\"username\" hidden "
                     "readonly value=\"");
    identity_page_text(out, v->account.email);
    buf_put_lit(out, "\">\n");
    if (has_password)
        identity_page_input(out, &(struct identity_page_input){
                                     .name = "current",
                                     .label = SLICE("Current password"),
                                     .type = "password",
                                     .more = "autocomplete=\"current-password\" required" });
    identity_page_input(out, &(struct identity_page_input){
                                 .name = "password",
                                 .label = SLICE("New password"),
                                 .type = "password",
                                 .more = IDENTITY_PAGE_NEW_PASSWORD " required",
                                 .hint = "At least 8 characters of any kind. A few words that "
                                         "do not belong together are best." });
    identity_page_button(out, has_password ? "Change password" : "Set password", "");
    buf_put_lit(out, "</form>\n");
    if (has_password)
        identity_page_link(out, "/auth/recover", "Forgot your password?");
    return STATUS_OK;
}

enum status identity__view_email(struct identity_view *v)
{
    struct buf *out = &v->out;
    identity_view_begin(v, SLICE("Change your address"), SLICE_NULL);
    buf_put_lit(out, "<p>You sign in with <strong>");
    identity_page_text(out, v->account.email);
    buf_put_lit(out, "</strong>. The new address gets a mail with a link; when you have opened it, "
                     "the change holds. The old one is told.</p>\n");
    identity_view_form(v, SLICE(IDENTITY_EMAIL_PAGE));
    identity_page_input(
        out, &(struct identity_page_input){ .name = "email",
                                            .label = SLICE("New e-mail address"),
                                            .type = "email",
                                            .more = "autocomplete=\"email\" maxlength=\"254\" "
                                                    "required" });
    identity_page_button(out, "Send the mail", "");
    buf_put_lit(out, "</form>\n");
    return STATUS_OK;
}

enum status identity__view_delete(struct identity_view *v)
{
    struct buf *out = &v->out;
    int64_t at_us = clock_wall_us() + v->identity->options.delete_after_us;
    identity_view_begin(v, SLICE("Delete your account"), v->account.email);
    if (v->account.delete_us) {
        buf_put_lit(out, "<p>It will be deleted on ");
        identity_page_time(out, v->account.delete_us);
        buf_put_lit(out, ".</p>\n");
        identity_view_act(v, IDENTITY_ACCOUNT_PAGE "/keep", SLICE_NULL, "Keep my account", "");
        return STATUS_OK;
    }
    buf_put_lit(out,
                "<ul class=\"plain\">\n<li>You are signed out everywhere at once.</li>\n<li>On ");
    identity_page_time(out, at_us);
    buf_put_lit(out, " your account and what is yours here are deleted for good.</li>\n"
                     "<li>Until then you can sign in and keep it.</li>\n</ul>\n");
    identity_view_act(v, IDENTITY_DELETE_PAGE, SLICE_NULL, "Delete my account", "danger");
    return STATUS_OK;
}
