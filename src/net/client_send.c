/*
 * net/client_send.c - One try of a request on one connection: head and body out, the head of the
 * answer in.
 *
 * A peer may answer before it has the whole body, mostly to refuse it. So while the socket takes no
 * more we also listen: an answer that is no success ends the sending, and one that came before the
 * connection broke is still read. Such a connection is not used again.
 */
#include "net/client_private.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/problem.h"

#define INTERIM_MAX 16u
#define CONTINUE_WAIT_US CLOCK_SECOND
#define TLS_GATHER_BYTES ((size_t)16 * 1024)
#define CHUNK_LINE_BYTES 20u

/* -- waiting
 * ---------------------------------------------------------------------------------------------------
 */

int64_t net__until(const struct net_client_exchange *x, int64_t for_us)
{
    int64_t until_us = loop_now_us(x->client->loop) + for_us;
    return x->total_until_us && x->total_until_us < until_us ? x->total_until_us : until_us;
}

enum status net__said(struct task *task, enum status st, int http_status)
{
    struct problem *p = task_problem(task);
    if (p->status == st && p->http_status == 0)
        p->http_status = http_status;
    return st;
}

enum status net__waited(struct task *task, struct net_client_exchange *x, enum status st)
{
    static const char *const words[] = {
        [NET_CLIENT_QUEUE] = "had no connection free",
        [NET_CLIENT_RESOLVE] = "was not looked up",
        [NET_CLIENT_CONNECT] = "did not take the connection",
        [NET_CLIENT_TLS] = "did not finish the TLS handshake",
        [NET_CLIENT_WRITE] = "did not take the request",
        [NET_CLIENT_FIRST_BYTE] = "did not answer",
        [NET_CLIENT_READ] = "did not go on with its answer",
        [NET_CLIENT_DONE] = "did not end",
    };
    if (st != STATUS_TIMEOUT)
        return st;
    enum net_client_stage stage = x->report->stage;
    return net__said(task,
                     problem_set(task, st, "client/timeout", "\"%.*s\" %s in time (stage: %s).",
                                 SLICE_ARG(x->url.host), words[stage],
                                 net_client_stage_name(stage)),
                     504);
}

/* -- reading
 * ---------------------------------------------------------------------------------------------------
 */

static struct slice unread(const struct net_client_exchange *x)
{
    return slice_of(x->in->data + x->in->start, x->in->end - x->in->start);
}

