/*
 * tests/identity/test_api_keys.c - Keys from the day they are made to the day they end: who is let
 * in, who is not and why, and what other processes and the audit log learn of it.
 */
#include "audit_log.h"
#include "identity/api_keys.h"
#include "identity/token_cache.h"

#define NOW (1700000000 * CLOCK_SECOND)

struct fixture {
    struct chain_fixture log;
    struct identity_revocations *revocations;
    struct identity_api_keys *keys;
};

static struct identity_api_keys *open_keys(struct fixture *f)
{
    struct identity_api_keys *keys = NULL;
    const struct identity_api_keys_options options = { .store = f->log.d.store,
                                                       .audit = f->log.audit,
                                                       .revocations = f->revocations };
    assert_status(identity_api_keys_open(&options, f->log.d.arena, &f->log.d.problem, &keys),
                  STATUS_OK);
    return keys;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    database_init(&f->log.d);
    chain_open(&f->log, SECRET, SLICE_NULL);
    f->revocations = identity_revocations_new();
    assert_non_null(f->revocations);
    f->keys = open_keys(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    identity_api_keys_close(f->keys);
    identity_revocations_free(f->revocations);
    chain_close(&f->log);
    database_fini(&f->log.d);
    free(f);
    return 0;
}

/* -- what tests do, each in a task
 * --------------------------------------------------------------------------- */

static const struct slice reader_role[] = { SLICE_INIT("reader") };
static const struct identity_audit_event operator_ada = { .actor = IDENTITY_AUDIT_OPERATOR,
                                                          .actor_id = SLICE_INIT("ada") };

struct call {
    struct fixture *f;
    struct identity_api_keys *keys; /* NULL: the fixture's */
    struct identity_api_key_order order;
    struct slice text;
    struct address address;
    bool has_address;
    int64_t now_us, grace_us;
    struct uuid id;

