/*
 * tests/identity/test_token_cache.c - Verified tokens: found until they expire, are revoked or must
 * make room; and nothing that was revoked is ever found again, by whichever thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/metric.h"
#include "identity/token_cache.h"

#define NOW (1700000000 * CLOCK_SECOND)
#define LATER (NOW + CLOCK_MINUTE)

#define assert_status(got, want) assert_string_equal(status_name(got), status_name(want))

struct fixture {
    struct identity_revocations *revocations;
    struct identity_token_cache *cache;
};

static struct fixture open_with(struct identity_token_cache_options options)
{
    struct fixture f = { .revocations = identity_revocations_new() };
    assert_non_null(f.revocations);
    options.revocations = f.revocations;
    assert_status(identity_token_cache_new(&options, &f.cache), STATUS_OK);
    return f;
}

static void finish(struct fixture *f)
{
    identity_token_cache_free(f->cache);
    identity_revocations_free(f->revocations);
}

static enum identity_token_put put_at(struct fixture *f, const char *token, const char *session,
                                      const char *user, uint64_t ticket, int64_t now_us)
{
    struct identity_token_entry entry = {
        .session_id = slice_cstr(session),
        .user_id = slice_cstr(user),
        .expires_us = LATER,
        .value = slice_cstr(token),
    };
    identity_token_digest_make(f->cache, slice_cstr(token), &entry.digest);
    return identity_token_cache_put(f->cache, &entry, ticket, now_us);
}

static void put(struct fixture *f, const char *token, const char *session, const char *user)
{
    uint64_t ticket = identity_token_cache_ticket(f->cache);
    assert_int_equal(put_at(f, token, session, user, ticket, NOW), IDENTITY_TOKEN_CACHED);
}

static bool has_at(struct fixture *f, const char *token, int64_t now_us)
{
    struct identity_token_digest digest;
    struct slice value;
    identity_token_digest_make(f->cache, slice_cstr(token), &digest);
    if (!identity_token_cache_find(f->cache, &digest, now_us, &value))
        return false;
    assert_true(slice_eq(value, slice_cstr(token)));
    return true;
}

static bool has(struct fixture *f, const char *token)
{
    return has_at(f, token, NOW);
}

static struct identity_token_cache_stats stats_of(const struct fixture *f)
{
    struct identity_token_cache_stats stats;
    identity_token_cache_stats_read(f->cache, &stats);
    return stats;
}

static void test_found_until_it_expires(void **state)
{
    (void)state;
    struct fixture f = open_with((struct identity_token_cache_options){ 0 });
    assert_false(has(&f, "a"));
    put(&f, "a", "s", "u");
    assert_true(has(&f, "a"));
    assert_false(has(&f, "A"));
    assert_true(has_at(&f, "a", LATER - 1));
    assert_false(has_at(&f, "a", LATER));
    /* It is gone, not only hidden. */
    assert_false(has(&f, "a"));
    assert_int_equal(stats_of(&f).entries, 0);
    assert_int_equal(stats_of(&f).bytes, 0);
    assert_int_equal(stats_of(&f).hits, 2);
    assert_int_equal(stats_of(&f).misses, 4);
    /* What is over is not taken in. */
    assert_int_equal(put_at(&f, "a", "s", "u", 0, LATER), IDENTITY_TOKEN_UNCACHED);
    assert_int_equal(put_at(&f, "a", "s", "u", 0, LATER - 1), IDENTITY_TOKEN_CACHED);
    finish(&f);
}

static void test_put_twice_is_one(void **state)
{
    (void)state;
    struct fixture f = open_with((struct identity_token_cache_options){ 0 });
    put(&f, "a", "s", "u");
    size_t bytes = stats_of(&f).bytes;
    put(&f, "a", "t", "u");
    assert_int_equal(stats_of(&f).entries, 1);
    assert_int_equal(stats_of(&f).bytes, bytes);
    /* The later one holds. */
    identity_revoke_session(f.revocations, SLICE("s"));
    assert_true(has(&f, "a"));
    identity_revoke_session(f.revocations, SLICE("t"));
    assert_false(has(&f, "a"));
    finish(&f);
}

