/*
 * cmd/config.h - What the program is told: defaults, then purlin.yaml, then the environment (and
 * --env-file below the real environment). One table (cmd/config_table.c) names every key; it
 * validates, and the reference, .env.example and the JSON Schema of purlin.yaml are printed from
 * it.
 *
 * Data passes: table defaults -> file (base/yaml) -> environment -> struct config; every problem at
 * once in a diag.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/diag.h"
#include "base/rights.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;
struct buf;
struct config_named;
struct identity_client;
struct identity_scope;
struct json_out;
struct yaml_node;

/* An item of `routes`: the keys marked per_route as they hold for the paths under `match`. */
struct config_route {
    struct slice match; /* "/api/v1/uploads": this path and what lies under it */
    struct config *config;
    struct slice file; /* where it stands, for complaints */
    int line;
};

struct config {
    struct slice env; /* development, production */
    struct slice host;
    int64_t port;
    int64_t threads; /* 0: one a core */
    int64_t grace_us;
    int64_t drain_delay_us;
    int64_t request_timeout_us;
    struct slice trusted_proxies; /* comma-separated */
    struct address_set proxies;   /* the same, read */
    bool proxy_protocol;
    struct slice forwarded; /* auto, forwarded, x-forwarded, off */
    struct slice hosts;     /* comma-separated */
    bool clear;             /* the clear port is opened */
    struct slice unix_path;
    struct slice unix_mode_text;
    int64_t unix_mode; /* the same, read */

    int64_t line_bytes;
    int64_t header_bytes;
    int64_t headers;
    int64_t body_bytes;
    int64_t connections;
    int64_t connections_per_address;
    int64_t accept_rate;
    int64_t head_timeout_us;
    int64_t body_timeout_us;
    int64_t idle_timeout_us;
    int64_t write_timeout_us;
    int64_t body_rate;
    int64_t query_params;
    int64_t json_depth;
    bool limits_enabled;

    struct slice tls_enabled; /* auto, on, off */
    int64_t tls_port;
    int64_t tls_public_port; /* 0: tls_port */
    struct slice tls_cert;   /* files, comma-separated ... */
    struct slice tls_key;    /* ... in the same order ... */
    struct slice tls_ocsp;   /* ... likewise; an empty part: none */
    struct slice tls_client_ca;
    struct slice tls_client_auth; /* off, optional, required */
    struct slice tls_min_version; /* 1.2, 1.3 */
    struct slice tls_ciphers;
    bool tls_redirect;
    int64_t tls_ticket_period_us;
    int64_t tls_watch_us; /* 0: files are not watched */
    int64_t handshake_timeout_us;
    int64_t handshakes;

    struct slice rate_requests; /* rules, comma-separated: http_rate_parse */
    struct slice rate_writes;
    struct slice rate_credentials;
    int64_t rate_cost;
    struct slice rate_mode;    /* enforce, report, off */
    struct slice rate_headers; /* standard, both, off */
    struct slice rate_exempt_roles;
    struct slice rate_exempt_addresses;
    struct slice rate_tenant_header;
    int64_t rate_keys;

    int64_t overload_target_us;
    int64_t overload_interval_us;
    int64_t overload_in_flight;
    bool overload_adaptive;

    struct slice static_folder;
    struct slice static_path;
    struct slice static_fallback;
    int64_t static_max_age_us;

    bool compression;
    int64_t compression_bytes_min;
    struct slice compression_types;
    bool compression_with_cookies;
    int64_t compression_ratio_max;
    int64_t compression_zstd;
    int64_t compression_br;
    int64_t compression_gzip;
    int64_t compression_rate;

    bool http2_enabled;
    bool http2_clear_text;
    int64_t http2_streams;
    int64_t http2_stream_window;
    int64_t http2_connection_window;
    int64_t http2_resets;
    int64_t http2_settings;
    int64_t http2_pings;
    int64_t http2_priorities;
    int64_t http2_window_updates;
    int64_t http2_empty_frames;

    struct slice database_url;
    struct slice migrations;
    struct slice auto_migrate; /* auto, on, off */
    int64_t readers;
    int64_t write_queue;
    int64_t write_batch;
    int64_t wal_bytes;
    int64_t mmap_bytes;

    struct slice contracts;
    struct slice web;
    struct slice swagger;
    struct slice admin_key;
    struct slice secret;
    struct slice secret_previous;

