/*
 * http/overload.h - What shedding keeps, for each loop. Private to the room.
 */
#pragma once

#include "http/internal.h"
#include "http/shed.h"

#define HTTP__LANES 256u /* loops */

enum http__shed_reason {
    HTTP__SHED_DELAY,
    HTTP__SHED_WRITER,
    HTTP__SHED_NUMBER,
    HTTP__SHED_REASONS
};

/* Of one loop, written by its thread alone; others read what is published. */
struct http__lane {
    struct http__shed delay;  /* of the loop */
    struct http__shed writer; /* of writes */
    struct http__gradient gradient;
    unsigned in_flight;
    uint64_t shed;
    int64_t logged_us;
    struct {
        int64_t delay_us;
        uint64_t shed;
        uint32_t level_milli, in_flight, limit;
        bool is_used;
    } published; /* atomic, once an interval */
} __attribute__((aligned(64)));

struct http__overload {
    struct http_overload_options options;
    struct http__shed_options shed_options;
    metric_series delay;
    metric_series shed[HTTP_PRIORITY_COUNT][HTTP__SHED_REASONS];
    struct http__lane lanes[HTTP__LANES];
};
