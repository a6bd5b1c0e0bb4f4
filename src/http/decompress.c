/*
 * http/decompress.c - Bodies of requests in a content coding, decoded as they come.
 *
 * A few kilobytes can stand for gigabytes. So nothing is decoded ahead of who reads it, what comes
 * out has the same limit as what may be sent, and a body that grows more than so many times is
 * refused long before that: the limit of a route for large uploads is no licence for bombs.
 */
#include "http/internal.h"

#include "base/macros.h"
#include "base/problem.h"
#include "http/signature.h"

#define RATIO_MAX_DEFAULT ((int64_t)200)
/* Small bodies may be as repetitive as they like. */
#define RATIO_FROM_BYTES ((int64_t)256 * 1024)
/* A task that decodes gives way after so much. */
#define YIELD_BYTES ((int64_t)256 * 1024)

/* RFC 9110 8.4 allows several, one over the other; nobody sends them but to hide a bomb. */
static const struct slice accepted = SLICE_INIT("zstd, br, gzip, deflate");

enum status http__refuse_as(struct task *task, enum status st, int http_status)
{
    struct problem *p = task_problem(task);
    if (p->status == st && !p->http_status)
        p->http_status = http_status;
    return st;
}

static enum status refuse_coding(struct task *task, struct http_request *req, const char *detail)
{
    http_header_add(req, SLICE("Accept-Encoding"), accepted); /* RFC 7694 section 3 */
    return http__refuse(task, STATUS_INVALID, 415, "http/content-encoding", "%s", detail);
}

enum status http__body_coding(struct task *task, struct http_request *req,
                              enum http__coding *ret_coding)
{
    const struct net_request *r = http_net(req);
    *ret_coding = HTTP__IDENTITY;
    if (!net_header_get(r, NET_HEADER_CONTENT_ENCODING))
        return STATUS_OK;
    for (unsigned i = 0; i < r->headers_len; i++) {
        struct slice rest = r->headers[i].value, name;
        if (r->headers[i].id != NET_HEADER_CONTENT_ENCODING)
            continue;
        while (slice_split(&rest, ',', &name)) {
            enum http__coding coding = http__coding_of(slice_trim(name));
            if (coding == HTTP__CODING_COUNT)
                return refuse_coding(task, req,
                                     "The body has a content coding that is not known here; "
                                     "Accept-Encoding names those that are.");
            if (coding == HTTP__IDENTITY)
                continue;
            if (*ret_coding != HTTP__IDENTITY)
                return refuse_coding(task, req, "The body may have one content coding, not more.");
            *ret_coding = coding;
        }
    }
    return STATUS_OK;
}

/* The first call: is there anything to decode? */
static enum status begin(struct task *task, struct http_request *req)
{
    enum http__coding coding;
    enum status st = http__body_coding(task, req, &coding);
    if (st != STATUS_OK)
        return st;
    st = http__digest_begin(task, req);
    if (st != STATUS_OK)
        return st;
    req->coded.checked = req->coded.between = true;
    if (coding == HTTP__IDENTITY)
        return STATUS_OK;
    struct http__coders *coders = http__coders_of(req);
    st = coders ? http__decoder_take(coders, coding, &req->decoder) : STATUS_EXHAUSTED;
    if (st != STATUS_OK)
        return problem_set(task, st, "http/overloaded",
                           "The server decodes as many bodies as it can; send it plain, or again "
                           "in a moment.");
    return STATUS_OK;
}

/* More bytes into `unread`, or `over`. */
static enum status fill(struct task *task, struct http_request *req)
{
    struct http__coded_body *b = &req->coded;
    enum status st = net_body_read(task, req->x, &b->unread);
    if (st == STATUS_OK)
        http__digest_update(req, b->unread);
    if (st != STATUS_NOT_FOUND)
        return http__body_problem(task, st);
    b->over = true;
    return http__digest_end(task, req);
}

