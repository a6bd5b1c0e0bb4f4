/*
 * http/body.c - The body as handlers want it: whole, of the type they ask for, with problems that
 * say what was wrong.
 */
#include "http/internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/problem.h"
#include "http/signature.h"

struct slice http_content_type(const struct http_request *req)
{
    const struct net_header *h = net_header_get(http_net(req), NET_HEADER_CONTENT_TYPE);
    if (!h)
        return SLICE("");
    struct slice type = slice_trim(slice_head(h->value, slice_find(h->value, ';')));
    bool has_upper = false;
    for (size_t i = 0; i < type.len; i++)
        has_upper |= type.data[i] >= 'A' && type.data[i] <= 'Z';
    if (!has_upper)
        return type;
    char *lower = arena_alloc(net_arena(req->x), type.len);
    if (!lower)
        return SLICE("");
    for (size_t i = 0; i < type.len; i++) {
        char c = type.data[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    return slice_of(lower, type.len);
}

static bool type_matches(struct slice sent, struct slice wanted)
{
    if (slice_eq(sent, wanted))
        return true;
    return slice_eq(wanted, SLICE(HTTP_JSON)) && slice_starts(sent, SLICE("application/")) &&
           slice_ends(sent, SLICE("+json"));
}

static enum status check_type(struct task *task, struct http_request *req, const char *type)
{
    if (!type || type_matches(http_content_type(req), slice_cstr(type)))
        return STATUS_OK;
    return http__refuse(task, STATUS_INVALID, 415, "http/unsupported-media-type",
                        "The body must be %s, and Content-Type must say so.", type);
}

/* What net/ found, in words. */
enum status http__body_problem(struct task *task, enum status st)
{
    switch (st) {
    case STATUS_TOO_LARGE:
        return http__refuse(task, st, 413, "http/body-too-large",
                            "The body is larger than this route takes.");
    case STATUS_TIMEOUT:
        return http__refuse(task, st, 408, "http/request-timeout",
                            "The body did not arrive in time.");
    case STATUS_INVALID:
        return http__refuse(task, st, 400, "http/malformed",
                            "The request is not well-formed HTTP/1.1.");
    default:
        return st;
    }
}

/* Append to *buffer, which holds `len` of `*cap` bytes. */
static bool gather(struct http_request *req, char **buffer, size_t *cap, size_t len,
                   struct slice piece)
{
    if (len + piece.len > *cap) {
        size_t want = MAX(*cap * 2, len + piece.len);
        char *grown = arena_realloc(http_arena(req), *buffer, *cap, want);
        if (!grown)
            return false;
        *buffer = grown;
        *cap = want;
    }
    memcpy(*buffer + len, piece.data, piece.len);
    return true;
}

static enum status read_decoded(struct task *task, struct http_request *req, struct slice *ret_body)
{
    char *buffer = NULL;
    size_t len = 0, cap = 0;
    struct slice piece;
    enum status st;
    while ((st = http_body_read(task, req, &piece)) == STATUS_OK) {
        if (!gather(req, &buffer, &cap, len, piece))
            return http__refuse(task, STATUS_TOO_LARGE, 413, "http/body-too-large",
                                "The body is larger than this server can hold.");
        len += piece.len;
    }
    if (st != STATUS_NOT_FOUND)
        return st;
    *ret_body = slice_of(buffer ? buffer : "", len);
    return STATUS_OK;
}

static enum status read_whole(struct task *task, struct http_request *req, enum http__coding coding,
                              struct slice *ret_body)
{
    if (coding != HTTP__IDENTITY)
        return read_decoded(task, req, ret_body);
    enum status st = http__body_problem(task, net_body_read_all(task, req->x, ret_body));
    if (st != STATUS_OK)
        return st;
    /* Nobody acts on a body before it is known to be the one that was meant. */
    return http__digest_check(task, req, *ret_body);
}

enum status http_body(struct task *task, struct http_request *req, const char *type,
                      struct slice *ret_body)
{
    enum http__coding coding;
    enum status st = http__body_coding(task, req, &coding);
    if (st == STATUS_OK)
        st = check_type(task, req, type);
    if (st == STATUS_OK && !req->has_body) {
        st = read_whole(task, req, coding, &req->body);
        req->has_body = st == STATUS_OK;
    }
    if (st == STATUS_OK)
        *ret_body = req->body;
    return st;
}
