/*
 * base/status.h - The one result type. A function that can fail returns `enum status`; the words
 * that explain a failure live in the task's problem (base/problem.h), never in the status.
 */
#pragma once

/* clang-format 14 does not know the attribute here. */
/* clang-format off */
enum [[nodiscard]] status {
    STATUS_OK = 0,
    STATUS_INVALID,         /* the input is wrong: 400 or 422 */
    STATUS_UNAUTHENTICATED, /* nobody is asking: 401 */
    STATUS_DENIED,          /* somebody is asking who may not: 403 */
    STATUS_NOT_FOUND,       /* 404 */
    STATUS_CONFLICT,        /* 409 or 412 */
    STATUS_TOO_LARGE,       /* a limit on size: 413, 431 */
    STATUS_EXHAUSTED,       /* a budget, pool or queue is full: 503, 429 */
    STATUS_TIMEOUT,         /* a deadline passed: 503, 408 */
    STATUS_CANCELLED,       /* the task was asked to stop; nobody reads an answer */
    STATUS_UNAVAILABLE,     /* something needed is down: 503 */
    STATUS_INTERNAL,        /* our mistake: 500 */
    STATUS_COUNT
};
/* clang-format on */

/* The lower-case name of a status ("not_found"); for logs and tests. Never NULL. */
const char *status_name(enum status st);
