/*
 * net/client.c - A request from its first to its last step.
 */
#include "net/client_private.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/problem.h"

#define HEAD_BYTES_MAX ((size_t)64 * 1024)
#define HEAD_RESERVE_BYTES 512u
#define ANSWER_BYTES_DEFAULT ((int64_t)8 << 20)
#define GATHER_FIRST_BYTES ((size_t)16 * 1024)

const char *net_client_stage_name(enum net_client_stage stage)
{
    static const char *const names[] = {
        [NET_CLIENT_QUEUE] = "queue",     [NET_CLIENT_RESOLVE] = "resolve",
        [NET_CLIENT_CONNECT] = "connect", [NET_CLIENT_TLS] = "tls",
        [NET_CLIENT_WRITE] = "write",     [NET_CLIENT_FIRST_BYTE] = "first-byte",
        [NET_CLIENT_READ] = "read",       [NET_CLIENT_DONE] = "done",
    };
    return names[stage];
}

/* -- a connection
 * -------------------------------------------------------------------------------------------- */

static enum status say_unreachable(struct task *task, const struct net_client_exchange *x,
                                   int error)
{
    if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS)
        return net__said(task,
                         problem_set(task, STATUS_EXHAUSTED, "client/busy",
                                     "No further connection can be opened now."),
                         503);
    const char *what = error == ECONNREFUSED ? "refuses connections" : "cannot be reached";
    enum status st =
        problem_set(task, STATUS_UNAVAILABLE, "client/connect", "\"%.*s\" %s on port %u.",
                    SLICE_ARG(x->url.host), what, x->url.port);
    problem_cause(task_problem(task), task_arena(task), slice_cstr(strerror(error)));
    return net__said(task, st, 502);
}

/* Resolve and connect; the right to do so is ours. */
static enum status open_link(struct task *task, struct net_client_exchange *x,
                             struct net__link **ret_link)
{
    struct net_client_report *report = x->report;
    struct net__addresses found;
    report->stage = NET_CLIENT_RESOLVE;
    enum status st = net__resolve(task, x->client, &x->url, x->request->from_user,
                                  net__until(x, x->timeouts.resolve_us), &found);
    if (st != STATUS_OK)
        return net__waited(task, x, st);
    int error = 0;
    report->stage = NET_CLIENT_CONNECT;
    st = net__link_connect(task, x->client, &found, x->url.port,
                           net__until(x, x->timeouts.connect_us), ret_link, &error);
    if (st == STATUS_UNAVAILABLE)
        return say_unreachable(task, x, error);
    return net__waited(task, x, st);
}

static enum status connect_new(struct task *task, struct net_client_exchange *x,
                               const struct net__peer *peer)
{
    struct net__link *link = NULL;
    enum status st = open_link(task, x, &link);
    if (st != STATUS_OK) {
        net__pool_give_up(x->client, x->host);
        return st;
    }
    net__pool_adopt(x->host, link);
    x->link = link;
    (void)address_format(&link->peer, x->report->peer);
    if (!peer->is_tls)
        return STATUS_OK;
    x->report->stage = NET_CLIENT_TLS;
    st = net__link_tls_handshake(task, link, peer, x->url.is_literal,
                                 net__until(x, x->timeouts.tls_us));
    return net__waited(task, x, st);
}

static enum status have_link(struct task *task, struct net_client_exchange *x, bool fresh)
{
    const struct net_client_request *r = x->request;
    struct net_client_report *report = x->report;
    const struct net__peer peer = {
        .host = x->url.host,
        .port = x->url.port,
        .is_tls = x->url.is_tls,
        .guarded = r->from_user,
        .tls = !x->url.is_tls ? NULL
               : r->tls       ? r->tls
                              : x->client->options.tls,
    };
    int64_t started_us = loop_now_us(x->client->loop);
    report->stage = NET_CLIENT_QUEUE;
    report->is_tls = peer.is_tls;
    enum status st = net__pool_take(task, x->client, &peer, fresh,
                                    net__until(x, x->timeouts.queue_us), &x->host, &x->link);
    if (st != STATUS_OK)
        return net__waited(task, x, st);
    report->reused = x->link != NULL;
    if (x->link) {
        x->client->stats.reused++;
        (void)address_format(&x->link->peer, report->peer);
    } else {
        st = connect_new(task, x, &peer);
    }
    report->connect_us = loop_now_us(x->client->loop) - started_us;
    return st;
}

