/*
 * fuzz/http1.h - What both targets of HTTP/1.1 need: bytes that come in pieces, a digest of what
 * was understood, and what llhttp alone makes of a message.
 */
#pragma once

#include <llhttp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "net/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPLITS 4u
#define MESSAGES_MAX 16u

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

/* What a run understood: a digest of everything it reported, and where the last whole message
 * ended. */
struct seen {
    uint64_t digest;
    unsigned messages;
    size_t end;
};

static inline void note(struct seen *seen, struct slice text)
{
    seen->digest = hash64(text, seen->digest * 31 + text.len);
}

static inline void note_number(struct seen *seen, int64_t number)
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

static inline bool feed_more(struct feed *f)
{
    if (f->seen == f->all.len)
        return false;
    size_t step = f->splits ? (size_t)f->splits[f->turn++ % SPLITS] + 1 : f->all.len;
    f->seen = MIN(f->all.len, f->seen + step);
    return true;
}

static inline struct slice feed_unread(const struct feed *f)
{
    return slice_of(f->all.data + f->at, f->seen - f->at);
}

/* Concatenate the body into `body`, which has room. False when it is bad or unfinished. */
static inline bool read_body(struct feed *f, const struct net__framing *framing, char *body,
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

static inline int other_on_body(llhttp_t *llhttp, const char *at, size_t len)
{
    struct other *o = llhttp->data;
    memcpy(o->body + o->len, at, len);
    o->len += len;
    return 0;
}

static inline int other_on_complete(llhttp_t *llhttp)
{
    struct other *o = llhttp->data;
    o->complete = true;
    return HPE_PAUSED;
}

/* Has it another body? It may refuse what we take (well-formed extensions, trailers that are
 * headers to it), but not read another body; nor, of a request, wait for more. An upgrade ends its
 * interest. */
static inline void check_other(llhttp_type_t type, struct slice message, struct slice body)
{
    static const llhttp_settings_t settings = {
        .on_body = other_on_body,
        .on_message_complete = other_on_complete,
    };
    struct other o = { .body = malloc(message.len + 1) };
    require(o.body != NULL);
    llhttp_t llhttp;
    llhttp_init(&llhttp, type, &settings);
    llhttp.data = &o;
    llhttp_errno_t rc = llhttp_execute(&llhttp, message.data, message.len);
    require(type != HTTP_REQUEST || rc != HPE_OK);
    if (o.complete && rc != HPE_PAUSED_UPGRADE)
        require(slice_eq(slice_of(o.body, o.len), body));
    free(o.body);
}
