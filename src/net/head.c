/*
 * net/head.c - The head of a request: where it ends, and what it says.
 *
 * The scan finds the empty line and checks what concerns lines as such (CR LF and nothing else, no
 * folding, limits). llhttp then gets the whole head in one piece, so names and values are slices of
 * it. What remains is meaning: framing, Host, target, expectations.
 */
#include "net/codec.h"

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"

const struct net_refusal net__malformed = { 400, "http/malformed",
                                            "The request is not well-formed HTTP/1.1." };
const struct net_refusal net__line_too_long = {
    414, "http/uri-too-long", "The request line is longer than this server reads."
};
const struct net_refusal net__headers_too_large = {
    431, "http/headers-too-large", "The request has more header fields than this server reads."
};
const struct net_refusal net__version = { 505, "http/version-not-supported",
                                          "This server speaks HTTP/1.1." };
const struct net_refusal net__not_implemented = { 501, "http/method-not-implemented",
                                                  "This server does not know the method." };
const struct net_refusal net__coding = { 501, "http/transfer-coding-not-implemented",
                                         "This server knows no transfer coding but chunked." };
const struct net_refusal net__expectation = {
    417, "http/expectation-failed", "This server meets no expectation but 100-continue."
};
const struct net_refusal net__too_slow = { 408, "http/request-timeout",
                                           "The request did not arrive in time." };
const struct net_refusal net__too_many = { 503, "http/too-many-connections",
                                           "The server has all the connections it can take." };
const struct net_refusal net__in_clear = { 400, "http/tls-expected",
                                           "This port speaks TLS: use https." };

const bool net__is_token[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['!'] = true,  ['#'] = true,
    ['$'] = true,         ['%'] = true,         ['&'] = true,         ['\''] = true, ['*'] = true,
    ['+'] = true,         ['-'] = true,         ['.'] = true,         ['^'] = true,  ['_'] = true,
    ['`'] = true,         ['|'] = true,         ['~'] = true,
};

/* -- the scan
 * -------------------------------------------------------------------------------------------- */

#define EMPTY_LINES_MAX 2u /* before a request line: RFC 9112 2.2 asks for at least one */

/* What does not begin with a token is no HTTP: say so before its line ends (it may never, as with a
 * TLS hello). */
static bool begins_badly(const char *line, size_t len)
{
    size_t n = MIN(len, 24u);
    for (size_t i = 0; i < n; i++) {
        if (line[i] == ' ')
            return i == 0;
        if (line[i] == '\r')
            return false;
        if (!net__is_token[(unsigned char)line[i]])
            return true;
    }
    return false;
}

/* A line was looked at up to `end`, without its CR LF. */
static const struct net_refusal *limit_of(const struct net__scan *scan, size_t end,
                                          const struct net_limits *limits)
{
    if (scan->lines == 0)
        return end - scan->line_start > limits->line_bytes_max ? &net__line_too_long : NULL;
    return end - scan->headers_start > limits->headers_bytes_max ? &net__headers_too_large : NULL;
}

/* A whole line ends at data[end], its LF. */
static const struct net_refusal *check_line(struct net__scan *scan, const char *data, size_t end,
                                            const struct net_limits *limits)
{
    const char *line = data + scan->line_start;
    size_t len = end - scan->line_start;
    /* The first CR of the line must be the one before its LF. */
    const char *cr = memchr(line, '\r', len);
    if (!cr || cr != data + end - 1)
        return &net__malformed;
    if (scan->lines == 0 && begins_badly(line, len))
        return &net__malformed;
    if (scan->lines > 0 && (line[0] == ' ' || line[0] == '\t' || line[0] == ':'))
        return &net__malformed;
    if (scan->lines >
        limits->headers_max) /* the request line is one of them, and this one is not yet */
        return &net__headers_too_large;
    return limit_of(scan, end - 1, limits);
}

/* The line at the end of data[0..len) has no end yet: is it all right so far? */
static bool check_rest(const struct net__scan *scan, const char *data, size_t len,
                       const struct net_limits *limits, const struct net_refusal **ret_refusal)
{
    const struct net_refusal *refusal = NULL;
    if (scan->lines == 0 && begins_badly(data + scan->line_start, len - scan->line_start))
        refusal = &net__malformed;
    else
        refusal = limit_of(scan, len - (len > 0 && data[len - 1] == '\r'), limits);
    *ret_refusal = refusal;
    return refusal == NULL;
}

