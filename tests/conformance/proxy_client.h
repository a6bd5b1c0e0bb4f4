/*
 * tests/conformance/proxy_client.h - /proxy-client: fetches a URL of this machine through the
 * client, so that tests can let servers misbehave before it.
 */
#pragma once

#include <stdbool.h>

struct http_app;
struct loop;
struct proxy_client;

/* Adds the routes; NULL when that fails. CLIENT_CA in the environment names a file of authorities,
 * CLIENT_ALLOW a range that from_user=1 may reach. */
struct proxy_client *proxy_client_open(struct http_app *app, struct loop *loop);
void proxy_client_close(struct proxy_client *proxy);
