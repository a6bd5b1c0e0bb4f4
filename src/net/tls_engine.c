/*
 * net/tls_engine.c - OpenSSL behind a BIO that reads from a slice and writes to a sink.
 *
 * The usual memory BIOs copy every byte twice and keep buffers that only grow. Ours hands OpenSSL
 * the bytes where the socket's read left them and lets it write where the socket's write will take
 * them; between calls it is empty.
 */
#include "net/tls_engine.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>

#include "base/macros.h"

/* -- the BIO
 * -------------------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, size_t len, size_t *ret_len)
{
    struct net__tls_engine *e = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (e->in.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = MIN(len, e->in.len);
    memcpy(to, e->in.data, n);
    e->in = slice_from(e->in, n);
    *ret_len = n;
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t len, size_t *ret_len)
{
    struct net__tls_engine *e = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t room = e->out ? e->out->cap - e->out->len : 0;
    size_t n = MIN(len, room);
    if (n == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    memcpy(e->out->data + e->out->len, from, n);
    e->out->len += n;
    *ret_len = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int what, long number, void *arg)
{
    (void)bio;
    (void)number;
    (void)arg;
    return what == BIO_CTRL_FLUSH; /* all of it is out already */
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "purlin");
    if (!m)
        return;
    if (BIO_meth_set_read_ex(m, bio_read) && BIO_meth_set_write_ex(m, bio_write) &&
        BIO_meth_set_ctrl(m, bio_ctrl))
        bio_method = m; /* lives as long as the process: sessions of any thread use it */
    else
        BIO_meth_free(m);
}

/* -- life
 * -------------------------------------------------------------------------------------------- */

static enum status init(struct net__tls_engine *e, SSL_CTX *ctx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_bio_method);
    memset(e, 0, sizeof(*e));
    BIO *bio = bio_method ? BIO_new(bio_method) : NULL;
    e->ssl = bio ? SSL_new(ctx) : NULL;
    if (!e->ssl) {
        BIO_free(bio);
        ERR_clear_error();
        return STATUS_EXHAUSTED;
    }
    BIO_set_data(bio, e);
    BIO_set_init(bio, 1);
    SSL_set_bio(e->ssl, bio, bio);
    return STATUS_OK;
}

enum status net__tls_init_server(struct net__tls_engine *e, SSL_CTX *ctx)
{
    enum status st = init(e, ctx);
    if (st == STATUS_OK)
        SSL_set_accept_state(e->ssl);
    return st;
}