static void test_least_recently_used_makes_room(void **state)
{
    (void)state;
    struct fixture f = open_with((struct identity_token_cache_options){ .entries_max = 3 });
    put(&f, "a", "s", "u");
    put(&f, "b", "s", "u");
    put(&f, "c", "s", "u");
    assert_int_equal(stats_of(&f).evictions, 0);
    assert_true(has(&f, "a"));
    put(&f, "d", "s", "u");
    assert_int_equal(stats_of(&f).entries, 3);
    assert_int_equal(stats_of(&f).evictions, 1);
    assert_false(has(&f, "b"));
    assert_true(has(&f, "a") && has(&f, "c") && has(&f, "d"));
    finish(&f);
}

static void test_bytes_are_bounded(void **state)
{
    (void)state;
    struct fixture f = open_with((struct identity_token_cache_options){ 0 });
    put(&f, "12345678", "s", "u");
    size_t one = stats_of(&f).bytes;
    finish(&f);
    f = open_with((struct identity_token_cache_options){ .bytes_max = 3 * one });
    char token[16];
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(token, sizeof(token), "%08u", i);
        put(&f, token, "s", "u");
        assert_true(stats_of(&f).bytes <= 3 * one);
        assert_int_equal(stats_of(&f).entries, MIN(i + 1, 3u));
    }
    assert_int_equal(stats_of(&f).evictions, 7);
    finish(&f);
    /* One that has no room at all evicts nobody. */
    f = open_with((struct identity_token_cache_options){ .bytes_max = one });
    put(&f, "12345678", "s", "u");
    assert_int_equal(put_at(&f, "123456789", "s", "u", 0, NOW), IDENTITY_TOKEN_UNCACHED);
    assert_true(has(&f, "12345678"));
    finish(&f);
}

static void test_value_limit(void **state)
{
    (void)state;
    struct fixture f = open_with((struct identity_token_cache_options){ 0 });
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct slice text = arena_printf(arena, "%*s", (int)IDENTITY_TOKEN_VALUE_MAX + 1, "");
    struct identity_token_entry entry = { .expires_us = LATER, .value = text };
    identity_token_digest_make(f.cache, SLICE("a"), &entry.digest);
    assert_int_equal(identity_token_cache_put(f.cache, &entry, 0, NOW), IDENTITY_TOKEN_UNCACHED);
    entry.value.len--;
    assert_int_equal(identity_token_cache_put(f.cache, &entry, 0, NOW), IDENTITY_TOKEN_CACHED);
    struct slice value;
    assert_true(identity_token_cache_find(f.cache, &entry.digest, NOW, &value));
    assert_int_equal(value.len, IDENTITY_TOKEN_VALUE_MAX);
    entry.value = SLICE_NULL; /* nothing is a value */
    assert_int_equal(identity_token_cache_put(f.cache, &entry, 0, NOW), IDENTITY_TOKEN_CACHED);
    assert_true(identity_token_cache_find(f.cache, &entry.digest, NOW, &value));
    assert_int_equal(value.len, 0);
    finish(&f);
}

static void test_revoked(void **state)
{
    (void)state;
    struct fixture f = open_with((struct identity_token_cache_options){ 0 });
    put(&f, "a1", "a", "u");
    put(&f, "a2", "a", "u");
    put(&f, "b1", "b", "u");
    put(&f, "c1", "c", "v");
    put(&f, "machine", NULL, NULL);
    identity_revoke_session(f.revocations, SLICE("u")); /* no session is called so */
    identity_revoke_user(f.revocations, SLICE("a"));
    identity_revoke_session(f.revocations, SLICE_NULL);
    identity_revoke_user(f.revocations, SLICE_NULL);
    assert_true(has(&f, "a1") && has(&f, "b1") && has(&f, "c1") && has(&f, "machine"));
    identity_revoke_session(f.revocations, SLICE("a"));
    assert_false(has(&f, "a1") || has(&f, "a2"));
    assert_true(has(&f, "b1") && has(&f, "c1"));
    assert_int_equal(stats_of(&f).revoked, 2);
    identity_revoke_user(f.revocations, SLICE("u"));
    assert_false(has(&f, "b1"));
    assert_true(has(&f, "c1") && has(&f, "machine"));
    assert_int_equal(stats_of(&f).flushes, 0);
    identity_revoke_all(f.revocations);
    assert_false(has(&f, "c1") || has(&f, "machine"));
    assert_int_equal(stats_of(&f).flushes, 1);
    assert_int_equal(stats_of(&f).entries, 0);
    /* Whoever logs in again is remembered again. */
    put(&f, "a3", "a", "u");
    assert_true(has(&f, "a3"));
    finish(&f);
}

