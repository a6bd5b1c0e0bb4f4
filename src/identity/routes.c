/*
 * identity/routes.c - The routes under /auth/ and what documents say of them.
 */
#include "identity/routes.h"

#include "base/macros.h"
#include "base/rights.h"
#include "http/http.h"
#include "identity/account_page.h"
#include "identity/caller.h"
#include "identity/form.h"
#include "identity/related_origins.h"
#include "identity/room.h"
#include "identity/who.h"

#define TOKENS_SCHEMA                                                                              \
    "{\"type\":\"object\",\"properties\":{\"access_token\":{\"type\":\"string\"},"                 \
    "\"token_type\":{\"const\":\"Bearer\"},\"expires_in\":{\"type\":\"integer\"},"                 \
    "\"refresh_token\":{\"type\":\"string\"},\"session_id\":{\"type\":\"string\","                 \
    "\"format\":\"uuid\"},\"user_id\":{\"type\":\"string\",\"format\":\"uuid\"}}}"

/* Whom a route answers; held to before its handler runs, and told in the documents. */
enum needs {
    NOTHING,
    ACCOUNT, /* somebody who is signed in, or a key of theirs that is not scoped */
    SELF,    /* the person themselves, signed in here */
    INVITE,  /* the permission */
    IMPERSONATE
};

struct route {
    enum net_method method;
    const char *pattern;
    http_handler_fn handler;
    const char *operation_id, *summary, *answer_schema;
    bool signs_in;
    enum needs needs;
};

