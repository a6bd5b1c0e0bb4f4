/*
 * A cursor is the place between two rows: the sort values and id of the row it was made from, and
 * which way to go. It is signed, so that nobody can make one up, and bound to the list it came
 * from, so that it cannot be used to page through another.
 *
 *     byte 0      1 (layout), bit 7: backward
 *     per key     kind, then 8 bytes (integer, real) or 2 bytes of length and the bytes (text,
 * blob) last 16     keyed BLAKE2b over context, its length, and all of the above
 */
#include "resource/resource_private.h"

#include <sodium.h>

#define LAYOUT 1u
#define BACKWARD 0x80u
#define MAC_BYTES 16u
#define CURSOR_BYTES_MAX (1u + RESOURCE_CURSOR_KEYS_MAX + MAC_BYTES)
#define TEXT_BYTES_MAX (CURSOR_BYTES_MAX * 4 / 3 + 4)

static void sign(const uint8_t key[32], struct slice context, const uint8_t *data, size_t len,
                 uint8_t mac[MAC_BYTES])
{
    crypto_generichash_state state;
    uint64_t context_len = context.len;
    crypto_generichash_init(&state, key, 32, MAC_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)context.data, context.len);
    crypto_generichash_update(&state, (const uint8_t *)&context_len, sizeof(context_len));
    crypto_generichash_update(&state, data, len);
    crypto_generichash_final(&state, mac, MAC_BYTES);
}

static void put_key(struct buf *b, const struct store_value *value)
{
    buf_putc(b, (char)value->kind);
    switch (value->kind) {
    case STORE_NULL:
        break;
    case STORE_I64:
        buf_put(b, &value->as.i64, 8);
        break;
    case STORE_DOUBLE:
        buf_put(b, &value->as.real, 8);
        break;
    case STORE_TEXT:
    case STORE_BLOB:
        buf_putc(b, (char)(value->as.bytes.len & 0xff));
        buf_putc(b, (char)(value->as.bytes.len >> 8 & 0xff));
        buf_put_slice(b, value->as.bytes);
        break;
    }
}

void resource__cursor_write(const uint8_t key[32], struct slice context,
                            const struct resource_cursor *cursor, struct buf *out)
{
    struct buf b;
    buf_init(&b, out->arena, 128, CURSOR_BYTES_MAX - MAC_BYTES);
    buf_putc(&b, (char)(LAYOUT | (cursor->backward ? BACKWARD : 0)));
    for (unsigned i = 0; i < cursor->len; i++)
        put_key(&b, &cursor->keys[i]);
    if (buf_status(&b) != STATUS_OK) {
        /* A plan's order is refused when its keys might not fit; what else can fail is the arena.
         */
        out->status = buf_status(&b);
        buf_fini(&b);
        return;
    }
    uint8_t mac[MAC_BYTES];
    sign(key, context, (const uint8_t *)b.data, b.len, mac);
    b.max = CURSOR_BYTES_MAX;
    buf_put(&b, mac, sizeof(mac));

    if (buf_status(&b) == STATUS_OK)
        buf_put_base64url(out, b.data, b.len);
    buf_fini(&b);
}

/* Take one key off the front of *rest. */
static bool take_key(struct slice *rest, struct store_value *ret_value)
{
    if (rest->len == 0)
        return false;
    struct store_value value = { .kind = (enum store_kind)(uint8_t)rest->data[0] };
    *rest = slice_from(*rest, 1);
    size_t len;
    switch (value.kind) {
    case STORE_NULL:
        len = 0;
        break;
    case STORE_I64:
    case STORE_DOUBLE:
        len = 8;
        if (rest->len < len)
            return false;
        if (value.kind == STORE_I64)
            memcpy(&value.as.i64, rest->data, 8);
        else
            memcpy(&value.as.real, rest->data, 8);
        break;
    case STORE_TEXT:
    case STORE_BLOB:
        if (rest->len < 2)
            return false;
        len = (size_t)(uint8_t)rest->data[0] | (size_t)(uint8_t)rest->data[1] << 8;
        *rest = slice_from(*rest, 2);
        if (rest->len < len)
            return false;
        value.as.bytes = slice_head(*rest, len);
        break;
    default:
        return false;
    }
    *rest = slice_from(*rest, len);
    *ret_value = value;
    return true;
}

enum status resource__cursor_read(const uint8_t key[32], struct slice context, struct slice text,
                                  struct arena *arena, struct resource_cursor *ret_cursor)
{
    if (text.len == 0 || text.len > TEXT_BYTES_MAX)
        return STATUS_INVALID;
    uint8_t *bytes = arena_alloc(arena, text.len);
    if (!bytes)
        return STATUS_EXHAUSTED;
    size_t len;
    const char *end;
    if (sodium_base642bin(bytes, text.len, text.data, text.len, NULL, &len, &end,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        end != text.data + text.len || len < 1 + MAC_BYTES)
        return STATUS_INVALID;
    len -= MAC_BYTES;
    uint8_t mac[MAC_BYTES];
    sign(key, context, bytes, len, mac);
    if (sodium_memcmp(mac, bytes + len, MAC_BYTES) != 0 || (bytes[0] & ~BACKWARD) != LAYOUT)
        return STATUS_INVALID;

    struct resource_cursor cursor = { .backward = (bytes[0] & BACKWARD) != 0 };
    struct slice rest = slice_of((const char *)bytes + 1, len - 1);
    while (rest.len > 0) {
        if (cursor.len == ARRAY_LEN(cursor.keys) || !take_key(&rest, &cursor.keys[cursor.len]))
            return STATUS_INVALID;
        cursor.len++;
    }
    *ret_cursor = cursor;
    return STATUS_OK;
}
