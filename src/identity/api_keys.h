/*
 * identity/api_keys.h - API keys: what programs present instead of a session. A key belongs to a
 * user, whose rights it has as far as its scopes go, or to a service that has roles of its own.
 * Only the digest of its secret is kept (identity/secret.h); the secret is shown once.
 *
 * Data passes: X-API-Key or Bearer -> identity_api_key_find -> who it is, kept in the loop's token
 * cache under the key's id -> identity_api_key_allows and identity_api_key_used for each request.
 * Whoever changes a key writes the row and its line of the audit log in one transaction, then tells
 * identity_revoke_session (with the id), so no cache answers for what was; identity_api_keys_upkeep
 * does the same for what other processes have changed.
 *
 * Source   decision 0037.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/id.h"
#include "base/macros.h"
#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/secret.h"

struct arena;
struct buf;
struct identity_api_keys;
struct identity_audit;
struct identity_audit_event;
struct identity_revocations;
struct loop;
struct metrics;
struct store;
struct task;

/* What a key's secret begins with: purlin_key_..., for scanners of leaked secrets. */
#define IDENTITY_API_KEY_PREFIX "purlin_key"

#define IDENTITY_API_KEY_NAME_MAX 100u
#define IDENTITY_API_KEY_ROLES_MAX 32u
#define IDENTITY_API_KEY_SCOPES_MAX 64u
#define IDENTITY_API_KEY_WORD_MAX 128u /* bytes of a role or scope */
#define IDENTITY_API_KEY_ADDRESSES_MAX 32u
/* So much of a secret is kept in clear, for people to tell keys apart: the prefix, "_" and six
 * characters of 43. */
#define IDENTITY_API_KEY_SHOWN_LEN (sizeof(IDENTITY_API_KEY_PREFIX) - 1 + 1 + 6)

struct identity_api_keys_options {
    struct store *store;
    struct identity_audit *audit;
    struct metrics *metrics;                  /* may be NULL */
    struct identity_revocations *revocations; /* told of changes; NULL: a tool, without caches */
};

/*
 * Make the table when it is missing.
 *
 * Errors   what the store reports, in *problem.
 * Memory   what the options name must outlive the keys.
 * Context  start of the process or a tool; blocks.
 */
enum status identity_api_keys_open(const struct identity_api_keys_options *options,
                                   struct arena *arena, struct problem *problem,
                                   struct identity_api_keys **ret_keys);
void identity_api_keys_close(struct identity_api_keys *keys);
DEFINE_CLEANUP(struct identity_api_keys *, identity_api_keys_close)

/* -- asking
 * ------------------------------------------------------------------------------------------------
 */

struct identity_api_key_found {
    struct uuid id;
    uint64_t number; /* names it, and is no secret: for http_caller_key_set */
    bool has_user;   /* acts for this user: whether the account is in order, the caller asks */
    struct uuid user;
    const struct slice *roles; /* of a service; a user's key has none of its own */
    unsigned roles_len;
    const struct slice *scopes; /* what it may be used for; none: for all that its owner may */
    unsigned scopes_len;
    struct slice name;
    struct slice addresses; /* comma-separated, as written; empty: from anywhere */
    int64_t expires_us; /* do not answer from a cache after that; 0: it does not end by itself */
};

enum identity_api_key_refusal {
    IDENTITY_API_KEY_ACCEPTED,
    IDENTITY_API_KEY_MALFORMED, /* no key of ours: another prefix, or the checksum is wrong */
    IDENTITY_API_KEY_UNKNOWN,
    IDENTITY_API_KEY_EXPIRED,
    IDENTITY_API_KEY_ROTATED, /* the secret before the last rotation, after its grace time */
    IDENTITY_API_KEY_REVOKED,
    IDENTITY_API_KEY_ADDRESS, /* not from here */
    IDENTITY_API_KEY_REFUSALS
};
const char *identity_api_key_refusal_name(enum identity_api_key_refusal refusal);

/* Who presents it: for the audit log. */
struct identity_api_key_asker {
    const struct address *address; /* NULL: a unix socket */
    struct slice agent, request_id;
};

/* Does it look like a key of ours (its prefix)? Then nothing else need be tried. */
bool identity_api_key_is_ours(struct slice text);

/*
 * Find the key that `text` is the secret of. What is refused is counted, logged, and noted in the
 * audit log (but for malformed ones), each with its reason; the client is told one thing.
 *
 * Errors   UNAUTHENTICATED, one problem for all reasons (*ret_refusal says which; may be NULL);
 *          else what the store reports.
 * Memory   *ret_found points into the task's arena.
 * Context  suspends for one read. To be kept, take the cache's ticket before.
 */
enum status identity_api_key_find(struct task *task, struct identity_api_keys *keys,
                                  struct slice text, const struct identity_api_key_asker *asker,
                                  int64_t now_us, struct identity_api_key_found *ret_found,
                                  enum identity_api_key_refusal *ret_refusal);

/* May it be used from here? For each request that a cache answers, as find does it for the first.
 * NULL (a unix socket) is in a set that has "unix". */
bool identity_api_key_allows(struct slice addresses, const struct address *address);
/* The problem and the traces of a refusal that a cache led to. Returns UNAUTHENTICATED. */
enum status identity_api_key_refuse(struct task *task, struct identity_api_keys *keys,
                                    const struct uuid *id,
                                    const struct identity_api_key_asker *asker,
                                    enum identity_api_key_refusal refusal);

