/*
 * fuzz/fuzz_client_data.c - What browsers say they let sign, and issuers as relying parties.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "identity/client_data.h"
#include "identity/relying_party.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct arena *arena = arena_new(NULL, 0);
    struct identity_client_data client;
    struct identity_relying_party party;
    if (!arena)
        return 0;
    if (identity_client_data_read(arena, text, &client) == STATUS_OK)
        require(size <= IDENTITY_CLIENT_DATA_MAX && client.challenge.len > 0 &&
                client.challenge.len <= IDENTITY_CHALLENGE_MAX);
    if (identity_relying_party_of(arena, text, &party) == STATUS_OK)
        require(party.id.len > 0 && slice_find(party.id, '/') == SIZE_MAX &&
                slice_find_slice(party.origin, party.id) != SIZE_MAX);
    arena_free(arena);
    return 0;
}
