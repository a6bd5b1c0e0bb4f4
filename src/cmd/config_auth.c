/*
 * The keys of accounts: what has a form of its own.
 */
#include "cmd/config.h"
#include "identity/identity.h"

void config_check_auth(const struct config *c, struct diag *diag)
{
    const char *reason = identity_passkey_origins_check(c->auth_passkey_origins);
    if (reason)
        diag_add(diag, SLICE("configuration"), 0, 0, SLICE("auth.passkey_origins"), SLICE_NULL,
                 "%s", reason);
}
