/*
 * http/range.c - Range: bytes=0-99, 200-, -50 (RFC 9110 section 14).
 *
 * Ranges that overlap or nearly touch are joined, so that no byte is sent twice and the headers of
 * a part never outweigh what they save; more of them than HTTP_RANGES_MAX are refused. An answer is
 * so never much longer than the whole.
 */
#include "http/internal.h"

#include "base/macros.h"

/* Between two ranges; the head of another part is as long. */
#define GAP_MIN ((int64_t)80)
/* Positions past this are past the end of anything. */
#define POSITION_MAX (INT64_MAX / 2)

/* Digits to a position. False: none, or something else is there. */
static bool take_position(struct slice text, int64_t *ret)
{
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c < '0' || c > '9')
            return false;
        value = MIN(value * 10 + (c - '0'), POSITION_MAX / 10 - 10);
    }
    *ret = value;
    return text.len > 0;
}

enum spec { SPEC_BAD, SPEC_EMPTY, SPEC_SOME };

/* "0-99", "200-", "-50" against `size` bytes. EMPTY: well-formed, and none of them. */
static enum spec parse_spec(struct slice spec, int64_t size, struct http_range *ret)
{
    size_t dash = slice_find(spec, '-');
    if (dash == SIZE_MAX)
        return SPEC_BAD;
    struct slice first_text = slice_head(spec, dash), last_text = slice_from(spec, dash + 1);
    int64_t first, last = size - 1;
    if (dash == 0) {
        if (!take_position(last_text, &first))
            return SPEC_BAD;
        if (first == 0 || size == 0)
            return SPEC_EMPTY;
        first = MAX(size - first, (int64_t)0);
    } else {
        bool has_last = last_text.len > 0;
        if (!take_position(first_text, &first) || (has_last && !take_position(last_text, &last)) ||
            (has_last && last < first))
            return SPEC_BAD;
        if (first >= size)
            return SPEC_EMPTY;
        last = MIN(last, size - 1);
    }
    *ret = (struct http_range){ .first = first, .length = last - first + 1 };
    return SPEC_SOME;
}

/* Put `r` in, joined with those it touches; the rest stay in the order asked for. */
static void join(struct http_range *ranges, unsigned *len, struct http_range r)
{
    for (unsigned i = 0; i < *len;) {
        const struct http_range *other = &ranges[i];
        int64_t end = r.first + r.length, other_end = other->first + other->length;
        if (r.first > other_end + GAP_MIN || other->first > end + GAP_MIN) {
            i++;
            continue;
        }
        r.first = MIN(r.first, other->first);
        r.length = MAX(end, other_end) - r.first;
        /* It takes the place of what it joined; having grown, it may touch others. */
        memmove(&ranges[i], &ranges[i + 1], (*len - i - 1) * sizeof(*ranges));
        (*len)--;
        i = 0;
    }
    ranges[(*len)++] = r;
}

enum http_ranges http_ranges_parse(struct slice header, int64_t size,
                                   struct http_range ranges[HTTP_RANGES_MAX], unsigned *ret_len)
{
    size_t equals = slice_find(header, '=');
    if (!slice_eq_nocase(slice_trim(slice_head(header, equals)), SLICE("bytes")))
        return HTTP_RANGES_NONE;
    struct slice rest = slice_from(header, equals + 1), spec;
    unsigned len = 0, specs = 0;
    if (equals == SIZE_MAX)
        return HTTP_RANGES_NONE;
    while (slice_split(&rest, ',', &spec)) {
        spec = slice_trim(spec);
        if (spec.len == 0)
            continue; /* lists may have empty members (5.6.1) */
        if (++specs > HTTP_RANGES_MAX)
            return HTTP_RANGES_REFUSED;
        struct http_range r;
        switch (parse_spec(spec, size, &r)) {
        case SPEC_BAD:
            return HTTP_RANGES_NONE;
        case SPEC_SOME:
            join(ranges, &len, r);
            break;
        case SPEC_EMPTY:
            break;
        }
    }
    if (specs == 0)
        return HTTP_RANGES_NONE;
    *ret_len = len;
    return len ? HTTP_RANGES_SOME : HTTP_RANGES_REFUSED;
}
