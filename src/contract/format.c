#include "contract/format.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/macros.h"

static inline bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static inline bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_all_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.data[i]))
            return false;
    }
    return s.len > 0;
}

/* One byte that is not plain printable ASCII; `i` is where it stands. */
static void look_at_odd(struct slice s, size_t i, struct contract__text_facts *facts)
{
    unsigned char c = (unsigned char)s.data[i];
    if (c < 0x20 || c == 0x7f) {
        facts->zero |= c == 0;
        if (c == '\n' || c == '\t' || c == '\r')
            facts->lines = true;
        else
            facts->control = true;
    } else if (c == 0xc2 && i + 1 < s.len) {
        facts->lines |= (unsigned char)s.data[i + 1] < 0xa0;
    } else if (c == 0xe2 && i + 2 < s.len && (unsigned char)s.data[i + 1] == 0x80) {
        unsigned char last = (unsigned char)s.data[i + 2];
        facts->lines |= last == 0xa8 || last == 0xa9;
    }
}

struct contract__text_facts contract__text_look(struct slice s)
{
    struct contract__text_facts facts = { .characters = s.len };
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(0x20), delete = _mm_set1_epi8(0x7f);
    const __m128i continuation = _mm_set1_epi8(-64);
    for (; s.len - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.data + i));
        /* Signed: below a space are the controls and all bytes of what is not ASCII. */
        int odd =
            _mm_movemask_epi8(_mm_or_si128(_mm_cmplt_epi8(v, space), _mm_cmpeq_epi8(v, delete)));
        if (LIKELY(odd == 0))
            continue;
        int inner = _mm_movemask_epi8(_mm_cmplt_epi8(v, continuation));
        facts.characters -= (size_t)__builtin_popcount((unsigned)inner);
        for (unsigned left = (unsigned)(odd & ~inner); left; left &= left - 1)
            look_at_odd(s, i + (size_t)__builtin_ctz(left), &facts);
    }
#endif
    for (; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (LIKELY(c >= 0x20 && c < 0x7f))
            continue;
        facts.characters -= (c & 0xc0) == 0x80;
        look_at_odd(s, i, &facts);
    }
    return facts;
}

/* Labels of letters, digits and inner dashes, at most 63 each, at most 253 in all. */
static bool domain_is_valid(struct slice s, unsigned labels_min)
{
    if (s.len == 0 || s.len > 253)
        return false;
    struct slice rest = s, label = SLICE_NULL;
    unsigned labels = 0;
    while (slice_split(&rest, '.', &label)) {
        if (label.len == 0 || label.len > 63 || label.data[0] == '-' ||
            label.data[label.len - 1] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++) {
            if (!is_alpha(label.data[i]) && !is_digit(label.data[i]) && label.data[i] != '-')
                return false;
        }
        labels++;
    }
    return labels >= labels_min && !is_all_digits(label);
}

static bool local_part_is_valid(struct slice s)
{
    if (s.len == 0 || s.len > 64 || s.data[0] == '.' || s.data[s.len - 1] == '.')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '.' && s.data[i - 1] == '.')
            return false;
        if (!is_alpha(c) && !is_digit(c) && !is_in(c, ".!#$%&'*+/=?^_`{|}~-"))
            return false;
    }
    return true;
}

bool contract__email_is_valid(struct slice text, size_t *ret_domain)
{
    size_t at = slice_find(text, '@');
    if (at == SIZE_MAX || text.len > CONTRACT__EMAIL_BYTES_MAX ||
        !local_part_is_valid(slice_head(text, at)) || !domain_is_valid(slice_from(text, at + 1), 2))
        return false;
    *ret_domain = at + 1;
    return true;
}

bool contract__scheme_is_valid(struct slice text)
{
    if (text.len == 0 || text.len > 32 || !is_alpha(text.data[0]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_alpha(text.data[i]) && !is_digit(text.data[i]) && !is_in(text.data[i], "+.-"))
            return false;
    }
    return true;
}

/* What may stand in a URI, percent-encodings whole. */
static bool characters_are_valid(struct slice s, const char *others)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '%') {
            if (s.len - i < 3 || !is_hex(s.data[i + 1]) || !is_hex(s.data[i + 2]))
                return false;
            i += 2;
        } else if (!is_alpha(c) && !is_digit(c) && !is_in(c, others)) {
            return false;
        }
    }
    return true;
}

static bool ipv4_is_valid(struct slice s)
{
    struct slice rest = s, part;
    unsigned parts = 0;
    while (slice_split(&rest, '.', &part)) {
        int64_t value;
        if (part.len > 3 || !is_all_digits(part) || !slice_to_i64(part, &value) || value > 255 ||
            (part.len > 1 && part.data[0] == '0'))
            return false;
        parts++;
    }
    return parts == 4;
}

