/*
 * identity/identity.h - Who is asking: accounts, sessions and tokens, the routes under /auth/ that
 * people sign in by, and the step of the chain that tells every handler who asks.
 *
 * Data passes: a credential (bearer token, API key, session cookie) -> its digest -> the loop's
 * cache, or once: signature, session and account in the store -> the request's caller, whom rules
 * and audiences ask. Sign-ins: body -> throttle -> account -> the password's own threads -> one
 * write with session, audit and mail -> a pair of tokens or a cookie.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;
struct buf;
struct contract;
struct contract_row;
struct contract_set;
struct http_app;
struct identity;
struct identity_api_keys;
struct identity_audit;
struct identity_client;
struct identity_mail;
struct identity_revocations;
struct identity_provider;
struct identity_scope;
struct identity_token_issuer;
struct loop;
struct metrics;
struct problem;
struct rights;
struct store;
struct store_tx;
struct task;
struct task_caller;

/* The name of the contract whose rows are people; `ref: users` and `@user` are its ids. */
#define IDENTITY_PEOPLE "users"

/* People are rows of the application's contract, which another room serves. */
struct identity_people {
    struct contract_set *(*hold)(void *arg); /* the contracts as they are now */
    void (*release)(void *arg, struct contract_set *set);
    /* Insert a validated row inside a write; fails as the engine's own creation does. */
    enum status (*insert)(struct store_tx *tx, const struct contract_row *row,
                          const struct uuid *id, struct uuid *ret_id);
    /* Delete a row inside a write, as the contract has it (for good, or to be restored). CONFLICT:
     * what refers to it may not lose it. */
    enum status (*remove)(struct store_tx *tx, const struct uuid *id, void *arg);
    void *arg;
};

enum identity_verify { IDENTITY_VERIFY_AUTO, IDENTITY_VERIFY_ON, IDENTITY_VERIFY_OFF };

struct identity_options {
    struct store *store;
    struct metrics *metrics;
    struct identity_people people;
    struct identity_audit *audit; /* outlive it; each may be NULL */
    struct identity_mail *mail;
    struct identity_api_keys *api_keys;
    struct identity_revocations *revocations; /* what keys and sessions share; NULL: its own */
    struct loop *const *loops;
    unsigned loops_len;
    struct slice secret, secret_previous; /* of the installation */
    struct slice issuer;   /* URL of this server as clients know it; empty: identity_issuer_set */
    struct slice audience; /* of access tokens; empty: the issuer */
    struct slice pages;    /* URL under which the application has pages for links in mail; empty:
                              ours */
    struct slice passkey_origins; /* whose pages may use passkeys beside our own; comma-separated,
                                     checked by identity_passkey_origins_check */
    struct slice operator_name;   /* of a tool: who calls it, for the log */
    bool rs256;                   /* sign with RS256 instead of ES256 */
    bool replace_lost; /* signing keys that no secret opens go, and with them every token */
    bool sign_up;      /* anybody may have an account */
    enum identity_verify verify_email; /* an account signs in only after its address was verified;
                                          AUTO: in production, where mail can be sent */
    bool development;
    int64_t access_us;        /* life of an access token; 0: 15 minutes */
    int64_t session_us;       /* of a session; 0: 30 days */
    int64_t refresh_grace_us; /* for parallel tabs; 0: 30 s */
    int64_t impersonate_us;   /* of a session in which somebody acts as another; 0: 15 minutes */
    bool impersonate_mail;    /* the person is told of it */
    bool impersonate_admins;  /* also as somebody who may act as others */
    int64_t delete_after_us;  /* between asking for the end of an account and it; 0: 14 days */
    uint32_t password_memory_kib, password_passes;
    unsigned password_threads, password_queue;
    /* OAuth (identity/clients.h); they outlive the room. */
    const struct identity_client *clients;
    unsigned clients_len;
    const struct identity_scope *scopes; /* the application's own */
    unsigned scopes_len;
    bool oauth;                  /* its endpoints are there */
    const struct rights *rights; /* roles and permissions; outlive the room. NULL: none declared */
    /* Others whose word is taken (identity/providers.h, token_issuers.h); they outlive the room. */
    const struct identity_provider *providers;
    unsigned providers_len;
    struct slice return_origins; /* where a sign-in elsewhere may end, besides here; commas between
                                    them */
    const struct identity_token_issuer *token_issuers;
    unsigned token_issuers_len;
    const struct identity_certificate *certificates; /* identity/certificates.h; outlive the room */
    unsigned certificates_len;
};

