#include "cmd/listen.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/metric.h"
#include "cmd/app.h"
#include "cmd/inherit.h"
#include "fiber/loop.h"
#include "http/http.h"
#include "net/net.h"

enum place_kind { PLACE_HTTP, PLACE_HTTPS, PLACE_UNIX };

static const enum inherit_kind kinds[] = {
    [PLACE_HTTP] = INHERIT_HTTP,
    [PLACE_HTTPS] = INHERIT_HTTPS,
    [PLACE_UNIX] = INHERIT_UNIX,
};

/* Something to listen on, on every loop. */
struct place {
    enum place_kind kind;
    struct net_server_options options; /* port: the real one, once opened */
    struct inherit_socket **given;     /* what it was handed; none: its sockets are made here */
    unsigned given_len;
    struct net_group group; /* of its sockets on the same port */
};

struct server {
    struct net_server *net;
    const struct place *place;
};

struct worker {
    struct server *servers;
    unsigned servers_len;
    unsigned closing; /* servers not closed yet, and one for listen_close itself */
    void (*done)(void *arg);
    void *arg;
};

struct listen {
    struct app *app;
    struct inherit *inherit;
    struct loop *const *loops;
    struct worker *workers; /* one a loop */
    unsigned loops_len;
    struct place places[LISTEN_PLACES_MAX];
    unsigned places_len;
    struct net_gate *gate;
};

/* -- what to listen on
 * ------------------------------------------------------------------------------------ */

/* What all listeners have in common. */
static struct net_server_options common_options(const struct listen *l)
{
    const struct config *c = &l->app->config;
    struct net_server_options options = {
        .gate = l->gate,
        .limits = { .line_bytes_max = (unsigned)c->line_bytes,
                    .headers_bytes_max = (unsigned)c->header_bytes,
                    .headers_max = (unsigned)c->headers,
                    .body_bytes_max = c->body_bytes,
                    .head_timeout_us = c->head_timeout_us,
                    .body_idle_timeout_us = c->body_timeout_us,
                    .idle_timeout_us = c->idle_timeout_us,
                    .write_timeout_us = c->write_timeout_us,
                    .body_rate_min = (unsigned)c->body_rate,
                    .handshake_timeout_us = c->handshake_timeout_us,
                    .handshakes_max = (unsigned)c->handshakes },
        .http2 = { .off = !c->http2_enabled,
                   .clear_off = !c->http2_clear_text,
                   .streams_max = (unsigned)c->http2_streams,
                   .stream_window = (unsigned)c->http2_stream_window,
                   .connection_window = (unsigned)c->http2_connection_window,
                   .resets_max = (unsigned)c->http2_resets,
                   .settings_max = (unsigned)c->http2_settings,
                   .pings_max = (unsigned)c->http2_pings,
                   .priorities_max = (unsigned)c->http2_priorities,
                   .window_updates_max = (unsigned)c->http2_window_updates,
                   .empty_frames_max = (unsigned)c->http2_empty_frames },
    };
    if (c->proxy_protocol)
        options.proxies = &c->proxies;
    if (c->accept_rate)
        options.accept_rate = MAX((unsigned)c->accept_rate / l->loops_len, 1u);
    http_app_serve(l->app->http, &options);
    return options;
}

static struct place *place_add(struct listen *l, enum place_kind kind)
{
    struct place *p = &l->places[l->places_len++];
    *p = (struct place){ .kind = kind, .options = common_options(l) };
    return p;
}

/* Whether a socket that was handed over is one of this place. The service manager's are whatever
 * the address; those of the process before have to be where the configuration is now. */
static bool belongs(const struct inherit_socket *s, const struct place *p)
{
    struct address host;
    if (s->is_taken || s->kind != kinds[p->kind])
        return false;
    if (s->is_lent)
        return true;
    if (p->kind == PLACE_UNIX) /* bound beside its path, and moved there */
        return p->options.path.len && slice_starts(s->path, p->options.path);
    return address_parse(p->options.host, &host) && address_eq(&host, &s->address) &&
           (p->options.port == 0 || p->options.port == s->port);
}

