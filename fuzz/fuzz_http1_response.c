/*
 * fuzz/fuzz_http1_response.c - Answers as the client reads them, fed in pieces whose sizes the
 * first bytes choose. What is understood must not depend on the pieces, and llhttp alone must find
 * no other body in what we accept.
 */
#include <llhttp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "net/client_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPLITS 4u
#define ANSWERS_MAX 16u

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A digest of everything a run reported, and where the last whole answer ended. */
struct seen {
    uint64_t digest;
    unsigned answers;
    size_t end;
};

static void note(struct seen *seen, struct slice text)
{
    seen->digest = hash64(text, seen->digest * 31 + text.len);
}

static void note_number(struct seen *seen, int64_t number)
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

static struct net_header headers[NET__HEADERS_MAX + 1];

/* False: no more whole heads. */
static bool read_head(struct feed *f, char *copy, bool is_head, struct net__answer_head *head,
                      struct seen *seen)
{
    struct net__answer_scan scan = { .at = 0 };
    enum net__scan_result found = NET__SCAN_MORE;
    bool too_large = false;
    while (found == NET__SCAN_MORE) {
        struct slice unread = feed_unread(f);
        if (unread.len)
            found = net__answer_scan(&scan, unread.data, unread.len, &too_large);
        require(scan.at <= unread.len);
        if (found == NET__SCAN_MORE && !feed_more(f))
            return false;
    }
    const char *wrong = "scan";
    if (found == NET__SCAN_WHOLE) {
        require(scan.lines >= 1 && scan.lines - 1u <= NET__HEADERS_MAX);
        memcpy(copy, feed_unread(f).data, scan.at);
        wrong = net__answer_parse(copy, scan.at, headers, scan.lines - 1u, is_head, head);
        f->at += scan.at;
    }
    note_number(seen, wrong != NULL);
    return !wrong;
}

static void note_head(struct seen *seen, const struct net__answer_head *head)
{
    const struct net_client_response *r = &head->response;
    require(r->status >= 100 && r->status <= 999 && r->version_minor <= 1);
    require(r->has_body == (head->until != NET__UNTIL_NONE));
    require(!head->keep_alive || head->until != NET__UNTIL_CLOSE);
    note_number(seen, r->status);
    note_number(seen, r->content_length);
    note_number(seen, head->until);
    note_number(seen, head->keep_alive);
    note_number(seen, head->keep_us);
    for (unsigned i = 0; i < r->headers_len; i++) {
        note(seen, r->headers[i].name);
        note(seen, r->headers[i].value);
        require(r->headers[i].name.len > 0);
        require(!memchr(r->headers[i].value.data, '\r', r->headers[i].value.len));
    }
}

/* Concatenate the body into `body`, which has room. False when it is bad or unfinished. */
static bool read_body(struct feed *f, const struct net__answer_head *head, char *body,
                      size_t *ret_len)
{
    const struct net__framing framing = {
        .chunked = head->until == NET__UNTIL_CHUNKED,
        .length = head->until == NET__UNTIL_LENGTH ? head->response.content_length : 0,
    };
    struct net__body decoder;
    net__body_init(&decoder, &framing);
    size_t len = 0;
    for (;;) {
        struct slice unread = feed_unread(f), piece = SLICE_NULL;
        size_t used;
        enum net__piece what = net__body_next(&decoder, unread.data, unread.len, &used, &piece);
        f->at += used;
        *ret_len = len;
        if (what == NET__PIECE_END)
            return true;
        if (what == NET__PIECE_BAD)
            return false;
        if (what == NET__PIECE_DATA) {
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
    struct other o = { .body = malloc(message.len + 1) };
    require(o.body != NULL);
    llhttp_t llhttp;
    llhttp_init(&llhttp, HTTP_RESPONSE, &settings);
    llhttp.data = &o;
    llhttp_errno_t rc = llhttp_execute(&llhttp, message.data, message.len);
    /* It may refuse what we take (extensions, trailers), but not read another body. An upgrade ends
     * its interest. */
    if (o.complete && rc != HPE_PAUSED_UPGRADE)
        require(slice_eq(slice_of(o.body, o.len), body));
    free(o.body);
}

static struct seen run(struct slice all, const uint8_t *splits, bool is_head)
{
    struct seen seen = { 0 };
    struct feed f = { .all = all, .splits = splits };
    char *body = malloc(all.len + 1), *copy = malloc(all.len + 1);
    require(body && copy);
    bool goes_on = true;
    while (goes_on && seen.answers < ANSWERS_MAX) {
        struct net__answer_head head;
        size_t body_len = 0, start = f.at;
        goes_on = read_head(&f, copy, is_head, &head, &seen);
        if (goes_on) {
            note_head(&seen, &head);
            goes_on = head.until != NET__UNTIL_CLOSE && read_body(&f, &head, body, &body_len);
            note(&seen, slice_of(body, body_len));
            note_number(&seen, goes_on);
        }
        if (goes_on) {
            seen.answers++;
            seen.end = f.at;
            if (!splits && !is_head)
                check_other(slice_of(all.data + start, f.at - start), slice_of(body, body_len));
        }
    }
    free(body);
    free(copy);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SPLITS)
        return 0;
    bool is_head = data[0] & 1;
    struct slice all = slice_of((const char *)data + SPLITS, size - SPLITS);
    struct seen whole = run(all, NULL, is_head);
    struct seen split = run(all, data, is_head);
    require(whole.digest == split.digest && whole.answers == split.answers &&
            whole.end == split.end);
    return 0;
}
