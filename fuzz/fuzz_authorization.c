/*
 * fuzz/fuzz_authorization.c - The header Authorization, as anybody may send it.
 *
 * It is of one scheme at most; a bearer token is a part of it, and what Basic says is what a client
 * would have written.
 */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "identity/authorization.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* "a%20b", every byte but letters and digits escaped. */
static void put_escaped(struct buf *out, struct slice text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) {
            buf_putc(out, (char)c);
        } else {
            buf_putc(out, '%');
            buf_putc(out, hex[c >> 4]);
            buf_putc(out, hex[c & 15]);
        }
    }
}

/* Written as RFC 6749 section 2.3.1 says, and read again: the same. */
static void check_basic(struct arena *arena, struct slice name, struct slice secret)
{
    struct buf both, header;
    buf_init(&both, arena, 256, 8192);
    buf_init(&header, arena, 256, 16384);
    put_escaped(&both, name);
    buf_putc(&both, ':');
    put_escaped(&both, secret);
    size_t max = sodium_base64_encoded_len(both.len, sodium_base64_VARIANT_ORIGINAL);
    char *text = arena_alloc(arena, max);
    require(text != NULL);
    sodium_bin2base64(text, max, (const unsigned char *)both.data, both.len,
                      sodium_base64_VARIANT_ORIGINAL);
    buf_put_lit(&header, "bAsIc ");
    buf_put(&header, text, strlen(text));
    struct slice name_again, secret_again;
    if (strlen(text) > 1024)
        return;
    require(identity_basic_read(arena, buf_slice(&header), &name_again, &secret_again));
    require(slice_eq(name, name_again) && slice_eq(secret, secret_again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096 || sodium_init() < 0)
        return 0;
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, (size_t)1 << 20);
    struct slice header = slice_of((const char *)data, size), name, secret;
    struct slice token = identity_bearer_of(header);
    require(!token.data || (token.len > 0 && token.data > header.data &&
                            token.data + token.len <= header.data + header.len));
    require(!token.data || !identity_is_basic(header));
    if (!identity_basic_read(arena, header, &name, &secret))
        return 0;
    require(identity_is_basic(header) && !token.data);
    check_basic(arena, name, secret);
    return 0;
}
