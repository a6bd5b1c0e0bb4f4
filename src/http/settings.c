/*
 * http/settings.c - What may be replaced while requests run, in generations.
 *
 * A generation never changes once it is published. Each loop has its own idea of which one holds,
 * and how many of its requests go by each: a request finds its generation and is counted without
 * touching anything of another thread. Publishing posts to every loop; a loop goes over when it
 * takes the post up, lets go of the generation before when the last of its own requests that began
 * under it is over, and the loop that lets go last frees it. So nothing on the way of a request is
 * locked, allocated or shared.
 *
 * There are HTTP_SETTINGS_MAX places for generations. A request that runs for hours keeps one; when
 * they keep all of them, no further one is made.
 */
#include "http/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "fiber/loop.h"

struct http__switch {
    struct loop_post post;
    struct http_settings *settings;
    struct loop *loop;
};

/* -- one generation
 * -------------------------------------------------------------------------------------- */

void http_settings_free(struct http_settings *s)
{
    if (!s)
        return;
    struct http_app *app = s->app;
    unsigned slot = s->slot;
    void (*release)(void *) = s->release;
    void *release_arg = s->release_arg;
    http__signature_set_free(s->signatures);
    arena_free(s->arena); /* and `s` with it */
    if (release)
        release(release_arg);
    __atomic_store_n(&app->generations[slot], NULL, __ATOMIC_RELEASE);
}

static unsigned free_slot(const struct http_app *app)
{
    unsigned slot = 0;
    while (slot < HTTP_SETTINGS_MAX && __atomic_load_n(&app->generations[slot], __ATOMIC_ACQUIRE))
        slot++;
    return slot;
}

enum status http_settings_new(struct http_app *app, const struct http_options *options,
                              struct http_settings **ret_settings)
{
    struct arena *arena = arena_new(NULL, 0);
    struct http_settings *s = arena_new_of(arena, struct http_settings);
    unsigned slot = free_slot(app);
    if (!s || slot == HTTP_SETTINGS_MAX) {
        for (unsigned i = 0; i < options->signature_keys_len; i++)
            http_signature_key_free(options->signature_keys[i]);
        arena_free(arena);
        return STATUS_EXHAUSTED;
    }
    *s = (struct http_settings){
        .app = app,
        .arena = arena,
        .slot = slot,
        .proxies = options->proxies,
        .forwarded = options->forwarded,
        .hosts = options->hosts,
        .hosts_len = options->hosts_len,
        .access_log = options->access_log,
    };
    s->switches = arena_array_of(arena, struct http__switch, HTTP__LOOPS_MAX);
    __atomic_store_n(&app->generations[slot], s, __ATOMIC_RELEASE);
    enum status st = s->switches ? http__policies_init(s, options) : STATUS_EXHAUSTED;
    enum status st_signatures = http__signature_set_init(s, options); /* takes the keys anyway */
    if (st == STATUS_OK)
        st = st_signatures;
    if (st == STATUS_OK)
        st = http__rate_set_init(s, &options->rate);
    if (st != STATUS_OK) {
        http_settings_free(s);
        return st;
    }
    *ret_settings = s;
    return STATUS_OK;
}

void http_settings_release_set(struct http_settings *settings, void (*release)(void *arg),
                               void *arg)
{
    settings->release = release;
    settings->release_arg = arg;
}

unsigned http_settings_living(const struct http_app *app)
{
    unsigned n = 0;
    for (unsigned i = 0; i < HTTP_SETTINGS_MAX; i++)
        n += __atomic_load_n(&app->generations[i], __ATOMIC_RELAXED) != NULL;
    return n;
}

/* -- going over
 * ------------------------------------------------------------------------------------------ */

/* This loop has no more to do with it. */
static void let_go(struct http_settings *s)
{
    if (__atomic_sub_fetch(&s->loops_left, 1, __ATOMIC_ACQ_REL) == 0)
        http_settings_free(s);
}

static void go_over(struct loop_post *post)
{
    struct http__switch *sw = CONTAINER_OF(post, struct http__switch, post);
    struct http_settings *next = sw->settings;
    struct http__reader *reader = &next->app->readers[loop_index(sw->loop)];
    struct http_settings *before = reader->current;
    reader->current = next;
    if (next->on_switch)
        next->on_switch(sw->loop, next->on_switch_arg);
    if (reader->uses[before->slot] == 0)
        let_go(before);
}

static void take_effect(struct http_settings *s)
{
    s->app->latest = s;
    __atomic_store_n(&s->app->csrf_ttl_us, http__csrf_ttl_of(&s->policies[0].csrf),
                     __ATOMIC_RELAXED);
}

void http_settings_publish(struct http_settings *next, struct loop *const *loops,
                           unsigned loops_len, http_switch_fn on_switch, void *arg)
{
    struct http_settings *before = next->app->latest;
    assert(loops_len > 0 && loops_len <= HTTP__LOOPS_MAX);
    next->on_switch = on_switch;
    next->on_switch_arg = arg;
    next->loops_left = loops_len;
    if (before->loops_left == 0) /* the first ones: nobody has let go of them yet */
        before->loops_left = loops_len;
    take_effect(next);
    /* The last post may free it all while we are here: nothing of it is looked at after that. */
    struct http__switch *switches = next->switches;
    for (unsigned i = 0; i < loops_len; i++)
        switches[i] =
            (struct http__switch){ .post.fn = go_over, .settings = next, .loop = loops[i] };
    for (unsigned i = 0; i < loops_len; i++)
        loop_post(loops[i], &switches[i].post);
}

/* -- requests
 * --------------------------------------------------------------------------------------------- */

void http__settings_enter(struct http_request *req)
{
    struct http__reader *reader = &req->app->readers[loop_index(net_loop(req->x))];
    req->settings = reader->current;
    reader->uses[req->settings->slot]++;
}

void http__settings_leave(struct http_request *req)
{
    struct http__reader *reader = &req->app->readers[loop_index(net_loop(req->x))];
    struct http_settings *s = req->settings;
    assert(reader->uses[s->slot] > 0);
    if (--reader->uses[s->slot] == 0 && s != reader->current)
        let_go(s);
}

/* -- of an app
 * -------------------------------------------------------------------------------------------- */

enum status http__settings_init(struct http_app *app, const struct http_options *options)
{
    struct http_settings *first;
    app->readers = aligned_alloc(64, HTTP__LOOPS_MAX * sizeof(*app->readers));
    enum status st = http_settings_new(app, options, &first);
    if (st != STATUS_OK)
        return st;
    if (!app->readers)
        return STATUS_EXHAUSTED; /* the app is freed, and these with it */
    memset(app->readers, 0, HTTP__LOOPS_MAX * sizeof(*app->readers));
    for (unsigned i = 0; i < HTTP__LOOPS_MAX; i++)
        app->readers[i].current = first;
    take_effect(first);
    return STATUS_OK;
}

void http__settings_fini(struct http_app *app)
{
    for (unsigned i = 0; i < HTTP_SETTINGS_MAX; i++)
        http_settings_free(app->generations[i]);
    free(app->readers);
}
