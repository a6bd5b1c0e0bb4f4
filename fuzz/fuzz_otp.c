/*
 * fuzz/fuzz_otp.c - Authenticator apps: secrets in base32 from elsewhere (the first line) and codes
 * as people type them (the second).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "identity/base32.h"
#include "identity/otp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What was read is written in one way, which reads as the same bytes. */
static void check_base32(struct slice text)
{
    uint8_t bytes[40], again[40];
    size_t len = 0, again_len = 0;
    if (identity_base32_read(text, bytes, sizeof(bytes), &len) != STATUS_OK)
        return;
    struct buf written;
    buf_init(&written, NULL, 0, 64);
    identity_base32_put(&written, bytes, len);
    require(buf_status(&written) == STATUS_OK && written.len <= text.len);
    require(identity_base32_read(buf_slice(&written), again, sizeof(again), &again_len) ==
            STATUS_OK);
    require(again_len == len && memcmp(again, bytes, len) == 0);
    buf_fini(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of((const char *)data, size), secret, code = SLICE("");
    (void)slice_split(&rest, '\n', &secret);
    (void)slice_split(&rest, '\n', &code);
    check_base32(secret);
    struct identity_otp otp;
    if (identity_otp_read(secret, &otp) != STATUS_OK)
        identity_otp_make(&otp);
    const int64_t now_us = INT64_C(1111111109000000);
    int64_t step = 0;
    if (identity_otp_check(&otp, code, now_us, IDENTITY_OTP_STEP_NONE, &step) == STATUS_OK) {
        require(step >= 37037035 && step <= 37037037);
        /* Used up, unless the next step's code is the same. */
        require(identity_otp_check(&otp, code, now_us, step + 1, &step) == STATUS_CONFLICT);
    }
    struct buf uri;
    buf_init(&uri, NULL, 0, 8192 + 12 * size);
    identity_otp_put_uri(&uri, &otp, secret, code);
    require(buf_status(&uri) == STATUS_OK);
    for (size_t i = 0; i < uri.len; i++)
        require(uri.data[i] > ' ' && uri.data[i] < 127);
    buf_fini(&uri);
    return 0;
}
