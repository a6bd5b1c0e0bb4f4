/*
 * http/policy.c - Which policy holds for a path: the one with the longest `match`.
 */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define TIMEOUT_DEFAULT_US (30 * CLOCK_SECOND)

enum status http__policies_init(struct http_app *app, const struct http_options *options)
{
    unsigned len = options->policies_len ? options->policies_len : 1;
    app->policies = calloc(len, sizeof(*app->policies));
    if (!app->policies)
        return STATUS_EXHAUSTED;
    if (options->policies_len)
        memcpy(app->policies, options->policies, len * sizeof(*app->policies));
    for (unsigned i = 0; i < len; i++) {
        if (!app->policies[i].timeout_us)
            app->policies[i].timeout_us = TIMEOUT_DEFAULT_US;
    }
    app->policies_len = len;
    app->options.policies = NULL;
    return http__standards_init(app);
}

static bool is_under(struct slice path, struct slice match)
{
    return slice_starts(path, match) && (path.len == match.len || path.data[match.len] == '/');
}

const struct http_policy *http_policy_of(const struct http_app *app, struct slice path)
{
    const struct http_policy *found = &app->policies[0];
    for (unsigned i = 1; i < app->policies_len; i++) {
        const struct http_policy *p = &app->policies[i];
        if (p->match.len > found->match.len && is_under(path, p->match))
            found = p;
    }
    return found;
}
