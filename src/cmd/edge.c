#include "cmd/edge.h"

#include "base/arena.h"
#include "base/macros.h"
#include "cmd/config.h"
#include "cmd/rate.h"

static enum http_profile profile_of(struct slice name)
{
    static const char *const names[] = {
        [HTTP_PROFILE_AUTO] = "auto",         [HTTP_PROFILE_OFF] = "off",
        [HTTP_PROFILE_API] = "api",           [HTTP_PROFILE_HTML] = "html",
        [HTTP_PROFILE_DOWNLOAD] = "download",
    };
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, slice_cstr(names[i])))
            return (enum http_profile)i;
    }
    return HTTP_PROFILE_AUTO;
}

static struct http_headers_policy headers_of(const struct config *c)
{
    return (struct http_headers_policy){
        .profile = profile_of(c->headers_profile),
        .compat = c->headers_compat,
        .hsts_us = c->headers_hsts_us ? c->headers_hsts_us : -1,
        .hsts_host_only = !c->headers_hsts_subdomains,
        .hsts_preload = c->headers_hsts_preload,
        .csp = c->headers_csp,
        .referrer = c->headers_referrer,
        .permissions = c->headers_permissions,
        .resource = c->headers_resource,
    };
}

static struct http_cors_policy cors_of(const struct config *c)
{
    return (struct http_cors_policy){
        .origins = c->cors_origins,
        .credentials = c->cors_credentials,
        .private_network = c->cors_private_network,
        .headers = c->cors_headers,
        .expose = c->cors_expose,
        .max_age_us = c->cors_max_age_us,
    };
}

static struct http_csrf_policy csrf_of(const struct config *c)
{
    return (struct http_csrf_policy){
        .off = !c->csrf_enabled,
        .same_site = c->csrf_same_site,
        .token_is_fallback = slice_eq(c->csrf_token, SLICE("fallback")),
        .sessions = c->csrf_sessions,
        .cookie = c->csrf_cookie,
        .origins = c->csrf_origins,
        .ttl_us = c->csrf_ttl_us,
    };
}

/* Dates were checked when they were read. */
static struct http_deprecation_policy deprecation_of(const struct config *c)
{
    struct http_deprecation_policy policy = {
        .gone_after_sunset = c->api_gone_after_sunset,
        .link = c->api_deprecation_link,
    };
    (void)config_date(c->api_deprecated, &policy.deprecated_us);
    (void)config_date(c->api_sunset, &policy.sunset_us);
    return policy;
}

static enum http_signature_mode signature_mode_of(struct slice word)
{
    if (slice_eq(word, SLICE("required")))
        return HTTP_SIGNATURE_REQUIRED;
    return slice_eq(word, SLICE("optional")) ? HTTP_SIGNATURE_OPTIONAL : HTTP_SIGNATURE_OFF;
}

static struct http_signature_policy signature_of(const struct config *c)
{
    return (struct http_signature_policy){
        .mode = signature_mode_of(c->signature_mode),
        .nonce = signature_mode_of(c->signature_nonce),
        .takes_messages = !slice_eq(c->signature_profile, SLICE("hmac")),
        .takes_plain = !slice_eq(c->signature_profile, SLICE("rfc9421")),
        .max_age_us = c->signature_max_age_us,
        .clock_skew_us = c->signature_clock_skew_us,
        .components = c->signature_components,
        .keys = c->signature_accept,
        .tag = c->signature_tag,
    };
}

struct http_policy edge_policy(const struct config *c, struct slice match)
{
    return (struct http_policy){
        .match = match,
        .body_bytes_max = c->body_bytes,
        .timeout_us = c->request_timeout_us,
        .query_max = (unsigned)c->query_params,
        .json_depth_max = (unsigned)c->json_depth,
        .compression = { .off = !c->compression,
                         .with_cookies = c->compression_with_cookies,
                         .bytes_min = c->compression_bytes_min,
                         .types = c->compression_types,
                         .request_ratio_max = c->compression_ratio_max },
        .headers = headers_of(c),
        .cors = cors_of(c),
        .csrf = csrf_of(c),
        .deprecation = deprecation_of(c),
        .signature = signature_of(c),
    };
}

enum status edge_policies(const struct config *config, struct arena *arena,
                          struct http_options *options)
{
    unsigned len = config->routes_len + 1;
    struct http_policy *policies = arena_array_of(arena, struct http_policy, len);
    if (!policies)
        return STATUS_EXHAUSTED;
    policies[0] = edge_policy(config, SLICE_NULL);
    for (unsigned i = 1; i < len; i++)
        policies[i] = edge_policy(config->routes[i - 1].config, config->routes[i - 1].match);
    for (unsigned i = 0; i < len; i++) {
        const struct config *own = i ? config->routes[i - 1].config : config;
        enum status st = rate_policy_read(own, config, policies[i].match, arena, &policies[i].rate);
        if (st != STATUS_OK)
            return st;
    }
    options->coders = (struct http_coders){
        .zstd_level = (int)config->compression_zstd,
        .br_level = (int)config->compression_br,
        .gzip_level = (int)config->compression_gzip,
        .bytes_per_second = config->compression_rate,
    };
    options->policies = policies;
    options->policies_len = len;
    return STATUS_OK;
}

enum status edge_clients(const struct config *config, struct arena *arena,
                         struct http_options *options)
{
    static const struct {
        const char *name;
        enum http_forwarded mode;
    } modes[] = { { "auto", HTTP_FORWARDED_AUTO },
                  { "forwarded", HTTP_FORWARDED_RFC7239 },
                  { "x-forwarded", HTTP_FORWARDED_X },
                  { "off", HTTP_FORWARDED_OFF } };
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (slice_eq(config->forwarded, slice_cstr(modes[i].name)))
            options->forwarded = modes[i].mode;
    }
    options->proxies = &config->proxies;
    struct slice rest = config->hosts, part;
    if (!config->hosts.len)
        return STATUS_OK;
    struct slice *hosts = arena_array_of(arena, struct slice, config->hosts.len / 2 + 1);
    if (!hosts)
        return STATUS_EXHAUSTED;
    while (slice_split(&rest, ',', &part))
        hosts[options->hosts_len++] = slice_trim(part); /* each is one byte and a comma at least */
    options->hosts = hosts;
    return STATUS_OK;
}
