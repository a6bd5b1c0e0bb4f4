/*
 * cmd/tls.h - The certificates of the program: opened at start, replaced when their files change.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct app;
struct arena;
struct config;
struct diag;
struct loop;
struct net_tls;
struct net_tls_error;
struct net_tls_options;

/* The tls.* keys as net/ wants them. EXHAUSTED. */
enum status tls_options_of(const struct config *config, struct arena *arena,
                           struct net_tls_options *ret);
/* When TLS is configured: app->tls. Returns an exit status, having said what is wrong. */
int tls_open(struct app *app, const char *verb);
/* Could tls_reload do it? INVALID, logged. */
enum status tls_try(struct app *app, const struct config *next);
/* Read the files that tls.* names and say in `diag` what is wrong with each: missing, of another
 * key, ended, not begun, ciphers that are unknown. `now_us`: wall clock. */
void tls_check(const struct config *config, int64_t now_us, struct arena *arena, struct diag *diag);
/* Take over the tls.* keys of another configuration and the files as they are now; on a thread that
 * may block. INVALID, logged: what was in force stays. OK too when there is no TLS on either side.
 */
enum status tls_reload(struct app *app, const struct config *next);

/* Look for changed files every tls.watch, in the offload pool of this loop; own thread, or before
 * it runs. */
struct tls_watch;
void tls_watch_start(struct app *app, struct loop *loop, struct tls_watch **ret_watch);
void tls_watch_stop(struct tls_watch *watch); /* harmless for NULL */