static const struct route routes[] = {
    { NET_METHOD_POST, "/auth/signup", identity__sign_up, "signUp",
      "Make an account: a person of the contract `users` who can sign in.", TOKENS_SCHEMA, true },
    { NET_METHOD_POST, "/auth/login", identity__login, "login",
      "Sign in with an e-mail address and a password.", TOKENS_SCHEMA, true },
    { NET_METHOD_POST, "/auth/refresh", identity__refresh, "refresh",
      "Exchange a refresh token for new tokens.", TOKENS_SCHEMA, true },
    { NET_METHOD_POST, "/auth/verify", identity__verify, "verifyEmail",
      "Prove an address by what was sent there: `token`, or `email` and `code`.", NULL, true },
    { NET_METHOD_POST, "/auth/verify/resend", identity__verify_resend, "resendVerification",
      "Send another link and code; 202 whoever it is.", NULL, true },
    { NET_METHOD_POST, "/auth/recover", identity__recover, "recover",
      "Send a link to set a new password; 202 whoever it is.", NULL, true },
    { NET_METHOD_POST, "/auth/recover/confirm", identity__recover_confirm, "setPasswordByLink",
      "Set a new password by `token`; ends every session.", NULL, true },
    { NET_METHOD_POST, "/auth/magic", identity__magic, "sendMagicLink",
      "Send a link and code to sign in by; 202 whoever it is.", NULL, true },
    { NET_METHOD_POST, "/auth/magic/confirm", identity__magic_confirm, "signInByMail",
      "Sign in by `token`, or `email` and `code`.", TOKENS_SCHEMA, true },
    { NET_METHOD_POST, "/auth/password", identity__password, "changePassword",
      "Set another `password`, with the `current` one or a fresh session; ends other sessions.",
      NULL, false, ACCOUNT },
    { NET_METHOD_POST, "/auth/email", identity__email, "changeEmail",
      "Send a link to another address, which makes it this account's.", NULL, false, ACCOUNT },
    { NET_METHOD_POST, "/auth/email/confirm", identity__email_confirm, "confirmEmail",
      "Change the address by `token`.", NULL, true },
    { NET_METHOD_DELETE, "/auth/account", identity__account_delete, "deleteAccount",
      "Have this account deleted after a time in which it can be restored.", NULL, false, ACCOUNT },
    { NET_METHOD_POST, "/auth/account/restore", identity__account_restore, "restoreAccount",
      "Call the deletion off, signed in or by `token`.", NULL, true },
    { NET_METHOD_POST, "/auth/invitations", identity__invite, "invite",
      "Invite somebody by mail, with `roles`.", NULL, false, INVITE },
    { NET_METHOD_POST, "/auth/invitations/accept", identity__invite_accept, "acceptInvitation",
      "Make the account that an invitation promises, by `token`.", TOKENS_SCHEMA, true },
    { NET_METHOD_POST, "/auth/impersonate", identity__impersonate, "impersonate",
      "Act as another person, `user` (an id or address), for a while, for a `reason`.",
      TOKENS_SCHEMA, false, IMPERSONATE },
    { NET_METHOD_POST, "/auth/impersonate/end", identity__impersonate_end, "endImpersonation",
      "Be yourself again.", NULL, false, ACCOUNT },
    { NET_METHOD_POST, "/auth/logout", identity__logout, "logout", "End this session.", NULL, false,
      ACCOUNT },
    { NET_METHOD_GET, "/auth/me", identity__me, "me", "The account that is signed in.", NULL, false,
      ACCOUNT },
    { NET_METHOD_GET, "/auth/sessions", identity__sessions_list, "sessions",
      "Where this account is signed in.", NULL, false, ACCOUNT },
    { NET_METHOD_DELETE, "/auth/sessions", identity__sessions_revoke_others, "revokeOtherSessions",
      "End all sessions of this account but the one that asks.", NULL, false, ACCOUNT },
    { NET_METHOD_DELETE, "/auth/sessions/{id}", identity__sessions_revoke_one, "revokeSession",
      "End a session of this account.", NULL, false, ACCOUNT },

    { NET_METHOD_GET, "/auth/consents", identity__consents, "consents",
      "The applications that may act for this account.", NULL, false, ACCOUNT },
    { NET_METHOD_DELETE, "/auth/consents/{client_id}", identity__consent_withdraw,
      "withdrawConsent", "Withdraw what an application was allowed; its tokens end.", NULL, false,
      SELF },

    { NET_METHOD_POST, "/auth/mfa", identity__mfa, "secondFactor",
      "The second step of a sign-in: a code of an authenticator app, or a recovery code.",
      TOKENS_SCHEMA, true },
    { NET_METHOD_GET, "/auth/mfa", identity__factors, "secondFactors",
      "Which second factors this account has.", NULL, false, SELF },
    { NET_METHOD_POST, "/auth/mfa/totp", identity__totp, "setUpTotp",
      "Set up an authenticator app: the secret to be scanned.", NULL, false, SELF },
    { NET_METHOD_POST, "/auth/mfa/totp/confirm", identity__totp_confirm, "confirmTotp",
      "The first code of an authenticator app, from which on it holds.", NULL, false, SELF },
    { NET_METHOD_DELETE, "/auth/mfa/totp", identity__totp_remove, "removeTotp",
      "Sign in without the authenticator app again.", NULL, false, SELF },
    { NET_METHOD_POST, "/auth/mfa/recovery-codes", identity__recovery_codes, "newRecoveryCodes",
      "Ten new recovery codes in place of those of before.", NULL, false, SELF },
    { NET_METHOD_POST, "/auth/step-up", identity__step_up, "stepUp",
      "Prove again that it is you, before an act that asks for it.", NULL, false, SELF },
    { NET_METHOD_POST, "/auth/step-up/options", identity__step_up_options, "stepUpOptions",
      "Options of `navigator.credentials.get`, to prove it by a passkey.", NULL, false, SELF },

    { NET_METHOD_POST, "/auth/passkeys/options", identity__passkey_options, "passkeyOptions",
      "Options of `navigator.credentials.create`, for one more passkey.", NULL, false, SELF },
    { NET_METHOD_POST, "/auth/passkeys", identity__passkey_add, "addPasskey",
      "Add the passkey that the browser has made.", NULL, false, SELF },
    { NET_METHOD_GET, "/auth/passkeys", identity__passkeys_list, "passkeys",
      "The passkeys of this account.", NULL, false, SELF },
    { NET_METHOD_PATCH, "/auth/passkeys/{id}", identity__passkey_rename, "renamePasskey",
      "Give a passkey another name.", NULL, false, SELF },
    { NET_METHOD_DELETE, "/auth/passkeys/{id}", identity__passkey_remove, "removePasskey",
      "Remove a passkey.", NULL, false, SELF },
    { NET_METHOD_POST, "/auth/passkeys/login/options", identity__passkey_login_options,
      "passkeyLoginOptions",
      "Options of `navigator.credentials.get`, to sign in or for the second step of it.", NULL,
      true },
    { NET_METHOD_POST, "/auth/passkeys/login", identity__passkey_login, "passkeyLogin",
      "Sign in with a passkey alone.", TOKENS_SCHEMA, true },
};

/* Where there are providers to sign in with. */
static const struct route foreign_routes[] = {
    { NET_METHOD_GET, "/auth/providers", identity__providers, "providers",
      "Where one can sign in besides here.", NULL },
    { NET_METHOD_GET, "/auth/providers/{provider}/start", identity__provider_start, "startProvider",
      "Lead the browser to a provider, and back to `return_to`.", NULL },
    { NET_METHOD_GET, "/auth/providers/{provider}/callback", identity__provider_callback,
      "providerCallback", "Where a provider sends the browser back to.", NULL },
    { NET_METHOD_POST, "/auth/providers/{provider}/callback", identity__provider_callback,
      "providerFormCallback", "The same, by a form of the provider's page.", NULL, true },
    { NET_METHOD_POST, "/auth/providers/complete", identity__provider_complete,
      "completeProviderSignUp", "Give the `profile` that a provider could not, with the `token`.",
      NULL, true },
    { NET_METHOD_GET, "/auth/identities", identity__links_list, "identities",
      "The providers that this account is linked with.", NULL, false, SELF },
    { NET_METHOD_POST, "/auth/identities/{provider}", identity__link_add, "addIdentity",
      "Begin to link this account with a provider: the URL to lead the browser to.", NULL, false,
      SELF },
    { NET_METHOD_DELETE, "/auth/identities/{provider}", identity__link_remove, "removeIdentity",
      "Sign in with that provider no more.", NULL, false, SELF },
};

