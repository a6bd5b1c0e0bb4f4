/*
 * net/client_head.c - Heads: of the request as we write it, of the answer as we read it.
 *
 * An answer is read as strictly as a request is by a server: what stands between us and the peer
 * may read it otherwise, and the rest of a mistaken answer would be taken for the answer to the
 * next request. The scan refuses bare LF, stray CR, NUL and folded lines and holds the bounds;
 * llhttp parses; framing that two readers could see differently is refused (RFC 9112 section 6.3).
 */
#include "net/client_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/problem.h"

#define METHOD_BYTES_MAX 32u
#define CONTENT_LENGTH_DIGITS_MAX 18u

/* -- the end of an answer's head
 * -------------------------------------------------------------------------------- */

/* "HTTP/1.x 200" and what may follow it. */
static bool is_status_line(const char *line, size_t len)
{
    if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') ||
        line[8] != ' ' || line[9] < '1' || line[9] > '9')
        return false;
    bool has_code = line[10] >= '0' && line[10] <= '9' && line[11] >= '0' && line[11] <= '9';
    return has_code && (len == 12 || line[12] == ' ');
}

/* Could what came of a status line still become one? */
static bool may_be_status_line(const char *line, size_t len)
{
    static const char begin[] = "HTTP/1.";
    return memcmp(line, begin, MIN(len, sizeof(begin) - 1)) == 0;
}

/* A whole line, without its LF. */
static bool is_good_line(const struct net__answer_scan *scan, const char *line, size_t len)
{
    if (len == 0 || line[len - 1] != '\r')
        return false;
    len--;
    if (memchr(line, '\r', len) || memchr(line, '\0', len))
        return false;
    if (scan->lines == 0)
        return is_status_line(line, len);
    return len == 0 || net__is_token[(unsigned char)line[0]];
}

enum net__scan_result net__answer_scan(struct net__answer_scan *scan, const char *data, size_t len,
                                       bool *ret_too_large)
{
    *ret_too_large = false;
    while (scan->at < len) {
        const char *lf = memchr(data + scan->at, '\n', len - scan->at);
        if (!lf) {
            scan->at = (uint32_t)len;
            break;
        }
        const char *line = data + scan->line_start;
        size_t line_len = (size_t)(lf - line);
        if (!is_good_line(scan, line, line_len))
            return NET__SCAN_REFUSED;
        scan->at = scan->line_start = (uint32_t)(lf - data) + 1;
        if (scan->lines > 0 && line_len == 1)
            return NET__SCAN_WHOLE;
        if (scan->lines++ > NET__HEADERS_MAX) {
            *ret_too_large = true;
            return NET__SCAN_REFUSED;
        }
    }
    *ret_too_large = len >= NET__HEAD_BYTES_MAX;
    if (*ret_too_large)
        return NET__SCAN_REFUSED;
    if (scan->lines == 0 && len > 0 && !may_be_status_line(data, len))
        return NET__SCAN_REFUSED;
    return NET__SCAN_MORE;
}

int net__answer_status(const char *data, size_t len)
{
    const char *end = memchr(data, '\r', len);
    if (!end || !is_status_line(data, (size_t)(end - data)))
        return 0;
    return (data[9] - '0') * 100 + (data[10] - '0') * 10 + (data[11] - '0');
}

/* -- an answer's head
 * -------------------------------------------------------------------------------------------- */

struct answer_parser {
    llhttp_t llhttp;
    struct net_header *headers;
    unsigned len, max;
    bool in_value, complete;
};

static int on_field(llhttp_t *llhttp, const char *at, size_t len)
{
    struct answer_parser *p = llhttp->data;
    if (p->len >= p->max)
        return -1;
    p->headers[p->len++] = (struct net_header){ .name = { at, len }, .value = { at, 0 } };
    p->in_value = false;
    return 0;
}

static int on_value(llhttp_t *llhttp, const char *at, size_t len)
{
    struct answer_parser *p = llhttp->data;
    if (p->in_value || p->len == 0)
        return -1;
    p->in_value = true;
    p->headers[p->len - 1].value = slice_of(at, len);
    return 0;
}

static int on_complete(llhttp_t *llhttp)
{
    struct answer_parser *p = llhttp->data;
    p->complete = true;
    return HPE_PAUSED; /* the body is ours */
}

static const llhttp_settings_t answer_settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_complete,
};

static void lower_case(char *data, struct net_header *h)
{
    char *name = data + (h->name.data - data);
    for (size_t k = 0; k < h->name.len; k++) {
        char c = name[k];
        name[k] = (char)(c | (c >= 'A' && c <= 'Z' ? 0x20 : 0));
    }
    h->value = slice_trim(h->value);
    h->id = net__header_id(name, h->name.len);
}