/* Verified before, put in after: it must not slip through between. */
static void test_ticket(void **state)
{
    (void)state;
    struct fixture f = open_with((struct identity_token_cache_options){ 0 });
    uint64_t ticket = identity_token_cache_ticket(f.cache);
    identity_revoke_session(f.revocations, SLICE("s"));
    assert_int_equal(put_at(&f, "a", "s", "u", ticket, NOW), IDENTITY_TOKEN_REVOKED);
    assert_false(has(&f, "a"));
    assert_int_equal(put_at(&f, "b", "t", "u", ticket, NOW), IDENTITY_TOKEN_CACHED);
    identity_revoke_user(f.revocations, SLICE("u"));
    assert_int_equal(put_at(&f, "c", "t", "u", ticket, NOW), IDENTITY_TOKEN_REVOKED);
    ticket = identity_token_cache_ticket(f.cache);
    assert_int_equal(put_at(&f, "c", "t", "u", ticket, NOW), IDENTITY_TOKEN_CACHED);
    identity_revoke_all(f.revocations);
    assert_int_equal(put_at(&f, "d", NULL, NULL, ticket, NOW), IDENTITY_TOKEN_REVOKED);
    assert_int_equal(put_at(&f, "d", "s", "u", ticket, NOW), IDENTITY_TOKEN_REVOKED);
    finish(&f);
}

static void revoke_others(struct fixture *f, unsigned n)
{
    char id[24];
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(id, sizeof(id), "other-%u", i);
        identity_revoke_session(f->revocations, slice_cstr(id));
    }
}

static void test_too_far_behind_forgets_all(void **state)
{
    (void)state;
    struct fixture f = open_with((struct identity_token_cache_options){ 0 });
    put(&f, "a", "s", "u");
    revoke_others(&f, IDENTITY_REVOCATIONS_KEPT);
    assert_true(has(&f, "a"));
    assert_int_equal(stats_of(&f).flushes, 0);
    revoke_others(&f, IDENTITY_REVOCATIONS_KEPT + 1);
    assert_false(has(&f, "a"));
    assert_int_equal(stats_of(&f).flushes, 1);
    /* And is up to date again. */
    put(&f, "a", "s", "u");
    assert_true(has(&f, "a"));
    /* A ticket that is too old proves nothing, not even against oneself. */
    uint64_t ticket = identity_token_cache_ticket(f.cache);
    revoke_others(&f, IDENTITY_REVOCATIONS_KEPT);
    assert_int_equal(put_at(&f, "b", "s", "u", ticket, NOW), IDENTITY_TOKEN_CACHED);
    revoke_others(&f, 1);
    assert_int_equal(put_at(&f, "c", "s", "u", ticket, NOW), IDENTITY_TOKEN_UNCACHED);
    finish(&f);
}

/* A process that hears nothing of the others' revocations does not answer by what it knows. */
static void test_lag(void **state)
{
    (void)state;
    struct fixture f =
        open_with((struct identity_token_cache_options){ .lag_max_us = 5 * CLOCK_SECOND });
    put(&f, "a", "s", "u");
    assert_false(has(&f, "a"));
    identity_revocations_confirm(f.revocations, NOW);
    assert_true(has_at(&f, "a", NOW + 5 * CLOCK_SECOND));
    assert_false(has_at(&f, "a", NOW + 5 * CLOCK_SECOND + 1));
    identity_revocations_confirm(f.revocations, NOW + 4 * CLOCK_SECOND);
    assert_true(has_at(&f, "a", NOW + 6 * CLOCK_SECOND));
    finish(&f);
}

