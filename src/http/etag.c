/*
 * http/etag.c - The lists of If-Match and If-None-Match (RFC 9110 sections 8.8.3 and 13.1).
 */
#include "http/internal.h"

#include "base/macros.h"

/* Take the next entity tag off the list: its opaque part with quotes. False at the end, or where it
 * is malformed. */
static bool next_tag(struct slice *list, bool *ret_weak, struct slice *ret_tag)
{
    size_t i = 0;
    while (i < list->len && (list->data[i] == ' ' || list->data[i] == '\t' || list->data[i] == ','))
        i++;
    *list = slice_from(*list, i);
    *ret_weak = slice_starts(*list, SLICE("W/"));
    if (*ret_weak)
        *list = slice_from(*list, 2);
    if (list->len < 2 || list->data[0] != '"')
        return false;
    size_t end = slice_find(slice_from(*list, 1), '"');
    if (end == SIZE_MAX)
        return false;
    *ret_tag = slice_head(*list, end + 2);
    *list = slice_from(*list, end + 2);
    return list->len == 0 || list->data[0] == ',' || list->data[0] == ' ' || list->data[0] == '\t';
}

/* The same, or the same in another content coding: "3-abc" and "3-abc-br" (http/compress.c). */
static bool is_same(struct slice sent, struct slice etag)
{
    static const struct slice suffixes[] = { SLICE_INIT("-zstd\""), SLICE_INIT("-br\""),
                                             SLICE_INIT("-gzip\"") };
    if (slice_eq(sent, etag))
        return true;
    struct slice stem = slice_head(etag, etag.len ? etag.len - 1 : 0);
    if (sent.len <= etag.len || !slice_starts(sent, stem))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (slice_eq(slice_from(sent, stem.len), suffixes[i]))
            return true;
    }
    return false;
}

struct slice http__etag_variant(struct slice list, struct slice etag)
{
    bool is_weak;
    struct slice tag;
    list = slice_trim(list);
    while (next_tag(&list, &is_weak, &tag)) {
        if (is_same(tag, etag))
            return tag;
    }
    return SLICE_NULL;
}

bool http_etag_matches(struct slice list, struct slice etag, bool weak_ok)
{
    list = slice_trim(list);
    if (slice_eq(list, SLICE("*")))
        return true;
    bool etag_is_weak = slice_starts(etag, SLICE("W/"));
    if (etag_is_weak && !weak_ok)
        return false;
    if (etag_is_weak)
        etag = slice_from(etag, 2);
    bool is_weak;
    struct slice tag;
    while (next_tag(&list, &is_weak, &tag)) {
        if (is_same(tag, etag) && (weak_ok || !is_weak))
            return true;
    }
    return false;
}
