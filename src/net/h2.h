/*
 * net/h2.h - HTTP/2 (RFC 9113) on nghttp2, behind the same exchanges as HTTP/1.1. Private to the
 * room.
 *
 * A connection in state NET__H2 owns a net__h2: nghttp2's session and its streams, one exchange
 * each. Bytes that were read go to nghttp2, whose callbacks only take notes; when it is done with
 * them the requests that are complete are handed up (h2.c), so no handler runs inside of nghttp2,
 * and a request that is reset in the same breath costs nobody anything. Answers are submitted and
 * leave together: net__h2_pump takes frames from nghttp2 into the server's write buffer, one write
 * for all of them, at the end of a read and before the loop waits.
 *
 *   file         holds
 *   h2.c         sessions: opening, reading, pumping, draining, time, the end
 *   h2_input.c   bytes in, a look at each frame's head
 *   h2_request.c header fields to a request
 *   h2_answer.c  answers to header fields and DATA
 *   h2_body.c    what came of a body and was not read yet
 *   h2_bounds.c  what a peer may ask of us without paying for it
 *   h2_memory.c  nghttp2's allocations, pooled
 *
 * A stream's life: HEADERS open its exchange; the exchange is over when nghttp2 closed the stream
 * (all of the answer is in the write buffer, or it was reset), the receiver answered and the last
 * hold was released.
 */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/conn.h"

/* -- bounds: h2_bounds.c
 * ------------------------------------------------------------------------------------------ */

enum net__h2_kind {
    /* With a budget: */
    NET__H2_RESETS,         /* streams the peer reset: rapid reset, CVE-2023-44487 */
    NET__H2_FAULTS,         /* streams it made us reset: CVE-2025-8671 */
    NET__H2_SETTINGS,       /* and their acknowledgements */
    NET__H2_PINGS,          /* likewise */
    NET__H2_PRIORITIES,     /* PRIORITY and PRIORITY_UPDATE */
    NET__H2_WINDOW_UPDATES, /* beyond what the DATA we sent is good for */
    NET__H2_EMPTY,          /* DATA that brings nothing */
    NET__H2_UNKNOWN,        /* frames of types we do not know */
    NET__H2_BUDGETS,
    /* At once: */
    NET__H2_CONTINUATION = NET__H2_BUDGETS, /* a header block in too many frames */
    NET__H2_HEADER_BOMB,                    /* a header block that grows when decoded */
    NET__H2_UNREAD,  /* acknowledgements queued for a peer that does not read */
    NET__H2_ZOMBIES, /* streams that are closed and whose handlers still run */
    NET__H2_STALLED, /* an answer whose windows stay shut */
    NET__H2_KINDS
};

/* A token bucket: `burst` at once, a tenth of it a second afterwards. */
struct net__h2_budgets {
    unsigned left[NET__H2_BUDGETS];
    int64_t filled_us;
};

/* Frames in a row that make up one header block, as nghttp2 counts: HEADERS and so many more. */
#define NET__H2_CONTINUATIONS_MAX 8u
/* Acknowledgements of SETTINGS and PING that wait for the peer to read. */
#define NET__H2_ACKS_MAX 128u
/* Frames that wait for a peer that does not read; beyond it we do not read either. */
#define NET__H2_QUEUE_MAX 1024u
/* A header block may decode to so many times what is taken of it, or the connection ends. */
#define NET__H2_BOMB_FACTOR 4u
#define NET__H2_HPACK_TABLE_BYTES 4096u
#define NET__H2_HEAD_BYTES ((size_t)9) /* of a frame */

/* -- parts
 * -------------------------------------------------------------------------------------------------
 */

/* A piece of a body that was not read yet. */
#define NET__H2_CHUNK_BYTES 4096u
struct net__h2_chunk {
    struct net__h2_chunk *next;
    uint32_t start, end;
    char data[NET__H2_CHUNK_BYTES];
};

struct net__h2_memory; /* h2_memory.c */

/* Header lines of answers, ready for nghttp2: parsed once from net_head.fixed. */
#define NET__H2_FIXED_LINES_MAX 48u
#define NET__H2_FIXED_MAX 8u
struct net__h2_fixed {
    struct slice text;  /* a copy: what it was made from may go */
    struct slice names; /* lower case, in the same places as in `text` */
    unsigned len;
    nghttp2_nv lines[NET__H2_FIXED_LINES_MAX];
};

