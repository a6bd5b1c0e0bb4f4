/*
 * The keys that requests are signed with, as `signature.keys` names them, and whether what the
 * policies ask of signatures can be done with them.
 */
#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/diag.h"
#include "cmd/config.h"
#include "cmd/edge.h"

#define KEY_FILE_BYTES_MAX ((size_t)16 * 1024)

static void complain(struct diag *diag, struct slice what, const char *why)
{
    diag_add(diag, SLICE("configuration"), 0, 0, SLICE("signature.keys"), SLICE_NULL, "%.*s: %s",
             SLICE_ARG(what), why);
}

/* The secret or the PEM that the last part of a key stands for. */
static const char *read_material(struct arena *arena, bool is_secret, struct slice text,
                                 struct slice *ret)
{
    bool is_file = !is_secret || slice_starts(text, SLICE("file:"));
    if (slice_starts(text, SLICE("file:")))
        text = slice_from(text, 5);
    if (is_file) {
        enum status st = file_read(arena, text, KEY_FILE_BYTES_MAX, ret);
        /* A line break behind a secret is the editor's. */
        while (st == STATUS_OK && is_secret && ret->len &&
               (ret->data[ret->len - 1] == '\n' || ret->data[ret->len - 1] == '\r'))
            ret->len--;
        return st == STATUS_OK ? NULL : "its file cannot be read";
    }
    if (!slice_starts(text, SLICE("base64:"))) {
        *ret = text;
        return NULL;
    }
    text = slice_from(text, 7);
    unsigned char *bytes = arena_alloc(arena, text.len + 1);
    size_t len;
    if (!bytes || sodium_base642bin(bytes, text.len, text.data, text.len, NULL, &len, NULL,
                                    sodium_base64_VARIANT_ORIGINAL) != 0)
        return "what follows base64: is not base64";
    *ret = slice_of((const char *)bytes, len);
    return NULL;
}

/* In a file of secrets each key may have a line. */
static struct slice trim_lines(struct slice text)
{
    while (text.len && memchr(" \t\r\n", text.data[0], 4))
        text = slice_from(text, 1);
    while (text.len && memchr(" \t\r\n", text.data[text.len - 1], 4))
        text.len--;
    return text;
}

/* "id:algorithm:material" */
static void add_key(struct arena *arena, struct diag *diag, struct slice text,
                    struct http_signature_key **keys, unsigned *len)
{
    size_t first = slice_find(text, ':');
    struct slice id = slice_head(text, first), rest = slice_from(text, first + (first != SIZE_MAX));
    size_t second = slice_find(rest, ':');
    if (first == SIZE_MAX || second == SIZE_MAX) {
        complain(diag, id, "must be id:algorithm:secret or id:algorithm:file");
        return;
    }
    struct slice alg = slice_head(rest, second), material;
    bool is_secret = slice_eq(alg, SLICE("hmac-sha256")) || !http_signature_alg_is_known(alg);
    const char *reason = read_material(arena, is_secret, slice_from(rest, second + 1), &material);
    for (unsigned i = 0; i < *len && !reason; i++) {
        if (slice_eq(http_signature_key_id(keys[i]), id))
            reason = "is named twice";
    }
    if (!reason && *len == HTTP_SIGNATURE_KEYS_MAX)
        reason = "is one key too many; 64 are allowed";
    if (!reason && http_signature_key_new(id, alg, material, &keys[*len], &reason) == STATUS_OK) {
        (*len)++;
        return;
    }
    complain(diag, id, reason);
}

static bool has_key(struct http_signature_key *const *keys, unsigned len, struct slice id)
{
    for (unsigned i = 0; i < len; i++) {
        if (slice_eq(http_signature_key_id(keys[i]), id))
            return true;
    }
    return false;
}

/* What one policy asks for, against the keys that there are. */
static void check_policy(const struct config *c, struct diag *diag,
                         struct http_signature_key *const *keys, unsigned len)
{
    if (slice_eq(c->signature_mode, SLICE("off")))
        return;
    if (len == 0)
        diag_add(diag, SLICE("configuration"), 0, 0, SLICE("signature.mode"), SLICE_NULL,
                 "needs keys in signature.keys");
    struct slice rest = c->signature_accept, part;
    while (rest.len && slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (!has_key(keys, len, part))
            diag_add(diag, SLICE("configuration"), 0, 0, SLICE("signature.accept"), SLICE_NULL,
                     "names %.*s, which is not in signature.keys", SLICE_ARG(part));
    }
    rest = c->signature_components;
    unsigned components = 0;
    while (rest.len && slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (++components > HTTP_SIGNATURE_COMPONENTS_MAX || !http_signature_component(part))
            diag_add(diag, SLICE("configuration"), 0, 0, SLICE("signature.components"), SLICE_NULL,
                     "%.*s must be a component of RFC 9421 such as @method, or a header in lower "
                     "case; at most %u",
                     SLICE_ARG(part), HTTP_SIGNATURE_COMPONENTS_MAX);
    }
}

enum status edge_signature_keys(const struct config *config, struct arena *arena, struct diag *diag,
                                struct http_options *options)
{
    struct http_signature_key **keys =
        arena_array_of(arena, struct http_signature_key *, HTTP_SIGNATURE_KEYS_MAX);
    if (!keys)
        return STATUS_EXHAUSTED;
    unsigned len = 0, before = diag->len;
    struct slice rest = config->signature_keys, part;
    while (rest.len && slice_split(&rest, ',', &part))
        add_key(arena, diag, trim_lines(part), keys, &len);
    check_policy(config, diag, keys, len);
    for (unsigned i = 0; i < config->routes_len; i++)
        check_policy(config->routes[i].config, diag, keys, len);
    if (diag->len > before) {
        while (len > 0)
            http_signature_key_free(keys[--len]);
        return STATUS_INVALID;
    }
    options->signature_keys = keys;
    options->signature_keys_len = len;
    options->signature_nonces_max = (unsigned)config->signature_nonces;
    return STATUS_OK;
}
