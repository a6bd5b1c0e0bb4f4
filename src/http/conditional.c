/*
 * http/conditional.c - Conditional requests: the order of RFC 9110 section 13.2.2.
 *
 * If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since; then If-Range.
 * Dates have whole seconds: what changed within the second of its date is not known by it, so a
 * date alone never makes a range (13.1.5 asks for a strong validator).
 */
#include "http/internal.h"

#include "base/clock.h"

/* The date of a header in seconds; -1: absent or no date, and then the header is as if it were not
 * there. */
static int64_t date_of(const struct net_request *r, enum net_header_id id)
{
    const struct net_header *h = net_header_get(r, id);
    int64_t us;
    if (!h || !clock_parse_http(h->value, &us))
        return -1;
    return us / CLOCK_SECOND;
}

static bool is_unchanged_since(int64_t modified_us, int64_t date)
{
    return modified_us / CLOCK_SECOND <= date;
}

/* False: the client wants another state than this. */
static bool may_proceed(const struct net_request *r, const struct http_validators *v)
{
    const struct net_header *match = net_header_get(r, NET_HEADER_IF_MATCH);
    if (match)
        return http_etag_matches(match->value, v->etag, /* weak_ok= */ false);
    int64_t date = date_of(r, NET_HEADER_IF_UNMODIFIED_SINCE);
    return date < 0 || v->modified_us < 0 || is_unchanged_since(v->modified_us, date);
}

/* True: the client has it. */
static bool is_known(const struct net_request *r, const struct http_validators *v)
{
    const struct net_header *none = net_header_get(r, NET_HEADER_IF_NONE_MATCH);
    if (none)
        return http_etag_matches(none->value, v->etag, /* weak_ok= */ true);
    bool is_read = r->method == NET_METHOD_GET || r->method == NET_METHOD_HEAD;
    int64_t date = is_read ? date_of(r, NET_HEADER_IF_MODIFIED_SINCE) : -1;
    return date >= 0 && v->modified_us >= 0 && is_unchanged_since(v->modified_us, date);
}

enum http_condition http_conditions(const struct http_request *req, const struct http_validators *v)
{
    const struct net_request *r = http_net(req);
    if (!may_proceed(r, v))
        return HTTP_PRECONDITION_FAILED;
    if (!is_known(r, v))
        return HTTP_PROCEED;
    bool is_read = r->method == NET_METHOD_GET || r->method == NET_METHOD_HEAD;
    return is_read ? HTTP_NOT_MODIFIED : HTTP_PRECONDITION_FAILED;
}

bool http__range_holds(const struct net_request *r, const struct http_validators *v)
{
    const struct net_header *h = net_header_get(r, NET_HEADER_IF_RANGE);
    if (!h)
        return true;
    struct slice sent = h->value;
    if (slice_starts(sent, SLICE("\"")) || slice_starts(sent, SLICE("W/")))
        return slice_eq(sent, v->etag) && slice_starts(sent, SLICE("\""));
    /* A date is strong when the thing was at rest for a minute before it was sent (8.8.2.2). */
    int64_t us;
    bool was_at_rest = v->modified_us >= 0 && v->modified_us + 60 * CLOCK_SECOND < clock_wall_us();
    return was_at_rest && clock_parse_http(sent, &us) &&
           us / CLOCK_SECOND == v->modified_us / CLOCK_SECOND;
}
