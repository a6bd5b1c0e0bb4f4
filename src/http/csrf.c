/*
 * http/csrf.c - A request that changes something and carries a session cookie must come from our
 * own pages: the browser sends the cookie along whoever made it send the request.
 *
 * Three answers are asked, in this order. Fetch Metadata (Sec-Fetch-Site), which no script can
 * set: another site is refused, our own passes. Where an old browser does not send it, Origin, or
 * else Referer, must name the host that was asked, or an origin that may use cookies here (CORS
 * with credentials, or csrf.origins). Then the token: the header X-CSRF-Token beside the cookie
 * that script of our own origin can read, both signed for this very session, so that neither a
 * planted cookie nor the token of somebody else's session helps.
 *
 * A token is base64url of: version, issued (seconds, 8 bytes), 16 random bytes, HMAC-SHA256 of
 * these and the session's cookie. It ends with the session, with its lifetime, or with the secret
 * (the one before is still accepted). Past half its life a good one is replaced in the answer;
 * until the page has read the new cookie, the old header beside it is as good.
 *
 * Not asked of a bearer token or an API key: a browser adds neither by itself. Basic and the like
 * it does add, so they do not count.
 */
#include "http/internal.h"

#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"

#define TOKEN_VERSION 1u
#define SIGNED_BYTES (1u + 8u + 16u)
#define TOKEN_BYTES (SIGNED_BYTES + crypto_auth_hmacsha256_BYTES)
#define TTL_DEFAULT_US (24 * CLOCK_HOUR)
#define SKEW_US (60 * CLOCK_SECOND) /* a token of another node, whose clock is ahead */

_Static_assert(HTTP_CSRF_TOKEN_LEN == (TOKEN_BYTES * 4 + 2) / 3, "base64url without padding");
_Static_assert(HTTP__CSRF_KEY_BYTES == crypto_auth_hmacsha256_KEYBYTES, "the key of the HMAC");

/* -- the token
 * -------------------------------------------------------------------------------------------- */

void http__csrf_keys_make(struct http_app *app, struct slice secret, struct slice previous)
{
    static const char purpose[] = "purlin csrf 1";
    const struct slice secrets[] = { secret, previous };
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        uint8_t *key = app->csrf_keys[i];
        if (secrets[i].len == 0) { /* of nobody: tokens end with the process */
            randombytes_buf(key, HTTP__CSRF_KEY_BYTES);
            continue;
        }
        crypto_generichash_state state;
        (void)crypto_generichash_init(&state, NULL, 0, HTTP__CSRF_KEY_BYTES);
        (void)crypto_generichash_update(&state, (const uint8_t *)purpose, sizeof(purpose));
        (void)crypto_generichash_update(&state, (const uint8_t *)secrets[i].data, secrets[i].len);
        (void)crypto_generichash_final(&state, key, HTTP__CSRF_KEY_BYTES);
    }
}

