/*
 * http/security_headers.c - The protective headers of every answer, and the names that never leave.
 *
 * What a policy says of them never changes, so the lines are written once at start: one block for
 * each profile, clear or over TLS. An answer with them costs one copy. The lines that a handler
 * set itself (a page with a policy of its own) are left out of the copy of that answer.
 *
 * A block is the lines with "no-store" before and "no-cache" behind, so that each of the three
 * answers to "may this be kept?" is one piece of the same text.
 */
#include "http/internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"

#define BLOCK_BYTES_MAX ((size_t)16 * 1024)
#define HSTS_DEFAULT_US (730 * CLOCK_DAY)

static const char no_store[] = "Cache-Control: no-store\r\n";
/* Kept by the one who asked, shown only after we said that it still holds: rows with an ETag. */
static const char revalidate[] = "Cache-Control: private, no-cache\r\n";

/* -- names that tell what runs here
 * ----------------------------------------------------------------------- */

/* OWASP Secure Headers Project, headers_remove.json, and what its kind goes by elsewhere. Lower
 * case, in the order of strcmp. */
static const char *const disclosing[] = {
    "$wsep",
    "host-header",
    "k-proxy-request",
    "liferay-portal",
    "microsoftsharepointteamservices",
    "oraclecommercecloud-version",
    "pega-host",
    "powered-by",
    "product",
    "server",
    "sourcemap",
    "sprequestduration",
    "sprequestguid",
    "x-app-version",
    "x-application-context",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-atmosphere-error",
    "x-atmosphere-first-request",
    "x-atmosphere-tracking-id",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-backend",
    "x-backend-host",
    "x-backend-server",
    "x-beserver",
    "x-calculatedbetarget",
    "x-calculatedfetarget",
    "x-cf-powered-by",
    "x-cms",
    "x-cocoon-version",
    "x-content-encoded-by",
    "x-debug-token",
    "x-debug-token-link",
    "x-diaginfo",
    "x-drupal-cache",
    "x-drupal-dynamic-cache",
    "x-dtagentid",
    "x-dthealthcheck",
    "x-dtinjectedservlet",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-original-dst-host",
    "x-envoy-upstream-service-time",
    "x-feserver",
    "x-framework",
    "x-generated-by",
    "x-generator",
    "x-hostname",
    "x-jitsi-release",
    "x-joomla-version",
    "x-kong-proxy-latency",
    "x-kong-upstream-latency",
    "x-kubernetes-pf-flowschema-ui",
    "x-kubernetes-pf-flowschema-uid",
    "x-kubernetes-pf-prioritylevel-uid",
    "x-litespeed-cache",
    "x-litespeed-cache-control",
    "x-litespeed-purge",
    "x-litespeed-tag",
    "x-litespeed-vary",
    "x-magento-cache-debug",
    "x-magento-tags",
    "x-mod-pagespeed",
    "x-nextjs-cache",
    "x-nextjs-matched-path",
    "x-nextjs-page",
    "x-nextjs-prerender",
    "x-nextjs-redirect",
    "x-nextjs-stale-time",
    "x-old-content-length",
    "x-oneagent-js-injection",
    "x-owa-version",
    "x-page-speed",
    "x-php-version",
    "x-pingback",
    "x-powered-by",
    "x-powered-by-plesk",
    "x-powered-cms",
    "x-rack-cache",
    "x-redirect-by",
    "x-runtime",
    "x-ruxit-js-agent",
    "x-served-by",
    "x-server",
    "x-server-name",
    "x-server-powered-by",
    "x-sharepointhealthscore",
    "x-shopify-stage",
    "x-sourcefiles",
    "x-sourcemap",
    "x-turbo-charged-by",
    "x-umbraco-version",
    "x-varnish",
    "x-varnish-backend",
    "x-varnish-server",
    "x-version",
};
#define DISCLOSING_LEN_MAX 33u

static char lower(char c)
{
    return (char)(c | (c >= 'A' && c <= 'Z' ? 0x20 : 0));
}

