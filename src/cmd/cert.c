/*
 * purlin cert dev. A certificate for this machine, signed by an authority of its own, so that https
 * can be tried without a name in public DNS.
 *
 * The authority's key is thrown away as soon as it has signed: nobody can sign anything else with
 * it, so that who trusts ca.pem trusts this one certificate and no other.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "cmd/cmd.h"

#define DAYS_DEFAULT 397 /* what browsers take of public authorities */
#define DAYS_MAX 825     /* what Apple's take of private ones */
#define DAY_SECONDS 86400L
#define SERIAL_BYTES 16

struct making {
    struct arena *arena;
    struct slice folder;
    struct slice names; /* subjectAltName, in OpenSSL's words */
    int64_t days;
    EVP_PKEY *ca_key, *key;
    X509 *ca, *cert;
};

/* -- certificates
 * ------------------------------------------------------------------------------------- */

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool is_added = e && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    return is_added;
}

static bool set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and of one length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool is_set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return is_set;
}

/* Everything but the extensions and the signature. */
static X509 *draft(EVP_PKEY *key, const X509_NAME *issuer, const char *name, int64_t days)
{
    X509 *cert = X509_new();
    X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;
    const unsigned char *text = (const unsigned char *)name;
    bool is_good =
        cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
        X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, NULL) &&
        X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                                   (const unsigned char *)"Purlin development", -1, -1, 0) == 1 &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1 &&
        X509_set_issuer_name(cert, issuer ? issuer : subject) == 1 &&
        X509_set_pubkey(cert, key) == 1;
    if (is_good)
        return cert;
    X509_free(cert);
    return NULL;
}

