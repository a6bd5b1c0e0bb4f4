/*
 * http/problem.c - Statuses and problems become RFC 9457 problem details here and nowhere else.
 */
#include "http/internal.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"

#define PROBLEM_JSON "application/problem+json"
#define DOCUMENT_BYTES_MAX ((size_t)64 * 1024)
#define CODE_BYTES 48u

/* What each status is when nobody said more. */
static const struct {
    int http_status;
    const char *type;
    const char *detail;
} defaults[STATUS_COUNT] = {
    [STATUS_OK] = { 200, "ok", "" },
    [STATUS_INVALID] = { 400, "http/invalid", "The request is not valid." },
    [STATUS_UNAUTHENTICATED] = { 401, "http/unauthenticated", "This needs credentials." },
    [STATUS_DENIED] = { 403, "http/denied", "This is not allowed." },
    [STATUS_NOT_FOUND] = { 404, "http/not-found", "There is no such thing here." },
    [STATUS_CONFLICT] = { 409, "http/conflict", "This conflicts with what is there." },
    [STATUS_TOO_LARGE] = { 413, "http/too-large", "This is larger than allowed." },
    [STATUS_EXHAUSTED] = { 503, "http/overloaded", "The server has all the work it can take." },
    [STATUS_TIMEOUT] = { 503, "http/timeout", "The server did not finish in time." },
    [STATUS_CANCELLED] = { 503, "http/cancelled", "The server is stopping." },
    [STATUS_UNAVAILABLE] = { 503, "http/unavailable", "Something the server needs is down." },
    [STATUS_INTERNAL] = { 500, "http/internal", "The server failed. It is not your fault." },
};

int http_status_of(enum status st)
{
    return defaults[st].http_status;
}

/* What is said: the problem where it explains this status, else the default. */
struct said {
    int http_status;
    const char *type;
    struct slice detail;
    const struct problem *problem; /* NULL: the default */
};

static struct said said_of(enum status st, const struct problem *p)
{
    struct said said = {
        .http_status = defaults[st].http_status,
        .type = defaults[st].type,
        .detail = slice_cstr(defaults[st].detail),
    };
    /* A 500 says nothing of the inside, whoever set what. */
    if (st == STATUS_INTERNAL || !p || p->status != st)
        return said;
    said.problem = p;
    if (p->http_status)
        said.http_status = p->http_status;
    if (p->type)
        said.type = p->type;
    if (p->detail.len && utf8_is_valid(p->detail))
        said.detail = p->detail;
    return said;
}

/* "resource/not-found" -> "not_found": for programs that switch on it. */
static struct slice code_of(const char *type, char out[CODE_BYTES])
{
    const char *hash = strrchr(type, '#'), *slash = strrchr(type, '/');
    const char *from = hash ? hash + 1 : slash ? slash + 1 : type;
    size_t n = 0;
    for (; from[n] && n < CODE_BYTES; n++)
        out[n] = from[n] == '-' ? '_' : from[n];
    return slice_of(out, n);
}

static void put_text(struct json_out *o, const char *key, struct slice value)
{
    if (value.len == 0)
        return;
    json_out_key(o, slice_cstr(key));
    json_out_string(o, value);
}

static void put_fields(struct json_out *o, const struct problem *p)
{
    json_out_key(o, SLICE("errors"));
    json_out_array(o);
    for (size_t i = 0; i < p->fields_len; i++) {
        const struct problem_field *f = &p->fields[i];
        bool is_text = utf8_is_valid(f->pointer) && utf8_is_valid(f->detail);
        json_out_object(o);
        json_out_key(o, SLICE("pointer"));
        json_out_string(o, is_text ? f->pointer : SLICE(""));
        json_out_kv(o, "code", f->code ? f->code : "invalid");
        put_text(o, "detail", is_text ? f->detail : SLICE(""));
        put_text(o, "message", is_text ? f->detail : SLICE(""));
        json_out_end(o);
    }
    json_out_end(o);
    if (p->fields_dropped) {
        json_out_key(o, SLICE("errors_dropped"));
        json_out_bool(o, true);
    }
}

