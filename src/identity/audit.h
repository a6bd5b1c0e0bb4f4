/*
 * identity/audit.h - The audit log: what was done about accounts, rights, keys and data, by whom,
 * from where. Append-only, and chained: each row has a keyed hash over the one before it and all of
 * its own fields, so a row that was changed, taken out, moved or made up is found by whoever has
 * the installation's secret.
 *
 * Data passes: an event is put inside of the transaction that does the act (identity_audit_put), so
 * neither is there without the other; what has no transaction of its own, a refused login above
 * all, is noted (identity_audit_note) and written with others a moment later. Rows are read by
 * administrators (GET /api/v1/audit, `purlin audit list`) and verified by `purlin audit verify`.
 *
 * Source   decision 0036.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;
struct buf;
struct http_app;
struct http_request;
struct identity;
struct identity_audit;
struct loop;
struct metrics;
struct store;
struct store_tx;
struct task;

/* What was done; identity_audit_act_name has the stable names ("login.failed"). */
enum identity_audit_act {
    IDENTITY_AUDIT_LOGIN_SUCCEEDED,
    IDENTITY_AUDIT_LOGIN_FAILED,
    IDENTITY_AUDIT_LOGIN_THROTTLED,
    IDENTITY_AUDIT_LOGOUT,
    IDENTITY_AUDIT_ACCOUNT_CREATED,
    IDENTITY_AUDIT_ACCOUNT_INVITED,
    IDENTITY_AUDIT_ACCOUNT_VERIFIED,
    IDENTITY_AUDIT_ACCOUNT_DISABLED,
    IDENTITY_AUDIT_ACCOUNT_ENABLED,
    IDENTITY_AUDIT_ACCOUNT_DELETION_REQUESTED,
    IDENTITY_AUDIT_ACCOUNT_DELETION_WITHDRAWN,
    IDENTITY_AUDIT_ACCOUNT_DELETED,
    IDENTITY_AUDIT_PASSWORD_CHANGED,
    IDENTITY_AUDIT_PASSWORD_RESET_REQUESTED,
    IDENTITY_AUDIT_PASSWORD_RESET,
    IDENTITY_AUDIT_EMAIL_CHANGE_REQUESTED,
    IDENTITY_AUDIT_EMAIL_CHANGED,
    IDENTITY_AUDIT_FACTOR_ADDED,
    IDENTITY_AUDIT_FACTOR_REMOVED,
    IDENTITY_AUDIT_FACTOR_FAILED,
    IDENTITY_AUDIT_RECOVERY_CODES_MADE,
    IDENTITY_AUDIT_RECOVERY_CODE_USED,
    IDENTITY_AUDIT_SESSION_REVOKED,
    IDENTITY_AUDIT_SESSIONS_REVOKED, /* all of a user's */
    IDENTITY_AUDIT_TOKEN_REUSED,     /* a refresh token that was used before: its family ended */
    IDENTITY_AUDIT_ROLE_GRANTED,
    IDENTITY_AUDIT_ROLE_REVOKED,
    IDENTITY_AUDIT_ACCESS_DENIED,
    IDENTITY_AUDIT_KEY_CREATED,
    IDENTITY_AUDIT_KEY_ROTATED,
    IDENTITY_AUDIT_KEY_REVOKED,
    IDENTITY_AUDIT_KEY_REFUSED,
    IDENTITY_AUDIT_CLIENT_CREATED,
    IDENTITY_AUDIT_CLIENT_CHANGED,
    IDENTITY_AUDIT_CLIENT_DELETED,
    IDENTITY_AUDIT_CONSENT_GRANTED,
    IDENTITY_AUDIT_CONSENT_REVOKED,
    IDENTITY_AUDIT_PROVIDER_LINKED,
    IDENTITY_AUDIT_PROVIDER_UNLINKED,
    IDENTITY_AUDIT_IMPERSONATION_BEGAN,
    IDENTITY_AUDIT_IMPERSONATION_ENDED,
    IDENTITY_AUDIT_DATA_EXPORTED,
    IDENTITY_AUDIT_DATA_IMPORTED,
    IDENTITY_AUDIT_DATA_ERASED,
    IDENTITY_AUDIT_SIGNING_KEY_ROTATED,
    /* The log's own: */
    IDENTITY_AUDIT_BEGAN,
    IDENTITY_AUDIT_RESTARTED, /* the head was missing or not ours: what stands before is not
                                 connected with what follows */
    IDENTITY_AUDIT_DROPPED,   /* so many noted events were not written */
    IDENTITY_AUDIT_PRUNED,
    IDENTITY_AUDIT_KEY_BEGAN, /* rows are chained by a new key from here on */
    IDENTITY_AUDIT_ACTS
};

