/* identity/passkey.c - What browsers answer, read, checked and verified. */
#include "identity/passkey.h"

#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <fido/rs256.h>
#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/client_data.h"
#include "identity/jose.h"
#include "identity/related_origins.h"
#include "identity/relying_party.h"
#include "identity/room.h"

#define ATTESTATION_MAX ((size_t)16 * 1024)
#define AUTHENTICATOR_MAX ((size_t)4096)
#define SIGNATURE_MAX ((size_t)512)
#define TRANSPORTS_MAX 8u

static enum status malformed(struct task *task, const char *what)
{
    return problem_set(task, STATUS_INVALID, "identity/passkey-malformed",
                       "The credential is not what a browser answers: %s.", what);
}

static enum status refuse(struct task *task, const char *why)
{
    return problem_set(task, STATUS_UNAUTHENTICATED, "identity/passkey-refused",
                       "The passkey was refused: %s.", why);
}

enum status identity_passkey_party(struct task *task, const struct identity *identity,
                                   struct identity_relying_party *ret)
{
    enum status st = identity_relying_party_of(task_arena(task), identity->issuer, ret);
    ret->related = identity->options.passkey_origins;
    if (st != STATUS_INVALID)
        return st;
    return problem_set(task, STATUS_UNAVAILABLE, "identity/passkeys-off",
                       "Passkeys belong to a host name, and this server is known by an address: "
                       "set auth.issuer.");
}

/* -- the JSON of both ceremonies
 * ---------------------------------------------------------------------------------------- */

/* A member that is base64url. */
static enum status take_bytes(struct task *task, const json_t *object, const char *name,
                              size_t bytes_max, struct slice *ret)
{
    const json_t *value = json_object_get(object, name);
    struct slice text = json_is_string(value) ? json_slice(value) : SLICE_NULL;
    size_t room = MIN(text.len, bytes_max), len;
    if (!room)
        return malformed(task, name);
    uint8_t *bytes = arena_alloc(task_arena(task), room);
    if (!bytes)
        return STATUS_EXHAUSTED;
    if (!identity__base64url_decode(text, bytes, 1, room, &len))
        return malformed(task, name);
    *ret = slice_of((const char *)bytes, len);
    return STATUS_OK;
}

struct answer {
    struct slice credential_id;
    const json_t *response;
    struct slice client_json;
    struct identity_client_data client;
};

/* What both have in common, up to the origin. */
static enum status take_answer(struct task *task, const json_t *credential, bool is_creation,
                               const struct identity_relying_party *party, struct answer *ret)
{
    const json_t *type = json_object_get(credential, "type");
    if (!json_is_string(type) || !slice_eq(json_slice(type), SLICE("public-key")))
        return malformed(task, "type");
    ret->response = json_object_get(credential, "response");
    enum status st =
        take_bytes(task, credential, "id", IDENTITY_CREDENTIAL_ID_MAX, &ret->credential_id);
    if (st == STATUS_OK)
        st = take_bytes(task, ret->response, "clientDataJSON", IDENTITY_CLIENT_DATA_MAX,
                        &ret->client_json);
    if (st != STATUS_OK)
        return st;
    st = identity_client_data_read(task_arena(task), ret->client_json, &ret->client);
    if (st == STATUS_INVALID || st == STATUS_TOO_LARGE)
        return malformed(task, "clientDataJSON");
    if (st != STATUS_OK)
        return st;
    if (ret->client.is_creation != is_creation)
        return refuse(task, "it is the answer of another ceremony");
    bool is_known = slice_eq(ret->client.origin, party->origin) ||
                    identity_origin_is_related(party->related, ret->client.origin);
    if (ret->client.is_cross_origin || !is_known)
        return refuse(task, "it was given to a page of another origin");
    return STATUS_OK;
}

static enum status check_challenge(struct task *task, const struct identity *identity,
                                   enum identity_ceremony ceremony, struct slice occasion,
                                   const struct answer *answer, struct identity_challenge *ret)
{
    enum status st = identity_challenge_check(identity, ceremony, occasion,
                                              answer->client.challenge, clock_wall_us(), ret);
    return st == STATUS_OK ? st : refuse(task, "its challenge is not ours, or is over");
}

static enum status check_authenticator(struct task *task,
                                       const struct identity_relying_party *party,
                                       const struct identity_authenticator *data, bool verified)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256(hash, (const uint8_t *)party->id.data, party->id.len);
    if (memcmp(hash, data->rp_hash, sizeof(hash)) != 0)
        return refuse(task, "it belongs to another host");
    if (!(data->flags & IDENTITY_FLAG_PRESENT))
        return refuse(task, "nobody was present");
    if (verified && !(data->flags & IDENTITY_FLAG_VERIFIED))
        return refuse(task, "the authenticator did not verify who uses it");
    return STATUS_OK;
}

/* -- registering
 * ---------------------------------------------------------------------------------------- */