static void test_metrics(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct fixture f =
        open_with((struct identity_token_cache_options){ .metrics = metrics, .entries_max = 1 });
    put(&f, "a", "s", "u");
    put(&f, "b", "s", "u");
    assert_true(has(&f, "b"));
    assert_false(has(&f, "a"));
    identity_revoke_session(f.revocations, SLICE("s"));
    assert_false(has(&f, "b"));
    put(&f, "c", "s", "u");
    identity_revoke_all(f.revocations);
    assert_false(has(&f, "c"));
    put(&f, "d", "s", "u");
    struct buf out;
    buf_init(&out, NULL, 0, (size_t)1 << 20);
    metrics_render(metrics, true, &out);
    static const char *const lines[] = {
        "purlin_token_cache_lookups_total{outcome=\"hit\"} 1\n",
        "purlin_token_cache_lookups_total{outcome=\"miss\"} 3\n",
        "purlin_token_cache_removals_total{reason=\"full\"} 1\n",
        "purlin_token_cache_removals_total{reason=\"revoked\"} 1\n",
        "purlin_token_cache_flushes_total 1\n",
        "purlin_token_cache_entries 1\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (slice_find_slice(buf_slice(&out), slice_cstr(lines[i])) == SIZE_MAX)
            fail_msg("no %s in\n%.*s", lines[i], SLICE_ARG(buf_slice(&out)));
    }
    buf_fini(&out);
    finish(&f);
    metrics_free(metrics);
}

/* -- many threads
 * --------------------------------------------------------------------------------------- */

#define SESSIONS 8u
#define READERS 3u
#define ROUNDS 4000u

/* A session's generation grows when it is revoked: first in the "database", then it is told, then
 * the test knows that it was told. */
struct world {
    struct identity_revocations *revocations;
    unsigned database[SESSIONS], told[SESSIONS]; /* atomic */
    bool done;                                   /* atomic */
};

static const char *session_name(unsigned session)
{
    static const char *const names[SESSIONS] = { "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7" };
    return names[session];
}

static void *revoker(void *arg)
{
    struct world *world = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned s = (i * 5 + i / 7) % SESSIONS;
        unsigned generation = __atomic_add_fetch(&world->database[s], 1, __ATOMIC_ACQ_REL);
        if (i % 500 == 499)
            identity_revoke_all(world->revocations);
        else
            identity_revoke_session(world->revocations, slice_cstr(session_name(s)));
        __atomic_store_n(&world->told[s], generation, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&world->done, true, __ATOMIC_RELEASE);
    return NULL;
}

struct reader {
    struct world *world;
    unsigned hits, revoked, late;
};

static void look(struct reader *reader, struct identity_token_cache *cache, unsigned session)
{
    struct world *world = reader->world;
    struct identity_token_digest digest;
    struct slice value;
    identity_token_digest_make(cache, slice_cstr(session_name(session)), &digest);
    unsigned told = __atomic_load_n(&world->told[session], __ATOMIC_ACQUIRE);
    if (identity_token_cache_find(cache, &digest, NOW, &value)) {
        unsigned generation;
        memcpy(&generation, value.data, sizeof(generation));
        reader->hits++;
        reader->late += generation < told;
        return;
    }
    uint64_t ticket = identity_token_cache_ticket(cache);
    unsigned generation = __atomic_load_n(&world->database[session], __ATOMIC_ACQUIRE);
    const struct identity_token_entry entry = {
        .digest = digest,
        .session_id = slice_cstr(session_name(session)),
        .expires_us = LATER,
        .value = slice_of((const char *)&generation, sizeof(generation)),
    };
    reader->revoked +=
        identity_token_cache_put(cache, &entry, ticket, NOW) == IDENTITY_TOKEN_REVOKED;
}

static void *read_on(void *arg)
{
    struct reader *reader = arg;
    struct identity_token_cache *cache;
    const struct identity_token_cache_options options = {
        .revocations = reader->world->revocations,
        .entries_max = SESSIONS,
    };
    assert_status(identity_token_cache_new(&options, &cache), STATUS_OK);
    for (unsigned i = 0; !__atomic_load_n(&reader->world->done, __ATOMIC_ACQUIRE); i++)
        look(reader, cache, i % SESSIONS);
    /* When all is told and looked at once more, everything is as the database has it. */
    for (unsigned i = 0; i < 2 * SESSIONS; i++)
        look(reader, cache, i % SESSIONS);
    identity_token_cache_free(cache);
    return NULL;
}

