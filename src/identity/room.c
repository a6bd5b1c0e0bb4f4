/*
 * identity/room.c - The room, opened and closed, and its upkeep: each second what other processes
 * have revoked, now and then keys and what has expired.
 */
#include "identity/room.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/macros.h"
#include "contract/contract.h"
#include "fiber/task.h"
#include "identity/caller.h"
#include "identity/challenge.h"
#include "identity/factors.h"
#include "identity/feed.h"
#include "identity/foreign.h"
#include "identity/foreign_rows.h"
#include "identity/foreign_tokens.h"
#include "identity/keys.h"
#include "identity/mail.h"
#include "identity/oauth.h"
#include "identity/one_time.h"
#include "identity/passkey_rows.h"
#include "identity/password.h"
#include "identity/people.h"
#include "identity/routes.h"
#include "identity/session.h"
#include "identity/throttle.h"
#include "identity/token_cache.h"

#define KEYS_EVERY_US (5 * CLOCK_MINUTE)
#define PURGE_EVERY_US (10 * CLOCK_MINUTE)
#define SESSIONS_KEPT_US (90 * 24 * CLOCK_HOUR) /* after they ended: the list of devices' past */

/* -- opening
 * ------------------------------------------------------------------------------------------- */

static void settle_options(struct identity *identity, const struct identity_options *options)
{
    identity->options = *options;
    struct identity_options *o = &identity->options;
    o->access_us = o->access_us ? o->access_us : 15 * CLOCK_MINUTE;
    o->session_us = o->session_us ? o->session_us : 30 * 24 * CLOCK_HOUR;
    o->refresh_grace_us = o->refresh_grace_us ? o->refresh_grace_us : 30 * CLOCK_SECOND;
    o->impersonate_us = o->impersonate_us ? o->impersonate_us : 15 * CLOCK_MINUTE;
    o->delete_after_us = o->delete_after_us ? o->delete_after_us : 14 * 24 * CLOCK_HOUR;
    bool can_send = o->mail && identity_mail_can_send(o->mail);
    identity->verifies = o->verify_email == IDENTITY_VERIFY_ON ||
                         (o->verify_email == IDENTITY_VERIFY_AUTO && !o->development && can_send);
    identity->issuer = o->issuer;
}

static void make_keys(struct identity *identity)
{
    const struct identity_options *o = &identity->options;
    const struct slice secrets[] = { o->secret, o->secret_previous };
    for (size_t i = 0; i < ARRAY_LEN(secrets) && secrets[i].len; i++) {
        identity->refresh_keys[i] = identity_pepper_of(secrets[i], SLICE("refresh tokens"));
        identity->code_keys[i] = identity_pepper_of(secrets[i], SLICE("codes"));
        identity->secrets_len = (unsigned)i + 1;
    }
    identity_seal_init(&identity->totp_seal, SLICE("authenticator apps"), o->secret,
                       o->secret_previous);
    identity->reseal_done = identity->secrets_len < 2;
}

static void look_at_people(struct identity *identity)
{
    const struct identity_people *people = &identity->options.people;
    struct contract_set *set = people->hold(people->arg);
    const struct contract *contract = contract_find(set, SLICE(IDENTITY_PEOPLE));
    identity->has_people = contract != NULL;
    if (contract && contract->soft_delete)
        identity->person = SLICE(" AND u.deleted_at IS NULL");
    people->release(people->arg, set);
}

static enum status make_caches(struct identity *identity)
{
    const struct identity_options *o = &identity->options;
    identity->owns_revocations = !o->revocations;
    identity->revocations = o->revocations ? o->revocations : identity_revocations_new();
    identity->caches = arena_array_of(identity->arena, struct identity_token_cache *, o->loops_len);
    identity->jobs = arena_array_of(identity->arena, unsigned, o->loops_len);
    if (!identity->revocations || !identity->caches || !identity->jobs)
        return STATUS_EXHAUSTED;
    for (; identity->caches_len < o->loops_len; identity->caches_len++) {
        const struct identity_token_cache_options options = { .revocations = identity->revocations,
                                                              .metrics = o->metrics,
                                                              .lag_max_us = IDENTITY_FEED_LAG_US };
        enum status st =
            identity_token_cache_new(&options, &identity->caches[identity->caches_len]);
        if (st != STATUS_OK)
            return st;
    }
    identity_revocations_confirm(identity->revocations, clock_wall_us());
    return STATUS_OK;
}

