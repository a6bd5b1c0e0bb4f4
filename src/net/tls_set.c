/*
 * net/tls_set.c - A set of certificates and settings as OpenSSL contexts, and which of them a name
 * gets. Never changed once made.
 */
#include "net/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"

/* -- files
 * ------------------------------------------------------------------------------------------- */

static struct net__tls_stamp stamp_of(struct arena *arena, struct slice path)
{
    struct stat st;
    char *name = path.len ? arena_cstr(arena, path) : NULL;
    if (!name || stat(name, &st) != 0)
        return (struct net__tls_stamp){ 0 };
    return (struct net__tls_stamp){
        .changed_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
        .size = st.st_size,
        .inode = st.st_ino,
    };
}

size_t net__tls_stamps_take(struct arena *arena, const struct net_tls_options *o,
                            struct net__tls_stamp *stamps)
{
    const struct net__tls_stamp *const start = stamps;
    for (unsigned i = 0; i < o->certificates_len; i++) {
        const struct net_tls_certificate *c = &o->certificates[i];
        *stamps++ = stamp_of(arena, c->cert_file);
        *stamps++ = stamp_of(arena, c->key_file);
        *stamps++ = stamp_of(arena, c->ocsp_file);
    }
    *stamps++ = stamp_of(arena, o->client_ca_file);
    return (size_t)(stamps - start);
}

static enum status copy_options(struct arena *arena, const struct net_tls_options *from,
                                struct net_tls_options *to)
{
    *to = *from;
    struct net_tls_certificate *certificates =
        arena_array_of(arena, struct net_tls_certificate, from->certificates_len);
    if (!certificates)
        return STATUS_EXHAUSTED;
    to->certificates = certificates;
    enum status st = arena_copy(arena, from->client_ca_file, &to->client_ca_file);
    if (st == STATUS_OK)
        st = arena_copy(arena, from->ciphers, &to->ciphers);
    for (unsigned i = 0; i < from->certificates_len && st == STATUS_OK; i++) {
        const struct net_tls_certificate *c = &from->certificates[i];
        st = arena_copy(arena, c->cert_file, &certificates[i].cert_file);
        if (st == STATUS_OK)
            st = arena_copy(arena, c->key_file, &certificates[i].key_file);
        if (st == STATUS_OK)
            st = arena_copy(arena, c->ocsp_file, &certificates[i].ocsp_file);
    }
    return st;
}

/* -- what a handshake asks
 * -------------------------------------------------------------------------------- */

