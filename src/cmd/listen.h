/*
 * cmd/listen.h - The program's listeners: which places are listened on, by a server each on every
 * loop, and how they are given up.
 *
 * Data passes: configuration (and sockets handed over by whoever started us) -> places -> a
 * net_server per place and loop, all behind one gate. A loop's servers are drained and closed
 * together, on its own thread.
 */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

struct app;
struct buf;
struct inherit;
struct listen;
struct loop;

/* Open every place on every loop, before the loops run, on the sockets in `inherit` as far as they
 * go. Returns an exit status, having said what is wrong. */
int listen_open(struct app *app, struct inherit *inherit, struct loop *const *loops,
                unsigned loops_len, struct listen **ret_listen);
/* After the loops have ended. */
void listen_free(struct listen *listen);

/* The port of the clear listener, else of another; 0 when there are only unix sockets. */
unsigned listen_port(const struct listen *listen);
#define LISTEN_PLACES_MAX 4u
/* "http://127.0.0.1:8000", "unix:/run/purlin.sock"; in the app's arena. Returns how many. */
unsigned listen_urls(const struct listen *listen, struct slice urls[LISTEN_PLACES_MAX]);

/* What a successor has to be told to go on with the sockets (cmd/inherit.h): appended to `out`; the
 * descriptors that it needs go to `fds`. Returns how many; 0 when they are more than fds_max.
 * Before anything is drained, any thread. */
unsigned listen_handover(const struct listen *listen, struct buf *out, int *fds, unsigned fds_max);
/* A successor has the sockets now: draining leaves them to it. On the loop's own thread. */
void listen_lend(struct listen *listen, unsigned loop);

/* Other proxies are trusted from now on; `proxies` lives until others are. For the table of
 * connections first, on any thread; then for the servers of each loop, on its own. */
struct address_set;
void listen_exempt_set(struct listen *listen, const struct address_set *proxies);
void listen_proxies_set(struct listen *listen, unsigned loop, const struct address_set *proxies);

/* Of all servers of one loop; on its own thread. */
void listen_drain(struct listen *listen, unsigned loop);
bool listen_is_drained(const struct listen *listen, unsigned loop);
unsigned listen_connections(const struct listen *listen, unsigned loop);
/* `done` runs when everything is closed. */
void listen_close(struct listen *listen, unsigned loop, void (*done)(void *arg), void *arg);
