/*
 * net/tls_cert.c - A certificate from its files: chain, key, names, and the OCSP answer to staple.
 */
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"

#define NAMES_MAX 1000u /* of one certificate */
#define CHAIN_MAX 10
/* An answer that ends so soon is not worth the risk of clocks that differ. */
#define STAPLE_MARGIN_US (60 * CLOCK_SECOND)

enum status net__tls_refuse(struct net_tls_error *error, struct slice file, const char *why)
{
    (void)snprintf(error->text, sizeof(error->text), "%.*s: %s", SLICE_ARG(file), why);
    ERR_clear_error();
    return STATUS_INVALID;
}

static const char *read_whole(struct slice path, struct arena *arena, struct slice *ret)
{
    char *name = arena_cstr(arena, path);
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        int error = errno;
        return error == ENOENT || error == ENOTDIR ? "there is no such file"
               : error == EACCES                   ? "the file may not be read (permissions)"
                                                   : "the file cannot be read";
    }
    struct buf text;
    buf_init(&text, arena, 8192, NET__TLS_FILE_BYTES_MAX + 8192);
    ssize_t n = 1;
    while (n > 0 && text.len <= NET__TLS_FILE_BYTES_MAX) {
        char *room = buf_reserve(&text, 4096);
        n = room ? read(fd, room, 4096) : -1;
        if (n > 0)
            text.len += (size_t)n;
    }
    (void)close(fd);
    if (text.len > NET__TLS_FILE_BYTES_MAX)
        return "the file is larger than 1 MiB";
    if (n < 0)
        return "the file cannot be read";
    *ret = buf_slice(&text);
    return NULL;
}

static BIO *bio_of(struct slice text)
{
    return text.len ? BIO_new_mem_buf(text.data, (int)text.len) : NULL;
}

/* Nobody is there to type a passphrase. */
static int no_passphrase(char *to, int size, int is_write, void *arg)
{
    (void)to;
    (void)size;
    (void)is_write;
    *(bool *)arg = true;
    return -1;
}

static const char *load_chain(struct slice text, struct net__tls_cert *cert)
{
    BIO *bio = bio_of(text);
    bool unused = false;
    cert->x509 = bio ? PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, &unused) : NULL;
    cert->chain = sk_X509_new_null();
    const char *wrong = NULL;
    if (!cert->x509 || !cert->chain)
        wrong = "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)";
    while (!wrong) {
        X509 *next = PEM_read_bio_X509(bio, NULL, no_passphrase, &unused);
        if (!next)
            break;
        if (sk_X509_num(cert->chain) >= CHAIN_MAX || !sk_X509_push(cert->chain, next)) {
            X509_free(next);
            wrong = "holds more than ten certificates behind the first";
        }
    }
    /* The end of the file looks like a missing start line; anything else is damage. */
    unsigned long error = ERR_peek_last_error();
    if (!wrong && error && ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
        wrong = "holds a damaged certificate";
    BIO_free(bio);
    ERR_clear_error();
    return wrong;
}

static const char *load_key(struct slice text, struct net__tls_cert *cert)
{
    BIO *bio = bio_of(text);
    bool is_locked = false;
    cert->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &is_locked) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (is_locked)
        return "is protected by a passphrase; `openssl pkey -in KEY -out PLAIN` removes it";
    return cert->key ? NULL : "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)";
}

static enum status put_name(struct arena *arena, struct slice text, struct net__tls_cert *cert)
{
    char *lower = arena_alloc(arena, text.len + 1);
    if (!lower)
        return STATUS_EXHAUSTED;
    for (size_t i = 0; i < text.len; i++)
        lower[i] =
            (char)(text.data[i] >= 'A' && text.data[i] <= 'Z' ? text.data[i] | 0x20 : text.data[i]);
    cert->names[cert->names_len++] = slice_of(lower, text.len);
    return STATUS_OK;
}

/* Names of hosts only: a client asks for no address (RFC 6066 section 3). */
static enum status load_names(struct arena *arena, struct net__tls_cert *cert)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(cert->x509, NID_subject_alt_name, NULL, NULL);
    int n = sk_GENERAL_NAME_num(all); /* -1 of none */
    enum status st = STATUS_OK;
    cert->names = arena_array_of(arena, struct slice, MIN((unsigned)MAX(n, 0), NAMES_MAX) + 1);
    for (int i = 0; i < n && cert->names && cert->names_len < NAMES_MAX && st == STATUS_OK; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        if (name->type != GEN_DNS)
            continue;
        struct slice text = slice_of((const char *)ASN1_STRING_get0_data(name->d.dNSName),
                                     (size_t)ASN1_STRING_length(name->d.dNSName));
        if (text.len > 0 && text.len <= 255 && !memchr(text.data, '\0', text.len))
            st = put_name(arena, text, cert);
    }
    GENERAL_NAMES_free(all);
    return cert->names ? st : STATUS_EXHAUSTED;
}