static void give_sockets(struct listen *l, struct place *p)
{
    struct inherit *in = l->inherit;
    p->given = arena_array_of(l->app->arena, struct inherit_socket *, in->len + 1);
    for (unsigned i = 0; i < in->len; i++) {
        struct inherit_socket *s = &in->sockets[i];
        if (!belongs(s, p))
            continue;
        s->is_taken = true;
        p->given[p->given_len++] = s;
    }
    if (!p->given_len)
        return;
    const struct inherit_socket *first = p->given[0];
    p->options.is_lent = first->is_lent;
    p->options.port = first->port;
    if (first->is_lent && first->kind == INHERIT_UNIX)
        p->options.path = first->path;
    char text[ADDRESS_TEXT_MAX];
    if (first->is_lent && first->kind != INHERIT_UNIX)
        p->options.host =
            arena_printf(l->app->arena, "%s", address_format(&first->address, text).data);
}

/* Did the service manager bring a socket of this kind? */
static bool is_given(const struct listen *l, enum inherit_kind kind)
{
    for (unsigned i = 0; i < l->inherit->len; i++) {
        if (l->inherit->sockets[i].is_lent && l->inherit->sockets[i].kind == kind)
            return true;
    }
    return false;
}

static void plan(struct listen *l)
{
    const struct config *c = &l->app->config;
    /* A socket unit says where to listen; the default address besides would surprise. */
    bool has_clear = l->inherit->is_activated ? is_given(l, INHERIT_HTTP) : c->clear;
    if (has_clear) {
        struct place *p = place_add(l, PLACE_HTTP);
        p->options.host = c->host;
        p->options.port = (unsigned)c->port;
        p->options.reuse_port = true;
    }
    if (l->app->tls) {
        struct place *p = place_add(l, PLACE_HTTPS);
        p->options.tls = l->app->tls;
        p->options.host = c->host;
        p->options.port = (unsigned)c->tls_port;
        p->options.reuse_port = true;
    }
    if (c->unix_path.len || is_given(l, INHERIT_UNIX)) {
        struct place *p = place_add(l, PLACE_UNIX);
        p->options.path = c->unix_path;
        p->options.mode = (unsigned)c->unix_mode;
    }
    for (unsigned i = 0; i < l->places_len; i++)
        give_sockets(l, &l->places[i]);
}

static struct slice place_url(const struct listen *l, const struct place *p)
{
    if (p->kind == PLACE_UNIX)
        return arena_printf(l->app->arena, "unix:%.*s", SLICE_ARG(p->options.path));
    struct slice host = p->options.host;
    bool is_v6 = slice_find(host, ':') != SIZE_MAX;
    return arena_printf(l->app->arena, "http%s://%s%.*s%s:%u", p->kind == PLACE_HTTPS ? "s" : "",
                        is_v6 ? "[" : "", SLICE_ARG(host), is_v6 ? "]" : "", p->options.port);
}

/* -- opening
 * --------------------------------------------------------------------------------------------- */

static int open_server(struct listen *l, struct place *p, unsigned loop, int fd)
{
    struct worker *w = &l->workers[loop];
    struct net_server_options options = p->options;
    const char *reason = "";
    options.fd = fd;
    options.group = &p->group;
    struct server *server = &w->servers[w->servers_len];
    server->place = p;
    if (net_server_open(l->loops[loop], &options, &server->net, &reason) != STATUS_OK) {
        if (p->kind == PLACE_UNIX)
            (void)fprintf(stderr, "purlin serve: cannot listen on %.*s: %s\n",
                          SLICE_ARG(options.path), reason);
        else
            (void)fprintf(stderr, "purlin serve: cannot listen on %.*s port %u: %s\n",
                          SLICE_ARG(options.host), options.port, reason);
        return CMD_FAILED;
    }
    w->servers_len++;
    return CMD_OK;
}

/* One socket for all loops: whoever is free takes what comes. */
static int share_fd(struct listen *l, struct place *p, unsigned loop, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
        (void)fprintf(stderr, "purlin serve: no descriptor is left to listen with\n");
        return CMD_FAILED;
    }
    return open_server(l, p, loop, copy);
}

/* Each socket that was handed over is watched by one loop; loops that are left over make one of
 * their own where the kernel allows, or share. */
static int open_given(struct listen *l, struct place *p)
{
    int code = CMD_OK;
    bool can_add = p->given[0]->reuse_port && !p->options.is_lent;
    for (unsigned i = p->given_len; i < l->loops_len && code == CMD_OK; i++)
        code =
            can_add ? open_server(l, p, i, 0) : share_fd(l, p, i, p->given[i % p->given_len]->fd);
    for (unsigned i = 0; i < p->given_len && code == CMD_OK; i++)
        code = open_server(l, p, i % l->loops_len, p->given[i]->fd);
    return code;
}