/* Room at the end of the buffer; what was read of it makes way. */
static size_t make_room(struct net__in *in)
{
    if (in->start > 0) {
        memmove(in->data, in->data + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
    }
    return sizeof(in->data) - in->end;
}

/* What the socket has now; as net__link_read. */
static ssize_t read_some(struct net_client_exchange *x, int *ret_wants)
{
    struct net__in *in = x->in;
    size_t room = make_room(in);
    ssize_t n = net__link_read(x->link, in->data + in->end, room, ret_wants);
    if (n > 0) {
        in->end += (uint32_t)n;
        x->got_bytes = true;
    }
    return n;
}

enum status net__fill(struct task *task, struct net_client_exchange *x, enum net_client_stage stage,
                      int64_t until_us)
{
    x->report->stage = stage;
    for (;;) {
        int wants;
        ssize_t n = read_some(x, &wants);
        if (n > 0)
            return STATUS_OK;
        if (n == 0)
            return STATUS_NOT_FOUND;
        if (wants == 0)
            return STATUS_UNAVAILABLE;
        enum status st = net__link_wait(task, x->link, wants, until_us);
        if (st != STATUS_OK)
            return net__waited(task, x, st);
    }
}

/* -- writing
 * ---------------------------------------------------------------------------------------------------
 */

/* Something came while we were sending. Is it a reason to stop? */
static bool is_answered_early(struct net_client_exchange *x, bool *ret_listen)
{
    int wants = 0;
    ssize_t n = read_some(x, &wants);
    struct slice got = unread(x);
    *ret_listen = got.len < sizeof(x->in->data);
    if (n <= 0)
        return n == 0 || wants == 0;
    return net__answer_status(got.data, got.len) >= 300;
}

struct parts {
    struct slice list[3];
    unsigned len;
};

static void parts_advance(struct parts *p, size_t n)
{
    while (p->len > 0 && n >= p->list[0].len) {
        n -= p->list[0].len;
        memmove(p->list, p->list + 1, sizeof(p->list) - sizeof(p->list[0]));
        p->len--;
    }
    if (p->len > 0)
        p->list[0] = slice_from(p->list[0], n);
}

/* All of it, unless x->cut says that the peer does not want it. */
static enum status write_parts(struct task *task, struct net_client_exchange *x, struct parts *p)
{
    bool listen = true;
    parts_advance(p, 0);
    while (p->len > 0) {
        int wants;
        ssize_t n = net__link_write(x->link, p->list, p->len, &wants);
        if (n >= 0) {
            parts_advance(p, (size_t)n);
            continue;
        }
        if (wants == 0) { /* its answer may have come before its end: whoever reads will see */
            x->cut = true;
            return STATUS_OK;
        }
        x->report->stage = NET_CLIENT_WRITE;
        enum status st = net__link_wait(task, x->link, wants | (listen ? UV_READABLE : 0),
                                        net__until(x, x->timeouts.write_us));
        if (st != STATUS_OK)
            return net__waited(task, x, st);
        if (listen && x->link->ready & UV_READABLE && is_answered_early(x, &listen)) {
            x->cut = true;
            return STATUS_OK;
        }
    }
    return STATUS_OK;
}

/* Small things that belong together leave in one TLS record, as they do in one packet in clear. */
static enum status write_gathered(struct task *task, struct net_client_exchange *x, struct parts *p)
{
    size_t total = 0;
    for (unsigned i = 0; i < p->len; i++)
        total += p->list[i].len;
    if (!x->link->ssl || p->len < 2 || total > TLS_GATHER_BYTES)
        return write_parts(task, x, p);
    struct net__in *block = net__in_take(x->client);
    if (!block)
        return STATUS_EXHAUSTED;
    size_t at = 0;
    for (unsigned i = 0; i < p->len; i++) {
        if (p->list[i].len)
            memcpy(block->data + at, p->list[i].data, p->list[i].len);
        at += p->list[i].len;
    }
    struct parts whole = { .list = { slice_of(block->data, total) }, .len = 1 };
    enum status st = write_parts(task, x, &whole);
    net__in_give(x->client, block);
    return st;
}

static enum status write_chunk(struct task *task, struct net_client_exchange *x, struct slice piece)
{
    char line[CHUNK_LINE_BYTES];
    int len = snprintf(line, sizeof(line), "%zx\r\n", piece.len);
    struct parts p = { .list = { slice_of(line, (size_t)len), piece, SLICE("\r\n") }, .len = 3 };
    return write_gathered(task, x, &p);
}

static enum status say_length(struct task *task)
{
    return problem_set(task, STATUS_INVALID, "client/request",
                       "The body of the request is not as long as was announced.");
}

static enum status write_pieces(struct task *task, struct net_client_exchange *x)
{
    const struct net_client_request *r = x->request;
    int64_t left = r->body_bytes;
    while (!x->cut) {
        struct slice piece = SLICE_NULL;
        x->body_begun = true;
        enum status st = r->next(task, r->next_arg, &piece);
        if (st == STATUS_NOT_FOUND)
            break;
        if (st != STATUS_OK)
            return st;
        if (piece.len == 0)
            continue;
        if (r->body_bytes >= 0 && (uint64_t)left < piece.len)
            return say_length(task);
        left -= (int64_t)piece.len;
        struct parts p = { .list = { piece }, .len = 1 };
        st = r->body_bytes < 0 ? write_chunk(task, x, piece) : write_parts(task, x, &p);
        if (st != STATUS_OK)
            return st;
    }
    if (x->cut)
        return STATUS_OK;
    if (r->body_bytes >= 0)
        return left == 0 ? STATUS_OK : say_length(task);
    struct parts end = { .list = { SLICE("0\r\n\r\n") }, .len = 1 };
    return write_parts(task, x, &end);
}

/* -- the answer's head
 * -------------------------------------------------------------------------------------------- */

static enum status say_broken(struct task *task, const struct net_client_exchange *x,
                              const char *what)
{
    return net__said(task,
                     problem_set(task, STATUS_UNAVAILABLE, "client/protocol",
                                 "The answer of \"%.*s\" is not usable: %s.",
                                 SLICE_ARG(x->url.host), what),
                     502);
}

static enum status say_refused(struct task *task, const struct net_client_exchange *x,
                               bool too_large)
{
    if (!too_large)
        return say_broken(task, x, "its head is malformed");
    return net__said(task,
                     problem_set(task, STATUS_TOO_LARGE, "client/too-large",
                                 "The head of the answer of \"%.*s\" is larger than allowed.",
                                 SLICE_ARG(x->url.host)),
                     502);
}

static enum status take_head(struct task *task, struct net_client_exchange *x,
                             const struct net__answer_scan *scan)
{
    struct arena *arena = task_arena(task);
    unsigned headers_max = scan->lines - 1u;
    char *head = arena_alloc(arena, scan->at);
    struct net_header *headers = arena_array_of(arena, struct net_header, MAX(headers_max, 1u));
    if (!head || !headers)
        return STATUS_EXHAUSTED;
    memcpy(head, unread(x).data, scan->at);
    x->in->start += scan->at;
    const char *wrong = net__answer_parse(head, scan->at, headers, headers_max,
                                          x->method == NET_METHOD_HEAD, &x->head);
    return wrong ? say_broken(task, x, wrong) : STATUS_OK;
}

/* A whole head, or why there is none. The connection's death before its first byte is x->lost. */
static enum status scan_head(struct task *task, struct net_client_exchange *x, int64_t until_us,
                             struct net__answer_scan *scan)
{
    *scan = (struct net__answer_scan){ .at = 0 };
    for (;;) {
        struct slice got = unread(x);
        bool too_large;
        enum net__scan_result found = net__answer_scan(scan, got.data, got.len, &too_large);
        if (found == NET__SCAN_WHOLE)
            return STATUS_OK;
        if (found == NET__SCAN_REFUSED)
            return say_refused(task, x, too_large);
        enum status st = net__fill(task, x, NET_CLIENT_FIRST_BYTE, until_us);
        bool is_end = st == STATUS_NOT_FOUND || st == STATUS_UNAVAILABLE;
        if (is_end && x->got_bytes)
            return say_broken(task, x, "it ends within its head");
        x->lost = is_end;
        if (is_end)
            return STATUS_UNAVAILABLE;
        if (st != STATUS_OK)
            return st;
    }
}

/* Past the heads that come before the final one (RFC 9110 15.2). */
static enum status read_head(struct task *task, struct net_client_exchange *x)
{
    int64_t until_us = net__until(x, x->timeouts.first_byte_us);
    x->report->stage = NET_CLIENT_FIRST_BYTE;
    /* Looking before anything can have come would cost a call for nothing. */
    if (unread(x).len == 0 && !x->cut && !x->link->ssl) {
        enum status st = net__link_wait(task, x->link, UV_READABLE, until_us);
        if (st != STATUS_OK)
            return net__waited(task, x, st);
    }
    for (unsigned interim = 0; interim <= INTERIM_MAX; interim++) {
        struct net__answer_scan scan;
        enum status st = scan_head(task, x, until_us, &scan);
        if (st != STATUS_OK)
            return st;
        int status = net__answer_status(unread(x).data, scan.at);
        if (status >= 200)
            return take_head(task, x, &scan);
        if (status == 101)
            return say_broken(task, x, "it changes to a protocol that nobody asked for");
        x->in->start += scan.at;
    }
    return say_broken(task, x, "it sends one interim answer after the other");
}

/* Wait for leave to send the body; a peer that knows nothing of this gets it after a second. */
static enum status wait_continue(struct task *task, struct net_client_exchange *x)
{
    int64_t until_us = net__until(x, CONTINUE_WAIT_US);
    for (;;) {
        struct slice got = unread(x);
        struct net__answer_scan scan = { .at = 0 };
        bool too_large;
        enum net__scan_result found = net__answer_scan(&scan, got.data, got.len, &too_large);
        int status = net__answer_status(got.data, got.len);
        x->cut = found == NET__SCAN_REFUSED || status >= 200;
        if (found != NET__SCAN_MORE || status >= 200)
            return STATUS_OK; /* an interim head is left to read_head */
        int wants = 0;
        ssize_t n = read_some(x, &wants);
        if (n > 0)
            continue;
        x->cut = n == 0 || wants == 0;
        if (x->cut)
            return STATUS_OK;
        enum status st = net__link_wait(task, x->link, wants, until_us);
        bool is_only_ours =
            st == STATUS_TIMEOUT && (task_deadline(task) == 0 || task_deadline(task) > until_us);
        if (is_only_ours && (x->total_until_us == 0 || x->total_until_us > until_us))
            return STATUS_OK;
        if (st != STATUS_OK)
            return net__waited(task, x, st);
    }
}

/* -- an attempt
 * ----------------------------------------------------------------------------------------------------
 */

static enum status write_request(struct task *task, struct net_client_exchange *x,
                                 struct slice head)
{
    const struct net_client_request *r = x->request;
    bool has_body = r->next ? r->body_bytes != 0 : r->body.len > 0;
    bool waits = r->expect_continue && has_body;
    struct parts p = { .list = { head, r->body }, .len = r->next || waits ? 1 : 2 };
    enum status st = write_gathered(task, x, &p);
    if (st != STATUS_OK || x->cut)
        return st;
    if (waits)
        st = wait_continue(task, x);
    if (st != STATUS_OK || x->cut)
        return st;
    if (r->next)
        return r->body_bytes == 0 ? STATUS_OK : write_pieces(task, x);
    p = (struct parts){ .list = { r->body }, .len = 1 };
    return waits ? write_parts(task, x, &p) : STATUS_OK;
}

enum status net__attempt(struct task *task, struct net_client_exchange *x, struct slice head)
{
    x->in = net__in_take(x->client);
    if (!x->in)
        return STATUS_EXHAUSTED;
    x->report->stage = NET_CLIENT_WRITE;
    enum status st = write_request(task, x, head);
    if (st == STATUS_OK)
        st = read_head(task, x);
    return st;
}
