/*
 * http/query.c - Query parameters, as forms write them: name=value joined by '&', '+' for a space,
 * %XX for the rest.
 */
#include "http/internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/macros.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http__decode(struct slice text, bool plus_is_space, char *out, size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            if (text.len - i < 3)
                return false;
            int high = hex_value(text.data[i + 1]), low = hex_value(text.data[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return false;
        out[len++] = c;
    }
    *ret_len = len;
    return utf8_is_valid(slice_of(out, len));
}

static enum status decode_part(struct arena *arena, struct slice raw, struct slice *ret)
{
    char *out = arena_alloc(arena, MAX(raw.len, (size_t)1));
    size_t len;
    if (!out)
        return STATUS_EXHAUSTED;
    if (!http__decode(raw, true, out, &len))
        return STATUS_INVALID;
    *ret = slice_of(out, len);
    return STATUS_OK;
}

static unsigned count_parts(struct slice query)
{
    unsigned n = 1;
    for (size_t i = 0; i < query.len; i++)
        n += query.data[i] == '&';
    return n;
}

enum status http__query_parse(struct arena *arena, struct slice query,
                              struct http_param **ret_params, unsigned *ret_len)
{
    *ret_params = NULL;
    *ret_len = 0;
    if (query.len == 0)
        return STATUS_OK;
    unsigned parts = count_parts(query);
    if (parts > HTTP_QUERY_MAX)
        return STATUS_TOO_LARGE;
    struct http_param *params = arena_array_of(arena, struct http_param, parts);
    if (!params)
        return STATUS_EXHAUSTED;
    struct slice rest = query, part;
    unsigned len = 0;
    while (slice_split(&rest, '&', &part)) {
        if (part.len == 0)
            continue; /* "a=1&&b=2&" is what some clients write */
        size_t equals = slice_find(part, '=');
        struct slice name = slice_head(part, equals);
        struct slice value = equals == SIZE_MAX ? SLICE("") : slice_from(part, equals + 1);
        enum status st = decode_part(arena, name, &params[len].name);
        if (st == STATUS_OK)
            st = decode_part(arena, value, &params[len].value);
        if (st != STATUS_OK)
            return st;
        len++;
    }
    *ret_params = params;
    *ret_len = len;
    return STATUS_OK;
}

enum status http_form_parse(struct arena *arena, struct slice body,
                            const struct http_param **ret_params, unsigned *ret_len)
{
    struct http_param *params;
    enum status st = http__query_parse(arena, body, &params, ret_len);
    *ret_params = params;
    return st;
}

enum status http_query(struct task *task, struct http_request *req,
                       const struct http_param **ret_params, unsigned *ret_len)
{
    if (!req->query_parsed) {
        unsigned most = req->policy->query_max ? req->policy->query_max : HTTP_QUERY_MAX;
        enum status st =
            http__query_parse(http_arena(req), http_net(req)->query, &req->query, &req->query_len);
        if (st == STATUS_OK && req->query_len > most)
            st = STATUS_TOO_LARGE;
        if (st == STATUS_TOO_LARGE)
            return problem_set(task, STATUS_INVALID, "http/query-too-large",
                               "The query has more than %u parameters.", most);
        if (st == STATUS_INVALID)
            return problem_set(task, STATUS_INVALID, "http/query-malformed",
                               "The query is not well-formed: check its %%-escapes and UTF-8.");
        if (st != STATUS_OK)
            return st;
        req->query_parsed = true;
    }
    *ret_params = req->query;
    *ret_len = req->query_len;
    return STATUS_OK;
}