static int open_place(struct listen *l, struct place *p)
{
    if (p->given_len)
        return open_given(l, p);
    int code = open_server(l, p, 0, 0);
    if (code != CMD_OK)
        return code;
    const struct net_server *first = l->workers[0].servers[l->workers[0].servers_len - 1].net;
    p->options.port = net_server_port(first); /* the others take the same */
    for (unsigned i = 1; i < l->loops_len && code == CMD_OK; i++)
        code = p->kind == PLACE_UNIX ? share_fd(l, p, i, net_server_fd(first))
                                     : open_server(l, p, i, 0);
    return code;
}

/* -- figures
 * --------------------------------------------------------------------------------------------- */

struct figure {
    struct net_gate *gate;
    enum net_gate_reason reason;
};

static double read_refused(void *arg)
{
    const struct figure *f = arg;
    struct net_gate_stats stats;
    net_gate_stats_read(f->gate, &stats);
    return (double)stats.refused[f->reason];
}

static double read_accepted(void *arg)
{
    struct net_gate_stats stats;
    net_gate_stats_read(arg, &stats);
    return (double)stats.accepted;
}

static double read_open(void *arg)
{
    struct net_gate_stats stats;
    net_gate_stats_read(arg, &stats);
    return (double)stats.open;
}

static double read_addresses(void *arg)
{
    struct net_gate_stats stats;
    net_gate_stats_read(arg, &stats);
    return (double)stats.addresses;
}

static void declare_figures(struct listen *l)
{
    static const char *const reasons[NET_GATE_REASONS] = {
        [NET_GATE_TOTAL] = "total",
        [NET_GATE_ADDRESS] = "address",
        [NET_GATE_SILENT] = "silent",
        [NET_GATE_DESCRIPTORS] = "descriptors",
        [NET_GATE_PROXY_HEADER] = "proxy_header",
    };
    static const struct {
        const struct metric_desc desc;
        metric_read_fn read;
    } plain[] = {
        { { .name = "purlin_connections_accepted",
            .help = "Connections that were let in.",
            .kind = METRIC_COUNTER },
          read_accepted },
        { { .name = "purlin_connections_open",
            .help = "Connections open now, over all listeners.",
            .kind = METRIC_GAUGE },
          read_open },
        { { .name = "purlin_connections_addresses",
            .help = "Client addresses (IPv6: /64) with an open connection, while they are counted.",
            .kind = METRIC_GAUGE },
          read_addresses },
    };
    struct metrics *m = l->app->metrics;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        metric_callback(m, metric_declare(m, &plain[i].desc), NULL, plain[i].read, l->gate);
    const struct metric_desc desc = {
        .name = "purlin_connections_refused",
        .help = "Connections closed at the door, by reason.",
        .kind = METRIC_COUNTER,
        .labels = { "reason" },
    };
    unsigned metric = metric_declare(m, &desc);
    struct figure *figures = arena_array_of(l->app->arena, struct figure, NET_GATE_REASONS);
    for (unsigned i = 0; i < NET_GATE_REASONS; i++) {
        figures[i] = (struct figure){ .gate = l->gate, .reason = (enum net_gate_reason)i };
        struct slice label = slice_cstr(reasons[i]);
        metric_callback(m, metric, &label, read_refused, &figures[i]);
    }
}

/* The clear port sends clients to the one of https. */
static void redirect(const struct listen *l)
{
    const struct config *c = &l->app->config;
    for (unsigned i = 0; i < l->places_len && c->tls_redirect; i++) {
        if (l->places[i].kind == PLACE_HTTPS)
            http_app_https_set(l->app->http, c->tls_public_port ? (unsigned)c->tls_public_port
                                                                : l->places[i].options.port);
    }
}

static void make_room(struct listen *l)
{
    unsigned most = 0;
    for (unsigned i = 0; i < l->places_len; i++)
        most += l->places[i].given_len / l->loops_len + 1;
    l->workers = arena_array_of(l->app->arena, struct worker, l->loops_len);
    for (unsigned i = 0; i < l->loops_len; i++)
        l->workers[i].servers = arena_array_of(l->app->arena, struct server, most);
}

