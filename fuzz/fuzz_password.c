/*
 * fuzz/fuzz_password.c - Passwords: stored hashes of an import (the first line), and what people
 * want as a password (the whole), with the second line as their name.
 */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "identity/password_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What we read libsodium reads as well, and it is within bounds. */
static void check_stored(struct slice stored)
{
    struct identity_password_info info;
    if (identity_password_read(stored, &info) != STATUS_OK)
        return;
    require(stored.len <= IDENTITY_PASSWORD_HASH_MAX);
    require(info.memory_kib <= 262144 && info.lanes <= 16 && info.cost <= 15);
    if (info.scheme != IDENTITY_PASSWORD_ARGON2ID || stored.len >= crypto_pwhash_STRBYTES)
        return;
    char text[crypto_pwhash_STRBYTES] = { 0 };
    memcpy(text, stored.data, stored.len);
    require(crypto_pwhash_argon2id_str_needs_rehash(text, info.passes,
                                                    (size_t)info.memory_kib * 1024) == 0);
}

/* A normal form is its own normal form. */
static void check_text(struct slice text, bool folded)
{
    struct identity__text once = { .data = NULL }, twice = { .data = NULL };
    if (identity__text_make(text, folded, &once) != STATUS_OK)
        return;
    require(utf8_is_valid(identity__text_slice(&once)) && once.len < once.bytes);
    if (!folded && identity__text_make(identity__text_slice(&once), false, &twice) == STATUS_OK)
        require(slice_eq(identity__text_slice(&once), identity__text_slice(&twice)));
    identity__text_wipe(&once);
    identity__text_wipe(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of((const char *)data, size), rest = all, stored, name = SLICE("");
    (void)slice_split(&rest, '\n', &stored);
    (void)slice_split(&rest, '\n', &name);
    check_stored(stored);
    check_text(all, false);
    check_text(all, true);
    const struct slice passwords[] = { all, stored, rest };
    for (unsigned i = 0; i < 3; i++) {
        enum identity_password_fault fault = IDENTITY_PASSWORD_FAULT_COUNT;
        if (identity_password_judge(passwords[i], &name, 1, &fault) != STATUS_OK)
            continue;
        require(fault < IDENTITY_PASSWORD_FAULT_COUNT);
        require(fault != IDENTITY_PASSWORD_GOOD ||
                (passwords[i].len >= 8 && utf8_is_valid(passwords[i])));
    }
    return 0;
}
