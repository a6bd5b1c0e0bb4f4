/*
 * net/conn.h - What a server, its connections and their exchanges are made of. Private to the room.
 *
 * One server lives on one loop. It has one buffer that every read of an idle connection goes into
 * and one that answers are gathered in, so that an idle connection owns nothing but struct
 * net_conn, and a request that comes whole and is answered at once costs one read and one write and
 * touches no heap.
 *
 * What its bytes are in each state, and when it leaves it:
 *
 * - HANDSHAKE: records of TLS. Hands are shaken -> HEAD, or H2 when ALPN chose it; it failed ->
 *   LINGER or CLOSED.
 * - HEAD: a head (none yet: idle). It is whole, or refused -> BUSY. It is the preface of HTTP/2 ->
 *   H2.
 * - BUSY: the body of the open exchange, then pipelined requests. The exchange is over -> HEAD,
 *   DRAIN, LINGER or CLOSED.
 * - DRAIN: a body that nobody read. It has passed -> HEAD; it is too much or too slow -> CLOSED.
 * - H2: frames (net/h2.h). GOAWAY has been sent and the streams are over -> LINGER or CLOSED.
 * - LINGER: anything; thrown away. The peer closed, or had its time -> CLOSED.
 * - CLOSED: none. The last handle and exchange are gone -> freed.
 *
 * Deadlines are not timers: a sweep over the connections about once a second compares times that
 * the connection wrote down anyway.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "fiber/loop.h"
#include "fiber/task.h"
#include "net/codec.h"
#include "net/gate.h"
#include "net/net.h"
#include "net/tls.h"

/* At most so much of an unread body is read and dropped to keep the connection. */
#define NET__DRAIN_MAX ((int64_t)64 * 1024)
/* A closing connection still takes so much, so that the peer gets to read our answer before a
 * reset. */
#define NET__LINGER_MAX ((size_t)64 << 20)
#define NET__LINGER_IDLE_US ((int64_t)2 * 1000 * 1000)
#define NET__LINGER_US ((int64_t)10 * 1000 * 1000)
/* A peer that shut down its side after a whole request may be waiting for the answer; longer than
 * this it is gone. */
#define NET__HALF_CLOSED_US ((int64_t)500 * 1000)
/* Bodies up to this are copied behind their head and go out in one piece with it. */
#define NET__COPY_MAX ((size_t)16 * 1024)
#define NET__BUFFER_BYTES ((size_t)64 * 1024)

/* Bytes that wait: unread ones (one block a connection) or unsent ones (a list). */
struct net__block {
    struct net__block *next;
    uv_write_t write;
    struct net_conn *conn;
    struct slice rest; /* of an answer's body, sent (under TLS: sealed) after the block's own bytes;
                          lives in the exchange */
    uint32_t start, end, cap;
    bool in_flight;
    bool is_body; /* the exchange's body is, or was, its rest */
    char data[];
};

/* Who is at the other end. */
struct net__peer {
    struct address address;
    bool has_address; /* a unix socket's peer has none */
    bool is_secure;   /* as a proxy told: it had this over TLS */
};

enum net__state {
    NET__HEAD,
    NET__HANDSHAKE,
    NET__BUSY,
    NET__DRAIN,
    NET__H2,
    NET__LINGER,
    NET__CLOSED
};

struct net__h2;        /* net/h2.h */
struct net__h2_server; /* likewise */
struct net__stream;    /* likewise */

/* How fast the peer takes an answer that waits for it, as seen by the sweep. */
struct net__taking {
    uint64_t taken;        /* bytes, at the last sweep */
    uint64_t taken_before; /* and when the watch began, */
    int64_t since_us;      /* which was then; 0: nothing waits */
};

