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
struct listen;
struct loop;

/* Open every place on every loop, before the loops run. Returns an exit status, having said what is
 * wrong. */
int listen_open(struct app *app, struct loop *const *loops, unsigned loops_len,
                struct listen **ret_listen);
/* After the loops have ended. */
void listen_free(struct listen *listen);

/* The port of the clear listener, else of another; 0 when there are only unix sockets. */
unsigned listen_port(const struct listen *listen);
#define LISTEN_PLACES_MAX 4u
/* "http://127.0.0.1:8000", "unix:/run/purlin.sock"; in the app's arena. Returns how many. */
unsigned listen_urls(const struct listen *listen, struct slice urls[LISTEN_PLACES_MAX]);

/* Of all servers of one loop; on its own thread. */
void listen_drain(struct listen *listen, unsigned loop);
bool listen_is_drained(const struct listen *listen, unsigned loop);
unsigned listen_connections(const struct listen *listen, unsigned loop);
/* `done` runs when everything is closed. */
void listen_close(struct listen *listen, unsigned loop, void (*done)(void *arg), void *arg);
