/* contract/schema_host.c - Host names (RFC 1123, 5890), addresses (RFC 2673, 4291) and mailboxes
 * (RFC 5321, 6531). */
#include <string.h>

#include "contract/schema_private.h"

#define HOST_BYTES_MAX 253u
#define LABEL_BYTES_MAX 63u
#define LOCAL_PART_BYTES_MAX 64u

/* -- host names
 * ------------------------------------------------------------------------------------------------------
 */

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] >= 0x80)
            return false;
    return true;
}

static bool is_ascii_label(struct slice label)
{
    if (!label.len || label.len > LABEL_BYTES_MAX || label.data[0] == '-' ||
        label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!schema__is_alpha(label.data[i]) && !schema__is_digit(label.data[i]) &&
            label.data[i] != '-')
            return false;
    /* "--" in places 3 and 4 is kept for A-labels. */
    return label.len < 4 || label.data[2] != '-' || label.data[3] != '-' ||
           schema__is_a_label(label);
}

/* The next label and the dot behind it; IDNA knows four dots. */
static struct slice next_label(struct slice s, bool idn, size_t *ret_dot_len)
{
    static const struct slice dots[] = { SLICE_INIT("\xe3\x80\x82"), SLICE_INIT("\xef\xbc\x8e"),
                                         SLICE_INIT("\xef\xbd\xa1") };
    for (size_t i = 0; i < s.len; i++) {
        *ret_dot_len = s.data[i] == '.';
        for (size_t d = 0; idn && d < sizeof(dots) / sizeof(dots[0]); d++)
            if (slice_starts(slice_from(s, i), dots[d]))
                *ret_dot_len = dots[d].len;
        if (*ret_dot_len)
            return slice_head(s, i);
    }
    *ret_dot_len = 0;
    return s;
}

static bool is_host(struct slice s, bool idn)
{
    size_t total = 0, dot_len = 1;
    while (dot_len) {
        struct slice label = next_label(s, idn, &dot_len);
        size_t len = label.len;
        if (!(is_ascii(label) ? is_ascii_label(label) : idn && schema__is_u_label(label, &len)))
            return false;
        total += len + (dot_len > 0);
        if (total > HOST_BYTES_MAX)
            return false;
        s = slice_from(s, label.len + dot_len);
    }
    return true;
}

bool schema__is_hostname(struct slice s)
{
    return is_host(s, false);
}

bool schema__is_idn_hostname(struct slice s)
{
    return is_host(s, true);
}

/* -- addresses
 * -------------------------------------------------------------------------------------------------------
 */

bool schema__is_ipv4(struct slice s)
{
    struct slice part;
    unsigned parts = 0;
    if (!s.len)
        return false;
    while (slice_split(&s, '.', &part)) {
        int64_t n;
        if (!part.len || part.len > 3 || schema__digits_at(part, 0) != part.len ||
            !slice_to_i64(part, &n) || n > 255 || (part.len > 1 && part.data[0] == '0') ||
            ++parts > 4)
            return false;
    }
    return parts == 4;
}

/* Groups of up to four hex digits between colons; an IPv4 address counts for the last two. 0: not
 * that. */
static unsigned count_groups(struct slice s, bool may_end_in_ipv4)
{
    struct slice part;
    unsigned groups = 0;
    while (slice_split(&s, ':', &part)) {
        size_t hex = 0;
        if (!s.data && may_end_in_ipv4 && schema__is_ipv4(part))
            return groups + 2;
        while (hex < part.len && schema__is_hex(part.data[hex]))
            hex++;
        if (!hex || hex > 4 || hex != part.len || ++groups > 8)
            return 0;
    }
    return groups;
}

/* RFC 4291 section 2.2, without zone. */
bool schema__is_ipv6(struct slice s)
{
    size_t gap = slice_find_slice(s, SLICE("::"));
    if (gap == SIZE_MAX)
        return s.len && count_groups(s, true) == 8;
    struct slice before = slice_head(s, gap), after = slice_from(s, gap + 2);
    unsigned left = before.len ? count_groups(before, false) : 0;
    unsigned right = after.len ? count_groups(after, true) : 0;
    return (left || !before.len) && (right || !after.len) && left + right < 8;
}

/* -- mailboxes
 * -------------------------------------------------------------------------------------------------------
 */

static bool is_atom_char(char c, bool idn)
{
    return schema__is_alpha(c) || schema__is_digit(c) ||
           schema__is_one_of(c, "!#$%&'*+/=?^_`{|}~-") || (idn && (c & 0x80));
}

static bool is_quoted(struct slice s, bool idn)
{
    if (s.len < 2 || s.data[s.len - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < s.len; i++) {
        if (s.data[i] == '\\' && i + 2 < s.len)
            i++;
        else if (schema__is_one_of(s.data[i], "\"\\"))
            return false;
        unsigned char c = (unsigned char)s.data[i];
        if (c < 32 || c == 127 || (c > 127 && !idn))
            return false;
    }
    return true;
}

static bool is_local_part(struct slice s, bool idn)
{
    struct slice atom;
    if (!s.len || s.len > LOCAL_PART_BYTES_MAX)
        return false;
    if (s.data[0] == '"')
        return is_quoted(s, idn);
    while (slice_split(&s, '.', &atom)) {
        if (!atom.len)
            return false;
        for (size_t i = 0; i < atom.len; i++)
            if (!is_atom_char(atom.data[i], idn))
                return false;
    }
    return true;
}

static bool is_mailbox(struct slice s, bool idn)
{
    size_t at = SIZE_MAX;
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] == '@')
            at = i;
    if (at == SIZE_MAX || !is_local_part(slice_head(s, at), idn))
        return false;
    struct slice domain = slice_from(s, at + 1);
    if (domain.len > 2 && domain.data[0] == '[' && domain.data[domain.len - 1] == ']') {
        struct slice address = slice_of(domain.data + 1, domain.len - 2);
        return slice_eq_nocase(slice_head(address, 5), SLICE("IPv6:"))
                   ? schema__is_ipv6(slice_from(address, 5))
                   : schema__is_ipv4(address);
    }
    return is_host(domain, idn);
}

bool schema__is_email(struct slice s)
{
    return is_mailbox(s, false);
}

bool schema__is_idn_email(struct slice s)
{
    return is_mailbox(s, true);
}
