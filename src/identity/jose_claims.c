/*
 * identity/jose_claims.c - The registered claims of a JWT against what the caller expects of them.
 */
#include "identity/jose.h"

#include "base/clock.h"
#include "base/json.h"

#define LEEWAY_US (IDENTITY_JOSE_LEEWAY_S * CLOCK_SECOND)
/* The end of the year 9999: later is as late. */
#define TIME_S_MAX 253402300799.0

/* A NumericDate: seconds, perhaps with a fraction. */
static bool read_time(const json_t *value, int64_t *ret_us)
{
    if (!json_is_number(value))
        return false;
    double seconds = json_number_value(value);
    if (seconds < -TIME_S_MAX)
        seconds = -TIME_S_MAX;
    if (seconds > TIME_S_MAX)
        seconds = TIME_S_MAX;
    *ret_us = (int64_t)(seconds * (double)CLOCK_SECOND);
    return true;
}

/* "aud" is a text or a list of texts; one malformed member spoils the list. */
static bool has_audience(const json_t *aud, struct slice want)
{
    if (json_is_string(aud))
        return slice_eq(json_slice(aud), want);
    bool found = false;
    size_t i;
    const json_t *one;
    json_array_foreach(aud, i, one)
    {
        if (!json_is_string(one))
            return false;
        found = found || slice_eq(json_slice(one), want);
    }
    return found;
}

static enum identity_jose_refusal check_begin(const json_t *claims, const char *name,
                                              int64_t now_us)
{
    const json_t *value = json_object_get(claims, name);
    int64_t at_us;
    if (!value)
        return IDENTITY_JOSE_ACCEPTED;
    if (!read_time(value, &at_us))
        return IDENTITY_JOSE_CLAIMS;
    return at_us > now_us + LEEWAY_US ? IDENTITY_JOSE_NOT_YET : IDENTITY_JOSE_ACCEPTED;
}

static enum identity_jose_refusal check_times(const json_t *claims, int64_t now_us,
                                              int64_t *ret_expires_us)
{
    const json_t *exp = json_object_get(claims, "exp");
    int64_t expires_us;
    if (!exp)
        return IDENTITY_JOSE_NO_EXPIRY;
    if (!read_time(exp, &expires_us))
        return IDENTITY_JOSE_CLAIMS;
    if (now_us >= expires_us + LEEWAY_US)
        return IDENTITY_JOSE_EXPIRED;
    enum identity_jose_refusal refusal = check_begin(claims, "nbf", now_us);
    if (refusal == IDENTITY_JOSE_ACCEPTED)
        refusal = check_begin(claims, "iat", now_us);
    if (refusal == IDENTITY_JOSE_ACCEPTED)
        *ret_expires_us = expires_us;
    return refusal;
}

enum identity_jose_refusal identity__claims_check(const struct identity_jose_policy *policy,
                                                  json_t *claims, int64_t now_us,
                                                  int64_t *ret_expires_us)
{
    const json_t *iss = json_object_get(claims, "iss");
    if (policy->issuer.len && !(json_is_string(iss) && slice_eq(json_slice(iss), policy->issuer)))
        return IDENTITY_JOSE_ISSUER;
    if (policy->audience.len && !has_audience(json_object_get(claims, "aud"), policy->audience))
        return IDENTITY_JOSE_AUDIENCE;
    return check_times(claims, now_us, ret_expires_us);
}