static int on_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    const struct net__tls_set *set = arg;
    struct slice asked = slice_cstr(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    char lower[256];
    if (asked.len == 0 || asked.len >= sizeof(lower))
        return SSL_TLSEXT_ERR_NOACK;
    for (size_t i = 0; i < asked.len; i++) {
        char c = asked.data[i];
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    bool is_known;
    SSL_CTX *ctx = net__tls_set_find(set, slice_of(lower, asked.len), &is_known);
    if (!is_known)
        return SSL_TLSEXT_ERR_NOACK;
    return ctx == SSL_get_SSL_CTX(ssl) || SSL_set_SSL_CTX(ssl, ctx) ? SSL_TLSEXT_ERR_OK
                                                                    : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* RFC 7301: we choose among what the client offers; nothing in common is an alert. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *offered, unsigned offered_len, void *arg)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    (void)ssl;
    const struct net__tls_set *set = arg;
    size_t skip = set->options.h2 ? 0 : 3;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, ours + skip, (unsigned)(sizeof(ours) - 1 - skip),
                              offered, offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int on_status(SSL *ssl, void *arg)
{
    const struct net__tls_set *set = arg;
    const X509 *chosen = SSL_get_certificate(ssl);
    for (unsigned i = 0; i < set->options.certificates_len; i++) {
        const struct net__tls_cert *cert = &set->certs[i];
        if (cert->x509 != chosen || !cert->staple || cert->staple_until_us < clock_wall_us())
            continue;
        unsigned char *copy = OPENSSL_memdup(cert->staple, cert->staple_len);
        if (!copy)
            return SSL_TLSEXT_ERR_NOACK;
        if (SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)cert->staple_len) == 1)
            return SSL_TLSEXT_ERR_OK;
        OPENSSL_free(copy);
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* -- contexts
 * ---------------------------------------------------------------------------------------- */

static enum status ask_clients(SSL_CTX *ctx, const struct net__tls_set *set,
                               struct net_tls_error *error)
{
    const struct net_tls_options *o = &set->options;
    if (o->client_auth == NET_TLS_CLIENT_OFF)
        return STATUS_OK;
    char *file = arena_cstr(set->arena, o->client_ca_file);
    STACK_OF(X509_NAME) *names = file ? SSL_load_client_CA_file(file) : NULL;
    if (!names || SSL_CTX_load_verify_file(ctx, file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return net__tls_refuse(error, o->client_ca_file,
                               "holds no certificate of an authority that can be read");
    }
    SSL_CTX_set_client_CA_list(ctx, names); /* takes them */
    int mode = SSL_VERIFY_PEER;
    if (o->client_auth == NET_TLS_CLIENT_REQUIRED)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ctx, mode, NULL);
    SSL_CTX_set_verify_depth(ctx, 4);
    return STATUS_OK;
}

/* A ticket carries the client's certificate past verification: it is worth nothing once other
 * authorities or other rules are in force. */
static bool set_session_context(SSL_CTX *ctx, const struct net__tls_set *set)
{
    const struct net__tls_stamp *ca = &set->stamps[set->stamps_len - 1];
    uint64_t id[4] = { 0 };
    if (set->options.client_auth != NET_TLS_CLIENT_OFF) {
        id[0] = set->options.client_auth;
        id[1] = (uint64_t)ca->changed_ns;
        id[2] = (uint64_t)ca->size;
        id[3] = ca->inode;
    }
    return SSL_CTX_set_session_id_context(ctx, (const unsigned char *)id, sizeof(id)) == 1;
}

static enum status context_new(struct net__tls_set *set, struct net__tls_tickets *tickets,
                               SSL_CTX **ret, struct net_tls_error *error)
{
    const struct net_tls_options *o = &set->options;
    struct slice where = o->certificates[0].cert_file;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || !net__tls_ctx_defaults(ctx) || !set_session_context(ctx, set) ||
        (o->only_1_3 && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1)) {
        SSL_CTX_free(ctx);
        return net__tls_refuse(error, where, "TLS cannot be set up");
    }
    *ret = ctx;
    char *ciphers = o->ciphers.len ? arena_cstr(set->arena, o->ciphers) : NULL;
    if (o->ciphers.len && (!ciphers || SSL_CTX_set_cipher_list(ctx, ciphers) != 1))
        return net__tls_refuse(error, SLICE("tls.ciphers"), "names no cipher that is known here");
    /* Sessions live in tickets, so that no table of them can be filled. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, set);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, set);
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    SSL_CTX_set_tlsext_status_arg(ctx, set);
    net__tls_tickets_use(tickets, ctx);
    return ask_clients(ctx, set, error);
}

enum status net__tls_settings_check(const struct net_tls_options *options,
                                    struct net_tls_error *error)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct net__tls_set *set = arena_new_of(arena, struct net__tls_set);
    struct net__tls_tickets *tickets = net__tls_tickets_new(options->ticket_period_us);
    SSL_CTX *ctx = NULL;
    enum status st = STATUS_EXHAUSTED;
    (void)snprintf(error->text, sizeof(error->text), "there is no memory for it");
    if (set && tickets) {
        set->arena = arena;
        set->options = *options;
        set->stamps_len = 1;
        st = context_new(set, tickets, &ctx, error);
    }
    SSL_CTX_free(ctx);
    net__tls_tickets_free(tickets);
    return st;
}

static enum status use_cert(SSL_CTX *ctx, const struct net__tls_cert *cert, struct slice file,
                            struct net_tls_error *error)
{
    /* Ours first, then the rest of the chain: OpenSSL keeps one chain for each kind of key. */
    if (SSL_CTX_use_cert_and_key(ctx, cert->x509, cert->key, cert->chain, 1) == 1)
        return STATUS_OK;
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    return net__tls_refuse(error, file, why ? why : "cannot be used");
}

static bool are_same_names(const struct net__tls_cert *a, const struct net__tls_cert *b)
{
    if (a->names_len != b->names_len)
        return false;
    for (unsigned i = 0; i < a->names_len; i++) {
        if (!slice_eq(a->names[i], b->names[i]))
            return false;
    }
    return true;
}

/* An earlier certificate for the same names with another kind of key, so that clients can choose;
 * or `i`. */
static unsigned partner_of(const struct net__tls_set *set, unsigned i)
{
    for (unsigned j = 0; j < i; j++) {
        if (EVP_PKEY_get_base_id(set->certs[j].key) != EVP_PKEY_get_base_id(set->certs[i].key) &&
            are_same_names(&set->certs[j], &set->certs[i]))
            return j;
    }
    return i;
}

static int compare_names(const void *a, const void *b)
{
    const struct net__tls_name *x = a, *y = b;
    int order = slice_cmp(x->name, y->name);
    if (order == 0)
        order = x->context < y->context ? -1 : x->context > y->context;
    return order;
}