/* Wall-clock microseconds of a certificate's time; 0 when it is unreadable. */
static int64_t wall_of(const ASN1_TIME *time)
{
    int days, seconds;
    if (ASN1_TIME_diff(&days, &seconds, NULL, time) != 1)
        return 0;
    /* The difference is one of whole seconds. */
    int64_t now_s = clock_wall_us() / CLOCK_SECOND;
    return (now_s + (int64_t)days * 86400 + seconds) * CLOCK_SECOND;
}

/* -- the staple
 * ------------------------------------------------------------------------------------------ */

/* The part of the answer about this certificate, whichever digest its author used for the id. */
static OCSP_SINGLERESP *single_of(OCSP_BASICRESP *basic, const struct net__tls_cert *cert)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert->x509);
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        ASN1_INTEGER *its = NULL;
        OCSP_CERTID *id = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);
        if (OCSP_id_get0_info(NULL, NULL, NULL, &its, id) == 1 &&
            ASN1_INTEGER_cmp(its, serial) == 0)
            return single;
    }
    return NULL;
}

static const char *check_staple(OCSP_RESPONSE *answer, struct net__tls_cert *cert)
{
    if (OCSP_response_status(answer) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return "the OCSP responder gave an error";
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(answer);
    OCSP_SINGLERESP *single = basic ? single_of(basic, cert) : NULL;
    ASN1_GENERALIZEDTIME *next = NULL;
    int status = single ? OCSP_single_get0_status(single, NULL, NULL, NULL, &next) : -1;
    const char *wrong = NULL;
    if (!single)
        wrong = "the OCSP answer is about another certificate";
    else if (status != V_OCSP_CERTSTATUS_GOOD)
        wrong = "the OCSP answer says that the certificate is not good";
    else
        cert->staple_until_us = next ? wall_of(next) - STAPLE_MARGIN_US : INT64_MAX;
    OCSP_BASICRESP_free(basic);
    if (!wrong && cert->staple_until_us < clock_wall_us())
        wrong = "the OCSP answer is out of date";
    return wrong;
}

/* An answer that is of no use is left out: TLS works without, and whoever renews it comes again. */
static const char *load_staple(struct slice file, struct arena *arena, struct net__tls_cert *cert)
{
    struct slice text;
    if (!file.len)
        return "none";
    const char *wrong = read_whole(file, arena, &text);
    if (wrong)
        return "the OCSP file cannot be read";
    const unsigned char *p = (const unsigned char *)text.data;
    OCSP_RESPONSE *answer = d2i_OCSP_RESPONSE(NULL, &p, (long)text.len);
    wrong = answer ? check_staple(answer, cert) : "the OCSP file is no answer in DER";
    OCSP_RESPONSE_free(answer);
    ERR_clear_error();
    if (wrong)
        return wrong;
    cert->staple = (unsigned char *)arena_alloc(arena, text.len);
    if (!cert->staple)
        return "there is no memory for it";
    memcpy(cert->staple, text.data, text.len);
    cert->staple_len = text.len;
    return "served";
}

/* -- all of it
 * ------------------------------------------------------------------------------------------- */

static enum status load(const struct net_tls_certificate *files, struct arena *arena,
                        struct net__tls_cert *cert, struct net_tls_error *error)
{
    struct slice text;
    const char *wrong = read_whole(files->cert_file, arena, &text);
    if (!wrong)
        wrong = load_chain(text, cert);
    if (wrong)
        return net__tls_refuse(error, files->cert_file, wrong);
    wrong = read_whole(files->key_file, arena, &text);
    if (!wrong)
        wrong = load_key(text, cert);
    if (text.len) /* the arena is not the place for a key to stay in */
        OPENSSL_cleanse((char *)(uintptr_t)text.data, text.len);
    if (wrong)
        return net__tls_refuse(error, files->key_file, wrong);
    if (X509_check_private_key(cert->x509, cert->key) != 1) {
        (void)snprintf(error->text, sizeof(error->text),
                       "%.*s: is not the key of the first certificate in %.*s",
                       SLICE_ARG(files->key_file), SLICE_ARG(files->cert_file));
        ERR_clear_error();
        return STATUS_INVALID;
    }
    cert->begins_us = wall_of(X509_get0_notBefore(cert->x509));
    cert->expires_us = wall_of(X509_get0_notAfter(cert->x509));
    if (load_names(arena, cert) != STATUS_OK)
        return net__tls_refuse(error, files->cert_file, "has more names than fit into memory");
    cert->staple_state = load_staple(files->ocsp_file, arena, cert);
    return STATUS_OK;
}

enum status net__tls_cert_load(const struct net_tls_certificate *files, struct arena *arena,
                               struct net__tls_cert *ret, struct net_tls_error *ret_error)
{
    struct net__tls_cert cert = { 0 };
    enum status st = load(files, arena, &cert, ret_error);
    if (st == STATUS_OK)
        *ret = cert;
    else
        net__tls_cert_fini(&cert);
    return st;
}

void net__tls_cert_fini(struct net__tls_cert *cert)
{
    X509_free(cert->x509);
    sk_X509_pop_free(cert->chain, X509_free);
    EVP_PKEY_free(cert->key);
    *cert = (struct net__tls_cert){ 0 };
}
