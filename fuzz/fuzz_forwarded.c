/*
 * fuzz/fuzz_forwarded.c - Forwarding headers, one a line: hops stay within their bound and inside
 * the text, and an address that is read writes itself the same way twice.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "http/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_inside(struct slice part, struct slice text)
{
    if (part.len)
        require(part.data >= text.data && part.data + part.len <= text.data + text.len);
}

static void check(const struct http__hops *hops, struct slice text)
{
    require(hops->len <= HTTP__HOPS_MAX);
    for (unsigned i = 0; i < hops->len; i++) {
        const struct http__hop *h = &hops->items[i];
        struct address a, again;
        char written[ADDRESS_TEXT_MAX];
        require_inside(h->node, text);
        require_inside(h->proto, text);
        require_inside(h->host, text);
        (void)net_authority_is_valid(h->host);
        if (!address_parse_node(h->node, &a))
            continue;
        require(address_parse(address_format(&a, written), &again));
        require(address_eq(&a, &again) && a.is_v4 == again.is_v4);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size), rest = text, line;
    struct http__hops rfc = { .len = 0 }, x = { .len = 0 };
    while (size && slice_split(&rest, '\n', &line)) {
        (void)http__forwarded_parse(line, &rfc);
        http__x_forwarded_parse(line, &x);
    }
    check(&rfc, text);
    check(&x, text);
    return 0;
}
