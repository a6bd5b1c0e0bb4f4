/*
 * identity/base32.c - Five bits a character.
 */
#include "identity/base32.h"

#include <stdbool.h>

#define NONE (-1)

void identity_base32_put(struct buf *out, const uint8_t *bytes, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint32_t bits = 0;
    unsigned bits_len = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        bits_len += 8;
        while (bits_len >= 5) {
            bits_len -= 5;
            buf_putc(out, alphabet[bits >> bits_len & 31]);
        }
    }
    if (bits_len > 0)
        buf_putc(out, alphabet[bits << (5 - bits_len) & 31]);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    if (c >= '2' && c <= '7')
        return c - '2' + 26;
    return NONE;
}

/* Padding fills up to eight characters, and only behind 2, 4, 5 or 7: what bytes come to. */
static bool ends_well(size_t characters, size_t padding)
{
    size_t last = characters % 8;
    bool of_bytes = last == 0 || last == 2 || last == 4 || last == 5 || last == 7;
    return of_bytes && (padding == 0 || (last != 0 && last + padding == 8));
}

enum status identity_base32_read(struct slice text, uint8_t *out, size_t out_max, size_t *ret_len)
{
    uint32_t bits = 0;
    unsigned bits_len = 0;
    size_t len = 0, characters = 0, padding = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == ' ' || c == '-')
            continue;
        if (c == '=') {
            padding++;
            continue;
        }
        int value = value_of(c);
        if (value == NONE || padding > 0)
            return STATUS_INVALID;
        characters++;
        bits = (bits << 5 | (uint32_t)value) & 0xfff;
        bits_len += 5;
        if (bits_len < 8)
            continue;
        if (len == out_max)
            return STATUS_TOO_LARGE;
        bits_len -= 8;
        out[len++] = (uint8_t)(bits >> bits_len);
    }
    if (!ends_well(characters, padding) || (bits & ((1u << bits_len) - 1)) != 0)
        return STATUS_INVALID;
    *ret_len = len;
    return STATUS_OK;
}
