/*
 * The engine and the edge, and nothing else, as a program for tests/api: contracts from
 * PURLIN_CONTRACTS into the database of DATABASE_URL, served on a free port that the ready line
 * tells. Callers are whoever the headers say (caller.c). SIGTERM ends it, SIGHUP reads the
 * contracts anew.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "contract/sql.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "http/http.h"
#include "net/net.h"
#include "resource/resource.h"
#include "store/store.h"

#define LOOPS_MAX 2u

struct worker {
    struct server *server;
    struct loop *loop;
    struct net_server *net;
    struct loop_post stop;
    pthread_t thread;
};

struct server {
    struct arena *arena;
    struct problem problem;
    struct store *store;
    struct offload *offload;
    struct http_app *http;
    struct resource_engine *engine;
    struct worker workers[LOOPS_MAX];
    unsigned loops; /* PURLIN_THREADS, at most LOOPS_MAX */
    uv_signal_t signals[2];
};

static _Noreturn void die(const char *what, const struct problem *problem)
{
    if (problem)
        (void)fprintf(stderr, "server: %s: %.*s %.*s\n", what, SLICE_ARG(problem->detail),
                      SLICE_ARG(problem->cause));
    else
        (void)fprintf(stderr, "server: %s\n", what);
    exit(1);
}

static struct contract_set *load_contracts(struct arena *arena)
{
    struct diag diag;
    diag_init(&diag, arena);
    struct contract_set *set = NULL;
    if (contract_set_load(slice_cstr(getenv("PURLIN_CONTRACTS")), &diag, &set) == STATUS_OK)
        return set;
    struct buf text;
    buf_init(&text, arena, 0, 1 << 20);
    diag_print(&diag, &text);
    (void)fprintf(stderr, "%.*s\n", SLICE_ARG(buf_slice(&text)));
    return NULL;
}

static enum status find_table(void *arg, struct store_rows *rows)
{
    *(int64_t *)arg = store_rows_i64(rows, 0);
    return STATUS_OK;
}

static void make_tables(struct server *s, struct contract_set *set)
{
    int64_t tables = 0;
    enum status st = store_read_blocking(
        s->store, SLICE("SELECT count(*) FROM sqlite_schema WHERE name = 'purlin_idempotency'"),
        NULL, 0, s->arena, &s->problem, find_table, &tables);
    if (st == STATUS_OK && tables > 0)
        return;
    struct buf sql;
    buf_init(&sql, s->arena, 0, 4 << 20);
    contract_sql_schema(set, &sql);
    if (st != STATUS_OK ||
        store_script(s->store, buf_slice(&sql), s->arena, &s->problem) != STATUS_OK)
        die("schema", &s->problem);
}

static void open_rooms(struct server *s)
{
    const struct store_options store = { .url = slice_cstr(getenv("DATABASE_URL")),
                                         .create = true };
    if (store_open(&store, s->arena, &s->problem, &s->store) != STATUS_OK)
        die("store", &s->problem);
    struct contract_set *set = load_contracts(s->arena);
    if (!set)
        exit(2);
    make_tables(s, set);
    const char *key = getenv("PURLIN_ADMIN_KEY");
    const struct http_options http = { .admin_key = slice_cstr(key) };
    const char *if_match = getenv("PURLIN_API_REQUIRE_IF_MATCH");
    const char *ttl = getenv("PURLIN_API_IDEMPOTENCY_TTL");
    int64_t ttl_us = 0;
    if (ttl && !clock_parse_duration(slice_cstr(ttl), &ttl_us))
        die("ttl", NULL);
    const struct resource_options options = { .store = s->store,
                                              .secret = SLICE("a secret of the tests"),
                                              .idempotency_ttl_us = ttl_us,
                                              .require_if_match = if_match != NULL };
    if (http_app_new(&http, &s->http) != STATUS_OK ||
        resource_open(s->http, set, &options, s->arena, &s->problem, &s->engine) != STATUS_OK)
        die("engine", &s->problem);
}

static void closed(void *arg)
{
    struct worker *w = arg;
    store_detach(w->server->store, w->loop);
    loop_stop(w->loop);
}

static void stop_worker(struct loop_post *post)
{
    struct worker *w = CONTAINER_OF(post, struct worker, stop);
    net_server_close(w->net, closed, w);
}

static void on_stop(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    (void)number;
    for (unsigned i = 0; i < ARRAY_LEN(s->signals); i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
    for (unsigned i = 0; i < s->loops; i++) {
        s->workers[i].stop.fn = stop_worker;
        loop_post(s->workers[i].loop, &s->workers[i].stop);
    }
}

static void on_reload(uv_signal_t *handle, int number)
{
    struct server *s = handle->data;
    (void)number;
    struct contract_set *set = load_contracts(s->arena);
    if (!set)
        return;
    resource_reload(s->engine, set);
    (void)printf("{\"msg\":\"server.reloaded\"}\n");
    (void)fflush(stdout);
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    loop_run(w->loop);
    return NULL;
}

static void open_loops(struct server *s)
{
    struct net_server_options net = { .host = SLICE("127.0.0.1"), .reuse_port = true };
    http_app_serve(s->http, &net);
    for (unsigned i = 0; i < s->loops; i++) {
        struct worker *w = &s->workers[i];
        const char *reason = "";
        w->server = s;
        if (loop_new(&(struct loop_options){ .index = i }, &w->loop) != STATUS_OK ||
            store_attach(s->store, w->loop) != STATUS_OK ||
            net_server_open(w->loop, &net, &w->net, &reason) != STATUS_OK)
            die(reason, NULL);
        loop_offload_set(w->loop, s->offload);
        net.port = net_server_port(w->net);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    static const struct {
        int number;
        uv_signal_cb fn;
    } watched[] = { { SIGTERM, on_stop }, { SIGHUP, on_reload } };
    for (unsigned i = 0; i < ARRAY_LEN(watched); i++) {
        (void)uv_signal_init(loop_uv(s->workers[0].loop), &s->signals[i]);
        s->signals[i].data = s;
        (void)uv_signal_start(&s->signals[i], watched[i].fn, watched[i].number);
    }
    (void)printf("{\"msg\":\"server.ready\",\"port\":%u}\n", net.port);
    (void)fflush(stdout);
}

int main(void)
{
    static struct server s;
    s.arena = arena_new(NULL, 0);
    const char *threads = getenv("PURLIN_THREADS");
    s.loops = threads && strcmp(threads, "1") == 0 ? 1 : LOOPS_MAX;
    if (offload_new(1, 16, &s.offload) != STATUS_OK)
        return 1;
    open_rooms(&s);
    open_loops(&s);
    for (unsigned i = 1; i < s.loops; i++)
        (void)pthread_create(&s.workers[i].thread, NULL, run_worker, &s.workers[i]);
    loop_run(s.workers[0].loop);
    for (unsigned i = 1; i < s.loops; i++)
        (void)pthread_join(s.workers[i].thread, NULL);
    resource_close(s.engine);
    http_app_free(s.http);
    store_close(s.store);
    for (unsigned i = 0; i < s.loops; i++)
        loop_free(s.workers[i].loop);
    offload_free(s.offload);
    arena_free(s.arena);
    return 0;
}
