/*
 * fuzz/fuzz_path.c - Targets and paths: what is accepted holds nothing that could be read in two
 * ways.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "net/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_normal(struct arena *arena, struct slice path)
{
    require(path.len > 0 && path.data[0] == '/');
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.data[i];
        require(c > 0x20 && c < 0x7f && c != ';' && c != '\\' && c != '?' && c != '#');
        require(i == 0 || c != '/' || path.data[i - 1] != '/');
    }
    struct slice rest = slice_from(path, 1), segment;
    while (slice_split(&rest, '/', &segment))
        require(!slice_eq(segment, SLICE(".")) && !slice_eq(segment, SLICE("..")));
    /* Only an escaped percent sign could make a second reading differ. */
    struct slice again;
    if (slice_find_slice(path, SLICE("%25")) == SIZE_MAX) {
        require(net__path_normalise(arena, path, &again) == STATUS_OK);
        require(slice_eq(path, again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct arena *arena = arena_new(NULL, 0);
    struct slice path;
    if (net__path_normalise(arena, text, &path) == STATUS_OK) {
        require(path.len <= text.len);
        check_normal(arena, path);
    }
    struct net_request r = { .method = NET_METHOD_GET };
    if (net__target_parse(arena, text, false, &r) == STATUS_OK)
        check_normal(arena, r.path);
    (void)net__authority_is_valid(text); /* must only not fall over */
    arena_free(arena);
    return 0;
}
