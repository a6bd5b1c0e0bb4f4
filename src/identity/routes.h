/*
 * identity/routes.h - The handlers under /auth/, by file. Private to the room.
 */
#pragma once

#include "base/status.h"

struct http_request;
struct identity;
struct task;

/* identity/route_login.c */
enum status identity__login(struct task *task, struct http_request *req, void *arg);
/* identity/route_signup.c */
enum status identity__sign_up(struct task *task, struct http_request *req, void *arg);
/* identity/route_verify.c */
enum status identity__verify(struct task *task, struct http_request *req, void *arg);
enum status identity__verify_resend(struct task *task, struct http_request *req, void *arg);
/* identity/route_recover.c */
enum status identity__recover(struct task *task, struct http_request *req, void *arg);
enum status identity__recover_confirm(struct task *task, struct http_request *req, void *arg);
/* identity/route_magic.c */
enum status identity__magic(struct task *task, struct http_request *req, void *arg);
enum status identity__magic_confirm(struct task *task, struct http_request *req, void *arg);
/* identity/route_password.c */
enum status identity__password(struct task *task, struct http_request *req, void *arg);
/* identity/route_email.c */
enum status identity__email(struct task *task, struct http_request *req, void *arg);
enum status identity__email_confirm(struct task *task, struct http_request *req, void *arg);
/* identity/route_account.c */
enum status identity__account_delete(struct task *task, struct http_request *req, void *arg);
enum status identity__account_restore(struct task *task, struct http_request *req, void *arg);
/* identity/route_impersonate.c */
enum status identity__impersonate(struct task *task, struct http_request *req, void *arg);
enum status identity__impersonate_end(struct task *task, struct http_request *req, void *arg);
/* identity/route_invite.c */
enum status identity__invite(struct task *task, struct http_request *req, void *arg);
enum status identity__invite_accept(struct task *task, struct http_request *req, void *arg);
/* identity/route_sessions.c */
enum status identity__refresh(struct task *task, struct http_request *req, void *arg);
enum status identity__logout(struct task *task, struct http_request *req, void *arg);
enum status identity__sessions_list(struct task *task, struct http_request *req, void *arg);
enum status identity__sessions_revoke_one(struct task *task, struct http_request *req, void *arg);
enum status identity__sessions_revoke_others(struct task *task, struct http_request *req,
                                             void *arg);
/* identity/route_consents.c */
enum status identity__consents(struct task *task, struct http_request *req, void *arg);
enum status identity__consent_withdraw(struct task *task, struct http_request *req, void *arg);
/* identity/route_mfa.c, route_factors.c, route_totp.c, route_step_up.c */
enum status identity__mfa(struct task *task, struct http_request *req, void *arg);
enum status identity__factors(struct task *task, struct http_request *req, void *arg);
enum status identity__recovery_codes(struct task *task, struct http_request *req, void *arg);
enum status identity__totp(struct task *task, struct http_request *req, void *arg);
enum status identity__totp_confirm(struct task *task, struct http_request *req, void *arg);
enum status identity__totp_remove(struct task *task, struct http_request *req, void *arg);
enum status identity__step_up(struct task *task, struct http_request *req, void *arg);
/* identity/route_passkeys.c, route_passkey_login.c */
enum status identity__passkey_options(struct task *task, struct http_request *req, void *arg);
enum status identity__passkey_add(struct task *task, struct http_request *req, void *arg);
enum status identity__passkeys_list(struct task *task, struct http_request *req, void *arg);
enum status identity__passkey_rename(struct task *task, struct http_request *req, void *arg);
enum status identity__passkey_remove(struct task *task, struct http_request *req, void *arg);
enum status identity__passkey_login_options(struct task *task, struct http_request *req, void *arg);
enum status identity__passkey_login(struct task *task, struct http_request *req, void *arg);
enum status identity__step_up_options(struct task *task, struct http_request *req, void *arg);
/* identity/route_foreign.c, route_links.c */
enum status identity__providers(struct task *task, struct http_request *req, void *arg);
enum status identity__provider_start(struct task *task, struct http_request *req, void *arg);
enum status identity__provider_callback(struct task *task, struct http_request *req, void *arg);
enum status identity__provider_complete(struct task *task, struct http_request *req, void *arg);
enum status identity__links_list(struct task *task, struct http_request *req, void *arg);
enum status identity__link_add(struct task *task, struct http_request *req, void *arg);
enum status identity__link_remove(struct task *task, struct http_request *req, void *arg);
/* identity/route_me.c */
enum status identity__me(struct task *task, struct http_request *req, void *arg);
void identity__jwks(struct http_request *req, void *arg);

/* identity/route_pages.c */
enum status identity__page(struct task *task, struct http_request *req, void *arg);
enum status identity__pages_open(struct identity *identity);

/* identity/routes.c: add them all. */
enum status identity__routes_open(struct identity *identity);