static enum status open_secrets(struct identity *identity, struct arena *arena,
                                struct problem *problem)
{
    const struct identity_options *o = &identity->options;
    const struct identity_keys_options keys = { .store = o->store,
                                                .secret = o->secret,
                                                .secret_previous = o->secret_previous,
                                                .replace_lost = o->replace_lost,
                                                .alg = o->rs256 ? IDENTITY_JOSE_RS256
                                                                : IDENTITY_JOSE_ES256,
                                                .token_us = o->access_us,
                                                .loops = o->loops,
                                                .loops_len = o->loops_len };
    const struct identity_password_options passwords = { .memory_kib = o->password_memory_kib,
                                                         .passes = o->password_passes,
                                                         .threads = o->password_threads,
                                                         .queue_max = o->password_queue };
    enum status st = identity_keys_open(&keys, clock_wall_us(), arena, problem, &identity->keys);
    if (st == STATUS_OK)
        st = identity_passwords_new(&passwords, &identity->passwords);
    if (st == STATUS_OK)
        st = identity_throttle_new(&identity->throttle);
    return st;
}

static enum status open_all(struct identity *identity, struct arena *arena, struct problem *problem)
{
    enum status st = store_script(identity->store, identity__schema, arena, problem);
    if (st == STATUS_OK)
        st = store_script(identity->store, identity__passkey_schema, arena, problem);
    if (st == STATUS_OK)
        st = store_script(identity->store, identity__oauth_schema, arena, problem);
    if (st == STATUS_OK)
        st = store_script(identity->store, identity__foreign_schema, arena, problem);
    if (st == STATUS_OK)
        st = identity__account_statements(identity);
    if (st == STATUS_OK)
        st = identity__session_statements(identity);
    if (st == STATUS_OK)
        st = identity_feed_open(identity, arena, problem);
    if (st == STATUS_OK)
        st = make_caches(identity);
    if (st == STATUS_OK)
        st = open_secrets(identity, arena, problem);
    if (st == STATUS_OK && identity->app)
        st = identity_foreign_tokens_open(identity);
    if (st == STATUS_OK && identity->app)
        st = identity_foreign_open(identity);
    if (st == STATUS_OK && identity->app)
        st = identity__caller_open(identity);
    if (st == STATUS_OK && identity->app)
        st = identity__routes_open(identity);
    if (st == STATUS_OK && identity->app && identity->options.oauth)
        st = identity__oauth_open(identity);
    return st;
}

enum status identity_open(struct http_app *app, const struct identity_options *options,
                          struct arena *arena, struct problem *problem, struct identity **ret)
{
    struct identity *identity = calloc(1, sizeof(*identity));
    *ret = NULL;
    if (!identity)
        return STATUS_EXHAUSTED;
    identity->arena = arena_new(NULL, 0);
    identity->store = options->store;
    identity->app = app;
    settle_options(identity, options);
    make_keys(identity);
    identity__metrics_open(identity);
    look_at_people(identity);
    enum status st = identity->arena ? STATUS_OK : STATUS_EXHAUSTED;
    if (st == STATUS_OK)
        st = open_all(identity, arena, problem);
    if (st != STATUS_OK) {
        identity_close(identity);
        return st;
    }
    *ret = identity;
    return STATUS_OK;
}

void identity_close(struct identity *identity)
{
    if (!identity)
        return;
    for (unsigned i = 0; i < identity->caches_len; i++)
        identity_token_cache_free(identity->caches[i]);
    if (identity->owns_revocations)
        identity_revocations_free(identity->revocations);
    identity_foreign_tokens_close(identity->foreign_tokens);
    identity_foreign_close(identity->foreign);
    identity_throttle_free(identity->throttle);
    identity_passwords_free(identity->passwords);
    if (identity->keys)
        identity_keys_close(identity->keys);
    if (identity->arena)
        arena_free(identity->arena);
    free(identity);
}