/* What the connections of one server share; made with the first of them. */
struct net__h2_server {
    struct net_server *server;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct net__h2_memory *memory;
    struct net__h2_chunk *free_chunks;
    unsigned free_chunks_len;
    struct net__h2_fixed *fixed[NET__H2_FIXED_MAX];
    unsigned fixed_len;
};

struct net__stream {
    struct net_exchange *x;
    struct net__h2 *h2;
    struct net__stream *prev, *next; /* in h2->open or h2->closed */
    struct net__stream *ready_next;
    int32_t id;

    /* The head, while it comes. */
    struct slice method, scheme, path, authority;
    unsigned fields_cap;
    unsigned cookies_len;  /* Cookie fields */
    uint32_t fields_bytes; /* as RFC 9113 10.5.1 counts, all of them */
    uint32_t kept_bytes;   /* of those that limits count: without the path */
    const struct net_refusal *refusal;

    /* The body. */
    struct net__h2_chunk *in_first, *in_last;
    int64_t in_us; /* when bytes of it came last */

    /* The answer. */
    struct slice out;     /* what nghttp2 has not taken yet; a body, or a piece lent by a writer */
    int64_t out_since_us; /* when it began to wait; 0: nothing does */
    uint64_t out_moved;   /* bytes taken since */

    bool in_ended;   /* the peer's side of the stream is */
    bool out_last;   /* nothing comes after `out` */
    bool out_waits;  /* nghttp2 was told that there is nothing for now */
    bool out_ended;  /* END_STREAM went out */
    bool submitted;  /* the head of the answer is nghttp2's */
    bool is_ready;   /* in h2's list of complete heads */
    bool handed;     /* the receiver knows the exchange */
    bool closed;     /* nghttp2 has forgotten the stream */
    bool stalled;    /* the sweep gave up on its windows */
    bool reset_sent; /* RST_STREAM is on its way by our own decision */
};

struct net__h2 {
    nghttp2_session *session;
    struct net_conn *c;
    struct net__h2_server *server;
    struct net__h2 *dirty_next;
    struct net__stream *open, *closed;
    struct net__stream *ready_first, *ready_last;
    unsigned streams_len;  /* exchanges, of open and closed streams */
    unsigned depth;        /* of our frames on the stack that use it */
    int64_t now_us;        /* of the read that is being looked at */
    int64_t head_since_us; /* the preface or a header block began and has not ended; 0 */
    int64_t drain_since_us;
    int64_t drain_acked_us; /* the ping between the GOAWAYs was answered; 0: not yet */
    int64_t opened_us;      /* when the last stream was */
    struct net__h2_budgets budgets;
    enum net__h2_kind abuse; /* what the connection ends for; NET__H2_KINDS: nothing */
    uint32_t frame_left;     /* bytes of the frame that is coming */
    uint32_t heads_seen;     /* streams that HEADERS came for */
    uint32_t heads_opened;   /* those that nghttp2 opened */
    uint8_t head_len;        /* of the frame that comes next */
    uint8_t head[NET__H2_HEAD_BYTES];
    int32_t last_id; /* the highest that HEADERS came for; -1: none */
    bool has_gaps;   /* a stream number was left out */
    bool unopened;   /* HEADERS of a new stream came and nghttp2 has not opened it */
    bool has_reset;  /* we reset a stream that the peer had not ended */
    bool in_nghttp2; /* one of its functions is on the stack: it may not be entered again */
    bool is_dirty;   /* in the loop's list */
    bool has_closed; /* a stream was closed since the last reaping */
    bool draining;   /* the first GOAWAY is submitted */
    bool drained;    /* the second one too */
};

/* -- h2.c -- */
enum net__preface { NET__PREFACE_NO, NET__PREFACE_MORE, NET__PREFACE_YES };
/* Do a connection's first bytes begin HTTP/2 with prior knowledge (RFC 9113 3.3)? */
enum net__preface net__h2_preface(const struct net_conn *c, struct slice unread);
/* The connection speaks HTTP/2 from here on: ALPN or the preface said so. Unread bytes (the preface
 * among them) are taken by net__h2_read. False: it is closed. */
