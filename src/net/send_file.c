/*
 * net/send_file.c - Bytes of a file as an answer.
 *
 * In clear HTTP/1 the kernel moves them from its cache to the socket (sendfile). It would also
 * fetch what is not in its cache, and the loop with all its connections would wait for the disk.
 * So a window of the file is looked at first: a read of one byte a step that may not block
 * (RWF_NOWAIT) tells whether it is there; if not, a worker reads the window, which brings it in.
 * Between two steps a page may be missing even so: then the loop waits for one read of the disk,
 * which is what every sendfile server does always. File systems that cannot tell (EOPNOTSUPP)
 * are read by a worker first, small files once a second.
 *
 * A full socket gets one more piece as a copy, into the queue that libuv watches; when that has
 * left, sendfile goes on. A slow reader so costs one piece of memory whatever the file's size.
 *
 * Under TLS and in HTTP/2 bytes must pass through our hands: they are read in pieces and written
 * as any stream is.
 */
#include "net/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "net/conn.h"

#define WINDOW_BYTES ((int64_t)512 * 1024)
#define STEP_BYTES ((int64_t)64 * 1024)
#define PIECE_BYTES ((size_t)64 * 1024)
#define COPY_BYTES ((size_t)16 * 1024)
/* How long a file that was read is taken to stay in memory, where the system cannot tell. */
#define BLIND_TRUST_US CLOCK_SECOND
/* The pool may be full of other work: then this waits its turn. */
#define RETRY_US (5 * CLOCK_MS)

/* -- what is in memory
 * ------------------------------------------------------------------------------------- */

/* One byte that may not wait. True also at the end of the file: sendfile then tells. */
static bool byte_is_there(struct net_file *file, int64_t at)
{
    char byte;
    struct iovec to = { .iov_base = &byte, .iov_len = 1 };
    ssize_t n = preadv2(file->fd, &to, 1, at, RWF_NOWAIT);
    if (n < 0 && errno != EAGAIN)
        file->blind = true;
    return n >= 0;
}

static bool is_there(struct net_file *file, int64_t offset, int64_t length, int64_t now_us)
{
    for (int64_t at = 0; at < length && !file->blind; at += STEP_BYTES) {
        if (!byte_is_there(file, offset + at))
            break;
        if (at + STEP_BYTES >= length)
            return byte_is_there(file, offset + length - 1);
    }
    return file->blind && length < WINDOW_BYTES && now_us - file->touched_us < BLIND_TRUST_US;
}

struct touch {
    int fd;
    int64_t offset, length;
};

/* On a worker: read it, and so bring it in. */
static void touch(void *arg)
{
    const struct touch *t = arg;
    char *scratch = malloc(PIECE_BYTES);
    if (!scratch)
        return;
    int64_t at = 0;
    ssize_t n = 1;
    while (at < t->length && n > 0) {
        n = pread(t->fd, scratch, MIN(PIECE_BYTES, (size_t)(t->length - at)), t->offset + at);
        at += n; /* what cannot be read, sendfile will report */
    }
    free(scratch);
}

/* task_offload that waits when the pool is full. */
static enum status offload_patiently(struct task *task, void (*fn)(void *arg), void *arg)
{
    enum status st;
    while ((st = task_offload(task, fn, arg)) == STATUS_EXHAUSTED) {
        st = task_sleep(task, RETRY_US);
        if (st != STATUS_OK)
            return st;
    }
    return st;
}

static enum status bring_in(struct task *task, struct net_file *file, int64_t offset,
                            int64_t length)
{
    if (is_there(file, offset, length, loop_now_us(task_loop(task))))
        return STATUS_OK;
    struct touch t = { .fd = file->fd, .offset = offset, .length = length };
    enum status st = offload_patiently(task, touch, &t);
    file->touched_us = loop_now_us(task_loop(task));
    return st;
}

/* -- by the kernel
 * ----------------------------------------------------------------------------------------- */

static void count(struct net_exchange *x, int64_t n)
{
    x->stream_left -= n;
    x->sent_bytes += n;
}

/* The head leaves with the first bytes of the file, not in a packet of its own. */
static void flush_corked(struct net_conn *c, int socket)
{
    struct net_server *s = c->server;
    if (s->writer == c && s->write_len > 0 && !c->out_first) {
        ssize_t n =
            send(socket, s->write_buffer, s->write_len, MSG_MORE | MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            s->write_len -= (size_t)n;
            memmove(s->write_buffer, s->write_buffer + n, s->write_len);
        }
    }
    net__flush(c);
}

/* The socket takes no more: queue a copy of the next piece, and wait until it has left. */
static enum status queue_piece(struct task *task, struct net_exchange *x, struct net_file *file,
                               int64_t offset, size_t length, int64_t *ret_queued)
{
    struct net_conn *c = x->conn;
    *ret_queued = 0;
    if (!c->out_first) {
        length = MIN(length, COPY_BYTES);
        char *to = net__reserve(c, length);
        ssize_t n = to ? pread(file->fd, to, length, offset) : -1;
        if (n <= 0)
            return x->gone ? STATUS_CANCELLED : STATUS_UNAVAILABLE;
        c->server->write_len += (size_t)n;
        net__flush(c);
        *ret_queued = n;
    }
    while (!x->gone && c->out_first) {
        x->writer = task;
        enum status st = task_wait(task);
        x->writer = NULL;
        if (st != STATUS_OK)
            return st;
    }
    return x->gone ? STATUS_CANCELLED : STATUS_OK;
}

