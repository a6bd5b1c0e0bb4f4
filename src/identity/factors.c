/*
 * identity/factors.c - Second factors in the store.
 *
 * Recovery codes are digested without a key of the installation: they have 80 random bits and their
 * owner's id in the digest, which nobody guesses, and what is printed and lies in a drawer has to
 * survive any change of PURLIN_SECRET.
 */
#include "identity/factors.h"

#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/room.h"
#include "identity/seal.h"
#include "store/store.h"

static struct slice id_text(const struct uuid *id)
{
    return slice_of((const char *)id->bytes, sizeof(id->bytes));
}

/* -- reading
 * ------------------------------------------------------------------------------------------- */

static const char read_sql[] =
    "SELECT a.totp IS NOT NULL,"
    "       (SELECT COUNT(*) FROM purlin_passkeys p WHERE p.user_id = a.user_id),"
    "       (SELECT COUNT(*) FROM purlin_recovery_codes r WHERE r.user_id = a.user_id)"
    "  FROM purlin_accounts a"
    " WHERE a.user_id = $1";

enum status identity_factors_read(struct task *task, struct identity *identity,
                                  const struct uuid *user, struct identity_factors *ret)
{
    const struct store_value value = identity__id(user);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(task, identity->store, IDENTITY__SQL(read_sql), &value, 1, &rows);
    if (st == STATUS_OK)
        *ret = (struct identity_factors){ .has_totp = store_rows_i64(rows, 0) != 0,
                                          .passkeys = (unsigned)store_rows_i64(rows, 1),
                                          .recovery_codes = (unsigned)store_rows_i64(rows, 2) };
    return st;
}

static const char any_sql[] =
    "SELECT 1 FROM purlin_accounts a"
    " WHERE a.user_id = $1"
    "   AND (a.totp IS NOT NULL"
    "        OR EXISTS (SELECT 1 FROM purlin_passkeys p WHERE p.user_id = a.user_id))";

enum status identity_factors_any(struct store_tx *tx, const struct uuid *user, bool *ret_any)
{
    const struct store_value value = identity__id(user);
    struct store_rows *rows = NULL;
    enum status st = store_tx_one(tx, IDENTITY__SQL(any_sql), &value, 1, &rows);
    store_rows_close(rows);
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    *ret_any = st == STATUS_OK;
    return STATUS_OK;
}

/* -- the seal
 * ------------------------------------------------------------------------------------------- */

/* What is sealed; numbers in the machine's order, which is the same on all that Purlin runs on. */
struct packed {
    uint8_t user[16];
    int64_t made_us;
    uint8_t alg, digits;
    uint16_t period_s;
    uint8_t secret[IDENTITY_OTP_SECRET_BYTES_MAX];
};
#define PACKED_HEAD offsetof(struct packed, secret)
#define SEALED_MAX (sizeof(struct packed) + IDENTITY_SEAL_OVERHEAD)

enum status identity_totp_seal(const struct identity *identity, struct arena *arena,
                               const struct uuid *user, const struct identity_otp *otp,
                               int64_t now_us, struct slice *ret)
{
    struct packed packed = { .made_us = now_us,
                             .alg = (uint8_t)otp->alg,
                             .digits = (uint8_t)otp->digits,
                             .period_s = (uint16_t)otp->period_s };
    memcpy(packed.user, user->bytes, sizeof(packed.user));
    memcpy(packed.secret, otp->secret, otp->secret_len);
    struct slice text = slice_of((const char *)&packed, PACKED_HEAD + otp->secret_len);
    uint8_t *out = arena_alloc(arena, SEALED_MAX);
    size_t len = 0;
    bool is_sealed = out && identity_seal_close(&identity->totp_seal, text, out, SEALED_MAX, &len);
    sodium_memzero(&packed, sizeof(packed));
    if (!is_sealed)
        return STATUS_EXHAUSTED;
    *ret = slice_of((const char *)out, len);
    return STATUS_OK;
}

enum status identity_totp_open(const struct identity *identity, struct arena *arena,
                               const struct uuid *user, struct slice sealed,
                               struct identity_otp *ret, int64_t *ret_made_us,
                               bool *ret_is_previous)
{
    struct packed packed = { .made_us = 0 };
    char *text;
    size_t len;
    enum status st =
        identity_seal_open(&identity->totp_seal, sealed, arena, &text, &len, ret_is_previous);
    if (st != STATUS_OK)
        return st == STATUS_UNAUTHENTICATED ? STATUS_INTERNAL : st;
    bool is_ours = len > PACKED_HEAD && len <= sizeof(packed);
    if (is_ours) {
        memcpy(&packed, text, len);
        is_ours = memcmp(packed.user, user->bytes, sizeof(packed.user)) == 0 &&
                  packed.alg <= IDENTITY_OTP_SHA512;
    }
    if (is_ours) {
        *ret = (struct identity_otp){ .alg = (enum identity_otp_alg)packed.alg,
                                      .digits = packed.digits,
                                      .period_s = packed.period_s,
                                      .secret_len = len - PACKED_HEAD };
        memcpy(ret->secret, packed.secret, ret->secret_len);
        *ret_made_us = packed.made_us;
    }
    sodium_memzero(text, len);
    sodium_memzero(&packed, sizeof(packed));
    return is_ours ? STATUS_OK : STATUS_INTERNAL;
}