enum identity_audit_outcome {
    IDENTITY_AUDIT_OK,      /* it was done */
    IDENTITY_AUDIT_REFUSED, /* it was not allowed, or a credential was wrong */
    IDENTITY_AUDIT_FAILED,  /* it was allowed and did not work */
    IDENTITY_AUDIT_OUTCOMES
};

enum identity_audit_actor {
    IDENTITY_AUDIT_ANONYMOUS, /* nobody who is known */
    IDENTITY_AUDIT_USER,      /* actor_id is the account's */
    IDENTITY_AUDIT_KEY,       /* ... the API key's */
    IDENTITY_AUDIT_CLIENT,    /* ... the OAuth client's */
    IDENTITY_AUDIT_OPERATOR,  /* at the machine: ... the name of the system's user; or with the
                                 bootstrap key */
    IDENTITY_AUDIT_SYSTEM,    /* the program by itself */
    IDENTITY_AUDIT_ACTORS
};

/* Bytes that are kept of each text. What is longer is cut, what is no printable UTF-8 replaced:
 * nobody escapes the log by a strange header. */
#define IDENTITY_AUDIT_ID_MAX 128u
#define IDENTITY_AUDIT_KIND_MAX 64u
#define IDENTITY_AUDIT_ADDRESS_MAX 64u
#define IDENTITY_AUDIT_AGENT_MAX 256u
#define IDENTITY_AUDIT_REQUEST_MAX 128u
#define IDENTITY_AUDIT_DETAILS_MAX 2048u

struct identity_audit_event {
    enum identity_audit_act act;
    enum identity_audit_outcome outcome;
    enum identity_audit_actor actor;
    struct slice actor_id;
    struct slice as_id; /* the person whom the actor acts as: goes into the details. Empty: none */
    struct slice subject_kind, subject_id; /* "user", its id: to whom or what it was done. Empty:
                                              nothing that has an id */
    struct slice address;                  /* the client's, as text */
    struct slice agent;                    /* User-Agent */
    struct slice request_id;
    struct slice details; /* a JSON object, or empty. No secrets, no passwords, no whole tokens. One
                             that is too long is replaced by {"too_long":true} */
    int64_t at_us;        /* wall clock; 0: now */
};

const char *identity_audit_act_name(enum identity_audit_act act);
bool identity_audit_act_find(struct slice name, enum identity_audit_act *ret);
const char *identity_audit_outcome_name(enum identity_audit_outcome outcome);
const char *identity_audit_actor_name(enum identity_audit_actor actor);

/* Fill actor, address, agent and request id from a request and its caller: a person, or the API
 * key, OAuth client or certificate of a program by itself; a person's key is that person. Memory:
 * the request's. */
void identity_audit_from_request(struct http_request *req, struct identity_audit_event *event);

/* -- the log
 * ------------------------------------------------------------------------------------------------
 */