struct net_conn {
    uv_tcp_t tcp;
    struct net_server *server;
    struct net_conn *prev, *next;
    struct net_exchange *x;     /* of HTTP/1 */
    struct net__h2 *h2;         /* NULL: it speaks HTTP/1 */
    struct net__secure *secure; /* NULL: in clear */
    struct net__block *in;      /* unread bytes, in order before `fresh` */
    struct slice fresh; /* unread bytes in the server's read buffer, during a read callback */
    struct net__block *out_first, *out_last;
    size_t out_bytes; /* in those blocks and not yet taken by libuv's callback */
    struct net__taking taking;
    int64_t since_us;  /* start of what its state waits for */
    int64_t gap_us;    /* how long it was silent before the last request */
    int64_t active_us; /* last byte read; in LINGER and DRAIN too */
    int64_t write_us;  /* last progress of writing */
    int64_t eof_us;    /* when the peer shut down its side; 0: it has not */
    size_t lingered_bytes;
    struct net__scan scan;
    struct net__body body;
    struct loop_post resume;
    enum net__state state;
    bool resuming;      /* resume is posted */
    bool held;          /* its answer waits among the server's held ones */
    bool running;       /* net__conn_run is on the stack */
    bool stopped;       /* reading is */
    bool close_after;   /* the answer in hand is the last one */
    bool unclean;       /* closing now would lose our answer: the peer may be sending still */
    bool served;        /* had an answer */
    bool handle_closed; /* libuv is done with tcp */
    uint8_t peer_len;
    char peer_text[ADDRESS_TEXT_MAX];
    struct net__peer peer;
    struct net__ticket ticket;
};

enum net__answer { NET__ANSWER_NONE, NET__ANSWER_STREAM, NET__ANSWER_DONE };

struct net_exchange {
    struct net_request request;
    struct net_conn *conn;
    struct net__stream *stream; /* of HTTP/2; NULL: HTTP/1 */
    struct arena *arena;
    void *user;
    void (*on_gone)(struct net_exchange *x, void *arg);
    void *on_gone_arg;
    struct task *reader; /* parked in net_body_read */
    struct task *writer; /* parked in net_stream_write */
    int64_t started_us;
    int64_t ready_us; /* its head was whole and taken up; 0: nobody wrote it down */
    int64_t body_max;
    int64_t body_bytes;      /* handed out so far */
    int64_t body_wait_us;    /* time that reader has waited for them */
    int64_t wait_since_us;   /* 0: it does not wait now */
    struct slice body_whole; /* when it came with the head */
    size_t lent;             /* raw bytes at the front of conn->in that the last piece lies in */
    enum status body_status; /* the first failure of reading it */
    int64_t sent_bytes;
    int64_t stream_left; /* of an announced length; -1: chunked or until close */
    int sent_status;
    unsigned holds;
    enum net__answer answer;
    bool refused;
    bool gone;
    bool body_in_queue; /* the answer's body is referenced by a block that is not sent yet */
    bool chunked_out;
    bool bodyless; /* HEAD, 204, 304 */
    bool has_body_whole;
    bool continue_sent;
    bool cut; /* ended by net_abort, or short of its length */
};

/* Where the kernel is asked to send new connections while a group is retired (net/retire.c). */
enum net__steering {
    NET__STEER_NOWHERE,
    NET__STEER_SPREAD,
    NET__STEER_NEXT,
    NET__STEER_FIRST,
    NET__STEERINGS
};

#define NET__BACKLOG 1024

enum net__listener_state { NET__LISTENING, NET__RETIRING, NET__LISTENER_CLOSED };

struct net__listener {
    uv_poll_t poll;
    int fd;
    int spare_fd; /* given up for a moment to take a connection when descriptors have run out */
    enum net__listener_state state;
    bool is_polled;
    bool is_lent;
    struct loop_timer timer;   /* the end of a pause, or of a step of retiring */
    int64_t credit, credit_us; /* of accept_rate: millionths of a connection; when last counted */
    uint64_t taken;            /* connections accepted */
    struct net_group *group;   /* NULL: it is in none, or left it */
    enum net__steering steering;
    uint64_t taken_before; /* by it, when it was last looked at how many come */
    unsigned port;
    char *path; /* of a unix socket that was made here */
    uint64_t path_device, path_inode;
};

struct net__greeting; /* net/greeting.c */