/* Done with the connection: kept when it may serve again, else closed. */
static void let_go(struct net_client_exchange *x, bool keep)
{
    struct net__link *link = x->link;
    x->link = NULL;
    if (link && keep) {
        link->idle_max_us = x->head.keep_us;
        net__pool_keep(link);
    } else {
        net__link_close(link);
    }
    net__pool_leave(x->host);
    x->host = NULL;
}

static void drop_attempt(struct net_client_exchange *x)
{
    let_go(x, false);
    if (x->in)
        net__in_give(x->client, x->in);
    x->in = NULL;
}

/* -- sending
 * -----------------------------------------------------------------------------------------------------
 */

static bool has_no_effect_twice(enum net_method method)
{
    return method == NET_METHOD_GET || method == NET_METHOD_HEAD || method == NET_METHOD_OPTIONS ||
           method == NET_METHOD_PUT || method == NET_METHOD_DELETE;
}

/* A kept connection that the peer closed while our request was on its way says nothing about the
 * peer: RFC 9110 9.2.2 lets us send it again. */
static bool may_retry(const struct net_client_exchange *x)
{
    return x->lost && x->report->reused && x->report->attempts == 1 && !x->body_begun &&
           has_no_effect_twice(x->method);
}

static enum status say_closed(struct task *task, const struct net_client_exchange *x)
{
    return net__said(task,
                     problem_set(task, STATUS_UNAVAILABLE, "client/closed",
                                 "\"%.*s\" closed the connection without an answer.",
                                 SLICE_ARG(x->url.host)),
                     502);
}

static enum status run_attempts(struct task *task, struct net_client_exchange *x, struct slice head)
{
    for (;;) {
        x->lost = x->got_bytes = x->cut = false;
        x->report->attempts++;
        enum status st = have_link(task, x, x->report->attempts > 1);
        int64_t sent_us = loop_now_us(x->client->loop);
        if (st == STATUS_OK)
            st = net__attempt(task, x, head);
        x->report->first_byte_us = loop_now_us(x->client->loop) - sent_us;
        if (st == STATUS_OK)
            return st;
        drop_attempt(x);
        if (!may_retry(x))
            return x->lost ? say_closed(task, x) : st;
        x->client->stats.retried++;
        net__count(x->client, NET__COUNT_RETRY);
    }
}

static struct net_client_timeouts timeouts_of(const struct net_client_timeouts *given)
{
    struct net_client_timeouts t = *given;
#define DEFAULT(field, seconds)                                                                    \
    if (t.field == 0)                                                                              \
    t.field = (seconds)*CLOCK_SECOND
    DEFAULT(queue_us, 5);
    DEFAULT(resolve_us, 5);
    DEFAULT(connect_us, 5);
    DEFAULT(tls_us, 5);
    DEFAULT(write_us, 10);
    DEFAULT(first_byte_us, 30);
    DEFAULT(read_us, 30);
    DEFAULT(total_us, 60);
#undef DEFAULT
    return t;
}

static bool port_is_allowed(const struct net_client_request *r, unsigned port)
{
    static const uint16_t web[] = { 80, 443 };
    const uint16_t *ports = r->ports ? r->ports : web;
    unsigned len = r->ports ? r->ports_len : ARRAY_LEN(web);
    for (unsigned i = 0; i < len; i++) {
        if (ports[i] == port)
            return true;
    }
    return !r->from_user;
}

static enum status check(struct task *task, struct net_client_exchange *x)
{
    const char *reason = NULL;
    const struct net_client_request *r = x->request;
    enum status st = net_url_parse(task_arena(task), r->url, &x->url, &reason);
    if (st == STATUS_INVALID)
        return problem_set(task, st, "client/request", "%s", reason);
    if (st != STATUS_OK)
        return st;
    if (!port_is_allowed(r, x->url.port))
        return net__said(task,
                         problem_set(task, STATUS_DENIED, "client/refused-address",
                                     "URLs from outside may not lead to port %u.", x->url.port),
                         422);
    if (x->url.is_tls && !r->tls && !x->client->options.tls)
        return net__said(task,
                         problem_set(task, STATUS_UNAVAILABLE, "client/tls",
                                     "No certificate authorities are set up for https."),
                         502);
    return STATUS_OK;
}