bool http_header_is_disclosing(struct slice name)
{
    /* Nearly every name that is asked about begins with none of these. */
    if (name.len == 0 || name.len > DISCLOSING_LEN_MAX || !strchr("$hklmopsx", lower(*name.data)))
        return false;
    char text[DISCLOSING_LEN_MAX + 1];
    for (size_t i = 0; i < name.len; i++)
        text[i] = lower(name.data[i]);
    text[name.len] = '\0';
    size_t from = 0, to = ARRAY_LEN(disclosing);
    while (from < to) {
        size_t middle = (from + to) / 2;
        int order = strcmp(text, disclosing[middle]);
        if (order == 0)
            return strlen(text) == name.len; /* no zero byte in the name */
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return false;
}

/* -- what a handler may say itself
 * ------------------------------------------------------------------------ */

static const struct {
    struct slice name;
    unsigned own;
} ours[] = {
    { SLICE_INIT("Cache-Control"), HTTP__OWN_CACHE },
    { SLICE_INIT("ETag"), HTTP__OWN_ETAG },
    { SLICE_INIT("Content-Disposition"), HTTP__OWN_DISPOSITION },
    { SLICE_INIT("Content-Security-Policy"), 1u << 3 },
    { SLICE_INIT("Referrer-Policy"), 1u << 4 },
    { SLICE_INIT("Permissions-Policy"), 1u << 5 },
    { SLICE_INIT("X-Frame-Options"), 1u << 6 },
    { SLICE_INIT("Cross-Origin-Opener-Policy"), 1u << 7 },
    { SLICE_INIT("Cross-Origin-Embedder-Policy"), 1u << 8 },
    { SLICE_INIT("Cross-Origin-Resource-Policy"), 1u << 9 },
    { SLICE_INIT("X-Permitted-Cross-Domain-Policies"), 1u << 10 },
    { SLICE_INIT("X-DNS-Prefetch-Control"), 1u << 11 },
    { SLICE_INIT("X-Content-Type-Options"), 1u << 12 },
    { SLICE_INIT("X-XSS-Protection"), 1u << 13 },
    { SLICE_INIT("Strict-Transport-Security"), 1u << 14 },
    { SLICE_INIT("Deprecation"), 1u << 15 },
    { SLICE_INIT("Sunset"), 1u << 16 },
};
#define OWN_LINES (~(unsigned)(HTTP__OWN_CACHE | HTTP__OWN_ETAG))

unsigned http__own_header(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (name.len == ours[i].name.len && slice_eq_nocase(name, ours[i].name))
            return ours[i].own;
    }
    return 0;
}

/* -- blocks
 * ---------------------------------------------------------------------------------------------- */

static struct slice or_else(struct slice text, const char *fallback)
{
    return text.len ? text : slice_cstr(fallback);
}

static void put_line(struct buf *out, const char *name, struct slice value)
{
    buf_put_cstr(out, name);
    buf_put_lit(out, ": ");
    buf_put_slice(out, value);
    buf_put_lit(out, "\r\n");
}

static struct slice csp_of(const struct http_headers_policy *p, enum http_profile profile)
{
    if (profile == HTTP_PROFILE_HTML)
        return or_else(p->csp, HTTP_CSP_PAGE);
    /* Somebody else's bytes: should they be shown after all, then without script, forms or our
     * origin. */
    if (profile == HTTP_PROFILE_DOWNLOAD)
        return SLICE("default-src 'none'; frame-ancestors 'none'; sandbox");
    return SLICE("default-src 'none'; frame-ancestors 'none'");
}

static void put_hsts(struct buf *out, const struct http_headers_policy *p)
{
    if (p->hsts_us < 0)
        return;
    int64_t us = p->hsts_us ? p->hsts_us : HSTS_DEFAULT_US;
    buf_put_lit(out, "Strict-Transport-Security: max-age=");
    buf_put_i64(out, us / CLOCK_SECOND);
    if (!p->hsts_host_only)
        buf_put_lit(out, "; includeSubDomains");
    if (p->hsts_preload)
        buf_put_lit(out, "; preload");
    buf_put_lit(out, "\r\n");
}

static void put_protection(struct buf *out, const struct http_headers_policy *p,
                           enum http_profile profile, bool is_secure)
{
    put_line(out, "X-Content-Type-Options", SLICE("nosniff"));
    put_line(out, "Content-Security-Policy", csp_of(p, profile));
    put_line(out, "X-Frame-Options", SLICE("DENY"));
    put_line(out, "Referrer-Policy", or_else(p->referrer, "no-referrer"));
    put_line(out, "Permissions-Policy", or_else(p->permissions, HTTP_PERMISSIONS));
    put_line(out, "Cross-Origin-Opener-Policy", SLICE("same-origin"));
    put_line(out, "Cross-Origin-Embedder-Policy", SLICE("require-corp"));
    put_line(out, "Cross-Origin-Resource-Policy", or_else(p->resource, "same-origin"));
    put_line(out, "X-Permitted-Cross-Domain-Policies", SLICE("none"));
    /* The filter it steers was itself a hole; old audits still ask for the value of old. */
    put_line(out, "X-XSS-Protection", p->compat ? SLICE("1; mode=block") : SLICE("0"));
    if (profile == HTTP_PROFILE_HTML)
        put_line(out, "X-DNS-Prefetch-Control", SLICE("off"));
    if (profile == HTTP_PROFILE_DOWNLOAD)
        put_line(out, "Content-Disposition", SLICE("attachment"));
    if (is_secure)
        put_hsts(out, p);
}