int listen_open(struct app *app, struct inherit *inherit, struct loop *const *loops,
                unsigned loops_len, struct listen **ret_listen)
{
    const struct config *c = &app->config;
    struct listen *l = arena_new_of(app->arena, struct listen);
    *l = (struct listen){ .app = app, .inherit = inherit, .loops = loops, .loops_len = loops_len };
    const struct net_gate_options gate = {
        .connections_max = (unsigned)c->connections,
        .per_address_max = (unsigned)c->connections_per_address,
        .exempt = &c->proxies,
    };
    if (net_gate_new(&gate, &l->gate) != STATUS_OK) {
        (void)fprintf(stderr, "purlin serve: no memory for the table of connections\n");
        return CMD_FAILED;
    }
    declare_figures(l);
    plan(l);
    make_room(l);
    int code = CMD_OK;
    for (unsigned i = 0; i < l->places_len && code == CMD_OK; i++)
        code = open_place(l, &l->places[i]);
    inherit_close_rest(inherit);
    redirect(l);
    *ret_listen = l;
    return code;
}

void listen_free(struct listen *l)
{
    if (l)
        net_gate_free(l->gate);
}

/* -- what is open
 * ----------------------------------------------------------------------------------------- */

unsigned listen_port(const struct listen *l)
{
    for (unsigned i = 0; i < l->places_len; i++) {
        if (l->places[i].options.port)
            return l->places[i].options.port;
    }
    return 0;
}

unsigned listen_urls(const struct listen *l, struct slice urls[LISTEN_PLACES_MAX])
{
    for (unsigned i = 0; i < l->places_len; i++)
        urls[i] = place_url(l, &l->places[i]);
    return l->places_len;
}

/* -- a successor
 * ------------------------------------------------------------------------------------------ */

unsigned listen_handover(const struct listen *l, struct buf *out, int *fds, unsigned fds_max)
{
    unsigned len = 0;
    for (unsigned i = 0; i < l->loops_len; i++) {
        for (unsigned j = 0; j < l->workers[i].servers_len; j++) {
            const struct server *server = &l->workers[i].servers[j];
            if (len == fds_max)
                return 0;
            fds[len] = net_server_fd(server->net);
            inherit_put(out, fds[len++], kinds[server->place->kind],
                        server->place->options.is_lent);
        }
    }
    return len;
}

void listen_lend(struct listen *l, unsigned loop)
{
    struct worker *w = &l->workers[loop];
    for (unsigned i = 0; i < w->servers_len; i++)
        net_server_lend(w->servers[i].net);
}

/* -- other proxies
 * ---------------------------------------------------------------------------------------- */

void listen_exempt_set(struct listen *l, const struct address_set *proxies)
{
    net_gate_exempt_set(l->gate, proxies);
}

void listen_proxies_set(struct listen *l, unsigned loop, const struct address_set *proxies)
{
    struct worker *w = &l->workers[loop];
    for (unsigned i = 0; i < w->servers_len && !w->closing; i++)
        net_server_proxies_set(w->servers[i].net, proxies);
}

/* -- the end
 * --------------------------------------------------------------------------------------------- */

void listen_drain(struct listen *l, unsigned loop)
{
    struct worker *w = &l->workers[loop];
    for (unsigned i = 0; i < w->servers_len; i++)
        net_server_drain(w->servers[i].net);
}

bool listen_is_drained(const struct listen *l, unsigned loop)
{
    const struct worker *w = &l->workers[loop];
    for (unsigned i = 0; i < w->servers_len; i++) {
        if (!net_server_is_drained(w->servers[i].net))
            return false;
    }
    return true;
}

unsigned listen_connections(const struct listen *l, unsigned loop)
{
    const struct worker *w = &l->workers[loop];
    unsigned open = 0;
    for (unsigned i = 0; i < w->servers_len; i++)
        open += net_server_connections(w->servers[i].net);
    return open;
}

static void one_closed(void *arg)
{
    struct worker *w = arg;
    if (--w->closing == 0)
        w->done(w->arg);
}

void listen_close(struct listen *l, unsigned loop, void (*done)(void *arg), void *arg)
{
    struct worker *w = &l->workers[loop];
    unsigned len = w->servers_len;
    w->servers_len = 0;
    w->closing = len + 1;
    w->done = done;
    w->arg = arg;
    for (unsigned i = 0; i < len; i++)
        net_server_close(w->servers[i].net, one_closed, w);
    one_closed(w);
}