static struct net_client_exchange *exchange_new(struct task *task, struct net_client *client,
                                                const struct net_client_request *request)
{
    struct net_client_exchange *x = arena_new_of(task_arena(task), struct net_client_exchange);
    if (!x)
        return NULL;
    x->client = client;
    x->request = request;
    x->timeouts = timeouts_of(&request->timeouts);
    x->method = request->method;
    x->report = request->report ? request->report : &x->own_report;
    *x->report = (struct net_client_report){ .stage = NET_CLIENT_QUEUE };
    x->started_us = loop_now_us(client->loop);
    if (x->timeouts.total_us > 0)
        x->total_until_us = x->started_us + x->timeouts.total_us;
    x->answer_bytes_max =
        request->answer_bytes_max ? request->answer_bytes_max : ANSWER_BYTES_DEFAULT;
    return x;
}

static void begin_body(struct net_client_exchange *x)
{
    const struct net__framing framing = {
        .chunked = x->head.until == NET__UNTIL_CHUNKED,
        .length = x->head.until == NET__UNTIL_LENGTH  ? x->head.response.content_length
                  : x->head.until == NET__UNTIL_CLOSE ? INT64_MAX
                                                      : 0,
    };
    net__body_init(&x->body, &framing);
}

/* The answer has come to its end. */
static void settle(struct net_client_exchange *x)
{
    bool has_more = x->in && x->in->start < x->in->end; /* that nobody asked for */
    x->report->stage = NET_CLIENT_DONE;
    let_go(x, x->head.keep_alive && !x->cut && !has_more);
}

enum status net_client_send(struct task *task, const struct net_client_request *request,
                            struct net_client_exchange **ret_x)
{
    struct net_client *client = net_client_of(task_loop(task));
    if (!client || client->closed)
        return problem_set(task, STATUS_UNAVAILABLE, "client/closed",
                           "This loop makes no requests to other servers.");
    struct net_client_exchange *x = exchange_new(task, client, request);
    if (!x)
        return STATUS_EXHAUSTED;
    struct buf head;
    buf_init(&head, task_arena(task), HEAD_RESERVE_BYTES, HEAD_BYTES_MAX);
    enum status st = check(task, x);
    if (st == STATUS_OK)
        st = net__request_write(task, request, &x->url, &head);
    if (st == STATUS_OK)
        st = run_attempts(task, x, buf_slice(&head));
    x->request = NULL;
    if (st != STATUS_OK) {
        net__count_done(x, st, task_problem(task)->type);
        return st;
    }
    begin_body(x);
    if (x->body.done)
        settle(x);
    *ret_x = x;
    return STATUS_OK;
}

const struct net_client_response *net_client_response_of(const struct net_client_exchange *x)
{
    return &x->head.response;
}

/* -- the body
 * --------------------------------------------------------------------------------------------------
 */

/* The first failure stands, and ends the connection. */
static enum status fail(struct task *task, struct net_client_exchange *x, enum status st)
{
    x->status = st;
    let_go(x, false);
    net__count_done(x, st, task_problem(task)->type);
    return st;
}

static enum status say_too_large(struct task *task, struct net_client_exchange *x)
{
    return net__said(task,
                     problem_set(task, STATUS_TOO_LARGE, "client/too-large",
                                 "The answer of \"%.*s\" is larger than %lld bytes.",
                                 SLICE_ARG(x->url.host), (long long)x->answer_bytes_max),
                     502);
}

static enum status say_short(struct task *task, struct net_client_exchange *x)
{
    return net__said(task,
                     problem_set(task, STATUS_UNAVAILABLE, "client/protocol",
                                 "The answer of \"%.*s\" is not usable: it ends before its end.",
                                 SLICE_ARG(x->url.host)),
                     502);
}

