/*
 * http/deprecation.c - Paths that age: Deprecation (RFC 9745) says since when they should not be
 * built upon, Sunset (RFC 8594) when they may go, links where to read about it. After the sunset
 * they may answer 410.
 */
#include "http/internal.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"

static void put_date(struct buf *out, const char *name, int64_t us)
{
    char date[CLOCK_HTTP_DATE_LEN];
    clock_format_http(us, date);
    buf_put_cstr(out, name);
    buf_put(out, date, sizeof(date));
    buf_put_lit(out, "\r\n");
}

static void put_link(struct buf *out, struct slice link, const char *relation)
{
    buf_put_lit(out, "Link: <");
    buf_put_slice(out, link);
    buf_put_lit(out, ">; rel=\"");
    buf_put_cstr(out, relation);
    buf_put_lit(out, "\"; type=\"text/html\"\r\n");
}

void http__deprecation_put_fixed(const struct http_policy *policy, struct buf *out)
{
    const struct http_deprecation_policy *p = &policy->deprecation;
    if (p->deprecated_us) {
        buf_put_lit(out, "Deprecation: @"); /* a date of structured fields: RFC 9651 */
        buf_put_i64(out, p->deprecated_us / CLOCK_SECOND);
        buf_put_lit(out, "\r\n");
    }
    if (p->sunset_us)
        put_date(out, "Sunset: ", p->sunset_us);
    if (p->link.len && p->deprecated_us)
        put_link(out, p->link, "deprecation");
    if (p->link.len && p->sunset_us)
        put_link(out, p->link, "sunset");
}

static bool before(struct http_request *req)
{
    const struct http_deprecation_policy *p = &req->policy->deprecation;
    if (!p->gone_after_sunset || req->refused || !p->sunset_us || clock_wall_us() < p->sunset_us)
        return true;
    http__send_simple(req, STATUS_NOT_FOUND, 410, "http/gone",
                      "This version of the API has ended; the Link header says where to go on.");
    return false;
}

/* A route that ages by itself, under a policy that does not. */
static void after(struct http_request *req, int status)
{
    (void)status;
    if (!req->route || !req->route->route.deprecated_us || req->policy->deprecation.deprecated_us)
        return;
    const struct http_route *route = &req->route->route;
    struct buf b;
    buf_init(&b, http_arena(req), 64, 64);
    buf_putc(&b, '@');
    buf_put_i64(&b, route->deprecated_us / CLOCK_SECOND);
    size_t len = b.len;
    char date[CLOCK_HTTP_DATE_LEN];
    clock_format_http(route->sunset_us, date);
    buf_put(&b, date, sizeof(date));
    if (buf_status(&b) != STATUS_OK)
        return;
    http__step_header(req, SLICE("Deprecation"), slice_head(buf_slice(&b), len));
    if (route->sunset_us)
        http__step_header(req, SLICE("Sunset"), slice_from(buf_slice(&b), len));
}

const struct http__step http__step_deprecation = {
    .name = "deprecation",
    .before = before,
    .after = after,
};
