/* identity/seal.c - Sealing: a byte of version, the nonce, the box. */
#include "identity/seal.h"

#include <sodium.h>

#include "base/arena.h"
#include "base/id.h"

#define VERSION 1
_Static_assert(crypto_secretbox_KEYBYTES == sizeof(struct identity_pepper), "one key");
_Static_assert(IDENTITY_SEAL_OVERHEAD ==
                   1 + crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES,
               "as the header has it");

void identity_seal_init(struct identity_seal *seal, struct slice purpose, struct slice secret,
                        struct slice previous)
{
    seal->key = identity_pepper_of(secret, purpose);
    seal->has_previous = previous.len > 0;
    if (seal->has_previous)
        seal->previous = identity_pepper_of(previous, purpose);
}

bool identity_seal_close(const struct identity_seal *seal, struct slice text, uint8_t *out,
                         size_t out_max, size_t *ret_len)
{
    if (out_max < IDENTITY_SEAL_OVERHEAD || text.len > out_max - IDENTITY_SEAL_OVERHEAD)
        return false;
    uint8_t *nonce = out + 1;
    out[0] = VERSION;
    random_bytes(nonce, crypto_secretbox_NONCEBYTES);
    (void)crypto_secretbox_easy(nonce + crypto_secretbox_NONCEBYTES,
                                (const unsigned char *)text.data, text.len, nonce, seal->key.bytes);
    *ret_len = text.len + IDENTITY_SEAL_OVERHEAD;
    return true;
}

enum status identity_seal_open(const struct identity_seal *seal, struct slice sealed,
                               struct arena *arena, char **ret_text, size_t *ret_len,
                               bool *ret_is_previous)
{
    if (sealed.len <= IDENTITY_SEAL_OVERHEAD || sealed.data[0] != VERSION)
        return STATUS_UNAUTHENTICATED;
    const unsigned char *nonce = (const unsigned char *)sealed.data + 1;
    const unsigned char *box = nonce + crypto_secretbox_NONCEBYTES;
    size_t box_len = sealed.len - 1 - crypto_secretbox_NONCEBYTES;
    size_t text_len = sealed.len - IDENTITY_SEAL_OVERHEAD;
    unsigned char *text = arena_alloc(arena, text_len);
    if (!text)
        return STATUS_EXHAUSTED;
    bool is_previous = crypto_secretbox_open_easy(text, box, box_len, nonce, seal->key.bytes) != 0;
    if (is_previous &&
        (!seal->has_previous ||
         crypto_secretbox_open_easy(text, box, box_len, nonce, seal->previous.bytes) != 0))
        return STATUS_UNAUTHENTICATED;
    *ret_is_previous = is_previous;
    *ret_text = (char *)text;
    *ret_len = text_len;
    return STATUS_OK;
}