static enum status block_make(struct arena *arena, const struct http_policy *policy,
                              const struct http__standards *s, enum http_profile profile,
                              bool is_secure, struct slice *ret_block)
{
    struct buf b;
    buf_init(&b, arena, 1024, BLOCK_BYTES_MAX);
    bool is_off = profile == HTTP_PROFILE_OFF;
    if (!is_off)
        buf_put_lit(&b, no_store);
    if (!is_off)
        put_protection(&b, &policy->headers, profile, is_secure);
    http__cors_put_fixed(s, &b);
    http__deprecation_put_fixed(policy, &b);
    if (!is_off)
        buf_put_lit(&b, revalidate);
    *ret_block = buf_slice(&b);
    return buf_status(&b);
}

enum status http__blocks_make(struct arena *arena, const struct http_policy *policy,
                              struct http__standards *s)
{
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < HTTP__PROFILES && st == STATUS_OK; i++) {
        enum http_profile profile = policy->headers.profile == HTTP_PROFILE_OFF
                                        ? HTTP_PROFILE_OFF
                                        : (enum http_profile)(HTTP_PROFILE_API + i);
        for (unsigned secure = 0; secure < 2 && st == STATUS_OK; secure++)
            st = block_make(arena, policy, s, profile, secure, &s->blocks[i][secure]);
    }
    return st;
}

/* -- an answer
 * ------------------------------------------------------------------------------------------------
 */

static bool is_page(const char *content_type)
{
    return content_type && content_type[0] == 't' && strncmp(content_type, "text/html", 9) == 0;
}

static bool is_attachment(const struct http_request *req)
{
    for (unsigned i = 0; req->own & HTTP__OWN_DISPOSITION && i < req->headers_len; i++) {
        const struct net_header *h = &req->headers[i];
        if (slice_eq_nocase(h->name, SLICE("Content-Disposition")))
            return slice_starts(h->value, SLICE("attachment"));
    }
    return false;
}

static enum http_profile profile_of(const struct http_request *req, int status,
                                    const char *content_type)
{
    enum http_profile wanted = req->policy->headers.profile;
    if (is_page(content_type))
        return wanted == HTTP_PROFILE_DOWNLOAD && status < 400 ? wanted : HTTP_PROFILE_HTML;
    if (status >= 400) /* a problem, whatever the route would have answered */
        return HTTP_PROFILE_API;
    if (wanted != HTTP_PROFILE_AUTO)
        return wanted;
    return is_attachment(req) ? HTTP_PROFILE_DOWNLOAD : HTTP_PROFILE_API;
}

/* The lines of a block that the handler did not write itself. */
static struct slice without_own(struct http_request *req, struct slice block)
{
    struct buf b;
    buf_init(&b, http_arena(req), block.len, block.len);
    struct slice rest = block, line;
    while (rest.len && slice_split(&rest, '\n', &line)) {
        if (req->own & OWN_LINES & http__own_header(slice_head(line, slice_find(line, ':'))))
            continue;
        buf_put_slice(&b, line);
        buf_putc(&b, '\n');
    }
    return buf_status(&b) == STATUS_OK ? buf_slice(&b) : block;
}

/* Everything a developer ever runs answers at this name: a browser that was told "TLS only, for two
 * years" by one of them would not open the others any more. */
static bool is_localhost(struct slice host)
{
    return slice_eq_nocase(slice_head(host, MIN(host.len, slice_find(host, ':'))),
                           SLICE("localhost"));
}

struct slice http__fixed_headers(struct http_request *req, int status, const char *content_type)
{
    const struct http__standards *s = http__standards_of(req);
    bool is_off = req->policy->headers.profile == HTTP_PROFILE_OFF;
    enum http_profile profile = is_off ? HTTP_PROFILE_API : profile_of(req, status, content_type);
    bool is_strict = http__is_secure(req) && !is_localhost(http_net(req)->host);
    struct slice block = s->blocks[profile - HTTP_PROFILE_API][is_strict];
    if (!is_off) {
        bool may_keep = status == 304 || req->own & HTTP__OWN_ETAG;
        if (may_keep || req->own & HTTP__OWN_CACHE)
            block = slice_from(block, sizeof(no_store) - 1);
        if (!may_keep || req->own & HTTP__OWN_CACHE)
            block.len -= sizeof(revalidate) - 1;
    }
    return UNLIKELY(req->own & OWN_LINES && block.len) ? without_own(req, block) : block;
}