void identity_issuer_set(struct identity *identity, struct slice issuer)
{
    if (!identity->issuer.len)
        identity->issuer = issuer;
}

/* -- the upkeep
 * ---------------------------------------------------------------------------------------- */

static const char purge_sql[] = "DELETE FROM purlin_sessions"
                                " WHERE expires_at < $1 OR ended_at < $2";

static enum status write_purge(struct store_tx *tx, void *arg)
{
    int64_t now_us = *(const int64_t *)arg, old_us = now_us - SESSIONS_KEPT_US;
    const struct store_value values[] = { store_i64(old_us), store_i64(old_us) };
    enum status st = store_tx_exec(tx, IDENTITY__SQL(purge_sql), values, ARRAY_LEN(values), NULL);
    if (st == STATUS_OK)
        st = identity_one_time_purge(tx, now_us);
    if (st == STATUS_OK)
        st = identity_challenges_purge(tx, now_us);
    if (st == STATUS_OK)
        st = identity_oauth_purge(tx, now_us);
    return st == STATUS_OK ? identity_feed_purge(tx, now_us) : st;
}

/* A hundred accounts at a time, after the secret was changed. */
static enum status reseal(struct task *task, struct identity *identity)
{
    enum status st = identity_factors_reseal(task, identity, &identity->reseal_cursor);
    identity->reseal_done = st == STATUS_NOT_FOUND;
    return identity->reseal_done ? STATUS_OK : st;
}

static void upkeep(struct task *task, void *arg)
{
    struct identity *identity = arg;
    int64_t now_us = clock_wall_us();
    enum status st = identity_feed_read(task, identity, now_us);
    if (st == STATUS_OK && (now_us >= identity->keys_due_us || identity->feed_all)) {
        st = identity_keys_upkeep(task, identity->keys, now_us);
        identity->keys_due_us = now_us + KEYS_EVERY_US;
    }
    /* By the new keys only: what is verified from now on may be kept again. */
    if (st == STATUS_OK && identity->feed_all) {
        identity_revoke_all(identity->revocations);
        identity->feed_all = false;
    }
    if (st == STATUS_OK && now_us >= identity->purge_due_us) {
        identity->purge_due_us = now_us + PURGE_EVERY_US;
        st = store_write(task, identity->store, write_purge, &now_us);
        if (st == STATUS_OK)
            st = identity_accounts_erase(task, identity, now_us);
    }
    if (st == STATUS_OK && !identity->reseal_done)
        st = reseal(task, identity);
    if (st != STATUS_OK && st != STATUS_CANCELLED) {
        const struct log_field field = LOG_CSTR("status", status_name(st));
        task_log(task, LOG_LEVEL_WARN, "identity.upkeep_failed", &field, 1);
    }
    identity->upkeep_runs = false;
}

static void on_timer(struct loop_timer *timer)
{
    struct identity *identity = CONTAINER_OF(timer, struct identity, timer);
    struct loop *loop = identity->options.loops[0];
    loop_timer_start(loop, &identity->timer, IDENTITY_FEED_EVERY_US, on_timer);
    if (identity->upkeep_runs)
        return;
    identity->upkeep_runs = true;
    const struct task_options options = { .deadline_us = clock_mono_us() + 30 * CLOCK_SECOND,
                                          .name = "identity.upkeep" };
    if (task_spawn(loop, upkeep, identity, &options) != STATUS_OK)
        identity->upkeep_runs = false;
}

void identity_upkeep_start(struct identity *identity)
{
    loop_timer_start(identity->options.loops[0], &identity->timer, IDENTITY_FEED_EVERY_US,
                     on_timer);
}

void identity_upkeep_stop(struct identity *identity)
{
    loop_timer_stop(identity->options.loops[0], &identity->timer);
}

bool identity_is_idle(const struct identity *identity)
{
    unsigned index = loop_index(loop_self());
    return identity->jobs[index] == 0 && !(index == 0 && identity->upkeep_runs);
}

bool identity_has_people(const struct identity *identity)
{
    return identity->has_people;
}
