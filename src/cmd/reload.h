/*
 * cmd/reload.h - SIGHUP: the configuration, the contracts and the certificates are read anew, all
 * of them checked, and taken over together, or not at all.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"
#include "cmd/config.h"

struct app;
struct app_common;
struct listen;
struct loop;

enum reload_result { RELOAD_OK, RELOAD_REFUSED, RELOAD_RESULTS };

struct reload {
    struct app *app;
    const struct app_common *common;
    struct config started; /* what the process runs with until it ends */
    struct loop *const *loops;
    unsigned loops_len;
    struct listen *listen;
    bool is_running;      /* first loop's alone */
    bool is_asked_again;  /* while one runs, which may have read the files already */
    int64_t succeeded_us; /* atomic; wall clock */
    metric_series results[RELOAD_RESULTS];
};

/* Right after the configuration was read, before anything is added to it. */
void reload_init(struct reload *reload, struct app *app, const struct app_common *common);
/* Everything is open, and no loop runs yet. */
void reload_ready(struct reload *reload, struct listen *listen, struct loop *const *loops,
                  unsigned loops_len);
/* On the first loop; does nothing while one is under way. */
void reload_start(struct reload *reload);
