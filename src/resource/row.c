/*
 * Rows to JSON and to entity tags. A representation is the same bytes whether it was read, or
 * written just now.
 */
#include "resource/resource_private.h"

void resource__row_write(const struct resource_shape *shape, const struct store_rows *rows,
                         struct buf *out)
{
    for (unsigned i = 0; i < shape->len; i++) {
        buf_put_slice(out, shape->keys[i]);
        contract_value_write_rows(shape->fields[i], rows, shape->columns[i], out);
    }
    buf_putc(out, '}');
}

void resource__row_write_values(const struct resource_shape *shape,
                                const struct store_value *values, struct buf *out)
{
    for (unsigned i = 0; i < shape->len; i++) {
        buf_put_slice(out, shape->keys[i]);
        contract_value_write(shape->fields[i], &values[shape->fields[i]->column], out);
    }
    buf_putc(out, '}');
}

struct slice resource__etag(int64_t version, struct slice representation, struct arena *arena)
{
    struct buf b;
    buf_init(&b, arena, 48, 48);
    buf_putc(&b, '"');
    buf_put_i64(&b, version);
    buf_putc(&b, '-');
    uint64_t hash = hash64(representation, 0);
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(hash >> (56 - 8 * i));
    buf_put_hex(&b, bytes, sizeof(bytes));
    buf_putc(&b, '"');
    return buf_slice(&b);
}

struct slice resource__location(const struct resource_info *info, const struct uuid *id,
                                struct arena *arena)
{
    char text[UUID_TEXT_LEN];
    uuid_format(id, text);
    struct buf b;
    buf_init(&b, arena, info->path.len + 1 + sizeof(text), info->path.len + 1 + sizeof(text));
    buf_put_slice(&b, info->path);
    buf_putc(&b, '/');
    buf_put(&b, text, sizeof(text));
    return buf_status(&b) == STATUS_OK ? buf_slice(&b) : SLICE_NULL;
}

/* Take one entity tag off the list; false at its end. What is no entity tag is passed over up to
 * the next comma. */
static bool next_tag(struct slice *rest, bool *ret_weak, struct slice *ret_opaque)
{
    while (rest->len > 0) {
        struct slice s = slice_trim(*rest);
        bool weak = slice_starts(s, SLICE("W/"));
        if (weak)
            s = slice_from(s, 2);
        if (slice_starts(s, SLICE("\""))) {
            s = slice_from(s, 1);
            size_t end = slice_find(s, '"');
            if (end == SIZE_MAX)
                return false;
            *ret_weak = weak;
            *ret_opaque = slice_head(s, end);
            s = slice_from(s, end + 1);
            size_t comma = slice_find(s, ',');
            *rest = comma == SIZE_MAX ? SLICE_NULL : slice_from(s, comma + 1);
            return true;
        }
        size_t comma = slice_find(s, ',');
        *rest = comma == SIZE_MAX ? SLICE_NULL : slice_from(s, comma + 1);
    }
    return false;
}

bool resource__if_match_allows(struct slice header, int64_t version)
{
    struct slice rest = slice_trim(header), tag;
    if (slice_eq(rest, SLICE("*")))
        return true;
    bool weak;
    while (next_tag(&rest, &weak, &tag)) {
        size_t dash = slice_find(tag, '-');
        int64_t n;
        if (!weak && slice_to_i64(slice_head(tag, MIN(dash, tag.len)), &n) && n == version)
            return true;
    }
    return false;
}

enum status resource__rows_copy(const struct store_rows *rows, unsigned column, struct arena *arena,
                                struct store_value *ret_value)
{
    struct store_value value = store_rows_value(rows, column);
    if ((value.kind == STORE_TEXT || value.kind == STORE_BLOB) &&
        arena_copy(arena, value.as.bytes, &value.as.bytes) != STATUS_OK)
        return STATUS_EXHAUSTED;
    *ret_value = value;
    return STATUS_OK;
}

bool resource__value_eq(const struct store_value *a, const struct store_value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case STORE_NULL:
        return true;
    case STORE_I64:
        return a->as.i64 == b->as.i64;
    case STORE_DOUBLE:
        return a->as.real <= b->as.real && a->as.real >= b->as.real;
    case STORE_TEXT:
    case STORE_BLOB:
        return slice_eq(a->as.bytes, b->as.bytes);
    }
    return false;
}

void resource__send_item(struct resource_call *call, int status, int64_t version, struct slice body,
                         struct slice location)
{
    struct slice etag = resource__etag(version, body, call->arena);
    http_header_add(call->req, SLICE("ETag"), etag);
    if (location.len)
        http_header_add(call->req, SLICE("Location"), location);
    const struct net_header *known = net_header_get(http_net(call->req), NET_HEADER_IF_NONE_MATCH);
    enum net_method method = http_method(call->req);
    bool is_read = method == NET_METHOD_GET || method == NET_METHOD_HEAD;
    if (known && is_read && http_etag_matches(known->value, etag, /* weak_ok= */ true)) {
        http_send_empty(call->req, 304);
        return;
    }
    http_send_json(call->req, status, body);
}
