/*
 * The formats of JSON Schema's validation vocabulary, section 7.3, asserted. Each is the grammar of
 * its RFC on text that is known to be valid UTF-8.
 */
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"
#include "contract/pattern.h"
#include "contract/schema_private.h"

uint32_t schema__code_point(struct slice s, size_t *at)
{
    unsigned char first = (unsigned char)s.data[*at];
    unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
    uint32_t code = more ? first & (0x3fu >> more) : first;
    ++*at;
    for (; more && *at < s.len; more--)
        code = code << 6 | ((unsigned char)s.data[(*at)++] & 0x3fu);
    return code;
}

/* -- time (RFC 3339, section 5.6 and appendix A)
 * ---------------------------------------------------------------------- */

static bool two_digits(struct slice s, size_t at, int max, int *ret)
{
    if (at + 2 > s.len || schema__digits_at(s, at) < 2)
        return false;
    *ret = (s.data[at] - '0') * 10 + (s.data[at + 1] - '0');
    return *ret <= max;
}

static bool is_date(struct slice s)
{
    int32_t days;
    return clock_parse_date(s, &days);
}

/* "Z", "+hh:mm" or "-hh:mm"; in minutes. */
static bool read_offset(struct slice s, int *ret_minutes)
{
    int hours, minutes;
    *ret_minutes = 0;
    if (s.len == 1)
        return s.data[0] == 'Z' || s.data[0] == 'z';
    if (s.len != 6 || !schema__is_one_of(s.data[0], "+-") || s.data[3] != ':' ||
        !two_digits(s, 1, 23, &hours) || !two_digits(s, 4, 59, &minutes))
        return false;
    *ret_minutes = (hours * 60 + minutes) * (s.data[0] == '-' ? -1 : 1);
    return true;
}

static bool is_time(struct slice s)
{
    int hour, minute, second, offset;
    if (s.len < 9 || s.data[2] != ':' || s.data[5] != ':' || !two_digits(s, 0, 23, &hour) ||
        !two_digits(s, 3, 59, &minute) || !two_digits(s, 6, 60, &second))
        return false;
    size_t at = 8;
    if (s.data[at] == '.') {
        size_t digits = schema__digits_at(s, at + 1);
        if (!digits)
            return false;
        at += 1 + digits;
    }
    if (!read_offset(slice_from(s, at), &offset))
        return false;
    /* A leap second is 23:59:60 UTC. */
    int utc = (hour * 60 + minute - offset + 2 * 1440) % 1440;
    return second < 60 || utc == 23 * 60 + 59;
}

static bool is_date_time(struct slice s)
{
    return s.len > 11 && is_date(slice_head(s, 10)) && (s.data[10] == 'T' || s.data[10] == 't') &&
           is_time(slice_from(s, 11));
}

/* Numbers with units in their order, without gaps: P1Y2D is not one, years are followed by months.
 */
static bool is_duration_part(struct slice s, const char *units)
{
    size_t at = 0;
    const char *last = NULL;
    while (at < s.len) {
        size_t n = schema__digits_at(s, at);
        if (!n || at + n >= s.len || !s.data[at + n])
            return false;
        const char *unit = strchr(units, s.data[at + n]);
        if (!unit || (last && unit != last + 1))
            return false;
        last = unit;
        at += n + 1;
    }
    return last != NULL;
}

static bool is_duration(struct slice s)
{
    if (s.len < 3 || s.data[0] != 'P')
        return false;
    struct slice rest = slice_from(s, 1);
    if (slice_ends(rest, SLICE("W")))
        return schema__digits_at(rest, 0) == rest.len - 1;
    size_t t = slice_find(rest, 'T');
    struct slice date = slice_head(rest, t);
    if (date.len && !is_duration_part(date, "YMD"))
        return false;
    return t == SIZE_MAX || is_duration_part(slice_from(rest, t + 1), "HMS");
}

/* -- the rest
 * -------------------------------------------------------------------------------------------------------
 */

static bool is_uuid(struct slice s)
{
    struct uuid unused;
    return uuid_parse(s, &unused);
}

static bool is_json_pointer(struct slice s)
{
    if (s.len && s.data[0] != '/')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] == '~' && (i + 1 >= s.len || !schema__is_one_of(s.data[i + 1], "01")))
            return false;
    return true;
}

static bool is_relative_json_pointer(struct slice s)
{
    size_t n = schema__digits_at(s, 0);
    if (!n || (n > 1 && s.data[0] == '0'))
        return false;
    struct slice rest = slice_from(s, n);
    return slice_eq(rest, SLICE("#")) || is_json_pointer(rest);
}

static bool is_regex(struct slice s)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, (size_t)1 << 20);
    struct contract_pattern *pattern = NULL;
    struct contract_pattern_error error;
    if (contract_pattern_compile(s, arena, &pattern, &error) != STATUS_OK)
        return false;
    contract_pattern_free(pattern);
    return true;
}

schema_format_fn schema__format_find(struct slice name)
{
    static const struct {
        struct slice name;
        schema_format_fn fn;
    } formats[] = {
        { SLICE_INIT("date-time"), is_date_time },
        { SLICE_INIT("date"), is_date },
        { SLICE_INIT("time"), is_time },
        { SLICE_INIT("duration"), is_duration },
        { SLICE_INIT("email"), schema__is_email },
        { SLICE_INIT("idn-email"), schema__is_idn_email },
        { SLICE_INIT("hostname"), schema__is_hostname },
        { SLICE_INIT("idn-hostname"), schema__is_idn_hostname },
        { SLICE_INIT("ipv4"), schema__is_ipv4 },
        { SLICE_INIT("ipv6"), schema__is_ipv6 },
        { SLICE_INIT("uri"), schema__is_uri },
        { SLICE_INIT("uri-reference"), schema__is_uri_reference },
        { SLICE_INIT("iri"), schema__is_iri },
        { SLICE_INIT("iri-reference"), schema__is_iri_reference },
        { SLICE_INIT("uri-template"), schema__is_uri_template },
        { SLICE_INIT("uuid"), is_uuid },
        { SLICE_INIT("json-pointer"), is_json_pointer },
        { SLICE_INIT("relative-json-pointer"), is_relative_json_pointer },
        { SLICE_INIT("regex"), is_regex },
    };
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (slice_eq(name, formats[i].name))
            return formats[i].fn;
    return NULL;
}