/* What else a route may answer, for documents. */
static const char *answers_of(const struct route *route, bool has_body)
{
    if (route->method == NET_METHOD_GET)
        return "401 403 404";
    if (route->handler == identity__sign_up)
        return "201j 202j 403 409 413 415 422";
    return has_body ? "201j 202 204 401 403 404 409 413 415 422" : "202j 204 401 403 404 409";
}

/* One route of this app, with who answers it. */
struct served {
    struct identity *identity;
    const struct route *route;
};

static enum status admit(struct task *task, struct http_request *req, const struct served *served)
{
    struct identity_who who;
    if (served->route->needs == ACCOUNT)
        return identity_caller_require(task, served->identity, req, &who);
    if (served->route->needs == SELF)
        return identity_caller_require_self(task, served->identity, req, &who);
    return STATUS_OK; /* a permission the edge has asked for */
}

static enum http_audience audience_of(const struct route *route)
{
    if (route->needs == NOTHING)
        return HTTP_PUBLIC;
    return route->needs == INVITE || route->needs == IMPERSONATE ? HTTP_ADMIN : HTTP_SIGNED_IN;
}

/* Who posted a form gets a page, whatever comes of it. */
static enum status serve(struct task *task, struct http_request *req, void *arg)
{
    const struct served *served = arg;
    enum status st = admit(task, req, served);
    if (st == STATUS_OK)
        st = served->route->handler(task, req, served->identity);
    bool is_failure = st != STATUS_OK && st != STATUS_CANCELLED && !http_is_answered(req);
    return is_failure && identity_form_is(req)
               ? identity_form_failed(task, served->identity, req, st)
               : st;
}

static enum status add(struct identity *identity, const struct route *route)
{
    struct served *served = arena_new_of(identity->arena, struct served);
    if (!served)
        return STATUS_EXHAUSTED;
    *served = (struct served){ identity, route };
    const char *reason;
    bool has_body = route->method == NET_METHOD_POST || route->method == NET_METHOD_PATCH ||
                    route->handler == identity__totp_remove;
    return http_route_add(identity->app,
                          &(struct http_route){ .method = route->method,
                                                .pattern = route->pattern,
                                                .handler = serve,
                                                .arg = served,
                                                .priority = HTTP_PRIORITY_AUTH,
                                                .audience = audience_of(route),
                                                .permission = route->needs == INVITE
                                                                  ? RIGHTS_INVITE
                                                                  : RIGHTS_IMPERSONATE,
                                                .body_bytes_max = has_body ? 0 : -1,
                                                .signs_in = route->signs_in,
                                                .summary = route->summary,
                                                .tag = "auth",
                                                .operation_id = route->operation_id,
                                                .answer_schema = route->answer_schema,
                                                .answers = answers_of(route, has_body),
                                                .body_type = has_body ? HTTP_JSON : NULL },
                          &reason);
}

static bool is_served(const struct identity *identity, const struct route *route)
{
    if (route->handler == identity__sign_up)
        return identity->options.sign_up;
    if (route->handler == identity__consents || route->handler == identity__consent_withdraw)
        return identity->options.oauth;
    return true;
}

enum status identity__routes_open(struct identity *identity)
{
    const char *reason;
    enum status st =
        http_route_add(identity->app,
                       &(struct http_route){ .method = NET_METHOD_GET,
                                             .pattern = "/.well-known/jwks.json",
                                             .handle_inline = identity__jwks,
                                             .arg = identity,
                                             .priority = HTTP_PRIORITY_READ,
                                             .body_bytes_max = -1,
                                             .summary = "The keys that sign access tokens.",
                                             .tag = "auth",
                                             .operation_id = "jwks",
                                             .answer_type = "application/jwk-set+json" },
                       &reason);
    for (size_t i = 0; identity->has_people && i < ARRAY_LEN(routes) && st == STATUS_OK; i++) {
        if (is_served(identity, &routes[i]))
            st = add(identity, &routes[i]);
    }
    for (size_t i = 0; identity->foreign && i < ARRAY_LEN(foreign_routes) && st == STATUS_OK; i++)
        st = add(identity, &foreign_routes[i]);
    if (st == STATUS_OK && identity->has_people)
        st = identity__related_origins_open(identity);
    if (st == STATUS_OK && identity->has_people)
        st = identity__pages_open(identity);
    if (st == STATUS_OK && identity->has_people)
        st = identity__account_pages_open(identity);
    return st;
}