static enum status say_bad_chunk(struct task *task, struct net_client_exchange *x)
{
    return net__said(task,
                     problem_set(task, STATUS_UNAVAILABLE, "client/protocol",
                                 "The answer of \"%.*s\" is not usable: its chunks are malformed.",
                                 SLICE_ARG(x->url.host)),
                     502);
}

/* More bytes, or the end: NOT_FOUND when that is where this body ends. */
static enum status more(struct task *task, struct net_client_exchange *x)
{
    enum status st = net__fill(task, x, NET_CLIENT_READ, net__until(x, x->timeouts.read_us));
    if (st == STATUS_NOT_FOUND && x->head.until == NET__UNTIL_CLOSE)
        return st;
    if (st == STATUS_NOT_FOUND || st == STATUS_UNAVAILABLE)
        return say_short(task, x);
    return st;
}

static bool is_beyond(const struct net_client_exchange *x, int64_t bytes)
{
    return x->answer_bytes_max >= 0 && bytes > x->answer_bytes_max;
}

enum status net_client_read(struct task *task, struct net_client_exchange *x,
                            struct slice *ret_piece)
{
    if (x->status != STATUS_OK)
        return x->status;
    if (!x->link)
        return STATUS_NOT_FOUND;
    if (is_beyond(x, x->head.response.content_length))
        return fail(task, x, say_too_large(task, x));
    x->in->start += x->lent;
    x->lent = 0;
    for (;;) {
        struct net__in *in = x->in;
        struct slice piece;
        size_t used;
        enum net__piece what =
            net__body_next(&x->body, in->data + in->start, in->end - in->start, &used, &piece);
        if (what == NET__PIECE_DATA) {
            x->lent = (uint32_t)used;
            x->bytes += (int64_t)piece.len;
            if (is_beyond(x, x->bytes))
                return fail(task, x, say_too_large(task, x));
            *ret_piece = piece;
            return STATUS_OK;
        }
        in->start += (uint32_t)used;
        enum status st = STATUS_NOT_FOUND;
        if (what == NET__PIECE_BAD)
            return fail(task, x, say_bad_chunk(task, x));
        if (what == NET__PIECE_MORE)
            st = more(task, x);
        if (st == STATUS_NOT_FOUND) {
            settle(x);
            return st;
        }
        if (st != STATUS_OK)
            return fail(task, x, st);
    }
}

enum status net_client_read_all(struct task *task, struct net_client_exchange *x,
                                struct slice *ret_body)
{
    struct buf body;
    int64_t length = x->head.response.content_length;
    size_t reserve = length > 0 && !is_beyond(x, length) ? (size_t)length : GATHER_FIRST_BYTES;
    size_t max = x->answer_bytes_max < 0 ? SIZE_MAX / 2 : (size_t)x->answer_bytes_max;
    buf_init(&body, task_arena(task), x->body.done ? 0 : MIN(reserve, max), max);
    for (;;) {
        struct slice piece;
        enum status st = net_client_read(task, x, &piece);
        if (st == STATUS_NOT_FOUND)
            break;
        if (st != STATUS_OK)
            return st;
        buf_put_slice(&body, piece);
        if (buf_status(&body) != STATUS_OK)
            return fail(task, x, buf_status(&body));
    }
    *ret_body = body.len ? buf_slice(&body) : SLICE("");
    return STATUS_OK;
}

void net_client_finish(struct net_client_exchange *x)
{
    if (!x || !x->client)
        return;
    if (x->link)
        let_go(x, false);
    if (x->in)
        net__in_give(x->client, x->in);
    x->in = NULL;
    net__count_done(x, STATUS_OK, NULL);
    x->client = NULL;
    if (x->status == STATUS_OK)
        x->status = STATUS_NOT_FOUND;
}

enum status net_client_fetch(struct task *task, const struct net_client_request *request,
                             struct net_client_response *ret_response, struct slice *ret_body)
{
    CLEANUP(net_client_finish) struct net_client_exchange *x = NULL;
    struct slice body;
    enum status st = net_client_send(task, request, &x);
    if (st == STATUS_OK)
        st = net_client_read_all(task, x, &body);
    if (st != STATUS_OK)
        return st;
    *ret_response = x->head.response;
    *ret_body = body;
    return STATUS_OK;
}
