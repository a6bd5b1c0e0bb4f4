/*
 * net/client_tls.c - TLS on a connection of the client. OpenSSL reads and writes the socket itself;
 * we wait for what it says it wants.
 *
 * A peer is verified or refused: there is no switch. The last ticket a peer gave is kept with its
 * host and offered once (RFC 8446 appendix C.4), so the next connection costs no certificate check.
 */
#include "net/client_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/problem.h"
#include "net/tls_engine.h"

#define PATH_BYTES ((size_t)2048)

/* -- contexts
 * ------------------------------------------------------------------------------------------------
 */

/* A ticket came: it is the host's now. Returns 1 to keep the reference. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct net__link *link = SSL_get_app_data(ssl);
    if (!link || !link->host)
        return 0;
    SSL_SESSION_free(link->host->session);
    link->host->session = session;
    return 1;
}

static bool path_of(struct slice text, char out[PATH_BYTES])
{
    if (text.len >= PATH_BYTES || memchr(text.data, '\0', text.len))
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

static const char *load_files(SSL_CTX *ctx, const struct net_client_tls_options *o)
{
    char path[PATH_BYTES];
    if (o->ca_file.len > 0 &&
        (!path_of(o->ca_file, path) || SSL_CTX_load_verify_file(ctx, path) != 1))
        return "the file of certificate authorities cannot be read";
    if (o->cert_file.len == 0)
        return NULL;
    if (!path_of(o->cert_file, path) || SSL_CTX_use_certificate_chain_file(ctx, path) != 1)
        return "the client's certificate cannot be read";
    if (!path_of(o->key_file.len ? o->key_file : o->cert_file, path) ||
        SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1)
        return "the key of the client's certificate cannot be read or does not belong to it";
    return NULL;
}

static const char *set_up(SSL_CTX *ctx, const struct net_client_tls_options *o)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    if (!net__tls_ctx_defaults(ctx) ||
        SSL_CTX_set_alpn_protos(ctx, protocols, sizeof(protocols) - 1) != 0)
        return "TLS cannot be set up";
    return load_files(ctx, o);
}

enum status net_client_tls_new(const struct net_client_tls_options *options,
                               struct net_client_tls **ret_tls, const char **ret_reason)
{
    static const struct net_client_tls_options defaults = { .ca_file = { .len = 0 } };
    struct net_client_tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return STATUS_EXHAUSTED;
    const struct net_client_tls_options *o = options ? options : &defaults;
    tls->refs = 1;
    tls->has_authorities = o->ca_file.len > 0;
    (void)pthread_mutex_init(&tls->lock, NULL); /* cannot fail without attributes */
    tls->ctx = SSL_CTX_new(TLS_client_method());
    const char *reason = tls->ctx ? set_up(tls->ctx, o) : "TLS cannot be set up";
    ERR_clear_error();
    if (reason) {
        *ret_reason = reason;
        net_client_tls_free(tls);
        return STATUS_INVALID;
    }
    *ret_tls = tls;
    return STATUS_OK;
}

struct net_client_tls *net__client_tls_ref(struct net_client_tls *tls)
{
    if (tls)
        (void)__atomic_fetch_add(&tls->refs, 1, __ATOMIC_RELAXED);
    return tls;
}

void net_client_tls_free(struct net_client_tls *tls)
{
    if (!tls || __atomic_sub_fetch(&tls->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    SSL_CTX_free(tls->ctx);
    (void)pthread_mutex_destroy(&tls->lock); /* nobody holds it */
    free(tls);
}

/* The system's authorities are some 140 certificates, which take 40 ms to read: half of a start,
 * for what many a server never needs. On a worker thread. */
static void read_authorities(void *arg)
{
    struct net_client_tls *tls = arg;
    (void)pthread_mutex_lock(&tls->lock);
    if (!__atomic_load_n(&tls->has_authorities, __ATOMIC_RELAXED)) {
        (void)SSL_CTX_set_default_verify_paths(tls->ctx); /* none: then no peer is trusted */
        ERR_clear_error();
        __atomic_store_n(&tls->has_authorities, true, __ATOMIC_RELEASE);
    }
    (void)pthread_mutex_unlock(&tls->lock);
}

static enum status need_authorities(struct task *task, struct net_client_tls *tls)
{
    if (LIKELY(__atomic_load_n(&tls->has_authorities, __ATOMIC_ACQUIRE)))
        return STATUS_OK;
    enum status st = task_offload(task, read_authorities, tls);
    if (st != STATUS_EXHAUSTED && st != STATUS_UNAVAILABLE)
        return st;
    read_authorities(tls); /* no worker is to be had: this once it is done here */
    return STATUS_OK;
}

/* -- the handshake
 * ------------------------------------------------------------------------------------------- */

/* Said of the peer's certificate; what is not here is not trusted, for whatever reason. */
static const char *certificate_words(long verdict)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "is not valid yet";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "is self-signed";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "was not issued by an authority that is known here";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "is for another host";
    case X509_V_ERR_CERT_REVOKED:
        return "has been revoked";
    case X509_V_ERR_INVALID_PURPOSE:
        return "is not meant for servers";
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
        return "is too weak";
    default:
        return "cannot be trusted";
    }
}

