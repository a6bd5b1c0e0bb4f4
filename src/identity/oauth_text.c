/* identity/oauth_text.c - Parameters, scopes, redirect URIs, PKCE. */
#include "identity/oauth_text.h"

#include <sodium.h>
#include <string.h>

#include "base/buf.h"
#include "base/macros.h"

/* -- parameters
 * ---------------------------------------------------------------------------------------- */

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return true;
    return false;
}

const char *identity_oauth_params_check(const struct identity_oauth_params *params)
{
    for (unsigned i = 0; i < params->len; i++) {
        const struct http_param *param = &params->items[i];
        if (param->value.len > IDENTITY_OAUTH_VALUE_BYTES_MAX)
            return "A parameter is too long.";
        if (has_control(param->name) || has_control(param->value))
            return "A parameter has control characters.";
        if (slice_eq(param->name, SLICE("resource")))
            continue;
        for (unsigned k = 0; k < i; k++)
            if (slice_eq(param->name, params->items[k].name))
                return "A parameter is there more than once.";
    }
    return NULL;
}

struct slice identity_oauth_param(const struct identity_oauth_params *params, const char *name)
{
    for (unsigned i = 0; i < params->len; i++)
        if (slice_eq(params->items[i].name, slice_cstr(name)))
            return params->items[i].value.len ? params->items[i].value : SLICE_NULL;
    return SLICE_NULL;
}

/* -- scopes
 * -------------------------------------------------------------------------------------------- */

bool identity_scope_next(struct slice *rest, struct slice *ret_name)
{
    while (rest->len && slice_split(rest, ' ', ret_name))
        if (ret_name->len)
            return true;
    return false;
}

bool identity_scope_is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c <= ' ' || c > 0x7e || c == '"' || c == '\\')
            return false;
    }
    return name.len > 0 && name.len <= IDENTITY_SCOPE_NAME_MAX;
}

bool identity_scope_is_list(struct slice list)
{
    struct slice name;
    unsigned len = 0;
    if (list.len > IDENTITY_SCOPE_BYTES_MAX)
        return false;
    while (identity_scope_next(&list, &name))
        if (++len > IDENTITY_SCOPES_MAX || !identity_scope_is_name(name))
            return false;
    return true;
}

bool identity_scope_has(struct slice list, struct slice name)
{
    struct slice one;
    while (identity_scope_next(&list, &one))
        if (slice_eq(one, name))
            return true;
    return false;
}

bool identity_scope_is_within(struct slice part, struct slice list)
{
    struct slice one;
    while (identity_scope_next(&part, &one))
        if (!identity_scope_has(list, one))
            return false;
    return true;
}

void identity_scope_put_common(struct buf *out, struct slice list, struct slice allowed)
{
    size_t from = out->len;
    struct slice one;
    while (identity_scope_next(&list, &one)) {
        struct slice put = slice_from(buf_slice(out), from);
        if (!identity_scope_has(allowed, one) || identity_scope_has(put, one))
            continue;
        if (put.len)
            buf_putc(out, ' ');
        buf_put_slice(out, one);
    }
}

/* -- redirect URIs
 * ------------------------------------------------------------------------------------- */

/* Of RFC 3986, without brackets, percent signs and what has a meaning elsewhere. */
static bool is_uri_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~:/?@!$&'()+,;=%[]", c) != NULL);
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-.:[]", c) != NULL);
}

/* "com.example.app": begins with a letter, has a dot. */
static bool is_private_scheme(struct slice scheme)
{
    bool is_good = scheme.len > 0 && scheme.data[0] >= 'a' && scheme.data[0] <= 'z';
    for (size_t i = 0; i < scheme.len && is_good; i++) {
        char c = scheme.data[i];
        is_good =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+';
    }
    return is_good && slice_find(scheme, '.') != SIZE_MAX;
}

/* What stands between "://" and the next "/" or "?". */
static struct slice authority_of(struct slice uri)
{
    size_t start = slice_find_slice(uri, SLICE("://"));
    if (start == SIZE_MAX)
        return SLICE_NULL;
    struct slice rest = slice_from(uri, start + 3);
    size_t len = 0;
    while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?')
        len++;
    return slice_head(rest, len);
}