    enum status st;
    unsigned fields;
    struct identity_secret secret;
    enum identity_api_key_refusal refusal;
    struct identity_api_key_found found;
    char roles[256], scopes[256];
    char problem_type[64];
};

static struct identity_api_keys *keys_of(const struct call *c)
{
    return c->keys ? c->keys : c->f->keys;
}

static void keep_problem(struct task *task, struct call *c)
{
    const struct problem *problem = task_problem(task);
    c->fields = (unsigned)problem->fields_len;
    (void)snprintf(c->problem_type, sizeof(c->problem_type), "%s",
                   problem->type ? problem->type : "");
}

static void create_task(struct task *task, void *arg)
{
    struct call *c = arg;
    c->st = identity_api_key_create(task, keys_of(c), &c->order, &operator_ada, c->now_us, &c->id,
                                    &c->secret);
    keep_problem(task, c);
}

static void rotate_task(struct task *task, void *arg)
{
    struct call *c = arg;
    c->st = identity_api_key_rotate(task, keys_of(c), &c->id, c->grace_us, &operator_ada, c->now_us,
                                    &c->secret);
    keep_problem(task, c);
}

static void revoke_task(struct task *task, void *arg)
{
    struct call *c = arg;
    c->st = identity_api_key_revoke(task, keys_of(c), &c->id, &operator_ada, c->now_us);
    keep_problem(task, c);
}

static void keep_words(const struct slice *words, unsigned len, char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (unsigned i = 0; i < len; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%.*s", i ? " " : "", SLICE_ARG(words[i]));
}

static void find_task(struct task *task, void *arg)
{
    struct call *c = arg;
    const struct identity_api_key_asker asker = { .address = c->has_address ? &c->address : NULL,
                                                  .agent = SLICE("tests"),
                                                  .request_id = SLICE("req-7") };
    c->st =
        identity_api_key_find(task, keys_of(c), c->text, &asker, c->now_us, &c->found, &c->refusal);
    keep_problem(task, c);
    if (c->st == STATUS_OK) {
        keep_words(c->found.roles, c->found.roles_len, c->roles, sizeof(c->roles));
        keep_words(c->found.scopes, c->found.scopes_len, c->scopes, sizeof(c->scopes));
    }
}

static struct call created(struct fixture *f, const struct identity_api_key_order *order)
{
    struct call c = { .f = f, .order = *order, .now_us = NOW };
    database_run(&f->log.d, create_task, &c);
    return c;
}

static struct call service_key(struct fixture *f)
{
    struct call c =
        created(f, &(struct identity_api_key_order){
                       .name = SLICE("nightly import"), .roles = reader_role, .roles_len = 1 });
    assert_status(c.st, STATUS_OK);
    return c;
}

static struct call found_from(struct fixture *f, struct slice text, int64_t now_us,
                              const char *address)
{
    struct call c = { .f = f, .text = text, .now_us = now_us };
    c.has_address = address && address_parse(slice_cstr(address), &c.address);
    assert_true(!address || c.has_address);
    database_run(&f->log.d, find_task, &c);
    return c;
}

static void assert_refused(struct fixture *f, struct slice text, int64_t now_us,
                           const char *address, enum identity_api_key_refusal refusal)
{
    struct call c = found_from(f, text, now_us, address);
    assert_string_equal(identity_api_key_refusal_name(c.refusal),
                        identity_api_key_refusal_name(refusal));
    assert_status(c.st, refusal == IDENTITY_API_KEY_ACCEPTED ? STATUS_OK : STATUS_UNAUTHENTICATED);
    /* The client is told one thing, whatever the reason. */
    assert_string_equal(c.problem_type,
                        refusal == IDENTITY_API_KEY_ACCEPTED ? "" : "identity/api-key");
}

static struct call rotated(struct fixture *f, const struct uuid *id, int64_t grace_us,
                           int64_t now_us)
{
    struct call c = { .f = f, .id = *id, .grace_us = grace_us, .now_us = now_us };
    database_run(&f->log.d, rotate_task, &c);
    return c;
}

static struct call revoked(struct fixture *f, struct identity_api_keys *keys, const struct uuid *id)
{
    struct call c = { .f = f, .keys = keys, .id = *id, .now_us = NOW };
    database_run(&f->log.d, revoke_task, &c);
    return c;
}

static struct slice secret_of(const struct call *c)
{
    return identity_secret_text(&c->secret);
}

/* -- who is let in
 * -------------------------------------------------------------------------------------------- */

static void test_a_service_has_its_roles_and_scopes(void **state)
{
    struct fixture *f = *state;
    const struct slice roles[] = { SLICE("reader"), SLICE("importer") },
                       scopes[] = { SLICE("posts:read"), SLICE("posts:write") };
    struct call c = created(f, &(struct identity_api_key_order){ .name = SLICE("import"),
                                                                 .roles = roles,
                                                                 .roles_len = 2,
                                                                 .scopes = scopes,
                                                                 .scopes_len = 2 });
    assert_status(c.st, STATUS_OK);
    assert_true(identity_api_key_is_ours(secret_of(&c)));
    struct call found = found_from(f, secret_of(&c), NOW, "192.0.2.1");
    assert_status(found.st, STATUS_OK);
    assert_memory_equal(&found.found.id, &c.id, sizeof(c.id));
    assert_false(found.found.has_user);
    assert_string_equal(found.roles, "reader importer");
    assert_string_equal(found.scopes, "posts:read posts:write");
    assert_int_equal(found.found.expires_us, 0);
    assert_int_not_equal(found.found.number, 0);
    assert_refused(f, secret_of(&c), NOW, NULL, IDENTITY_API_KEY_ACCEPTED);
}

static void test_a_users_key_names_the_user(void **state)
{
    struct fixture *f = *state;
    struct uuid user = uuid_v7();
    struct call c =
        created(f, &(struct identity_api_key_order){
                       .name = SLICE("my script"), .user = &user, .expires_us = NOW + CLOCK_HOUR });
    assert_status(c.st, STATUS_OK);
    struct call found = found_from(f, secret_of(&c), NOW, "2001:db8::1");
    assert_status(found.st, STATUS_OK);
    assert_true(found.found.has_user);
    assert_memory_equal(&found.found.user, &user, sizeof(user));
    assert_int_equal(found.found.roles_len, 0);
    assert_int_equal(found.found.scopes_len, 0);
    assert_int_equal(found.found.expires_us, NOW + CLOCK_HOUR);
}

/* -- and who is not
 * ------------------------------------------------------------------------------------------- */

static void test_made_up_keys_do_not_reach_the_database(void **state)
{
    struct fixture *f = *state;
    struct call c = service_key(f);
    char text[IDENTITY_SECRET_TEXT_MAX];
    static const char *const made_up[] = { "", "x", "purlin_key_", "purlin_key_abc",
                                           "Bearer purlin_key" };
    for (size_t i = 0; i < ARRAY_LEN(made_up); i++)
        assert_refused(f, slice_cstr(made_up[i]), NOW, "192.0.2.1", IDENTITY_API_KEY_MALFORMED);
    memcpy(text, c.secret.text, c.secret.len);
    text[20] = text[20] == 'a' ? 'b' : 'a'; /* the checksum is of another one */
    assert_refused(f, slice_of(text, c.secret.len), NOW, "192.0.2.1", IDENTITY_API_KEY_MALFORMED);
    assert_refused(f, slice_head(secret_of(&c), c.secret.len - 1), NOW, "192.0.2.1",
                   IDENTITY_API_KEY_MALFORMED);
    /* A secret of another kind is no key, however well it is made. */
    struct identity_secret other;
    assert_status(identity_secret_make(SLICE("purlin_refresh"), &other), STATUS_OK);
    assert_refused(f, identity_secret_text(&other), NOW, "192.0.2.1", IDENTITY_API_KEY_MALFORMED);
    assert_int_equal(identity_audit_noted(f->log.audit), 0);
}

static void test_unknown_keys_are_noted(void **state)
{
    struct fixture *f = *state;
    struct identity_secret other;
    assert_status(identity_secret_make(SLICE(IDENTITY_API_KEY_PREFIX), &other), STATUS_OK);
    assert_refused(f, identity_secret_text(&other), NOW, "192.0.2.1", IDENTITY_API_KEY_UNKNOWN);
    assert_int_equal(identity_audit_noted(f->log.audit), 1);
}

static void test_keys_end_at_their_hour(void **state)
{
    struct fixture *f = *state;
    struct call c = created(f, &(struct identity_api_key_order){ .name = SLICE("short"),
                                                                 .roles = reader_role,
                                                                 .roles_len = 1,
                                                                 .expires_us = NOW + CLOCK_HOUR });
    assert_refused(f, secret_of(&c), NOW + CLOCK_HOUR - 1, "192.0.2.1", IDENTITY_API_KEY_ACCEPTED);
    assert_refused(f, secret_of(&c), NOW + CLOCK_HOUR, "192.0.2.1", IDENTITY_API_KEY_EXPIRED);
    assert_status(rotated(f, &c.id, 0, NOW + CLOCK_HOUR).st, STATUS_CONFLICT);
}

static void test_addresses_bind(void **state)
{
    struct fixture *f = *state;
    const struct slice addresses[] = { SLICE("192.0.2.0/24"), SLICE("2001:db8:1::/48") };
    struct call c = created(f, &(struct identity_api_key_order){ .name = SLICE("bound"),
                                                                 .roles = reader_role,
                                                                 .roles_len = 1,
                                                                 .addresses = addresses,
                                                                 .addresses_len = 2 });
    assert_status(c.st, STATUS_OK);
    assert_refused(f, secret_of(&c), NOW, "192.0.2.255", IDENTITY_API_KEY_ACCEPTED);
    assert_refused(f, secret_of(&c), NOW, "2001:db8:1::7", IDENTITY_API_KEY_ACCEPTED);
    assert_refused(f, secret_of(&c), NOW, "192.0.3.1", IDENTITY_API_KEY_ADDRESS);
    assert_refused(f, secret_of(&c), NOW, "2001:db8:2::7", IDENTITY_API_KEY_ADDRESS);
    assert_refused(f, secret_of(&c), NOW, NULL, IDENTITY_API_KEY_ADDRESS);
    /* As a cache asks again. */
    struct address address;
    assert_true(address_parse(SLICE("192.0.2.9"), &address));
    assert_true(identity_api_key_allows(SLICE("10.0.0.0/8,192.0.2.0/24"), &address));
    assert_false(identity_api_key_allows(SLICE("10.0.0.0/8"), &address));
    assert_true(identity_api_key_allows(SLICE(""), &address));
    assert_true(identity_api_key_allows(SLICE("10.0.0.0/8,unix"), NULL));
    assert_false(identity_api_key_allows(SLICE("10.0.0.0/8"), NULL));
    assert_false(identity_api_key_allows(SLICE("nonsense"), &address));
}

/* -- a new secret
 * --------------------------------------------------------------------------------------------- */

static void test_the_old_secret_holds_for_its_grace(void **state)
{
    struct fixture *f = *state;
    struct call first = service_key(f);
    struct call second = rotated(f, &first.id, CLOCK_HOUR, NOW);
    assert_status(second.st, STATUS_OK);
    assert_refused(f, secret_of(&second), NOW, "192.0.2.1", IDENTITY_API_KEY_ACCEPTED);
    struct call found = found_from(f, secret_of(&first), NOW + CLOCK_HOUR - 1, "192.0.2.1");
    assert_status(found.st, STATUS_OK);
    /* A cache does not answer for it any longer than that. */
    assert_int_equal(found.found.expires_us, NOW + CLOCK_HOUR);
    assert_int_equal(found_from(f, secret_of(&second), NOW, "192.0.2.1").found.expires_us, 0);
    assert_refused(f, secret_of(&first), NOW + CLOCK_HOUR, "192.0.2.1", IDENTITY_API_KEY_ROTATED);
    assert_refused(f, secret_of(&second), NOW + CLOCK_HOUR, "192.0.2.1", IDENTITY_API_KEY_ACCEPTED);
}

static void test_a_second_rotation_ends_the_first_secret(void **state)
{
    struct fixture *f = *state;
    struct call first = service_key(f);
    struct call second = rotated(f, &first.id, CLOCK_HOUR, NOW);
    struct call third = rotated(f, &first.id, CLOCK_HOUR, NOW);
    assert_status(third.st, STATUS_OK);
    assert_refused(f, secret_of(&first), NOW, "192.0.2.1", IDENTITY_API_KEY_UNKNOWN);
    assert_refused(f, secret_of(&second), NOW, "192.0.2.1", IDENTITY_API_KEY_ACCEPTED);
    assert_refused(f, secret_of(&third), NOW, "192.0.2.1", IDENTITY_API_KEY_ACCEPTED);
}

static void test_without_grace_the_old_secret_ends_now(void **state)
{
    struct fixture *f = *state;
    struct call first = service_key(f);
    assert_status(rotated(f, &first.id, 0, NOW).st, STATUS_OK);
    assert_refused(f, secret_of(&first), NOW, "192.0.2.1", IDENTITY_API_KEY_ROTATED);
    assert_status(rotated(f, &first.id, IDENTITY_API_KEY_GRACE_MAX_US, NOW).st, STATUS_OK);
    assert_status(rotated(f, &first.id, IDENTITY_API_KEY_GRACE_MAX_US + 1, NOW).st, STATUS_INVALID);
    assert_status(rotated(f, &first.id, -1, NOW).st, STATUS_INVALID);
    struct uuid nobody = uuid_v7();
    assert_status(rotated(f, &nobody, 0, NOW).st, STATUS_NOT_FOUND);
}

/* -- the end
 * --------------------------------------------------------------------------------------------------
 */

static void test_revoked_keys_stay_so(void **state)
{
    struct fixture *f = *state;
    struct call first = service_key(f);
    struct call second = rotated(f, &first.id, CLOCK_HOUR, NOW);
    assert_status(revoked(f, NULL, &first.id).st, STATUS_OK);
    assert_refused(f, secret_of(&second), NOW, "192.0.2.1", IDENTITY_API_KEY_REVOKED);
    /* The secret before it is forgotten with its grace. */
    assert_refused(f, secret_of(&first), NOW, "192.0.2.1", IDENTITY_API_KEY_UNKNOWN);
    assert_status(rotated(f, &first.id, 0, NOW).st, STATUS_CONFLICT);
    assert_status(revoked(f, NULL, &first.id).st, STATUS_OK); /* once more is no mistake */
    assert_int_equal(database_number(&f->log.d, "SELECT COUNT(*) FROM purlin_audit"
                                                " WHERE act = 'key.revoked'"),
                     1);
    struct uuid nobody = uuid_v7();
    struct call none = revoked(f, NULL, &nobody);
    assert_status(none.st, STATUS_NOT_FOUND);
    assert_string_equal(none.problem_type, "identity/api-key-none");
}

struct user_end {
    struct fixture *f;
    struct uuid user;
    int64_t len;
};

static enum status write_user_end(struct store_tx *tx, void *arg)
{
    struct user_end *end = arg;
    return identity_api_keys_revoke_user_put(tx, end->f->keys, &end->user, &operator_ada, NOW,
                                             &end->len);
}

static void user_end_task(struct task *task, void *arg)
{
    struct user_end *end = arg;
    assert_status(store_write(task, end->f->log.d.store, write_user_end, end), STATUS_OK);
}

static void test_a_users_keys_end_with_the_account(void **state)
{
    struct fixture *f = *state;
    struct uuid user = uuid_v7(), other = uuid_v7();
    struct identity_api_key_order order = { .name = SLICE("a"), .user = &user };
    struct call first = created(f, &order), second = created(f, &order);
    order.user = &other;
    struct call others = created(f, &order);
    struct user_end end = { .f = f, .user = user };
    database_run(&f->log.d, user_end_task, &end);
    assert_int_equal(end.len, 2);
    assert_refused(f, secret_of(&first), NOW, NULL, IDENTITY_API_KEY_REVOKED);
    assert_refused(f, secret_of(&second), NOW, NULL, IDENTITY_API_KEY_REVOKED);
    assert_refused(f, secret_of(&others), NOW, NULL, IDENTITY_API_KEY_ACCEPTED);
    database_run(&f->log.d, user_end_task, &end);
    assert_int_equal(end.len, 0);
}

/* -- what caches learn
 * -------------------------------------------------------------------------------------- */

static bool is_cached(struct identity_token_cache *cache, const struct identity_token_digest *d)
{
    struct slice value;
    return identity_token_cache_find(cache, d, NOW, &value);
}

static void keep(struct identity_token_cache *cache, const struct identity_token_digest *digest,
                 const struct uuid *id)
{
    char text[UUID_TEXT_LEN];
    uuid_format(id, text);
    const struct identity_token_entry entry = { .digest = *digest,
                                                .session_id = slice_of(text, sizeof(text)),
                                                .expires_us = NOW + CLOCK_HOUR,
                                                .value = SLICE("kept") };
    assert_int_equal(
        identity_token_cache_put(cache, &entry, identity_token_cache_ticket(cache), NOW),
        IDENTITY_TOKEN_CACHED);
    assert_true(is_cached(cache, digest));
}

static void upkeep_task(struct task *task, void *arg)
{
    assert_status(identity_api_keys_upkeep(task, arg), STATUS_OK);
}

static void test_changes_reach_the_caches(void **state)
{
    struct fixture *f = *state;
    struct call c = service_key(f);
    struct identity_token_cache *cache = NULL;
    struct identity_token_digest digest;
    assert_status(
        identity_token_cache_new(
            &(struct identity_token_cache_options){ .revocations = f->revocations }, &cache),
        STATUS_OK);
    identity_token_digest_make(cache, secret_of(&c), &digest);
    database_run(&f->log.d, upkeep_task, f->keys); /* that it was made */

    keep(cache, &digest, &c.id);
    assert_status(rotated(f, &c.id, 0, NOW).st, STATUS_OK);
    assert_false(is_cached(cache, &digest));
    database_run(&f->log.d, upkeep_task, f->keys);

    /* Nothing has changed: nothing is forgotten. */
    keep(cache, &digest, &c.id);
    database_run(&f->log.d, upkeep_task, f->keys);
    assert_true(is_cached(cache, &digest));

    /* Another process, with caches of its own. */
    struct fixture other = { .log = f->log };
    struct identity_api_keys *keys = open_keys(&other);
    assert_status(revoked(f, keys, &c.id).st, STATUS_OK);
    assert_true(is_cached(cache, &digest));
    database_run(&f->log.d, upkeep_task, f->keys);
    assert_false(is_cached(cache, &digest));
    identity_api_keys_close(keys);
    identity_token_cache_free(cache);
}

/* More than one look takes, all of one change. */
static void test_no_change_is_overlooked(void **state)
{
    struct fixture *f = *state;
    enum { KEYS = 600 };
    struct call c = service_key(f);
    char sql[512];
    database_run(&f->log.d, upkeep_task, f->keys);
    (void)snprintf(sql, sizeof(sql),
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                   " INSERT INTO purlin_api_keys (id, name, roles, scopes, addresses, shown,"
                   " digest, created_at, change)"
                   " SELECT printf('00000000-0000-7000-8000-%%012d', i), 'n', 'r', '', '', '',"
                   " randomblob(32), 1, 7 FROM n",
                   KEYS);
    database_sqlite(&f->log.d, sql);
    struct identity_token_cache *cache = NULL;
    assert_status(
        identity_token_cache_new(
            &(struct identity_token_cache_options){ .revocations = f->revocations }, &cache),
        STATUS_OK);
    struct identity_token_digest digests[KEYS];
    for (int i = 0; i < KEYS; i++) {
        char text[UUID_TEXT_LEN + 1];
        struct uuid id;
        (void)snprintf(text, sizeof(text), "00000000-0000-7000-8000-%012d", i + 1);
        assert_true(uuid_parse(slice_of(text, UUID_TEXT_LEN), &id));
        identity_token_digest_make(cache, slice_cstr(text), &digests[i]);
        keep(cache, &digests[i], &id);
    }
    struct identity_token_digest unchanged;
    identity_token_digest_make(cache, secret_of(&c), &unchanged);
    keep(cache, &unchanged, &c.id);
    database_run(&f->log.d, upkeep_task, f->keys);
    for (int i = 0; i < KEYS; i++)
        assert_false(is_cached(cache, &digests[i]));
    assert_true(is_cached(cache, &unchanged));
    identity_token_cache_free(cache);
}

/* -- when it was used
 * ----------------------------------------------------------------------------------------- */

struct getting {
    struct fixture *f;
    struct uuid id;
    int64_t last_used_us;
    char address[ADDRESS_TEXT_MAX];
};

static void get_task(struct task *task, void *arg)
{
    struct getting *g = arg;
    struct identity_api_key_info info;
    assert_status(identity_api_key_get(task, g->f->keys, &g->id, &info), STATUS_OK);
    g->last_used_us = info.last_used_us;
    (void)snprintf(g->address, sizeof(g->address), "%.*s", SLICE_ARG(info.last_used_address));
}

static void assert_used(struct fixture *f, const struct uuid *id, int64_t at_us,
                        const char *address)
{
    struct getting g = { .f = f, .id = *id };
    database_run(&f->log.d, upkeep_task, f->keys);
    database_run(&f->log.d, get_task, &g);
    assert_int_equal(g.last_used_us, at_us);
    assert_string_equal(g.address, address);
}

static void test_use_is_written_once_a_minute(void **state)
{
    struct fixture *f = *state;
    struct call c = service_key(f);
    struct address address;
    assert_true(address_parse(SLICE("192.0.2.1"), &address));
    int64_t minute = NOW - NOW % CLOCK_MINUTE;
    assert_used(f, &c.id, 0, "");
    identity_api_key_used(f->keys, &c.id, &address, minute);
    identity_api_key_used(f->keys, &c.id, NULL, minute + CLOCK_MINUTE - 1);
    assert_used(f, &c.id, minute, "192.0.2.1");
    identity_api_key_used(f->keys, &c.id, NULL, minute + CLOCK_MINUTE);
    assert_used(f, &c.id, minute + CLOCK_MINUTE, "unix");
    /* A clock that was set back does not make it younger. */
    identity_api_key_used(f->keys, &c.id, &address, minute - CLOCK_HOUR);
    assert_used(f, &c.id, minute + CLOCK_MINUTE, "unix");
}

/* More than are kept at once: what is beyond is not noted, and nothing else suffers. */
static void test_uses_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct call c = service_key(f);
    identity_api_key_used(f->keys, &c.id, NULL, NOW);
    for (unsigned i = 0; i < 5000; i++) {
        struct uuid id = uuid_v7();
        identity_api_key_used(f->keys, &id, NULL, NOW);
    }
    struct call late = service_key(f);
    identity_api_key_used(f->keys, &late.id, NULL, NOW);
    assert_used(f, &c.id, NOW, "unix");
    assert_used(f, &late.id, 0, "");
    identity_api_key_used(f->keys, &late.id, NULL, NOW + CLOCK_MINUTE);
    assert_used(f, &late.id, NOW + CLOCK_MINUTE, "unix");
}

/* -- what may be asked for
 * ------------------------------------------------------------------------------------ */

static void test_orders_are_checked(void **state)
{
    struct fixture *f = *state;
    struct uuid user = uuid_v7();
    char long_name[IDENTITY_API_KEY_NAME_MAX + 1], long_word[IDENTITY_API_KEY_WORD_MAX + 1];
    memset(long_name, 'n', sizeof(long_name));
    memset(long_word, 'w', sizeof(long_word));
    struct slice many[IDENTITY_API_KEY_SCOPES_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = SLICE("s");
    const struct slice spaced[] = { SLICE("a b") }, quoted[] = { SLICE("a\"b") },
                       comma[] = { SLICE("a,b") }, empty[] = { SLICE("") },
                       too_long[] = { slice_of(long_word, sizeof(long_word)) },
                       just[] = { slice_of(long_word, sizeof(long_word) - 1) },
                       wrong_address[] = { SLICE("192.0.2.1/24") }, no_address[] = { SLICE("x") };
    const struct {
        const char *name;
        struct identity_api_key_order order;
        unsigned fields;
    } cases[] = {
        { "no name", { .roles = reader_role, .roles_len = 1 }, 1 },
        { "long name",
          { .name = slice_of(long_name, sizeof(long_name)), .roles = reader_role, .roles_len = 1 },
          1 },
        { "longest name",
          { .name = slice_of(long_name, sizeof(long_name) - 1),
            .roles = reader_role,
            .roles_len = 1 },
          0 },
        { "name of two lines", { .name = SLICE("a\nb"), .roles = reader_role, .roles_len = 1 }, 1 },
        { "name that is no text",
          { .name = SLICE("a\xff"), .roles = reader_role, .roles_len = 1 },
          1 },
        { "nobody", { .name = SLICE("n") }, 1 },
        { "user with roles",
          { .name = SLICE("n"), .user = &user, .roles = reader_role, .roles_len = 1 },
          1 },
        { "space", { .name = SLICE("n"), .roles = spaced, .roles_len = 1 }, 1 },
        { "quote", { .name = SLICE("n"), .user = &user, .scopes = quoted, .scopes_len = 1 }, 1 },
        { "comma", { .name = SLICE("n"), .user = &user, .scopes = comma, .scopes_len = 1 }, 1 },
        { "empty", { .name = SLICE("n"), .user = &user, .scopes = empty, .scopes_len = 1 }, 1 },
        { "long", { .name = SLICE("n"), .user = &user, .scopes = too_long, .scopes_len = 1 }, 1 },
        { "longest", { .name = SLICE("n"), .user = &user, .scopes = just, .scopes_len = 1 }, 0 },
        { "too many",
          { .name = SLICE("n"), .user = &user, .scopes = many, .scopes_len = ARRAY_LEN(many) },
          1 },
        { "just so many",
          { .name = SLICE("n"), .user = &user, .scopes = many, .scopes_len = ARRAY_LEN(many) - 1 },
          0 },
        { "bits behind the prefix",
          { .name = SLICE("n"), .user = &user, .addresses = wrong_address, .addresses_len = 1 },
          1 },
        { "no address",
          { .name = SLICE("n"), .user = &user, .addresses = no_address, .addresses_len = 1 },
          1 },
        { "past", { .name = SLICE("n"), .user = &user, .expires_us = NOW }, 1 },
        { "all at once", { .scopes = spaced, .scopes_len = 1, .expires_us = 1 }, 4 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct call c = created(f, &cases[i].order);
        if (c.fields != cases[i].fields || c.st != (cases[i].fields ? STATUS_INVALID : STATUS_OK))
            fail_msg("%s: %s with %u fields", cases[i].name, status_name(c.st), c.fields);
    }
}

static void test_keys_of_a_user_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct uuid user = uuid_v7();
    char id[UUID_TEXT_LEN], sql[512];
    uuid_format(&user, id);
    (void)snprintf(sql, sizeof(sql),
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99)"
                   " INSERT INTO purlin_api_keys (id, name, user_id, roles, scopes, addresses,"
                   " shown, digest, created_at, change)"
                   " SELECT printf('00000000-0000-7000-8000-%%012d', i), 'n', '%.*s', '', '', '',"
                   " '', randomblob(32), 1, 1 FROM n",
                   (int)sizeof(id), id);
    database_sqlite(&f->log.d, sql);
    const struct identity_api_key_order order = { .name = SLICE("n"), .user = &user };
    struct call last = created(f, &order);
    assert_status(last.st, STATUS_OK);
    struct call beyond = created(f, &order);
    assert_status(beyond.st, STATUS_CONFLICT);
    assert_string_equal(beyond.problem_type, "identity/api-keys-many");
    assert_status(revoked(f, NULL, &last.id).st, STATUS_OK);
    assert_status(created(f, &order).st, STATUS_OK);
}

/* -- what is kept
 * --------------------------------------------------------------------------------------------- */

static void test_no_secret_is_kept(void **state)
{
    struct fixture *f = *state;
    struct call first = service_key(f);
    struct call second = rotated(f, &first.id, CLOCK_HOUR, NOW);
    database_disconnect(&f->log.d); /* all of it is in the file */
    FILE *file = fopen(f->log.d.path, "rb");
    assert_non_null(file);
    static char bytes[4 << 20];
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    assert_int_equal(fclose(file), 0);
    assert_in_range(len, 4096, sizeof(bytes) - 1);
    const struct slice all = slice_of(bytes, len);
    /* What is shown of it is there; one character more is not. */
    assert_int_not_equal(
        slice_find_slice(all, slice_head(secret_of(&second), IDENTITY_API_KEY_SHOWN_LEN)),
        SIZE_MAX);
    assert_int_equal(
        slice_find_slice(all, slice_head(secret_of(&first), IDENTITY_API_KEY_SHOWN_LEN + 1)),
        SIZE_MAX);
    assert_int_equal(
        slice_find_slice(all, slice_head(secret_of(&second), IDENTITY_API_KEY_SHOWN_LEN + 1)),
        SIZE_MAX);
    database_connect(&f->log.d);
}

static void test_all_of_it_is_audited(void **state)
{
    struct fixture *f = *state;
    struct call c = service_key(f);
    assert_status(rotated(f, &c.id, CLOCK_MINUTE, NOW).st, STATUS_OK);
    assert_status(revoked(f, NULL, &c.id).st, STATUS_OK);
    assert_int_equal(
        database_number(&f->log.d,
                        "SELECT COUNT(*) FROM purlin_audit AS a JOIN purlin_api_keys AS k"
                        " ON a.subject_kind = 'key' AND a.subject_id = k.id"
                        " WHERE a.actor = 'operator' AND a.actor_id = 'ada' AND a.outcome = 'ok'"
                        " AND a.act IN ('key.created', 'key.rotated', 'key.revoked')"),
        3);
    assert_int_equal(database_number(&f->log.d, "SELECT details = '{\"grace_s\":60}'"
                                                " FROM purlin_audit WHERE act = 'key.rotated'"),
                     1);
    chain_assert_whole(&f->log, 4);
    /* What was refused, nothing was written of. */
    assert_status(rotated(f, &c.id, 0, NOW).st, STATUS_CONFLICT);
    chain_assert_whole(&f->log, 4);
}

/* -- lists
 * -------------------------------------------------------------------------------------------------
 */

struct listing {
    struct fixture *f;
    struct identity_api_keys_filter filter;
    unsigned len;
    bool has_more;
    struct uuid first, last;
    char json[2048];
};

static void list_task(struct task *task, void *arg)
{
    struct listing *l = arg;
    struct identity_api_keys_page page;
    assert_status(identity_api_keys_list(task, l->f->keys, &l->filter, NOW, &page), STATUS_OK);
    l->len = page.len;
    l->has_more = page.has_more;
    if (!page.len)
        return;
    l->first = page.items[0].id;
    l->last = page.items[page.len - 1].id;
    struct buf json = { .data = l->json, .cap = sizeof(l->json) - 1, .max = sizeof(l->json) - 1 };
    identity_api_key_info_write(&page.items[0], NOW, &json);
    assert_status(buf_status(&json), STATUS_OK);
    l->json[json.len] = 0;
}

static struct listing listed(struct fixture *f, const struct identity_api_keys_filter *filter)
{
    struct listing l = { .f = f, .filter = *filter };
    database_run(&f->log.d, list_task, &l);
    return l;
}

static void test_keys_are_listed_newest_first(void **state)
{
    struct fixture *f = *state;
    struct uuid user = uuid_v7();
    const struct slice scopes[] = { SLICE("a"), SLICE("b") },
                       addresses[] = { SLICE("10.0.0.0/8"), SLICE("unix") };
    struct call first = service_key(f);
    struct call second =
        created(f, &(struct identity_api_key_order){ .name = SLICE("\"quoted\""),
                                                     .user = &user,
                                                     .scopes = scopes,
                                                     .scopes_len = 2,
                                                     .addresses = addresses,
                                                     .addresses_len = 2,
                                                     .expires_us = NOW + CLOCK_DAY });
    struct call third = service_key(f);
    assert_status(revoked(f, NULL, &third.id).st, STATUS_OK);

    struct listing l = listed(f, &(struct identity_api_keys_filter){ .limit = 10 });
    assert_int_equal(l.len, 2);
    assert_false(l.has_more);
    assert_memory_equal(&l.first, &second.id, sizeof(second.id));
    assert_memory_equal(&l.last, &first.id, sizeof(first.id));
    assert_non_null(strstr(l.json, "\"name\":\"\\\"quoted\\\"\""));
    assert_non_null(strstr(l.json, "\"state\":\"active\""));
    assert_non_null(
        strstr(l.json, "\"scopes\":[\"a\",\"b\"],\"addresses\":[\"10.0.0.0/8\",\"unix\"]"));
    assert_non_null(strstr(l.json, "\"roles\":[]"));
    assert_null(strstr(l.json, "digest"));

    l = listed(f, &(struct identity_api_keys_filter){ .limit = 10, .with_ended = true });
    assert_int_equal(l.len, 3);
    assert_non_null(strstr(l.json, "\"state\":\"revoked\""));
    l = listed(f, &(struct identity_api_keys_filter){ .limit = 1 });
    assert_int_equal(l.len, 1);
    assert_true(l.has_more);
    l = listed(f, &(struct identity_api_keys_filter){ .limit = 1, .after = &l.last });
    assert_memory_equal(&l.first, &first.id, sizeof(first.id));
    assert_false(l.has_more);
    l = listed(f, &(struct identity_api_keys_filter){ .limit = 10, .user = &user });
    assert_int_equal(l.len, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_service_has_its_roles_and_scopes),
        TEST(test_a_users_key_names_the_user),
        TEST(test_made_up_keys_do_not_reach_the_database),
        TEST(test_unknown_keys_are_noted),
        TEST(test_keys_end_at_their_hour),
        TEST(test_addresses_bind),
        TEST(test_the_old_secret_holds_for_its_grace),
        TEST(test_a_second_rotation_ends_the_first_secret),
        TEST(test_without_grace_the_old_secret_ends_now),
        TEST(test_revoked_keys_stay_so),
        TEST(test_a_users_keys_end_with_the_account),
        TEST(test_changes_reach_the_caches),
        TEST(test_no_change_is_overlooked),
        TEST(test_use_is_written_once_a_minute),
        TEST(test_uses_are_bounded),
        TEST(test_orders_are_checked),
        TEST(test_keys_of_a_user_are_bounded),
        TEST(test_no_secret_is_kept),
        TEST(test_all_of_it_is_audited),
        TEST(test_keys_are_listed_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
