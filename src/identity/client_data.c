/* identity/client_data.c - Client data. */
#include "identity/client_data.h"

#include "base/arena.h"
#include "base/json.h"
#include "identity/jose.h"

enum status identity_client_data_read(struct arena *arena, struct slice json,
                                      struct identity_client_data *ret)
{
    const struct json_limits limits = { .bytes_max = IDENTITY_CLIENT_DATA_MAX, .depth_max = 4 };
    json_t *value;
    enum status st = json_read(arena, json, limits, &value, NULL);
    if (st != STATUS_OK)
        return st;
    const json_t *type = json_object_get(value, "type");
    const json_t *challenge = json_object_get(value, "challenge");
    const json_t *origin = json_object_get(value, "origin");
    const json_t *crossing = json_object_get(value, "crossOrigin");
    if (!json_is_string(type) || !json_is_string(challenge) || !json_is_string(origin) ||
        (crossing && !json_is_boolean(crossing)))
        return STATUS_INVALID;
    bool is_creation = slice_eq(json_slice(type), SLICE("webauthn.create"));
    if (!is_creation && !slice_eq(json_slice(type), SLICE("webauthn.get")))
        return STATUS_INVALID;
    uint8_t *bytes = arena_alloc(arena, IDENTITY_CHALLENGE_MAX);
    size_t len;
    if (!bytes)
        return STATUS_EXHAUSTED;
    if (!identity__base64url_decode(json_slice(challenge), bytes, 1, IDENTITY_CHALLENGE_MAX, &len))
        return STATUS_INVALID;
    *ret = (struct identity_client_data){ .is_creation = is_creation,
                                          .challenge = slice_of((const char *)bytes, len),
                                          .origin = json_slice(origin),
                                          .is_cross_origin = json_is_true(crossing) };
    return STATUS_OK;
}