enum net__scan_result net__scan_head(struct net__scan *scan, const char *data, size_t len,
                                     const struct net_limits *limits,
                                     const struct net_refusal **ret_refusal)
{
    while (scan->at < len) {
        const char *lf = memchr(data + scan->at, '\n', len - scan->at);
        if (!lf) {
            scan->at = (uint32_t)len;
            break;
        }
        size_t end = (size_t)(lf - data);
        bool is_empty = end == scan->line_start + 1u && data[end - 1] == '\r';
        const struct net_refusal *refusal = NULL;
        if (!is_empty)
            refusal = check_line(scan, data, end, limits);
        else if (scan->lines == 0 && end >= 2 * EMPTY_LINES_MAX)
            refusal = &net__malformed;
        if (refusal) {
            *ret_refusal = refusal;
            return NET__SCAN_REFUSED;
        }
        scan->at = scan->line_start = (uint32_t)end + 1;
        if (is_empty && scan->lines > 0)
            return NET__SCAN_WHOLE;
        if (is_empty)
            scan->head_start = scan->line_start;
        else if (scan->lines++ == 0)
            scan->headers_start = scan->line_start;
    }
    return check_rest(scan, data, len, limits, ret_refusal) ? NET__SCAN_MORE : NET__SCAN_REFUSED;
}

/* -- the request line
 * ------------------------------------------------------------------------------------ */

struct slice net_method_text(enum net_method method)
{
    static const struct slice texts[NET_METHOD_COUNT] = {
        [NET_METHOD_GET] = { "GET", 3 },         [NET_METHOD_HEAD] = { "HEAD", 4 },
        [NET_METHOD_POST] = { "POST", 4 },       [NET_METHOD_PUT] = { "PUT", 3 },
        [NET_METHOD_PATCH] = { "PATCH", 5 },     [NET_METHOD_DELETE] = { "DELETE", 6 },
        [NET_METHOD_OPTIONS] = { "OPTIONS", 7 }, [NET_METHOD_OTHER] = { "_OTHER", 6 },
    };
    return texts[method];
}

