/*
 * net/tls_check.c - What is wrong with certificates and settings, all of it, before anything is
 * served with them.
 */
#include "net/tls.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"

struct checking {
    int64_t now_us;
    net_tls_problem_fn tell;
    void *arg;
    struct arena *arena;
};

static void tell_date(const struct checking *ch, struct slice file, const char *what, int64_t us)
{
    struct net_tls_error error;
    char date[CLOCK_RFC3339_LEN];
    clock_format_rfc3339(us, date);
    (void)snprintf(error.text, sizeof(error.text), "%.*s: %s %.*s", SLICE_ARG(file), what,
                   (int)sizeof(date), date);
    ch->tell(ch->arg, error.text);
}

static void check_certificate(const struct checking *ch, const struct net_tls_certificate *files)
{
    struct net__tls_cert cert;
    struct net_tls_error error = { .text = "" };
    if (net__tls_cert_load(files, ch->arena, &cert, &error) != STATUS_OK) {
        ch->tell(ch->arg, error.text[0] ? error.text : "there is no memory for a certificate");
        return;
    }
    if (cert.expires_us <= ch->now_us)
        tell_date(ch, files->cert_file, "the certificate ended at", cert.expires_us);
    else if (cert.begins_us > ch->now_us + CLOCK_SECOND) /* it may be as new as that */
        tell_date(ch, files->cert_file, "the certificate does not begin before", cert.begins_us);
    if (files->ocsp_file.len && !cert.staple) {
        (void)net__tls_refuse(&error, files->ocsp_file, cert.staple_state);
        ch->tell(ch->arg, error.text);
    }
    net__tls_cert_fini(&cert);
}

void net_tls_check(const struct net_tls_options *options, int64_t now_us, net_tls_problem_fn tell,
                   void *arg)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    const struct checking ch = { .now_us = now_us, .tell = tell, .arg = arg, .arena = arena };
    for (unsigned i = 0; i < options->certificates_len; i++)
        check_certificate(&ch, &options->certificates[i]);
    /* One at a time, as the first problem hides the others. */
    struct net_tls_options ciphers = *options, clients = *options;
    struct net_tls_error error;
    ciphers.client_auth = NET_TLS_CLIENT_OFF;
    clients.ciphers = SLICE_NULL;
    if (net__tls_settings_check(&ciphers, &error) != STATUS_OK)
        tell(arg, error.text);
    if (net__tls_settings_check(&clients, &error) != STATUS_OK)
        tell(arg, error.text);
}
