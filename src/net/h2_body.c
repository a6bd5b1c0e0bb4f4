/*
 * net/h2_body.c - Bodies of HTTP/2: DATA that came and was not read yet, in chunks of the stream.
 *
 * Windows open only as the reader goes on, so a stream holds at most its window and a connection at
 * most the connection's, in chunks that are reused. A piece is lent in place: its chunk goes when
 * the reader asks for the next one.
 */
#include "net/h2.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define FREE_CHUNKS_MAX 64u

static struct net__h2_chunk *chunk_take(struct net__h2_server *hs)
{
    struct net__h2_chunk *chunk = hs->free_chunks;
    if (chunk) {
        hs->free_chunks = chunk->next;
        hs->free_chunks_len--;
    } else {
        chunk = malloc(sizeof(*chunk));
        if (!chunk)
            abort(); /* the machine is out of memory: nothing sensible is left to do (style: fatal)
                      */
    }
    chunk->next = NULL;
    chunk->start = chunk->end = 0;
    return chunk;
}

static void chunk_give(struct net__h2_server *hs, struct net__h2_chunk *chunk)
{
    if (hs->free_chunks_len >= FREE_CHUNKS_MAX) {
        free(chunk);
        return;
    }
    chunk->next = hs->free_chunks;
    hs->free_chunks = chunk;
    hs->free_chunks_len++;
}

/* Let the peer send so many bytes more. */
static void open_windows(struct net__stream *st, size_t len)
{
    struct net__h2 *h2 = st->h2;
    if (len == 0 || !h2->session || h2->c->state != NET__H2)
        return;
    /* Neither can fail: no more is given back than came. */
    if (st->closed || st->in_ended)
        (void)nghttp2_session_consume_connection(h2->session, len);
    else
        (void)nghttp2_session_consume(h2->session, st->id, len);
    net__h2_pump_soon(h2->c);
}

void net__h2_body_add(struct net__stream *st, const uint8_t *data, size_t len)
{
    st->in_us = st->h2->now_us;
    if (st->x->answer == NET__ANSWER_DONE || st->refusal) {
        (void)nghttp2_session_consume_connection(st->h2->session, len); /* nobody will read it */
        return;
    }
    while (len > 0) {
        struct net__h2_chunk *chunk = st->in_last;
        if (!chunk || chunk->end == NET__H2_CHUNK_BYTES) {
            chunk = chunk_take(st->h2->server);
            if (st->in_last)
                st->in_last->next = chunk;
            else
                st->in_first = chunk;
            st->in_last = chunk;
        }
        size_t n = MIN(len, (size_t)(NET__H2_CHUNK_BYTES - chunk->end));
        memcpy(chunk->data + chunk->end, data, n);
        chunk->end += (uint32_t)n;
        data += n;
        len -= n;
    }
    if (st->x->reader)
        task_wake(st->x->reader);
}

enum net__piece net__h2_body_next(struct net_exchange *x, struct slice *ret_piece)
{
    struct net__stream *st = x->stream;
    struct net__h2_chunk *chunk = st->in_first;
    if (!chunk || chunk->start == chunk->end)
        return st->in_ended ? NET__PIECE_END : NET__PIECE_MORE;
    *ret_piece = slice_of(chunk->data + chunk->start, chunk->end - chunk->start);
    x->lent = ret_piece->len;
    return NET__PIECE_DATA;
}

void net__h2_body_take_back(struct net_exchange *x, size_t lent)
{
    struct net__stream *st = x->stream;
    struct net__h2_chunk *chunk = st->in_first;
    chunk->start += (uint32_t)lent;
    if (chunk->start == chunk->end) {
        st->in_first = chunk->next;
        if (!st->in_first)
            st->in_last = NULL;
        chunk_give(st->h2->server, chunk);
    }
    open_windows(st, lent);
}

void net__h2_body_whole(struct net__stream *st)
{
    struct net_exchange *x = st->x;
    struct net__h2_chunk *chunk = st->in_first;
    if (!st->in_ended || !chunk || chunk != st->in_last || !x->request.has_body)
        return;
    x->body_whole = slice_of(chunk->data + chunk->start, chunk->end - chunk->start);
    x->has_body_whole = true;
    open_windows(st, x->body_whole.len);
}

void net__h2_body_drop(struct net__stream *st)
{
    size_t unread = 0;
    for (struct net__h2_chunk *chunk = st->in_first, *next; chunk; chunk = next) {
        next = chunk->next;
        unread += chunk->end - chunk->start;
        chunk_give(st->h2->server, chunk);
    }
    st->in_first = st->in_last = NULL;
    if (!st->x->has_body_whole)
        open_windows(st, unread);
}
