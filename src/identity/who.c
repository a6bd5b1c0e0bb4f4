/*
 * identity/who.c - Packing: the struct as it is, then the bytes of its texts, each after its
 * length. Never leaves the process.
 */
#include "identity/who.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

static void put_text(struct buf *b, struct slice text)
{
    uint32_t len = (uint32_t)text.len;
    buf_put(b, &len, sizeof(len));
    buf_put_slice(b, text);
}

enum status identity_who_pack(struct arena *arena, const struct identity_who *who,
                              struct slice *ret)
{
    struct buf b;
    buf_init(&b, arena, sizeof(*who) + 128, IDENTITY_WHO_BYTES_MAX);
    buf_put(&b, who, sizeof(*who));
    put_text(&b, who->client_id);
    put_text(&b, who->scope);
    put_text(&b, who->key_addresses);
    put_text(&b, who->permissions);
    for (unsigned i = 0; i < who->roles_len + who->lent_len; i++)
        put_text(&b, who->roles[i]);
    *ret = buf_slice(&b);
    return buf_status(&b);
}

static struct slice take_text(struct slice *rest)
{
    uint32_t len;
    memcpy(&len, rest->data, sizeof(len));
    struct slice text = slice_of(rest->data + sizeof(len), len);
    *rest = slice_from(*rest, sizeof(len) + len);
    return text;
}

enum status identity_who_unpack(struct arena *arena, struct slice packed, struct identity_who *ret)
{
    struct slice rest;
    enum status st = arena_copy(arena, slice_from(packed, sizeof(*ret)), &rest);
    if (st != STATUS_OK)
        return st;
    memcpy(ret, packed.data, sizeof(*ret));
    ret->client_id = take_text(&rest);
    ret->scope = take_text(&rest);
    ret->key_addresses = take_text(&rest);
    ret->permissions = take_text(&rest);
    struct slice *roles = NULL;
    unsigned roles_len = ret->roles_len + ret->lent_len;
    if (roles_len) {
        roles = arena_array_of(arena, struct slice, roles_len);
        if (!roles)
            return STATUS_EXHAUSTED;
    }
    for (unsigned i = 0; i < roles_len; i++)
        roles[i] = take_text(&rest);
    ret->roles = roles;
    return STATUS_OK;
}
