/*
 * base/problem.h - Why something failed, for the person who asked. A task carries one problem;
 * whoever fails sets it, a caller may add a cause, and http/ turns it into RFC 9457 problem
 * details.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;

#define PROBLEM_FIELDS_MAX 64

/* One wrong field. */
struct problem_field {
    struct slice pointer; /* JSON Pointer into the body ("/title"), or "?name" for a query
                             parameter, or a header's name */
    const char *code;     /* stable, for programs: "required", "too_long", ... */
    struct slice detail;  /* a sentence for people */
};

struct problem {
    enum status status;
    int http_status;  /* 0: the status's own from the table in http/; else this one (428, 415, ...)
                       */
    const char *type; /* "resource/not-found": a constant; becomes the problem type URI's tail */
    struct slice detail; /* a sentence for people; no SQL, paths or library text */
    struct slice cause;  /* for the log only: what the wrapped library said */
    const char *file;    /* source place, for the log */
    int line;
    struct problem_field *fields;
    size_t fields_len;
    size_t fields_cap;
    bool fields_dropped;          /* more than PROBLEM_FIELDS_MAX were wrong */
    int64_t retry_after_us;       /* > 0: say Retry-After */
    const struct slice *violated; /* names of the quota policies that refused; outlive the answer */
    size_t violated_len;
};

/*
 * Set the problem unless one is set already (the first reason wins). Returns `st`, so that
 * `return problem_put(...)` reads well. Texts are copied into the arena; `type` must be constant.
 */
enum status problem_put(struct problem *p, struct arena *arena, const char *file, int line,
                        enum status st, const char *type, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

/* Add one wrong field; also sets status INVALID and type "validation" with http_status 422 when
 * nothing is set yet. `pointer` and the text are copied. Beyond PROBLEM_FIELDS_MAX only
 * fields_dropped is set. */
void problem_field_add(struct problem *p, struct arena *arena, struct slice pointer,
                       const char *code, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Add what a library said, for the log; never shown to the caller. */
void problem_cause(struct problem *p, struct arena *arena, struct slice cause);

/* Forget everything. */
void problem_clear(struct problem *p);
