/*
 * http/rate.h - What rate limits are made of: rules made ready, policies, and who ran into them.
 * Private to the room.
 */
#pragma once

#include <pthread.h>

#include "base/address.h"
#include "http/internal.h"
#include "shared/shared.h"

enum http__rate_outcome {
    HTTP__RATE_ALLOWED,
    HTTP__RATE_REFUSED,
    HTTP__RATE_REPORTED, /* would have been refused, were the rule more than a report */
    HTTP__RATE_EXEMPT,
    HTTP__RATE_OUTCOMES
};

struct http_rate {
    struct http_rate_rule rule; /* burst and cost are set */
    struct shared_rate shared;
    struct slice field; /* "default";q=300;w=10 */
    metric_series series[HTTP__RATE_OUTCOMES];
};

struct http__rate_list {
    struct http_rate *rates;
    unsigned len;
};

/* Beside the policies of settings, in the same order. */
struct http__rate_policy {
    struct http__rate_list requests, writes, auth;
    uint32_t cost;
    enum http_rate_mode mode;
};

/* -- who ran into limits: http/offender.c */

#define HTTP__OFFENDERS_MAX 64u
#define HTTP__OFFENDER_NAME_MAX 96u

struct http__offender {
    uint64_t key;
    uint64_t refused; /* may count up to `unsure` of others that had the place before */
    uint64_t unsure;
    int64_t first_us, last_us; /* wall clock */
    uint8_t who_len, policy_len;
    char who[HTTP__OFFENDER_NAME_MAX]; /* "ip 192.0.2.1" */
    char policy[HTTP_RATE_NAME_MAX];
};

struct http__offenders {
    pthread_mutex_t lock;
    unsigned len;
    int64_t logged_us; /* monotonic */
    struct http__offender all[HTTP__OFFENDERS_MAX];
};

void http__offenders_init(struct http__offenders *o);
void http__offenders_fini(struct http__offenders *o);
/* Count a refusal. Any thread. */
void http__offenders_add(struct http__offenders *o, uint64_t key, struct slice who,
                         struct slice policy);
/* The worst first; returns how many. `ret` has room for HTTP__OFFENDERS_MAX. */
unsigned http__offenders_read(struct http__offenders *o, struct http__offender *ret);

/* -- of an app */

#define HTTP__EXEMPT_ROLES_MAX 8u

struct http__rate_limits {
    struct shared_counts *counts;
    unsigned decisions; /* the metric */
    struct http__offenders offenders;
};

/* -- of settings */

struct http__rate_set {
    enum http_rate_headers headers;
    struct slice tenant_header;
    const struct address_set *exempt;
    struct http__rate_policy *policies;
    struct slice exempt_roles[HTTP__EXEMPT_ROLES_MAX];
    unsigned exempt_roles_len;
};

enum status http__rate_init(struct http_app *app, struct arena *arena,
                            const struct http_rate_rule *rule, struct http_rate *ret);
