/*
 * Opening, reloading and the routes. The routes are generic: /api/v1/{resource} stands for every
 * contract, so that a reload can bring new ones. Each version of the API has its own, over the
 * catalog of that version; which versions there are stays until a restart.
 *
 * A reload must not pull the contracts from under a running request. Each loop keeps its own hold
 * on the current catalog and counts the requests that use it, without atomics; a request that finds
 * the engine's generation moved makes its loop take hold of the new catalog, and the old one is let
 * go when the loop's last request on it ends. The one shared word that a request reads is the
 * generation.
 */
#include "resource/resource_private.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/diag.h"

/* A few small things live longer than any arena. Without memory for them there is no going on. */
static void *take_zeroed(size_t size)
{
    void *p = calloc(1, size);
    if (!p)
        abort();
    return p;
}

/* -- holding a catalog
 * ------------------------------------------------------------------------------------- */

static void catalog_unref(struct resource_engine *engine, struct resource_catalog *catalog)
{
    pthread_mutex_lock(&engine->lock);
    bool last = --catalog->refs == 0;
    if (last) {
        struct resource_catalog **at = &engine->retired;
        while (*at && *at != catalog)
            at = &(*at)->next;
        if (*at)
            *at = catalog->next;
    }
    pthread_mutex_unlock(&engine->lock);
    if (last)
        resource__catalog_free(catalog);
}

static void held_release(struct resource_engine *engine, struct resource_held *held)
{
    if (held->requests > 0 || !held->retired)
        return;
    catalog_unref(engine, held->catalog);
    free(held);
}

/* Make the loop's hold that of the current catalog. Rare: at a loop's first request and after a
 * reload. */
static struct resource_lane *lane_refresh(struct resource_engine *engine,
                                          struct resource_lane *lane)
{
    if (!lane) {
        lane = take_zeroed(sizeof(*lane));
        loop_slot_set(loop_self(), engine->slot, lane);
        pthread_mutex_lock(&engine->lock);
        lane->next = engine->lanes;
        engine->lanes = lane;
        pthread_mutex_unlock(&engine->lock);
    }
    struct resource_held *held = take_zeroed(sizeof(*held));
    pthread_mutex_lock(&engine->lock);
    held->catalog = engine->catalog;
    held->catalog->refs++;
    lane->generation = atomic_load(&engine->generation);
    pthread_mutex_unlock(&engine->lock);
    struct resource_held *old = lane->held;
    lane->held = held;
    if (old) {
        old->retired = true;
        held_release(engine, old);
    }
    return lane;
}

static const struct resource_catalog *catalog_of(const struct resource_catalog *catalog,
                                                 unsigned version)
{
    while (catalog->set->version_number != version)
        catalog = catalog->older; /* reloads keep all of them */
    return catalog;
}

static void call_begin(struct resource_call *call, const struct resource_mount *mount,
                       struct task *task, struct http_request *req)
{
    struct resource_engine *engine = mount->engine;
    struct resource_lane *lane = loop_slot_get(loop_self(), engine->slot);
    if (UNLIKELY(!lane || lane->generation !=
                              atomic_load_explicit(&engine->generation, memory_order_acquire)))
        lane = lane_refresh(engine, lane);
    lane->held->requests++;
    *call = (struct resource_call){
        .engine = engine,
        .task = task,
        .req = req,
        .arena = http_arena(req),
        .problem = task_problem(task),
        .held = lane->held,
        .reading = &lane->reading,
        .catalog = catalog_of(lane->held->catalog, mount->version),
        .context = { .caller = http_caller(req), .now_us = clock_wall_us() },
    };
}

static void call_end(struct resource_call *call)
{
    call->held->requests--;
    held_release(call->engine, call->held);
}

