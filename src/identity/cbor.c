/* identity/cbor.c - Reading CBOR. */
#include "identity/cbor.h"

/* The number of a head: in its low five bits, or in the 1, 2, 4 or 8 bytes behind it. */
static enum status read_number(struct slice *rest, unsigned info, uint64_t *ret)
{
    static const uint64_t least[] = { 24, 0x100, 0x10000, 0x100000000 };
    if (info < 24) {
        *ret = info;
        return STATUS_OK;
    }
    if (info > 27)
        return STATUS_INVALID; /* reserved, or an indefinite length */
    size_t len = (size_t)1 << (info - 24);
    if (rest->len < len)
        return STATUS_INVALID;
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++)
        number = number << 8 | (uint8_t)rest->data[i];
    if (number < least[info - 24])
        return STATUS_INVALID; /* a shorter form exists */
    *rest = slice_from(*rest, len);
    *ret = number;
    return STATUS_OK;
}

static enum status read_item(struct slice *rest, struct identity_cbor_item *ret)
{
    if (rest->len == 0)
        return STATUS_INVALID;
    uint8_t head = (uint8_t)rest->data[0];
    unsigned info = head & 31;
    *ret = (struct identity_cbor_item){ .kind = (enum identity_cbor_kind)(head >> 5) };
    *rest = slice_from(*rest, 1);
    if (head >> 5 == 6)
        return STATUS_INVALID; /* a tag */
    if (ret->kind == IDENTITY_CBOR_SIMPLE) {
        ret->number = info;
        return info >= 20 && info <= 23 ? STATUS_OK : STATUS_INVALID;
    }
    enum status st = read_number(rest, info, &ret->number);
    if (st != STATUS_OK || (ret->kind != IDENTITY_CBOR_BYTES && ret->kind != IDENTITY_CBOR_TEXT))
        return st;
    if (ret->number > rest->len)
        return STATUS_INVALID;
    ret->bytes = slice_head(*rest, (size_t)ret->number);
    *rest = slice_from(*rest, (size_t)ret->number);
    return ret->kind == IDENTITY_CBOR_TEXT && !utf8_is_valid(ret->bytes) ? STATUS_INVALID
                                                                         : STATUS_OK;
}

enum status identity_cbor_next(struct slice *rest, struct identity_cbor_item *ret)
{
    struct slice at = *rest;
    enum status st = read_item(&at, ret);
    if (st == STATUS_OK)
        *rest = at;
    return st;
}

enum status identity_cbor_skip(struct slice *rest)
{
    uint64_t left[IDENTITY_CBOR_DEPTH_MAX + 1] = { 1 }; /* items that follow, by depth */
    unsigned depth = 0;
    struct slice at = *rest;
    while (left[0] > 0 || depth > 0) {
        struct identity_cbor_item item;
        if (left[depth] == 0) {
            depth--;
            continue;
        }
        left[depth]--;
        if (read_item(&at, &item) != STATUS_OK)
            return STATUS_INVALID;
        if (item.kind != IDENTITY_CBOR_ARRAY && item.kind != IDENTITY_CBOR_MAP)
            continue;
        /* Each item has a byte at least: what says it has more than there are is cut off. */
        if (item.number > at.len || depth == IDENTITY_CBOR_DEPTH_MAX)
            return STATUS_INVALID;
        left[++depth] = item.kind == IDENTITY_CBOR_MAP ? item.number * 2 : item.number;
    }
    *rest = at;
    return STATUS_OK;
}

bool identity_cbor_small(const struct identity_cbor_item *item, int64_t *ret)
{
    bool is_number = item->kind == IDENTITY_CBOR_UNSIGNED || item->kind == IDENTITY_CBOR_NEGATIVE;
    if (!is_number || item->number > INT32_MAX)
        return false;
    *ret =
        item->kind == IDENTITY_CBOR_UNSIGNED ? (int64_t)item->number : -1 - (int64_t)item->number;
    return true;
}
