/*
 * fuzz/fuzz_agent.c - User-Agent headers in words, and texts as QR codes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "identity/agent.h"
#include "identity/identity.h"
#include "identity/qr.h"
#include "identity/related_origins.h"

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
    struct buf svg;
    struct slice words = identity_agent_words(arena, text);
    require(words.len > 0 && words.len <= IDENTITY_AGENT_WORDS_MAX);
    for (size_t i = 0; i < words.len; i++)
        require(words.data[i] >= ' ' && words.data[i] < 0x7f && words.data[i] != '<');
    buf_init(&svg, arena, 4096, (size_t)256 * 1024);
    enum status st = identity_qr_put(&svg, text, "x");
    require((st == STATUS_OK) == (size > 0 && size <= IDENTITY_QR_TEXT_MAX));
    /* What is taken as a list is found in it whole. */
    if (size > 0 && slice_find(text, ',') == SIZE_MAX && slice_trim(text).len == size &&
        !identity_passkey_origins_check(text))
        require(identity_origin_is_related(text, text));
    arena_free(arena);
    return 0;
}
