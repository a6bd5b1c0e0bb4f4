/*
 * net/tls_client.c - What a connection under TLS is, and whose certificate the client showed.
 *
 * A certificate is only there when it was verified: with one that is not, the handshake fails.
 */
#include <openssl/x509v3.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "net/conn.h"
#include "net/tls.h"

/* What a memory BIO holds, in the arena. */
static struct slice text_of(BIO *bio, struct arena *arena)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    struct slice text = SLICE_NULL;
    if (len > 0 && arena_copy(arena, slice_of(data, (size_t)len), &text) != STATUS_OK)
        return SLICE_NULL;
    return text;
}

static struct slice subject_of(X509 *cert, struct arena *arena)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct slice text = SLICE_NULL;
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
                                  XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0)
        text = text_of(bio, arena);
    BIO_free(bio);
    return text;
}

static struct slice names_of(X509 *cert, struct arena *arena)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    BIO *bio = BIO_new(BIO_s_mem());
    struct slice text = SLICE_NULL;
    for (int i = 0; bio && i < sk_GENERAL_NAME_num(all); i++) {
        if (i > 0)
            (void)BIO_puts(bio, ", ");
        (void)GENERAL_NAME_print(bio, sk_GENERAL_NAME_value(all, i));
    }
    if (bio)
        text = text_of(bio, arena);
    BIO_free(bio);
    GENERAL_NAMES_free(all);
    return text;
}

static struct slice fingerprint_of(X509 *cert, struct arena *arena)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (X509_digest(cert, EVP_sha256(), digest, &len) != 1)
        return SLICE_NULL;
    struct buf hex;
    buf_init(&hex, arena, 2 * (size_t)len, 2 * (size_t)len);
    buf_put_hex(&hex, digest, len);
    return buf_slice(&hex);
}

bool net_tls_info(struct net_exchange *x, struct net_tls_info *ret)
{
    struct net_conn *c = x->conn;
    if (!c->secure || !c->secure->engine.ssl)
        return false;
    SSL *ssl = c->secure->engine.ssl;
    X509 *cert = SSL_get0_peer_certificate(ssl); /* verified, else there were no connection */
    *ret = (struct net_tls_info){
        .version = slice_cstr(SSL_get_version(ssl)),
        .cipher = slice_cstr(SSL_get_cipher_name(ssl)),
        .sni = net__tls_sni(&c->secure->engine),
        .resumed = SSL_session_reused(ssl) == 1,
    };
    if (cert) {
        ret->client_subject = subject_of(cert, x->arena);
        ret->client_names = names_of(cert, x->arena);
        ret->client_fingerprint = fingerprint_of(cert, x->arena);
    }
    return true;
}

/* -- by what it is known
 * ------------------------------------------------------------------------------------------- */

static X509 *client_of(const struct net_exchange *x)
{
    const struct net__secure *z = x->conn->secure;
    return z && z->engine.ssl ? SSL_get0_peer_certificate(z->engine.ssl) : NULL;
}

bool net_tls_client_fingerprint(const struct net_exchange *x,
                                uint8_t ret[NET_TLS_FINGERPRINT_BYTES])
{
    X509 *cert = client_of(x);
    unsigned len = 0;
    return cert && X509_digest(cert, EVP_sha256(), ret, &len) == 1;
}

int64_t net_tls_client_until_us(const struct net_exchange *x)
{
    X509 *cert = client_of(x);
    int days = 0, seconds = 0;
    if (!cert || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) != 1)
        return 0;
    return clock_wall_us() + ((int64_t)days * 86400 + seconds) * CLOCK_SECOND;
}

static bool is_name(const GENERAL_NAME *name, enum net_tls_name kind, struct slice value)
{
    static const int types[] = {
        [NET_TLS_NAME_DNS] = GEN_DNS,
        [NET_TLS_NAME_URI] = GEN_URI,
        [NET_TLS_NAME_EMAIL] = GEN_EMAIL,
    };
    int type;
    const ASN1_STRING *text = GENERAL_NAME_get0_value(name, &type);
    if (type != types[kind])
        return false;
    struct slice shown =
        slice_of((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    return kind == NET_TLS_NAME_DNS ? slice_eq_nocase(shown, value) : slice_eq(shown, value);
}

bool net_tls_client_is(struct net_exchange *x, enum net_tls_name kind, struct slice value)
{
    X509 *cert = client_of(x);
    if (!cert || value.len == 0)
        return false;
    if (kind == NET_TLS_NAME_SUBJECT)
        return slice_eq(subject_of(cert, x->arena), value);
    GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; !found && i < sk_GENERAL_NAME_num(all); i++)
        found = is_name(sk_GENERAL_NAME_value(all, i), kind, value);
    GENERAL_NAMES_free(all);
    return found;
}