/* -- secrets of apps
 * ------------------------------------------------------------------------------------------- */

static const char pend_sql[] = "UPDATE purlin_accounts SET totp_pending = $1 WHERE user_id = $2";
static const char pending_sql[] =
    "SELECT totp_pending FROM purlin_accounts WHERE user_id = $1 AND totp_pending IS NOT NULL";
static const char enable_sql[] = "UPDATE purlin_accounts"
                                 "   SET totp = totp_pending, totp_step = $1, totp_pending = NULL"
                                 " WHERE user_id = $2";
static const char remove_sql[] = "UPDATE purlin_accounts"
                                 "   SET totp = NULL, totp_step = NULL, totp_pending = NULL"
                                 " WHERE user_id = $1";
static const char in_use_sql[] =
    "SELECT totp, totp_step FROM purlin_accounts WHERE user_id = $1 AND totp IS NOT NULL";
static const char step_sql[] = "UPDATE purlin_accounts SET totp_step = $1 WHERE user_id = $2";

enum status identity_totp_pend(struct store_tx *tx, const struct uuid *user, struct slice sealed)
{
    const struct store_value values[] = { store_blob(sealed), identity__id(user) };
    return store_tx_exec(tx, IDENTITY__SQL(pend_sql), values, ARRAY_LEN(values), NULL);
}

/* The secret that `sql` finds, opened. NOT_FOUND: there is none. */
static enum status find_secret(struct store_tx *tx, struct identity *identity, struct slice sql,
                               const struct uuid *user, struct identity_otp *ret,
                               int64_t *ret_made_us, int64_t *ret_step)
{
    const struct store_value value = identity__id(user);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    bool is_previous;
    enum status st = store_tx_one(tx, sql, &value, 1, &rows);
    if (st != STATUS_OK)
        return st;
    *ret_step = store_rows_columns(rows) > 1 ? store_rows_i64(rows, 1) : IDENTITY_OTP_STEP_NONE;
    return identity_totp_open(identity, store_tx_arena(tx), user, store_rows_bytes(rows, 0), ret,
                              ret_made_us, &is_previous);
}

static enum status keep_step(struct store_tx *tx, struct slice sql, const struct uuid *user,
                             int64_t step)
{
    const struct store_value values[] = { store_i64(step), identity__id(user) };
    return store_tx_exec(tx, sql, values, ARRAY_LEN(values), NULL);
}

enum status identity_totp_pending(struct task *task, struct identity *identity,
                                  const struct uuid *user, struct identity_otp *ret)
{
    const struct store_value value = identity__id(user);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    bool is_previous;
    int64_t made_us;
    enum status st = store_one(task, identity->store, IDENTITY__SQL(pending_sql), &value, 1, &rows);
    if (st == STATUS_OK)
        st = identity_totp_open(identity, task_arena(task), user, store_rows_bytes(rows, 0), ret,
                                &made_us, &is_previous);
    if (st == STATUS_INTERNAL) /* sealed by a secret that is gone: they begin anew */
        return STATUS_NOT_FOUND;
    if (st != STATUS_OK || clock_wall_us() - made_us <= IDENTITY_TOTP_PENDING_US)
        return st;
    sodium_memzero(ret, sizeof(*ret));
    return STATUS_NOT_FOUND;
}

/* The name that apps show above the code: the server's. */
static struct slice host_of(struct slice issuer)
{
    size_t at = slice_find(issuer, ':');
    if (at == SIZE_MAX || at + 3 > issuer.len)
        return issuer;
    struct slice rest = slice_from(issuer, at + 3), host;
    return slice_split(&rest, '/', &host) ? host : rest;
}

void identity_totp_put_uri(struct buf *out, const struct identity *identity,
                           const struct identity_otp *otp, struct slice account)
{
    identity_otp_put_uri(out, otp, host_of(identity->issuer), account);
}

