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
    options->policies = policies;
    options->policies_len = len;
    return STATUS_OK;
}
