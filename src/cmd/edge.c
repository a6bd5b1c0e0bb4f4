#include "cmd/edge.h"

#include "base/arena.h"
#include "cmd/config.h"
#include "cmd/rate.h"

/* The keys marked per_route, as http/ wants them. */
static struct http_policy policy_of(const struct config *c, struct slice match)
{
    return (struct http_policy){
        .match = match,
        .body_bytes_max = c->body_bytes,
        .timeout_us = c->request_timeout_us,
        .compression = { .off = !c->compression,
                         .with_cookies = c->compression_with_cookies,
                         .bytes_min = c->compression_bytes_min,
                         .types = c->compression_types,
                         .request_ratio_max = c->compression_ratio_max },
    };
}

enum status edge_policies(const struct config *config, struct arena *arena,
                          struct http_options *options)
{
    unsigned len = config->routes_len + 1;
    struct http_policy *policies = arena_array_of(arena, struct http_policy, len);
    if (!policies)
        return STATUS_EXHAUSTED;
    policies[0] = policy_of(config, SLICE_NULL);
    for (unsigned i = 1; i < len; i++)
        policies[i] = policy_of(config->routes[i - 1].config, config->routes[i - 1].match);
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