/* Those that are words, as a JSON array; browsers may know ones that we do not. */
static enum status take_transports(struct task *task, const json_t *response, struct slice *ret)
{
    static const char *const words[] = { "usb", "nfc", "ble", "smart-card", "hybrid", "internal" };
    struct buf b;
    buf_init(&b, task_arena(task), 64, 256);
    struct json_out o = json_out(&b);
    const json_t *array = json_object_get(response, "transports");
    json_out_array(&o);
    for (size_t i = 0; i < json_array_size(array) && i < TRANSPORTS_MAX; i++) {
        const json_t *item = json_array_get(array, i);
        for (size_t j = 0; json_is_string(item) && j < ARRAY_LEN(words); j++)
            if (slice_eq(json_slice(item), slice_cstr(words[j])))
                json_out_cstr(&o, words[j]);
    }
    json_out_end(&o);
    *ret = buf_slice(&b);
    return buf_status(&b);
}

static bool make_key(const struct identity_public_key *key, void **ret);
static void free_key(int alg, void *key);

/* A point that is on no curve would verify nothing, and be found out when it is too late. */
static bool is_usable(const struct identity_public_key *key)
{
    void *made = NULL;
    bool is_good = make_key(key, &made);
    free_key(key->alg, made);
    return is_good;
}

enum status identity_passkey_register(struct task *task, const struct identity *identity,
                                      const json_t *credential, struct slice occasion,
                                      struct identity_passkey *ret,
                                      struct identity_challenge *ret_challenge)
{
    struct identity_relying_party party;
    struct identity_authenticator data;
    struct answer answer;
    struct slice object, format, bytes;
    enum status st = identity_passkey_party(task, identity, &party);
    if (st == STATUS_OK)
        st = take_answer(task, credential, true, &party, &answer);
    if (st == STATUS_OK)
        st = take_bytes(task, answer.response, "attestationObject", ATTESTATION_MAX, &object);
    if (st == STATUS_OK)
        st = check_challenge(task, identity, IDENTITY_CEREMONY_ADD, occasion, &answer,
                             ret_challenge);
    if (st != STATUS_OK)
        return st;
    if (identity_attestation_read(object, &format, &bytes) != STATUS_OK ||
        identity_authenticator_read(bytes, &data) != STATUS_OK)
        return malformed(task, "attestationObject, or its key is of no algorithm that was offered");
    st = check_authenticator(task, &party, &data, true);
    if (st != STATUS_OK)
        return st;
    if (!(data.flags & IDENTITY_FLAG_CREDENTIAL) ||
        !slice_eq(data.credential_id, answer.credential_id) || !is_usable(&data.key))
        return malformed(task, "attestationObject has another credential, or no good key");
    *ret = (struct identity_passkey){
        .id = uuid_v7(),
        .credential_id = data.credential_id,
        .key = data.key,
        .sign_count = data.sign_count,
        .backup_eligible = (data.flags & IDENTITY_FLAG_BACKUP_ELIGIBLE) != 0,
        .backed_up = (data.flags & IDENTITY_FLAG_BACKED_UP) != 0,
    };
    memcpy(ret->aaguid, data.aaguid, sizeof(ret->aaguid));
    return take_transports(task, answer.response, &ret->transports);
}

/* -- the signature
 * ---------------------------------------------------------------------------------------- */

static bool make_key(const struct identity_public_key *key, void **ret)
{
    int made = FIDO_ERR_INVALID_ARGUMENT;
    switch (key->alg) {
    case IDENTITY_COSE_ES256:
        *ret = es256_pk_new();
        made = *ret ? es256_pk_from_ptr(*ret, key->bytes, key->len) : FIDO_ERR_INTERNAL;
        break;
    case IDENTITY_COSE_EDDSA:
        *ret = eddsa_pk_new();
        made = *ret ? eddsa_pk_from_ptr(*ret, key->bytes, key->len) : FIDO_ERR_INTERNAL;
        break;
    case IDENTITY_COSE_RS256:
        *ret = rs256_pk_new();
        made = *ret ? rs256_pk_from_ptr(*ret, key->bytes, key->len) : FIDO_ERR_INTERNAL;
        break;
    default:
        *ret = NULL;
    }
    return made == FIDO_OK;
}

static void free_key(int alg, void *key)
{
    es256_pk_t *es256 = key;
    eddsa_pk_t *eddsa = key;
    rs256_pk_t *rs256 = key;
    if (alg == IDENTITY_COSE_ES256)
        es256_pk_free(&es256);
    else if (alg == IDENTITY_COSE_EDDSA)
        eddsa_pk_free(&eddsa);
    else if (alg == IDENTITY_COSE_RS256)
        rs256_pk_free(&rs256);
}