struct identity_audit_options {
    struct store *store;
    struct metrics *metrics; /* may be NULL */
    struct slice secret;     /* seals the keys of the chain; not empty */
    struct slice
        secret_previous; /* opens what was sealed before the secret was changed, or empty */
    int64_t keep_us;     /* rows older than this are pruned; 0: none is, ever */
    bool read_only;      /* list and verify only; the database is not written */
    bool replace_lost;   /* keys that no secret opens stay, and a new one begins: rows of theirs
                            cannot be verified any more */
};

/*
 * Make the tables when they are missing, and a key when there is none.
 *
 * Errors   INVALID: an option; NOT_FOUND: read_only, and there is no log in this database;
 *          UNAUTHENTICATED: a key is sealed with another secret (unless replace_lost); else what
 *          the store reports. *problem says it in words for an operator.
 * Memory   texts of the options are not kept; the store must outlive the log.
 * Context  start of the process or a tool; blocks.
 */
enum status identity_audit_open(const struct identity_audit_options *options, struct arena *arena,
                                struct problem *problem, struct identity_audit **ret_audit);
void identity_audit_close(struct identity_audit *audit);
DEFINE_CLEANUP(struct identity_audit *, identity_audit_close)

/*
 * Write an event as part of the caller's transaction: it is there if and only if that is kept.
 *
 * Errors   what the store reports; the caller's function is to return it.
 * Context  inside of store_write's function, on whatever thread that runs. `event` and its texts
 *          must live until it returns.
 */
enum status identity_audit_put(struct store_tx *tx, struct identity_audit *audit,
                               const struct identity_audit_event *event);
/* The same in a transaction of its own. Suspends. */
enum status identity_audit_write(struct task *task, struct identity_audit *audit,
                                 const struct identity_audit_event *event);

/*
 * Note an event that has no transaction: a login that failed. Copied; written within a second or
 * so, with what else was noted. A crash loses what was noted and is not written.
 *
 * Context  any thread; never suspends.
 * Bounds   IDENTITY_AUDIT_NOTES_MAX wait at once; what comes beyond is dropped, and the log says
 *          how many of which act. At most IDENTITY_AUDIT_FLUSH_MAX are written by a flush, so a
 *          flood of failures costs one small write a second.
 */
#define IDENTITY_AUDIT_NOTES_MAX 512u
#define IDENTITY_AUDIT_FLUSH_MAX 64u
void identity_audit_note(struct identity_audit *audit, const struct identity_audit_event *event);
/* How many are waiting. Any thread. */
unsigned identity_audit_noted(struct identity_audit *audit);

/*
 * Write what was noted: IDENTITY_AUDIT_FLUSH_MAX at most. What could not be written stays noted.
 *
 * Errors   what the store reports. Context  suspends; one at a time (a second returns OK at once).
 */
enum status identity_audit_flush(struct task *task, struct identity_audit *audit);
/*
 * Do what is due at `now_us` (wall clock): prune, some rows at a time; begin a new key an hour
 * after the secret was changed; tell the program's log the head (identity.audit_head), once an hour
 * if it has moved. To be called now and then.
 *
 * Errors   what the store reports. Context  suspends.
 */
enum status identity_audit_upkeep(struct task *task, struct identity_audit *audit, int64_t now_us);

/*
 * Flush every second and do the upkeep every minute, on this loop, until it is stopped on the
 * loop's own thread: `ended` is called there when no task of it is left, at once or later. What is
 * noted by then or after is written by identity_audit_flush_all.
 */
void identity_audit_start(struct identity_audit *audit, struct loop *loop);
void identity_audit_stop(struct identity_audit *audit, void (*ended)(void *arg), void *arg);
/* At the end of the process: all that was noted. Suspends. */
enum status identity_audit_flush_all(struct task *task, struct identity_audit *audit);

/* -- reading
 * ------------------------------------------------------------------------------------------------
 */

#define IDENTITY_AUDIT_HASH_BYTES 32u
#define IDENTITY_AUDIT_LIST_MAX 100u