static bool expect_host(SSL *ssl, char *host)
{
    unsigned char address[16];
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    /* "*.example.com", never "w*.example.com" */
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

enum status net__tls_init_client(struct net__tls_engine *e, SSL_CTX *ctx, struct slice host)
{
    char name[256];
    if (host.len == 0 || host.len >= sizeof(name) || memchr(host.data, '\0', host.len))
        return STATUS_INVALID;
    memcpy(name, host.data, host.len);
    name[host.len] = '\0';
    enum status st = init(e, ctx);
    if (st != STATUS_OK)
        return st;
    SSL_set_connect_state(e->ssl);
    if (expect_host(e->ssl, name))
        return STATUS_OK;
    net__tls_fini(e);
    ERR_clear_error();
    return STATUS_INVALID;
}

void net__tls_fini(struct net__tls_engine *e)
{
    SSL_free(e->ssl);
    e->ssl = NULL;
}

/* -- calls
 * -------------------------------------------------------------------------------------------- */

static void enter(struct net__tls_engine *e, struct slice in, struct net__tls_sink *out)
{
    ERR_clear_error(); /* SSL_get_error reads the thread's queue, which others may have left full */
    e->in = in;
    e->out = out;
}

static void leave(struct net__tls_engine *e, struct slice *in)
{
    if (in)
        *in = e->in;
    e->in = SLICE_NULL;
    e->out = NULL;
}

static const char *failure_text(const struct net__tls_engine *e)
{
    long verified = SSL_get_verify_result(e->ssl);
    unsigned long code = ERR_peek_last_error();
    if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
        return X509_verify_cert_error_string(verified);
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    return text ? text : "the session is broken";
}

/* What a call that did not succeed means. */
static enum net__tls_result result_of(struct net__tls_engine *e, int rc)
{
    switch (SSL_get_error(e->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return NET__TLS_MORE;
    case SSL_ERROR_WANT_WRITE:
        return NET__TLS_FULL;
    case SSL_ERROR_ZERO_RETURN:
        e->is_closed = true;
        return NET__TLS_CLOSED;
    default:
        break;
    }
    e->failure = failure_text(e);
    ERR_clear_error();
    return NET__TLS_FAILED;
}

enum net__tls_result net__tls_handshake(struct net__tls_engine *e, struct slice *cipher,
                                        struct net__tls_sink *out)
{
    if (e->failure)
        return NET__TLS_FAILED;
    if (e->is_open)
        return NET__TLS_DONE;
    enter(e, *cipher, out);
    int rc = SSL_do_handshake(e->ssl);
    enum net__tls_result result = NET__TLS_DONE;
    if (rc != 1)
        result = result_of(e, rc);
    else
        e->is_open = true;
    leave(e, cipher);
    return result;
}

enum net__tls_result net__tls_open(struct net__tls_engine *e, struct slice *cipher, char *plain,
                                   size_t cap, size_t *ret_len, struct net__tls_sink *out)
{
    enum net__tls_result result = NET__TLS_MORE;
    size_t len = 0;
    *ret_len = 0;
    if (e->failure)
        return NET__TLS_FAILED;
    if (e->is_closed)
        return NET__TLS_CLOSED;
    enter(e, *cipher, out);
    /* A call without bytes would only make an error of it; bytes of a record that is not whole yet
     * are taken all the same. */
    while (e->in.len > 0 || SSL_pending(e->ssl) > 0) {
        if (len == cap) {
            result = NET__TLS_FULL;
            break;
        }
        size_t n = 0;
        int rc = SSL_read_ex(e->ssl, plain + len, cap - len, &n);
        if (rc != 1) {
            result = result_of(e, rc);
            break;
        }
        len += n;
    }
    leave(e, cipher);
    *ret_len = len;
    return result;
}

bool net__tls_has_pending(const struct net__tls_engine *e)
{
    return e->ssl && !e->failure && !e->is_closed && SSL_pending(e->ssl) > 0;
}

/* How much plaintext a sink certainly has room for when it is sealed. */
static size_t sealable(const struct net__tls_sink *out)
{
    size_t room = out->cap - out->len;
    size_t whole = room / (NET__TLS_RECORD_BYTES + NET__TLS_OVERHEAD);
    size_t rest = room % (NET__TLS_RECORD_BYTES + NET__TLS_OVERHEAD);
    return whole * NET__TLS_RECORD_BYTES +
           (rest > NET__TLS_OVERHEAD ? rest - NET__TLS_OVERHEAD : 0);
}

enum net__tls_result net__tls_seal(struct net__tls_engine *e, struct slice *plain,
                                   struct net__tls_sink *out)
{
    if (e->failure || !e->is_open || e->said_close)
        return NET__TLS_FAILED;
    if (plain->len == 0)
        return NET__TLS_DONE;
    size_t len = MIN(plain->len, sealable(out));
    if (len == 0)
        return NET__TLS_FULL;
    enter(e, SLICE_NULL, out);
    size_t taken = 0;
    int rc = SSL_write_ex(e->ssl, plain->data, len, &taken);
    enum net__tls_result result = NET__TLS_DONE;
    if (rc != 1) {
        result = result_of(e, rc);
        /* It had room, and a server's or client's write waits for nothing else. */
        e->failure = e->failure ? e->failure : "a write cannot wait";
        result = NET__TLS_FAILED;
    }
    leave(e, NULL);
    *plain = slice_from(*plain, taken);
    if (result == NET__TLS_DONE && plain->len > 0)
        return NET__TLS_FULL;
    return result;
}

void net__tls_close_notify(struct net__tls_engine *e, struct net__tls_sink *out)
{
    if (!e->ssl || e->failure || !e->is_open || e->said_close)
        return;
    e->said_close = true;
    enter(e, SLICE_NULL, out);
    (void)SSL_shutdown(e->ssl); /* whether the peer answers is nobody's business */
    leave(e, NULL);
    ERR_clear_error();
}

struct slice net__tls_alpn(const struct net__tls_engine *e)
{
    const unsigned char *data = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(e->ssl, &data, &len);
    return data ? slice_of((const char *)data, len) : SLICE_NULL;
}

struct slice net__tls_sni(const struct net__tls_engine *e)
{
    return slice_cstr(SSL_get_servername(e->ssl, TLSEXT_NAMETYPE_host_name));
}

/* -- contexts
 * -------------------------------------------------------------------------------------------- */

bool net__tls_ctx_defaults(SSL_CTX *ctx)
{
    /* All ciphers are good, so the order is about speed: ours, but ChaCha20 for those who put it
     * first since they have no AES in hardware. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* Idle sessions keep no buffers; a write that is repeated may come from another place; a read
     * goes on past records that bring no plaintext (tickets, new keys). */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_AUTO_RETRY);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, NET__TLS_CIPHERS) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, NET__TLS_SUITES) == 1 &&
           SSL_CTX_set1_groups_list(ctx, NET__TLS_GROUPS) == 1;
}

static const char *client_fill(SSL_CTX *ctx, const struct net__tls_client_options *options)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    const unsigned char *protocols = options->h2 ? both : both + 3;
    unsigned len = (unsigned)(sizeof(both) - 1 - (options->h2 ? 0 : 3));
    if (SSL_CTX_set_alpn_protos(ctx, protocols, len) != 0)
        return "TLS cannot be set up";
    SSL_CTX_set_verify(ctx, options->no_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (options->ca_file) {
        if (SSL_CTX_load_verify_file(ctx, options->ca_file) != 1)
            return "the CA file holds no certificate that can be read";
    } else if (!options->no_verify && SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return "the system has no certificates of authorities";
    }
    return NULL;
}

enum status net__tls_client_ctx_new(const struct net__tls_client_options *options,
                                    SSL_CTX **ret_ctx, const char **ret_reason)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || !net__tls_ctx_defaults(ctx)) {
        SSL_CTX_free(ctx);
        ERR_clear_error();
        return STATUS_EXHAUSTED;
    }
    const char *reason = client_fill(ctx, options);
    ERR_clear_error();
    if (reason) {
        SSL_CTX_free(ctx);
        *ret_reason = reason;
        return STATUS_INVALID;
    }
    *ret_ctx = ctx;
    return STATUS_OK;
}