static enum status say_failed(struct task *task, struct net__link *link,
                              const struct net__peer *peer)
{
    unsigned long error = ERR_peek_error();
    const char *library = error ? ERR_reason_error_string(error) : NULL;
    long verdict = SSL_get_verify_result(link->ssl);
    enum status st;
    if (verdict != X509_V_OK)
        st = problem_set(task, STATUS_UNAVAILABLE, "client/tls", "The certificate of \"%.*s\" %s.",
                         SLICE_ARG(peer->host), certificate_words(verdict));
    else if (!error || ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        st = problem_set(task, STATUS_UNAVAILABLE, "client/tls",
                         "\"%.*s\" closed the connection during the TLS handshake.",
                         SLICE_ARG(peer->host));
    else
        st = problem_set(task, STATUS_UNAVAILABLE, "client/tls",
                         "The TLS handshake with \"%.*s\" failed.", SLICE_ARG(peer->host));
    if (library)
        problem_cause(task_problem(task), task_arena(task), slice_cstr(library));
    ERR_clear_error();
    return net__said(task, st, 502);
}

static bool prepare(struct net__link *link, const struct net__peer *peer, bool is_literal)
{
    char host[256];
    SSL *ssl = link->ssl;
    if (peer->host.len >= sizeof(host))
        return false;
    memcpy(host, peer->host.data, peer->host.len);
    host[peer->host.len] = '\0';
    (void)SSL_set_app_data(ssl, link);
    SSL_set_connect_state(ssl);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set_fd(ssl, link->fd) != 1)
        return false;
    if (is_literal) /* no SNI: RFC 6066 section 3 */
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

/* A TLS 1.3 ticket is offered once, so that nobody who watches can tell two connections apart. */
static void offer_session(struct net__link *link)
{
    SSL_SESSION *session = link->host ? link->host->session : NULL;
    if (!session)
        return;
    (void)SSL_set_session(link->ssl, session); /* refused: a full handshake */
    if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) {
        link->host->session = NULL;
        SSL_SESSION_free(session);
    }
}

/* What a call that did not succeed waits for; 0: the connection is lost. */
static int wants_of(SSL *ssl, int rc)
{
    switch (SSL_get_error(ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return UV_READABLE;
    case SSL_ERROR_WANT_WRITE:
        return UV_WRITABLE;
    default:
        return 0;
    }
}

enum status net__link_tls_handshake(struct task *task, struct net__link *link,
                                    const struct net__peer *peer, bool is_literal, int64_t until_us)
{
    enum status ready = need_authorities(task, peer->tls);
    if (ready != STATUS_OK)
        return ready;
    ERR_clear_error();
    link->ssl = SSL_new(peer->tls->ctx);
    if (!link->ssl || !prepare(link, peer, is_literal)) {
        ERR_clear_error();
        return net__said(task,
                         problem_set(task, STATUS_UNAVAILABLE, "client/tls",
                                     "TLS for \"%.*s\" cannot be set up.", SLICE_ARG(peer->host)),
                         502);
    }
    offer_session(link);
    for (;;) {
        ERR_clear_error();
        int rc = SSL_do_handshake(link->ssl);
        if (rc == 1)
            return STATUS_OK;
        int wants = wants_of(link->ssl, rc);
        if (wants == 0)
            return say_failed(task, link, peer);
        enum status st = net__link_wait(task, link, wants, until_us);
        if (st != STATUS_OK)
            return st;
    }
}

/* -- bytes
 * ----------------------------------------------------------------------------------------------------
 */

ssize_t net__link_tls_read(struct net__link *link, char *data, size_t len, int *ret_wants)
{
    ERR_clear_error();
    int rc = SSL_read(link->ssl, data, (int)MIN(len, (size_t)INT32_MAX));
    if (rc > 0)
        return rc;
    *ret_wants = 0;
    /* The peer said that this is the end. Without that word it may have been cut by somebody. */
    if (SSL_get_error(link->ssl, rc) == SSL_ERROR_ZERO_RETURN)
        return 0;
    *ret_wants = wants_of(link->ssl, rc);
    return -1;
}

ssize_t net__link_tls_write(struct net__link *link, const char *data, size_t len, int *ret_wants)
{
    ERR_clear_error();
    int rc = SSL_write(link->ssl, data, (int)MIN(len, (size_t)INT32_MAX));
    if (rc > 0)
        return rc;
    *ret_wants = wants_of(link->ssl, rc);
    return -1;
}

bool net__link_tls_is_stale(struct net__link *link)
{
    char byte;
    ERR_clear_error();
    /* Takes in tickets that came meanwhile; data of the application is what nobody asked for. */
    int rc = SSL_peek(link->ssl, &byte, 1);
    return rc > 0 || SSL_get_error(link->ssl, rc) != SSL_ERROR_WANT_READ;
}

void net__link_tls_close(struct net__link *link)
{
    ERR_clear_error();
    if (SSL_is_init_finished(link->ssl))
        (void)SSL_shutdown(link->ssl); /* says so, as far as the socket takes it at once */
    SSL_free(link->ssl);
    link->ssl = NULL;
    ERR_clear_error();
}
