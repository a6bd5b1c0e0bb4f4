/*
 * cmd/upgrade.h - SIGUSR2: start the program anew, as it lies on the disk now, on the same
 * listening sockets. The old process goes on serving until the new one is ready, and for good when
 * that fails.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "fiber/loop.h"

struct arena;
struct listen;

struct upgrade {
    struct loop *loop;
    struct listen *listen;
    char *const *argv; /* of the program, from the name on, ending with NULL */
    char *exe;         /* where it was started from */
    pid_t pid;         /* of the successor; 0: none */
    int ready_fd;      /* it writes here once it serves */
    uv_poll_t poll;
    struct loop_timer late;
    void (*on_ready)(void *arg); /* it serves: drain */
    void *arg;
};

/* Remember how the program was started, before anybody replaces it. `argv` is what follows "serve"
 * and outlives this. */
void upgrade_init(struct upgrade *u, struct arena *arena, int argc, char **argv);
/* Start the successor; harmless while one is being started. Loop's thread. */
void upgrade_start(struct upgrade *u);
bool upgrade_is_running(const struct upgrade *u);
/* Give up on a successor that is not ready yet. */
void upgrade_cancel(struct upgrade *u);
