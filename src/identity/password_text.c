/*
 * identity/password_text.c - Passwords as text: one form for what is the same to a reader.
 *
 * Two things would make that dear. Marks in a row are sorted by utf8proc in quadratic time; thirty
 * are more than any script has (UAX #15 section 13, Stream-Safe Text) and cost nothing. And a few
 * ligatures come apart into up to eighteen code points; a text of them is as long as they are
 * apart.
 */
#include "identity/password_private.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/macros.h"

#define MARKS_MAX 30u
#define APART_MAX 4 /* code points from one that is no ligature */

void identity__text_wipe(struct identity__text *text)
{
    if (text->data) {
        sodium_memzero(text->data, text->bytes);
        free(text->data);
    }
    *text = (struct identity__text){ .data = NULL };
}

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.data[i] >= 0x80)
            return false;
    }
    return true;
}

static bool has_long_run_of_marks(struct slice s)
{
    unsigned marks = 0;
    for (size_t at = 0; at < s.len;) {
        utf8proc_int32_t point = 0;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.data + at,
                                              (utf8proc_ssize_t)(s.len - at), &point);
        if (n <= 0)
            return true; /* not reached for UTF-8 */
        at += (size_t)n;
        marks = utf8proc_get_property(point)->combining_class != 0 ? marks + 1 : 0;
        if (marks > MARKS_MAX)
            return true;
    }
    return false;
}

/* Nothing to normalise: the common case. */
static enum status copy_ascii(struct slice raw, bool folded, struct identity__text *ret)
{
    char *data = malloc(raw.len + 1);
    if (!data)
        return STATUS_EXHAUSTED;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.data[i];
        data[i] = folded && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    data[raw.len] = 0;
    *ret = (struct identity__text){ .data = data, .len = raw.len, .bytes = raw.len + 1 };
    return STATUS_OK;
}

static enum status normalise(struct slice raw, bool folded, struct identity__text *ret)
{
    const utf8proc_option_t options =
        (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
                            (folded ? UTF8PROC_CASEFOLD : 0));
    const utf8proc_uint8_t *from = (const utf8proc_uint8_t *)raw.data;
    utf8proc_ssize_t from_len = (utf8proc_ssize_t)raw.len;
    /* This call only counts. */
    utf8proc_ssize_t points = utf8proc_decompose(from, from_len, NULL, 0, options);
    if (points < 0)
        return STATUS_INVALID;
    if (points > (utf8proc_ssize_t)APART_MAX * IDENTITY_PASSWORD_POINTS_MAX)
        return STATUS_TOO_LARGE;
    size_t bytes = ((size_t)points + 1) * sizeof(utf8proc_int32_t);
    utf8proc_int32_t *buffer = malloc(bytes);
    if (!buffer)
        return STATUS_EXHAUSTED;
    points = utf8proc_decompose(from, from_len, buffer, points, options);
    /* In place: UTF-8 takes no more than the four bytes that a code point has here. */
    utf8proc_ssize_t len = points < 0 ? points : utf8proc_reencode(buffer, points, options);
    struct identity__text text = { .data = (char *)buffer, .len = (size_t)len, .bytes = bytes };
    if (len < 0) {
        identity__text_wipe(&text);
        return STATUS_INVALID;
    }
    *ret = text;
    return STATUS_OK;
}

enum status identity__text_make(struct slice raw, bool folded, struct identity__text *ret)
{
    if (raw.len > IDENTITY__PASSWORD_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (is_ascii(raw))
        return raw.len > IDENTITY_PASSWORD_POINTS_MAX ? STATUS_TOO_LARGE
                                                      : copy_ascii(raw, folded, ret);
    if (!utf8_is_valid(raw))
        return STATUS_INVALID;
    if (utf8_count(raw) > IDENTITY_PASSWORD_POINTS_MAX)
        return STATUS_TOO_LARGE;
    if (has_long_run_of_marks(raw))
        return STATUS_INVALID;
    return normalise(raw, folded, ret);
}
