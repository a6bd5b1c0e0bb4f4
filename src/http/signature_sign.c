/*
 * http/signature_sign.c - Signing what this program sends: requests (RFC 9421 and the plain
 * profile) and webhooks as standard-webhooks has them, and verifying those.
 */
#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"
#include "http/internal.h"
#include "http/signature.h"

#define NONCE_BYTES 16u
#define WEBHOOK_ID_MAX 256u
#define WEBHOOK_SIGNATURES_MAX 16u

/* 16 random bytes as base64url. */
static enum status make_nonce(struct arena *arena, struct slice *ret)
{
    uint8_t bytes[NONCE_BYTES];
    char text[sodium_base64_ENCODED_LEN(NONCE_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
    random_bytes(bytes, sizeof(bytes));
    (void)sodium_bin2base64(text, sizeof(text), bytes, sizeof(bytes),
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return arena_copy(arena, slice_cstr(text), ret);
}

static struct http__sf_value text_value(struct slice text)
{
    return (struct http__sf_value){ .type = HTTP__SF_STRING, .text = text };
}

static struct http__sf_value number_value(int64_t number)
{
    return (struct http__sf_value){ .type = HTTP__SF_INTEGER, .number = number };
}

/* -- messages
 * -------------------------------------------------------------------------------------------- */

/* "sha-256=:...:" */
static enum status make_digest(struct arena *arena, struct slice body, struct slice *ret)
{
    uint8_t sha256[HTTP__SHA256_BYTES];
    struct buf out;
    if (!http__sha256(body, sha256))
        return STATUS_INTERNAL;
    buf_init(&out, arena, 64, 64);
    buf_put_lit(&out, "sha-256=");
    http__sf_put_bytes(&out, slice_of((const char *)sha256, sizeof(sha256)));
    *ret = buf_slice(&out);
    return buf_status(&out);
}

static enum status make_input(struct arena *arena, const struct http_signature_request *r,
                              struct http__sf_member *ret)
{
    static const struct slice usual[] = { SLICE_INIT("@method"), SLICE_INIT("@authority"),
                                          SLICE_INIT("@path"), SLICE_INIT("@query"),
                                          SLICE_INIT("content-digest") };
    const struct slice *names = r->components_len ? r->components : usual;
    unsigned len = r->components_len ? r->components_len : ARRAY_LEN(usual);
    struct http__sf_item *items = arena_array_of(arena, struct http__sf_item, len);
    struct http__sf_param *params = arena_array_of(arena, struct http__sf_param, 6);
    if (!items || !params)
        return STATUS_EXHAUSTED;
    *ret = (struct http__sf_member){ .value.type = HTTP__SF_INNER, .inner = items };
    for (unsigned i = 0; i < len; i++) {
        bool absent = (slice_eq(names[i], SLICE("@query")) && !r->query.data) ||
                      (slice_eq(names[i], SLICE("content-digest")) && !r->body.len);
        if (!absent || r->components_len)
            items[ret->inner_len++].value = text_value(names[i]);
    }
    int64_t created_us = r->created_us ? r->created_us : clock_wall_us();
    int64_t created_s = created_us / CLOCK_SECOND;
    struct slice nonce = r->nonce;
    enum status st = nonce.len ? STATUS_OK : make_nonce(arena, &nonce);
    unsigned n = 0;
    params[n++] = (struct http__sf_param){ SLICE("created"), number_value(created_s) };
    if (r->lifetime_us)
        params[n++] =
            (struct http__sf_param){ SLICE("expires"),
                                     number_value(created_s + r->lifetime_us / CLOCK_SECOND) };
    params[n++] = (struct http__sf_param){ SLICE("nonce"), text_value(nonce) };
    params[n++] = (struct http__sf_param){ SLICE("alg"), text_value(http__key_alg_name(r->key)) };
    params[n++] = (struct http__sf_param){ SLICE("keyid"), text_value(http__key_id(r->key)) };
    if (r->tag.len)
        params[n++] = (struct http__sf_param){ SLICE("tag"), text_value(r->tag) };
    ret->params = (struct http__sf_params){ .items = params, .len = n };
    return st;
}

/* The headers with Content-Digest, which the signature covers, behind them. */
static enum status with_digest(struct arena *arena, const struct http_signature_request *r,
                               struct slice digest, struct http__signed *message)
{
    struct net_header *headers = arena_array_of(arena, struct net_header, r->headers_len + 1);
    if (!headers)
        return STATUS_EXHAUSTED;
    if (r->headers_len)
        memcpy(headers, r->headers, r->headers_len * sizeof(*headers));
    headers[r->headers_len] =
        (struct net_header){ .name = SLICE("content-digest"), .value = digest };
    message->headers = headers;
    message->headers_len = r->headers_len + 1;
    return STATUS_OK;
}

static struct slice target_of(struct arena *arena, const struct http_signature_request *r)
{
    struct slice path = r->path.len ? r->path : SLICE("/");
    return r->query.data ? arena_printf(arena, "%.*s?%.*s", SLICE_ARG(path), SLICE_ARG(r->query))
                         : path;
}

static enum status sign_base(struct arena *arena, const struct http_signature_request *r,
                             const struct http__signed *message,
                             const struct http__sf_member *input, struct slice label,
                             struct net_header ret_headers[2])
{
    struct buf base, input_text, signature_text;
    buf_init(&base, arena, 1024, HTTP__BASE_BYTES_MAX);
    buf_init(&input_text, arena, 256, HTTP__BASE_BYTES_MAX);
    buf_init(&signature_text, arena, 256, 2 * HTTP__SIGNATURE_BYTES_MAX);
    enum status st = http__signature_base(arena, message, input, &base);
    uint8_t bytes[HTTP__SIGNATURE_BYTES_MAX];
    size_t len;
    if (st == STATUS_OK)
        st = http__key_sign(r->key, buf_slice(&base), bytes, &len);
    if (st != STATUS_OK)
        return st;
    buf_put_slice(&input_text, label);
    buf_putc(&input_text, '=');
    st = http__sf_put_member(&input_text, input);
    if (st != STATUS_OK)
        return st;
    buf_put_slice(&signature_text, label);
    buf_putc(&signature_text, '=');
    http__sf_put_bytes(&signature_text, slice_of((const char *)bytes, len));
    ret_headers[0] =
        (struct net_header){ .name = SLICE("Signature-Input"), .value = buf_slice(&input_text) };
    ret_headers[1] =
        (struct net_header){ .name = SLICE("Signature"), .value = buf_slice(&signature_text) };
    return buf_status(&input_text) != STATUS_OK ? buf_status(&input_text)
                                                : buf_status(&signature_text);
}

enum status http_signature_sign(struct arena *arena, const struct http_signature_request *r,
                                struct net_header ret_headers[HTTP_SIGNATURE_HEADERS_MAX],
                                unsigned *ret_len)
{
    struct http__signed message = {
        .method = r->method,
        .scheme = r->scheme,
        .authority = r->authority,
        .path = r->path,
        .query = r->query,
        .target = target_of(arena, r),
        .headers = r->headers,
        .headers_len = r->headers_len,
    };
    struct slice label = r->label.len ? r->label : SLICE("sig1");
    if (!message.target.data)
        return STATUS_EXHAUSTED;
    if (!http__sf_key_is_valid(label))
        return STATUS_INVALID;
    struct http__sf_member input;
    struct slice digest = SLICE_NULL;
    enum status st = make_input(arena, r, &input);
    if (st == STATUS_OK && r->body.len)
        st = make_digest(arena, r->body, &digest);
    if (st == STATUS_OK && r->body.len)
        st = with_digest(arena, r, digest, &message);
    struct net_header made[2];
    if (st == STATUS_OK)
        st = sign_base(arena, r, &message, &input, label, made);
    if (st != STATUS_OK)
        return st;
    unsigned n = 0;
    if (r->body.len)
        ret_headers[n++] = (struct net_header){ .name = SLICE("Content-Digest"), .value = digest };
    ret_headers[n++] = made[0];
    ret_headers[n++] = made[1];
    *ret_len = n;
    return STATUS_OK;
}

enum status http_signature_sign_plain(struct arena *arena, const struct http_signature_request *r,
                                      struct net_header *ret_header)
{
    int64_t created_us = r->created_us ? r->created_us : clock_wall_us();
    struct http__plain plain = { .nonce = r->nonce };
    struct slice target = target_of(arena, r);
    plain.time_text = arena_printf(arena, "%lld", (long long)(created_us / CLOCK_SECOND));
    enum status st = plain.nonce.len ? STATUS_OK : make_nonce(arena, &plain.nonce);
    if (st != STATUS_OK || !target.data || !plain.time_text.data)
        return STATUS_EXHAUSTED;
    if (http__key_alg(r->key) != HTTP__ALG_HMAC_SHA256)
        return STATUS_INVALID;
    if (!http__sha256(r->body, plain.body_sha256))
        return STATUS_INTERNAL;
    struct buf base, out;
    uint8_t bytes[HTTP__SIGNATURE_BYTES_MAX];
    size_t len = 0;
    buf_init(&base, arena, 512, HTTP__BASE_BYTES_MAX);
    http__plain_base(&plain, r->method, target, &base);
    st = buf_status(&base);
    if (st == STATUS_OK)
        st = http__key_sign(r->key, buf_slice(&base), bytes, &len);
    if (st != STATUS_OK)
        return st;
    buf_init(&out, arena, 256, 1024);
    buf_printf(&out, "k=%.*s,t=%.*s,n=%.*s,b=", SLICE_ARG(http__key_id(r->key)),
               SLICE_ARG(plain.time_text), SLICE_ARG(plain.nonce));
    buf_put_hex(&out, plain.body_sha256, sizeof(plain.body_sha256));
    buf_put_lit(&out, ",v1=");
    buf_put_hex(&out, bytes, len);
    /* What does not read back would not be understood elsewhere either. */
    if (buf_status(&out) == STATUS_OK && !http__plain_parse(buf_slice(&out), &plain))
        return STATUS_INVALID;
    *ret_header = (struct net_header){ .name = SLICE("X-Signature"), .value = buf_slice(&out) };
    return buf_status(&out);
}

/* -- webhooks
 * -------------------------------------------------------------------------------------------- */

/* An id with a dot could pass for another id and time. */
static bool webhook_id_is_valid(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        if (id.data[i] <= ' ' || id.data[i] >= 0x7f || id.data[i] == '.')
            return false;
    }
    return id.len > 0 && id.len <= WEBHOOK_ID_MAX;
}

/* "v1" by a shared secret, "v1a" by an Ed25519 key; NULL: no other has a name there. */
static const char *webhook_version(const struct http_signature_key *key)
{
    if (http__key_alg(key) == HTTP__ALG_HMAC_SHA256)
        return "v1";
    return http__key_alg(key) == HTTP__ALG_ED25519 ? "v1a" : NULL;
}

static enum status webhook_base(struct arena *arena, struct slice id, struct slice time_text,
                                struct slice body, struct slice *ret)
{
    struct buf out;
    buf_init(&out, arena, id.len + time_text.len + body.len + 2, SIZE_MAX / 2);
    buf_put_slice(&out, id);
    buf_putc(&out, '.');
    buf_put_slice(&out, time_text);
    buf_putc(&out, '.');
    buf_put_slice(&out, body);
    *ret = buf_slice(&out);
    return buf_status(&out);
}

enum status http_webhook_sign(struct arena *arena, const struct http_signature_key *key,
                              struct slice id, int64_t sent_us, struct slice body,
                              struct net_header ret_headers[HTTP_WEBHOOK_HEADERS])
{
    const char *version = webhook_version(key);
    if (!version || !webhook_id_is_valid(id))
        return STATUS_INVALID;
    struct slice base, time_text = arena_printf(arena, "%lld", (long long)(sent_us / CLOCK_SECOND));
    enum status st = webhook_base(arena, id, time_text, body, &base);
    uint8_t bytes[HTTP__SIGNATURE_BYTES_MAX];
    char text[2 * HTTP__SIGNATURE_BYTES_MAX];
    size_t len = 0;
    if (st == STATUS_OK)
        st = http__key_sign(key, base, bytes, &len);
    if (st != STATUS_OK)
        return st;
    (void)sodium_bin2base64(text, sizeof(text), bytes, len, sodium_base64_VARIANT_ORIGINAL);
    struct slice signature = arena_printf(arena, "%s,%s", version, text);
    if (!signature.data)
        return STATUS_EXHAUSTED;
    ret_headers[0] = (struct net_header){ .name = SLICE("Webhook-Id"), .value = id };
    ret_headers[1] = (struct net_header){ .name = SLICE("Webhook-Timestamp"), .value = time_text };
    ret_headers[2] = (struct net_header){ .name = SLICE("Webhook-Signature"), .value = signature };
    return STATUS_OK;
}

static bool webhook_matches(const struct http_signature_key *key, struct slice base,
                            struct slice part)
{
    const char *version = webhook_version(key);
    size_t comma = slice_find(part, ',');
    uint8_t bytes[HTTP__SIGNATURE_BYTES_MAX];
    size_t len = 0;
    if (!version || comma == SIZE_MAX || !slice_eq(slice_head(part, comma), slice_cstr(version)))
        return false;
    struct slice text = slice_from(part, comma + 1);
    return sodium_base642bin(bytes, sizeof(bytes), text.data, text.len, NULL, &len, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           http__key_verify(key, base, slice_of((const char *)bytes, len));
}

enum status http_webhook_verify(struct arena *arena, const struct http_signature_key *key,
                                const struct http_webhook *hook, int64_t tolerance_us)
{
    int64_t sent_s, sent_us;
    int64_t now_us = clock_wall_us();
    if (!webhook_id_is_valid(hook->id) || !slice_to_i64(hook->timestamp, &sent_s) ||
        __builtin_mul_overflow(sent_s, CLOCK_SECOND, &sent_us))
        return STATUS_INVALID;
    if (sent_us < now_us - tolerance_us || sent_us > now_us + tolerance_us)
        return STATUS_TIMEOUT;
    struct slice base, rest = hook->signature, part;
    enum status st = webhook_base(arena, hook->id, hook->timestamp, hook->body, &base);
    if (st != STATUS_OK)
        return st;
    for (unsigned i = 0; i < WEBHOOK_SIGNATURES_MAX && rest.data && slice_split(&rest, ' ', &part);
         i++) {
        if (webhook_matches(key, base, part))
            return STATUS_OK;
    }
    return STATUS_UNAUTHENTICATED;
}
