/*
 * identity/mail_private.h - What the files about mail share.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/metric.h"
#include "fiber/loop.h"
#include "identity/mail.h"
#include "identity/mail_address.h"
#include "identity/mail_rows.h"
#include "identity/mail_template.h"

struct buf;
struct offload;
struct task;

#define IDENTITY__MAIL_FULL_RETRY_US CLOCK_MINUTE
#define IDENTITY__MAIL_LIFE_US (3 * CLOCK_DAY)
#define IDENTITY__MAIL_FILES_MAX 200u /* of the mailbox of development */

/* -- templates: mail_templates.c
 * ------------------------------------------------------------------------------ */

struct identity__mail_templates {
    struct {
        struct identity__mail_template *subject, *text, *html;
    } of[IDENTITY_MAIL_KINDS];
};
/* Ours, and in their place what is in `folder` (empty: nothing). INVALID, said in `diag`. */
enum status identity__mail_templates_read(struct arena *arena, struct slice folder,
                                          struct diag *diag,
                                          struct identity__mail_templates *ret_templates);

/* -- senders
 * ---------------------------------------------------------------------------------------------------
 */

struct identity__mail_parcel {
    struct uuid id;
    struct slice to, mime;
    const bool *cut; /* atomic; set: leave it. NULL: never */
};

enum identity__mail_verdict {
    IDENTITY__MAIL_SENT,
    IDENTITY__MAIL_LATER,  /* not now, or we are not wanted: it may go through another time */
    IDENTITY__MAIL_REFUSED /* this mail will never be taken */
};

struct identity__mail_outcome {
    enum identity__mail_verdict verdict;
    long code;          /* of the server's last answer; 0: it gave none */
    struct slice said;  /* that answer; in the task's arena */
    const char *reason; /* a constant, for logs and metrics: "connect", "rcpt", ... */
};

/* Where mail goes. */
struct identity__mail_sender {
    const char *name;
    /*
     * Send one. A status other than OK: it was cut off (CANCELLED); what became of it is not
     * known. Suspends.
     */
    enum status (*send)(struct task *task, const struct identity_mail *mail,
                        const struct identity__mail_parcel *parcel,
                        struct identity__mail_outcome *ret_outcome);
};
extern const struct identity__mail_sender identity__mail_smtp, identity__mail_folder;

/* SMTP_URL, taken apart. */
struct identity__mail_server {
    struct slice url;      /* without user and query; its path is the name that we greet with */
    char *user, *password; /* NULL: no login */
    bool tls_from_start, wants_starttls;
};
/* INVALID with a sentence (constant); EXHAUSTED. Memory: in `arena`. `helo` greets when the URL
 * names nobody. */
enum status identity__mail_server_read(struct arena *arena, struct slice text, struct slice helo,
                                       struct identity__mail_server *ret_server,
                                       const char **ret_reason);

/* -- the room's part
 * ------------------------------------------------------------------------------------------- */

enum identity__mail_event {
    IDENTITY__MAIL_COUNT_SENT,
    IDENTITY__MAIL_COUNT_RETRIED,
    IDENTITY__MAIL_COUNT_REFUSED,
    IDENTITY__MAIL_COUNT_EXPIRED,
    IDENTITY__MAIL_EVENTS
};

struct identity__mail_worker;

struct identity_mail {
    struct arena *arena;
    struct store *store;
    struct metrics *metrics;
    struct identity__mail_seal seal;
    struct identity__mail_templates templates;
    struct identity__mailbox from;
    struct slice app, reply_to;
    const struct identity__mail_sender *sender; /* NULL: none */
    struct identity__mail_server server;
    struct offload *pool;         /* of SMTP; NULL: it is not used */
    const char *folder, *ca_file; /* NULL: none */
    unsigned queue_max, attempts_max, concurrency;
    int64_t timeout_us, retry_us, look_us;
    struct identity__mail_worker *worker; /* its loop's, once it was started */
    metric_series counts[IDENTITY_MAIL_KINDS][IDENTITY__MAIL_EVENTS];
    uint64_t totals[IDENTITY__MAIL_EVENTS]; /* atomic, as all below */
    unsigned waiting;
    int64_t oldest_us;
};

/* Frees the worker, which has ended. */
void identity__mail_worker_free(struct identity__mail_worker *worker);

/* -- the mailbox of development: mail_folder.c
 * ----------------------------------------------------------------- */

/* The newest first; ids of at most IDENTITY__MAIL_FILES_MAX. A missing folder has none. Blocks. */
unsigned identity__mail_folder_list(const char *folder, struct uuid *ret_ids);
/* NOT_FOUND, UNAVAILABLE, EXHAUSTED. Blocks. */
enum status identity__mail_folder_read(const char *folder, const struct uuid *id,
                                       struct arena *arena, struct slice *ret_message);
