/*
 * The keys of the protective standards: what has to fit together, for everybody and for the paths
 * of `routes`.
 */
#include "base/clock.h"
#include "base/macros.h"
#include "cmd/config.h"
#include "cmd/edge.h"

struct checking {
    const struct config *config;
    struct slice file;
    int line;
    struct diag *diag;
};

static void refuse(const struct checking *ch, const char *key, const char *why)
{
    diag_add(ch->diag, ch->file, ch->line, 0, slice_cstr(key), SLICE_NULL, "%s", why);
}

/* -- text that becomes a header
 * --------------------------------------------------------------------------- */

static bool is_header_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' || text.data[i] > '~')
            return false;
    }
    return true;
}

static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_alnum && c != '-' && c != '_' && c != '.')
            return false;
    }
    return text.len > 0;
}

/* Names of headers or cookies, with commas. */
static bool is_names(struct slice list)
{
    struct slice part;
    while (slice_split(&list, ',', &part)) {
        if (!is_token(slice_trim(part)))
            return false;
    }
    return true;
}

static void check_headers(const struct checking *ch)
{
    const struct config *c = ch->config;
    if (!is_header_text(c->headers_csp))
        refuse(ch, "headers.csp", "must be printable ASCII");
    if (!is_header_text(c->headers_permissions))
        refuse(ch, "headers.permissions", "must be printable ASCII");
    if (c->headers_hsts_preload &&
        (!c->headers_hsts_subdomains || c->headers_hsts_us < 365 * CLOCK_DAY))
        refuse(ch, "headers.hsts_preload",
               "asks for headers.hsts of a year at least (365d) and headers.hsts_subdomains");
    if (config_is_production(c) &&
        (slice_find_slice(c->headers_csp, SLICE("'unsafe-inline'")) != SIZE_MAX ||
         slice_find_slice(c->headers_csp, SLICE("'unsafe-eval'")) != SIZE_MAX))
        refuse(ch, "headers.csp",
               "production refuses 'unsafe-inline' and 'unsafe-eval': name hashes or nonces");
}

/* -- CORS and CSRF
 * ---------------------------------------------------------------------------------------- */

static bool is_local(struct slice origin)
{
    return slice_starts(origin, SLICE("http://localhost")) ||
           slice_starts(origin, SLICE("http://127.0.0.1")) ||
           slice_starts(origin, SLICE("http://[::1]"));
}

static void check_cors(const struct checking *ch)
{
    const struct config *c = ch->config;
    struct http_policy policy = edge_policy(c, SLICE_NULL);
    const char *wrong = http_cors_check(&policy.cors);
    if (wrong)
        refuse(ch, "cors.origins", wrong);
    if (!is_names(c->cors_headers))
        refuse(ch, "cors.headers", "must be names of headers, comma-separated");
    if (!is_names(c->cors_expose))
        refuse(ch, "cors.expose", "must be names of headers, comma-separated");
    struct slice rest = c->cors_origins, origin;
    while (!wrong && c->cors_credentials && config_is_production(c) && c->cors_origins.len &&
           slice_split(&rest, ',', &origin)) {
        origin = slice_trim(origin);
        if (slice_starts(origin, SLICE("http://")) && !is_local(origin))
            refuse(ch, "cors.origins",
                   "production refuses http:// origins with credentials: whoever is on the way "
                   "could act for the people who are signed in");
    }
}

static void check_csrf(const struct checking *ch)
{
    const struct config *c = ch->config;
    const struct http_cors_policy trusted = { .origins = c->csrf_origins, .credentials = true };
    if (http_cors_check(&trusted))
        refuse(ch, "csrf.origins",
               "must be origins such as https://app.example.org; neither `*` nor `null`");
    if (!is_names(c->csrf_sessions))
        refuse(ch, "csrf.sessions", "must be names of cookies, comma-separated");
    if (!is_token(c->csrf_cookie))
        refuse(ch, "csrf.cookie", "must be the name of a cookie");
}

/* -- dates of the API
 * --------------------------------------------------------------------------------- */

bool config_date(struct slice text, int64_t *ret_us)
{
    int32_t days;
    if (clock_parse_date(text, &days)) {
        *ret_us = days * CLOCK_DAY;
        return true;
    }
    return clock_parse_rfc3339(text, ret_us);
}

/* 0 when there is none or it is wrong, which is said. */
static int64_t check_date(const struct checking *ch, const char *key, struct slice text)
{
    int64_t us = 0;
    if (text.len && (!config_date(text, &us) || us <= 0)) {
        refuse(ch, key, "must be a date such as 2027-01-31, or a time in RFC 3339");
        return 0;
    }
    return us;
}

static void check_dates(const struct checking *ch)
{
    const struct config *c = ch->config;
    int64_t deprecated_us = check_date(ch, "api.deprecated", c->api_deprecated);
    int64_t sunset_us = check_date(ch, "api.sunset", c->api_sunset);
    /* RFC 9745 section 4 */
    if (deprecated_us && sunset_us && sunset_us < deprecated_us)
        refuse(ch, "api.sunset", "must not be before api.deprecated");
    if (c->api_gone_after_sunset && !c->api_sunset.len)
        refuse(ch, "api.gone_after_sunset", "needs api.sunset");
    struct slice link = c->api_deprecation_link;
    if (link.len && (!is_header_text(link) || slice_find(link, '>') != SIZE_MAX ||
                     slice_find(link, ' ') != SIZE_MAX))
        refuse(ch, "api.deprecation_link", "must be a URL");
}

void config_check_edge(const struct config *config, struct slice file, int line, struct diag *diag)
{
    const struct checking ch = { .config = config, .file = file, .line = line, .diag = diag };
    check_headers(&ch);
    check_cors(&ch);
    check_csrf(&ch);
    check_dates(&ch);
}
