/*
 * fuzz/fuzz_secret.c - What strangers present as a secret: tokens and keys, codes of mail, recovery
 * codes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "identity/recovery.h"
#include "identity/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size), prefix;
    struct identity_digest digest, again;
    if (identity_secret_parse(text, &prefix) == STATUS_OK) {
        require(prefix.len + 51 == size && slice_starts(text, prefix));
        require(identity_secret_read(text, prefix, &digest) == STATUS_OK);
        again = identity_secret_digest(text);
        require(identity_digest_eq(&digest, &again));
    }
    char code[IDENTITY_CODE_LEN], code_again[IDENTITY_CODE_LEN];
    if (identity_code_read(text, code) == STATUS_OK) {
        require(identity_code_read(slice_of(code, sizeof(code)), code_again) == STATUS_OK);
        require(memcmp(code, code_again, sizeof(code)) == 0);
    }
    const struct identity_pepper pepper = { .bytes = { 1 } };
    if (identity_recovery_read(&pepper, SLICE("ann"), text, &digest) == STATUS_OK) {
        require(size >= IDENTITY_RECOVERY_CHARS);
        require(identity_recovery_find(&digest, 1, &digest) == 0);
        require(identity_recovery_read(&pepper, SLICE("bob"), text, &again) == STATUS_OK);
        require(!identity_digest_eq(&digest, &again));
    }
    return 0;
}
