/*
 * net/h2_request.c - Header fields of HTTP/2 to the request that HTTP/1.1 would have made.
 *
 * nghttp2 has checked what makes a request malformed as such (RFC 9113 8.2, 8.3): names in lower
 * case, pseudo-header fields that are known, come once and first and are all there, no fields that
 * concern a connection, TE with nothing but "trailers", Content-Length against the DATA that came.
 * Those end in RST_STREAM with PROTOCOL_ERROR and are never seen here. What is well-formed and
 * refused all the same gets an answer, the same one as over HTTP/1.1.
 */
#include "net/h2.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"

#define FIELDS_FIRST 24u   /* places in the beginning; a browser sends about twenty */
#define FIELD_OVERHEAD 32u /* RFC 9113 10.5.1 */

static const struct net_refusal malformed = { 400, "http/malformed",
                                              "The request is not well-formed HTTP/2." };
static const struct net_refusal authority_mismatch = {
    400, "http/malformed", "Host and :authority name different hosts."
};

struct net__stream *net__h2_stream_open(struct net__h2 *h2, int32_t id)
{
    struct net_exchange *x = net__exchange_new(h2->c, h2->now_us);
    struct net__stream *st = arena_new_of(x->arena, struct net__stream);
    assert(st); /* among the first allocations of an arena: budgets are larger */
    st->x = x;
    st->h2 = h2;
    st->id = id;
    st->in_us = h2->now_us;
    x->stream = st;
    x->request.keep_alive = true;
    x->request.version_minor = 1;
    return st;
}

/* -- one field
 * ------------------------------------------------------------------------------------------------
 */

static struct slice text_of(nghttp2_rcbuf *buffer)
{
    nghttp2_vec vec = nghttp2_rcbuf_get_buf(buffer);
    return slice_of((const char *)vec.base, vec.len);
}

/* The text in the exchange's arena; what is nghttp2's own constant need not be copied. */
static bool keep_text(struct net__stream *st, nghttp2_rcbuf *buffer, struct slice *ret)
{
    struct slice text = text_of(buffer);
    if (nghttp2_rcbuf_is_static(buffer)) {
        *ret = text;
        return true;
    }
    return arena_copy(st->x->arena, text, ret) == STATUS_OK;
}

/* The place of a pseudo-header field; NULL for those that nobody asks for. */
static struct slice *pseudo_place(struct net__stream *st, struct slice name)
{
    if (slice_eq(name, SLICE(":method")))
        return &st->method;
    if (slice_eq(name, SLICE(":path")))
        return &st->path;
    if (slice_eq(name, SLICE(":authority")))
        return &st->authority;
    if (slice_eq(name, SLICE(":scheme")))
        return &st->scheme;
    return NULL;
}

static bool keep_field(struct net__stream *st, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    struct net_request *r = &st->x->request;
    if (r->headers_len == st->fields_cap) {
        unsigned cap = st->fields_cap ? 2 * st->fields_cap : FIELDS_FIRST;
        struct net_header *grown = arena_realloc(
            st->x->arena, r->headers, st->fields_cap * sizeof(*grown), cap * sizeof(*grown));
        if (!grown)
            return false;
        r->headers = grown;
        st->fields_cap = cap;
    }
    struct net_header *h = &r->headers[r->headers_len];
    if (!keep_text(st, name, &h->name) || !keep_text(st, value, &h->value))
        return false;
    st->cookies_len += slice_eq(h->name, SLICE("cookie"));
    r->headers_len++;
    return true;
}

bool net__h2_field(struct net__stream *st, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    const struct net_limits *l = &st->x->conn->server->limits;
    struct slice key = text_of(name);
    size_t value_len = text_of(value).len;
    size_t size = key.len + value_len + FIELD_OVERHEAD;
    st->fields_bytes += (uint32_t)size;
    if (st->fields_bytes > NET__H2_BOMB_FACTOR * (l->line_bytes_max + l->headers_bytes_max))
        return false;
    if (st->refusal || st->is_ready || st->handed) /* refused already, or a trailer */
        return true;
    bool is_pseudo = key.len > 0 && key.data[0] == ':';
    if (is_pseudo && slice_eq(key, SLICE(":path"))) {
        if (value_len > l->line_bytes_max)
            st->refusal = &net__line_too_long;
        else if (!keep_text(st, value, &st->path))
            st->refusal = &net__headers_too_large;
        return true;
    }
    st->kept_bytes += (uint32_t)size;
    bool fits = st->kept_bytes <= l->headers_bytes_max &&
                (is_pseudo || st->x->request.headers_len < l->headers_max);
    struct slice *place = is_pseudo ? pseudo_place(st, key) : NULL;
    if (fits && place)
        fits = keep_text(st, value, place);
    else if (fits && !is_pseudo)
        fits = keep_field(st, name, value);
    if (!fits)
        st->refusal = &net__headers_too_large;
    return true;
}