struct identity_audit_row {
    int64_t seq;
    int64_t at_us;
    int64_t generation; /* of the key it is chained by */
    struct slice act, outcome, actor, actor_id, subject_kind, subject_id, address, agent,
        request_id, details;
    uint8_t hash[IDENTITY_AUDIT_HASH_BYTES];
};

struct identity_audit_filter {
    struct slice act;              /* empty: any */
    struct slice user;             /* who did it or to whom it was done; empty: anybody */
    int64_t since_us, until_us;    /* at or after; before. 0: open */
    int64_t before_us, before_seq; /* older than this row; 0, 0: from the newest */
    unsigned limit;                /* 1 to IDENTITY_AUDIT_LIST_MAX */
};
struct identity_audit_page {
    struct identity_audit_row *rows; /* newest first */
    unsigned len;
    bool has_more;
};
/* Errors as store_query. Memory: the task's arena. Suspends. */
enum status identity_audit_list(struct task *task, struct identity_audit *audit,
                                const struct identity_audit_filter *filter,
                                struct identity_audit_page *ret_page);
/* As a JSON object: what the API and `purlin audit list --json` show. */
void identity_audit_row_write(const struct identity_audit_row *row, struct buf *out);
/* GET /api/v1/audit, for administrators. Start of the process; errors as http_route_add. */
enum status identity_audit_routes(struct identity_audit *audit, struct http_app *app);

/* -- verifying
 * -----------------------------------------------------------------------------------------------
 */

enum identity_audit_fault {
    IDENTITY_AUDIT_WHOLE,
    IDENTITY_AUDIT_FAULT_ROW,       /* changed, moved, or made by somebody without the key */
    IDENTITY_AUDIT_FAULT_GAP,       /* rows are missing before this one */
    IDENTITY_AUDIT_FAULT_CUT,       /* rows are missing after this one: the newest */
    IDENTITY_AUDIT_FAULT_HEAD,      /* the record of the newest row is missing, or not ours */
    IDENTITY_AUDIT_FAULT_TAIL,      /* the record of what was pruned is not ours */
    IDENTITY_AUDIT_FAULT_KEY,       /* made with a key that no secret opens */
    IDENTITY_AUDIT_FAULT_RESTARTED, /* the log itself found its head damaged, and began anew */
    IDENTITY_AUDIT_FAULT_WITNESS,   /* another row has this place than when the head was noted */
    IDENTITY_AUDIT_FAULTS
};
/* "gap"; for programs. */
const char *identity_audit_fault_name(enum identity_audit_fault fault);

struct identity_audit_head {
    int64_t seq;
    uint8_t hash[IDENTITY_AUDIT_HASH_BYTES];
};
/* "1234:HEX", as verify prints it; false when it is none. */
bool identity_audit_head_parse(struct slice text, struct identity_audit_head *ret);

struct identity_audit_verify_options {
    int64_t from_seq; /* take what stands before as given; 0: from the oldest row */
    const struct identity_audit_head *witness; /* a head that was noted elsewhere and must still be
                                                  in the chain, or NULL */
    void (*progress)(void *arg, int64_t done, int64_t total);
    void *arg;
};
struct identity_audit_report {
    enum identity_audit_fault fault;
    int64_t fault_seq;   /* the first row that is not right */
    struct slice detail; /* a sentence; in the task's arena */
    int64_t rows;        /* that are right */
    int64_t first_seq;   /* 0: there are none */
    int64_t pruned_seq;  /* rows up to this one were pruned */
    struct identity_audit_head last;
};
/*
 * Walk the chain. Writers may go on meanwhile.
 *
 * Errors   what the store reports. OK: *ret_report says whether the log is whole, and the first
 *          fault. Context  suspends; a short read for each thousand rows.
 */
enum status identity_audit_verify(struct task *task, struct identity_audit *audit,
                                  const struct identity_audit_verify_options *options,
                                  struct identity_audit_report *ret_report);
