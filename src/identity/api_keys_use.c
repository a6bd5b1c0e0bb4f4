/*
 * identity/api_keys_use.c - When keys were last used, and what other processes have done to them.
 *
 * A key that is used a thousand times a second is written once a minute: a table of the minute in
 * which each key was last seen tells the first use in a minute from the others, by one load of what
 * is seldom written. What is new waits for the upkeep; no request waits for a write.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/api_keys_private.h"
#include "identity/token_cache.h"
#include "store/store.h"

#define UPKEEP_EVERY_US (2 * CLOCK_SECOND)
#define USES_AT_ONCE 256u
#define CHANGES_AT_ONCE 256u

static const char used_sql[] = "UPDATE purlin_api_keys"
                               "   SET last_used_at = $1, last_used_address = $2"
                               " WHERE id = $3 AND (last_used_at IS NULL OR last_used_at < $1)";

static const char changes_sql[] = "SELECT change, id"
                                  "  FROM purlin_api_keys"
                                  " WHERE (change, id) > ($1, $2)"
                                  " ORDER BY change, id"
                                  " LIMIT 256";
_Static_assert(CHANGES_AT_ONCE == 256, "as changes_sql has it");

#define SQL(text) slice_of((text), sizeof(text) - 1)

/* -- noting
 * -----------------------------------------------------------------------------------------------
 */

void identity_api_key_used(struct identity_api_keys *keys, const struct uuid *id,
                           const struct address *address, int64_t now_us)
{
    uint64_t number = identity__api_key_number(id);
    uint64_t seen = (number & UINT64_C(0xffffffff00000000)) |
                    (uint32_t)((uint64_t)now_us / (uint64_t)CLOCK_MINUTE);
    uint64_t *slot = &keys->slots[(uint32_t)number % IDENTITY__API_KEY_SLOTS];
    if (LIKELY(__atomic_load_n(slot, __ATOMIC_RELAXED) == seen) ||
        __atomic_exchange_n(slot, seen, __ATOMIC_RELAXED) == seen)
        return;
    (void)pthread_mutex_lock(&keys->lock);
    if (keys->uses_len < IDENTITY__API_KEY_USES_MAX) {
        struct identity__api_key_use *use = &keys->uses[keys->uses_len++];
        *use = (struct identity__api_key_use){ .id = *id, .at_us = now_us };
        if (address)
            (void)address_format(address, use->address);
        else
            memcpy(use->address, "unix", sizeof("unix"));
    }
    (void)pthread_mutex_unlock(&keys->lock);
}

/* -- writing
 * ---------------------------------------------------------------------------------------------- */

struct uses {
    const struct identity__api_key_use *items;
    unsigned len;
};

static enum status write_uses(struct store_tx *tx, void *arg)
{
    const struct uses *uses = arg;
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < uses->len && st == STATUS_OK; i++) {
        const struct identity__api_key_use *use = &uses->items[i];
        char id[UUID_TEXT_LEN];
        uuid_format(&use->id, id);
        const struct store_value values[] = {
            store_i64(use->at_us),
            store_text(slice_cstr(use->address)),
            store_text(slice_of(id, sizeof(id))),
        };
        st = store_tx_exec(tx, SQL(used_sql), values, ARRAY_LEN(values), NULL);
    }
    return st;
}

/* Others only add behind: what is written is taken off the front afterwards. */
static enum status flush_uses(struct task *task, struct identity_api_keys *keys)
{
    enum status st = STATUS_OK;
    for (;;) {
        (void)pthread_mutex_lock(&keys->lock);
        unsigned waiting = keys->uses_len;
        (void)pthread_mutex_unlock(&keys->lock);
        struct uses uses = { .items = keys->uses, .len = MIN(waiting, USES_AT_ONCE) };
        if (uses.len == 0)
            return STATUS_OK;
        st = store_write(task, keys->store, write_uses, &uses);
        if (st != STATUS_OK)
            return st;
        (void)pthread_mutex_lock(&keys->lock);
        keys->uses_len -= uses.len;
        memmove(keys->uses, keys->uses + uses.len, keys->uses_len * sizeof(keys->uses[0]));
        (void)pthread_mutex_unlock(&keys->lock);
    }
}