bool net__h2_open(struct net_conn *c);
/* Take all unread bytes. Loop's stack. */
void net__h2_read(struct net_conn *c);
/* Give frames to the kernel until nobody has any or it takes no more. Any stack; does nothing
 * inside of nghttp2. */
void net__h2_pump(struct net_conn *c);
/* The same, once this turn's ready work is done. */
void net__h2_pump_soon(struct net_conn *c);
void net__h2_drain(struct net_conn *c);
void net__h2_sweep(struct net_conn *c, int64_t now_us);
/* The connection is closed, or about to be: its streams are gone. */
void net__h2_gone(struct net_conn *c);
bool net__h2_settle(struct net_exchange *x);
void net__h2_server_free(struct net__h2_server *hs);

/* -- h2_input.c -- */
/* Give bytes to nghttp2. < 0: it goes on no further. */
ssize_t net__h2_input(struct net__h2 *h2, struct slice bytes);

/* -- h2_request.c -- */
struct net__stream *net__h2_stream_open(struct net__h2 *h2, int32_t id);
/* Keep one field of the head; what does not fit makes it refused. False: it is a bomb. */
bool net__h2_field(struct net__stream *st, nghttp2_rcbuf *name, nghttp2_rcbuf *value);
/* All fields are there. NULL, or why the request is refused. */
const struct net_refusal *net__h2_request_make(struct net__stream *st);

/* -- h2_answer.c -- */
void net__h2_send(struct net_exchange *x, const struct net_head *head, struct slice body);
enum status net__h2_stream_begin(struct net_exchange *x, const struct net_head *head,
                                 int64_t length);
enum status net__h2_stream_write(struct task *task, struct net_exchange *x, struct slice piece);
void net__h2_stream_end(struct net_exchange *x);
void net__h2_abort(struct net_exchange *x);
void net__h2_continue(struct net_exchange *x);
void net__h2_reset(struct net__stream *st, uint32_t code);
/* nghttp2's callback that puts a DATA frame into the write buffer. */
int net__h2_put_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd,
                     size_t len, nghttp2_data_source *source, void *arg);

/* -- h2_body.c -- */
/* Bytes of a DATA frame came. */
void net__h2_body_add(struct net__stream *st, const uint8_t *data, size_t len);
enum net__piece net__h2_body_next(struct net_exchange *x, struct slice *ret_piece);
/* The piece that was lent is done with. */
void net__h2_body_take_back(struct net_exchange *x, size_t lent);
/* A body that came whole, in one piece, with its head is the exchange's. */
void net__h2_body_whole(struct net__stream *st);
/* Nobody will read the rest. */
void net__h2_body_drop(struct net__stream *st);

/* -- h2_bounds.c -- */
void net__h2_budgets_init(struct net__h2 *h2);
/* Take one from a budget. False when it is spent: the connection is to end. */
bool net__h2_spend(struct net__h2 *h2, enum net__h2_kind kind);
void net__h2_earn(struct net__h2 *h2, enum net__h2_kind kind, unsigned n);
/* Tell of abuse; what ends the connection is told once. */
void net__h2_tell(struct net__h2 *h2, enum net__h2_kind kind);
/* As net__h2_tell, and GOAWAY with ENHANCE_YOUR_CALM. */
void net__h2_abuse(struct net__h2 *h2, enum net__h2_kind kind);

/* -- h2_memory.c -- */
struct net__h2_memory *net__h2_memory_new(void);
void net__h2_memory_free(struct net__h2_memory *memory);
nghttp2_mem *net__h2_memory_mem(struct net__h2_memory *memory);
/* A session is being made: its buffer for frames is the one that all of them share. */
void net__h2_memory_opening(struct net__h2_memory *memory, bool is_opening);
/* Did the session that is being made ask for it? */
bool net__h2_memory_is_lent(const struct net__h2_memory *memory);
/* Around nghttp2_session_mem_send: what it returns is in that buffer until `leave`. */
void net__h2_memory_enter(struct net__h2_memory *memory);
void net__h2_memory_leave(struct net__h2_memory *memory);
