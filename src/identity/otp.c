/*
 * identity/otp.c - TOTP (RFC 6238): HOTP (RFC 4226) of the time. Clocks of phones are off by some
 * seconds and people take some to type, hence a step to either side.
 */
#include "identity/otp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "identity/base32.h"

#define DIGITS_DEFAULT 6u
#define PERIOD_DEFAULT_S 30u
#define WINDOW_STEPS 1

static unsigned digits_of(const struct identity_otp *otp)
{
    return otp->digits ? otp->digits : DIGITS_DEFAULT;
}

static unsigned period_of(const struct identity_otp *otp)
{
    return otp->period_s ? otp->period_s : PERIOD_DEFAULT_S;
}

void identity_otp_make(struct identity_otp *ret)
{
    *ret = (struct identity_otp){ .secret_len = IDENTITY_OTP_SECRET_BYTES };
    randombytes_buf(ret->secret, ret->secret_len);
}

enum status identity_otp_read(struct slice base32, struct identity_otp *ret)
{
    struct identity_otp otp = { .alg = IDENTITY_OTP_SHA1 };
    enum status st = identity_base32_read(base32, otp.secret, sizeof(otp.secret), &otp.secret_len);
    if (st == STATUS_OK && otp.secret_len < IDENTITY_OTP_SECRET_BYTES_MIN)
        st = STATUS_INVALID;
    if (st == STATUS_OK)
        *ret = otp;
    sodium_memzero(&otp, sizeof(otp));
    return st;
}

static const EVP_MD *md_of(enum identity_otp_alg alg)
{
    switch (alg) {
    case IDENTITY_OTP_SHA256:
        return EVP_sha256();
    case IDENTITY_OTP_SHA512:
        return EVP_sha512();
    case IDENTITY_OTP_SHA1:
        break;
    }
    return EVP_sha1();
}

void identity_otp_code(const struct identity_otp *otp, int64_t step,
                       char ret_code[IDENTITY_OTP_DIGITS_MAX])
{
    uint8_t counter[8], mac[EVP_MAX_MD_SIZE] = { 0 };
    for (unsigned i = 0; i < sizeof(counter); i++)
        counter[i] = (uint8_t)((uint64_t)step >> (56 - 8 * i));
    unsigned mac_len = 0;
    /* Fails only without memory; then every code is a wrong one, of random digits. */
    if (!HMAC(md_of(otp->alg), otp->secret, (int)otp->secret_len, counter, sizeof(counter), mac,
              &mac_len)) {
        mac_len = 20;
        randombytes_buf(mac, mac_len);
    }
    /* RFC 4226 section 5.3, dynamic truncation. */
    const uint8_t *p = mac + (mac[mac_len - 1] & 15);
    uint32_t number =
        (uint32_t)(p[0] & 0x7f) << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
    for (unsigned i = digits_of(otp); i-- > 0;) {
        ret_code[i] = (char)('0' + number % 10);
        number /= 10;
    }
    sodium_memzero(mac, sizeof(mac));
}

/* The digits of what was typed; false when it is no code of this length. */
static bool digits_read(struct slice typed, unsigned digits, char out[IDENTITY_OTP_DIGITS_MAX])
{
    unsigned len = 0;
    for (size_t i = 0; i < typed.len; i++) {
        char c = typed.data[i];
        if (c == ' ' || c == '-')
            continue;
        if (c < '0' || c > '9' || len == digits)
            return false;
        out[len++] = c;
    }
    return len == digits;
}

enum status identity_otp_check(const struct identity_otp *otp, struct slice code, int64_t now_us,
                               int64_t last_step, int64_t *ret_step)
{
    char typed[IDENTITY_OTP_DIGITS_MAX], right[IDENTITY_OTP_DIGITS_MAX];
    unsigned digits = digits_of(otp);
    if (!digits_read(code, digits, typed))
        return STATUS_UNAUTHENTICATED;
    int64_t now_step = now_us / ((int64_t)period_of(otp) * CLOCK_SECOND);
    bool used = false, good = false;
    int64_t good_step = 0;
    for (int64_t step = now_step - WINDOW_STEPS; step <= now_step + WINDOW_STEPS; step++) {
        identity_otp_code(otp, step, right);
        bool equal = sodium_memcmp(typed, right, digits) == 0;
        if (equal && step > last_step && !good)
            good_step = step; /* the earliest, so that an equal code of a later step still holds */
        good |= equal && step > last_step;
        used |= equal && step <= last_step;
    }
    sodium_memzero(right, sizeof(right));
    if (!good)
        return used ? STATUS_CONFLICT : STATUS_UNAUTHENTICATED;
    *ret_step = good_step;
    return STATUS_OK;
}

static void put_name(struct buf *out, struct slice name)
{
    struct slice part;
    for (bool first = true; slice_split(&name, ':', &part); first = false) {
        if (!first)
            buf_put_lit(out, "%20");
        buf_put_percent(out, part);
    }
}

void identity_otp_put_uri(struct buf *out, const struct identity_otp *otp, struct slice issuer,
                          struct slice account)
{
    static const char *const names[] = { [IDENTITY_OTP_SHA1] = "SHA1",
                                         [IDENTITY_OTP_SHA256] = "SHA256",
                                         [IDENTITY_OTP_SHA512] = "SHA512" };
    buf_put_lit(out, "otpauth://totp/");
    if (issuer.len > 0) {
        put_name(out, issuer);
        buf_putc(out, ':');
    }
    put_name(out, account);
    buf_put_lit(out, "?secret=");
    identity_base32_put(out, otp->secret, otp->secret_len);
    if (issuer.len > 0) {
        buf_put_lit(out, "&issuer=");
        put_name(out, issuer);
    }
    buf_printf(out, "&algorithm=%s&digits=%u&period=%u", names[otp->alg], digits_of(otp),
               period_of(otp));
}