/*
 * It was used now. Written by the upkeep, at most once a minute a key; what is lost by a crash is
 * lost.
 *
 * Context  any thread; one load when it was used within this minute, else a lock and a copy.
 */
void identity_api_key_used(struct identity_api_keys *keys, const struct uuid *id,
                           const struct address *address, int64_t now_us);

/* -- managing
 * ---------------------------------------------------------------------------------------------- */

struct identity_api_key_order {
    struct slice name;       /* for people; not empty */
    const struct uuid *user; /* NULL: of a service */
    const struct slice *roles;
    unsigned roles_len; /* of a service at least one; of a user none */
    const struct slice *scopes;
    unsigned scopes_len;
    const struct slice *addresses; /* "192.0.2.0/24" */
    unsigned addresses_len;
    int64_t expires_us; /* wall clock; 0: does not end by itself */
};

/* A key as people see it. */
struct identity_api_key_info {
    struct uuid id;
    struct slice name, shown; /* "purlin_key_Ab3dEf" */
    bool has_user;
    struct uuid user;
    struct slice roles, scopes, addresses;      /* space-separated, the last by commas */
    int64_t created_us, expires_us, rotated_us; /* 0: not */
    int64_t previous_until_us;                  /* the secret before holds until then */
    int64_t revoked_us, last_used_us;
    struct slice last_used_address;
};

/*
 * Make a key. `by` says who does it (actor, address, ...): act, subject and details are set here.
 *
 * Errors   INVALID with each wrong field in the task's problem; EXHAUSTED; else what the store
 *          reports.
 * Memory   the secret is to be wiped when it has been shown.
 * Context  suspends.
 */
enum status identity_api_key_create(struct task *task, struct identity_api_keys *keys,
                                    const struct identity_api_key_order *order,
                                    const struct identity_audit_event *by, int64_t now_us,
                                    struct uuid *ret_id, struct identity_secret *ret_secret);

#define IDENTITY_API_KEY_GRACE_MAX_US (30 * (int64_t)86400 * 1000000)
/*
 * Give it a new secret. The one before holds for `grace_us` more, so programs are changed over
 * without a gap; the one before that, if its grace was not over, ends now.
 *
 * Errors   NOT_FOUND; CONFLICT: it is revoked or has expired; INVALID: grace_us is negative or
 *          beyond IDENTITY_API_KEY_GRACE_MAX_US.
 */
enum status identity_api_key_rotate(struct task *task, struct identity_api_keys *keys,
                                    const struct uuid *id, int64_t grace_us,
                                    const struct identity_audit_event *by, int64_t now_us,
                                    struct identity_secret *ret_secret);
/* End it, for ever. NOT_FOUND; OK when it was revoked before. */
enum status identity_api_key_revoke(struct task *task, struct identity_api_keys *keys,
                                    const struct uuid *id, const struct identity_audit_event *by,
                                    int64_t now_us);
/* All of a user's, as a part of what ends or disables the account; *ret_len were. */
struct store_tx;
enum status identity_api_keys_revoke_user_put(struct store_tx *tx, struct identity_api_keys *keys,
                                              const struct uuid *user,
                                              const struct identity_audit_event *by, int64_t now_us,
                                              int64_t *ret_len);

#define IDENTITY_API_KEYS_LIST_MAX 100u
struct identity_api_keys_filter {
    const struct uuid *user;  /* NULL: anybody's */
    bool with_ended;          /* revoked and expired ones too */
    const struct uuid *after; /* older than this one; NULL: from the newest */
    unsigned limit;           /* 1 to IDENTITY_API_KEYS_LIST_MAX */
};
struct identity_api_keys_page {
    struct identity_api_key_info *items; /* newest first; in the task's arena */
    unsigned len;
    bool has_more;
};
enum status identity_api_keys_list(struct task *task, struct identity_api_keys *keys,
                                   const struct identity_api_keys_filter *filter, int64_t now_us,
                                   struct identity_api_keys_page *ret_page);
/* One; NOT_FOUND. */
enum status identity_api_key_get(struct task *task, struct identity_api_keys *keys,
                                 const struct uuid *id, struct identity_api_key_info *ret_info);
/* As a JSON object. */
void identity_api_key_info_write(const struct identity_api_key_info *info, int64_t now_us,
                                 struct buf *out);
/* "active", "expired" or "revoked". */
const char *identity_api_key_state(const struct identity_api_key_info *info, int64_t now_us);

/* -- now and then
 * ------------------------------------------------------------------------------------------ */

/*
 * Write when keys were last used, and tell the caches what other processes have changed. At least
 * every two seconds (identity_api_keys_start does so), so that a revocation acts within five.
 *
 * Errors   what the store reports; what was not written is tried again.
 * Context  suspends; one at a time (a second returns OK at once).
 */
enum status identity_api_keys_upkeep(struct task *task, struct identity_api_keys *keys);
/* Every two seconds on this loop, until it is stopped on the loop's own thread: `ended` is called
 * there when no task of it is left, at once or later. */
void identity_api_keys_start(struct identity_api_keys *keys, struct loop *loop);
void identity_api_keys_stop(struct identity_api_keys *keys, void (*ended)(void *arg), void *arg);