static void token_sign(const uint8_t key[HTTP__CSRF_KEY_BYTES], const uint8_t *head,
                       struct slice session, uint8_t mac[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state state;
    (void)crypto_auth_hmacsha256_init(&state, key, HTTP__CSRF_KEY_BYTES);
    (void)crypto_auth_hmacsha256_update(&state, head, SIGNED_BYTES);
    (void)crypto_auth_hmacsha256_update(&state, (const uint8_t *)session.data, session.len);
    (void)crypto_auth_hmacsha256_final(&state, mac);
}

void http_csrf_token_make(const struct http_app *app, struct slice session,
                          char out[HTTP_CSRF_TOKEN_LEN])
{
    uint8_t token[TOKEN_BYTES];
    uint64_t seconds = (uint64_t)(clock_wall_us() / CLOCK_SECOND);
    token[0] = TOKEN_VERSION;
    for (unsigned i = 0; i < 8; i++)
        token[1 + i] = (uint8_t)(seconds >> (56 - 8 * i));
    random_bytes(token + 9, 16);
    token_sign(app->csrf_keys[0], token, session, token + SIGNED_BYTES);
    char text[HTTP_CSRF_TOKEN_LEN + 1]; /* sodium ends it with a zero */
    (void)sodium_bin2base64(text, sizeof(text), token, sizeof(token),
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    memcpy(out, text, HTTP_CSRF_TOKEN_LEN);
}

/* Microseconds since it was issued; negative when it is not good. */
static int64_t token_age_us(const struct http_app *app, struct slice session, struct slice token,
                            int64_t ttl_us)
{
    uint8_t bytes[TOKEN_BYTES], mac[crypto_auth_hmacsha256_BYTES];
    size_t len;
    if (token.len != HTTP_CSRF_TOKEN_LEN || session.len == 0 ||
        sodium_base642bin(bytes, sizeof(bytes), token.data, token.len, NULL, &len, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        len != sizeof(bytes) || bytes[0] != TOKEN_VERSION)
        return -1;
    bool is_signed = false;
    for (size_t i = 0; i < ARRAY_LEN(app->csrf_keys); i++) {
        token_sign(app->csrf_keys[i], bytes, session, mac);
        is_signed |= sodium_memcmp(mac, bytes + SIGNED_BYTES, sizeof(mac)) == 0;
    }
    if (!is_signed)
        return -1;
    uint64_t seconds = 0;
    for (unsigned i = 0; i < 8; i++)
        seconds = seconds << 8 | bytes[1 + i];
    /* We signed it, so the number is one of our clock's. */
    int64_t age_us = clock_wall_us() - (int64_t)seconds * CLOCK_SECOND;
    if (age_us < -SKEW_US || age_us > ttl_us)
        return -1;
    return MAX(age_us, (int64_t)0);
}

int64_t http__csrf_ttl_of(const struct http_csrf_policy *policy)
{
    return policy->ttl_us ? policy->ttl_us : TTL_DEFAULT_US;
}

bool http_csrf_token_verify(const struct http_app *app, struct slice session, struct slice token)
{
    int64_t ttl_us = __atomic_load_n(&app->csrf_ttl_us, __ATOMIC_RELAXED);
    return token_age_us(app, session, token, ttl_us) >= 0;
}

/* -- cookies
 * ---------------------------------------------------------------------------------------------- */

struct slice http__cookie_of(const struct net_request *r, struct slice name)
{
    if (r->by_id[NET_HEADER_COOKIE] < 0)
        return SLICE_NULL;
    /* HTTP/2 may send one field for each. */
    for (unsigned i = (unsigned)r->by_id[NET_HEADER_COOKIE]; i < r->headers_len; i++) {
        struct slice rest = r->headers[i].value, pair;
        if (r->headers[i].id != NET_HEADER_COOKIE)
            continue;
        while (slice_split(&rest, ';', &pair)) {
            pair = slice_trim(pair);
            size_t equals = slice_find(pair, '=');
            if (equals != SIZE_MAX && slice_eq(slice_head(pair, equals), name))
                return slice_from(pair, equals + 1);
        }
    }
    return SLICE_NULL;
}

struct slice http_cookie(const struct http_request *req, struct slice name)
{
    return http__cookie_of(http_net(req), name);
}

static struct slice cookie_name(const struct http_csrf_policy *policy)
{
    return policy->cookie.len ? policy->cookie : SLICE(HTTP_CSRF_COOKIE);
}

/* The value of the first session cookie there is. */
static struct slice session_of(const struct http_request *req)
{
    const struct http_csrf_policy *policy = &req->policy->csrf;
    struct slice rest = policy->sessions.len ? policy->sessions : SLICE(HTTP_SESSION_COOKIE), name;
    while (slice_split(&rest, ',', &name)) {
        struct slice value = http_cookie(req, slice_trim(name));
        if (value.len)
            return value;
    }
    return SLICE_NULL;
}

enum status http_csrf_token_issue(struct http_request *req, struct slice session,
                                  struct slice *ret_token)
{
    struct slice name = cookie_name(&req->policy->csrf);
    char token[HTTP_CSRF_TOKEN_LEN];
    if (session.len == 0)
        return STATUS_INVALID;
    http_csrf_token_make(req->app, session, token);
    /* Not HttpOnly: our own script reads it. Without an age it goes with the browser's session. */
    struct buf b;
    buf_init(&b, http_arena(req), 256, 1024);
    buf_put_slice(&b, name);
    buf_putc(&b, '=');
    buf_put(&b, token, sizeof(token));
    buf_put_lit(&b, "; Path=/; Secure; SameSite=Strict");
    if (buf_status(&b) != STATUS_OK)
        return buf_status(&b);
    http_header_add(req, SLICE("Set-Cookie"), buf_slice(&b));
    *ret_token = slice_of(buf_slice(&b).data + name.len + 1, sizeof(token));
    return STATUS_OK;
}

/* -- where a request comes from
 * --------------------------------------------------------------------------- */

static bool is_safe(enum net_method method)
{
    return method == NET_METHOD_GET || method == NET_METHOD_HEAD || method == NET_METHOD_OPTIONS;
}

/* Credentials that a browser does not add by itself. */
static bool has_own_credentials(const struct net_request *r)
{
    static const char *const ambient[] = { "basic", "digest", "negotiate", "ntlm", "mutual" };
    if (net_header_get(r, NET_HEADER_X_API_KEY))
        return true;
    const struct net_header *authorization = net_header_get(r, NET_HEADER_AUTHORIZATION);
    if (!authorization || !authorization->value.len)
        return false;
    struct slice scheme = slice_head(authorization->value, slice_find(authorization->value, ' '));
    for (size_t i = 0; i < ARRAY_LEN(ambient); i++) {
        if (slice_eq_nocase(scheme, slice_cstr(ambient[i])))
            return false;
    }
    return true;
}

/* "Host:443" of https is "host": what the default port adds is left off. */
static struct slice without_port(struct slice authority, struct slice scheme)
{
    const char *port = slice_eq(scheme, SLICE("https")) ? ":443" : ":80";
    if (slice_ends(authority, slice_cstr(port)))
        authority.len -= strlen(port);
    return authority;
}

/* Whether an origin is that of the host that was asked. Behind a proxy that ends TLS we may be
 * asked in clear what the page knows as https, never the other way round. */
static bool is_own_origin(const struct http_request *req, struct slice origin)
{
    size_t colon = slice_find_slice(origin, SLICE("://"));
    if (colon == SIZE_MAX)
        return false;
    struct slice scheme = slice_head(origin, colon), authority = slice_from(origin, colon + 3);
    bool is_https = slice_eq(scheme, SLICE("https"));
    if (!is_https && (http__is_secure(req) || !slice_eq(scheme, SLICE("http"))))
        return false;
    return slice_eq_nocase(without_port(authority, scheme),
                           without_port(http__host(req), scheme)) &&
           authority.len > 0;
}

static bool is_trusted(const struct http_request *req, struct slice origin)
{
    const struct http__standards *s = http__standards_of(req);
    if (slice_eq(origin, SLICE("null")))
        return false;
    return is_own_origin(req, origin) || http__origins_have(&s->csrf_origins, origin) ||
           (req->policy->cors.credentials && http__origins_have(&s->origins, origin));
}

/* The origin of a URL: up to the first slash after the host. */
static struct slice origin_of_url(struct slice url)
{
    size_t colon = slice_find_slice(url, SLICE("://"));
    if (colon == SIZE_MAX)
        return SLICE_NULL;
    size_t slash = slice_find(slice_from(url, colon + 3), '/');
    return slash == SIZE_MAX ? url : slice_head(url, colon + 3 + slash);
}

/* What the browser says of where the request was made. SAYS_NOTHING: no header that tells. */
enum says { SAYS_OURS, SAYS_OTHER, SAYS_NOTHING };

static enum says says_site(const struct http_request *req)
{
    struct slice site = net_header_find(http_net(req), SLICE("sec-fetch-site"));
    const struct net_header *origin = net_header_get(http_net(req), NET_HEADER_ORIGIN);
    if (slice_eq(site, SLICE("same-origin")) || slice_eq(site, SLICE("none")))
        return SAYS_OURS;
    if (slice_eq(site, SLICE("same-site")) && req->policy->csrf.same_site)
        return SAYS_OURS;
    if (origin)
        return is_trusted(req, origin->value) ? SAYS_OURS : SAYS_OTHER;
    if (site.len)
        return SAYS_OTHER;
    const struct net_header *referer = net_header_get(http_net(req), NET_HEADER_REFERER);
    if (!referer || !referer->value.len)
        return SAYS_NOTHING;
    return is_trusted(req, origin_of_url(referer->value)) ? SAYS_OURS : SAYS_OTHER;
}

bool http_is_cross_site(const struct http_request *req)
{
    return says_site(req) == SAYS_OTHER;
}

/* -- the step
 * -------------------------------------------------------------------------------------------- */

static bool refuse(struct http_request *req, enum http__standards_metric why, const char *detail)
{
    http__standards_count(req, why);
    http__send_simple(req, STATUS_DENIED, 0, "http/csrf", detail);
    return false;
}

static bool check_token(struct http_request *req, struct slice session)
{
    const struct http_csrf_policy *policy = &req->policy->csrf;
    struct slice header = net_header_find(http_net(req), SLICE("x-csrf-token"));
    struct slice cookie = http_cookie(req, cookie_name(policy));
    if (!header.len || !cookie.len)
        return refuse(req, HTTP__CSRF_MISSING,
                      "A change with a session cookie needs the header X-CSRF-Token with the value "
                      "of the CSRF cookie.");
    int64_t age_us = token_age_us(req->app, session, header, http__csrf_ttl_of(policy));
    bool cookie_is_good =
        age_us >= 0 && (slice_eq(header, cookie) ||
                        token_age_us(req->app, session, cookie, http__csrf_ttl_of(policy)) >= 0);
    if (!cookie_is_good)
        return refuse(req, HTTP__CSRF_BAD,
                      "X-CSRF-Token is not a current token of this session: get a new one.");
    struct slice renewed;
    if (age_us > http__csrf_ttl_of(policy) / 2)
        (void)http_csrf_token_issue(req, session, &renewed); /* else the next answer does */
    return true;
}

static bool before(struct http_request *req)
{
    const struct http_csrf_policy *policy = &req->policy->csrf;
    if (is_safe(http_method(req)) || http_net(req)->by_id[NET_HEADER_COOKIE] < 0 || policy->off ||
        req->refused || (req->route && req->route->route.signs_in))
        return true;
    struct slice session = session_of(req);
    if (!session.len || has_own_credentials(http_net(req)))
        return true;
    enum says says = says_site(req);
    if (says == SAYS_OTHER)
        return refuse(req, HTTP__CSRF_CROSS,
                      "This change was made by a page of another site, which may not use the "
                      "session here.");
    if (policy->token_is_fallback && says == SAYS_OURS)
        return true;
    return check_token(req, session);
}

const struct http__step http__step_csrf = {
    .name = "csrf",
    .before = before,
};
