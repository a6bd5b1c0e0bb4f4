/*
 * Certificates from files, sets of them, the keys of tickets, and replacing it all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "certificates.h"
#include "net/tls.h"

struct fixture {
    struct arena *arena;
    char folder[64];
    struct made ca;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_new(NULL, 0);
    memcpy(f->folder, "/tmp/purlin-test-tls-XXXXXX", 28);
    assert_non_null(mkdtemp(f->folder));
    f->ca = make_certificate("Test CA", NULL, "ec", 30, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    DIR *dir = opendir(f->folder);
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (e->d_name[0] != '.')
            assert_int_equal(unlinkat(dirfd(dir), e->d_name, 0), 0);
    }
    assert_int_equal(closedir(dir), 0);
    assert_int_equal(rmdir(f->folder), 0);
    made_free(&f->ca);
    arena_free(f->arena);
    free(f);
    return 0;
}

static char *path_of(struct fixture *f, const char *name)
{
    return arena_cstr(f->arena, arena_printf(f->arena, "%s/%s", f->folder, name));
}

static void write_text(struct fixture *f, const char *name, const char *text)
{
    FILE *file = fopen(path_of(f, name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Sign NAME.pem and NAME.key. */
static struct net_tls_certificate sign(struct fixture *f, const char *name, const char *names,
                                       const char *kind, int days)
{
    struct made m = make_certificate(name, names, kind, days, &f->ca);
    struct slice cert = arena_printf(f->arena, "%s/%s.pem", f->folder, name);
    struct slice key = arena_printf(f->arena, "%s/%s.key", f->folder, name);
    write_certificate(arena_cstr(f->arena, cert), &m, &f->ca);
    write_key(arena_cstr(f->arena, key), &m);
    made_free(&m);
    return (struct net_tls_certificate){ .cert_file = cert, .key_file = key };
}

static struct net_tls *open_tls(const struct net_tls_options *options)
{
    struct net_tls *tls = NULL;
    struct net_tls_error error = { .text = "" };
    enum status st = net_tls_new(options, NULL, &tls, &error);
    if (st != STATUS_OK)
        fail_msg("%s", error.text);
    return tls;
}

