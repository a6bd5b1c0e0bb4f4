/*
 * identity/api_keys.c - Who presents this key? Looked up by the digest of its secret, or of the
 * secret before the last rotation; then judged. Why one is refused is for the operator: the client
 * learns neither whether a key exists nor from where it would be taken.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/metric.h"
#include "fiber/task.h"
#include "identity/api_keys_private.h"
#include "store/store.h"

static const char schema_sql[] = "CREATE TABLE IF NOT EXISTS purlin_api_keys (\n"
                                 "  id TEXT PRIMARY KEY,\n"
                                 "  name TEXT NOT NULL,\n"
                                 "  user_id TEXT,\n"
                                 "  roles TEXT NOT NULL,\n"
                                 "  scopes TEXT NOT NULL,\n"
                                 "  addresses TEXT NOT NULL,\n"
                                 "  shown TEXT NOT NULL,\n"
                                 "  digest BLOB NOT NULL UNIQUE,\n"
                                 "  previous_digest BLOB UNIQUE,\n"
                                 "  previous_until INTEGER,\n"
                                 "  created_at INTEGER NOT NULL,\n"
                                 "  expires_at INTEGER,\n"
                                 "  rotated_at INTEGER,\n"
                                 "  revoked_at INTEGER,\n"
                                 "  last_used_at INTEGER,\n"
                                 "  last_used_address TEXT,\n"
                                 "  change INTEGER NOT NULL\n"
                                 ") STRICT;\n"
                                 "CREATE INDEX IF NOT EXISTS purlin_api_keys__by_user\n"
                                 "  ON purlin_api_keys (user_id, id);\n"
                                 "CREATE INDEX IF NOT EXISTS purlin_api_keys__by_change\n"
                                 "  ON purlin_api_keys (change, id);\n";

static const char find_sql[] =
    "SELECT id, name, user_id, roles, scopes, addresses, expires_at, revoked_at, previous_until,"
    "       CASE WHEN digest = $1 THEN 0 ELSE 1 END"
    "  FROM purlin_api_keys"
    " WHERE digest = $1 OR previous_digest = $1"
    " LIMIT 1";

static const char change_sql[] = "SELECT COALESCE(MAX(change), 0) FROM purlin_api_keys";

#define SQL(text) slice_of((text), sizeof(text) - 1)

static const char *const refusals[IDENTITY_API_KEY_REFUSALS] = {
    [IDENTITY_API_KEY_ACCEPTED] = "accepted", [IDENTITY_API_KEY_MALFORMED] = "malformed",
    [IDENTITY_API_KEY_UNKNOWN] = "unknown",   [IDENTITY_API_KEY_EXPIRED] = "expired",
    [IDENTITY_API_KEY_ROTATED] = "rotated",   [IDENTITY_API_KEY_REVOKED] = "revoked",
    [IDENTITY_API_KEY_ADDRESS] = "address",
};

const char *identity_api_key_refusal_name(enum identity_api_key_refusal refusal)
{
    return refusals[refusal];
}

/* -- opening and closing
 * ----------------------------------------------------------------------------------- */

static void declare(struct identity_api_keys *keys)
{
    static const struct metric_desc desc = {
        .name = "purlin_api_key_checks",
        .help = "API keys that were presented and looked up, by what came of it.",
        .kind = METRIC_COUNTER,
        .labels = { "outcome" },
    };
    if (!keys->metrics)
        return;
    unsigned metric = metric_declare(keys->metrics, &desc);
    for (unsigned i = 0; i < IDENTITY_API_KEY_REFUSALS; i++) {
        const struct slice outcome = slice_cstr(refusals[i]);
        keys->series[i] = metric_series_get(keys->metrics, metric, &outcome);
    }
}

static enum status take_change(void *arg, struct store_rows *rows)
{
    struct identity_api_keys *keys = arg;
    keys->change = store_rows_i64(rows, 0);
    /* Behind every id with this change. */
    memset(keys->change_id, 0x7e, sizeof(keys->change_id));
    return STATUS_OK;
}

