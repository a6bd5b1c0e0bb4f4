/* identity/certificates.c - Client certificates as credentials. */
#include "identity/certificates.h"

#include <sodium.h>
#include <string.h>

#include "http/http.h"
#include "net/net.h"

bool identity_certificate_key(struct http_request *req, char ret[IDENTITY_CERTIFICATE_KEY_LEN])
{
    ret[0] = '\0';
    return net_tls_client_fingerprint(http_exchange(req), (uint8_t *)ret + 1) &&
           !http_is_cross_site(req);
}

static bool is_of(struct http_request *req, const struct identity_certificate *item,
                  struct slice fingerprint)
{
    static const enum net_tls_name kinds[] = {
        [IDENTITY_CERTIFICATE_DNS] = NET_TLS_NAME_DNS,
        [IDENTITY_CERTIFICATE_URI] = NET_TLS_NAME_URI,
        [IDENTITY_CERTIFICATE_EMAIL] = NET_TLS_NAME_EMAIL,
        [IDENTITY_CERTIFICATE_SUBJECT] = NET_TLS_NAME_SUBJECT,
    };
    if (item->by == IDENTITY_CERTIFICATE_SHA256)
        return slice_eq(item->value, fingerprint);
    return net_tls_client_is(http_exchange(req), kinds[item->by], item->value);
}

const struct identity_certificate *
identity_certificate_find(struct http_request *req, const struct identity_certificate *items,
                          unsigned len)
{
    uint8_t digest[NET_TLS_FINGERPRINT_BYTES];
    char hex[2 * sizeof(digest) + 1];
    if (!net_tls_client_fingerprint(http_exchange(req), digest))
        return NULL;
    (void)sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
    for (unsigned i = 0; i < len; i++)
        if (is_of(req, &items[i], slice_cstr(hex)))
            return &items[i];
    return NULL;
}
