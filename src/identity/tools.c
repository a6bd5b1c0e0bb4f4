/* identity/tools.c - What operators do with signing keys and ask of tokens. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "fiber/task.h"
#include "identity/access.h"
#include "identity/answer.h"
#include "identity/feed.h"
#include "identity/keys.h"
#include "identity/note.h"
#include "identity/room.h"
#include "identity/session.h"
#include "identity/token_cache.h"

/* -- keys
 * ---------------------------------------------------------------------------------------------- */

struct rotated {
    struct identity *identity;
    bool at_once;
};

static enum status write_rotated(struct store_tx *tx, void *arg)
{
    static const struct uuid everybody = { { 0 } };
    const struct rotated *r = arg;
    struct identity_note note;
    enum status st = STATUS_OK;
    if (r->at_once)
        st = identity_feed_put(tx, IDENTITY_FEED_ALL, &everybody, clock_wall_us());
    identity_note_operator(&note, r->identity, IDENTITY_AUDIT_SIGNING_KEY_ROTATED, NULL);
    note.event.details = r->at_once ? SLICE("{\"at_once\":true}") : SLICE("{\"at_once\":false}");
    return st == STATUS_OK ? identity_note_put(tx, &note) : st;
}

enum status identity_signing_rotate(struct task *task, struct identity *identity, bool at_once)
{
    struct rotated r = { identity, at_once };
    enum status st = identity_keys_rotate(task, identity->keys,
                                          at_once ? IDENTITY_KEYS_AT_ONCE : IDENTITY_KEYS_PLANNED,
                                          clock_wall_us());
    if (st == STATUS_OK)
        st = store_write(task, identity->store, write_rotated, &r);
    if (st == STATUS_OK && at_once)
        identity_revoke_all(identity->revocations);
    return st;
}

/* -- tokens
 * -------------------------------------------------------------------------------------------- */

/* A part of a compact token as JSON, or null. */
static void put_part(struct json_out *o, struct arena *arena, const char *name, struct slice part)
{
    size_t len = 0;
    uint8_t *bytes = arena_alloc(arena, part.len + 1);
    json_t *value = NULL;
    json_out_key(o, slice_cstr(name));
    if (bytes && identity__base64url_decode(part, bytes, 1, part.len + 1, &len) &&
        json_read(arena, slice_of((const char *)bytes, len), JSON_LIMITS_DEFAULT, &value, NULL) ==
            STATUS_OK)
        json_out_value(o, value);
    else
        json_out_null(o);
}

static void put_session(struct task *task, struct identity *identity, struct json_out *o,
                        const struct identity_access *access)
{
    struct identity_who who;
    if (!access->has_session)
        return;
    enum status st =
        identity_session_find(task, identity, &access->session, -1, clock_wall_us(), &who);
    json_out_kv(o, "session",
                st == STATUS_OK                ? "active"
                : st == STATUS_UNAUTHENTICATED ? "over"
                                               : "not known");
    problem_clear(task_problem(task));
}

enum status identity_token_inspect(struct task *task, struct identity *identity, struct slice token,
                                   struct buf *out)
{
    struct arena *arena = task_arena(task);
    struct identity_access access;
    enum identity_jose_refusal refusal = IDENTITY_JOSE_ACCEPTED;
    struct slice rest = token, head = SLICE_NULL, body = SLICE_NULL;
    if (token.len > IDENTITY_JOSE_TOKEN_BYTES_MAX)
        return problem_set(task, STATUS_TOO_LARGE, "identity/token", "The token is too long.");
    (void)slice_split(&rest, '.', &head);
    (void)slice_split(&rest, '.', &body);
    struct json_out o = json_out(out);
    json_out_object(&o);
    put_part(&o, arena, "header", head);
    put_part(&o, arena, "claims", body);
    enum status st =
        identity_access_verify(identity, arena, token, clock_wall_us(), &access, &refusal);
    identity_put_flag(&o, "valid", st == STATUS_OK);
    if (st == STATUS_UNAUTHENTICATED)
        json_out_kv(&o, "reason", identity_jose_refusal_text(refusal));
    else if (st == STATUS_OK)
        put_session(task, identity, &o, &access);
    json_out_end(&o);
    buf_putc(out, '\n');
    return st == STATUS_UNAUTHENTICATED ? buf_status(out) : st;
}
