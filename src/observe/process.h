/*
 * observe/process.h - Figures of this process, from /proc and getrusage (private to the room).
 */
#pragma once

#include <stdint.h>

#include "base/log.h"
#include "base/metric.h"

/* Declare process_* and read them when metrics are rendered; *started_us must outlive the registry.
 */
void observe__process_metrics(struct metrics *m, int64_t *started_us);
double observe__resident_bytes(void *unused);