static bool is_signed(const struct identity_passkey *passkey,
                      const struct identity_relying_party *party, struct slice client_json,
                      struct slice data, struct slice signature)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    void *key = NULL;
    fido_assert_t *assertion = fido_assert_new();
    (void)crypto_hash_sha256(hash, (const uint8_t *)client_json.data, client_json.len);
    bool is_good = assertion && make_key(&passkey->key, &key) &&
                   fido_assert_set_clientdata_hash(assertion, hash, sizeof(hash)) == FIDO_OK &&
                   fido_assert_set_rp(assertion, party->id_cstr) == FIDO_OK &&
                   fido_assert_set_count(assertion, 1) == FIDO_OK &&
                   fido_assert_set_up(assertion, FIDO_OPT_TRUE) == FIDO_OK &&
                   fido_assert_set_authdata_raw(assertion, 0, (const uint8_t *)data.data,
                                                data.len) == FIDO_OK &&
                   fido_assert_set_sig(assertion, 0, (const uint8_t *)signature.data,
                                       signature.len) == FIDO_OK &&
                   fido_assert_verify(assertion, 0, passkey->key.alg, key) == FIDO_OK;
    free_key(passkey->key.alg, key);
    fido_assert_free(&assertion);
    return is_good;
}

/* -- asserting
 * ---------------------------------------------------------------------------------------- */

/* Whose it is, as the authenticator says: needed where nobody has said it before. */
static enum status check_owner(struct task *task, const struct answer *answer,
                               enum identity_ceremony ceremony,
                               const struct identity_passkey *passkey)
{
    struct slice handle = SLICE_NULL;
    const json_t *given = json_object_get(answer->response, "userHandle");
    if (!given || json_is_null(given))
        return ceremony == IDENTITY_CEREMONY_LOGIN
                   ? refuse(task, "it does not say whose passkey it is")
                   : STATUS_OK;
    enum status st = take_bytes(task, answer->response, "userHandle", 64, &handle);
    if (st != STATUS_OK)
        return st;
    return slice_eq(handle,
                    slice_of((const char *)passkey->user.bytes, sizeof(passkey->user.bytes)))
               ? STATUS_OK
               : refuse(task, "it is another account's");
}

static enum status verify(struct task *task, struct identity *identity,
                          const struct identity_relying_party *party, const struct answer *answer,
                          enum identity_ceremony ceremony, struct identity_assertion *a)
{
    struct identity_authenticator data;
    struct slice bytes, signature;
    enum status st =
        take_bytes(task, answer->response, "authenticatorData", AUTHENTICATOR_MAX, &bytes);
    if (st == STATUS_OK)
        st = take_bytes(task, answer->response, "signature", SIGNATURE_MAX, &signature);
    if (st != STATUS_OK)
        return st;
    if (identity_authenticator_read(bytes, &data) != STATUS_OK ||
        (data.flags & IDENTITY_FLAG_CREDENTIAL))
        return malformed(task, "authenticatorData");
    st = check_authenticator(task, party, &data, ceremony == IDENTITY_CEREMONY_LOGIN);
    if (st == STATUS_OK)
        st = identity_passkey_find(task, identity, answer->credential_id, &a->passkey);
    if (st == STATUS_NOT_FOUND)
        return refuse(task, "it is not known here, or not any more");
    if (st == STATUS_OK)
        st = check_owner(task, answer, ceremony, &a->passkey);
    if (st != STATUS_OK)
        return st;
    bool is_eligible = (data.flags & IDENTITY_FLAG_BACKUP_ELIGIBLE) != 0;
    if (!is_signed(&a->passkey, party, answer->client_json, bytes, signature) ||
        is_eligible != a->passkey.backup_eligible)
        return refuse(task, "its signature is wrong");
    a->sign_count = data.sign_count;
    a->backed_up = (data.flags & IDENTITY_FLAG_BACKED_UP) != 0;
    return STATUS_OK;
}

enum status identity_assertion_read(struct task *task, struct identity *identity,
                                    const json_t *credential, enum identity_ceremony ceremony,
                                    struct slice occasion, struct identity_assertion *ret)
{
    struct identity_relying_party party;
    struct answer answer;
    enum status st = identity_passkey_party(task, identity, &party);
    if (st == STATUS_OK)
        st = take_answer(task, credential, false, &party, &answer);
    if (st == STATUS_OK)
        st = check_challenge(task, identity, ceremony, occasion, &answer, &ret->challenge);
    return st == STATUS_OK ? verify(task, identity, &party, &answer, ceremony, ret) : st;
}

enum status identity_assertion_use(struct store_tx *tx, const struct identity_assertion *assertion,
                                   int64_t now_us)
{
    const char *why = "there is a copy of it, which has signed as often: remove it";
    enum status st = identity_challenge_use(tx, &assertion->challenge);
    if (st == STATUS_CONFLICT)
        why = "its challenge was used";
    if (st == STATUS_OK)
        st = identity_passkey_used(tx, &assertion->passkey.id, assertion->sign_count,
                                   assertion->backed_up, now_us);
    if (st == STATUS_NOT_FOUND)
        why = "it is not known here, or not any more";
    if (st != STATUS_CONFLICT && st != STATUS_NOT_FOUND && st != STATUS_UNAUTHENTICATED)
        return st;
    return store_tx_problem_set(tx, STATUS_UNAUTHENTICATED, "identity/passkey-refused",
                                "The passkey was refused: %s.", why);
}
