/*
 * fuzz/fuzz_webauthn.c - What authenticators send: attestation objects, authenticator data, CBOR.
 */
#include <stdint.h>
#include <stdlib.h>

#include "identity/authenticator.h"
#include "identity/cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool is_within(struct slice part, struct slice whole)
{
    return part.data >= whole.data && part.data + part.len <= whole.data + whole.len;
}

static void read_data(struct slice bytes)
{
    struct identity_authenticator read;
    if (identity_authenticator_read(bytes, &read) != STATUS_OK)
        return;
    require(!(read.flags & IDENTITY_FLAG_BACKED_UP) ||
            (read.flags & IDENTITY_FLAG_BACKUP_ELIGIBLE));
    if (!(read.flags & IDENTITY_FLAG_CREDENTIAL))
        return;
    require(is_within(read.credential_id, bytes) && read.credential_id.len > 0 &&
            read.credential_id.len <= IDENTITY_CREDENTIAL_ID_MAX);
    require(read.key.len > 0 && read.key.len == identity_public_key_len(read.key.alg) &&
            read.key.len <= sizeof(read.key.bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of((const char *)data, size), rest = bytes, format, inner;
    struct identity_cbor_item item;
    while (identity_cbor_next(&rest, &item) == STATUS_OK)
        require(item.bytes.len == 0 || is_within(item.bytes, bytes));
    rest = bytes;
    if (identity_cbor_skip(&rest) == STATUS_OK)
        require(rest.len < size);
    else
        require(rest.len == size);
    read_data(bytes);
    if (identity_attestation_read(bytes, &format, &inner) == STATUS_OK) {
        require(is_within(format, bytes) && is_within(inner, bytes));
        read_data(inner);
    }
    return 0;
}
