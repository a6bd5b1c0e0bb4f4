/*
 * identity/mail.h - Mail to people: what an account's life asks for (a link, a code, a notice),
 * written from templates, kept in the database by the transaction that causes it, and sent by a
 * worker. Also for cmd/, which opens it.
 *
 * Data passes: a letter (its kind, whom to, values) -> identity_mail_render: text and HTML from
 * templates, one MIME message, sealed -> identity_mail_put, in the transaction that makes the link
 * good -> identity_mail_wake, after it -> the worker takes what is due on a lease and hands it to
 * the sender: SMTP, or in development a folder -> the row goes when the mail has left, was refused
 * for good, or is past its time.
 *
 * Without a sender (production without SMTP_URL) identity_mail_can_send is false, and rendering
 * answers UNAVAILABLE with the reason, which is a 503.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/id.h"
#include "base/macros.h"
#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;
struct buf;
struct http_app;
struct identity_mail;
struct loop;
struct metrics;
struct store;
struct store_tx;
struct task;

enum identity_mail_kind {
    IDENTITY_MAIL_VERIFY_EMAIL,        /* link, code: is this your address? */
    IDENTITY_MAIL_RESET_PASSWORD,      /* link */
    IDENTITY_MAIL_MAGIC_LINK,          /* link, code: sign in */
    IDENTITY_MAIL_EMAIL_CHANGE,        /* link, code; to the new address */
    IDENTITY_MAIL_EMAIL_CHANGE_NOTICE, /* new_address; to the old one; link: to the sessions */
    IDENTITY_MAIL_NEW_DEVICE,          /* device, ip; link: to the sessions */
    IDENTITY_MAIL_INVITATION,          /* link; inviter */
    IDENTITY_MAIL_PASSWORD_CHANGED,    /* device, ip; link: to a reset */
    IDENTITY_MAIL_ACCOUNT_DELETION,    /* expires_us: when it goes; link: how to undo it */
    IDENTITY_MAIL_ACCOUNT_EXISTS,      /* somebody signs up with it; link: to the login */
    IDENTITY_MAIL_EMAIL_CHANGED,       /* new_address, device, ip; to the old one */
    IDENTITY_MAIL_FACTOR_ADDED,        /* factor, device, ip; link: to a reset */
    IDENTITY_MAIL_FACTOR_REMOVED,      /* the same */
    IDENTITY_MAIL_RECOVERY_CODES,      /* made anew; device, ip; link: to a reset */
    IDENTITY_MAIL_ACTED_AS,            /* somebody acts as them; link: to the sessions */
    IDENTITY_MAIL_TEST,                /* `purlin mail test` */
    IDENTITY_MAIL_KINDS
};
/* "verify_email", ...: the name of its templates and in metrics. */
const char *identity_mail_kind_name(enum identity_mail_kind kind);
bool identity_mail_kind_find(struct slice name, enum identity_mail_kind *ret_kind);

/* -- one for a process
 * ---------------------------------------------------------------------------------------- */

struct identity_mail_options {
    struct store *store;     /* NULL: only identity_mail_send is used */
    struct metrics *metrics; /* may be NULL */
    struct slice secret;     /* seals what waits; not empty */
    struct slice
        secret_previous;    /* opens what was sealed before the secret was changed, or empty */
    struct slice from;      /* "Example <no-reply@example.org>"; its name is the application's */
    struct slice reply_to;  /* an address, or empty */
    struct slice templates; /* folder with KIND.txt and KIND.html; empty: ours */
    struct slice smtp_url;  /* "smtp://user:password@host:587"; else */
    struct slice folder;    /* the mailbox of development; both empty: nothing can be sent */
    struct slice ca_file;   /* whom TLS trusts; empty: the system's */
    unsigned queue_max;     /* mails that wait; beyond: EXHAUSTED. 0: 10000 */
    unsigned attempts_max;  /* 0: 12 */
    unsigned concurrency;   /* mails on their way at once; 0: 4 */
    int64_t timeout_us;     /* for each answer of the mail server; 0: 30 s */
    int64_t retry_us;       /* before the second attempt; grows. 0: 5 s */
};

/*
 * Make the table when it is missing, read templates.
 *
 * Errors   INVALID: an address or URL, said in *problem, or templates, said in *diag with file and
 *          line; else what the store reports.
 * Memory   texts of the options are copied. The store must outlive it.
 * Context  start of the process or a tool; blocks.
 */
enum status identity_mail_open(const struct identity_mail_options *options, struct arena *arena,
                               struct diag *diag, struct problem *problem,
                               struct identity_mail **ret_mail);
/* The worker has ended, or its loop is gone. Takes NULL. */
void identity_mail_close(struct identity_mail *mail);
DEFINE_CLEANUP(struct identity_mail *, identity_mail_close)

/* Is there a way for mail to leave? */
bool identity_mail_can_send(const struct identity_mail *mail);