/* The extension member of "quota-exceeded" (draft-ietf-httpapi-ratelimit-headers). */
static void put_violated(struct json_out *o, const struct problem *p)
{
    json_out_key(o, SLICE("violated-policies"));
    json_out_array(o);
    for (size_t i = 0; i < p->violated_len; i++)
        json_out_string(o, p->violated[i]);
    json_out_end(o);
}

void http_problem_write(struct http_request *req, enum status st, const struct problem *problem,
                        struct buf *out, int *ret_status)
{
    struct said said = said_of(st, problem);
    char code[CODE_BYTES];
    struct json_out o = json_out(out);
    json_out_object(&o);
    json_out_key(&o, SLICE("type"));
    buf_putc(out,
             '"'); /* the base is configuration and the tail a constant: neither needs escapes */
    /* Types that the world has agreed on stand as they are. */
    if (!slice_starts(slice_cstr(said.type), SLICE("https://")))
        buf_put_slice(out, req->app->options.problem_base);
    buf_put_cstr(out, said.type);
    buf_putc(out, '"');
    o.after_key = false;
    json_out_kv(&o, "title", net_reason(said.http_status));
    json_out_ki(&o, "status", said.http_status);
    put_text(&o, "detail", said.detail);
    put_text(&o, "instance", http_path(req)); /* ASCII: others are escaped in a normal path */
    put_text(&o, "code", code_of(said.type, code));
    put_text(&o, "request_id", req->request_id);
    put_text(&o, "trace_id", req->trace_id);
    if (said.problem && said.problem->fields_len)
        put_fields(&o, said.problem);
    if (said.problem && said.problem->violated_len)
        put_violated(&o, said.problem);
    json_out_end(&o);
    *ret_status = said.http_status;
}

static bool has_challenge(const struct http_request *req)
{
    for (unsigned i = 0; i < req->headers_len; i++)
        if (slice_eq(req->headers[i].name, SLICE("WWW-Authenticate")))
            return true;
    return false;
}

/* Headers that some statuses owe. */
static void add_headers(struct http_request *req, int status, const struct problem *p)
{
    if (status == 401 && (has_challenge(req) || http__signature_challenge(req))) {
        return;
    } else if (status == 401) {
        http_header_add(req, SLICE("WWW-Authenticate"), SLICE("Bearer realm=\"purlin\""));
    } else if (status == 405) {
        http_header_add(req, SLICE("Allow"), http__allow(req, req->allow));
    } else if (status == 429 || status == 503 || (p && p->retry_after_us > 0)) {
        int64_t wait_us = p && p->retry_after_us > 0 ? p->retry_after_us : 1000000;
        struct buf b;
        buf_init(&b, http_arena(req), 24, 24);
        buf_put_i64(&b, (wait_us + 999999) / 1000000);
        if (buf_status(&b) == STATUS_OK)
            http_header_add(req, SLICE("Retry-After"), buf_slice(&b));
    }
}

void http_send_problem(struct http_request *req, enum status st, const struct problem *problem)
{
    struct buf out;
    int status;
    buf_init(&out, http_arena(req), 1024, DOCUMENT_BYTES_MAX);
    http_problem_write(req, st, problem, &out, &status);
    if (buf_status(&out) != STATUS_OK) {
        /* Too many or too long errors, or no memory left: the status alone still helps. */
        http_send_empty(req, status);
        return;
    }
    add_headers(req, status, problem);
    http_send(req, status, PROBLEM_JSON, buf_slice(&out));
}

void http__send_simple(struct http_request *req, enum status st, int http_status, const char *type,
                       const char *detail)
{
    const struct problem problem = {
        .status = st,
        .http_status = http_status,
        .type = type,
        .detail = slice_cstr(detail),
    };
    http_send_problem(req, st, &problem);
}
