/*
 * Idempotency-Key: a request that is sent again gets the answer of the first time, and what it asks
 * for is done once.
 *
 * The answer is kept in the very transaction that did the work, so there is no moment at which a
 * crash leaves one without the other. Only what succeeded is kept: what was refused did nothing and
 * may be mended and sent again with the same key. Two at once are told apart in memory, where all
 * loops look. Keys belong to who sent them.
 */
#include "resource/resource_private.h"

#include <sodium.h>

#include "base/clock.h"

#define KEY_BYTES_MAX 255u
#define PURGE_EVERY 64u /* writes */

const struct slice resource__idempotency_schema =
    SLICE_INIT("CREATE TABLE IF NOT EXISTS purlin_idempotency (\n"
               "  principal TEXT NOT NULL,\n"
               "  key TEXT NOT NULL,\n"
               "  fingerprint BLOB NOT NULL,\n"
               "  status INTEGER NOT NULL,\n"
               "  location TEXT,\n"
               "  etag TEXT,\n"
               "  body BLOB,\n"
               "  expires_at INTEGER NOT NULL,\n"
               "  PRIMARY KEY (principal, key)\n"
               ") STRICT, WITHOUT ROWID;\n"
               "CREATE INDEX IF NOT EXISTS purlin_idempotency__by_expires_at\n"
               "  ON purlin_idempotency (expires_at);\n");

static const char find_sql[] = "SELECT fingerprint, status, location, etag, body"
                               "  FROM purlin_idempotency"
                               " WHERE principal = $1 AND key = $2 AND expires_at > $3";

/* An expired one may still be there; a live one was written by another process meanwhile. */
static const char keep_sql[] =
    "INSERT INTO purlin_idempotency"
    "  (principal, key, fingerprint, status, location, etag, body, expires_at)"
    "  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    "  ON CONFLICT (principal, key) DO UPDATE"
    "    SET fingerprint = excluded.fingerprint, status = excluded.status,"
    "        location = excluded.location, etag = excluded.etag, body = excluded.body,"
    "        expires_at = excluded.expires_at"
    "    WHERE expires_at <= $9";

static const char purge_sql[] = "DELETE FROM purlin_idempotency"
                                " WHERE (principal, key) IN ("
                                "   SELECT principal, key FROM purlin_idempotency"
                                "    WHERE expires_at <= $1"
                                "    ORDER BY expires_at"
                                "    LIMIT 200)";

void resource__idempotency_metrics(struct resource_engine *engine)
{
    static const struct slice outcomes[RESOURCE_IDEMPOTENCY_OUTCOMES] = {
        [RESOURCE_IDEMPOTENCY_KEPT] = SLICE_INIT("kept"),
        [RESOURCE_IDEMPOTENCY_REPLAYED] = SLICE_INIT("replayed"),
        [RESOURCE_IDEMPOTENCY_IN_FLIGHT] = SLICE_INIT("in_flight"),
        [RESOURCE_IDEMPOTENCY_MISMATCH] = SLICE_INIT("mismatch"),
    };
    static const struct metric_desc desc = {
        .name = "purlin_idempotency_requests",
        .help = "Requests with an Idempotency-Key, by what came of it.",
        .kind = METRIC_COUNTER,
        .labels = { "outcome" },
    };
    if (!engine->metrics)
        return;
    unsigned metric = metric_declare(engine->metrics, &desc);
    for (unsigned i = 0; i < RESOURCE_IDEMPOTENCY_OUTCOMES; i++)
        engine->idempotency[i] = metric_series_get(engine->metrics, metric, &outcomes[i]);
}

static void count(const struct resource_engine *engine, enum resource_idempotency_outcome outcome)
{
    if (engine->metrics)
        metric_add(engine->metrics, engine->idempotency[outcome], 1);
}

/* Who owns a key: the user; a caller with roles alone (the bootstrap key); or an address, as nobody
 * is known by another name. */
