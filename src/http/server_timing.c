/*
 * http/server_timing.c - Server-Timing for whoever develops against us: the browser's network panel
 * shows it.
 */
#include "http/internal.h"

#include "base/buf.h"
#include "base/clock.h"

static void after(struct http_request *req, int status)
{
    (void)status;
    if (!req->app->options.development)
        return;
    int64_t us = clock_mono_us() - net_started_us(req->x);
    struct buf b;
    buf_init(&b, http_arena(req), 32, 64);
    buf_put_lit(&b, "app;dur=");
    http__put_milliseconds(&b, us);
    if (buf_status(&b) == STATUS_OK)
        http__step_header(req, SLICE("Server-Timing"), buf_slice(&b));
}

const struct http__step http__step_server_timing = {
    .name = "server_timing",
    .after = after,
};
