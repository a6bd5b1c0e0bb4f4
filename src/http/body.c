/*
 * http/body.c - The body as handlers want it: whole, of the type they ask for, with problems that
 * say what was wrong.
 */
#include "http/internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/problem.h"

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

/* As problem_set, with an HTTP status of its own. */
#define SET(task, st, status_code, ...)                                                            \
    do {                                                                                           \
        (void)problem_set((task), (st), __VA_ARGS__); /* returned below */                         \
        if (task_problem(task)->status == (st) && !task_problem(task)->http_status)                \
            task_problem(task)->http_status = (status_code);                                       \
    } while (0)

static enum status check_type(struct task *task, struct http_request *req, const char *type)
{
    const struct net_header *coding = net_header_get(http_net(req), NET_HEADER_CONTENT_ENCODING);
    if (coding && !slice_eq_nocase(coding->value, SLICE("identity"))) {
        SET(task, STATUS_INVALID, 415, "http/content-encoding",
            "The body may not have a content coding.");
        return STATUS_INVALID;
    }
    if (!type || type_matches(http_content_type(req), slice_cstr(type)))
        return STATUS_OK;
    SET(task, STATUS_INVALID, 415, "http/unsupported-media-type",
        "The body must be %s, and Content-Type must say so.", type);
    return STATUS_INVALID;
}

enum status http_body(struct task *task, struct http_request *req, const char *type,
                      struct slice *ret_body)
{
    enum status st = check_type(task, req, type);
    if (st != STATUS_OK)
        return st;
    st = net_body_read_all(task, req->x, ret_body);
    if (st == STATUS_TOO_LARGE)
        SET(task, st, 413, "http/body-too-large", "The body is larger than this route takes.");
    else if (st == STATUS_TIMEOUT)
        SET(task, st, 408, "http/request-timeout", "The body did not arrive in time.");
    else if (st == STATUS_INVALID)
        SET(task, st, 400, "http/malformed", "The request is not well-formed HTTP/1.1.");
    return st;
}
