/*
 * fuzz/fuzz_signature.c - What strangers say of their signatures: Signature-Input over a message,
 * Content-Digest, X-Signature. Each line of the input is one of the message's fields as well as
 * each of them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "http/signature.h"

#define LINES_MAX 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A base has a line for each component and one for the parameters, whatever values hold. */
static void check_bases(struct arena *arena, const struct http__signed *message, struct slice text)
{
    struct http__sf_list inputs;
    if (http__sf_parse(arena, text, HTTP__SF_KIND_DICTIONARY, 8, &inputs) != STATUS_OK)
        return;
    for (unsigned i = 0; i < inputs.len; i++) {
        struct buf base;
        buf_init(&base, arena, 0, HTTP__BASE_BYTES_MAX);
        if (http__signature_base(arena, message, &inputs.members[i], &base) != STATUS_OK)
            continue;
        struct slice all = buf_slice(&base), line;
        unsigned lines = 0;
        bool last_is_params = false;
        while (slice_split(&all, '\n', &line)) {
            lines++;
            last_is_params = slice_starts(line, SLICE("\"@signature-params\": ("));
            require(line.len > 4 && line.data[0] == '"');
        }
        require(last_is_params && lines == inputs.members[i].inner_len + 1);
    }
}

static void check_plain(struct arena *arena, struct slice text)
{
    struct http__plain plain;
    if (!http__plain_parse(text, &plain))
        return;
    struct buf base;
    buf_init(&base, arena, 0, HTTP__BASE_BYTES_MAX);
    http__plain_base(&plain, SLICE("GET"), SLICE("/"), &base);
    require(buf_status(&base) == STATUS_OK && plain.created_s > 0);
    require(slice_find(plain.nonce, '.') == SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, (size_t)8 << 20);
    struct slice text;
    if (arena_copy(arena, slice_of((const char *)data, size), &text) != STATUS_OK)
        return 0;
    static const char *const names[] = { "content-digest", "priority", "x-a", "x-a", "x-b" };
    struct net_header headers[LINES_MAX];
    struct http__signed message = {
        .method = SLICE("POST"),
        .scheme = SLICE("https"),
        .authority = SLICE("Example.com:443"),
        .path = SLICE("/a"),
        .query = SLICE("b=c"),
        .target = SLICE("/a?b=c"),
        .headers = headers,
    };
    struct slice rest = text, line;
    while (message.headers_len < LINES_MAX && slice_split(&rest, '\n', &line)) {
        if (slice_find(line, '\r') != SIZE_MAX || slice_find(line, 0) != SIZE_MAX)
            continue; /* the codec lets none through */
        headers[message.headers_len] =
            (struct net_header){ .name = slice_cstr(names[message.headers_len % ARRAY_LEN(names)]),
                                 .value = line };
        message.headers_len++;
    }
    for (unsigned i = 0; i < message.headers_len; i++) {
        struct http__digest digest;
        if (i == 1)
            message.query = headers[i].value;
        check_bases(arena, &message, headers[i].value);
        check_plain(arena, headers[i].value);
        (void)http__digest_parse(arena, headers[i].value, &digest); /* it may be none */
    }
    return 0;
}