static struct slice name_principal(const struct resource_call *call)
{
    const struct task_caller *caller = call->context.caller;
    if (caller && caller->has_user) {
        char id[UUID_TEXT_LEN];
        uuid_format(&caller->user, id);
        return arena_printf(call->arena, "user:%.*s", (int)UUID_TEXT_LEN, id);
    }
    if (caller && caller->roles_len > 0)
        return arena_printf(call->arena, "role:%.*s", SLICE_ARG(caller->roles[0]));
    return arena_printf(call->arena, "from:%.*s", SLICE_ARG(http_client_ip(call->req)));
}

static void hash_part(crypto_generichash_state *state, struct slice part)
{
    uint64_t len = part.len;
    crypto_generichash_update(state, (const uint8_t *)&len, sizeof(len));
    crypto_generichash_update(state, (const uint8_t *)part.data, part.len);
}

static void take_fingerprint(const struct resource_call *call, struct slice body,
                             uint8_t ret_fingerprint[16])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 16);
    hash_part(&state, net_method_text(http_method(call->req)));
    hash_part(&state, http_path(call->req));
    hash_part(&state, http_net(call->req)->query);
    hash_part(&state, http_content_type(call->req));
    hash_part(&state, body);
    crypto_generichash_final(&state, ret_fingerprint, 16);
}

static bool is_key(struct slice key)
{
    if (key.len == 0 || key.len > KEY_BYTES_MAX)
        return false;
    for (size_t i = 0; i < key.len; i++)
        if (key.data[i] < 0x21 || key.data[i] > 0x7e)
            return false;
    return true;
}

/* -- in flight
 * ------------------------------------------------------------------------------------------------
 */

static bool take_off(struct resource_engine *engine, struct resource_flight *flight)
{
    flight->hash = hash64(flight->key, hash64(flight->principal, 0));
    struct resource_flight **bucket = &engine->flights[flight->hash % RESOURCE_FLIGHTS];
    pthread_mutex_lock(&engine->lock);
    struct resource_flight *other = *bucket;
    while (other && !(other->hash == flight->hash && slice_eq(other->key, flight->key) &&
                      slice_eq(other->principal, flight->principal)))
        other = other->next;
    if (!other) {
        flight->next = *bucket;
        *bucket = flight;
    }
    pthread_mutex_unlock(&engine->lock);
    return !other;
}

void resource__idempotency_end(struct resource_idempotency *idempotency)
{
    if (!idempotency->is_flying)
        return;
    struct resource_engine *engine = idempotency->engine;
    struct resource_flight **at = &engine->flights[idempotency->flight.hash % RESOURCE_FLIGHTS];
    pthread_mutex_lock(&engine->lock);
    while (*at != &idempotency->flight)
        at = &(*at)->next;
    *at = idempotency->flight.next;
    pthread_mutex_unlock(&engine->lock);
    idempotency->is_flying = false;
}

static enum status refuse_flight(const struct resource_engine *engine, struct problem *problem,
                                 struct arena *arena)
{
    count(engine, RESOURCE_IDEMPOTENCY_IN_FLIGHT);
    enum status st = resource__fail(problem, arena, STATUS_CONFLICT, 409, "idempotency/in-flight",
                                    "A request with this Idempotency-Key is under way.");
    problem->retry_after_us = CLOCK_SECOND;
    return st;
}

/* -- the stored answer
 * ------------------------------------------------------------------------------------------ */

static enum status refuse_reuse(struct resource_call *call)
{
    count(call->engine, RESOURCE_IDEMPOTENCY_MISMATCH);
    return resource__fail(call->problem, call->arena, STATUS_INVALID, 422, "idempotency/key-reused",
                          "This Idempotency-Key was used with another request.");
}

