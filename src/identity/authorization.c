/* identity/authorization.c - Headers Authorization. */
#include "identity/authorization.h"

#include <sodium.h>

#include "base/arena.h"
#include "http/http.h"

#define BASIC_BYTES_MAX ((size_t)1024)

static const struct slice bearer = SLICE_INIT("Bearer "), basic = SLICE_INIT("Basic ");

static bool is_of(struct slice header, struct slice scheme)
{
    return slice_eq_nocase(slice_head(header, scheme.len), scheme);
}

struct slice identity_bearer_of(struct slice header)
{
    struct slice token = slice_trim(slice_from(header, bearer.len));
    return is_of(header, bearer) && token.len ? token : SLICE_NULL;
}

bool identity_is_basic(struct slice header)
{
    return is_of(header, basic);
}

static bool decode_form(struct arena *arena, struct slice text, struct slice *ret)
{
    const struct http_param *params;
    unsigned len;
    struct slice pair = arena_printf(arena, "v=%.*s", SLICE_ARG(text));
    if (!pair.data || slice_find(text, '&') != SIZE_MAX ||
        http_form_parse(arena, pair, &params, &len) != STATUS_OK || len != 1)
        return false;
    *ret = params[0].value;
    return true;
}

bool identity_basic_read(struct arena *arena, struct slice header, struct slice *ret_name,
                         struct slice *ret_secret)
{
    struct slice text = slice_trim(slice_from(header, basic.len));
    char *plain = arena_alloc(arena, BASIC_BYTES_MAX);
    size_t len;
    if (!is_of(header, basic) || !plain || text.len > BASIC_BYTES_MAX ||
        sodium_base642bin((unsigned char *)plain, BASIC_BYTES_MAX, text.data, text.len, NULL, &len,
                          NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    struct slice both = slice_of(plain, len);
    size_t colon = slice_find(both, ':');
    return colon != SIZE_MAX && decode_form(arena, slice_head(both, colon), ret_name) &&
           decode_form(arena, slice_from(both, colon + 1), ret_secret);
}
