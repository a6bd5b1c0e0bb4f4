/*
 * http/server_timing.c - Server-Timing for whoever develops against us: the browser's network panel
 * shows it.
 */
#include "http/internal.h"

#include "base/arena.h"
#include "base/clock.h"

static void after(struct http_request *req, int status)
{
    (void)status;
    if (!req->app->options.development)
        return;
    int64_t us = clock_mono_us() - net_started_us(req->x);
    struct slice value = arena_printf(http_arena(req), "app;dur=%lld.%03lld",
                                      (long long)(us / 1000), (long long)(us % 1000));
    if (value.len)
        http__step_header(req, SLICE("Server-Timing"), value);
}

const struct http__step http__step_server_timing = {
    .name = "server_timing",
    .after = after,
};
