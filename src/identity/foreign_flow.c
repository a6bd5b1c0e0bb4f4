/*
 * identity/foreign_flow.c - A sign-in elsewhere on its way.
 *
 * What it needs is in a cookie of the browser, sealed: beginning one writes nothing, and anybody
 * may begin one. Its state is a challenge (identity/challenge.h), which names the provider and its
 * end and holds once: the answer of one provider is no answer of another, and none comes twice.
 */
#include "identity/foreign.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/answer.h"
#include "identity/foreign_seal.h"
#include "identity/jose.h"
#include "identity/room.h"
#include "identity/signin.h"

#define COOKIE_BYTES_MAX ((size_t)2 * 1024)
#define SEALED_BYTES_MAX ((size_t)8 * 1024)
#define STATE_TEXT_MAX 128u

/* -- where it may end
 * ----------------------------------------------------------------------------------- */

/* The origin of an absolute URL; empty: it has none. */
static struct slice origin_of(struct slice url)
{
    size_t at = slice_find_slice(url, SLICE("://"));
    if (at == SIZE_MAX)
        return SLICE_NULL;
    size_t slash = slice_find(slice_from(url, at + 3), '/');
    size_t query = slice_find(slice_from(url, at + 3), '?');
    size_t end = MIN(slash, query);
    return end == SIZE_MAX ? url : slice_head(url, at + 3 + end);
}

static bool is_listed(struct slice origins, struct slice origin)
{
    struct slice one;
    while (origins.len && slice_split(&origins, ',', &one))
        if (slice_eq(slice_trim(one), origin))
            return true;
    return false;
}

