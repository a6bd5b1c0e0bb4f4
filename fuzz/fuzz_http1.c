/*
 * fuzz/fuzz_http1.c - The HTTP/1.1 codec: requests in a row, fed in pieces whose sizes the first
 * bytes choose. What is understood must not depend on the pieces, and llhttp alone must find no
 * other body in what we accept.
 */
#include <llhttp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "net/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPLITS 4u
#define REQUESTS_MAX 16u

static const struct net_limits limits = {
    .line_bytes_max = 128,
    .headers_bytes_max = 512,
    .headers_max = 8,
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What a run understood: a digest of everything it reported, and where the last whole request
 * ended. */
struct seen {
    uint64_t digest;
    unsigned requests;
    size_t end;
};

static void note(struct seen *seen, struct slice text)
{
    seen->digest = hash64(text, seen->digest * 31 + text.len);
}

static void note_number(struct seen *seen, uint64_t number)
{
    note(seen, slice_of((const char *)&number, sizeof(number)));
}

/* Bytes come as `splits` says: of the rest, so much at a time. */
struct feed {
    struct slice all;
    const uint8_t *splits;
    size_t at;   /* consumed */
    size_t seen; /* arrived */
    unsigned turn;
};

static bool feed_more(struct feed *f)
{
    if (f->seen == f->all.len)
        return false;
    size_t step = f->splits ? (size_t)f->splits[f->turn++ % SPLITS] + 1 : f->all.len;
    f->seen = MIN(f->all.len, f->seen + step);
    return true;
}

static struct slice feed_unread(const struct feed *f)
{
    return slice_of(f->all.data + f->at, f->seen - f->at);
}

struct message {
    struct arena *arena;
    struct net_request request;
    struct net__framing framing;
    size_t start;
};

/* False: no more whole heads. */
static bool read_head(struct feed *f, struct message *m, struct seen *seen)
{
    struct net__scan scan = { 0 };
    const struct net_refusal *refusal = NULL;
    enum net__scan_result found = NET__SCAN_MORE;
    while (found == NET__SCAN_MORE) {
        struct slice unread = feed_unread(f);
        if (unread.len)
            found = net__scan_head(&scan, unread.data, unread.len, &limits, &refusal);
        require(scan.at <= unread.len);
        if (found == NET__SCAN_MORE && !feed_more(f))
            return false;
    }
    if (found == NET__SCAN_WHOLE) {
        size_t len = scan.at - scan.head_start;
        unsigned headers_max = scan.lines - 1u;
        char *head = arena_alloc(m->arena, len);
        require(headers_max <= limits.headers_max);
        m->request.headers = arena_array_of(m->arena, struct net_header, MAX(headers_max, 1u));
        memcpy(head, feed_unread(f).data + scan.head_start, len);
        refusal = net__parse_head(m->arena, head, len, headers_max, &m->request, &m->framing);
        m->start = f->at + scan.head_start;
        f->at += scan.at;
    }
    if (refusal) {
        /* What is both too long and malformed is called the one or the other by how much of it had
         * come. */
        int status = refusal->http_status;
        note_number(seen, status == 414 || status == 431 ? 400 : (uint64_t)status);
    }
    return !refusal;
}

static void note_request(struct seen *seen, const struct net_request *r)
{
    note(seen, r->path);
    note(seen, r->query);
    note(seen, r->host);
    note_number(seen, r->method);
    note_number(seen, r->keep_alive);
    for (unsigned i = 0; i < r->headers_len; i++) {
        note(seen, r->headers[i].name);
        note(seen, r->headers[i].value);
    }
    require(r->path.len > 0 && (r->path.data[0] == '/' || r->method == NET_METHOD_OPTIONS));
    require(!memchr(r->path.data, '\0', r->path.len));
}

/* Concatenate the body into `body`, which has room. False when it is bad or unfinished. */
static bool read_body(struct feed *f, const struct net__framing *framing, char *body,
                      size_t *ret_len)
{
    struct net__body decoder;
    net__body_init(&decoder, framing);
    size_t len = 0;
    for (;;) {
        struct slice unread = feed_unread(f), piece = SLICE_NULL;
        size_t used;
        enum net__piece what = net__body_next(&decoder, unread.data, unread.len, &used, &piece);
        require(used <= unread.len);
        f->at += used;
        *ret_len = len;
        if (what == NET__PIECE_END)
            return true;
        if (what == NET__PIECE_BAD)
            return false;
        if (what == NET__PIECE_DATA) {
            require(piece.len > 0 && piece.data >= unread.data &&
                    piece.data + piece.len <= unread.data + used);
            memcpy(body + len, piece.data, piece.len);
            len += piece.len;
        } else if (!feed_more(f)) {
            return false;
        }
    }
}

/* -- what llhttp alone makes of it
 * ----------------------------------------------------------------------- */

struct other {
    char *body;
    size_t len;
    bool complete;
};

static int other_on_body(llhttp_t *llhttp, const char *at, size_t len)
{
    struct other *o = llhttp->data;
    memcpy(o->body + o->len, at, len);
    o->len += len;
    return 0;
}

static int other_on_complete(llhttp_t *llhttp)
{
    struct other *o = llhttp->data;
    o->complete = true;
    return HPE_PAUSED;
}

static void check_other(struct slice message, struct slice body)
{
    static const llhttp_settings_t settings = {
        .on_body = other_on_body,
        .on_message_complete = other_on_complete,
    };
    /* It knows no HTTP/1.2 to 1.9, which are to be taken as 1.1. */
    const char *version = memchr(message.data, '\r', message.len);
    if (!version || version[-1] > '1')
        return;
    struct other o = { .body = malloc(message.len + 1) };
    require(o.body != NULL);
    llhttp_t llhttp;
    llhttp_init(&llhttp, HTTP_REQUEST, &settings);
    llhttp.data = &o;
    llhttp_errno_t rc = llhttp_execute(&llhttp, message.data, message.len);
    /* It may refuse what we take (well-formed extensions, trailers that are headers to it), but not
     * wait for more, nor read another body. An upgrade ends its interest. */
    require(rc != HPE_OK);
    if (o.complete && rc != HPE_PAUSED_UPGRADE)
        require(slice_eq(slice_of(o.body, o.len), body));
    free(o.body);
}

static struct seen run(struct slice all, const uint8_t *splits)
{
    struct seen seen = { 0 };
    struct feed f = { .all = all, .splits = splits };
    char *body = malloc(all.len + 1);
    require(body != NULL);
    bool goes_on = true;
    while (goes_on && seen.requests < REQUESTS_MAX) {
        struct message m = { .arena = arena_new(NULL, (size_t)1 << 20) };
        size_t body_len = 0;
        goes_on = read_head(&f, &m, &seen);
        if (goes_on) {
            note_request(&seen, &m.request);
            goes_on = read_body(&f, &m.framing, body, &body_len);
            note(&seen, slice_of(body, body_len));
            note_number(&seen, goes_on);
        }
        if (goes_on) {
            seen.requests++;
            seen.end = f.at;
            if (!splits)
                check_other(slice_of(all.data + m.start, f.at - m.start), slice_of(body, body_len));
        }
        arena_free(m.arena);
    }
    free(body);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SPLITS)
        return 0;
    struct slice all = slice_of((const char *)data + SPLITS, size - SPLITS);
    struct seen whole = run(all, NULL);
    struct seen split = run(all, data);
    require(whole.digest == split.digest && whole.requests == split.requests &&
            whole.end == split.end);
    return 0;
}
