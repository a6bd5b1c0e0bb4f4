/*
 * tests/net/certificates.h - Certificates made on the spot: an authority and what it signs, on
 * P-256 or RSA.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct made {
    X509 *cert;
    EVP_PKEY *key;
};

static inline void must_work(int ok)
{
    if (!ok)
        abort();
}

static inline void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must_work(e && X509_add_ext(cert, e, -1));
    X509_EXTENSION_free(e);
}

/* `names` is a subjectAltName ("DNS:a.example,IP:127.0.0.1"); NULL makes an authority. Valid for
 * `days`; an `issuer` of NULL signs itself. */
static inline struct made make_certificate(const char *cn, const char *names, const char *kind,
                                           int days, const struct made *issuer)
{
    struct made m = { .cert = X509_new(),
                      .key = strcmp(kind, "rsa") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256") };
    static long serial = 1;
    must_work(m.cert && m.key);
    X509_set_version(m.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(m.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(m.cert), -2L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(m.cert), (long)days * 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(m.cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)cn, -1, -1, 0);
    const struct made *by = issuer ? issuer : &m;
    X509_set_issuer_name(m.cert, X509_get_subject_name(by->cert));
    X509_set_pubkey(m.cert, m.key);
    add_extension(m.cert, by->cert, NID_basic_constraints,
                  names ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (names)
        add_extension(m.cert, by->cert, NID_subject_alt_name, names);
    must_work(X509_sign(m.cert, by->key, EVP_sha256()) > 0);
    return m;
}

static inline void made_free(struct made *m)
{
    X509_free(m->cert);
    EVP_PKEY_free(m->key);
    *m = (struct made){ 0 };
}

/* `issuer` may be NULL: then the file holds the certificate alone. */
static inline void write_certificate(const char *path, const struct made *m,
                                     const struct made *issuer)
{
    FILE *f = fopen(path, "w");
    must_work(f && PEM_write_X509(f, m->cert) && (!issuer || PEM_write_X509(f, issuer->cert)));
    must_work(fclose(f) == 0);
}

static inline void write_key(const char *path, const struct made *m)
{
    FILE *f = fopen(path, "w");
    must_work(f && PEM_write_PrivateKey(f, m->key, NULL, NULL, 0, NULL, NULL));
    must_work(fclose(f) == 0);
}
