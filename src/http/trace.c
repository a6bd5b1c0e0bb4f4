/*
 * http/trace.c - W3C Trace Context (level 1): a caller's traceparent is continued, else a trace
 * begins here. Every request is a span of its own, whose traceparent is sent back.
 */
#include "http/internal.h"

#include <string.h>

#include "base/id.h"

#define TRACEPARENT_LEN 55u
#define TRACE_AT 3u
#define SPAN_AT 36u
#define FLAGS_AT 53u
#define FLAG_SAMPLED 0x01u

/* Eight digits of 32 bits at once: spread the nibbles to bytes, then add '0', and 39 more where
 * they are past 9. */
static uint64_t hex32(uint32_t value)
{
    uint64_t x = __builtin_bswap32(value);
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x >> 4 | x << 8) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    return x + UINT64_C(0x3030303030303030) + letters * 39;
}

void http__hex64(uint64_t value, char out[16])
{
    /* Little-endian machines only, as are all that libuv's and Boost.Context's users run; elsewhere
     * digits swap places, which ids survive. */
    uint64_t high = hex32((uint32_t)(value >> 32)), low = hex32((uint32_t)value);
    memcpy(out, &high, 8);
    memcpy(out + 8, &low, 8);
}

/* Lower-case hex digits, as the standard has it; -1 when one is something else. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Are they `len` digits, and not all zero unless that is allowed? */
static bool is_hex(const char *text, size_t len, bool zero_ok)
{
    bool is_zero = true;
    for (size_t i = 0; i < len; i++) {
        if (hex_digit(text[i]) < 0)
            return false;
        is_zero &= text[i] == '0';
    }
    return zero_ok || !is_zero;
}

bool http__traceparent_parse(struct slice text, struct http__trace *ret)
{
    const char *t = text.data;
    if (text.len < TRACEPARENT_LEN || !is_hex(t, 2, true) || (t[0] == 'f' && t[1] == 'f'))
        return false;
    bool is_version_0 = t[0] == '0' && t[1] == '0';
    if (text.len > TRACEPARENT_LEN && (is_version_0 || t[TRACEPARENT_LEN] != '-'))
        return false;
    if (t[2] != '-' || t[SPAN_AT - 1] != '-' || t[FLAGS_AT - 1] != '-')
        return false;
    if (!is_hex(t + TRACE_AT, 32, false) || !is_hex(t + SPAN_AT, 16, false) ||
        !is_hex(t + FLAGS_AT, 2, true))
        return false;
    ret->trace_id = slice_of(t + TRACE_AT, 32);
    /* They are digits, so neither is negative. */
    unsigned high = (unsigned)hex_digit(t[FLAGS_AT]), low = (unsigned)hex_digit(t[FLAGS_AT + 1]);
    ret->flags = (uint8_t)(high << 4 | low);
    return true;
}

/* Ids may not be zero. */
static uint64_t random_id(void)
{
    uint64_t id = random_fast();
    return id ? id : 1;
}

static bool before(struct http_request *req)
{
    const struct net_header *sent = net_header_get(http_net(req), NET_HEADER_TRACEPARENT);
    struct http__trace trace = { .flags = 0 };
    char *out = req->trace_text;
    memcpy(out, "00-", TRACE_AT);
    if (sent && http__traceparent_parse(sent->value, &trace)) {
        memcpy(out + TRACE_AT, trace.trace_id.data, 32);
    } else {
        http__hex64(random_id(), out + TRACE_AT);
        http__hex64(random_fast(), out + TRACE_AT + 16);
        req->trace_is_ours = true;
    }
    req->sampled = trace.flags & FLAG_SAMPLED;
    req->trace_id = slice_of(out + TRACE_AT, 32);
    out[SPAN_AT - 1] = '-';
    http__hex64(random_id(), out + SPAN_AT);
    memcpy(out + FLAGS_AT - 1, req->sampled ? "-01" : "-00", 3);
    return true;
}

static void after(struct http_request *req, int status)
{
    (void)status;
    http__step_header(req, SLICE("traceparent"), slice_of(req->trace_text, TRACEPARENT_LEN));
}

const struct http__step http__step_trace = {
    .name = "trace",
    .before = before,
    .after = after,
};
