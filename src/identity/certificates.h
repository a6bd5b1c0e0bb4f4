/*
 * identity/certificates.h - Programs that show a client certificate (mutual TLS): whom each stands
 * for, as the configuration says. For whoever reads that, and the room.
 *
 * A certificate counts only when nothing else names a caller: no token, no key, no session. And
 * not when a page of another site has the browser send it, for a browser does so unasked.
 */
#pragma once

#include <stdbool.h>

#include "base/id.h"
#include "base/slice.h"

struct http_request;

#define IDENTITY_CERTIFICATES_MAX 256u
#define IDENTITY_CERTIFICATE_NAME_MAX 64u

enum identity_certificate_by {
    IDENTITY_CERTIFICATE_DNS,
    IDENTITY_CERTIFICATE_URI,
    IDENTITY_CERTIFICATE_EMAIL,
    IDENTITY_CERTIFICATE_SUBJECT,
    IDENTITY_CERTIFICATE_SHA256, /* of the whole certificate: 64 hexadecimal digits, lower case */
    IDENTITY_CERTIFICATE_BYS
};

struct identity_certificate {
    struct slice name; /* for logs and the audit log */
    enum identity_certificate_by by;
    struct slice value;
    bool has_user; /* it stands for this person, with their roles; else for a service */
    struct uuid user;
    const struct slice *roles; /* of a service */
    unsigned roles_len;
    struct slice scopes; /* permissions that it is held to, spaces between; empty: not held back */
};

/* Bytes that name the shown certificate in the token cache; no header can hold them. */
#define IDENTITY_CERTIFICATE_KEY_LEN (1u + 32u)
/* False: none was shown, or it does not count here. */
bool identity_certificate_key(struct http_request *req, char ret[IDENTITY_CERTIFICATE_KEY_LEN]);
/* The first entry that the shown certificate is; NULL: none. */
const struct identity_certificate *
identity_certificate_find(struct http_request *req, const struct identity_certificate *items,
                          unsigned len);
