/*
 * net/body.c - Reading the body of a request from a task, piece by piece, in place.
 */
#include "net/net.h"

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "net/h2.h"

void net_body_limit_set(struct net_exchange *x, int64_t bytes_max)
{
    x->body_max = bytes_max;
}

int64_t net_body_limit(const struct net_exchange *x)
{
    return x->body_max;
}

/* The first failure is the answer to every later call. */
static enum status fail(struct net_exchange *x, enum status st)
{
    if (x->body_status == STATUS_OK)
        x->body_status = st;
    return x->body_status;
}

/* Bytes of the last piece are done with; there may be room for new ones. */
static void take_back(struct net_exchange *x)
{
    size_t lent = x->lent;
    x->lent = 0;
    if (lent == 0)
        return;
    if (x->stream) {
        net__h2_body_take_back(x, lent);
        return;
    }
    if (x->gone)
        return;
    net__conn_consume(x->conn, lent);
    net__conn_read_resume(x->conn);
}

static void send_continue(struct net_exchange *x)
{
    struct net_conn *c = x->conn;
    if (!x->request.expects_continue || x->continue_sent || x->answer != NET__ANSWER_NONE)
        return;
    x->continue_sent = true;
    if (x->stream) {
        net__h2_continue(x);
        return;
    }
    net__put(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    net__flush(c);
}

/* Park until bytes came, or something else happened. */
static enum status wait_readable(struct task *task, struct net_exchange *x)
{
    struct loop *loop = x->conn->server->loop;
    send_continue(x);
    if (x->gone)
        return STATUS_CANCELLED;
    x->reader = task;
    x->wait_since_us = loop_now_us(loop);
    enum status st = task_wait(task);
    x->reader = NULL;
    x->body_wait_us += loop_now_us(loop) - x->wait_since_us;
    return st;
}

/* What stands ready, whole or cut from the unread bytes. */
static enum net__piece next_piece(struct net_exchange *x, struct slice *ret_piece)
{
    struct net_conn *c = x->conn;
    if (x->has_body_whole) {
        if (x->body_bytes > 0)
            return NET__PIECE_END;
        *ret_piece = x->body_whole;
        return NET__PIECE_DATA;
    }
    if (x->stream)
        return net__h2_body_next(x, ret_piece);
    struct slice unread = net__conn_unread(c);
    size_t used;
    enum net__piece what = net__body_next(&c->body, unread.data, unread.len, &used, ret_piece);
    if (what == NET__PIECE_DATA)
        x->lent = used;
    else
        net__conn_consume(c, used);
    return what;
}

/* Does the chunk that was begun say that it goes past the limit? Then nobody waits for it. (While
 * its size has digits, it may have more.) */
static bool chunk_is_too_large(const struct net_exchange *x)
{
    const struct net__body *body = &x->conn->body;
    return !x->stream && body->chunked && body->chunk.digits == 0 &&
           body->chunk.left > (uint64_t)(x->body_max - x->body_bytes);
}

enum status net_body_read(struct task *task, struct net_exchange *x, struct slice *ret_piece)
{
    if (x->body_status != STATUS_OK)
        return x->body_status;
    if (x->request.content_length > x->body_max)
        return fail(x, STATUS_TOO_LARGE);
    take_back(x);
    for (;;) {
        if (x->gone && !x->has_body_whole)
            return fail(x, STATUS_CANCELLED);
        struct slice piece;
        switch (next_piece(x, &piece)) {
        case NET__PIECE_DATA:
            x->body_bytes += (int64_t)piece.len;
            if (x->body_bytes > x->body_max)
                return fail(x, STATUS_TOO_LARGE);
            *ret_piece = piece;
            return STATUS_OK;
        case NET__PIECE_END:
            return STATUS_NOT_FOUND;
        case NET__PIECE_BAD:
            return fail(x, STATUS_INVALID);
        case NET__PIECE_MORE:
            break;
        }
        if (chunk_is_too_large(x))
            return fail(x, STATUS_TOO_LARGE);
        if (!x->stream)
            net__conn_read_resume(x->conn);
        enum status st = wait_readable(task, x);
        if (x->body_status != STATUS_OK) /* the sweep found it too slow */
            return x->body_status;
        if (st != STATUS_OK)
            return fail(x, st);
    }
}

/* Append to *buffer, which holds `len` of `*cap` bytes. */
static enum status gather(struct net_exchange *x, char **buffer, size_t *cap, size_t len,
                          struct slice piece)
{
    if (len + piece.len > *cap) {
        size_t want = x->request.content_length > 0 ? (size_t)x->request.content_length
                                                    : MAX(*cap * 2, len + piece.len);
        char *grown = arena_realloc(x->arena, *buffer, *cap, want);
        if (!grown)
            return STATUS_EXHAUSTED;
        *buffer = grown;
        *cap = want;
    }
    memcpy(*buffer + len, piece.data, piece.len);
    return STATUS_OK;
}

enum status net_body_read_all(struct task *task, struct net_exchange *x, struct slice *ret_body)
{
    char *buffer = NULL;
    size_t len = 0, cap = 0;
    for (;;) {
        struct slice piece;
        enum status st = net_body_read(task, x, &piece);
        if (st == STATUS_NOT_FOUND) {
            *ret_body = x->has_body_whole ? x->body_whole : slice_of(buffer ? buffer : "", len);
            return STATUS_OK;
        }
        if (st != STATUS_OK)
            return st;
        if (x->has_body_whole)
            continue; /* it lies in the arena already */
        st = gather(x, &buffer, &cap, len, piece);
        if (st != STATUS_OK)
            return fail(x, st);
        len += piece.len;
    }
}
