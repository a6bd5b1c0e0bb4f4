/*
 * http/access_log.c - One line a request. Written by hand since it is the most frequent line there
 * is; the query stays out of it, as it may hold what nobody should keep.
 */
#include "http/internal.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

#define LINE_BYTES 2048u
#define PATH_MAX_LOGGED 1024u

static struct slice level_of(int status)
{
    return status >= 500 ? SLICE("warn") : SLICE("info");
}

void http__put_milliseconds(struct buf *b, int64_t us)
{
    us = us < 0 ? 0 : us;
    buf_put_i64(b, us / 1000);
    int64_t rest = us % 1000;
    char digits[4] = { '.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                       (char)('0' + rest % 10) };
    buf_put(b, digits, sizeof(digits));
}

/* `"key":"text"` with text known to need no escapes. */
#define PUT_PLAIN(b, key, text)                                                                    \
    do {                                                                                           \
        buf_put_lit((b), "\",\"" key "\":\"");                                                     \
        buf_put_slice((b), (text));                                                                \
    } while (0)

static void write_json(struct http_request *req)
{
    const struct net_request *r = http_net(req);
    int status = net_sent_status(req->x);
    char line[LINE_BYTES], ts[CLOCK_RFC3339_LEN];
    /* Room and maximum are the same: it never grows. */
    struct buf b = { .data = line, .cap = sizeof(line), .max = sizeof(line), .status = STATUS_OK };
    clock_format_rfc3339(clock_wall_us(), ts);
    buf_put_lit(&b, "{\"ts\":\"");
    buf_put(&b, ts, sizeof(ts));
    PUT_PLAIN(&b, "level", level_of(status));
    buf_put_lit(&b, "\",\"msg\":\"http.request");
    PUT_PLAIN(&b, "request_id", req->request_id);
    PUT_PLAIN(&b, "trace_id", req->trace_id);
    PUT_PLAIN(&b, "span_id", slice_of(req->trace_text + 36, 16));
    PUT_PLAIN(&b, "http_version", net_http_version(req->x));
    PUT_PLAIN(&b, "method", slice_head(r->method_text, 32)); /* a token: no quotes in it */
    PUT_PLAIN(&b, "route", http__label_name(req));
    PUT_PLAIN(&b, "path", slice_head(r->path, PATH_MAX_LOGGED)); /* normalised: nor here */
    buf_put_lit(&b, "\",\"status\":");
    buf_put_i64(&b, status);
    buf_put_lit(&b, ",\"duration_ms\":");
    http__put_milliseconds(&b, req->duration_us);
    buf_put_lit(&b, ",\"bytes\":");
    buf_put_i64(&b, net_sent_bytes(req->x));
    buf_put_lit(&b, ",\"client_ip\":\"");
    buf_put_slice(&b, http_client_ip(req));
    buf_putc(&b, '"');
    if (req->caller.has_user) {
        char user[UUID_TEXT_LEN];
        uuid_format(&req->caller.user, user);
        buf_put_lit(&b, ",\"user_id\":\"");
        buf_put(&b, user, sizeof(user));
        buf_putc(&b, '"');
    }
    if (!net_sent_whole(req->x))
        buf_put_lit(&b, ",\"cut\":true");
    buf_putc(&b, '}');
    if (buf_status(&b) == STATUS_OK)
        log_raw(buf_slice(&b));
}

static void write_pretty(struct http_request *req)
{
    const struct net_request *r = http_net(req);
    int status = net_sent_status(req->x);
    log_fields(status >= 500 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "http.request",
               LOG_TEXT("method", r->method_text), LOG_TEXT("path", r->path),
               LOG_I64("status", status),
               LOG_DOUBLE("duration_ms", (double)req->duration_us / 1000),
               LOG_I64("bytes", net_sent_bytes(req->x)), LOG_TEXT("client_ip", http_client_ip(req)),
               LOG_TEXT("request_id", req->request_id));
}

static void done(struct http_request *req)
{
    int status = net_sent_status(req->x);
    bool is_quiet = req->route && req->route->route.quiet && status < 400;
    if (!req->settings->access_log || is_quiet)
        return;
    if (!log_is_on(status >= 500 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO))
        return;
    if (log_is_pretty())
        write_pretty(req);
    else
        write_json(req);
}

const struct http__step http__step_access_log = {
    .name = "access_log",
    .done = done,
};
