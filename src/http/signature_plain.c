/*
 * http/signature_plain.c - The plain profile: one header, one HMAC, nothing that a shell script
 * cannot do.
 *
 *   X-Signature: k=ID,t=UNIX,n=NONCE,b=HEX(SHA256(body)),v1=HEX(HMAC-SHA256(secret, text))
 *   text = t "." n "." METHOD "." TARGET "." b
 *
 * `b` may be left out when there is no body; the text then has the digest of the empty one. It
 * stands in the header so that a signature can be refused before a byte of the body is read.
 */
#include "http/signature.h"

#include <string.h>

#define NONCE_BYTES_MAX 128u
#define TIME_DIGITS_MAX 12u

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct slice text, uint8_t *out, size_t size)
{
    if (text.len != size * 2)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(text.data[2 * i]), low = hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Letters, digits, "-" and "_": nothing that could end it in the text that is signed. */
static bool is_nonce(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return text.len > 0 && text.len <= NONCE_BYTES_MAX;
}

static bool is_time(struct slice text)
{
    bool digits = text.len > 0 && text.len <= TIME_DIGITS_MAX && text.data[0] != '0';
    for (size_t i = 0; i < text.len; i++)
        digits &= text.data[i] >= '0' && text.data[i] <= '9';
    return digits;
}

bool http__plain_parse(struct slice text, struct http__plain *ret)
{
    struct http__plain plain = { .created_s = 0 };
    struct slice mac_hex = SLICE_NULL, part;
    struct {
        char name;
        struct slice *value;
    } known[] = { { 'k', &plain.key_id },
                  { 't', &plain.time_text },
                  { 'n', &plain.nonce },
                  { 'b', &plain.body_hex } };
    while (slice_split(&text, ',', &part)) {
        part = slice_trim(part);
        size_t equals = slice_find(part, '=');
        if (equals == SIZE_MAX)
            return false;
        struct slice name = slice_head(part, equals), value = slice_from(part, equals + 1);
        struct slice *place = slice_eq(name, SLICE("v1")) ? &mac_hex : NULL;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && name.len == 1; i++) {
            if (known[i].name == name.data[0])
                place = known[i].value;
        }
        if (!place) /* of a later version */
            continue;
        if (place->data || value.len == 0)
            return false;
        *place = value;
    }
    if (!is_time(plain.time_text) || !slice_to_i64(plain.time_text, &plain.created_s) ||
        !is_nonce(plain.nonce) || plain.key_id.len > HTTP__KEY_ID_MAX ||
        !read_hex(mac_hex, plain.mac, sizeof(plain.mac)))
        return false;
    bool has_digest = plain.body_hex.len
                          ? read_hex(plain.body_hex, plain.body_sha256, sizeof(plain.body_sha256))
                          : http__sha256(SLICE(""), plain.body_sha256);
    if (has_digest)
        *ret = plain;
    return has_digest;
}

void http__plain_base(const struct http__plain *plain, struct slice method, struct slice target,
                      struct buf *out)
{
    buf_put_slice(out, plain->time_text);
    buf_putc(out, '.');
    buf_put_slice(out, plain->nonce);
    buf_putc(out, '.');
    buf_put_slice(out, method);
    buf_putc(out, '.');
    buf_put_slice(out, target);
    buf_putc(out, '.');
    buf_put_hex(out, plain->body_sha256, sizeof(plain->body_sha256));
}