/*
 * Whole answers that wait for the end of the turn, to leave one right after the other. A peer on
 * this machine is woken by the first and takes the rest without being woken again, which costs more
 * than all else about a write.
 */
#define NET__HELD_MAX 16u
#define NET__HELD_BYTES ((size_t)32 * 1024)
#define NET__HELD_BODY_MAX ((size_t)64 * 1024)
/* None waits longer than this while requests go on being taken up. */
#define NET__HELD_US ((int64_t)500)

struct net__held {
    char *bytes;
    struct {
        struct net_conn *conn; /* NULL: it was closed */
        struct slice body;     /* behind its bytes; it lives in the exchange */
        uint32_t end;          /* of its bytes in `bytes` */
    } answers[NET__HELD_MAX];
    unsigned len;
    int64_t since_us; /* when the first came to wait */
    bool is_sending;
    struct loop_post later;
};

struct net_server {
    struct loop *loop;
    struct net_server_options options;
    struct net_limits limits;
    struct net__listener listener;
    struct net__secure_server *secure; /* NULL: in clear */
    struct net_gate *gate;
    bool owns_gate;
    struct loop_timer sweep;
    struct loop_timer rest; /* while draining: who has had nothing to ask? */
    int64_t sweep_every_us;
    struct net_conn *conns, *conns_last; /* open ones, the newest first (but see make_room.c) */
    unsigned conns_len;
    struct net__greeting *greetings; /* of proxies: their header has not come yet */
    unsigned greetings_len;
    struct net__greeting *free_greetings;
    unsigned free_greetings_len;
    unsigned handles_len; /* conns and the listener, until libuv closed them and they were freed */
    struct net_conn *free_conns;
    unsigned free_conns_len;
    struct net__block *free_blocks;
    unsigned free_blocks_len;
    uint32_t block_bytes;
    char *read_buffer;
    size_t read_bytes;
    char *write_buffer; /* answers of `writer`, not yet given to the kernel */
    size_t write_len;
    struct slice write_body; /* of the same answer, behind them; it lives in the exchange */
    struct net_conn *writer;
    struct net__held held;
    struct net__h2_server *h2; /* NULL until somebody speaks it */
    int64_t date_until_us;
    char date[40]; /* "Date: ...\r\n" */
    uint8_t date_len;
    bool draining;
    bool closing;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

/* -- server.c -- */
void net__server_forget(
    struct net_server *s); /* a handle is gone; the last one frees a closing server */
struct net__block *net__block_take(struct net_server *s);
void net__block_give(struct net_server *s, struct net__block *b);
void net__sweep_start(struct net_server *s);

/* -- listener.c -- */
/* Make or take over the listening socket. NULL, or why it cannot be; *ret_status then says of what
 * kind. */
const char *net__listener_open(struct net_server *s, enum status *ret_status);
void net__listener_watch(struct net_server *s); /* for connections, if it does not */
/* Accept what waits, a queue's fill at most. */
void net__listener_take_all(struct net_server *s);
void net__listener_unlink(struct net__listener *l); /* the file of a unix socket made here */
void net__listener_close(struct net_server *s);

/* -- retire.c -- */
/* Stop listening in a way that loses nothing. */
void net__listener_retire(struct net_server *s);
/* It has begun to listen: of the group in its options, if that is of use. */
void net__group_join(struct net_server *s);
/* It is about to be closed; harmless for one of no group. */
void net__group_leave(struct net__listener *l);

/* -- greeting.c -- */
/* `fd` has been accepted from a proxy: a connection once its header has come. */
void net__greeting_open(struct net_server *s, int fd, const struct net__peer *peer,
                        const struct net__ticket *ticket);
void net__greetings_sweep(struct net_server *s, int64_t now_us);
void net__greetings_close(struct net_server *s);
void net__greetings_free(struct net_server *s);

/* -- conn.c -- */
/* `fd` has been accepted and is the connection's from here on. */
void net__conn_open(struct net_server *s, int fd, const struct net__peer *peer,
                    const struct net__ticket *ticket, bool is_over);
/* Go on: take requests off the unread bytes until one waits. Loop's stack only. */
void net__conn_run(struct net_conn *c);
/* The same, soon, from wherever: the next turn of the loop. */
void net__conn_resume(struct net_conn *c);
/* The peer is gone, or we give up on it: close now. */
void net__conn_close(struct net_conn *c);
/* No more requests: close, politely when bytes of the peer may be on their way. */
void net__conn_finish(struct net_conn *c);
/* The exchange is over: what comes next? */
void net__conn_next(struct net_conn *c);
/* Everything queued was sent. */
void net__conn_sent(struct net_conn *c);
void net__conn_sweep(struct net_conn *c, int64_t now_us);
/* Unread bytes, and having read some. */
struct slice net__conn_unread(const struct net_conn *c);
void net__conn_consume(struct net_conn *c, size_t n);
void net__conn_read_resume(struct net_conn *c);
void net__conn_read_stop(struct net_conn *c);
/* Where plaintext goes in the connection's state; *ret_room is 0 when there is no room. */
char *net__conn_place(struct net_conn *c, uint32_t *ret_room);
uint32_t net__conn_room(struct net_conn *c); /* of `in` */
/* `len` bytes of plaintext came to the place that net__conn_place gave; maybe none. */
void net__conn_take(struct net_conn *c, char *place, size_t len);
/* The peer sends no more (in order), or is gone. */
void net__conn_end(struct net_conn *c, bool in_order);
/* Refuse whatever was sent, before there is a request. */
void net__conn_refuse(struct net_conn *c, const struct net_refusal *refusal);
/* Free it if it is closed and nobody has anything to do with it any more. */
void net__conn_try_free(struct net_conn *c);
/* Move what is left in the read buffer to the connection. */
void net__conn_keep(struct net_conn *c);

/* -- write.c -- */
/* Append to the gathered answer; beyond its buffer it is flushed. */
void net__put(struct net_conn *c, const char *data, size_t len);
/* Room for `len` contiguous bytes (at most NET__BUFFER_BYTES), NULL when the connection is closed;
 * add what was used to server->write_len. */
char *net__reserve(struct net_conn *c, size_t len);
/* Send what was gathered, and before it what is held. */
void net__flush(struct net_conn *c);
/* Keep the gathered answer, a whole one, for the end of the turn. False: it must be flushed. */
bool net__hold(struct net_conn *c);
void net__held_send(struct net_server *s); /* all of them, now */
/* Send bytes as they are, after what is queued. */
void net__write_raw(struct net_conn *c, const char *data, size_t len);
/* End the gathered answer with `body`, which is not copied: it lives as long as the exchange. */
void net__put_body(struct net_conn *c, struct slice body);
void net__write_drop(struct net_conn *c); /* forget everything unsent */
void net__date_refresh(struct net_server *s);

/* Into the list of open ones, at its young end, and out of it. */
void net__conn_link(struct net_conn *c);
void net__conn_unlink(struct net_conn *c);

/* -- make_room.c -- */
/* The gate is full: close a connection of this server that has asked for nothing, if there is one
 * among those that are looked at. Not from within a walk over the connections. */
void net__make_room(struct net_server *s);

/* -- stall.c -- */
/* Has an answer waited too long for the peer to take of it, or is too little taken? Asked at each
 * sweep. */
bool net__answer_is_stuck(struct net_conn *c, int64_t now_us);
/* Close now, and have the kernel forget what it still has for the peer. */
void net__conn_reset(struct net_conn *c);

/* -- exchange.c -- */
/* An exchange with an arena of its own. */
struct net_exchange *net__exchange_new(struct net_conn *c, int64_t started_us);
/* The same, as the one that a connection of HTTP/1 is busy with. */
struct net_exchange *net__exchange_open(struct net_conn *c, int64_t started_us);
void net__exchange_refuse(struct net_exchange *x, const struct net_refusal *refusal);
/* Close it if it is answered, sent and released. True when it is over. */
bool net__exchange_settle(struct net_exchange *x);
void net__exchange_gone(struct net_exchange *x);