/* Some of the window; *ret_sent bytes left or were queued. */
static enum status send_some(struct task *task, struct net_exchange *x, struct net_file *file,
                             int socket, int64_t offset, int64_t length, int64_t *ret_sent)
{
    struct net_conn *c = x->conn;
    flush_corked(c, socket);
    if (x->gone)
        return STATUS_CANCELLED;
    off_t at = offset;
    ssize_t n = -1;
    errno = EAGAIN;
    if (!c->out_first)
        n = sendfile(socket, file->fd, &at, (size_t)length);
    if (n > 0) {
        *ret_sent = n;
        return STATUS_OK;
    }
    if (n == 0)
        return STATUS_UNAVAILABLE; /* the file has become shorter */
    if (errno == EAGAIN || errno == EINTR)
        return queue_piece(task, x, file, offset, (size_t)length, ret_sent);
    if (errno == EINVAL || errno == ENOSYS || errno == EIO)
        return STATUS_UNAVAILABLE;
    net__conn_close(c);
    return STATUS_CANCELLED;
}

static enum status send_by_kernel(struct task *task, struct net_exchange *x, struct net_file *file,
                                  int64_t offset, int64_t length)
{
    uv_os_fd_t socket;
    int64_t since_yield = 0;
    while (length > 0) {
        int64_t window = MIN(length, WINDOW_BYTES), sent = 0;
        enum status st = bring_in(task, file, offset, window);
        if (st == STATUS_OK && since_yield >= WINDOW_BYTES) {
            since_yield = 0;
            st = task_yield(task);
        }
        if (st != STATUS_OK)
            return st;
        if (x->gone || uv_fileno((uv_handle_t *)&x->conn->tcp, &socket) != 0)
            return STATUS_CANCELLED;
        st = send_some(task, x, file, socket, offset, window, &sent);
        if (st != STATUS_OK)
            return st;
        count(x, sent);
        offset += sent;
        length -= sent;
        since_yield += sent;
    }
    return STATUS_OK;
}

/* -- by us
 * ------------------------------------------------------------------------------------------------
 */

struct read_job {
    int fd;
    char *to;
    size_t length;
    int64_t offset;
    ssize_t got;
};

static void read_piece(void *arg)
{
    struct read_job *job = arg;
    job->got = pread(job->fd, job->to, job->length, job->offset);
}

static enum status send_by_hand(struct task *task, struct net_exchange *x, struct net_file *file,
                                int64_t offset, int64_t length)
{
    char *piece = arena_alloc(x->arena, MIN(PIECE_BYTES, (size_t)length));
    if (!piece)
        return STATUS_EXHAUSTED;
    while (length > 0) {
        struct read_job job = { .fd = file->fd,
                                .to = piece,
                                .length = MIN(PIECE_BYTES, (size_t)length),
                                .offset = offset };
        struct iovec to = { .iov_base = piece, .iov_len = job.length };
        job.got = file->blind ? -1 : preadv2(file->fd, &to, 1, offset, RWF_NOWAIT);
        enum status st = STATUS_OK;
        if (job.got < (ssize_t)job.length)
            st = offload_patiently(task, read_piece, &job);
        if (st == STATUS_OK && job.got <= 0)
            st = STATUS_UNAVAILABLE;
        if (st == STATUS_OK)
            st = net_stream_write(task, x, slice_of(piece, (size_t)job.got));
        if (st != STATUS_OK)
            return st;
        offset += job.got;
        length -= job.got;
    }
    return STATUS_OK;
}

/* Is what leaves the socket what is in the file? */
static bool kernel_can(const struct net_exchange *x)
{
    return !net_is_secure(x) && !x->stream;
}

enum status net_stream_file(struct task *task, struct net_exchange *x, struct net_file *file,
                            int64_t offset, int64_t length)
{
    if (x->bodyless || length == 0)
        return x->gone ? STATUS_CANCELLED : STATUS_OK;
    if (x->stream_left < length) /* chunks have heads of their own; and no more than was promised */
        return x->stream_left < 0 ? send_by_hand(task, x, file, offset, length) : STATUS_TOO_LARGE;
    return kernel_can(x) ? send_by_kernel(task, x, file, offset, length)
                         : send_by_hand(task, x, file, offset, length);
}

enum status net_send_file(struct task *task, struct net_exchange *x, const struct net_head *head,
                          struct net_file *file, int64_t offset, int64_t length)
{
    enum status st = net_stream_begin(x, head, length);
    if (st == STATUS_OK)
        st = net_stream_file(task, x, file, offset, length);
    if (st == STATUS_OK)
        net_stream_end(x);
    else
        net_abort(x);
    return st;
}