static struct slice without_port(struct slice authority)
{
    size_t end = authority.len;
    while (end > 0 && authority.data[end - 1] >= '0' && authority.data[end - 1] <= '9')
        end--;
    return end > 0 && authority.data[end - 1] == ':' ? slice_head(authority, end - 1) : authority;
}

static bool is_loopback(struct slice host)
{
    return slice_eq(host, SLICE("127.0.0.1")) || slice_eq(host, SLICE("[::1]"));
}

static const char *check_authority(struct slice uri, bool is_http)
{
    struct slice authority = authority_of(uri), host = without_port(authority);
    for (size_t i = 0; i < authority.len; i++)
        if (!is_host_char(authority.data[i]))
            return "has a user or a character that no host has";
    if (host.len == 0 || host.data[host.len - 1] == ':')
        return "has no host";
    if (is_http && !is_loopback(host) && !slice_eq(host, SLICE("localhost")))
        return "must be https; http is for 127.0.0.1, [::1] and localhost";
    return NULL;
}

const char *identity_redirect_check(struct slice uri)
{
    if (uri.len == 0 || uri.len > IDENTITY_REDIRECT_BYTES_MAX)
        return "is empty or too long";
    for (size_t i = 0; i < uri.len; i++)
        if (!is_uri_char(uri.data[i]))
            return "has a fragment, a wildcard or a character that no URI has";
    size_t colon = slice_find(uri, ':');
    if (colon == SIZE_MAX)
        return "is no absolute URI";
    bool is_http = slice_starts(uri, SLICE("http://"));
    if (is_http || slice_starts(uri, SLICE("https://")))
        return check_authority(uri, is_http);
    if (!is_private_scheme(slice_head(uri, colon)))
        return "must be https, http of this machine, or a scheme such as com.example.app";
    return NULL;
}

bool identity_redirect_matches(struct slice registered, struct slice asked)
{
    if (slice_eq(registered, asked))
        return true;
    struct slice ours = authority_of(registered), theirs = authority_of(asked);
    struct slice host = without_port(ours);
    size_t prefix = sizeof("http://") - 1;
    if (!slice_starts(registered, SLICE("http://")) || !slice_starts(asked, SLICE("http://")) ||
        !is_loopback(host) || !slice_eq(host, without_port(theirs)) ||
        theirs.len > host.len + sizeof(":65535") - 1 || slice_ends(theirs, SLICE(":")))
        return false;
    return slice_eq(slice_from(registered, prefix + ours.len),
                    slice_from(asked, prefix + theirs.len));
}

bool identity_redirect_is_listed(struct slice list, struct slice asked)
{
    struct slice one;
    while (identity_scope_next(&list, &one))
        if (identity_redirect_matches(one, asked))
            return true;
    return false;
}

struct slice identity_redirect_origin(struct slice uri)
{
    struct slice authority = authority_of(uri);
    if (slice_starts(uri, SLICE("http://")) || slice_starts(uri, SLICE("https://")))
        return slice_head(uri, (size_t)(authority.data - uri.data) + authority.len);
    return slice_head(uri, slice_find(uri, ':') + 1);
}

/* -- PKCE
 * -----------------------------------------------------------------------------------------------
 */

static bool is_base64url(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool identity_challenge_is_good(struct slice challenge)
{
    for (size_t i = 0; i < challenge.len; i++)
        if (!is_base64url(challenge.data[i]))
            return false;
    return challenge.len == IDENTITY_CHALLENGE_LEN;
}

bool identity_challenge_is_met(struct slice challenge, struct slice verifier)
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    char text[IDENTITY_CHALLENGE_LEN + 1];
    if (verifier.len < 43 || verifier.len > 128 || challenge.len != IDENTITY_CHALLENGE_LEN)
        return false;
    for (size_t i = 0; i < verifier.len; i++)
        if (!is_base64url(verifier.data[i]) && verifier.data[i] != '.' && verifier.data[i] != '~')
            return false;
    (void)crypto_hash_sha256(digest, (const unsigned char *)verifier.data, verifier.len);
    (void)sodium_bin2base64(text, sizeof(text), digest, sizeof(digest),
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return sodium_memcmp(text, challenge.data, IDENTITY_CHALLENGE_LEN) == 0;
}
