/*
 * fuzz/fuzz_origin.c - What browsers say of where a request comes from: a list of origins (first
 * line), an origin against it (second), cookies (third), a CSRF token (fourth). Nothing but a
 * well-formed origin is ever in a list, and no token passes that was not made here.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "http/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool is_origin(struct slice text)
{
    size_t colon = slice_find_slice(text, SLICE("://"));
    if (colon == SIZE_MAX || colon == 0 || colon + 3 == text.len)
        return slice_eq(text, SLICE("null"));
    struct slice host = slice_from(text, colon + 3);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c <= ' ' || c > '~' || (c >= 'A' && c <= 'Z') || strchr("@?#\\*%\"<>", c))
            return false;
    }
    return slice_find(host, '/') == SIZE_MAX;
}

static void check_origins(struct slice list, struct slice origin)
{
    struct arena *arena = arena_new(NULL, (size_t)4 << 20);
    struct http__origins origins;
    if (!http__origins_parse(arena, list, &origins)) {
        require(origins.len <= HTTP__ORIGINS_MAX);
        require(!origins.any || (!origins.len && !origins.null));
        if (http__origins_have(&origins, origin))
            require(is_origin(origin));
        /* What is listed by name is in it, and as a browser would write it. */
        for (unsigned i = 0; i < origins.len; i++) {
            const struct http__origin *o = &origins.items[i];
            require(o->suffix.len || (is_origin(o->text) && http__origins_have(&origins, o->text)));
        }
    }
    arena_free(arena);
}

static void check_cookies(struct slice text)
{
    struct net_header header = { .name = SLICE("cookie"), .value = text, .id = NET_HEADER_COOKIE };
    struct net_request request = { .headers = &header, .headers_len = 1 };
    memset(request.by_id, 0xff, sizeof(request.by_id));
    require(http__cookie_of(&request, SLICE("a")).data == NULL);
    request.by_id[NET_HEADER_COOKIE] = 0;
    struct slice value = http__cookie_of(&request, SLICE("a"));
    if (value.data) {
        require(value.data >= text.data && value.data + value.len <= text.data + text.len);
        require(slice_find(value, ';') == SIZE_MAX);
    }
}

static void check_token(struct slice token)
{
    static struct http_app *app; /* once: a secret of nobody */
    if (!app && http_app_new(&(struct http_options){ .access_log = false }, &app) != STATUS_OK)
        abort();
    require(!http_csrf_token_verify(app, SLICE("session"), token));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of((const char *)data, size), lines[4] = { SLICE_NULL };
    for (size_t i = 0; i < 4 && rest.data; i++)
        (void)slice_split(&rest, '\n', &lines[i]);
    check_origins(lines[0], lines[1]);
    check_cookies(lines[2]);
    check_token(lines[3]);
    return 0;
}
