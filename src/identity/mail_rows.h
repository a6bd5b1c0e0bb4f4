/*
 * identity/mail_rows.h - Private to mail: the table of what waits, and the seal on it.
 *
 * A row that is due is claimed: marked with a name of this process's own making, and due again when
 * the lease is over. Whoever sent it takes it away by that name; a process that died in between has
 * it sent again, with the same Message-ID.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/mail.h"
#include "identity/secret.h"

struct arena;
struct store;
struct task;

extern const struct slice identity__mail_rows_schema;

/* -- the seal: XSalsa20-Poly1305 by a key that comes from the secret. Mails carry what opens
 * accounts. --------------------------- */

struct identity__mail_seal {
    struct identity_pepper key, previous;
    bool has_previous;
};
void identity__mail_seal_init(struct identity__mail_seal *seal, struct slice secret,
                              struct slice previous);
void identity__mail_seal_wipe(struct identity__mail_seal *seal);

/* What is in it: bound to the row's id, so that nobody can swap two of them. EXHAUSTED. */
enum status identity__mail_seal_close(const struct identity__mail_seal *seal, const struct uuid *id,
                                      struct slice to, struct slice mime, struct arena *arena,
                                      struct slice *ret_sealed);
/* UNAUTHENTICATED: no secret opens it, or it is another row's. Memory: in `arena`. */
enum status identity__mail_seal_open(const struct identity__mail_seal *seal, const struct uuid *id,
                                     struct slice sealed, struct arena *arena, struct slice *ret_to,
                                     struct slice *ret_mime);

/* -- rows
 * ------------------------------------------------------------------------------------------------------
 */

#define IDENTITY__MAIL_CLAIM_MAX 16u

struct identity__mail_row {
    struct uuid id;
    enum identity_mail_kind kind;
    unsigned attempts; /* with the one that the claim is for */
    int64_t created_us, expires_us;
    int64_t next_us; /* before the claim */
    struct slice sealed;
    bool is_ours; /* claimed */
};

/*
 * Claim up to `max` (at most IDENTITY__MAIL_CLAIM_MAX) rows that are due at `now_us`, by the name
 * `claim`, until `lease_us`. Those that another process was faster at are not ours.
 *
 * Errors   what the store reports. Memory: in the task's arena.
 */
enum status identity__mail_rows_claim(struct task *task, struct store *store,
                                      const struct uuid *claim, int64_t now_us, int64_t lease_us,
                                      unsigned max, struct identity__mail_row *ret_rows,
                                      unsigned *ret_len);
/* It is sent, or will never be. *ret_changes 0: the lease was over, and another has it. */
enum status identity__mail_rows_remove(struct task *task, struct store *store,
                                       const struct uuid *id, const struct uuid *claim,
                                       int64_t *ret_changes);
enum status identity__mail_rows_retry(struct task *task, struct store *store, const struct uuid *id,
                                      const struct uuid *claim, int64_t next_us,
                                      int64_t *ret_changes);

struct identity__mail_waiting {
    unsigned len;
    int64_t oldest_us, next_us; /* created; due. 0: there is none */
};
enum status identity__mail_rows_look(struct task *task, struct store *store,
                                     struct identity__mail_waiting *ret_waiting);