static void test_nothing_revoked_is_found(void **state)
{
    (void)state;
    struct world world = { .revocations = identity_revocations_new() };
    struct reader readers[READERS];
    pthread_t threads[READERS], writer;
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){ .world = &world };
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    assert_int_equal(pthread_create(&writer, NULL, revoker, &world), 0);
    assert_int_equal(pthread_join(writer, NULL), 0);
    unsigned hits = 0;
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(readers[i].late, 0);
        hits += readers[i].hits;
    }
    assert_true(hits > 0);
    identity_revocations_free(world.revocations);
}

/* Many who revoke at once lose none: what was told is gone, also when the ring went round. */
static void *flooder(void *arg)
{
    char id[24];
    for (unsigned i = 0; i < IDENTITY_REVOCATIONS_KEPT; i++) {
        (void)snprintf(id, sizeof(id), "flood-%u", i);
        identity_revoke_user(arg, slice_cstr(id));
    }
    return NULL;
}

static void test_flood_of_revocations(void **state)
{
    (void)state;
    struct fixture f = open_with((struct identity_token_cache_options){ 0 });
    pthread_t threads[READERS];
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flooder, f.revocations), 0);
    for (unsigned i = 0; i < 200; i++) {
        char session[16];
        (void)snprintf(session, sizeof(session), "mine-%u", i);
        uint64_t ticket = identity_token_cache_ticket(f.cache);
        (void)put_at(&f, session, session, "u", ticket, NOW); /* the flood may be too fast for it */
        identity_revoke_session(f.revocations, slice_cstr(session));
        assert_false(has(&f, session));
    }
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    put(&f, "a", "s", "u");
    assert_true(has(&f, "a"));
    finish(&f);
}

/* What is kept of late tokens never answers for another one, of whatever length. */
static void test_digests_of_tokens_that_come_again(void **state)
{
    static const size_t lengths[] = { 0, 1, 7, 8, 9, 15, 16, 17, 600, 1023, 1024, 1025, 4000 };
    static char token[4000], changed[4000];
    (void)state;
    CLEANUP(identity_revocations_free)
    struct identity_revocations *revocations = identity_revocations_new();
    CLEANUP(identity_token_cache_free) struct identity_token_cache *cache = NULL;
    const struct identity_token_cache_options options = { .revocations = revocations };
    assert_int_equal(identity_token_cache_new(&options, &cache), STATUS_OK);
    for (size_t n = 0; n < ARRAY_LEN(lengths); n++) {
        size_t len = lengths[n];
        struct identity_token_digest first, again, other;
        memset(token, 'a', sizeof(token));
        identity_token_digest_make(cache, slice_of(token, len), &first);
        identity_token_digest_make(cache, slice_of(token, len), &again);
        assert_memory_equal(first.bytes, again.bytes, sizeof(first.bytes));
        /* Each byte counts, also those far from the end by which a place is found. */
        for (size_t i = 0; i < len; i++) {
            memcpy(changed, token, len);
            changed[i] = 'b';
            identity_token_digest_make(cache, slice_of(changed, len), &other);
            assert_memory_not_equal(first.bytes, other.bytes, sizeof(first.bytes));
        }
        identity_token_digest_make(cache, slice_of(token, len), &again);
        assert_memory_equal(first.bytes, again.bytes, sizeof(first.bytes));
    }
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests_of_tokens_that_come_again),
        cmocka_unit_test(test_found_until_it_expires),
        cmocka_unit_test(test_put_twice_is_one),
        cmocka_unit_test(test_least_recently_used_makes_room),
        cmocka_unit_test(test_bytes_are_bounded),
        cmocka_unit_test(test_value_limit),
        cmocka_unit_test(test_revoked),
        cmocka_unit_test(test_ticket),
        cmocka_unit_test(test_too_far_behind_forgets_all),
        cmocka_unit_test(test_lag),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_nothing_revoked_is_found),
        cmocka_unit_test(test_flood_of_revocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
