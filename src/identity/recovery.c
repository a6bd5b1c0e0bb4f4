/*
 * identity/recovery.c - Codes that people copy from paper.
 */
#include "identity/recovery.h"

#include <sodium.h>
#include <string.h>

#include "base/macros.h"

#define GROUP 4u

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void make_one(char text[IDENTITY_RECOVERY_TEXT_LEN])
{
    unsigned at = 0;
    for (unsigned i = 0; i < IDENTITY_RECOVERY_CHARS; i++) {
        if (i > 0 && i % GROUP == 0)
            text[at++] = '-';
        text[at++] = crockford[randombytes_uniform(32)];
    }
}

void identity_recovery_make(struct identity_recovery *ret)
{
    for (unsigned i = 0; i < IDENTITY_RECOVERY_CODES; i++) {
        bool again = true;
        while (again) {
            make_one(ret->texts[i]);
            again = false;
            for (unsigned j = 0; j < i; j++)
                again |= memcmp(ret->texts[i], ret->texts[j], sizeof(ret->texts[i])) == 0;
        }
    }
}

void identity_recovery_wipe(struct identity_recovery *codes)
{
    sodium_memzero(codes, sizeof(*codes));
}

/* The character that was meant; 0: none. */
static char meant(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'O')
        return '0';
    if (c == 'I' || c == 'L')
        return '1';
    return c != 0 && memchr(crockford, c, sizeof(crockford) - 1) ? c : 0;
}

static enum status canonical(struct slice typed, char out[IDENTITY_RECOVERY_CHARS])
{
    unsigned len = 0;
    for (size_t i = 0; i < typed.len; i++) {
        char c = typed.data[i];
        if (c == ' ' || c == '-')
            continue;
        c = meant(c);
        if (c == 0 || len == IDENTITY_RECOVERY_CHARS)
            return STATUS_INVALID;
        out[len++] = c;
    }
    return len == IDENTITY_RECOVERY_CHARS ? STATUS_OK : STATUS_INVALID;
}

enum status identity_recovery_read(const struct identity_pepper *pepper, struct slice owner,
                                   struct slice typed, struct identity_digest *ret)
{
    char code[IDENTITY_RECOVERY_CHARS];
    enum status st = canonical(typed, code);
    if (st == STATUS_OK)
        *ret =
            identity_digest_keyed(pepper, SLICE("recovery"), owner, slice_of(code, sizeof(code)));
    sodium_memzero(code, sizeof(code));
    return st;
}

size_t identity_recovery_find(const struct identity_digest *digests, size_t len,
                              const struct identity_digest *digest)
{
    size_t found = len;
    for (size_t i = 0; i < len; i++) {
        if (identity_digest_eq(&digests[i], digest))
            found = i;
    }
    return found;
}
