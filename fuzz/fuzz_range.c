/*
 * fuzz/fuzz_range.c - Range headers: what is taken lies inside of the whole, apart from each other,
 * and is never more than there is. The first byte makes the size.
 */
#include <stdint.h>
#include <stdlib.h>

#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_range ranges[HTTP_RANGES_MAX];
    unsigned len = 0;
    if (size == 0)
        return 0;
    int64_t whole = data[0] < 128 ? data[0] * 16 : (int64_t)1 << (data[0] % 62);
    struct slice header = slice_of((const char *)data + 1, size - 1);
    if (http_ranges_parse(header, whole, ranges, &len) != HTTP_RANGES_SOME)
        return 0;
    require(len >= 1 && len <= HTTP_RANGES_MAX);
    int64_t total = 0;
    for (unsigned i = 0; i < len; i++) {
        require(ranges[i].first >= 0 && ranges[i].length >= 1);
        require(ranges[i].length <= whole - ranges[i].first);
        total += ranges[i].length;
        for (unsigned j = 0; j < i; j++) {
            bool is_before = ranges[j].first + ranges[j].length < ranges[i].first;
            bool is_after = ranges[i].first + ranges[i].length < ranges[j].first;
            require(is_before || is_after);
        }
    }
    require(total <= whole);
    return 0;
}