/* -- the whole
 * ------------------------------------------------------------------------------------------------
 */

/* Host as HTTP/1.1 has it, so that whoever looks at header fields finds it: from :authority, which
 * must not differ from a Host beside it (RFC 9113 8.3.1). */
static const struct net_refusal *set_host(struct net__stream *st)
{
    struct net_request *r = &st->x->request;
    const struct net_header *host = net_header_get(r, NET_HEADER_HOST);
    if (host && st->authority.len && !slice_eq_nocase(host->value, st->authority))
        return &authority_mismatch;
    r->host = st->authority.len ? st->authority : host ? host->value : SLICE_NULL;
    if (!net__authority_is_valid(r->host))
        return &malformed;
    if (host)
        return NULL;
    if (r->headers_len == st->fields_cap) {
        struct net_header *grown =
            arena_realloc(st->x->arena, r->headers, st->fields_cap * sizeof(*grown),
                          (st->fields_cap + 1) * sizeof(*grown));
        if (!grown)
            return &net__headers_too_large;
        r->headers = grown;
        st->fields_cap++;
    }
    r->headers[r->headers_len] = (struct net_header){ .name = SLICE("host"), .value = r->host };
    (void)net__header_index(r, r->headers_len++); /* the only one */
    return NULL;
}

/* nghttp2 compared an announced length with what came; here it is only taken over. */
static const struct net_refusal *set_body(struct net__stream *st)
{
    struct net_request *r = &st->x->request;
    const struct net_header *length = net_header_get(r, NET_HEADER_CONTENT_LENGTH);
    bool has_none = st->in_ended && !st->in_first;
    r->content_length = has_none ? 0 : -1;
    if (length && !slice_to_i64(length->value, &r->content_length))
        return &malformed;
    r->has_body = !has_none && r->content_length != 0;
    const struct net_header *expect = net_header_get(r, NET_HEADER_EXPECT);
    if (expect) {
        if (!slice_eq_nocase(expect->value, SLICE("100-continue")))
            return &net__expectation;
        r->expects_continue = r->has_body && !st->in_first;
    }
    return NULL;
}

const struct net_refusal *net__h2_request_make(struct net__stream *st)
{
    struct net_exchange *x = st->x;
    struct net_request *r = &x->request;
    r->method = net__method_of(st->method);
    r->method_text = r->method == NET_METHOD_OTHER ? st->method : net_method_text(r->method);
    if (st->refusal)
        return st->refusal;
    if (r->method == NET_METHOD_OTHER)
        return &net__not_implemented;
    /* Which of the two it is says a proxy in front, or nobody: either is served on any port. */
    if (!slice_eq_nocase(st->scheme, SLICE("http")) && !slice_eq_nocase(st->scheme, SLICE("https")))
        return &malformed;
    /* nghttp2 lets "http://h/" pass where a path is due. */
    if (st->path.len == 0 || (st->path.data[0] != '/' && st->path.data[0] != '*'))
        return &malformed;
    if (net__target_parse(x->arena, st->path, r->method == NET_METHOD_OPTIONS, r) != STATUS_OK)
        return &malformed;
    /* A cookie may come in crumbs, a field each (RFC 9113 8.2.3). */
    if (st->cookies_len > 1 && !net__headers_join(x->arena, r, SLICE("cookie"), SLICE("; ")))
        return &net__headers_too_large;
    const struct net_refusal *refusal = net__headers_index(x->arena, r);
    if (refusal)
        return refusal == &net__malformed ? &malformed : refusal;
    refusal = set_host(st);
    return refusal ? refusal : set_body(st);
}