/*
 * Make the tables and keys, start the password threads, and add the step and the routes to `app`.
 *
 * Errors   what the store reports; UNAUTHENTICATED: the signing keys are sealed with another
 *          secret. *problem says it in words for an operator.
 * Memory   texts of the options must outlive it, as must store, loops and app.
 * Context  start of the process, before loops run; blocks.
 */
enum status identity_open(struct http_app *app, const struct identity_options *options,
                          struct arena *arena, struct problem *problem, struct identity **ret);
/* Harmless for NULL. No loop may run any more. */
void identity_close(struct identity *identity);

/* Where no issuer was configured: the address that the server listens at. Before loops run; the
 * text must outlive the room. */
void identity_issuer_set(struct identity *identity, struct slice issuer);
/* Begin and end the upkeep, on loops[0]: before loops run or on its thread; harmless twice. */
void identity_upkeep_start(struct identity *identity);
void identity_upkeep_stop(struct identity *identity);
/* Does no task of this room run on this thread's loop? They end within seconds once requests and
 * upkeep have. */
bool identity_is_idle(const struct identity *identity);
/* Is there a contract of people, and with it accounts? */
bool identity_has_people(const struct identity *identity);

/* A person's row was deleted: nobody acts for them any more, within a second. Inside that write. */
enum status identity_person_removed(struct store_tx *tx, const struct uuid *user);

/* -- for commands
 * ------------------------------------------------------------------------------------------ */

/*
 * Who `name`, an id or an address, is to rules: the person, and the roles of their account.
 *
 * Errors   NOT_FOUND, INVALID with the problem set. Memory   in the task's arena. Context suspends.
 */
enum status identity_caller_of(struct task *task, struct store *store, struct slice name,
                               struct task_caller *ret);

struct identity_user_new {
    struct slice email, password; /* empty: an account without a password */
    const json_t *profile;        /* an object of the contract's fields; NULL: {} */
    const struct slice *roles;
    unsigned roles_len;
    bool is_verified;
};
/*
 * Make a person and their account.
 *
 * Errors   INVALID and CONFLICT with the problem's fields; UNAVAILABLE: there is no contract of
 *          people. Context  suspends.
 */
enum status identity_user_create(struct task *task, struct identity *identity,
                                 const struct identity_user_new *user, struct uuid *ret_id);
#define IDENTITY_PASSKEY_ORIGINS_MAX 32u
/* Why these are no origins; NULL: they are. Constant. */
const char *identity_passkey_origins_check(struct slice list);
/* The tables of accounts, where a tool opens no room. Blocks. */
enum status identity_accounts_make(struct store *store, struct arena *arena,
                                   struct problem *problem);
/*
 * Whose account goes by this name: an address, or the id of a person.
 *
 * Errors   NOT_FOUND: nobody's, with the nearest address if one is near; CONFLICT: it is disabled,
 *          or on its way out. The problem is set. Context  suspends.
 */
enum status identity_account_named(struct task *task, struct store *store, struct slice name,
                                   struct uuid *ret_user);
/* Is there an account with this role that can sign in? Suspends. */
enum status identity_has_role(struct task *task, struct identity *identity, struct slice role,
                              bool *ret_has);

/*
 * Change an account, named by its address. What it could do before ends within seconds: disabling
 * and a new password end its sessions, other roles hold from the next request on.
 *
 * Errors   NOT_FOUND, INVALID with the problem set. Context   suspends.
 */
enum status identity_user_roles_change(struct task *task, struct identity *identity,
                                       struct slice email, const struct slice *added,
                                       unsigned added_len, const struct slice *removed,
                                       unsigned removed_len, struct slice *ret_json);
enum status identity_user_disable(struct task *task, struct identity *identity, struct slice email,
                                  bool disable);
enum status identity_user_password_set(struct task *task, struct identity *identity,
                                       struct slice email, struct slice password);
/* Take away all second factors, passkeys too: the phone is lost, and so are the codes. */
enum status identity_user_factors_reset(struct task *task, struct identity *identity,
                                        struct slice email);
/*
 * Rotate the keys that sign access tokens: the next one is published now and signs when everybody
 * knows it; `at_once`, after a leak, all are dropped and every access token is void within seconds
 * (refresh tokens stay good).
 *
 * Errors   CONFLICT: a rotation is under way. The problem is set. Context   suspends.
 */
enum status identity_signing_rotate(struct task *task, struct identity *identity, bool at_once);
/* What a token says and whether it is good, as a line of JSON appended to `out`. Suspends. */
enum status identity_token_inspect(struct task *task, struct identity *identity, struct slice token,
                                   struct buf *out);
/* A password that somebody can type: 20 letters and digits in groups of five, some 98 bits. */
#define IDENTITY_PASSWORD_MADE_LEN 23u
void identity_password_make(char ret_password[IDENTITY_PASSWORD_MADE_LEN]);
