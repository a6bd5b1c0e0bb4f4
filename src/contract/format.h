/*
 * contract/format.h - Private: the shapes of text that types stand for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* What a look at valid UTF-8 found. */
struct contract__text_facts {
    size_t characters; /* code points */
    bool zero;         /* U+0000 */
    bool control;      /* C0 other than tab, line feed and carriage return; DEL */
    bool lines;        /* tab, line feed, carriage return, C1, U+2028, U+2029 */
};
struct contract__text_facts contract__text_look(struct slice text);

#define CONTRACT__EMAIL_BYTES_MAX 254u
#define CONTRACT__URL_BYTES_MAX 2048u

/*
 * An RFC 5321 mailbox: dot-atom@domain, ASCII, no quotes, comments or address literals; the domain
 * has at least two labels and its last is no number. *ret_domain is where the domain begins.
 */
bool contract__email_is_valid(struct slice text, size_t *ret_domain);

/*
 * An RFC 3986 URI with one of the schemes (in either case). http, https, ws, wss and ftp need "//"
 * and a host. No user information (what stands before an @ is read as the host by people), no
 * characters that need encoding.
 */
bool contract__url_is_valid(struct slice text, const struct slice *schemes, size_t schemes_len);
bool contract__scheme_is_valid(struct slice text);

/* "image/png", lower case, without parameters. */
bool contract__media_type_is_valid(struct slice text);
/* The same, or "image" + "/" + "*". */
bool contract__media_range_is_valid(struct slice text);
/* Whether `type` is what `accepted` says: the same, or "image" + "/" + "*" for any image. */
bool contract__media_type_matches(struct slice type, struct slice accepted);

/* ^[a-z][a-z0-9_]{0,62}$ */
bool contract__name_is_valid(struct slice text);
/* ^[A-Za-z0-9_.-]+$, at most 64 */
bool contract__value_is_valid(struct slice text);

/* An active ISO 4217 code; *ret_exponent (digits after the point) may be NULL. */
bool contract__currency_find(struct slice code, unsigned *ret_exponent);
/* The code at `i`, its exponent behind it ("EUR2"), for documents; NULL past the last. */
const char *contract__currency_at(unsigned i);
