/* identity/foreign_claims.c - Claims looked up and mapped. */
#include "identity/foreign_claims.h"

#include "base/arena.h"
#include "base/json.h"
#include "identity/account.h"
#include "identity/jose.h"

static const json_t *member(const json_t *object, struct slice name)
{
    return json_is_object(object) ? json_object_getn(object, name.data, name.len) : NULL;
}

const json_t *identity_claim_at(const json_t *claims, struct slice path)
{
    const json_t *at = path.len ? member(claims, path) : NULL;
    struct slice name;
    if (at || !path.len)
        return at;
    at = claims;
    while (at && slice_split(&path, '.', &name))
        at = member(at, name);
    return at;
}

/* -- roles
 * ------------------------------------------------------------------------------------------- */

struct roles {
    const struct identity_token_issuer *issuer;
    struct slice *list;
    unsigned len, looked_at;
};

static bool has(const struct roles *r, struct slice role)
{
    for (unsigned i = 0; i < r->len; i++)
        if (slice_eq(r->list[i], role))
            return true;
    return false;
}

static void take(struct roles *r, struct slice value)
{
    if (r->looked_at++ >= IDENTITY_CLAIM_VALUES_MAX)
        return;
    for (unsigned i = 0; i < r->issuer->roles_len && r->len < IDENTITY_ROLES_MAX; i++) {
        const struct identity_token_role *role = &r->issuer->roles[i];
        if (slice_eq(role->theirs, value) && !has(r, role->ours))
            r->list[r->len++] = role->ours;
    }
}

enum status identity_claim_roles(struct arena *arena, const json_t *claims,
                                 const struct identity_token_issuer *issuer,
                                 const struct slice **ret, unsigned *ret_len)
{
    struct roles r = { .issuer = issuer };
    const json_t *value = identity_claim_at(claims, issuer->roles_claim), *one;
    struct slice rest, word;
    size_t i;
    r.list = arena_array_of(arena, struct slice, IDENTITY_ROLES_MAX);
    if (!r.list)
        return STATUS_EXHAUSTED;
    if (json_is_string(value)) {
        rest = json_slice(value);
        while (slice_split(&rest, ' ', &word))
            take(&r, word);
    }
    json_array_foreach(value, i, one)
    {
        if (json_is_string(one))
            take(&r, json_slice(one));
    }
    *ret = r.list;
    *ret_len = r.len;
    return STATUS_OK;
}

/* -- whose token
 * -------------------------------------------------------------------------------------- */

struct slice identity_claimed_issuer(struct arena *arena, struct slice token)
{
    const struct json_limits limits = { IDENTITY_JOSE_TOKEN_BYTES_MAX, IDENTITY_JOSE_DEPTH_MAX };
    struct slice header, payload, rest = token;
    json_t *claims;
    size_t len;
    if (token.len > IDENTITY_JOSE_TOKEN_BYTES_MAX || !slice_split(&rest, '.', &header) ||
        !slice_split(&rest, '.', &payload) || !rest.data)
        return SLICE_NULL;
    uint8_t *text = arena_alloc(arena, payload.len + 1);
    if (!text || !identity__base64url_decode(payload, text, 0, payload.len, &len) ||
        json_read(arena, slice_of((const char *)text, len), limits, &claims, NULL) != STATUS_OK)
        return SLICE_NULL;
    const json_t *iss = json_object_get(claims, "iss");
    return json_is_string(iss) ? json_slice(iss) : SLICE_NULL;
}
