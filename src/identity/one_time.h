/*
 * identity/one_time.h - Secrets that are used once: links and codes in mail, and the state between
 * the steps of a sign-in. Private to the room.
 *
 * Data passes: prepare makes the secrets (outside of the transaction), put writes their digests,
 * take finds one by its link, or by its owner and code, and removes it in the same write as what it
 * allows. A code may be tried IDENTITY_ONE_TIME_TRIES times, then it is gone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/secret.h"

struct identity;
struct store_tx;
struct task;

#define IDENTITY_ONE_TIME_TRIES 5
#define IDENTITY_ONE_TIME_PREFIX "purlin_once"

enum identity_purpose {
    IDENTITY_FOR_VERIFY,  /* the address of an account */
    IDENTITY_FOR_RECOVER, /* a new password */
    IDENTITY_FOR_MAGIC,   /* sign in */
    IDENTITY_FOR_EMAIL,   /* a new address; data: it */
    IDENTITY_FOR_MFA,     /* the second step of a sign-in; data: what the first one was */
    IDENTITY_FOR_INVITE,  /* an account; data: what it will have */
    IDENTITY_FOR_RESTORE, /* a deletion is called off */
    IDENTITY_PURPOSES
};
const char *identity_purpose_name(enum identity_purpose purpose);

struct identity_one_time {
    struct uuid id;
    enum identity_purpose purpose;
    struct uuid owner; /* a user; an invitation's own id */
    struct slice data; /* JSON, or empty */
    int64_t expires_us;
    struct identity_secret link;
    char code[IDENTITY_CODE_LEN]; /* if has_code */
    bool has_code;
};
void identity_one_time_wipe(struct identity_one_time *once);

enum status identity_one_time_prepare(enum identity_purpose purpose, const struct uuid *owner,
                                      bool with_code, int64_t expires_us,
                                      struct identity_one_time *ret);
/* Inside a write. Earlier ones of the owner for the same purpose hold no longer. */
enum status identity_one_time_put(struct store_tx *tx, struct identity *identity,
                                  const struct identity_one_time *once, int64_t now_us);

/*
 * Use one, inside a write: it is gone afterwards, whatever comes of it, unless the write is undone.
 *
 * Errors   NOT_FOUND: there is none, it has expired, or it was used. By code: a wrong one is
 *          NOT_FOUND too and counts as a try; return OK from the write all the same, so that the
 *          try is kept.
 * Memory   ret->data in the tx's arena.
 */
enum status identity_one_time_take_link(struct store_tx *tx, enum identity_purpose purpose,
                                        struct slice link, int64_t now_us,
                                        struct identity_one_time *ret);
enum status identity_one_time_take_code(struct store_tx *tx, struct identity *identity,
                                        enum identity_purpose purpose, const struct uuid *owner,
                                        struct slice code, int64_t now_us,
                                        struct identity_one_time *ret);
/* Look at one without using it: inside a write, or (_find, suspends) outside. */
enum status identity_one_time_see_link(struct store_tx *tx, enum identity_purpose purpose,
                                       struct slice link, int64_t now_us,
                                       struct identity_one_time *ret);
enum status identity_one_time_find_link(struct task *task, struct identity *identity,
                                        enum identity_purpose purpose, struct slice link,
                                        int64_t now_us, struct identity_one_time *ret);
/* A wrong second factor was given with it: one of its tries is used, after the last it is gone. */
enum status identity_one_time_failed(struct store_tx *tx, const struct uuid *id);
/* Remove what has expired. */
enum status identity_one_time_purge(struct store_tx *tx, int64_t now_us);
