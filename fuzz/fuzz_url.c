/*
 * fuzz/fuzz_url.c - URLs that we fetch. One that is taken names one host, and is taken the same
 * when it is written down again from its parts; libcurl, which reads more, must see the same host.
 */
#include <curl/curl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "net/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_parts(const struct net_url *url)
{
    require(url->host.len > 0 && url->host.len <= 253);
    require(url->port > 0 && url->port <= 65535);
    require(url->target.len > 0 && url->target.data[0] == '/');
    for (size_t i = 0; i < url->target.len; i++)
        require(url->target.data[i] > 0x20 && url->target.data[i] < 0x7f &&
                url->target.data[i] != '#');
    for (size_t i = 0; i < url->host.len; i++)
        require(!strchr("@/\\?#%[] ", url->host.data[i]));
    struct address address;
    require(url->is_literal == address_parse(url->host, &address));
}

static void check_again(struct arena *arena, const struct net_url *url)
{
    struct net_url again;
    const char *reason = NULL;
    struct slice text = arena_printf(arena, "%s://%.*s%.*s", url->is_tls ? "https" : "http",
                                     SLICE_ARG(url->authority), SLICE_ARG(url->target));
    enum status st = net_url_parse(arena, text, &again, &reason);
    /* It may have grown past the bound by a slash. */
    require(st == STATUS_OK || text.len > 8192);
    if (st != STATUS_OK)
        return;
    require(slice_eq(again.host, url->host) && slice_eq(again.target, url->target));
    require(again.port == url->port && again.is_tls == url->is_tls);
}

static void check_curl(struct arena *arena, struct slice text, const struct net_url *url)
{
    char *cstr = arena_cstr(arena, text), *host = NULL, *port = NULL;
    CURLU *parts = curl_url();
    require(cstr && parts);
    if (curl_url_set(parts, CURLUPART_URL, cstr, 0) == CURLUE_OK) {
        require(curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK);
        require(curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK);
        struct slice theirs = slice_cstr(host);
        if (theirs.len && theirs.data[0] == '[')
            theirs = slice_of(theirs.data + 1, theirs.len - 2);
        if (theirs.len && theirs.data[theirs.len - 1] == '.')
            theirs.len--;
        struct address a, b;
        if (slice_find(url->host, ':') != SIZE_MAX) /* it writes these its own way */
            require(address_parse(theirs, &a) && address_parse(url->host, &b) &&
                    memcmp(a.bytes, b.bytes, 16) == 0);
        else
            require(slice_eq_nocase(theirs, url->host));
        require((unsigned)strtoul(port, NULL, 10) == url->port);
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(NULL, (size_t)1 << 20);
    struct slice text = slice_of((const char *)data, size);
    struct net_url url;
    const char *reason = NULL;
    enum status st = net_url_parse(arena, text, &url, &reason);
    if (st == STATUS_INVALID) {
        require(reason != NULL);
    } else if (st == STATUS_OK) {
        check_parts(&url);
        check_again(arena, &url);
        check_curl(arena, text, &url);
    }
    arena_free(arena);
    return 0;
}