static bool make(struct making *m)
{
    char host[64] = "this machine";
    (void)gethostname(host, sizeof(host) - 1); /* only for people */
    struct slice title = arena_printf(m->arena, "Purlin development authority on %s", host);
    char *names = arena_cstr(m->arena, m->names);
    m->ca_key = EVP_EC_gen("P-256");
    m->key = EVP_EC_gen("P-256");
    if (!m->ca_key || !m->key || !names)
        return false;
    /* A common name has at most 64 characters (RFC 5280 appendix A.1). */
    m->ca = draft(m->ca_key, NULL, arena_cstr(m->arena, slice_head(title, 64)), m->days);
    if (!m->ca || !extend(m->ca, m->ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !extend(m->ca, m->ca, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !extend(m->ca, m->ca, NID_subject_key_identifier, "hash") ||
        X509_sign(m->ca, m->ca_key, EVP_sha256()) == 0)
        return false;
    m->cert = draft(m->key, X509_get_subject_name(m->ca), "localhost", m->days);
    return m->cert && extend(m->cert, m->ca, NID_basic_constraints, "critical,CA:FALSE") &&
           extend(m->cert, m->ca, NID_key_usage, "critical,digitalSignature") &&
           extend(m->cert, m->ca, NID_ext_key_usage, "serverAuth") &&
           extend(m->cert, m->ca, NID_subject_key_identifier, "hash") &&
           extend(m->cert, m->ca, NID_authority_key_identifier, "keyid") &&
           extend(m->cert, m->ca, NID_subject_alt_name, names) &&
           X509_sign(m->cert, m->ca_key, EVP_sha256()) != 0;
}

/* -- files
 * -------------------------------------------------------------------------------------------- */

static bool make_folder(struct arena *arena, struct slice folder)
{
    for (size_t i = 1; i <= folder.len; i++) {
        if (i < folder.len && folder.data[i] != '/')
            continue;
        char *name = arena_cstr(arena, slice_head(folder, i));
        if (!name || (mkdir(name, 0755) != 0 && errno != EEXIST))
            return false;
    }
    return true;
}

/* Written beside its place, then moved there whole: a server that looks meanwhile sees the old one
 * or the new one. */
static bool write_file(struct making *m, const char *name, const X509 *cert, const EVP_PKEY *key)
{
    struct slice path = arena_printf(m->arena, "%.*s/%s", SLICE_ARG(m->folder), name);
    char *at = arena_cstr(m->arena, path);
    char *beside = arena_cstr(m->arena, arena_printf(m->arena, "%.*s.new", SLICE_ARG(path)));
    if (!at || !beside)
        return false;
    (void)unlink(beside); /* of an earlier run that was cut short */
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, key ? 0600 : 0644);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f) {
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    bool is_good = key ? PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1
                       : PEM_write_X509(f, cert) == 1;
    is_good = fflush(f) == 0 && fsync(fd) == 0 && is_good;
    is_good = fclose(f) == 0 && is_good;
    return is_good && rename(beside, at) == 0;
}

static int save(struct making *m)
{
    if (make_folder(m->arena, m->folder) && write_file(m, "key.pem", NULL, m->key) &&
        write_file(m, "cert.pem", m->cert, NULL) && write_file(m, "ca.pem", m->ca, NULL))
        return CMD_OK;
    int error = errno;
    (void)fprintf(stderr, "purlin cert: cannot write to %.*s: %s\n", SLICE_ARG(m->folder),
                  error == EACCES  ? "permission denied"
                  : error == EROFS ? "the file system is read-only"
                                   : "the disk is full, or the place is taken");
    return CMD_FAILED;
}

static bool exists(struct arena *arena, struct slice folder, const char *name)
{
    char *path = arena_cstr(arena, arena_printf(arena, "%.*s/%s", SLICE_ARG(folder), name));
    return path && access(path, F_OK) == 0;
}

/* -- the verb
 * ----------------------------------------------------------------------------------------- */

/* Letters, digits, hyphens and dots, with one asterisk in front at most: nothing that could say
 * more than a name where the names are put together. */
static bool is_name(struct slice name)
{
    if (slice_starts(name, SLICE("*.")))
        name = slice_from(name, 2);
    bool is_good = name.len > 0 && name.len <= 253 && name.data[0] != '.' && name.data[0] != '-';
    for (size_t i = 0; i < name.len && is_good; i++) {
        char c = name.data[i];
        is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || (c == '.' && name.data[i - 1] != '.');
    }
    return is_good;
}

/* False: the host is neither a name nor an address. */
static bool put_host(struct buf *names, struct slice host)
{
    struct address unused;
    bool is_address = address_parse(host, &unused);
    if (!is_address && !is_name(host))
        return false;
    buf_printf(names, ",%s:%.*s", is_address ? "IP" : "DNS", SLICE_ARG(host));
    return true;
}

static int make_all(struct making *m)
{
    int code = CMD_FAILED;
    if (make(m))
        code = save(m);
    else
        (void)fprintf(stderr, "purlin cert: the system's OpenSSL could not make a certificate\n");
    X509_free(m->ca);
    X509_free(m->cert);
    EVP_PKEY_free(m->ca_key);
    EVP_PKEY_free(m->key);
    ERR_clear_error();
    if (code != CMD_OK)
        return code;
    (void)printf("Made %.*s/cert.pem and key.pem, good for %lld days, for %.*s.\n"
                 "Serve it:   PURLIN_TLS_CERT=%.*s/cert.pem PURLIN_TLS_KEY=%.*s/key.pem purlin "
                 "serve\n"
                 "Trust it:   curl --cacert %.*s/ca.pem https://localhost:8443/health/live\n",
                 SLICE_ARG(m->folder), (long long)m->days, SLICE_ARG(m->names),
                 SLICE_ARG(m->folder), SLICE_ARG(m->folder), SLICE_ARG(m->folder));
    return CMD_OK;
}

static int run_with(const struct cmd_verb *verb, struct arena *arena, int argc, char **argv)
{
    struct slice folder = SLICE("data/tls"), days_text = SLICE_NULL, hosts[CMD_WORDS_MAX];
    unsigned hosts_len = 0;
    bool is_forced = false;
    const struct cmd_option options[] = {
        { .name = "--folder",
          .value = "FOLDER",
          .help = "Where the files go (default: data/tls).",
          .text = &folder },
        { .name = "--host",
          .value = "NAME",
          .help = "A further name or address it is good for; may be repeated.",
          .list = hosts,
          .list_len = &hosts_len },
        { .name = "--days",
          .value = "N",
          .help = "How long it is good for (default: 397).",
          .text = &days_text },
        { .name = "--force",
          .help = "Replace a certificate that is there already.",
          .is_set = &is_forced },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len != 1 || !slice_eq(args.words[0], SLICE("dev")))
        return cmd_usage_error(verb, "what to make is missing: purlin cert dev");
    struct making m = { .arena = arena, .folder = folder, .days = DAYS_DEFAULT };
    while (m.folder.len > 1 && m.folder.data[m.folder.len - 1] == '/')
        m.folder.len--;
    if (days_text.len && (!slice_to_i64(days_text, &m.days) || m.days < 1 || m.days > DAYS_MAX))
        return cmd_usage_error(verb, "--days must be a number from 1 to %d", DAYS_MAX);
    struct buf names;
    buf_init(&names, arena, 256, 16384);
    buf_put_lit(&names, "DNS:localhost,IP:127.0.0.1,IP:::1");
    for (unsigned i = 0; i < hosts_len; i++) {
        if (!put_host(&names, hosts[i]))
            return cmd_usage_error(verb, "%.*s is neither a name nor an address",
                                   SLICE_ARG(hosts[i]));
    }
    m.names = buf_slice(&names);
    if (!is_forced && (exists(arena, m.folder, "cert.pem") || exists(arena, m.folder, "key.pem"))) {
        (void)fprintf(stderr,
                      "purlin cert: there is a certificate in %.*s already; --force replaces it\n",
                      SLICE_ARG(m.folder));
        return CMD_FAILED;
    }
    return make_all(&m);
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    return run_with(verb, arena, argc, argv);
}

const struct cmd_verb cmd_cert = {
    .name = "cert",
    .summary = "Make a certificate for https in development.",
    .synopsis = "dev [--host NAME]... [--days N] [--folder FOLDER] [--force]",
    .details = "Makes cert.pem and key.pem (ECDSA P-256) for localhost, 127.0.0.1 and ::1, and "
               "ca.pem, the authority\n"
               "that signed it, for clients to trust. The authority's key is thrown away: it can "
               "sign nothing else.\n"
               "For development only; production takes a certificate of a public authority.",
    .run = run,
};