/* What is wrong with the folder of an application's templates, without opening anything. */
void identity_mail_templates_check(struct slice folder, struct arena *arena, struct diag *diag);
/* Does this name a mail server, or a sender? INVALID with a sentence in *ret_reason (constant). */
enum status identity_mail_url_check(struct slice url, struct arena *arena, const char **ret_reason);
enum status identity_mail_sender_check(struct slice from, struct arena *arena,
                                       const char **ret_reason);

/*
 * An address that mail can be sent to, in the form it is sent to: the domain in lower case and
 * A-labels, the part before the "@" as it is.
 *
 * Errors   INVALID with a sentence in *ret_reason (constant); EXHAUSTED.
 * Memory   in `arena`. Any thread; never suspends.
 * Source   RFC 5321 section 4.1.2, without quoted strings, address literals and SMTPUTF8.
 */
enum status identity_mail_address_read(struct arena *arena, struct slice text,
                                       struct slice *ret_address, const char **ret_reason);

/* -- writing one
 * ---------------------------------------------------------------------------------------------- */

/* Texts of people (name, inviter, device) are shortened, and left out where mail programs would
 * make a link of them: they are how strangers put words into our mail. */
struct identity_mail_letter {
    enum identity_mail_kind kind;
    struct slice to;
    struct slice name; /* how the person is called; empty: not known */
    struct slice link; /* absolute, http or https */
    struct slice code;
    struct slice device; /* "Firefox on Linux" */
    struct slice ip;
    struct slice new_address;
    struct slice inviter;
    struct slice factor; /* "An authenticator app" */
    int64_t at_us;       /* wall clock: when it happened. 0: now */
    int64_t expires_us;  /* wall clock: when link and code end, and with them the attempts. 0: in
                            three days */
};

/* A mail that is ready to be put. */
struct identity_mail_message {
    const struct identity_mail *mail;
    struct uuid id;
    enum identity_mail_kind kind;
    int64_t created_us, expires_us;
    struct slice sealed;
};

/*
 * Write a mail: templates, MIME, seal. About a millisecond; outside of the transaction.
 *
 * Errors   UNAVAILABLE identity/no-mail: nothing can be sent here; INVALID identity/mail-address:
 *          no mail can go there; INTERNAL: a value that the kind needs is missing, or the link is
 *          none; EXHAUSTED. *problem says it.
 * Memory   in `arena`; to be put before that goes.
 * Context  any thread; never suspends.
 */
enum status identity_mail_render(const struct identity_mail *mail,
                                 const struct identity_mail_letter *letter, struct arena *arena,
                                 struct problem *problem,
                                 struct identity_mail_message *ret_message);

/*
 * Put a mail into the transaction: it is sent when that is committed, also if the process dies.
 *
 * Errors   EXHAUSTED identity/mail-full: too many wait; else what the store reports. The problem of
 *          the transaction is set.
 */
enum status identity_mail_put(struct store_tx *tx, const struct identity_mail_message *message);

/* After the commit: there is something to send. Any thread; cheap. Without it the worker looks
 * within a second: another process has put it. */
void identity_mail_wake(struct identity_mail *mail);

/*
 * Send a letter now, past the queue.
 *
 * Errors   as identity_mail_render; UNAVAILABLE identity/mail-refused: the server refuses it, or
 *          what net_curl_perform reports. *answer, if not NULL, gets what the server said last.
 * Context  suspends. With SMTP the loop needs a client.
 */
enum status identity_mail_send(struct task *task, const struct identity_mail *mail,
                               const struct identity_mail_letter *letter, struct buf *answer);

/* -- the worker
 * -----------------------------------------------------------------------------------------------
 */

/*
 * Start sending on this loop, which needs a client (net_client_open) and an offload pool. Nothing
 * happens when nothing can be sent. Own thread or before the loop runs.
 */
enum status identity_mail_start(struct identity_mail *mail, struct loop *loop);
/*
 * Take up nothing further, let what is on its way end, at most until `until_us` (monotonic), and
 * call ended(arg). What is cut off is sent again when its lease is over. On the loop's thread.
 */
void identity_mail_stop(struct identity_mail *mail, int64_t until_us, void (*ended)(void *arg),
                        void *arg);

struct identity_mail_stats {
    uint64_t sent, retried, refused, expired;
    unsigned waiting;  /* as last looked at */
    int64_t oldest_us; /* wall clock; 0: none waits */
};
void identity_mail_stats_read(const struct identity_mail *mail, struct identity_mail_stats *ret);

/* -- the mailbox of development
 * -------------------------------------------------------------------------------- */

/*
 * Add /console/mail and what is under it, for whoever sits at this machine or is an administrator.
 * Does nothing unless there is a folder to show. Start of the process.
 */
enum status identity_mail_console_add(struct identity_mail *mail, struct http_app *app);

/* Write our own templates into a folder, to be changed there; files that are there are left.
 * *ret_written counts. CONFLICT, UNAVAILABLE with the problem. Blocks. */
enum status identity_mail_templates_write(struct slice folder, struct arena *arena,
                                          struct problem *problem, unsigned *ret_written);