static enum status unknown_resource(struct resource_call *call, struct slice name)
{
    const struct contract_set *set = call->catalog->set;
    struct slice *names = arena_array_of(call->arena, struct slice, MAX(set->len, 1u));
    unsigned len = 0;
    for (unsigned i = 0; names && i < set->len; i++)
        if (!set->contracts[i]->absent)
            names[len++] = set->contracts[i]->name;
    struct slice hint = names ? diag_suggest(call->arena, name, names, len) : SLICE_NULL;
    return resource__fail(call->problem, call->arena, STATUS_NOT_FOUND, 0, "resource/unknown",
                          "There is no resource `%.*s`.%s%.*s", SLICE_ARG(slice_head(name, 64)),
                          hint.len ? " " : "", SLICE_ARG(hint));
}

/* -- routes
 * ----------------------------------------------------------------------------------------------------
 */

enum label { LABEL_COLLECTION, LABEL_ITEM, LABEL_RESTORE, LABEL_EXPORT };

static struct slice label_of(const struct resource_info *info, enum label label)
{
    switch (label) {
    case LABEL_COLLECTION:
        return info->path;
    case LABEL_ITEM:
        return info->item_label;
    case LABEL_RESTORE:
        return info->restore_label;
    case LABEL_EXPORT:
        return info->export_label;
    }
    return info->path;
}

/* `limited`: what is charged before anything is read; RESOURCE_LIMITED for writes, which know what
 * they come to later. */
static enum status handle(struct task *task, struct http_request *req, void *arg, enum label label,
                          enum resource_limited limited,
                          enum status (*fn)(struct resource_call *call))
{
    struct resource_call call;
    call_begin(&call, arg, task, req);
    struct slice name = http_path_param(req, SLICE("resource"));
    call.info = resource__info_find(call.catalog, name);
    enum status st;
    if (call.info) {
        /* Labels live as long as the catalog; what is logged or counted after the request is not:
         * copied. */
        struct slice text;
        if (arena_copy(call.arena, label_of(call.info, label), &text) == STATUS_OK)
            http_route_label_set(req, text);
        st = limited == RESOURCE_LIMITED ? STATUS_OK : resource__limits_take(&call, limited);
        if (st == STATUS_OK)
            st = fn(&call);
    } else {
        st = unknown_resource(&call, name);
    }
    call_end(&call);
    return st;
}

static enum status handle_list(struct task *task, struct http_request *req, void *arg)
{
    return handle(task, req, arg, LABEL_COLLECTION, RESOURCE_LIMITED_LIST, resource__list);
}

static enum status handle_create(struct task *task, struct http_request *req, void *arg)
{
    return handle(task, req, arg, LABEL_COLLECTION, RESOURCE_LIMITED, resource__create);
}

static enum status handle_read(struct task *task, struct http_request *req, void *arg)
{
    return handle(task, req, arg, LABEL_ITEM, RESOURCE_LIMITED_READ, resource__read);
}

static enum status handle_replace(struct task *task, struct http_request *req, void *arg)
{
    return handle(task, req, arg, LABEL_ITEM, RESOURCE_LIMITED, resource__replace);
}

static enum status handle_update(struct task *task, struct http_request *req, void *arg)
{
    return handle(task, req, arg, LABEL_ITEM, RESOURCE_LIMITED, resource__update);
}

static enum status handle_delete(struct task *task, struct http_request *req, void *arg)
{
    return handle(task, req, arg, LABEL_ITEM, RESOURCE_LIMITED, resource__delete);
}

static enum status handle_restore(struct task *task, struct http_request *req, void *arg)
{
    return handle(task, req, arg, LABEL_RESTORE, RESOURCE_LIMITED, resource__restore);
}

static enum status handle_export(struct task *task, struct http_request *req, void *arg)
{
    return handle(task, req, arg, LABEL_EXPORT, RESOURCE_LIMITED_LIST, resource__export);
}

static enum status handle_batch(struct task *task, struct http_request *req, void *arg)
{
    struct resource_call call;
    call_begin(&call, arg, task, req);
    enum status st = resource__batch(&call);
    call_end(&call);
    return st;
}

