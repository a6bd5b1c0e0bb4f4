/*
 * http/policy.c - Which policy holds for a path: the one with the longest `match`.
 */
#include "http/internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"

#define TIMEOUT_DEFAULT_US (30 * CLOCK_SECOND)

enum status http__policies_init(struct http_settings *s, const struct http_options *options)
{
    unsigned len = options->policies_len ? options->policies_len : 1;
    s->policies = arena_array_of(s->arena, struct http_policy, len);
    if (!s->policies)
        return STATUS_EXHAUSTED;
    if (options->policies_len)
        memcpy(s->policies, options->policies, len * sizeof(*s->policies));
    for (unsigned i = 0; i < len; i++) {
        if (!s->policies[i].timeout_us)
            s->policies[i].timeout_us = TIMEOUT_DEFAULT_US;
    }
    s->policies_len = len;
    return http__standards_init(s);
}

static bool is_under(struct slice path, struct slice match)
{
    return slice_starts(path, match) && (path.len == match.len || path.data[match.len] == '/');
}

const struct http_policy *http__policy_of(const struct http_settings *s, struct slice path)
{
    const struct http_policy *found = &s->policies[0];
    for (unsigned i = 1; i < s->policies_len; i++) {
        const struct http_policy *p = &s->policies[i];
        if (p->match.len > found->match.len && is_under(path, p->match))
            found = p;
    }
    return found;
}

const struct http_policy *http_policy_of(const struct http_app *app, struct slice path)
{
    return http__policy_of(app->latest, path);
}

const struct http_policy *http_policy_at(const struct http_request *req, struct slice path)
{
    return http__policy_of(req->settings, path);
}
