/*
 * identity/password_common.c - The list of common passwords, as sorted hashes of 32 bits: 120 KB in
 * the program for 30,000 words, sixteen steps to look one up, and no word in clear.
 *
 * People who are refused "password" try "Password1!" and "p@ssw0rd"; so do those who guess. Up to
 * six forms of a password are looked up, so one that is good is refused by chance once in some
 * 24,000; its owner picks another.
 */
#include "identity/password_private.h"

#include <sodium.h>
#include <string.h>

#include "base/macros.h"

#define HASH_BYTES 16u
#define STEM_LETTERS_MIN 4u
#define ENDS_MAX 8u /* a date at the end still counts as nothing */

bool identity__common_has(struct slice word)
{
    uint8_t digest[HASH_BYTES];
    (void)crypto_generichash(digest, sizeof(digest), (const uint8_t *)word.data, word.len, NULL, 0);
    uint32_t hash = (uint32_t)digest[0] | (uint32_t)digest[1] << 8 | (uint32_t)digest[2] << 16 |
                    (uint32_t)digest[3] << 24;
    size_t low = 0, high = identity__common_len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (identity__common_hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low < identity__common_len && identity__common_hashes[low] == hash;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* Digits and signs that stand for letters. */
static char letter_meant(char c)
{
    static const char pairs[][2] = { { '@', 'a' }, { '4', 'a' }, { '3', 'e' },
                                     { '1', 'i' }, { '!', 'i' }, { '0', 'o' },
                                     { '$', 's' }, { '5', 's' }, { '7', 't' } };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (c == pairs[i][0])
            return pairs[i][1];
    }
    return c;
}

/* No word of the list is longer than this; what is may be as it likes. */
#define WORD_MAX 32u

static bool has_in_letters(struct slice word)
{
    if (word.len < STEM_LETTERS_MIN || word.len > WORD_MAX)
        return false;
    char letters[WORD_MAX];
    for (size_t i = 0; i < word.len; i++)
        letters[i] = letter_meant(word.data[i]);
    bool has = identity__common_has(word) || identity__common_has(slice_of(letters, word.len));
    sodium_memzero(letters, sizeof(letters));
    return has;
}

bool identity__common_or_nearly(struct slice folded)
{
    struct slice end = folded, both;
    while (end.len > 0 && !is_letter(end.data[end.len - 1]))
        end.len--;
    both = end;
    while (both.len > 0 && !is_letter(both.data[0]))
        both = slice_from(both, 1);
    return has_in_letters(folded) || (folded.len - end.len <= ENDS_MAX && has_in_letters(end)) ||
           (folded.len - both.len <= ENDS_MAX && has_in_letters(both));
}