enum status identity_api_keys_open(const struct identity_api_keys_options *options,
                                   struct arena *arena, struct problem *problem,
                                   struct identity_api_keys **ret_keys)
{
    CLEANUP(identity_api_keys_close) struct identity_api_keys *keys = calloc(1, sizeof(*keys));
    if (!keys)
        return STATUS_EXHAUSTED;
    keys->store = options->store;
    keys->audit = options->audit;
    keys->metrics = options->metrics;
    keys->revocations = options->revocations;
    (void)pthread_mutex_init(&keys->lock, NULL);
    declare(keys);
    enum status st = store_script(options->store, SQL(schema_sql), arena, problem);
    if (st == STATUS_OK)
        st = store_read_blocking(options->store, SQL(change_sql), NULL, 0, arena, problem,
                                 take_change, keys);
    if (st != STATUS_OK)
        return st;
    *ret_keys = keys;
    keys = NULL;
    return STATUS_OK;
}

void identity_api_keys_close(struct identity_api_keys *keys)
{
    if (!keys)
        return;
    (void)pthread_mutex_destroy(&keys->lock);
    free(keys);
}

/* -- refusing
 * ---------------------------------------------------------------------------------------------- */

static struct slice address_text(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    return address ? address_format(address, out) : SLICE("unix");
}

enum status identity_api_key_refuse(struct task *task, struct identity_api_keys *keys,
                                    const struct uuid *id,
                                    const struct identity_api_key_asker *asker,
                                    enum identity_api_key_refusal refusal)
{
    char address_bytes[ADDRESS_TEXT_MAX], id_bytes[UUID_TEXT_LEN];
    struct slice address = address_text(asker->address, address_bytes);
    struct slice id_text = SLICE_NULL;
    if (id) {
        uuid_format(id, id_bytes);
        id_text = slice_of(id_bytes, sizeof(id_bytes));
    }
    if (keys->metrics)
        metric_add(keys->metrics, keys->series[refusal], 1);
    const struct log_field fields[] = {
        LOG_CSTR("reason", refusals[refusal]),
        LOG_TEXT("key", id_text),
        LOG_TEXT("client", address),
    };
    task_log(task, LOG_LEVEL_INFO, "identity.api_key_refused", fields, ARRAY_LEN(fields));
    if (refusal != IDENTITY_API_KEY_MALFORMED) {
        char details[64];
        struct buf text = { .data = details, .cap = sizeof(details), .max = sizeof(details) };
        buf_put_lit(&text, "{\"reason\":\"");
        buf_put_cstr(&text, refusals[refusal]);
        buf_put_lit(&text, "\"}");
        identity_audit_note(keys->audit, &(struct identity_audit_event){
                                             .act = IDENTITY_AUDIT_KEY_REFUSED,
                                             .outcome = IDENTITY_AUDIT_REFUSED,
                                             .actor = IDENTITY_AUDIT_ANONYMOUS,
                                             .subject_kind = id ? SLICE("key") : SLICE_NULL,
                                             .subject_id = id_text,
                                             .address = address,
                                             .agent = asker->agent,
                                             .request_id = asker->request_id,
                                             .details = slice_of(text.data, text.len),
                                         });
    }
    return problem_set(task, STATUS_UNAUTHENTICATED, "identity/api-key",
                       "This API key is not accepted: it is unknown, has ended, or may not be used "
                       "from here.");
}

/* -- finding
 * -----------------------------------------------------------------------------------------------
 */

bool identity_api_key_is_ours(struct slice text)
{
    return slice_starts(text, SLICE(IDENTITY_API_KEY_PREFIX "_"));
}

uint64_t identity__api_key_number(const struct uuid *id)
{
    /* Of the half that is random. */
    uint64_t number;
    memcpy(&number, id->bytes + 8, sizeof(number));
    return number;
}

bool identity_api_key_allows(struct slice addresses, const struct address *address)
{
    if (addresses.len == 0)
        return true;
    struct address_set set = { .len = 0 };
    struct slice one;
    const char *reason;
    while (slice_split(&addresses, ',', &one)) {
        set.len = 0;
        /* Checked when the key was made; what is none nonetheless lets nobody in. */
        if (!address_set_add(&set, one, &reason))
            continue;
        if (address ? address_set_has(&set, address) : set.has_unix)
            return true;
    }
    return false;
}

enum status identity__api_key_words(struct arena *arena, struct slice text,
                                    const struct slice **ret_words, unsigned *ret_len)
{
    unsigned len = 0;
    for (size_t i = 0; i < text.len; i++)
        len += text.data[i] == ' ';
    struct slice *words = arena_array_of(arena, struct slice, len + 1);
    if (!words)
        return STATUS_EXHAUSTED;
    *ret_words = words;
    *ret_len = text.len ? len + 1 : 0;
    for (unsigned i = 0; i < *ret_len; i++)
        (void)slice_split(&text, ' ', &words[i]);
    return STATUS_OK;
}

