/*
 * identity/oauth_note.h - What happens between clients and this server, for the audit log and the
 * metrics. Private to the room.
 */
#pragma once

#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/note.h"
#include "identity/oauth.h"

/* A person was asked: did they agree? */
enum identity__consent_outcome {
    IDENTITY__CONSENT_GRANTED,
    IDENTITY__CONSENT_DECLINED,
    IDENTITY__CONSENT_WITHDRAWN,
    IDENTITY__CONSENT_OUTCOMES
};

#define IDENTITY__TOKENS_OK IDENTITY_OAUTH_ERRORS /* the result of a request that got its token */

/* Declare the metrics. Start of the process. */
void identity__oauth_metrics_open(struct identity *identity);
/* A request for a token by `grant` (one bit, or 0: another) came to this. */
void identity__oauth_count_token(const struct identity *identity, uint32_t grant, unsigned result);
void identity__oauth_count_consent(const struct identity *identity,
                                   enum identity__consent_outcome outcome);

/* Somebody claimed to be this client, or asked what it may not: `at` (constant) is the endpoint. */
void identity_oauth_note_refused(struct identity *identity, struct http_request *req,
                                 struct slice client_id, const char *at);
/* A code or a refresh token (`token`, constant) that was used came again: what came of it ended. */
void identity_oauth_note_reuse(struct identity *identity, struct http_request *req,
                               struct slice client_id, const struct uuid *user, const char *token);
/* A note whose actor is the client itself. `user` may be NULL. */
void identity_oauth_note_by_client(struct identity_note *note, struct identity *identity,
                                   struct http_request *req, enum identity_audit_act act,
                                   struct slice client_id, const struct uuid *user);
