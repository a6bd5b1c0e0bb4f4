/*
 * identity/password_read.c - Stored hashes: PHC strings of Argon2id, and bcrypt's. Read strictly,
 * for whoever writes them can make every login as dear as they like.
 */
#include "identity/password.h"

#include "base/macros.h"

#define MEMORY_KIB_MAX (256u * 1024u)
#define WORK_KIB_MAX ((uint64_t)1024 * 1024) /* memory times passes */
#define LANES_MAX 16u
#define NUMBER_MAX 999999999u
#define SALT_BYTES_MIN 8u /* RFC 9106 section 3.1; what is made by others has 16 at most times */
#define SALT_BYTES_MAX 48u
#define HASH_BYTES_MIN 16u /* libsodium's bounds */
#define HASH_BYTES_MAX 64u
#define BCRYPT_LEN 60u
#define BCRYPT_COST_MIN 4u
#define BCRYPT_COST_MAX 15u

static bool take(struct slice *rest, struct slice text)
{
    if (!slice_starts(*rest, text))
        return false;
    *rest = slice_from(*rest, text.len);
    return true;
}

/* A positive decimal of at most nine digits, without leading zeros. */
static bool take_number(struct slice *rest, uint32_t *ret)
{
    uint32_t number = 0;
    size_t len = 0;
    while (len < rest->len && rest->data[len] >= '0' && rest->data[len] <= '9') {
        if (number > NUMBER_MAX / 10 || (len > 0 && number == 0))
            return false;
        number = number * 10 + (uint32_t)(rest->data[len++] - '0');
    }
    if (number == 0)
        return false;
    *rest = slice_from(*rest, len);
    *ret = number;
    return true;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* How many bytes this is in base64, without padding and without bits left over. */
static bool base64_bytes(struct slice text, uint32_t *ret)
{
    static const int spare_bits[] = { 0, 0, 15, 3 };
    size_t last = text.len % 4;
    if (text.len == 0 || last == 1 || text.len > 2 * HASH_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (base64_value(text.data[i]) < 0)
            return false;
    }
    if (base64_value(text.data[text.len - 1]) & spare_bits[last])
        return false;
    *ret = (uint32_t)(text.len * 6 / 8);
    return true;
}

static enum status read_argon2id(struct slice rest, struct identity_password_info *ret)
{
    struct identity_password_info info = { .scheme = IDENTITY_PASSWORD_ARGON2ID };
    struct slice salt;
    if (!take(&rest, SLICE("v=19$m=")) || !take_number(&rest, &info.memory_kib) ||
        !take(&rest, SLICE(",t=")) || !take_number(&rest, &info.passes) ||
        !take(&rest, SLICE(",p=")) || !take_number(&rest, &info.lanes) ||
        !take(&rest, SLICE("$")) || !slice_split(&rest, '$', &salt))
        return STATUS_INVALID;
    if (!base64_bytes(salt, &info.salt_bytes) || !base64_bytes(rest, &info.hash_bytes) ||
        info.salt_bytes < SALT_BYTES_MIN || info.salt_bytes > SALT_BYTES_MAX ||
        info.hash_bytes < HASH_BYTES_MIN || info.hash_bytes > HASH_BYTES_MAX ||
        info.memory_kib / 8 < info.lanes)
        return STATUS_INVALID;
    if (info.memory_kib > MEMORY_KIB_MAX || info.lanes > LANES_MAX ||
        (uint64_t)info.memory_kib * info.passes > WORK_KIB_MAX)
        return STATUS_TOO_LARGE;
    *ret = info;
    return STATUS_OK;
}

static bool is_bcrypt_text(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '.' && c <= '9')))
            return false;
    }
    return true;
}

static enum status read_bcrypt(struct slice stored, struct identity_password_info *ret)
{
    const char *p = stored.data;
    if (stored.len != BCRYPT_LEN || (p[2] != 'a' && p[2] != 'b' && p[2] != 'y') || p[3] != '$' ||
        p[4] < '0' || p[4] > '9' || p[5] < '0' || p[5] > '9' || p[6] != '$' ||
        !is_bcrypt_text(slice_from(stored, 7)))
        return STATUS_INVALID;
    uint32_t cost = (uint32_t)(p[4] - '0') * 10 + (uint32_t)(p[5] - '0');
    if (cost < BCRYPT_COST_MIN)
        return STATUS_INVALID;
    if (cost > BCRYPT_COST_MAX)
        return STATUS_TOO_LARGE;
    *ret = (struct identity_password_info){
        .scheme = IDENTITY_PASSWORD_BCRYPT, .cost = cost, .salt_bytes = 16, .hash_bytes = 23
    };
    return STATUS_OK;
}

enum status identity_password_read(struct slice stored, struct identity_password_info *ret)
{
    struct slice rest = stored;
    if (stored.len > IDENTITY_PASSWORD_HASH_MAX)
        return STATUS_INVALID;
    if (take(&rest, SLICE("$argon2id$")))
        return read_argon2id(rest, ret);
    return slice_starts(stored, SLICE("$2")) ? read_bcrypt(stored, ret) : STATUS_INVALID;
}