/* The document describes them resource by resource, so they carry no summary here. */
static const struct {
    enum net_method method;
    const char *pattern;
    http_handler_fn handler;
    int64_t body_bytes_max, timeout_us;
} routes[] = {
    { NET_METHOD_POST, "batch", handle_batch, 0, 0 },
    { NET_METHOD_GET, "{resource}", handle_list, -1, 0 },
    { NET_METHOD_POST, "{resource}", handle_create, 0, 0 },
    { NET_METHOD_GET, "{resource}/export", handle_export, -1, 15 * CLOCK_MINUTE },
    { NET_METHOD_GET, "{resource}/{id}", handle_read, -1, 0 },
    { NET_METHOD_PUT, "{resource}/{id}", handle_replace, 0, 0 },
    { NET_METHOD_PATCH, "{resource}/{id}", handle_update, 0, 0 },
    { NET_METHOD_DELETE, "{resource}/{id}", handle_delete, -1, 0 },
    { NET_METHOD_POST, "{resource}/{id}/restore", handle_restore, -1, 0 },
};

static enum status add_routes(struct http_app *app, struct slice prefix,
                              struct resource_mount *mount, struct arena *arena,
                              struct problem *problem)
{
    for (unsigned i = 0; i < ARRAY_LEN(routes); i++) {
        const char *pattern =
            arena_cstr(arena, arena_printf(arena, "%.*s%s", SLICE_ARG(prefix), routes[i].pattern));
        const struct http_route route = {
            .method = routes[i].method,
            .pattern = pattern,
            .handler = routes[i].handler,
            .arg = mount,
            .body_bytes_max = routes[i].body_bytes_max,
            .timeout_us = routes[i].timeout_us,
            .named_params = strstr(routes[i].pattern, "{resource}") ? 1 : 0,
        };
        const char *reason = NULL;
        enum status st = http_route_add(app, &route, &reason);
        if (st != STATUS_OK)
            return problem_put(problem, arena, __FILE__, __LINE__, st, "resource/route",
                               "The route %s cannot be added: %s.", pattern,
                               reason ? reason : status_name(st));
    }
    return STATUS_OK;
}

static enum status mount_versions(struct resource_engine *engine, struct http_app *app,
                                  struct arena *arena, struct problem *problem)
{
    unsigned len = 0;
    for (const struct resource_catalog *c = engine->catalog; c; c = c->older)
        len++;
    engine->mounts = take_zeroed(len * sizeof(*engine->mounts));
    engine->mounts_len = len;
    enum status st = STATUS_OK;
    const struct resource_catalog *c = engine->catalog;
    for (unsigned i = 0; i < len && st == STATUS_OK; i++, c = c->older) {
        engine->mounts[i] =
            (struct resource_mount){ .engine = engine, .version = c->set->version_number };
        st = add_routes(app, c->prefix, &engine->mounts[i], arena, problem);
    }
    return st;
}

/* -- opening and closing
 * -------------------------------------------------------------------------------------- */

static enum status init_keys(struct resource_engine *engine, struct slice secret,
                             struct arena *arena, struct problem *problem)
{
    static const char purpose[] = "purlin cursor 1";
    if (secret.len < 16)
        return problem_put(problem, arena, __FILE__, __LINE__, STATUS_INVALID, "resource/secret",
                           "The secret has at least 16 bytes.");
    if (sodium_init() < 0)
        return STATUS_INTERNAL;
    /* Keys are at most 64 bytes; a longer secret is hashed whole. */
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof(engine->cursor_key));
    crypto_generichash_update(&state, (const uint8_t *)purpose, sizeof(purpose));
    crypto_generichash_update(&state, (const uint8_t *)secret.data, secret.len);
    crypto_generichash_final(&state, engine->cursor_key, sizeof(engine->cursor_key));
    return STATUS_OK;
}