enum net_method net__method_of(struct slice text)
{
    for (unsigned m = 0; m < NET_METHOD_OTHER; m++) {
        if (slice_eq(text, net_method_text((enum net_method)m)))
            return (enum net_method)m;
    }
    return NET_METHOD_OTHER;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.x"; higher minor versions are to be treated as 1.1 (RFC 9110 6.2), which llhttp must be
 * told. */
static const struct net_refusal *parse_version(char *at, size_t len, unsigned *ret_minor)
{
    if (len != 8 || memcmp(at, "HTTP/", 5) != 0 || !is_digit(at[5]) || at[6] != '.' ||
        !is_digit(at[7]))
        return &net__malformed;
    if (at[5] != '1')
        return &net__version;
    if (at[7] > '1')
        at[7] = '1';
    *ret_minor = (unsigned)(at[7] - '0');
    return NULL;
}

/* method SP target SP version, one space each. `len` is without the CR LF. */
static const struct net_refusal *parse_line(struct arena *arena, char *line, size_t len,
                                            struct net_request *r)
{
    char *end = line + len;
    char *target = memchr(line, ' ', len);
    if (!target || target == line)
        return &net__malformed;
    for (const char *p = line; p < target; p++) {
        if (!net__is_token[(unsigned char)*p])
            return &net__malformed;
    }
    r->method_text = slice_of(line, (size_t)(target - line));
    r->method = net__method_of(r->method_text);
    target++;
    char *version = memchr(target, ' ', (size_t)(end - target));
    if (!version || version == target)
        return &net__malformed;
    size_t target_len = (size_t)(version - target);
    version++;
    const struct net_refusal *refusal =
        parse_version(version, (size_t)(end - version), &r->version_minor);
    if (refusal)
        return refusal;
    if (r->method == NET_METHOD_OTHER)
        return &net__not_implemented;
    enum status st =
        net__target_parse(arena, slice_of(target, target_len), r->method == NET_METHOD_OPTIONS, r);
    return st == STATUS_OK ? NULL : &net__malformed;
}

/* -- header fields
 * --------------------------------------------------------------------------------------- */

enum net_header_id net__header_id(const char *name, size_t len)
{
#define IS(id, literal)                                                                            \
    if (memcmp(name, (literal), sizeof(literal) - 1) == 0)                                         \
    return NET_HEADER_##id
    switch (len) {
    case 4:
        IS(HOST, "host");
        break;
    case 5:
        IS(RANGE, "range");
        break;
    case 6:
        IS(ACCEPT, "accept");
        IS(COOKIE, "cookie");
        IS(ORIGIN, "origin");
        IS(EXPECT, "expect");
        IS(PREFER, "prefer");
        break;
    case 7:
        IS(REFERER, "referer");
        IS(UPGRADE, "upgrade");
        break;
    case 8:
        IS(IF_MATCH, "if-match");
        IS(IF_RANGE, "if-range");
        break;
    case 9:
        IS(X_API_KEY, "x-api-key");
        IS(FORWARDED, "forwarded");
        break;
    case 10:
        IS(USER_AGENT, "user-agent");
        IS(CONNECTION, "connection");
        IS(TRACESTATE, "tracestate");
        break;
    case 11:
        IS(TRACEPARENT, "traceparent");
        break;
    case 12:
        IS(CONTENT_TYPE, "content-type");
        IS(X_REQUEST_ID, "x-request-id");
        break;
    case 13:
        IS(AUTHORIZATION, "authorization");
        IS(IF_NONE_MATCH, "if-none-match");
        break;
    case 14:
        IS(CONTENT_LENGTH, "content-length");
        break;
    case 15:
        IS(ACCEPT_ENCODING, "accept-encoding");
        IS(IDEMPOTENCY_KEY, "idempotency-key");
        IS(X_FORWARDED_FOR, "x-forwarded-for");
        break;
    case 16:
        IS(CONTENT_ENCODING, "content-encoding");
        IS(X_FORWARDED_HOST, "x-forwarded-host");
        break;
    case 17:
        IS(TRANSFER_ENCODING, "transfer-encoding");
        IS(IF_MODIFIED_SINCE, "if-modified-since");
        IS(X_FORWARDED_PROTO, "x-forwarded-proto");
        break;
    case 19:
        IS(IF_UNMODIFIED_SINCE, "if-unmodified-since");
        break;
    default:
        break;
    }
#undef IS
    return NET_HEADER_OTHER;
}

struct slice net_header_find(const struct net_request *r, struct slice name)
{
    for (unsigned i = 0; i < r->headers_len; i++) {
        if (slice_eq(r->headers[i].name, name))
            return r->headers[i].value;
    }
    return SLICE_NULL;
}

struct head_parser {
    llhttp_t llhttp;
    struct net_request *request;
    unsigned headers_max;
    bool in_value;
    bool complete;
};

static int on_header_field(llhttp_t *llhttp, const char *at, size_t len)
{
    struct head_parser *p = llhttp->data;
    struct net_request *r = p->request;
    if (r->headers_len >= p->headers_max)
        return -1;
    r->headers[r->headers_len++] = (struct net_header){ .name = { at, len }, .value = { at, 0 } };
    p->in_value = false;
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t len)
{
    struct head_parser *p = llhttp->data;
    struct net_header *h = &p->request->headers[p->request->headers_len - 1];
    /* A value comes in one piece; a second one would be a folded line, which the scan refused. */
    if (p->in_value)
        return -1;
    p->in_value = true;
    h->value = slice_of(at, len);
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    struct head_parser *p = llhttp->data;
    p->complete = true;
    return HPE_PAUSED; /* the body is ours */
}

static const llhttp_settings_t head_settings = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
};

/* Fields of which one request can have only one. */
static const bool is_singleton[NET_HEADER_ID_COUNT] = {
    [NET_HEADER_HOST] = true,
    [NET_HEADER_CONTENT_TYPE] = true,
    [NET_HEADER_CONTENT_LENGTH] = true,
    [NET_HEADER_TRANSFER_ENCODING] = true,
    [NET_HEADER_EXPECT] = true,
    [NET_HEADER_AUTHORIZATION] = true,
    [NET_HEADER_X_API_KEY] = true,
    [NET_HEADER_IDEMPOTENCY_KEY] = true,
    [NET_HEADER_ORIGIN] = true,
    [NET_HEADER_REFERER] = true,
    [NET_HEADER_RANGE] = true,
    [NET_HEADER_IF_RANGE] = true,
    [NET_HEADER_IF_MODIFIED_SINCE] = true,
    [NET_HEADER_IF_UNMODIFIED_SINCE] = true,
};

