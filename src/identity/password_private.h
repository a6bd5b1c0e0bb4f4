/*
 * identity/password_private.h - What the files about passwords share.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/password.h"

/* -- text in its normal form: password_text.c
 * ------------------------------------------------------------- */

#define IDENTITY__PASSWORD_BYTES_MAX ((size_t)4 * IDENTITY_PASSWORD_POINTS_MAX)

/* A copy of a secret on the heap, which is wiped when it is released. */
struct identity__text {
    char *data;
    size_t len;
    size_t bytes; /* allocated */
};

/*
 * A copy in NFKC, of either case or folded to one.
 *
 * Errors   INVALID: no UTF-8, or more than 30 combining marks in a row; TOO_LARGE: more than 1024
 *          code points, or 4096 when taken apart; EXHAUSTED. *ret is untouched.
 */
enum status identity__text_make(struct slice raw, bool folded, struct identity__text *ret);
void identity__text_wipe(struct identity__text *text);
static inline void identity__text_wipep(struct identity__text *text)
{
    identity__text_wipe(text);
}
static inline struct slice identity__text_slice(const struct identity__text *text)
{
    return slice_of(text->data, text->len);
}

/* -- common passwords: password_common.c
 * ------------------------------------------------------------------ */

/* The words' hashes in ascending order; made by common_words.py. */
extern const uint32_t identity__common_hashes[];
extern const size_t identity__common_len;

/*
 * Is this word, in lower case, on the list? Always true for one that is; for one that is not, with
 * a probability of the list's length (30,000) in 2^32: one in 140,000.
 */
bool identity__common_has(struct slice word);
/* Is it, as it stands or after taking off digits and signs at its ends and in place of letters? */
bool identity__common_or_nearly(struct slice folded);
