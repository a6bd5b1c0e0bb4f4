/*
 * identity/passkey_options.h - What browsers are asked with, in the JSON of WebAuthn level 3
 * (PublicKeyCredential.parseCreationOptionsFromJSON, .parseRequestOptionsFromJSON). Private to the
 * room.
 */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "identity/account.h"
#include "identity/challenge.h"

struct http_request;
struct identity;
struct task;

/* Answer with PublicKeyCredentialCreationOptionsJSON for one more passkey of an account. Suspends.
 */
enum status identity_passkey_answer_creation(struct task *task, struct identity *identity,
                                             struct http_request *req,
                                             const struct identity_account *account,
                                             struct slice occasion);
/*
 * Answer with PublicKeyCredentialRequestOptionsJSON: for the passkeys of an account, or (`user`
 * NULL) for any that the authenticator finds. Suspends.
 */
enum status identity_passkey_answer_request(struct task *task, struct identity *identity,
                                            struct http_request *req,
                                            enum identity_ceremony ceremony, struct slice occasion,
                                            const struct uuid *user);