static enum status replay(struct resource_call *call, struct resource_idempotency *idempotency,
                          struct store_rows *rows)
{
    if (!slice_eq(store_rows_bytes(rows, 0), slice_of((const char *)idempotency->fingerprint,
                                                      sizeof(idempotency->fingerprint))))
        return refuse_reuse(call);
    int status = (int)store_rows_i64(rows, 1);
    struct slice location, etag, body;
    if (arena_copy(call->arena, store_rows_bytes(rows, 2), &location) != STATUS_OK ||
        arena_copy(call->arena, store_rows_bytes(rows, 3), &etag) != STATUS_OK ||
        arena_copy(call->arena, store_rows_bytes(rows, 4), &body) != STATUS_OK)
        return STATUS_EXHAUSTED;
    resource__idempotency_end(idempotency);
    count(call->engine, RESOURCE_IDEMPOTENCY_REPLAYED);
    http_header_add(call->req, SLICE("Idempotency-Replayed"), SLICE("true"));
    if (location.len)
        http_header_add(call->req, SLICE("Location"), location);
    if (etag.len)
        http_header_add(call->req, SLICE("ETag"), etag);
    if (body.len)
        http_send_json(call->req, status, body);
    else
        http_send_empty(call->req, status);
    return STATUS_OK;
}

enum status resource__idempotency_begin(struct resource_call *call, struct slice body,
                                        struct resource_idempotency *ret, bool *ret_replayed)
{
    *ret = (struct resource_idempotency){ .engine = call->engine, .now_us = call->context.now_us };
    *ret_replayed = false;
    const struct net_header *header =
        net_header_get(http_net(call->req), NET_HEADER_IDEMPOTENCY_KEY);
    if (!header)
        return STATUS_OK;
    if (!is_key(header->value))
        return resource__fail(call->problem, call->arena, STATUS_INVALID, 400, "idempotency/key",
                              "Idempotency-Key is 1 to %u visible ASCII characters.",
                              KEY_BYTES_MAX);
    ret->flight.key = header->value;
    ret->flight.principal = name_principal(call);
    take_fingerprint(call, body, ret->fingerprint);
    if (!take_off(call->engine, &ret->flight))
        return refuse_flight(call->engine, call->problem, call->arena);
    ret->is_on = ret->is_flying = true;

    const struct store_value values[] = { store_text(ret->flight.principal),
                                          store_text(ret->flight.key), store_i64(ret->now_us) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st =
        store_one(call->task, call->engine->store, slice_of(find_sql, sizeof(find_sql) - 1), values,
                  ARRAY_LEN(values), &rows);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (st == STATUS_OK)
        st = replay(call, ret, rows);
    *ret_replayed = st == STATUS_OK;
    return st;
}

static struct store_value text_or_null(struct slice text)
{
    return text.len ? store_text(text) : store_null();
}

enum status resource__idempotency_keep(struct resource_idempotency *idempotency,
                                       struct store_tx *tx, int status, struct slice location,
                                       struct slice etag, struct slice body)
{
    if (!idempotency->is_on)
        return STATUS_OK;
    struct resource_engine *engine = idempotency->engine;
    const struct store_value values[] = {
        store_text(idempotency->flight.principal),
        store_text(idempotency->flight.key),
        store_blob(
            slice_of((const char *)idempotency->fingerprint, sizeof(idempotency->fingerprint))),
        store_i64(status),
        text_or_null(location),
        text_or_null(etag),
        body.len ? store_blob(body) : store_null(),
        store_i64(idempotency->now_us + engine->idempotency_ttl_us),
        store_i64(idempotency->now_us),
    };
    int64_t changes = 0;
    enum status st = store_tx_exec(tx, slice_of(keep_sql, sizeof(keep_sql) - 1), values,
                                   ARRAY_LEN(values), &changes);
    if (st == STATUS_OK && changes == 0)
        st = refuse_flight(engine, store_tx_problem(tx), store_tx_arena(tx));
    if (st != STATUS_OK)
        return st;
    count(engine, RESOURCE_IDEMPOTENCY_KEPT);
    unsigned n = atomic_fetch_add_explicit(&engine->idempotent_writes, 1, memory_order_relaxed);
    if (n % PURGE_EVERY != 0)
        return STATUS_OK;
    const struct store_value now = store_i64(idempotency->now_us);
    return store_tx_exec(tx, slice_of(purge_sql, sizeof(purge_sql) - 1), &now, 1, NULL);
}
