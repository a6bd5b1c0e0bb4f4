/*
 * cmd/inherit.h - Listening sockets that this process was given: by a service manager (LISTEN_FDS)
 * or by the process that it takes over from (PURLIN_HANDOVER).
 */
#pragma once

#include <stdbool.h>

#include "base/address.h"
#include "base/slice.h"

struct arena;
struct buf;

/* What is spoken on a socket. */
enum inherit_kind { INHERIT_HTTP, INHERIT_HTTPS, INHERIT_UNIX, INHERIT_KINDS };

struct inherit_socket {
    int fd;
    enum inherit_kind kind;
    bool is_lent; /* the service manager keeps it too */
    bool is_taken;
    bool reuse_port;
    struct address address; /* of TCP */
    unsigned port;
    struct slice path; /* of a unix socket, as it was bound */
};

struct inherit {
    struct inherit_socket *sockets;
    unsigned len;
    bool is_activated; /* they are the service manager's */
    int ready_fd;      /* who hands over waits for a byte here; -1: nobody does */
};

#define INHERIT_MAX 1024u

/*
 * Read the environment, and take the variables out of it, so that no child believes them.
 *
 * Errors   false, when descriptors were promised that are no listening sockets; *ret_reason says
 * so. Context  start of the process, one thread.
 */
bool inherit_read(struct arena *arena, struct inherit *ret, struct slice *ret_reason);
/* Close what nobody took. */
void inherit_close_rest(struct inherit *inherit);
/* Tell the process before this one that its sockets are served here. */
void inherit_ready(struct inherit *inherit);

/* One entry of PURLIN_HANDOVER for a successor. */
void inherit_put(struct buf *out, int fd, enum inherit_kind kind, bool is_lent);
#define INHERIT_VARIABLE "PURLIN_HANDOVER"
/* The descriptor that inherit_ready writes to. */
void inherit_put_ready(struct buf *out, int fd);