enum status identity_totp_enable(struct store_tx *tx, struct identity *identity,
                                 const struct uuid *user, struct slice code, int64_t now_us)
{
    struct identity_otp otp;
    int64_t made_us, step;
    enum status st =
        find_secret(tx, identity, IDENTITY__SQL(pending_sql), user, &otp, &made_us, &step);
    if (st != STATUS_OK)
        return st;
    st = now_us - made_us > IDENTITY_TOTP_PENDING_US
             ? STATUS_NOT_FOUND
             : identity_otp_check(&otp, code, now_us, IDENTITY_OTP_STEP_NONE, &step);
    sodium_memzero(&otp, sizeof(otp));
    return st == STATUS_OK ? keep_step(tx, IDENTITY__SQL(enable_sql), user, step) : st;
}

enum status identity_totp_remove(struct store_tx *tx, const struct uuid *user)
{
    const struct store_value value = identity__id(user);
    return store_tx_exec(tx, IDENTITY__SQL(remove_sql), &value, 1, NULL);
}

/* -- codes
 * ------------------------------------------------------------------------------------------- */

uint32_t identity_code_method(struct slice code)
{
    unsigned digits = 0;
    for (size_t i = 0; i < code.len; i++) {
        char c = code.data[i];
        if (c >= '0' && c <= '9')
            digits++;
        else if (c != ' ' && c != '-')
            return IDENTITY_METHOD_RECOVERY;
    }
    return digits <= IDENTITY_OTP_DIGITS_MAX ? IDENTITY_METHOD_TOTP : IDENTITY_METHOD_RECOVERY;
}

static enum status use_totp(struct store_tx *tx, struct identity *identity, const struct uuid *user,
                            struct slice code, int64_t now_us)
{
    struct identity_otp otp;
    int64_t made_us, step;
    enum status st =
        find_secret(tx, identity, IDENTITY__SQL(in_use_sql), user, &otp, &made_us, &step);
    if (st != STATUS_OK)
        return st == STATUS_NOT_FOUND ? STATUS_UNAUTHENTICATED : st;
    st = identity_otp_check(&otp, code, now_us, step, &step);
    sodium_memzero(&otp, sizeof(otp));
    return st == STATUS_OK ? keep_step(tx, IDENTITY__SQL(step_sql), user, step) : st;
}

static const struct identity_pepper no_pepper = { { 0 } };
static const char use_code_sql[] =
    "DELETE FROM purlin_recovery_codes WHERE user_id = $1 AND digest = $2";
static const char drop_codes_sql[] = "DELETE FROM purlin_recovery_codes WHERE user_id = $1";
static const char put_code_sql[] =
    "INSERT INTO purlin_recovery_codes (user_id, digest) VALUES ($1, $2)";
static const char drop_unneeded_sql[] =
    "DELETE FROM purlin_recovery_codes"
    " WHERE user_id = $1"
    "   AND NOT EXISTS (SELECT 1 FROM purlin_accounts a"
    "                    WHERE a.user_id = $2 AND a.totp IS NOT NULL)"
    "   AND NOT EXISTS (SELECT 1 FROM purlin_passkeys p WHERE p.user_id = $3)";

static enum status digest_code(const struct uuid *user, struct slice code,
                               struct identity_digest *ret)
{
    return identity_recovery_read(&no_pepper, id_text(user), code, ret);
}

static enum status run_with_digest(struct store_tx *tx, struct slice sql, const struct uuid *user,
                                   const struct identity_digest *digest, int64_t *ret_changes)
{
    const struct store_value values[] = {
        identity__id(user),
        store_blob(slice_of((const char *)digest->bytes, sizeof(digest->bytes))),
    };
    return store_tx_exec(tx, sql, values, ARRAY_LEN(values), ret_changes);
}

static enum status use_recovery(struct store_tx *tx, const struct uuid *user, struct slice code)
{
    struct identity_digest digest;
    int64_t changes = 0;
    if (digest_code(user, code, &digest) != STATUS_OK)
        return STATUS_UNAUTHENTICATED;
    enum status st = run_with_digest(tx, IDENTITY__SQL(use_code_sql), user, &digest, &changes);
    return st == STATUS_OK && changes == 0 ? STATUS_UNAUTHENTICATED : st;
}

enum status identity_code_use(struct store_tx *tx, struct identity *identity,
                              const struct uuid *user, struct slice code, int64_t now_us)
{
    return identity_code_method(code) == IDENTITY_METHOD_TOTP
               ? use_totp(tx, identity, user, code, now_us)
               : use_recovery(tx, user, code);
}

enum status identity_recovery_put(struct store_tx *tx, const struct uuid *user,
                                  const struct identity_recovery *codes)
{
    const struct store_value value = identity__id(user);
    enum status st = store_tx_exec(tx, IDENTITY__SQL(drop_codes_sql), &value, 1, NULL);
    for (unsigned i = 0; i < IDENTITY_RECOVERY_CODES && st == STATUS_OK; i++) {
        struct identity_digest digest;
        st = digest_code(user, slice_of(codes->texts[i], sizeof(codes->texts[i])), &digest);
        if (st == STATUS_OK)
            st = run_with_digest(tx, IDENTITY__SQL(put_code_sql), user, &digest, NULL);
    }
    return st;
}

