/*
 * net/tls_ticket.c - Keys of session tickets (RFC 5077, RFC 8446 section 4.6.1), one set for all
 * loops. Whoever holds such a key can read the TLS 1.2 sessions that were begun with it, so it does
 * not live long: after its period the next one encrypts, the last one still decrypts for as long,
 * and then it is wiped. They are never written anywhere: a restart makes new ones.
 */
#include "net/tls.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"

#define NAME_BYTES 16 /* OpenSSL's layout of a ticket: name, IV, state, MAC */
#define KEY_BYTES 32
#define DEFAULT_PERIOD_US (8 * 3600 * CLOCK_SECOND)

struct ticket_key {
    unsigned char name[NAME_BYTES];
    unsigned char aes[KEY_BYTES], mac[KEY_BYTES];
    bool is_set;
};

struct net__tls_tickets {
    pthread_mutex_t lock;
    struct ticket_key current, previous;
    int64_t made_us, period_us;
    EVP_CIPHER *cipher; /* fetched once: a fetch costs more than the encryption */
};

static bool key_make(struct ticket_key *key)
{
    key->is_set = RAND_bytes(key->name, NAME_BYTES) == 1 &&
                  RAND_priv_bytes(key->aes, KEY_BYTES) == 1 &&
                  RAND_priv_bytes(key->mac, KEY_BYTES) == 1;
    return key->is_set;
}

struct net__tls_tickets *net__tls_tickets_new(int64_t period_us)
{
    struct net__tls_tickets *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->period_us = period_us ? period_us : DEFAULT_PERIOD_US;
    t->made_us = clock_mono_us();
    t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (!t->cipher || !key_make(&t->current) || pthread_mutex_init(&t->lock, NULL) != 0) {
        EVP_CIPHER_free(t->cipher);
        free(t);
        return NULL;
    }
    return t;
}

void net__tls_tickets_free(struct net__tls_tickets *t)
{
    if (!t)
        return;
    (void)pthread_mutex_destroy(&t->lock);
    EVP_CIPHER_free(t->cipher);
    OPENSSL_cleanse(t, sizeof(*t));
    free(t);
}

static void rotate(struct net__tls_tickets *t, int64_t now_us)
{
    /* Nobody came for two periods: the key in force is as old as the one before it. */
    bool is_late = now_us - t->made_us >= 2 * t->period_us;
    t->previous = t->current;
    if (is_late)
        OPENSSL_cleanse(&t->previous, sizeof(t->previous));
    if (!key_make(&t->current)) /* no ticket is given until there are random bytes again */
        t->current.is_set = false;
    t->made_us = now_us;
}

void net__tls_tickets_rotate(struct net__tls_tickets *t)
{
    (void)pthread_mutex_lock(&t->lock);
    rotate(t, clock_mono_us());
    (void)pthread_mutex_unlock(&t->lock);
}

/* Copies, so that the lock is held for no longer than that. `name` NULL: the one that encrypts. */
static bool key_get(struct net__tls_tickets *t, const unsigned char *name, struct ticket_key *ret,
                    bool *ret_is_current)
{
    (void)pthread_mutex_lock(&t->lock);
    int64_t now_us = clock_mono_us();
    if (now_us - t->made_us >= t->period_us)
        rotate(t, now_us);
    const struct ticket_key *found = NULL;
    if (!name || memcmp(name, t->current.name, NAME_BYTES) == 0)
        found = &t->current;
    else if (memcmp(name, t->previous.name, NAME_BYTES) == 0)
        found = &t->previous;
    *ret_is_current = found == &t->current;
    bool is_found = found && found->is_set;
    if (is_found)
        *ret = *found;
    (void)pthread_mutex_unlock(&t->lock);
    return is_found;
}

static bool mac_begin(EVP_MAC_CTX *mac, unsigned char *key)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, KEY_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int ex_index;

/* OpenSSL's answers: -1 broken, 0 no ticket or an unknown one, 1 good, 2 good and renew it. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_new)
{
    struct net__tls_tickets *t = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ex_index);
    struct ticket_key key;
    bool is_current;
    if (!key_get(t, is_new ? NULL : name, &key, &is_current))
        return 0;
    bool is_good = mac_begin(mac, key.mac);
    if (is_new) {
        memcpy(name, key.name, NAME_BYTES);
        is_good = is_good && RAND_bytes(iv, EVP_CIPHER_get_iv_length(t->cipher)) == 1 &&
                  EVP_EncryptInit_ex2(cipher, t->cipher, key.aes, iv, NULL) == 1;
    } else {
        is_good = is_good && EVP_DecryptInit_ex2(cipher, t->cipher, key.aes, iv, NULL) == 1;
    }
    OPENSSL_cleanse(&key, sizeof(key));
    if (!is_good)
        return -1;
    return is_new || is_current ? 1 : 2;
}

static void make_index(void)
{
    ex_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

void net__tls_tickets_use(struct net__tls_tickets *t, SSL_CTX *ctx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_index);
    (void)SSL_CTX_set_ex_data(ctx, ex_index, t);
    (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    /* Good for one period: then the key that made it is the previous one, and there still. */
    (void)SSL_CTX_set_timeout(ctx, (long)(t->period_us / CLOCK_SECOND));
    /* One is enough for a client that keeps its connections, and each costs a record. */
    (void)SSL_CTX_set_num_tickets(ctx, 1);
}