/* Groups of hex digits between colons, one "::" at most, perhaps an IPv4 address at the end. */
static bool ipv6_is_valid(struct slice s)
{
    unsigned groups = 0;
    bool gap = false;
    size_t i = 0;
    if (s.len < 2 || (s.data[0] == ':' && s.data[1] != ':'))
        return false;
    while (i < s.len) {
        if (s.data[i] == ':' && i + 1 < s.len && s.data[i + 1] == ':') {
            if (gap)
                return false;
            gap = true;
            i += 2;
            continue;
        }
        if (i > 0 && s.data[i] == ':')
            i++;
        size_t start = i;
        while (i < s.len && is_hex(s.data[i]))
            i++;
        if (i < s.len && s.data[i] == '.') {
            groups += 2;
            return ipv4_is_valid(slice_from(s, start)) && (gap ? groups <= 7 : groups == 8);
        }
        if (i == start || i - start > 4 || (i < s.len && s.data[i] != ':'))
            return false;
        groups++;
    }
    return gap ? groups <= 7 : groups == 8;
}

static bool authority_is_valid(struct slice s)
{
    struct slice host = s, port = SLICE_NULL;
    if (s.len && s.data[0] == '[') {
        size_t end = slice_find(s, ']');
        if (end == SIZE_MAX || !ipv6_is_valid(slice_of(s.data + 1, end - 1)))
            return false;
        port = slice_from(s, end + 1);
        if (port.len && port.data[0] != ':')
            return false;
        port = slice_from(port, 1);
    } else {
        size_t colon = slice_find(s, ':');
        if (colon != SIZE_MAX) {
            host = slice_head(s, colon);
            port = slice_from(s, colon + 1);
        }
        if (host.len && host.data[host.len - 1] == '.')
            host.len--;
        if (!domain_is_valid(host, 1) && !ipv4_is_valid(host))
            return false;
    }
    int64_t number;
    return port.len == 0 ||
           (is_all_digits(port) && port.len <= 5 && slice_to_i64(port, &number) && number <= 65535);
}

static bool scheme_needs_host(struct slice scheme)
{
    static const struct slice names[] = {
        SLICE_INIT("http"), SLICE_INIT("https"), SLICE_INIT("ws"),
        SLICE_INIT("wss"),  SLICE_INIT("ftp"),
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq_nocase(scheme, names[i]))
            return true;
    }
    return false;
}

bool contract__url_is_valid(struct slice text, const struct slice *schemes, size_t schemes_len)
{
    static const struct slice web[] = { SLICE_INIT("https"), SLICE_INIT("http") };
    if (schemes_len == 0) {
        schemes = web;
        schemes_len = ARRAY_LEN(web);
    }
    size_t colon = slice_find(text, ':');
    if (colon == SIZE_MAX || text.len > CONTRACT__URL_BYTES_MAX)
        return false;
    struct slice scheme = slice_head(text, colon), rest = slice_from(text, colon + 1);
    size_t i = 0;
    while (i < schemes_len && !slice_eq_nocase(scheme, schemes[i]))
        i++;
    if (i == schemes_len)
        return false;
    if (slice_starts(rest, SLICE("//"))) {
        rest = slice_from(rest, 2);
        size_t end = 0;
        while (end < rest.len && !is_in(rest.data[end], "/?#"))
            end++;
        if (!authority_is_valid(slice_head(rest, end)))
            return false;
        rest = slice_from(rest, end);
    } else if (rest.len == 0 || scheme_needs_host(scheme)) {
        return false;
    }
    size_t fragment = slice_find(rest, '#');
    struct slice before = slice_head(rest, fragment);
    return characters_are_valid(before, "-._~!$&'()*+,;=:@/?") &&
           characters_are_valid(slice_from(rest, before.len + 1), "-._~!$&'()*+,;=:@/?");
}

/* RFC 6838 section 4.2 restricted names, lower case only. */
static bool media_name_is_valid(struct slice s)
{
    if (s.len == 0 || s.len > 127 || is_in(s.data[0], "!#$&-^_.+"))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (!(c >= 'a' && c <= 'z') && !is_digit(c) && !is_in(c, "!#$&-^_.+"))
            return false;
    }
    return true;
}

bool contract__media_type_is_valid(struct slice text)
{
    size_t slash = slice_find(text, '/');
    return slash != SIZE_MAX && media_name_is_valid(slice_head(text, slash)) &&
           media_name_is_valid(slice_from(text, slash + 1));
}

bool contract__media_range_is_valid(struct slice text)
{
    if (!slice_ends(text, SLICE("/*")))
        return contract__media_type_is_valid(text);
    return media_name_is_valid(slice_head(text, text.len - 2));
}

bool contract__media_type_matches(struct slice type, struct slice accepted)
{
    if (!slice_ends(accepted, SLICE("/*")))
        return slice_eq(type, accepted);
    return slice_starts(type, slice_head(accepted, accepted.len - 1));
}

bool contract__name_is_valid(struct slice text)
{
    if (text.len == 0 || text.len > 63 || !(text.data[0] >= 'a' && text.data[0] <= 'z'))
        return false;
    for (size_t i = 1; i < text.len; i++) {
        char c = text.data[i];
        if (!(c >= 'a' && c <= 'z') && !is_digit(c) && c != '_')
            return false;
    }
    return true;
}

bool contract__value_is_valid(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!is_alpha(c) && !is_digit(c) && !is_in(c, "_.-"))
            return false;
    }
    return text.len > 0 && text.len <= 64;
}
