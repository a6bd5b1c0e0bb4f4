#include "cmd/client.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "net/client.h"

struct clients {
    struct net_dns *dns;
    struct net_client_tls *tls;
    struct net_client **list; /* one a loop */
    unsigned len;
};

static enum status open_all(struct app *app, struct loop *const *loops, unsigned loops_len)
{
    const struct config *c = &app->config;
    struct clients *clients = app->clients;
    const struct net_client_options options = {
        .dns = clients->dns,
        .tls = clients->tls,
        .metrics = app->metrics,
        .allow = &c->client_allowed,
        .connections_max = (unsigned)c->client_connections,
        .host_connections_max = (unsigned)c->client_host_connections,
        .idle_timeout_us = c->client_idle_timeout_us,
    };
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < loops_len && st == STATUS_OK; i++) {
        st = net_client_open(loops[i], &options, &clients->list[i]);
        clients->len += st == STATUS_OK;
    }
    return st;
}

int clients_open(struct app *app, const char *verb, struct loop *const *loops, unsigned loops_len)
{
    struct clients *clients = arena_new_of(app->arena, struct clients);
    const char *reason = "memory is short";
    enum status st = STATUS_EXHAUSTED;
    if (clients)
        clients->list = arena_array_of(app->arena, struct net_client *, loops_len);
    if (!clients || !clients->list) {
        (void)fprintf(stderr, "purlin %s: %s\n", verb, reason);
        return CMD_FAILED;
    }
    app->clients = clients;
    st = net_client_tls_new(
        &(struct net_client_tls_options){ .ca_file = app->config.client_ca_file }, &clients->tls,
        &reason);
    if (st == STATUS_INVALID) {
        (void)fprintf(stderr, "purlin %s: client.ca_file: %s\n", verb, reason);
        return CMD_USAGE;
    }
    if (st == STATUS_OK)
        st = net_dns_new(NULL, &clients->dns);
    if (st == STATUS_OK)
        st = open_all(app, loops, loops_len);
    if (st == STATUS_OK)
        return CMD_OK;
    (void)fprintf(stderr, "purlin %s: the client cannot be opened: %s\n", verb, reason);
    return CMD_FAILED;
}

void clients_close(struct app *app)
{
    struct clients *clients = app->clients;
    if (!clients)
        return;
    for (unsigned i = 0; i < clients->len; i++)
        net_client_close(clients->list[i]);
    net_client_tls_free(clients->tls);
    net_dns_free(clients->dns);
    app->clients = NULL;
}