/* Lists that may come on several lines and whose readers ask for one value. (Those of Forwarded and
 * its kind and of Content-Encoding look at each line.) */
static const bool is_list[NET_HEADER_ID_COUNT] = {
    [NET_HEADER_ACCEPT] = true,   [NET_HEADER_ACCEPT_ENCODING] = true,
    [NET_HEADER_IF_MATCH] = true, [NET_HEADER_IF_NONE_MATCH] = true,
    [NET_HEADER_PREFER] = true,
};

bool net__header_index(struct net_request *r, unsigned i)
{
    struct net_header *h = &r->headers[i];
    h->id = net__header_id(h->name.data, h->name.len);
    if (h->id == NET_HEADER_OTHER)
        return true;
    if (r->by_id[h->id] < 0) {
        r->by_id[h->id] = (int16_t)i;
        return true;
    }
    r->has_split_lists |= is_list[h->id];
    return !is_singleton[h->id];
}

bool net__headers_join(struct arena *arena, struct net_request *r, struct slice name,
                       struct slice separator)
{
    size_t len = 0;
    for (unsigned i = 0; i < r->headers_len; i++) {
        if (slice_eq(r->headers[i].name, name))
            len += r->headers[i].value.len + separator.len;
    }
    char *text = arena_alloc(arena, len);
    if (!text)
        return false;
    char *p = text;
    struct net_header *first = NULL;
    unsigned kept = 0;
    for (unsigned i = 0; i < r->headers_len; i++) {
        struct net_header h = r->headers[i];
        bool is_part = slice_eq(h.name, name);
        if (is_part) {
            if (first) {
                memcpy(p, separator.data, separator.len);
                p += separator.len;
            }
            memcpy(p, h.value.data, h.value.len);
            p += h.value.len;
        }
        if (is_part && first)
            continue;
        r->headers[kept] = h;
        if (is_part)
            first = &r->headers[kept];
        kept++;
    }
    r->headers_len = kept;
    if (first)
        first->value = slice_of(text, (size_t)(p - text));
    return true;
}

/* Of each list one line. NULL, or why not. */
static const struct net_refusal *join_lists(struct arena *arena, struct net_request *r)
{
    for (unsigned id = 0; id < NET_HEADER_ID_COUNT; id++) {
        if (!is_list[id] || r->by_id[id] < 0)
            continue;
        struct slice name = r->headers[r->by_id[id]].name;
        if (!net__headers_join(arena, r, name, SLICE(", ")))
            return &net__headers_too_large;
        /* What stood behind has moved. */
        memset(r->by_id, 0xff, sizeof(r->by_id));
        for (unsigned i = r->headers_len; i > 0; i--)
            r->by_id[r->headers[i - 1].id] = (int16_t)(i - 1);
        r->by_id[NET_HEADER_OTHER] = -1;
    }
    r->has_split_lists = false;
    return NULL;
}

const struct net_refusal *net__headers_index(struct arena *arena, struct net_request *r)
{
    bool is_good = true;
    r->has_split_lists = false;
    for (unsigned i = 0; i < r->headers_len; i++)
        is_good &= net__header_index(r, i); /* all of them: a refusal is answered by them too */
    if (!is_good)
        return &net__malformed;
    return UNLIKELY(r->has_split_lists) ? join_lists(arena, r) : NULL;
}

/* Lower-case and trim what llhttp found in `data`. */
static void trim_headers(char *data, struct net_request *r)
{
    for (unsigned i = 0; i < r->headers_len; i++) {
        struct net_header *h = &r->headers[i];
        char *name = data + (h->name.data - data);
        for (size_t k = 0; k < h->name.len; k++) {
            char c = name[k];
            name[k] = (char)(c | (c >= 'A' && c <= 'Z' ? 0x20 : 0));
        }
        h->value = slice_trim(h->value);
    }
}

/* Is it a list of codings whose last one is chunked? Else nobody knows where the body ends (RFC
 * 9112 6.3). */
