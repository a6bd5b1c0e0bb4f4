/*
 * contract/openapi.h - The OpenAPI 3.1 document, from the contracts and the other routes: always
 * true to what is served.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;
struct contract_set;

/* A route that is not a resource's, as the edge knows it. */
struct openapi_route {
    const char *method; /* "get" */
    struct slice path;
    const char *summary, *tag, *operation_id;
    const char *permission; /* that it needs; NULL: none */
    bool signed_in;         /* it answers people who are signed in, and nobody else */
    bool deprecated;
    const char *response_type;   /* NULL: application/json */
    const char *response_schema; /* JSON; NULL: anything */
    const char *parameters;      /* parameter objects, a JSON array; NULL: none */
    const char *answers;         /* further ones, as http_route's; NULL: none */
    const char *body_type;       /* of a request's body that is read; NULL: none is */
};
/* What the policy of a path asks of clients. */
struct openapi_policy {
    bool deprecated; /* not to be built upon any more */
    bool signs_messages,
        signs_plain;   /* profiles of signatures that are taken; none: none is looked at */
    bool signs_always; /* a request without one is refused */
};
struct openapi_options {
    struct slice title, version, server_url; /* server_url may be "/" */
    const struct openapi_route *routes;
    unsigned routes_len;
    struct openapi_policy (*policy_of)(void *arg, struct slice path); /* NULL: nothing is asked */
    void *arg;
};
/* Of the set's own version; older ones have documents of their own. */
void contract_openapi(const struct contract_set *set, const struct openapi_options *options,
                      struct arena *arena, struct buf *out);