static void test_tls_names_find_their_certificate(void **state)
{
    struct fixture *f = *state;
    const struct net_tls_certificate certificates[] = {
        sign(f, "first", "DNS:first.example", "ec", 30),
        sign(f, "wild", "DNS:*.Example.org,DNS:example.org,IP:127.0.0.1", "ec", 30),
        sign(f, "exact", "DNS:exact.example.org,DNS:first.example", "ec", 30),
        sign(f, "rsa", "DNS:exact.example.org,DNS:first.example", "rsa", 30),
        sign(f, "bare", "IP:192.0.2.1", "ec", 30),
    };
    struct net_tls *tls = open_tls(&(struct net_tls_options){
        .certificates = certificates, .certificates_len = ARRAY_LEN(certificates) });
    struct net__tls_set *set = net__tls_set_get(tls);
    assert_int_equal(set->contexts_len, 4); /* exact and rsa share one */
    static const struct {
        const char *name;
        unsigned context;
        bool known;
    } cases[] = {
        { "first.example", 0, true },
        { "first.example.", 0, true },
        { "example.org", 1, true },
        { "a.example.org", 1, true },
        { "a.b.example.org", 0, false },
        { ".example.org", 0, false },
        { "exact.example.org", 2, true },
        { "*.example.org", 1, true },
        { "org", 0, false },
        { ".", 0, false },
        { "", 0, false },
        { "127.0.0.1", 0, false },
        { "xexample.org", 0, false },
        { "first.example.x", 0, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool known;
        const SSL_CTX *ctx = net__tls_set_find(set, slice_cstr(cases[i].name), &known);
        assert_ptr_equal(ctx, set->contexts[cases[i].context]);
        assert_int_equal(known, cases[i].known);
    }
    char long_name[300];
    memset(long_name, 'a', sizeof(long_name));
    long_name[1] = '.';
    bool known;
    (void)net__tls_set_find(set, slice_of(long_name, sizeof(long_name)), &known);
    assert_false(known);
    net__tls_set_unref(set);
    net_tls_free(tls);
}

static void test_tls_refuses_bad_files(void **state)
{
    struct fixture *f = *state;
    struct net_tls_certificate good = sign(f, "good", "DNS:a.example", "ec", 30);
    struct net_tls_certificate other = sign(f, "other", "DNS:b.example", "ec", 30);
    char *big = malloc(NET__TLS_FILE_BYTES_MAX + 2);
    memset(big, '#', NET__TLS_FILE_BYTES_MAX + 1);
    big[NET__TLS_FILE_BYTES_MAX + 1] = '\0';
    write_text(f, "big.pem", big);
    free(big);
    write_text(f, "empty.pem", "");
    write_text(f, "text.pem", "not a certificate\n");
    write_text(f, "damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write_text(f, "locked.key",
               "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
               "DEK-Info: AES-128-CBC,00000000000000000000000000000000\n\n"
               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END EC PRIVATE KEY-----\n");
    static const struct {
        const char *cert, *key, *ca, *ciphers, *want;
    } cases[] = {
        { "none.pem", "good.key", NULL, "", "none.pem: there is no such file" },
        { "good.pem/x", "good.key", NULL, "", "x: there is no such file" },
        { "", "good.key", NULL, "", "file" },
        { "big.pem", "good.key", NULL, "", "big.pem: the file is larger than 1 MiB" },
        { "empty.pem", "good.key", NULL, "", "empty.pem: holds no certificate in PEM" },
        { "text.pem", "good.key", NULL, "", "text.pem: holds no certificate in PEM" },
        { "damaged.pem", "good.key", NULL, "", "damaged.pem: holds no certificate" },
        { "good.pem", "text.pem", NULL, "", "text.pem: holds no private key in PEM" },
        { "good.pem", "good.pem", NULL, "", "good.pem: holds no private key in PEM" },
        { "good.pem", "locked.key", NULL, "", "locked.key: is protected by a passphrase" },
        { "good.pem", "other.key", NULL, "", "other.key: is not the key of the first certificate" },
        { "good.pem", "good.key", "none.pem", "",
          "none.pem: holds no certificate of an authority" },
        { "good.pem", "good.key", "text.pem", "",
          "text.pem: holds no certificate of an authority" },
        { "good.pem", "good.key", NULL, "NONSENSE", "names no cipher" },
    };
    (void)good;
    (void)other;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct net_tls_certificate certificate = {
            .cert_file = slice_cstr(path_of(f, cases[i].cert)),
            .key_file = slice_cstr(path_of(f, cases[i].key)),
        };
        struct net_tls_options options = {
            .certificates = &certificate,
            .certificates_len = 1,
            .ciphers = slice_cstr(cases[i].ciphers),
        };
        if (cases[i].ca) {
            options.client_auth = NET_TLS_CLIENT_REQUIRED;
            options.client_ca_file = slice_cstr(path_of(f, cases[i].ca));
        }
        struct net_tls *tls = NULL;
        struct net_tls_error error = { .text = "" };
        assert_int_equal(net_tls_new(&options, NULL, &tls, &error), STATUS_INVALID);
        assert_null(tls);
        if (!strstr(error.text, cases[i].want))
            fail_msg("\"%s\" does not say \"%s\"", error.text, cases[i].want);
    }
}

static void test_tls_is_replaced_whole(void **state)
{
    struct fixture *f = *state;
    struct net_tls_certificate site = sign(f, "site", "DNS:a.example", "ec", 30);
    struct net_tls_options options = { .certificates = &site, .certificates_len = 1 };
    struct net_tls *tls = open_tls(&options);
    struct net_tls_error error = { .text = "" };
    struct net__tls_set *first = net__tls_set_get(tls);
    assert_int_equal(net_tls_refresh(tls, &error), STATUS_NOT_FOUND);
    /* A new pair: who held the old set keeps it. */
    (void)sign(f, "site", "DNS:b.example", "ec", 30);
    assert_int_equal(net_tls_refresh(tls, &error), STATUS_OK);
    struct net__tls_set *second = net__tls_set_get(tls);
    assert_ptr_not_equal(first, second);
    bool known;
    (void)net__tls_set_find(first, SLICE("a.example"), &known);
    assert_true(known);
    (void)net__tls_set_find(second, SLICE("b.example"), &known);
    assert_true(known);
    net__tls_set_unref(first);
    /* A bad file is refused once, not at every look; what was in force stays. */
    write_text(f, "site.key", "nonsense");
    assert_int_equal(net_tls_refresh(tls, &error), STATUS_INVALID);
    assert_non_null(strstr(error.text, "site.key: holds no private key"));
    assert_int_equal(net_tls_refresh(tls, &error), STATUS_NOT_FOUND);
    struct net__tls_set *still = net__tls_set_get(tls);
    assert_ptr_equal(still, second);
    net__tls_set_unref(still);
    /* Asked for, it is refused each time. */
    assert_int_equal(net_tls_reload(tls, &options, &error), STATUS_INVALID);
    assert_int_equal(net_tls_reload(tls, &options, &error), STATUS_INVALID);
    (void)sign(f, "site", "DNS:c.example", "ec", 30);
    assert_int_equal(net_tls_refresh(tls, &error), STATUS_OK);
    net__tls_set_unref(second);
    net_tls_free(tls);
}

static void test_tls_tells_facts(void **state)
{
    struct fixture *f = *state;
    struct buf names;
    buf_init(&names, f->arena, 4096, 65536);
    for (unsigned i = 0; i < 100; i++)
        buf_printf(&names, "%sDNS:host-%u.example", i ? "," : "", i);
    buf_putc(&names, '\0');
    struct net_tls_certificate certificates[] = {
        sign(f, "site", "DNS:A.example", "ec", 30),
        sign(f, "many", names.data, "ec", -1),
    };
    write_text(f, "ocsp.der", "nonsense");
    certificates[0].ocsp_file = slice_cstr(path_of(f, "ocsp.der"));
    certificates[1].ocsp_file = slice_cstr(path_of(f, "none.der"));
    struct net_tls *tls =
        open_tls(&(struct net_tls_options){ .certificates = certificates, .certificates_len = 2 });
    struct net_tls_fact fact;
    assert_true(net_tls_fact(tls, 0, f->arena, &fact));
    assert_true(slice_eq(fact.names, SLICE("a.example")));
    assert_true(slice_eq(fact.cert_file, certificates[0].cert_file));
    assert_string_equal(fact.staple, "the OCSP file is no answer in DER");
    int64_t left_us = fact.expires_us - clock_wall_us();
    assert_in_range(left_us / CLOCK_SECOND, 30 * 86400 - 60, 30 * 86400 + 60);
    assert_true(net_tls_fact(tls, 1, f->arena, &fact));
    assert_true(slice_ends(fact.names, SLICE(" more")));
    assert_true(fact.names.len < 300);
    assert_true(fact.expires_us < clock_wall_us());
    assert_string_equal(fact.staple, "the OCSP file cannot be read");
    assert_false(net_tls_fact(tls, 2, f->arena, &fact));
    net_tls_free(tls);
}

/* -- tickets
 * ------------------------------------------------------------------------------------------ */

struct wire {
    char bytes[65536];
    struct net__tls_sink sink;
    size_t at;
};

static void step(struct net__tls_engine *e, struct wire *in, struct wire *out)
{
    struct slice cipher = slice_of(in->bytes + in->at, in->sink.len - in->at);
    char plain[256];
    size_t n;
    if (net__tls_handshake(e, &cipher, &out->sink) == NET__TLS_DONE)
        (void)net__tls_open(e, &cipher, plain, sizeof(plain), &n, &out->sink);
    in->at = in->sink.len - cipher.len;
}

/* Shake hands, with a session or without; true when it was resumed. *ret_session is the ticket
 * that was given. */
static bool resumes(SSL_CTX *server_ctx, SSL_CTX *client_ctx, SSL_SESSION *session,
                    SSL_SESSION **ret_session)
{
    struct net__tls_engine server, client;
    struct wire *up = calloc(1, sizeof(*up)), *down = calloc(1, sizeof(*down));
    up->sink = (struct net__tls_sink){ .data = up->bytes, .cap = sizeof(up->bytes) };
    down->sink = (struct net__tls_sink){ .data = down->bytes, .cap = sizeof(down->bytes) };
    assert_int_equal(net__tls_init_server(&server, server_ctx), STATUS_OK);
    assert_int_equal(net__tls_init_client(&client, client_ctx, SLICE("a.example")), STATUS_OK);
    if (session)
        assert_int_equal(SSL_set_session(client.ssl, session), 1);
    for (unsigned i = 0; i < 4; i++) {
        step(&client, down, up);
        step(&server, up, down);
    }
    step(&client, down, up);
    assert_true(client.is_open && server.is_open);
    bool is_resumed = SSL_session_reused(server.ssl) == 1;
    if (ret_session)
        *ret_session = SSL_get1_session(client.ssl);
    /* A session whose connection ends without a goodbye is not to be taken up again. */
    net__tls_close_notify(&client, &up->sink);
    net__tls_fini(&server);
    net__tls_fini(&client);
    free(up);
    free(down);
    return is_resumed;
}

static void test_tls_tickets_live_two_periods(void **state)
{
    struct fixture *f = *state;
    struct net_tls_certificate site = sign(f, "site", "DNS:a.example", "ec", 30);
    struct net_tls_options options = { .certificates = &site, .certificates_len = 1 };
    struct net_tls *tls = open_tls(&options);
    struct net_tls_error error = { .text = "" };
    struct net__tls_tickets *tickets = net__tls_tickets_of(tls);
    SSL_CTX *client_ctx = NULL;
    const char *reason = NULL;
    assert_int_equal(net__tls_client_ctx_new(&(struct net__tls_client_options){ .no_verify = true },
                                             &client_ctx, &reason),
                     STATUS_OK);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        assert_int_equal(SSL_CTX_set_max_proto_version(client_ctx, version), 1);
        struct net__tls_set *set = net__tls_set_get(tls);
        SSL_CTX *ctx = set->contexts[0];
        SSL_SESSION *session = NULL, *renewed = NULL;
        assert_false(resumes(ctx, client_ctx, NULL, &session));
        assert_true(resumes(ctx, client_ctx, session, NULL));
        net__tls_tickets_rotate(tickets);
        assert_true(resumes(ctx, client_ctx, session, &renewed)); /* by the previous key */
        net__tls_tickets_rotate(tickets);
        assert_false(resumes(ctx, client_ctx, session, NULL)); /* two periods old */
        assert_true(resumes(ctx, client_ctx, renewed, NULL));  /* it was renewed in time */
        SSL_SESSION_free(renewed);
        SSL_SESSION_free(session);
        /* A reload keeps the keys ... */
        assert_false(resumes(ctx, client_ctx, NULL, &session));
        net__tls_set_unref(set);
        assert_int_equal(net_tls_reload(tls, &options, &error), STATUS_OK);
        set = net__tls_set_get(tls);
        assert_true(resumes(set->contexts[0], client_ctx, session, NULL));
        net__tls_set_unref(set);
        /* ... but a session that was begun without a certificate is none where one is asked for. */
        write_certificate(path_of(f, "ca.pem"), &f->ca, NULL);
        struct net_tls_options asking = options;
        asking.client_auth = NET_TLS_CLIENT_OPTIONAL;
        asking.client_ca_file = slice_cstr(path_of(f, "ca.pem"));
        assert_int_equal(net_tls_reload(tls, &asking, &error), STATUS_OK);
        set = net__tls_set_get(tls);
        assert_false(resumes(set->contexts[0], client_ctx, session, NULL));
        net__tls_set_unref(set);
        SSL_SESSION_free(session);
        assert_int_equal(net_tls_reload(tls, &options, &error), STATUS_OK);
    }
    SSL_CTX_free(client_ctx);
    net_tls_free(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tls_names_find_their_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_refuses_bad_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_is_replaced_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_tells_facts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_tickets_live_two_periods, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