    struct slice auth_issuer;
    struct slice auth_audience;
    struct slice auth_pages, auth_passkey_origins;
    bool auth_sign_up;
    struct slice auth_verify_email; /* auto, on, off */
    struct slice auth_lost_keys;    /* refuse, replace */
    struct slice auth_algorithm;    /* ES256, RS256 */
    int64_t auth_access_us;
    int64_t auth_session_us;
    int64_t auth_refresh_grace_us;
    int64_t auth_delete_after_us;
    int64_t auth_impersonate_us;
    bool auth_impersonate_admins;
    bool auth_impersonate_mail;
    int64_t auth_password_bytes;
    int64_t auth_password_passes;
    int64_t auth_password_threads;
    int64_t auth_password_queue;

    int64_t audit_keep_us;        /* 0: for ever */
    struct slice audit_lost_keys; /* refuse, replace */

    bool oauth_enabled;
    const struct identity_client *oauth_clients; /* in the order of the file */
    unsigned oauth_clients_len;
    const struct identity_scope *oauth_scopes;
    unsigned oauth_scopes_len;
    struct slice auth_return_origins;               /* comma-separated */
    const struct identity_provider *auth_providers; /* in the order of the file */
    unsigned auth_providers_len;
    const struct identity_token_issuer *auth_token_issuers;
    unsigned auth_token_issuers_len;
    const struct identity_certificate *certificates; /* auth.certificates, in the file's order */
    unsigned certificates_len;
    struct rights rights;       /* `roles` and `permissions` of the file */
    struct config_named *named; /* permissions that it names, in roles and scopes */
    unsigned named_len;

    int64_t limit_default;
    int64_t limit_max;
    int64_t batch_max;
    int64_t expand_depth;
    int64_t idempotency_ttl_us;
    bool require_if_match;
    struct slice api_deprecated; /* a date; empty: not */
    struct slice api_sunset;
    struct slice api_deprecation_link;
    bool api_gone_after_sunset;

    struct slice docs;    /* auto, on, off */
    struct slice metrics; /* auto, public, admin, off */
    bool health_aliases;

    struct slice log_level;
    struct slice log_format; /* auto, json, pretty */
    bool access_log;

    struct slice client_ca_file;
    struct slice client_allow;         /* comma-separated */
    struct address_set client_allowed; /* the same, read */
    int64_t client_connections;
    int64_t client_host_connections;
    int64_t client_idle_timeout_us;

    struct slice mail_smtp_url; /* empty: none */
    struct slice mail_from;     /* empty: the program's, in development */
    struct slice mail_reply_to;
    struct slice mail_templates; /* folder; empty: ours */
    struct slice mail_folder;    /* the mailbox of development */
    int64_t mail_queue;
    int64_t mail_attempts;
    int64_t mail_concurrency;
    int64_t mail_timeout_us;
    int64_t mail_retry_us;

    struct slice signature_mode;    /* off, optional, required */
    struct slice signature_profile; /* any, rfc9421, hmac */
    struct slice signature_keys;    /* id:algorithm:material, comma-separated */
    struct slice signature_accept;  /* ids, comma-separated */
    struct slice signature_components;
    struct slice signature_tag;
    struct slice signature_nonce; /* off, optional, required */
    int64_t signature_nonces;
    int64_t signature_max_age_us;
    int64_t signature_clock_skew_us;

    int64_t offload_threads;
    int64_t offload_queue;

    struct slice headers_profile; /* auto, api, html, download, off */
    bool headers_compat;
    int64_t headers_hsts_us; /* 0: none */
    bool headers_hsts_subdomains;
    bool headers_hsts_preload;
    struct slice headers_csp;
    struct slice headers_referrer;
    struct slice headers_permissions;
    struct slice headers_resource;

    struct slice cors_origins; /* comma-separated */
    bool cors_credentials;
    struct slice cors_headers;
    struct slice cors_expose;
    int64_t cors_max_age_us;
    bool cors_private_network;

    bool csrf_enabled;
    struct slice csrf_token; /* always, fallback */
    bool csrf_same_site;
    struct slice csrf_origins;
    struct slice csrf_sessions;
    struct slice csrf_cookie;
    int64_t csrf_ttl_us;

    struct config_route *routes; /* in the order of the file */
    unsigned routes_len;
};
#define CONFIG_ROUTES_MAX 64u

