/*
 * identity/signin.h - The last step of every way to sign in: from an account that was proved to a
 * session and the answer with its secrets. Private to the room.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/account.h"
#include "identity/input.h"
#include "identity/secret.h"
#include "identity/session.h"

struct http_request;
struct identity;
struct task;

#define IDENTITY_DEVICE_COOKIE "__Host-purlin_device"
/* The session of who acts as another person, kept by their browser until they are done. */
#define IDENTITY_OWN_COOKIE "__Host-purlin_own_session"
#define IDENTITY_DEVICE_PREFIX "purlin_device"

/* The device a request comes from, as far as it says. */
struct identity_device {
    bool is_named; /* it has a well-formed name */
    struct identity_digest digest;
};
/* From the device's cookie, or the member "device". */
struct identity_device identity_device_of(const struct http_request *req,
                                          const struct identity_input *in);
/* Has it signed in to this account before? Suspends. */
enum status identity_device_is_known(struct task *task, struct identity *identity,
                                     const struct identity_device *device, const struct uuid *user,
                                     bool *ret_known);

struct identity_sign_in {
    const struct identity_account *account;
    uint32_t methods; /* what was proved */
    bool as_cookie;   /* a browser session instead of tokens */
    struct identity_device device;
    bool is_new;           /* the account is being made: answered with 201 */
    struct slice provider; /* that said who it is; empty: none did */
    /* Written in the same transaction, first; may be NULL. */
    enum status (*also)(struct store_tx *tx, void *arg);
    void *also_arg;
};
/*
 * Sign in: refuse an account that may not, ask for a second factor where there is one and none was
 * proved, else make the session and answer.
 *
 * Errors   DENIED with the problem "identity/disabled" or "identity/unverified"; what the store
 *          reports. Context  suspends.
 */
enum status identity_sign_in(struct task *task, struct identity *identity, struct http_request *req,
                             const struct identity_sign_in *in);

/*
 * The same for a page: a browser session whose cookies are set on the answer, which the caller
 * writes. *ret_second: empty; else no session was made, for a second factor has to be proved first,
 * at identity_mfa_form with this token.
 */
enum status identity_sign_in_cookie(struct task *task, struct identity *identity,
                                    struct http_request *req, const struct identity_sign_in *in,
                                    struct identity_who *ret_who, struct slice *ret_cookie,
                                    struct slice *ret_second);

/* Answer with a pair of tokens (RFC 6749 section 5.1), never to be stored. */
enum status identity_answer_tokens(struct task *task, struct identity *identity,
                                   struct http_request *req, const struct identity_who *who,
                                   const struct identity_refresh *refresh, struct slice device,
                                   int status);
/* The session's cookie: `life_us` 0 removes it. EXHAUSTED. */
enum status identity_cookie_set(struct http_request *req, const char *name, struct slice value,
                                int64_t life_us);