static enum status check_size(struct task *task, struct http_request *req)
{
    const struct http__coded_body *b = &req->coded;
    int64_t ratio_max = req->policy->compression.request_ratio_max;
    if (ratio_max == 0)
        ratio_max = RATIO_MAX_DEFAULT;
    if (b->out_bytes > net_body_limit(req->x))
        return http__refuse(task, STATUS_TOO_LARGE, 413, "http/body-too-large",
                            "The body is larger than this route takes once it is decoded.");
    if (b->out_bytes > RATIO_FROM_BYTES && b->out_bytes / ratio_max > b->in_bytes)
        return http__refuse(task, STATUS_TOO_LARGE, 413, "http/body-ratio",
                            "The body grows more than %lld times when it is decoded.",
                            (long long)ratio_max);
    return STATUS_OK;
}

static enum status refuse_malformed(struct task *task)
{
    return http__refuse(task, STATUS_INVALID, 400, "http/malformed-coding",
                        "The body is not well-formed in the coding that Content-Encoding names.");
}

/* Decode some of `unread`; *ret_piece may be empty. */
static enum status decode(struct task *task, struct http_request *req, struct slice *ret_piece)
{
    struct http__coded_body *b = &req->coded;
    size_t before = b->unread.len, n;
    bool is_end;
    if (b->ended)
        return refuse_malformed(task); /* something follows the end */
    b->between = false;
    char *out = http__decoder_out(req->decoder);
    enum status st =
        http__decoder_run(req->decoder, &b->unread, out, HTTP__CODER_OUT_BYTES, &n, &is_end);
    if (st == STATUS_EXHAUSTED)
        return http__refuse(task, STATUS_TOO_LARGE, 413, "http/body-window",
                            "Decoding the body takes more memory than this server gives to it.");
    if (st == STATUS_INVALID)
        return refuse_malformed(task);
    if (st != STATUS_OK)
        return st;
    b->in_bytes += (int64_t)(before - b->unread.len);
    b->out_bytes += (int64_t)n;
    if (is_end) {
        b->between = true;
        b->ended = !http__decoder_is_many(req->decoder);
    }
    *ret_piece = slice_of(out, n);
    return check_size(task, req);
}

static enum status give_way(struct task *task, struct http__coded_body *b)
{
    if (b->out_bytes - b->yielded_bytes < YIELD_BYTES)
        return STATUS_OK;
    b->yielded_bytes = b->out_bytes;
    return task_yield(task);
}

static enum status read_plain(struct task *task, struct http_request *req, struct slice *ret_piece)
{
    enum status st = net_body_read(task, req->x, ret_piece);
    if (st == STATUS_OK)
        http__digest_update(req, *ret_piece);
    if (st != STATUS_NOT_FOUND)
        return http__body_problem(task, st);
    st = http__digest_end(task, req);
    return st == STATUS_OK ? STATUS_NOT_FOUND : st;
}

enum status http_body_read(struct task *task, struct http_request *req, struct slice *ret_piece)
{
    struct http__coded_body *b = &req->coded;
    enum status st = b->checked ? STATUS_OK : begin(task, req);
    if (st != STATUS_OK)
        return st;
    if (!req->decoder)
        return read_plain(task, req, ret_piece);
    for (;;) {
        struct slice piece = SLICE_NULL;
        st = give_way(task, b);
        if (st == STATUS_OK && b->unread.len == 0 && !b->over && b->between)
            st = fill(task, req);
        if (st != STATUS_OK)
            return st;
        if (b->unread.len == 0 && b->over && b->between) {
            http__decoder_give(req->decoder); /* others may wait for one */
            req->decoder = NULL;
            return STATUS_NOT_FOUND;
        }
        st = decode(task, req, &piece);
        if (st != STATUS_OK)
            return st;
        if (piece.len > 0) {
            *ret_piece = piece;
            return STATUS_OK;
        }
        if (b->unread.len > 0 || b->between)
            continue;
        /* It wants more than it has. */
        if (b->over)
            return refuse_malformed(task);
        st = fill(task, req);
        if (st != STATUS_OK)
            return st;
    }
}