static bool is_plain(struct slice to)
{
    if (!to.len || to.len > IDENTITY_RETURN_MAX)
        return false;
    for (size_t i = 0; i < to.len; i++) {
        unsigned char c = (unsigned char)to.data[i];
        if (c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>')
            return false;
    }
    return true;
}

bool identity_return_is_path(struct slice to)
{
    return is_plain(to) && to.data[0] == '/' && (to.len == 1 || to.data[1] != '/');
}

bool identity_return_is_good(const struct identity *identity, struct slice to)
{
    if (!is_plain(to) || to.data[0] == '/')
        return identity_return_is_path(to);
    struct slice origin = origin_of(to);
    if (!origin.len || slice_find(origin, '@') != SIZE_MAX)
        return false;
    return slice_eq(origin, origin_of(identity->issuer)) ||
           is_listed(identity->options.return_origins, origin);
}

/* -- beginning
 * ---------------------------------------------------------------------------------------- */

static struct slice random_text(struct arena *arena)
{
    uint8_t bytes[32];
    struct buf out;
    random_bytes(bytes, sizeof(bytes));
    buf_init(&out, arena, IDENTITY_FLOW_SECRET_LEN + 1, IDENTITY_FLOW_SECRET_LEN + 1);
    buf_put_base64url(&out, bytes, sizeof(bytes));
    return buf_slice(&out);
}

static void put(struct json_out *o, const char *name, struct slice text)
{
    json_out_key(o, slice_cstr(name));
    json_out_string(o, text);
}

/* Apple comes back by a form of its own page, and browsers send only such cookies along with that;
 * what is in it is sealed, and good for one sign-in. */
static const char *same_site(const struct identity_source *source)
{
    return source->config->preset == IDENTITY_PRESET_APPLE ? "None" : "Lax";
}

static enum status set_cookie(struct http_request *req, const struct identity_source *source,
                              struct slice value)
{
    long long age_s = value.len ? IDENTITY_CHALLENGE_FOREIGN_LIFE_US / CLOCK_SECOND : 0;
    struct slice cookie =
        arena_printf(http_arena(req),
                     IDENTITY_FLOW_COOKIE "=%.*s; Path=/; Secure; HttpOnly; SameSite=%s; "
                                          "Max-Age=%lld",
                     SLICE_ARG(value), same_site(source), age_s);
    if (!cookie.data)
        return STATUS_EXHAUSTED;
    http_header_add(req, SLICE("Set-Cookie"), cookie);
    return STATUS_OK;
}

enum status identity_foreign_seal(const struct identity *identity, struct arena *arena,
                                  struct slice json, struct slice *ret)
{
    size_t room = json.len + IDENTITY_SEAL_OVERHEAD, len;
    uint8_t *sealed = arena_alloc(arena, room);
    struct buf out;
    buf_init(&out, arena, room * 4 / 3 + 4, SEALED_BYTES_MAX);
    if (!sealed || !identity_seal_close(&identity->foreign->seal, json, sealed, room, &len))
        return STATUS_EXHAUSTED;
    buf_put_base64url(&out, sealed, len);
    *ret = buf_slice(&out);
    return buf_status(&out);
}

enum status identity_flow_begin(struct task *task, struct http_request *req,
                                const struct identity_source *source, struct identity_flow *flow)
{
    struct identity *identity = source->identity;
    struct arena *arena = task_arena(task);
    const struct identity_challenge challenge = identity_challenge_make(
        identity, IDENTITY_CEREMONY_FOREIGN, source->config->name, clock_wall_us());
    struct buf text, state;
    struct slice sealed;
    buf_init(&state, arena, STATE_TEXT_MAX, STATE_TEXT_MAX);
    buf_put_base64url(&state, challenge.bytes, sizeof(challenge.bytes));
    flow->state = buf_slice(&state);
    flow->nonce = random_text(arena);
    flow->verifier = random_text(arena);
    buf_init(&text, arena, 512, COOKIE_BYTES_MAX);
    struct json_out o = json_out(&text);
    json_out_object(&o);
    put(&o, "state", flow->state);
    put(&o, "nonce", flow->nonce);
    put(&o, "verifier", flow->verifier);
    put(&o, "return", flow->return_to);
    if (flow->has_user) {
        identity_put_id(&o, "user", &flow->user);
        identity_put_id(&o, "session", &flow->session);
    }
    json_out_end(&o);
    enum status st = buf_status(&text) == STATUS_OK ? buf_status(&state) : buf_status(&text);
    if (st == STATUS_OK)
        st = identity_foreign_seal(identity, arena, buf_slice(&text), &sealed);
    return st == STATUS_OK ? set_cookie(req, source, sealed) : STATUS_EXHAUSTED;
}

/* -- taking it
 * ----------------------------------------------------------------------------------------- */

const json_t *identity_foreign_unseal(const struct identity *identity, struct arena *arena,
                                      struct slice sealed)
{
    const struct json_limits limits = { SEALED_BYTES_MAX, 2 };
    char *text;
    size_t len, text_len;
    bool is_previous;
    json_t *json;
    uint8_t *bytes = sealed.len <= SEALED_BYTES_MAX ? arena_alloc(arena, sealed.len + 1) : NULL;
    if (!bytes || !identity__base64url_decode(sealed, bytes, 1, sealed.len, &len) ||
        identity_seal_open(&identity->foreign->seal, slice_of((const char *)bytes, len), arena,
                           &text, &text_len, &is_previous) != STATUS_OK ||
        json_read(arena, slice_of(text, text_len), limits, &json, NULL) != STATUS_OK)
        return NULL;
    return json;
}

static bool take_id(const json_t *json, const char *name, struct uuid *ret)
{
    const json_t *value = json_object_get(json, name);
    return json_is_string(value) && uuid_parse(json_slice(value), ret);
}

static bool read_flow(const json_t *json, struct identity_flow *ret)
{
    ret->state = json_slice(json_object_get(json, "state"));
    ret->nonce = json_slice(json_object_get(json, "nonce"));
    ret->verifier = json_slice(json_object_get(json, "verifier"));
    ret->return_to = json_slice(json_object_get(json, "return"));
    ret->has_user = take_id(json, "user", &ret->user) && take_id(json, "session", &ret->session);
    return ret->state.len && ret->nonce.len && ret->verifier.len;
}

static enum status write_used(struct store_tx *tx, void *arg)
{
    return identity_challenge_use(tx, arg);
}

static enum status refuse(struct task *task)
{
    problem_clear(task_problem(task));
    return problem_set(task, STATUS_DENIED, "identity/foreign-state",
                       "This sign-in was not begun in this browser, took longer than ten minutes, "
                       "or was finished already. Begin it again.");
}

enum status identity_flow_take(struct task *task, struct http_request *req,
                               const struct identity_source *source, struct slice state,
                               struct identity_flow *ret)
{
    struct identity *identity = source->identity;
    struct identity_challenge challenge;
    uint8_t bytes[IDENTITY_CHALLENGE_BYTES];
    size_t len = 0;
    struct slice cookie = http_cookie(req, SLICE(IDENTITY_FLOW_COOKIE));
    const json_t *json = identity_foreign_unseal(identity, task_arena(task), cookie);
    if (cookie.len && set_cookie(req, source, SLICE_NULL) != STATUS_OK)
        return STATUS_EXHAUSTED;
    if (!json || !read_flow(json, ret) || !slice_eq(ret->state, state) ||
        !identity__base64url_decode(state, bytes, sizeof(bytes), sizeof(bytes), &len) ||
        identity_challenge_check(identity, IDENTITY_CEREMONY_FOREIGN, source->config->name,
                                 slice_of((const char *)bytes, len), clock_wall_us(),
                                 &challenge) != STATUS_OK)
        return refuse(task);
    enum status st = store_write(task, identity->store, write_used, &challenge);
    return st == STATUS_CONFLICT ? refuse(task) : st;
}