static bool is_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Does the list hold the token? */
static bool has_token(struct slice list, struct slice token)
{
    struct slice rest = list, part;
    while (slice_split(&rest, ',', &part)) {
        if (slice_eq_nocase(slice_trim(part), token))
            return true;
    }
    return false;
}

/* "timeout=5, max=100" -> 5 s. */
static int64_t keep_alive_of(struct slice value)
{
    struct slice rest = value, part;
    int64_t seconds;
    while (slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (slice_starts(part, SLICE("timeout=")) && slice_to_i64(slice_from(part, 8), &seconds) &&
            seconds > 0 && seconds < 86400)
            return seconds * CLOCK_SECOND;
    }
    return 0;
}

/* What frames a body, gathered over all headers. */
struct framing {
    struct slice length, coding;
    unsigned lengths, codings;
    bool closes, keeps;
};

static struct framing framing_of(struct net__answer_head *head)
{
    struct framing f = { .lengths = 0 };
    for (unsigned i = 0; i < head->response.headers_len; i++) {
        const struct net_header *h = &head->response.headers[i];
        if (h->id == NET_HEADER_CONTENT_LENGTH) {
            f.length = h->value;
            f.lengths++;
        } else if (h->id == NET_HEADER_TRANSFER_ENCODING) {
            f.coding = h->value;
            f.codings++;
        } else if (h->id == NET_HEADER_CONNECTION) {
            f.closes |= has_token(h->value, SLICE("close"));
            f.keeps |= has_token(h->value, SLICE("keep-alive"));
        } else if (slice_eq(h->name, SLICE("keep-alive"))) {
            head->keep_us = keep_alive_of(h->value);
        }
    }
    return f;
}

static bool length_of(struct slice text, int64_t *ret_length)
{
    if (text.len == 0 || text.len > CONTENT_LENGTH_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    return slice_to_i64(text, ret_length);
}

static const char *settle_body(struct net__answer_head *head, bool is_head_request)
{
    struct net_client_response *r = &head->response;
    struct framing f = framing_of(head);
    r->content_length = -1;
    if (f.codings && (f.lengths || f.codings > 1 || r->version_minor == 0))
        return "it frames its body in two ways";
    if (f.codings && !slice_eq_nocase(f.coding, SLICE("chunked")))
        return "it has a transfer coding that nobody asked for";
    if (f.lengths > 1 || (f.lengths && !length_of(f.length, &r->content_length)))
        return "its Content-Length is no number, or there are several";
    head->keep_alive = r->version_minor > 0 ? !f.closes : f.keeps && !f.closes;
    bool is_bodyless = is_head_request || r->status < 200 || r->status == 204 || r->status == 304;
    if (is_bodyless || r->content_length == 0)
        head->until = NET__UNTIL_NONE;
    else if (f.codings)
        head->until = NET__UNTIL_CHUNKED;
    else
        head->until = f.lengths ? NET__UNTIL_LENGTH : NET__UNTIL_CLOSE;
    r->has_body = head->until != NET__UNTIL_NONE;
    if (head->until == NET__UNTIL_CLOSE)
        head->keep_alive = false;
    return NULL;
}

const char *net__answer_parse(char *data, size_t len, struct net_header *headers,
                              unsigned headers_max, bool is_head_request,
                              struct net__answer_head *ret_head)
{
    struct net__answer_head head = { .keep_us = 0 };
    head.response.status = net__answer_status(data, len);
    if (head.response.status == 0)
        return "it does not begin as one of HTTP/1";
    head.response.version_minor = (unsigned)(data[7] - '0');
    struct answer_parser p = { .headers = headers, .max = headers_max };
    llhttp_init(&p.llhttp, HTTP_RESPONSE, &answer_settings);
    p.llhttp.data = &p;
    (void)llhttp_execute(&p.llhttp, data, len); /* `complete` tells */
    if (!p.complete || p.llhttp.error_pos != data + len)
        return "its head is malformed";
    for (unsigned i = 0; i < p.len; i++) {
        lower_case(data, &headers[i]);
        if (!is_value(headers[i].value))
            return "its head is malformed";
    }
    head.response.headers = headers;
    head.response.headers_len = p.len;
    const char *wrong = settle_body(&head, is_head_request);
    if (!wrong)
        *ret_head = head;
    return wrong;
}

struct slice net_client_header(const struct net_client_response *response, struct slice name)
{
    for (unsigned i = 0; i < response->headers_len; i++) {
        if (slice_eq(response->headers[i].name, name))
            return response->headers[i].value;
    }
    return SLICE_NULL;
}

/* -- a request's head
 * -------------------------------------------------------------------------------------------- */

static enum status say_bad(struct task *task, const char *what, struct slice name)
{
    return problem_set(task, STATUS_INVALID, "client/request",
                       "The request to another server has %s (\"%.*s\").", what, SLICE_ARG(name));
}

static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!net__is_token[(unsigned char)text.data[i]])
            return false;
    }
    return text.len > 0;
}

