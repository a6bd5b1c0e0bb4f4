/*
 * fuzz/fuzz_decode.c - Content codings: any bytes in any coding, in pieces of any size, end:
 * decoded, refused, or wanting more. The first byte is the coding, the second the pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "http/coder.h"

#define OUT_MAX ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* True while there may be more. */
static bool feed(struct http__decoder *d, struct slice *input, size_t *total)
{
    size_t before = input->len, n;
    bool end;
    enum status st =
        http__decoder_run(d, input, http__decoder_out(d), HTTP__CODER_OUT_BYTES, &n, &end);
    require(input->len <= before && n <= HTTP__CODER_OUT_BYTES);
    require(st == STATUS_OK || st == STATUS_INVALID || st == STATUS_EXHAUSTED);
    *total += n;
    bool moved = n > 0 || input->len < before;
    return st == STATUS_OK && moved && *total < OUT_MAX && !(end && !http__decoder_is_many(d));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum http__coding codings[] = { HTTP__GZIP, HTTP__DEFLATE, HTTP__BR, HTTP__ZSTD };
    static const struct http__coder_limits limits = { .decoders_max = 1 };
    if (size < 2)
        return 0;
    struct http__coders *coders = http__coders_new(&limits);
    struct http__decoder *d;
    require(coders != NULL);
    require(http__decoder_take(coders, codings[data[0] % ARRAY_LEN(codings)], &d) == STATUS_OK);
    size_t step = (size_t)data[1] + 1, total = 0;
    struct slice rest = slice_of((const char *)data + 2, size - 2);
    bool goes_on = true;
    while (rest.len && goes_on) {
        struct slice part = slice_head(rest, step);
        rest = slice_from(rest, part.len);
        while (part.len && goes_on)
            goes_on = feed(d, &part, &total);
    }
    http__decoder_give(d);
    http__coders_free(coders);
    return 0;
}
