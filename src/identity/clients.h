/*
 * identity/clients.h - Programs that act for people, or by themselves, through OAuth: who they are,
 * where they may send people back to, and what they may ask for. For commands, and the room.
 *
 * Data passes: purlin.yaml, or a row of purlin_oauth_clients that `purlin client` wrote -> a
 * client, found by its id. The configured one wins.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "identity/secret.h"

struct arena;
struct identity;
struct task;

#define IDENTITY_CLIENT_ID_MAX 64u
#define IDENTITY_CLIENT_NAME_MAX 100u
#define IDENTITY_CLIENT_REDIRECTS_MAX 16u
#define IDENTITY_CLIENT_SECRET_MIN 16u /* of one that somebody chose */
#define IDENTITY_CLIENT_SECRET_MAX 256u
#define IDENTITY_CLIENTS_MAX 256u /* that are configured */
#define IDENTITY_CLIENT_PREFIX "purlin_client"

#define IDENTITY_GRANT_CODE 1u
#define IDENTITY_GRANT_REFRESH 2u
#define IDENTITY_GRANT_CLIENT 4u

/* Lists are names with spaces between them. */
struct identity_client {
    struct slice id, name; /* the name is shown to people */
    bool is_confidential;  /* it can keep a secret, and has one */
    struct identity_digest secret;
    struct slice redirects, scopes;
    uint32_t grants;
    bool is_trusted; /* ours: people are not asked, and its tokens are those people whole */
};

/* What an application calls a part of what can be done: "notes.read". */
struct identity_scope {
    struct slice name, text;  /* the text completes "This program wants to ..." */
    struct slice permissions; /* what a token with it may do; patterns with spaces between them */
    struct slice roles;       /* that it lets through besides; names with spaces between them */
};

/* "authorization_code", "refresh_token", "client_credentials". 0: unknown. */
uint32_t identity_grant_of(struct slice name);
/*
 * Why there can be no such client; NULL: there can. `scopes` are the application's own.
 */
const char *identity_client_check(const struct identity_client *client,
                                  const struct identity_scope *scopes, unsigned scopes_len);

/* -- for commands: those of the table. Each suspends and sets the problem.
 * ------------------------------------ */

/* CONFLICT: the id is taken. `ret_secret` is filled if the client is confidential. */
enum status identity_client_create(struct task *task, struct identity *identity,
                                   struct identity_client *client,
                                   struct identity_secret *ret_secret);
/* A new secret; the one before ends at once. NOT_FOUND; INVALID: it is public. */
enum status identity_client_secret_renew(struct task *task, struct identity *identity,
                                         struct slice id, struct identity_secret *ret_secret);
/* With its sessions, codes and consents. What it could do ends within seconds. NOT_FOUND. */
enum status identity_client_remove(struct task *task, struct identity *identity, struct slice id);
/* All, configured ones first. Memory   in the task's arena. */
enum status identity_clients_list(struct task *task, struct identity *identity,
                                  const struct identity_client **ret, unsigned *ret_len,
                                  unsigned *ret_configured);

/* -- for the room
 * --------------------------------------------------------------------------------------- */

/* NOT_FOUND. Memory   in the task's arena, or for ever. Context  suspends unless it is configured.
 */
enum status identity_client_find(struct task *task, struct identity *identity, struct slice id,
                                 struct identity_client *ret);
