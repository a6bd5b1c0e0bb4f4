/*
 * fuzz/fuzz_proxy_protocol.c - PROXY headers: a header is inside what came, is found as the same
 * however much follows it, and not before its last byte.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net__proxy p, again;
    size_t len = 0, again_len = 0;
    uint8_t *copy = malloc(size ? size : 1); /* so that a read beyond it is seen */
    require(copy != NULL);
    memcpy(copy, data, size);
    if (net__proxy_parse(copy, size, &len, &p) == NET__PROXY_WHOLE) {
        require(len > 0 && len <= size && len <= NET__PROXY_MAX);
        require(!p.is_local || !p.has_source);
        require(net__proxy_parse(copy, len, &again_len, &again) == NET__PROXY_WHOLE);
        require(again_len == len && again.has_source == p.has_source);
        for (size_t cut = 0; cut < len; cut++)
            require(net__proxy_parse(copy, cut, &again_len, &again) == NET__PROXY_MORE);
    }
    free(copy);
    return 0;
}
