#include "cmd/inherit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"

#define FIRST_FD 3 /* sd_listen_fds(3) */

static const struct slice kind_names[INHERIT_KINDS] = {
    [INHERIT_HTTP] = SLICE_INIT("http"),
    [INHERIT_HTTPS] = SLICE_INIT("https"),
    [INHERIT_UNIX] = SLICE_INIT("unix"),
};

/* -- one socket
 * ------------------------------------------------------------------------------------------ */

/* Where it is bound, and whether it listens at all. */
static bool look_at(struct arena *arena, struct inherit_socket *s)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    } bound = { 0 };
    int is_listening = 0, type = 0, reuse_port = 0;
    socklen_t len = sizeof(bound), int_len = sizeof(int);
    if (getsockopt(s->fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &int_len) != 0 ||
        !is_listening || getsockopt(s->fd, SOL_SOCKET, SO_TYPE, &type, &int_len) != 0 ||
        type != SOCK_STREAM || getsockname(s->fd, &bound.any, &len) != 0)
        return false;
    if (bound.any.sa_family == AF_UNIX) {
        s->kind = INHERIT_UNIX;
        size_t path_len = len - offsetof(struct sockaddr_un, sun_path);
        struct slice path = slice_of(bound.un.sun_path, path_len);
        return arena_copy(arena, slice_head(path, slice_find(path, '\0')), &s->path) == STATUS_OK;
    }
    s->port = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
    s->reuse_port =
        getsockopt(s->fd, SOL_SOCKET, SO_REUSEPORT, &reuse_port, &int_len) == 0 && reuse_port;
    return address_from(&bound.any, &s->address);
}

static bool add(struct arena *arena, struct inherit *in, int64_t fd, enum inherit_kind kind,
                bool is_lent)
{
    if (in->len == INHERIT_MAX || fd < FIRST_FD || fd > INT32_MAX)
        return false;
    struct inherit_socket *s = &in->sockets[in->len];
    *s = (struct inherit_socket){ .fd = (int)fd, .kind = kind, .is_lent = is_lent };
    if (!look_at(arena, s))
        return false;
    (void)fcntl(s->fd, F_SETFD, FD_CLOEXEC); /* it is a socket: cannot fail */
    in->len++;
    return true;
}

/* -- a service manager's
 * --------------------------------------------------------------------------------- */

/* "https" or "tls" speaks TLS; any other name, the unit's own among them, does not. */
static enum inherit_kind kind_of(struct slice name)
{
    bool is_secure = slice_eq(name, SLICE("https")) || slice_eq(name, SLICE("tls"));
    return is_secure ? INHERIT_HTTPS : INHERIT_HTTP;
}

static bool read_activation(struct arena *arena, struct inherit *in)
{
    int64_t pid = 0, len = 0;
    const char *names_text = getenv("LISTEN_FDNAMES");
    bool is_ours = slice_to_i64(slice_cstr(getenv("LISTEN_PID")), &pid) && pid == getpid();
    if (!is_ours)
        return true; /* nobody's, or a parent's */
    if (!slice_to_i64(slice_cstr(getenv("LISTEN_FDS")), &len) || len < 0)
        return false;
    struct slice names = slice_cstr(names_text), name;
    for (int64_t i = 0; i < len; i++) {
        if (!names.data || !slice_split(&names, ':', &name))
            name = SLICE_NULL;
        if (!add(arena, in, FIRST_FD + i, kind_of(name), true))
            return false;
    }
    in->is_activated = len > 0;
    return true;
}

/* -- those of the process before
 * ------------------------------------------------------------------------- */

/* "7=http", "9=unix+lent", "11=ready" */
static bool read_entry(struct arena *arena, struct inherit *in, struct slice entry)
{
    size_t equals = slice_find(entry, '=');
    int64_t fd;
    if (equals == SIZE_MAX || !slice_to_i64(slice_head(entry, equals), &fd))
        return false;
    struct slice what = slice_from(entry, equals + 1);
    if (slice_eq(what, SLICE("ready"))) {
        in->ready_fd = (int)fd;
        return fd >= FIRST_FD && fd <= INT32_MAX && fcntl(in->ready_fd, F_SETFD, FD_CLOEXEC) == 0;
    }
    bool is_lent = slice_ends(what, SLICE("+lent"));
    if (is_lent)
        what = slice_head(what, what.len - 5);
    for (unsigned kind = 0; kind < INHERIT_KINDS; kind++) {
        if (slice_eq(what, kind_names[kind]))
            return add(arena, in, fd, (enum inherit_kind)kind, is_lent);
    }
    return false;
}

static bool read_handover(struct arena *arena, struct inherit *in)
{
    struct slice rest = slice_cstr(getenv(INHERIT_VARIABLE)), entry;
    while (rest.data && slice_split(&rest, ',', &entry)) {
        if (!read_entry(arena, in, entry))
            return false;
    }
    for (unsigned i = 0; i < in->len; i++)
        in->is_activated |= in->sockets[i].is_lent;
    return true;
}

bool inherit_read(struct arena *arena, struct inherit *ret, struct slice *ret_reason)
{
    *ret = (struct inherit){ .ready_fd = -1 };
    ret->sockets = arena_array_of(arena, struct inherit_socket, INHERIT_MAX);
    if (!read_activation(arena, ret)) {
        *ret_reason = SLICE("LISTEN_FDS promises descriptors that are no listening sockets");
        return false;
    }
    if (!read_handover(arena, ret)) {
        *ret_reason = SLICE(INHERIT_VARIABLE " names descriptors that are no listening sockets");
        return false;
    }
    (void)unsetenv("LISTEN_PID"); /* fails only for names with '=' */
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    (void)unsetenv(INHERIT_VARIABLE);
    return true;
}

void inherit_close_rest(struct inherit *in)
{
    for (unsigned i = 0; i < in->len; i++) {
        if (!in->sockets[i].is_taken)
            (void)close(in->sockets[i].fd);
        in->sockets[i].is_taken = true;
    }
}

void inherit_ready(struct inherit *in)
{
    if (in->ready_fd < 0)
        return;
    ssize_t n = write(in->ready_fd, "1", 1);
    (void)n; /* nobody reads it any more: then nobody waits */
    (void)close(in->ready_fd);
    in->ready_fd = -1;
}

void inherit_put(struct buf *out, int fd, enum inherit_kind kind, bool is_lent)
{
    buf_printf(out, "%s%d=%.*s%s", out->len ? "," : "", fd, SLICE_ARG(kind_names[kind]),
               is_lent ? "+lent" : "");
}

void inherit_put_ready(struct buf *out, int fd)
{
    buf_printf(out, "%s%d=ready", out->len ? "," : "", fd);
}