/* Of a name that several certificates have the first one gets it. */
static enum status index_names(struct net__tls_set *set, const unsigned *context_of)
{
    size_t n = 0, kept = 0;
    for (unsigned i = 0; i < set->options.certificates_len; i++)
        n += set->certs[i].names_len;
    set->names = arena_array_of(set->arena, struct net__tls_name, n + 1);
    if (!set->names)
        return STATUS_EXHAUSTED;
    n = 0;
    for (unsigned i = 0; i < set->options.certificates_len; i++) {
        for (unsigned j = 0; j < set->certs[i].names_len; j++)
            set->names[n++] =
                (struct net__tls_name){ .name = set->certs[i].names[j], .context = context_of[i] };
    }
    qsort(set->names, n, sizeof(set->names[0]), compare_names);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || !slice_eq(set->names[kept - 1].name, set->names[i].name))
            set->names[kept++] = set->names[i];
    }
    set->names_len = (unsigned)kept;
    return STATUS_OK;
}

static const struct net__tls_name *find_name(const struct net__tls_set *set, struct slice name)
{
    unsigned low = 0, high = set->names_len;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = slice_cmp(set->names[middle].name, name);
        if (order == 0)
            return &set->names[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

SSL_CTX *net__tls_set_find(const struct net__tls_set *set, struct slice name, bool *ret_known)
{
    if (name.len > 0 && name.data[name.len - 1] == '.') /* "a.example." is a.example */
        name.len--;
    const struct net__tls_name *found = find_name(set, name);
    size_t dot = slice_find(name, '.');
    if (!found && dot != SIZE_MAX && dot > 0 && name.len - dot < 255) {
        char wild[256];
        wild[0] = '*';
        memcpy(wild + 1, name.data + dot, name.len - dot);
        found = find_name(set, slice_of(wild, 1 + name.len - dot));
    }
    *ret_known = found != NULL;
    return set->contexts[found ? found->context : 0];
}

/* -- all of it
 * ------------------------------------------------------------------------------------------- */

static enum status fill(struct net__tls_set *set, struct net__tls_tickets *tickets,
                        struct net_tls_error *error)
{
    const struct net_tls_options *o = &set->options;
    unsigned context_of[NET_TLS_CERTIFICATES_MAX];
    /* Before the files are read: what changes meanwhile is seen as changed the next time. */
    set->stamps_len = net__tls_stamps_take(set->arena, o, set->stamps);
    for (unsigned i = 0; i < o->certificates_len; i++) {
        enum status st = net__tls_cert_load(&o->certificates[i], set->arena, &set->certs[i], error);
        if (st != STATUS_OK)
            return st;
        unsigned partner = partner_of(set, i);
        context_of[i] = partner < i ? context_of[partner] : set->contexts_len;
        if (partner == i) {
            st = context_new(set, tickets, &set->contexts[i], error);
            SSL_CTX *made = set->contexts[i];
            set->contexts[i] = NULL;
            if (made)
                set->contexts[set->contexts_len++] = made;
            if (st != STATUS_OK)
                return st;
        }
        st = use_cert(set->contexts[context_of[i]], &set->certs[i], o->certificates[i].cert_file,
                      error);
        if (st != STATUS_OK)
            return st;
    }
    return index_names(set, context_of);
}

static void set_free(struct net__tls_set *set)
{
    for (unsigned i = 0; i < set->contexts_len; i++)
        SSL_CTX_free(set->contexts[i]);
    for (unsigned i = 0; set->certs && i < set->options.certificates_len; i++)
        net__tls_cert_fini(&set->certs[i]);
    arena_free(set->arena); /* it lives there */
}

enum status net__tls_set_new(const struct net_tls_options *options,
                             struct net__tls_tickets *tickets, struct net__tls_set **ret_set,
                             struct net_tls_error *ret_error)
{
    assert(options->certificates_len > 0 && options->certificates_len <= NET_TLS_CERTIFICATES_MAX);
    struct arena *arena = arena_new(NULL, 0);
    struct net__tls_set *set = arena_new_of(arena, struct net__tls_set);
    set->arena = arena;
    set->refs = 1;
    enum status st = copy_options(arena, options, &set->options);
    set->certs = arena_array_of(arena, struct net__tls_cert, options->certificates_len);
    set->contexts = arena_array_of(arena, SSL_CTX *, options->certificates_len);
    if (st == STATUS_OK)
        st = fill(set, tickets, ret_error);
    if (st != STATUS_OK) {
        set_free(set);
        return st;
    }
    *ret_set = set;
    return STATUS_OK;
}

void net__tls_set_unref(struct net__tls_set *set)
{
    if (set && __atomic_sub_fetch(&set->refs, 1, __ATOMIC_ACQ_REL) == 0)
        set_free(set);
}
