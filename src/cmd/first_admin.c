#include "cmd/first_admin.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/problem.h"
#include "cmd/app.h"
#include "contract/contract.h"
#include "fiber/loop.h"
#include "fiber/task.h"
#include "identity/identity.h"
#include "resource/resource.h"

#define EMAIL "admin@example.com"

struct making {
    struct app *app;
    struct loop *loop;
    struct loop_post post;
};

/* What the contract asks of a person, as far as a name will do. */
static const json_t *make_profile(struct arena *arena, const struct contract *contract)
{
    struct arena *before = json_arena_set(arena);
    json_t *profile = json_object();
    for (unsigned i = 0; profile && i < contract->fields_len; i++) {
        const struct contract_field *field = contract->fields[i];
        bool takes_name = field->type == CONTRACT_STRING || field->type == CONTRACT_TEXT;
        if (!field->required || !takes_name)
            continue;
        char *name = arena_cstr(arena, field->name);
        if (!name || json_object_set_new(profile, name, json_string("Administrator")) != 0)
            profile = NULL;
    }
    (void)json_arena_set(before);
    return profile;
}

static void tell(struct slice password)
{
    (void)fprintf(stderr,
                  "\n  The first administrator, told only now:\n"
                  "      e-mail    " EMAIL "\n"
                  "      password  %.*s\n"
                  "  Another password: purlin user password " EMAIL "\n\n",
                  SLICE_ARG(password));
}

static enum status make(struct task *task, struct app *app)
{
    static const struct slice roles[] = { SLICE_INIT("admin") };
    char password[IDENTITY_PASSWORD_MADE_LEN];
    struct uuid id;
    struct contract_set *set = resource_set_hold(app->engine);
    const struct contract *people = contract_find(set, SLICE(IDENTITY_PEOPLE));
    identity_password_make(password);
    struct identity_user_new admin = { .email = SLICE(EMAIL),
                                       .password = slice_of(password, sizeof(password)),
                                       .roles = roles,
                                       .roles_len = ARRAY_LEN(roles),
                                       .is_verified = true };
    if (people)
        admin.profile = make_profile(task_arena(task), people);
    enum status st =
        admin.profile ? identity_user_create(task, app->identity, &admin, &id) : STATUS_UNAVAILABLE;
    resource_set_release(app->engine, set);
    if (st == STATUS_OK)
        tell(admin.password);
    return st;
}

static void run(struct task *task, void *arg)
{
    struct making *m = arg;
    bool has_one = false;
    enum status st = identity_has_role(task, m->app->identity, SLICE("admin"), &has_one);
    if (st == STATUS_OK && !has_one)
        st = make(task, m->app);
    if (st != STATUS_OK)
        log_info("server.no_admin", LOG_TEXT("detail", task_problem(task)->detail),
                 LOG_CSTR("hint", "purlin user create EMAIL --role admin makes an administrator"));
    m->app->first_admin_runs = false;
    free(m);
}

static void on_start(struct loop_post *post)
{
    struct making *m = CONTAINER_OF(post, struct making, post);
    const struct task_options options = { .deadline_us = clock_mono_us() + 30 * CLOCK_SECOND,
                                          .name = "first_admin" };
    if (task_spawn(m->loop, run, m, &options) == STATUS_OK)
        return;
    m->app->first_admin_runs = false;
    free(m);
}

void first_admin_start(struct app *app, struct loop *loop)
{
    struct making *m = calloc(1, sizeof(*m));
    if (!m)
        return;
    *m = (struct making){ .app = app, .loop = loop, .post = { .fn = on_start } };
    app->first_admin_runs = true;
    loop_post(loop, &m->post);
}