/* -- what others have changed
 * ------------------------------------------------------------------------------ */

static enum status tell_some(struct task *task, struct identity_api_keys *keys, unsigned *ret_len)
{
    char after_id[UUID_TEXT_LEN];
    memcpy(after_id, keys->change_id, sizeof(after_id));
    const struct store_value values[] = { store_i64(keys->change),
                                          store_text(slice_of(after_id, sizeof(after_id))) };
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st =
        store_query(task, keys->store, SQL(changes_sql), values, ARRAY_LEN(values), &rows);
    unsigned len = 0;
    while (st == STATUS_OK && (st = store_rows_next(rows)) == STATUS_OK) {
        struct slice id = store_rows_bytes(rows, 1);
        if (keys->revocations)
            identity_revoke_session(keys->revocations, id);
        len++;
        if (id.len != sizeof(keys->change_id))
            continue;
        keys->change = store_rows_i64(rows, 0);
        memcpy(keys->change_id, id.data, id.len);
    }
    *ret_len = len;
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status tell_changes(struct task *task, struct identity_api_keys *keys)
{
    unsigned len = CHANGES_AT_ONCE;
    enum status st = STATUS_OK;
    while (st == STATUS_OK && len == CHANGES_AT_ONCE)
        st = tell_some(task, keys, &len);
    return st;
}

/* -- now and then
 * ------------------------------------------------------------------------------------------ */

static bool set_busy(struct identity_api_keys *keys, bool busy)
{
    (void)pthread_mutex_lock(&keys->lock);
    bool was_busy = keys->is_busy;
    keys->is_busy = busy;
    (void)pthread_mutex_unlock(&keys->lock);
    return was_busy;
}

enum status identity_api_keys_upkeep(struct task *task, struct identity_api_keys *keys)
{
    if (set_busy(keys, true))
        return STATUS_OK;
    enum status st = tell_changes(task, keys);
    enum status written = flush_uses(task, keys);
    (void)set_busy(keys, false);
    return st == STATUS_OK ? written : st;
}

static void work_task(struct task *task, void *arg)
{
    struct identity_api_keys *keys = arg;
    enum status st = identity_api_keys_upkeep(task, keys);
    if (st != STATUS_OK && st != STATUS_CANCELLED) {
        const struct log_field fields[] = { LOG_CSTR("status", status_name(st)) };
        task_log(task, LOG_LEVEL_WARN, "identity.api_keys_upkeep", fields, ARRAY_LEN(fields));
    }
    void (*ended)(void *ended_arg) = keys->ended;
    keys->is_working = false;
    keys->ended = NULL;
    if (ended)
        ended(keys->ended_arg);
}

static void on_time(struct loop_timer *timer)
{
    struct identity_api_keys *keys = CONTAINER_OF(timer, struct identity_api_keys, timer);
    loop_timer_start(keys->loop, &keys->timer, UPKEEP_EVERY_US, on_time);
    if (keys->is_working)
        return;
    keys->is_working = true;
    /* No place for a task: the next time. */
    if (task_spawn(keys->loop, work_task, keys, &(struct task_options){ .name = "api-keys" }) !=
        STATUS_OK)
        keys->is_working = false;
}

void identity_api_keys_start(struct identity_api_keys *keys, struct loop *loop)
{
    keys->loop = loop;
    loop_timer_start(loop, &keys->timer, UPKEEP_EVERY_US, on_time);
}

void identity_api_keys_stop(struct identity_api_keys *keys, void (*ended)(void *arg), void *arg)
{
    if (keys->loop)
        loop_timer_stop(keys->loop, &keys->timer);
    if (!keys->is_working) {
        ended(arg);
        return;
    }
    keys->ended = ended;
    keys->ended_arg = arg;
}
