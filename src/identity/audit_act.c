/*
 * identity/audit_act.c - The names of what the audit log speaks of. They stand in rows and in
 * clients' filters: a name that was once given is never changed.
 */
#include "identity/audit_private.h"

static const char *const acts[IDENTITY_AUDIT_ACTS] = {
    [IDENTITY_AUDIT_LOGIN_SUCCEEDED] = "login.succeeded",
    [IDENTITY_AUDIT_LOGIN_FAILED] = "login.failed",
    [IDENTITY_AUDIT_LOGIN_THROTTLED] = "login.throttled",
    [IDENTITY_AUDIT_LOGOUT] = "logout",
    [IDENTITY_AUDIT_ACCOUNT_CREATED] = "account.created",
    [IDENTITY_AUDIT_ACCOUNT_INVITED] = "account.invited",
    [IDENTITY_AUDIT_ACCOUNT_VERIFIED] = "account.verified",
    [IDENTITY_AUDIT_ACCOUNT_DISABLED] = "account.disabled",
    [IDENTITY_AUDIT_ACCOUNT_ENABLED] = "account.enabled",
    [IDENTITY_AUDIT_ACCOUNT_DELETION_REQUESTED] = "account.deletion_requested",
    [IDENTITY_AUDIT_ACCOUNT_DELETION_WITHDRAWN] = "account.deletion_withdrawn",
    [IDENTITY_AUDIT_ACCOUNT_DELETED] = "account.deleted",
    [IDENTITY_AUDIT_PASSWORD_CHANGED] = "password.changed",
    [IDENTITY_AUDIT_PASSWORD_RESET_REQUESTED] = "password.reset_requested",
    [IDENTITY_AUDIT_PASSWORD_RESET] = "password.reset",
    [IDENTITY_AUDIT_EMAIL_CHANGE_REQUESTED] = "email.change_requested",
    [IDENTITY_AUDIT_EMAIL_CHANGED] = "email.changed",
    [IDENTITY_AUDIT_FACTOR_ADDED] = "factor.added",
    [IDENTITY_AUDIT_FACTOR_REMOVED] = "factor.removed",
    [IDENTITY_AUDIT_FACTOR_FAILED] = "factor.failed",
    [IDENTITY_AUDIT_RECOVERY_CODES_MADE] = "recovery_codes.made",
    [IDENTITY_AUDIT_RECOVERY_CODE_USED] = "recovery_code.used",
    [IDENTITY_AUDIT_SESSION_REVOKED] = "session.revoked",
    [IDENTITY_AUDIT_SESSIONS_REVOKED] = "sessions.revoked",
    [IDENTITY_AUDIT_TOKEN_REUSED] = "token.reused",
    [IDENTITY_AUDIT_ROLE_GRANTED] = "role.granted",
    [IDENTITY_AUDIT_ROLE_REVOKED] = "role.revoked",
    [IDENTITY_AUDIT_ACCESS_DENIED] = "access.denied",
    [IDENTITY_AUDIT_KEY_CREATED] = "key.created",
    [IDENTITY_AUDIT_KEY_ROTATED] = "key.rotated",
    [IDENTITY_AUDIT_KEY_REVOKED] = "key.revoked",
    [IDENTITY_AUDIT_KEY_REFUSED] = "key.refused",
    [IDENTITY_AUDIT_CLIENT_CREATED] = "client.created",
    [IDENTITY_AUDIT_CLIENT_CHANGED] = "client.changed",
    [IDENTITY_AUDIT_CLIENT_DELETED] = "client.deleted",
    [IDENTITY_AUDIT_CONSENT_GRANTED] = "consent.granted",
    [IDENTITY_AUDIT_CONSENT_REVOKED] = "consent.revoked",
    [IDENTITY_AUDIT_PROVIDER_LINKED] = "provider.linked",
    [IDENTITY_AUDIT_PROVIDER_UNLINKED] = "provider.unlinked",
    [IDENTITY_AUDIT_IMPERSONATION_BEGAN] = "impersonation.began",
    [IDENTITY_AUDIT_IMPERSONATION_ENDED] = "impersonation.ended",
    [IDENTITY_AUDIT_DATA_EXPORTED] = "data.exported",
    [IDENTITY_AUDIT_DATA_IMPORTED] = "data.imported",
    [IDENTITY_AUDIT_DATA_ERASED] = "data.erased",
    [IDENTITY_AUDIT_SIGNING_KEY_ROTATED] = "signing_key.rotated",
    [IDENTITY_AUDIT_BEGAN] = "audit.began",
    [IDENTITY_AUDIT_RESTARTED] = "audit.restarted",
    [IDENTITY_AUDIT_DROPPED] = "audit.dropped",
    [IDENTITY_AUDIT_PRUNED] = "audit.pruned",
    [IDENTITY_AUDIT_KEY_BEGAN] = "audit.key_began",
};

static const char *const outcomes[IDENTITY_AUDIT_OUTCOMES] = {
    [IDENTITY_AUDIT_OK] = "ok",
    [IDENTITY_AUDIT_REFUSED] = "refused",
    [IDENTITY_AUDIT_FAILED] = "failed",
};

static const char *const actors[IDENTITY_AUDIT_ACTORS] = {
    [IDENTITY_AUDIT_ANONYMOUS] = "anonymous",
    [IDENTITY_AUDIT_USER] = "user",
    [IDENTITY_AUDIT_KEY] = "key",
    [IDENTITY_AUDIT_CLIENT] = "client",
    [IDENTITY_AUDIT_OPERATOR] = "operator",
    [IDENTITY_AUDIT_SYSTEM] = "system",
};

static const char *const faults[IDENTITY_AUDIT_FAULTS] = {
    [IDENTITY_AUDIT_WHOLE] = "none",
    [IDENTITY_AUDIT_FAULT_ROW] = "row",
    [IDENTITY_AUDIT_FAULT_GAP] = "gap",
    [IDENTITY_AUDIT_FAULT_CUT] = "cut",
    [IDENTITY_AUDIT_FAULT_HEAD] = "head",
    [IDENTITY_AUDIT_FAULT_TAIL] = "tail",
    [IDENTITY_AUDIT_FAULT_KEY] = "key",
    [IDENTITY_AUDIT_FAULT_RESTARTED] = "restarted",
    [IDENTITY_AUDIT_FAULT_WITNESS] = "witness",
};

const char *identity_audit_act_name(enum identity_audit_act act)
{
    return acts[act];
}

bool identity_audit_act_find(struct slice name, enum identity_audit_act *ret)
{
    for (unsigned i = 0; i < IDENTITY_AUDIT_ACTS; i++) {
        if (slice_eq(name, slice_cstr(acts[i]))) {
            *ret = (enum identity_audit_act)i;
            return true;
        }
    }
    return false;
}

const char *identity_audit_outcome_name(enum identity_audit_outcome outcome)
{
    return outcomes[outcome];
}

const char *identity_audit_actor_name(enum identity_audit_actor actor)
{
    return actors[actor];
}

const char *identity_audit_fault_name(enum identity_audit_fault fault)
{
    return faults[fault];
}