struct row {
    struct identity_api_key_found found;
    struct slice roles, scopes;
    int64_t revoked_us, previous_until_us;
    bool is_previous;
};

static enum status take_row(struct task *task, const struct store_rows *rows, struct row *row)
{
    struct arena *arena = task_arena(task);
    struct identity_api_key_found *found = &row->found;
    *row = (struct row){
        .found.expires_us = store_rows_i64(rows, 6),
        .revoked_us = store_rows_i64(rows, 7),
        .previous_until_us = store_rows_i64(rows, 8),
        .is_previous = store_rows_i64(rows, 9) == 1,
    };
    found->has_user = !store_rows_is_null(rows, 2);
    if (!uuid_parse(store_rows_bytes(rows, 0), &found->id) ||
        (found->has_user && !uuid_parse(store_rows_bytes(rows, 2), &found->user)))
        return problem_set(task, STATUS_INTERNAL, "identity/api-keys",
                           "The table of API keys is malformed.");
    found->number = identity__api_key_number(&found->id);
    const struct {
        unsigned column;
        struct slice *text;
    } texts[] = {
        { 1, &found->name },
        { 3, &row->roles },
        { 4, &row->scopes },
        { 5, &found->addresses },
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        enum status st = arena_copy(arena, store_rows_bytes(rows, texts[i].column), texts[i].text);
        if (st != STATUS_OK)
            return st;
    }
    enum status st = identity__api_key_words(arena, row->roles, &found->roles, &found->roles_len);
    if (st == STATUS_OK)
        st = identity__api_key_words(arena, row->scopes, &found->scopes, &found->scopes_len);
    return st;
}

static enum identity_api_key_refusal judge(const struct row *row, const struct address *address,
                                           int64_t now_us)
{
    if (row->revoked_us)
        return IDENTITY_API_KEY_REVOKED;
    if (row->found.expires_us && now_us >= row->found.expires_us)
        return IDENTITY_API_KEY_EXPIRED;
    if (row->is_previous && now_us >= row->previous_until_us)
        return IDENTITY_API_KEY_ROTATED;
    if (!identity_api_key_allows(row->found.addresses, address))
        return IDENTITY_API_KEY_ADDRESS;
    return IDENTITY_API_KEY_ACCEPTED;
}

/* NOT_FOUND: there is none with this secret. */
static enum status look_up(struct task *task, struct identity_api_keys *keys,
                           const struct identity_digest *digest, struct row *row)
{
    const struct store_value value =
        store_blob(slice_of((const char *)digest->bytes, sizeof(digest->bytes)));
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_one(task, keys->store, SQL(find_sql), &value, 1, &rows);
    return st == STATUS_OK ? take_row(task, rows, row) : st;
}

enum status identity_api_key_find(struct task *task, struct identity_api_keys *keys,
                                  struct slice text, const struct identity_api_key_asker *asker,
                                  int64_t now_us, struct identity_api_key_found *ret_found,
                                  enum identity_api_key_refusal *ret_refusal)
{
    enum identity_api_key_refusal refusal = IDENTITY_API_KEY_MALFORMED;
    struct identity_digest digest;
    struct row row;
    enum status st = STATUS_NOT_FOUND;
    if (identity_secret_read(text, SLICE(IDENTITY_API_KEY_PREFIX), &digest) == STATUS_OK) {
        refusal = IDENTITY_API_KEY_UNKNOWN;
        st = look_up(task, keys, &digest, &row);
    }
    if (st != STATUS_OK && st != STATUS_NOT_FOUND)
        return st;
    if (st == STATUS_OK)
        refusal = judge(&row, asker->address, now_us);
    if (ret_refusal)
        *ret_refusal = refusal;
    if (refusal != IDENTITY_API_KEY_ACCEPTED)
        return identity_api_key_refuse(task, keys, st == STATUS_OK ? &row.found.id : NULL, asker,
                                       refusal);
    if (row.is_previous && (!row.found.expires_us || row.previous_until_us < row.found.expires_us))
        row.found.expires_us = row.previous_until_us;
    if (keys->metrics)
        metric_add(keys->metrics, keys->series[IDENTITY_API_KEY_ACCEPTED], 1);
    *ret_found = row.found;
    return STATUS_OK;
}