static enum status open_parts(struct resource_engine *engine, struct http_app *app,
                              struct contract_set *set, const struct resource_options *options,
                              struct arena *arena, struct problem *problem)
{
    enum status st = init_keys(engine, options->secret, arena, problem);
    if (st == STATUS_OK)
        st = store_script(engine->store, resource__idempotency_schema, arena, problem);
    if (st == STATUS_OK)
        st = resource__catalog_new(set, app, &engine->catalog);
    if (st == STATUS_OK) {
        engine->catalog->refs = 1;
        st = mount_versions(engine, app, arena, problem);
    }
    return st;
}

enum status resource_open(struct http_app *app, struct contract_set *set,
                          const struct resource_options *options, struct arena *arena,
                          struct problem *problem, struct resource_engine **ret)
{
    struct resource_engine *engine = take_zeroed(sizeof(*engine));
    engine->app = app;
    engine->store = options->store;
    engine->limit_default = options->limit_default ? options->limit_default : 20;
    engine->limit_max = options->limit_max ? options->limit_max : 100;
    engine->limit_default = MIN(engine->limit_default, engine->limit_max);
    engine->batch_max = options->batch_max ? options->batch_max : 100;
    engine->expand_depth_max = options->expand_depth_max ? options->expand_depth_max : 3;
    engine->idempotency_ttl_us =
        options->idempotency_ttl_us ? options->idempotency_ttl_us : CLOCK_DAY;
    engine->require_if_match = options->require_if_match;
    engine->on_export = options->on_export;
    engine->on_export_arg = options->on_export_arg;
    engine->on_delete = options->on_delete;
    engine->on_delete_arg = options->on_delete_arg;
    engine->metrics = options->metrics;
    resource__idempotency_metrics(engine);
    engine->slot = loop_slot_new();
    atomic_init(&engine->generation, 1);
    pthread_mutex_init(&engine->lock, NULL);
    enum status st = open_parts(engine, app, set, options, arena, problem);
    if (st == STATUS_OK) {
        *ret = engine;
        return STATUS_OK;
    }
    resource__catalogs_drop(engine->catalog); /* the set is still the caller's */
    free(engine->mounts);
    pthread_mutex_destroy(&engine->lock);
    free(engine);
    return st;
}

void resource_close(struct resource_engine *engine)
{
    if (!engine)
        return;
    for (struct resource_lane *lane = engine->lanes, *next; lane; lane = next) {
        next = lane->next;
        if (lane->held) {
            lane->held->retired = true;
            held_release(engine, lane->held);
        }
        free(lane);
    }
    catalog_unref(engine, engine->catalog);
    pthread_mutex_destroy(&engine->lock);
    sodium_memzero(engine->cursor_key, sizeof(engine->cursor_key));
    free(engine->mounts);
    free(engine);
}

void resource_reload(struct resource_engine *engine, struct contract_set *set)
{
    struct resource_catalog *catalog;
    if (resource__catalog_new(set, engine->app, &catalog) != STATUS_OK) {
        /* Its arena has no budget: only names longer than any contract may have could fail. */
        contract_set_free(set);
        return;
    }
    catalog->refs = 1;
    pthread_mutex_lock(&engine->lock);
    struct resource_catalog *old = engine->catalog;
    engine->catalog = catalog;
    old->next = engine->retired;
    engine->retired = old;
    atomic_fetch_add(&engine->generation, 1);
    pthread_mutex_unlock(&engine->lock);
    catalog_unref(engine, old);
}

struct contract_set *resource_set_hold(struct resource_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    engine->catalog->refs++;
    struct contract_set *set = engine->catalog->set;
    pthread_mutex_unlock(&engine->lock);
    return set;
}

void resource_set_release(struct resource_engine *engine, struct contract_set *set)
{
    struct resource_catalog *found = NULL;
    pthread_mutex_lock(&engine->lock);
    if (engine->catalog->set == set)
        found = engine->catalog;
    for (struct resource_catalog *c = engine->retired; c && !found; c = c->next)
        if (c->set == set)
            found = c;
    pthread_mutex_unlock(&engine->lock);
    if (found)
        catalog_unref(engine, found);
}
