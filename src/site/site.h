/*
 * site/site.h - The pages and documents for people: `/` (what is here), `/docs` (interactive API),
 * `/openapi.json`. Files come from two folders (http_files_send); names are checked against a list
 * made at start, so no path from outside ever reaches the file system.
 */
#pragma once

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;
struct buf;
struct contract_set;
struct http_app;
struct http_request;
struct resource_engine;
struct site;

struct site_options {
    struct slice web; /* folder of index.html and what it needs */
    struct slice
        swagger;  /* folder of swagger-ui-dist; may be missing: /docs then says how to get it */
    bool docs;    /* serve /docs and /openapi.json */
    bool no_root; /* "/" is somebody else's */
    struct resource_engine *engine;
};

/* Add the routes. EXHAUSTED, or what http_route_add says. Start of the process. */
enum status site_open(struct http_app *app, const struct site_options *options, struct site **ret);
void site_close(struct site *site);

/* The OpenAPI document of these contracts and the app's other routes, under the policies that `req`
 * goes by (NULL: before loops run): what /openapi.json and `purlin openapi` print. */
void site_openapi(struct http_app *app, const struct http_request *req,
                  const struct contract_set *set, struct arena *arena, struct buf *out);
