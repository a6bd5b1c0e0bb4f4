#include "cmd/listen.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/metric.h"
#include "cmd/app.h"
#include "fiber/loop.h"
#include "http/http.h"
#include "net/net.h"

enum place_kind { PLACE_HTTP, PLACE_HTTPS, PLACE_UNIX };

/* Something to listen on, on every loop. */
struct place {
    enum place_kind kind;
    struct net_server_options options; /* port: the real one, once opened */
};

struct worker {
    struct net_server **servers;
    unsigned servers_len;
    unsigned closing; /* servers not closed yet, and one for listen_close itself */
    void (*done)(void *arg);
    void *arg;
};

struct listen {
    struct app *app;
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

static void plan(struct listen *l)
{
    const struct config *c = &l->app->config;
    if (c->clear) {
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
    if (c->unix_path.len) {
        struct place *p = place_add(l, PLACE_UNIX);
        p->options.path = c->unix_path;
        p->options.mode = (unsigned)c->unix_mode;
    }
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
    if (net_server_open(l->loops[loop], &options, &w->servers[w->servers_len], &reason) !=
        STATUS_OK) {
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

static int open_place(struct listen *l, struct place *p)
{
    int code = open_server(l, p, 0, 0);
    if (code != CMD_OK)
        return code;
    const struct net_server *first = l->workers[0].servers[l->workers[0].servers_len - 1];
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

int listen_open(struct app *app, struct loop *const *loops, unsigned loops_len,
                struct listen **ret_listen)
{
    const struct config *c = &app->config;
    struct listen *l = arena_new_of(app->arena, struct listen);
    *l = (struct listen){ .app = app, .loops = loops, .loops_len = loops_len };
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
    l->workers = arena_array_of(app->arena, struct worker, loops_len);
    for (unsigned i = 0; i < loops_len; i++)
        l->workers[i].servers = arena_array_of(app->arena, struct net_server *, l->places_len);
    int code = CMD_OK;
    for (unsigned i = 0; i < l->places_len && code == CMD_OK; i++)
        code = open_place(l, &l->places[i]);
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

/* -- the end
 * --------------------------------------------------------------------------------------------- */

void listen_drain(struct listen *l, unsigned loop)
{
    struct worker *w = &l->workers[loop];
    for (unsigned i = 0; i < w->servers_len; i++)
        net_server_drain(w->servers[i]);
}

bool listen_is_drained(const struct listen *l, unsigned loop)
{
    const struct worker *w = &l->workers[loop];
    for (unsigned i = 0; i < w->servers_len; i++) {
        if (!net_server_is_drained(w->servers[i]))
            return false;
    }
    return true;
}

unsigned listen_connections(const struct listen *l, unsigned loop)
{
    const struct worker *w = &l->workers[loop];
    unsigned open = 0;
    for (unsigned i = 0; i < w->servers_len; i++)
        open += net_server_connections(w->servers[i]);
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
        net_server_close(w->servers[i], one_closed, w);
    one_closed(w);
}