/* What the client says itself: one place only may frame a message. */
static bool is_ours(struct slice name)
{
    static const struct slice names[] = {
        SLICE_INIT("content-length"),   SLICE_INIT("transfer-encoding"),
        SLICE_INIT("connection"),       SLICE_INIT("keep-alive"),
        SLICE_INIT("proxy-connection"), SLICE_INIT("expect"),
        SLICE_INIT("upgrade"),          SLICE_INIT("te"),
        SLICE_INIT("trailer"),
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq_nocase(name, names[i]))
            return true;
    }
    return false;
}

static enum status put_headers(struct task *task, const struct net_client_request *request,
                               struct buf *out, bool *ret_has_agent, bool *ret_has_trace)
{
    for (unsigned i = 0; i < request->headers_len; i++) {
        const struct net_header *h = &request->headers[i];
        if (!is_token(h->name) || is_ours(h->name))
            return say_bad(task, "a header that it may not have", h->name);
        if (!is_value(h->value))
            return say_bad(task, "a header with control characters", h->name);
        if (slice_eq_nocase(h->name, SLICE("host")))
            continue; /* it stands first */
        *ret_has_agent |= slice_eq_nocase(h->name, SLICE("user-agent"));
        *ret_has_trace |= slice_eq_nocase(h->name, SLICE("traceparent"));
        buf_put_slice(out, h->name);
        buf_put_lit(out, ": ");
        buf_put_slice(out, h->value);
        buf_put_lit(out, "\r\n");
    }
    return STATUS_OK;
}

static struct slice host_of(const struct net_client_request *request, const struct net_url *url)
{
    for (unsigned i = 0; i < request->headers_len; i++) {
        if (slice_eq_nocase(request->headers[i].name, SLICE("host")))
            return request->headers[i].value;
    }
    return url->authority;
}

/* The task's trace goes on with a span of its own for this call (W3C Trace Context). */
static void put_trace(struct task *task, struct buf *out)
{
    struct slice trace_id = task_trace_id(task);
    uint64_t span = random_fast() | 1; /* not zero */
    if (trace_id.len != 32)
        return;
    buf_put_lit(out, "traceparent: 00-");
    buf_put_slice(out, trace_id);
    buf_put_lit(out, "-");
    buf_put_hex(out, &span, sizeof(span));
    buf_put_slice(out, task_is_sampled(task) ? SLICE("-01\r\n") : SLICE("-00\r\n"));
}

/* How the body is announced. */
static void put_framing(const struct net_client_request *request, struct buf *out)
{
    bool is_bare = request->method == NET_METHOD_GET || request->method == NET_METHOD_HEAD ||
                   request->method == NET_METHOD_OPTIONS || request->method == NET_METHOD_DELETE;
    bool has_body = request->next ? request->body_bytes != 0 : request->body.len > 0;
    if (request->next && request->body_bytes < 0) {
        buf_put_lit(out, "Transfer-Encoding: chunked\r\n");
    } else if (has_body || !is_bare) { /* RFC 9110 8.6: also when it is 0 */
        buf_put_lit(out, "Content-Length: ");
        buf_put_i64(out, request->next ? request->body_bytes : (int64_t)request->body.len);
        buf_put_lit(out, "\r\n");
    }
    if (request->expect_continue && has_body)
        buf_put_lit(out, "Expect: 100-continue\r\n");
}

enum status net__request_write(struct task *task, const struct net_client_request *request,
                               const struct net_url *url, struct buf *out)
{
    struct slice method = request->method == NET_METHOD_OTHER ? request->method_text
                                                              : net_method_text(request->method);
    bool has_agent = false, has_trace = request->no_trace || request->from_user;
    if (!is_token(method) || method.len > METHOD_BYTES_MAX ||
        slice_eq_nocase(method, SLICE("CONNECT")))
        return say_bad(task, "a method that it may not have", method);
    buf_put_slice(out, method);
    buf_put_lit(out, " ");
    buf_put_slice(out, url->target);
    buf_put_lit(out, " HTTP/1.1\r\nHost: ");
    buf_put_slice(out, host_of(request, url));
    buf_put_lit(out, "\r\n");
    enum status st = put_headers(task, request, out, &has_agent, &has_trace);
    if (st != STATUS_OK)
        return st;
    if (!has_agent)
        buf_put_lit(out, "User-Agent: purlin/" PURLIN_VERSION "\r\n");
    if (!has_trace)
        put_trace(task, out);
    put_framing(request, out);
    buf_put_lit(out, "\r\n");
    st = buf_status(out);
    if (st == STATUS_TOO_LARGE)
        return say_bad(task, "more headers than fit", SLICE("headers"));
    return st;
}