enum status identity_recovery_drop_unneeded(struct store_tx *tx, const struct uuid *user)
{
    const struct store_value values[] = { identity__id(user), identity__id(user),
                                          identity__id(user) };
    return store_tx_exec(tx, IDENTITY__SQL(drop_unneeded_sql), values, ARRAY_LEN(values), NULL);
}

/* -- all of them
 * ------------------------------------------------------------------------------------------- */

static const char drop_passkeys_sql[] = "DELETE FROM purlin_passkeys WHERE user_id = $1";

enum status identity_factors_forget(struct store_tx *tx, const struct uuid *user)
{
    const struct store_value value = identity__id(user);
    enum status st = identity_totp_remove(tx, user);
    if (st == STATUS_OK)
        st = store_tx_exec(tx, IDENTITY__SQL(drop_codes_sql), &value, 1, NULL);
    return st == STATUS_OK ? store_tx_exec(tx, IDENTITY__SQL(drop_passkeys_sql), &value, 1, NULL)
                           : st;
}

/* -- another secret
 * ------------------------------------------------------------------------------------------- */

#define RESEAL_MAX 100

static const char sealed_sql[] = "SELECT user_id, totp FROM purlin_accounts"
                                 " WHERE user_id > $1 AND totp IS NOT NULL"
                                 " ORDER BY user_id LIMIT 100";
_Static_assert(RESEAL_MAX == 100, "as sealed_sql has it");
static const char reseal_sql[] =
    "UPDATE purlin_accounts SET totp = $1 WHERE user_id = $2 AND totp = $3";

struct reseal {
    struct identity *identity;
    struct uuid after;
    unsigned len;
    struct {
        struct uuid user;
        struct slice sealed;
    } items[RESEAL_MAX];
};

static enum status take_sealed(struct store_tx *tx, struct reseal *r)
{
    const struct store_value value = identity__id(&r->after);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_tx_query(tx, IDENTITY__SQL(sealed_sql), &value, 1, &rows);
    r->len = 0;
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK && r->len < RESEAL_MAX) {
        struct slice id = store_rows_bytes(rows, 0);
        if (id.len != sizeof(r->after.bytes))
            return STATUS_INTERNAL;
        memcpy(r->items[r->len].user.bytes, id.data, id.len);
        st = arena_copy(store_tx_arena(tx), store_rows_bytes(rows, 1), &r->items[r->len].sealed);
        r->len++;
    }
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

/* What neither secret opens stays as it is: an operator may find the right one yet. */
static enum status reseal_one(struct store_tx *tx, struct identity *identity,
                              const struct uuid *user, struct slice sealed)
{
    struct arena *arena = store_tx_arena(tx);
    struct identity_otp otp;
    struct slice fresh;
    int64_t made_us;
    bool is_previous = false;
    enum status st =
        identity_totp_open(identity, arena, user, sealed, &otp, &made_us, &is_previous);
    if (st == STATUS_INTERNAL || (st == STATUS_OK && !is_previous))
        return STATUS_OK;
    if (st == STATUS_OK)
        st = identity_totp_seal(identity, arena, user, &otp, made_us, &fresh);
    sodium_memzero(&otp, sizeof(otp));
    if (st != STATUS_OK)
        return st;
    const struct store_value values[] = { store_blob(fresh), identity__id(user),
                                          store_blob(sealed) };
    return store_tx_exec(tx, IDENTITY__SQL(reseal_sql), values, ARRAY_LEN(values), NULL);
}

static enum status write_reseal(struct store_tx *tx, void *arg)
{
    struct reseal *r = arg;
    enum status st = take_sealed(tx, r);
    for (unsigned i = 0; i < r->len && st == STATUS_OK; i++)
        st = reseal_one(tx, r->identity, &r->items[i].user, r->items[i].sealed);
    return st;
}

enum status identity_factors_reseal(struct task *task, struct identity *identity,
                                    struct uuid *cursor)
{
    struct reseal *r = arena_new_of(task_arena(task), struct reseal);
    if (!r)
        return STATUS_EXHAUSTED;
    r->identity = identity;
    r->after = *cursor;
    enum status st = store_write(task, identity->store, write_reseal, r);
    if (st == STATUS_OK && r->len > 0)
        *cursor = r->items[r->len - 1].user;
    return st == STATUS_OK && r->len < RESEAL_MAX ? STATUS_NOT_FOUND : st;
}
