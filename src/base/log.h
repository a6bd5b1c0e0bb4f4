/*
 * base/log.h - Structured log: an event name and fields, one JSON object a line (or pretty on a
 * terminal). A line is formatted by the thread that logs into a bounded ring; a writer thread
 * drains the rings to the file descriptor. A full ring drops the line and counts it: logging never
 * blocks. Lines carry ts, level, msg (the event) and the fields; with a task also request_id and
 * trace_id (fiber/task.h has task_log_*).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_OFF };
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_PRETTY };

enum log_kind { LOG_KIND_TEXT, LOG_KIND_I64, LOG_KIND_U64, LOG_KIND_DOUBLE, LOG_KIND_BOOL };
struct log_field {
    const char *name;
    enum log_kind kind;
    union {
        struct slice text;
        int64_t i64;
        uint64_t u64;
        double real;
        bool boolean;
    } as;
};
#define LOG_TEXT(n, s) ((struct log_field){ .name = (n), .kind = LOG_KIND_TEXT, .as.text = (s) })
#define LOG_CSTR(n, s) LOG_TEXT(n, slice_cstr(s))
#define LOG_I64(n, v) ((struct log_field){ .name = (n), .kind = LOG_KIND_I64, .as.i64 = (v) })
#define LOG_U64(n, v) ((struct log_field){ .name = (n), .kind = LOG_KIND_U64, .as.u64 = (v) })
#define LOG_BOOL(n, v) ((struct log_field){ .name = (n), .kind = LOG_KIND_BOOL, .as.boolean = (v) })
#define LOG_DOUBLE(n, v)                                                                           \
    ((struct log_field){ .name = (n), .kind = LOG_KIND_DOUBLE, .as.real = (v) })
#define LOG_US(n, v) LOG_I64(n, v)

struct log_options {
    int fd;
    enum log_level level;
    enum log_format format;
};

/*
 * Start the writer thread. Before it (and after log_stop) lines go straight to stderr. Not while it
 * runs; a process that logged may not fork and go on.
 *
 * Errors   EXHAUSTED when the system gives no thread.
 */
enum status log_start(const struct log_options *options);
/* Drain every ring, write out, join the writer. Lines logged before the call are all written. */
void log_stop(void);
void log_level_set(enum log_level level); /* any thread; SIGHUP */
extern enum log_level log__level;         /* read by the macros only */
static inline bool log_is_on(enum log_level level)
{
    return level >= __atomic_load_n(&log__level, __ATOMIC_RELAXED);
}

/* Log one line. Any thread; never blocks, never allocates once the thread has its ring. Text is
 * escaped: no value can forge a line or a terminal sequence. A line is cut at 8 KiB. */
void log_write(enum log_level level, const char *event, const struct log_field *fields,
               unsigned fields_len);
#define log_fields(level, event, ...)                                                              \
    do {                                                                                           \
        if (log_is_on(level)) {                                                                    \
            const struct log_field log_fields_[] = { __VA_ARGS__ };                                \
            log_write((level), (event), log_fields_,                                               \
                      (unsigned)(sizeof(log_fields_) / sizeof(log_fields_[0])));                   \
        }                                                                                          \
    } while (0)
#define log_debug(event, ...) log_fields(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) log_fields(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warn(event, ...) log_fields(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_fields(LOG_LEVEL_ERROR, event, __VA_ARGS__)

/* Append a line that the caller formatted already (the access log) as it is; the newline is added.
 * Lines past 32 KiB are dropped and counted. */
void log_raw(struct slice json_line);

/* Whether lines are written for people: a caller of log_raw then has fields to log instead. */
bool log_is_pretty(void);

/* "debug", "info", "warn" or "warning", "error", "off"; in any case. */
bool log_level_parse(struct slice name, enum log_level *ret);
uint64_t log_dropped(void); /* lines lost to full rings so far */