static bool ends_in_chunked(struct slice codings)
{
    const size_t len = sizeof("chunked") - 1;
    if (codings.len <= len ||
        !slice_eq_nocase(slice_from(codings, codings.len - len), SLICE("chunked")))
        return false;
    struct slice before = slice_trim(slice_head(codings, codings.len - len));
    return before.len > 1 && before.data[before.len - 1] == ',';
}

static const struct net_refusal *check_framing(const llhttp_t *llhttp, struct net_request *r,
                                               struct net__framing *framing)
{
    const struct net_header *coding = net_header_get(r, NET_HEADER_TRANSFER_ENCODING);
    *framing = (struct net__framing){ .chunked = false, .length = 0 };
    if (coding) {
        /* RFC 9112 6.1: with Content-Length, or in HTTP/1.0, the framing cannot be trusted. */
        if (net_header_get(r, NET_HEADER_CONTENT_LENGTH) || r->version_minor == 0)
            return &net__malformed;
        if (!slice_eq_nocase(coding->value, SLICE("chunked")))
            return ends_in_chunked(coding->value) ? &net__coding : &net__malformed;
        framing->chunked = true;
        r->content_length = -1;
    } else if (llhttp->content_length > (uint64_t)INT64_MAX) {
        return &net__malformed;
    } else {
        framing->length = r->content_length = (int64_t)llhttp->content_length;
    }
    r->has_body = framing->chunked || framing->length > 0;
    return NULL;
}

static const struct net_refusal *check_meaning(const llhttp_t *llhttp, struct net_request *r)
{
    const struct net_header *host = net_header_get(r, NET_HEADER_HOST);
    if (!host && r->version_minor > 0)
        return &net__malformed;
    if (host && !net__authority_is_valid(host->value))
        return &net__malformed;
    if (host && !r->host.data) /* an absolute-form target wins: RFC 9112 3.2.2 */
        r->host = host->value;
    /* llhttp takes Proxy-Connection for Connection, which it is not (RFC 9112 C.2.2). */
    unsigned flags = net_header_get(r, NET_HEADER_CONNECTION) ? llhttp->flags : 0;
    r->keep_alive = r->version_minor > 0 ? !(flags & F_CONNECTION_CLOSE)
                                         : (flags & F_CONNECTION_KEEP_ALIVE) != 0;
    const struct net_header *expect = net_header_get(r, NET_HEADER_EXPECT);
    if (expect && r->version_minor > 0) { /* 1.0 did not have it: RFC 9110 10.1.1 */
        if (!slice_eq_nocase(expect->value, SLICE("100-continue")))
            return &net__expectation;
        r->expects_continue = r->has_body;
    }
    return NULL;
}

static const char line_for_fields[] = "GET / HTTP/1.1\r\n";

const struct net_refusal *net__parse_head(struct arena *arena, char *data, size_t len,
                                          unsigned headers_max, struct net_request *request,
                                          struct net__framing *ret_framing)
{
    memset(request->by_id, 0xff, sizeof(request->by_id));
    request->headers_len = 0;
    const char *line_end = memchr(data, '\r', len);
    if (!line_end)
        return &net__malformed;
    size_t line_len = (size_t)(line_end - data);
    const struct net_refusal *refusal = parse_line(arena, data, line_len, request);

    struct head_parser p = { .request = request, .headers_max = headers_max };
    llhttp_init(&p.llhttp, HTTP_REQUEST, &head_settings);
    p.llhttp.data = &p;
    if (UNLIKELY(refusal != NULL)) {
        /* The fields are read all the same: who asked and from which page also concerns a refusal.
         * llhttp gets a line that it takes. */
        (void)llhttp_execute(&p.llhttp, line_for_fields, sizeof(line_for_fields) - 1);
        line_len += 2;
        data += line_len;
        len -= line_len;
    }
    (void)llhttp_execute(&p.llhttp, data, len); /* `complete` tells */
    if (!p.complete || p.llhttp.error_pos != data + len)
        return refusal ? refusal : &net__malformed;
    trim_headers(data, request);
    const struct net_refusal *of_fields = net__headers_index(arena, request);
    if (!refusal)
        refusal = of_fields;
    if (!refusal)
        refusal = check_framing(&p.llhttp, request, ret_framing);
    if (!refusal)
        refusal = check_meaning(&p.llhttp, request);
    return refusal;
}

bool net_authority_is_valid(struct slice authority)
{
    return net__authority_is_valid(authority);
}
