/*
 * identity/room.h - What the room is made of, for its own files.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/log.h"
#include "base/slice.h"
#include "fiber/loop.h"
#include "identity/identity.h"
#include "identity/jose.h"
#include "identity/seal.h"
#include "identity/secret.h"
#include "store/store.h"

struct identity_foreign;
struct identity_foreign_tokens;
struct identity_keys;
struct identity_passwords;
struct identity_revocations;
struct identity_throttle;
struct identity_token_cache;

/* Statements that depend on the contract of people. */
struct identity__statements {
    struct slice account_by_email, account_by_user;
    struct slice session_by_id, session_by_cookie;
};

/* Series of purlin_oauth_tokens: identity/oauth_note.c. */
#define IDENTITY__OAUTH_GRANTS 4u
#define IDENTITY__OAUTH_RESULTS 7u

enum identity__metric_outcome {
    IDENTITY__OUTCOME_OK,
    IDENTITY__OUTCOME_WRONG, /* address, password, code or secret */
    IDENTITY__OUTCOME_THROTTLED,
    IDENTITY__OUTCOME_REFUSED, /* disabled, not verified */
    IDENTITY__OUTCOMES
};

struct identity {
    struct identity_options options; /* texts in the arena */
    struct arena *arena;
    struct store *store;
    struct http_app *app;
    struct identity_keys *keys;
    struct identity_passwords *passwords;
    struct identity_revocations *revocations;
    struct identity_throttle *throttle;
    struct identity_token_cache **caches; /* by the index of the loop */
    unsigned caches_len;
    struct identity__statements sql;
    struct slice person; /* a further condition on a person's row "u", or empty */
    struct slice issuer; /* of tokens */
    struct identity_pepper refresh_keys[2], code_keys[2]; /* of the secret and the one before */
    unsigned secrets_len;
    struct identity_foreign *foreign;               /* NULL: no providers to sign in with */
    struct identity_foreign_tokens *foreign_tokens; /* NULL: no issuers but ourselves */
    struct identity_seal totp_seal;
    struct uuid reseal_cursor; /* of what is sealed with the secret before */
    bool reseal_done;
    bool has_people; /* there is a contract "users" */
    bool verifies;   /* addresses, before an account may sign in */
    bool owns_revocations;
    /* The upkeep: of loops[0]. */
    struct loop_timer timer;
    bool upkeep_runs;
    unsigned *jobs; /* by the index of the loop: identity/job.h */
    int64_t keys_due_us, purge_due_us;
    int64_t feed_seq; /* the last revocation that was taken over */
    bool feed_all;    /* it told that all are revoked, and that is not done yet */
    unsigned logins[IDENTITY__OUTCOMES], refused_tokens[IDENTITY_JOSE_REFUSAL_COUNT];
    unsigned oauth_tokens[IDENTITY__OAUTH_GRANTS][IDENTITY__OAUTH_RESULTS], oauth_consents[3];
};

extern const struct slice identity__schema;

#define IDENTITY__SQL(text) slice_of((text), sizeof(text) - 1)

static inline struct store_value identity__id(const struct uuid *id)
{
    return store_blob(slice_of((const char *)id->bytes, sizeof(id->bytes)));
}

/* identity/metrics.c */
void identity__metrics_open(struct identity *identity);
void identity__count_login(const struct identity *identity, enum identity__metric_outcome outcome);
void identity__count_refusal(const struct identity *identity, enum identity_jose_refusal refusal);
void identity__log_user(enum log_level level, const char *event, const struct uuid *user);

/* identity/route_account.c: accounts whose time has come go. Suspends. */
enum status identity_accounts_erase(struct task *task, struct identity *identity, int64_t now_us);

enum status identity__account_statements(struct identity *identity);
enum status identity__session_statements(struct identity *identity);

/* The cache of the loop that this thread runs. */
static inline struct identity_token_cache *identity__cache(const struct identity *identity)
{
    return identity->caches[loop_index(loop_self())];
}
