/* identity/passkey_options.c - Options of the two ceremonies. */
#include "identity/passkey_options.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/passkey.h"
#include "identity/relying_party.h"
#include "identity/room.h"

/* Twenty passkeys of 1023 bytes in base64url, and what is around them. */
#define ANSWER_BYTES_MAX ((size_t)48 * 1024)

static void put_base64(struct json_out *o, struct arena *arena, const char *key, const void *bytes,
                       size_t len)
{
    struct buf text;
    buf_init(&text, arena, 128, ANSWER_BYTES_MAX);
    buf_put_base64url(&text, bytes, len);
    json_out_key(o, slice_cstr(key));
    json_out_string(o, buf_slice(&text));
}

static void put_challenge(struct json_out *o, struct task *task, const struct identity *identity,
                          enum identity_ceremony ceremony, struct slice occasion)
{
    struct identity_challenge challenge =
        identity_challenge_make(identity, ceremony, occasion, clock_wall_us());
    put_base64(o, task_arena(task), "challenge", challenge.bytes, sizeof(challenge.bytes));
    json_out_ki(o, "timeout", IDENTITY_CHALLENGE_LIFE_US / CLOCK_MS);
}

/* An array of PublicKeyCredentialDescriptorJSON. */
static enum status put_passkeys(struct json_out *o, struct task *task, struct identity *identity,
                                const struct uuid *user, const char *key)
{
    struct identity_passkey *passkeys = NULL;
    unsigned len = 0;
    enum status st =
        user ? identity_passkeys_read(task, identity, user, &passkeys, &len) : STATUS_OK;
    json_out_key(o, slice_cstr(key));
    json_out_array(o);
    for (unsigned i = 0; i < len && st == STATUS_OK; i++) {
        json_out_object(o);
        put_base64(o, task_arena(task), "id", passkeys[i].credential_id.data,
                   passkeys[i].credential_id.len);
        json_out_kv(o, "type", "public-key");
        json_out_key(o, SLICE("transports"));
        json_out_raw(o, passkeys[i].transports);
        json_out_end(o);
    }
    json_out_end(o);
    return st;
}

static void put_party(struct json_out *o, const struct identity_relying_party *party)
{
    json_out_key(o, SLICE("rp"));
    json_out_object(o);
    json_out_key(o, SLICE("id"));
    json_out_string(o, party->id);
    json_out_key(o, SLICE("name"));
    json_out_string(o, party->id);
    json_out_end(o);
}

static void put_user(struct json_out *o, struct task *task, const struct identity_account *account)
{
    json_out_key(o, SLICE("user"));
    json_out_object(o);
    put_base64(o, task_arena(task), "id", account->user.bytes, sizeof(account->user.bytes));
    identity_put_text(o, "name", account->email);
    identity_put_text(o, "displayName", account->email);
    json_out_end(o);
}

static void put_algorithms(struct json_out *o)
{
    static const int algs[] = { IDENTITY_COSE_ES256, IDENTITY_COSE_EDDSA, IDENTITY_COSE_RS256 };
    json_out_key(o, SLICE("pubKeyCredParams"));
    json_out_array(o);
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        json_out_object(o);
        json_out_kv(o, "type", "public-key");
        json_out_ki(o, "alg", algs[i]);
        json_out_end(o);
    }
    json_out_end(o);
}

static void put_selection(struct json_out *o)
{
    json_out_key(o, SLICE("authenticatorSelection"));
    json_out_object(o);
    json_out_kv(o, "residentKey", "required");
    identity_put_flag(o, "requireResidentKey", true);
    json_out_kv(o, "userVerification", "required");
    json_out_end(o);
    json_out_kv(o, "attestation", "none");
}

enum status identity_passkey_answer_creation(struct task *task, struct identity *identity,
                                             struct http_request *req,
                                             const struct identity_account *account,
                                             struct slice occasion)
{
    struct identity_relying_party party;
    enum status st = identity_passkey_party(task, identity, &party);
    if (st != STATUS_OK)
        return st;
    struct buf b;
    buf_init(&b, task_arena(task), 1024, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    put_party(&o, &party);
    put_user(&o, task, account);
    put_challenge(&o, task, identity, IDENTITY_CEREMONY_ADD, occasion);
    put_algorithms(&o);
    st = put_passkeys(&o, task, identity, &account->user, "excludeCredentials");
    put_selection(&o);
    json_out_end(&o);
    return st == STATUS_OK ? identity_answer_json(task, req, 200, &b) : st;
}

enum status identity_passkey_answer_request(struct task *task, struct identity *identity,
                                            struct http_request *req,
                                            enum identity_ceremony ceremony, struct slice occasion,
                                            const struct uuid *user)
{
    struct identity_relying_party party;
    bool is_login = ceremony == IDENTITY_CEREMONY_LOGIN;
    enum status st = identity_passkey_party(task, identity, &party);
    if (st != STATUS_OK)
        return st;
    struct buf b;
    buf_init(&b, task_arena(task), 512, ANSWER_BYTES_MAX);
    struct json_out o = json_out(&b);
    json_out_object(&o);
    put_challenge(&o, task, identity, ceremony, occasion);
    json_out_key(&o, SLICE("rpId"));
    json_out_string(&o, party.id);
    st = put_passkeys(&o, task, identity, user, "allowCredentials");
    json_out_kv(&o, "userVerification", is_login ? "required" : "preferred");
    json_out_end(&o);
    return st == STATUS_OK ? identity_answer_json(task, req, 200, &b) : st;
}