enum config_type {
    CONFIG_TEXT,
    CONFIG_INTEGER,
    CONFIG_BOOLEAN,
    CONFIG_DURATION, /* "30s" -> microseconds */
    CONFIG_BYTES,    /* "1MiB" -> bytes */
    CONFIG_CHOICE    /* one of `choices`, "a|b|c" */
};

struct config_key {
    const char *name; /* in purlin.yaml, dotted: "server.port" */
    const char *env;
    enum config_type type;
    size_t offset; /* in struct config */
    const char *fallback;
    const char *choices;
    int64_t min, max; /* of integers, bytes, and durations (microseconds); text: length */
    bool secret;      /* also read from ENV_FILE; never printed */
    bool reloadable;  /* taken over at SIGHUP */
    const char *help;
    bool per_route; /* items of `routes` may set it too */
};

extern const struct config_key config_keys[];
extern const unsigned config_keys_len;

struct config_source {
    struct slice file;     /* path of purlin.yaml; empty: ./purlin.yaml if it exists */
    struct slice env_file; /* KEY=VALUE lines; empty: none */
    char **environ;
};

/*
 * Read and validate everything.
 *
 * Errors   INVALID with every problem in `diag` (file, line, key); *ret is then untouched.
 * Memory   texts live in `arena`.
 * Context  start of the process, or SIGHUP; reads files.
 */
enum status config_load(const struct config_source *source, struct arena *arena, struct diag *diag,
                        struct config *ret);
static inline bool config_is_production(const struct config *c)
{
    return slice_eq(c->env, SLICE("production"));
}

static inline bool config_has_tls(const struct config *c)
{
    return slice_eq(c->tls_enabled, SLICE("on")) ||
           (slice_eq(c->tls_enabled, SLICE("auto")) && c->tls_cert.len > 0);
}

/* Call fn for each key that is taken over at a start only and differs between the two. */
void config_needs_restart(const struct config *in_force, const struct config *next,
                          void (*fn)(void *arg, const struct config_key *key), void *arg);

/* "2027-01-31" or RFC 3339 -> microseconds since 1970 UTC. */
bool config_date(struct slice text, int64_t *ret_us);
/* What of the protective standards does not fit together; cmd/config_edge.c. */
void config_check_edge(const struct config *config, struct slice file, int line, struct diag *diag);

/* What of accounts does not fit together; cmd/config_auth.c. */
void config_check_auth(const struct config *config, struct diag *diag);

/* Whether mail can be written and sent as it says; cmd/config_mail.c. */
void config_check_mail(const struct config *config, struct arena *arena, struct diag *diag);

/* Where a part of the file is read that is no single value. `expand` replaces ${NAME} in a text. */
struct config_reading {
    struct arena *arena;
    struct diag *diag;
    struct slice file;
    struct slice (*expand)(void *arg, const struct yaml_node *value);
    void *arg;
};
/* Read the lists oauth.clients and oauth.scopes of the file; cmd/config_oauth.c. */
void config_read_oauth(const struct config_reading *reading, const struct yaml_node *oauth,
                       struct config *config);
/* Call fn for each of the lists that differs: they are taken over at a start only. */
void config_oauth_needs_restart(const struct config *in_force, const struct config *next,
                                void (*fn)(void *arg, const struct config_key *key), void *arg);
/* Is this key, dotted, one of the lists? */
bool config_is_oauth_list(struct slice name);
void config_oauth_schema(struct json_out *o);

/* The list auth.certificates, once roles are known; cmd/config_certificates.c. */
void config_read_certificates(const struct config_reading *reading, const struct yaml_node *auth,
                              struct config *config);
void config_certificates_schema(struct json_out *o);
/* Would another process treat somebody's certificate otherwise? */
bool config_certificates_differ(const struct config *a, const struct config *b);

/* Documents made from the table. */
void config_print_reference(struct buf *out);   /* Markdown */
void config_print_env_example(struct buf *out); /* .env.example */
void config_print_schema(struct buf *out);      /* JSON Schema of purlin.yaml */
/* What is in force, secrets as "***". */
void config_print(const struct config *config, struct buf *out);

/* Read a whole file. NOT_FOUND, DENIED, TOO_LARGE (bytes_max) or UNAVAILABLE. */
enum status file_read(struct arena *arena, struct slice path, size_t bytes_max, struct slice *ret);
