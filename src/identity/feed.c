/* identity/feed.c - Revocations in the store. */
#include "identity/feed.h"

#include "base/macros.h"
#include "identity/room.h"
#include "identity/token_cache.h"
#include "store/store.h"

#define KEPT_US CLOCK_HOUR
#define READ_MAX 1000 /* rows of one reading */

static const char *const kind_names[] = {
    [IDENTITY_FEED_SESSION] = "session",
    [IDENTITY_FEED_USER] = "user",
    [IDENTITY_FEED_ALL] = "all",
};

static const char insert_sql[] =
    "INSERT INTO purlin_revocations (kind, id, at) VALUES ($1, $2, $3)";
static const char last_sql[] = "SELECT COALESCE(MAX(seq), 0) FROM purlin_revocations";
static const char read_sql[] = "SELECT seq, kind, id FROM purlin_revocations"
                               " WHERE seq > $1 ORDER BY seq LIMIT 1000";
_Static_assert(READ_MAX == 1000, "as read_sql has it");
static const char purge_sql[] = "DELETE FROM purlin_revocations WHERE at < $1";

enum status identity_feed_put(struct store_tx *tx, enum identity_feed_kind kind,
                              const struct uuid *id, int64_t now_us)
{
    const struct store_value values[] = { store_text(slice_cstr(kind_names[kind])),
                                          identity__id(id), store_i64(now_us) };
    return store_tx_exec(tx, IDENTITY__SQL(insert_sql), values, ARRAY_LEN(values), NULL);
}

static struct slice bytes_of(const struct uuid *id)
{
    return slice_of((const char *)id->bytes, sizeof(id->bytes));
}

void identity_feed_session_ended(struct identity *identity, const struct uuid *id)
{
    identity_revoke_session(identity->revocations, bytes_of(id));
}

void identity_feed_user_ended(struct identity *identity, const struct uuid *user)
{
    identity_revoke_user(identity->revocations, bytes_of(user));
}

static enum status take_last(void *arg, struct store_rows *rows)
{
    struct identity *identity = arg;
    identity->feed_seq = store_rows_i64(rows, 0);
    return STATUS_OK;
}

enum status identity_feed_open(struct identity *identity, struct arena *arena,
                               struct problem *problem)
{
    return store_read_blocking(identity->store, IDENTITY__SQL(last_sql), NULL, 0, arena, problem,
                               take_last, identity);
}

static void apply(struct identity *identity, struct store_rows *rows)
{
    struct slice kind = store_rows_bytes(rows, 1), id = store_rows_bytes(rows, 2);
    identity->feed_seq = store_rows_i64(rows, 0);
    if (slice_eq(kind, slice_cstr(kind_names[IDENTITY_FEED_SESSION])))
        identity_revoke_session(identity->revocations, id);
    else if (slice_eq(kind, slice_cstr(kind_names[IDENTITY_FEED_USER])))
        identity_revoke_user(identity->revocations, id);
    else
        identity->feed_all = true; /* the upkeep takes up the new keys first */
}

enum status identity_feed_read(struct task *task, struct identity *identity, int64_t now_us)
{
    for (;;) {
        const struct store_value after = store_i64(identity->feed_seq);
        struct store_rows *rows = NULL;
        unsigned len = 0;
        enum status st =
            store_query(task, identity->store, IDENTITY__SQL(read_sql), &after, 1, &rows);
        while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK) {
            apply(identity, rows);
            len++;
        }
        store_rows_close(rows);
        if (st != STATUS_NOT_FOUND)
            return st;
        if (len < READ_MAX)
            break;
    }
    identity_revocations_confirm(identity->revocations, now_us);
    return STATUS_OK;
}

enum status identity_feed_purge(struct store_tx *tx, int64_t now_us)
{
    const struct store_value before = store_i64(now_us - KEPT_US);
    return store_tx_exec(tx, IDENTITY__SQL(purge_sql), &before, 1, NULL);
}
