/*
 * fuzz/fuzz_traceparent.c - Trace context: what is taken over is 32 lower-case hex digits, not all
 * zero.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct http__trace trace;
    if (!http__traceparent_parse(text, &trace))
        return 0;
    require(trace.trace_id.len == 32);
    bool is_zero = true;
    for (size_t i = 0; i < 32; i++) {
        char c = trace.trace_id.data[i];
        require((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
        is_zero &= c == '0';
    }
    require(!is_zero);
    return 0;
}
