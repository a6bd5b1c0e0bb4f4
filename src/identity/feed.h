/*
 * identity/feed.h - Revocations, told to all loops of this process at once and to other processes
 * (a second server, `purlin user disable`) within a second or so. Private to the room.
 *
 * Data passes: whoever ends something puts a row of purlin_revocations in the same write and, when
 * that is durable, tells its own process -> the upkeep of each process reads the rows that are new
 * to it -> identity/token_cache.h. When a process could not read them for FEED_LAG_US its caches
 * answer nothing, and each request asks the database.
 */
#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/status.h"

struct arena;
struct identity;
struct problem;
struct store_tx;
struct task;

#define IDENTITY_FEED_EVERY_US CLOCK_SECOND
#define IDENTITY_FEED_LAG_US (5 * CLOCK_SECOND)

enum identity_feed_kind { IDENTITY_FEED_SESSION, IDENTITY_FEED_USER, IDENTITY_FEED_ALL };

/* Inside the write that ends it. API keys are sessions by the key's id. */
enum status identity_feed_put(struct store_tx *tx, enum identity_feed_kind kind,
                              const struct uuid *id, int64_t now_us);
/* After that write. Any thread. */
void identity_feed_session_ended(struct identity *identity, const struct uuid *id);
void identity_feed_user_ended(struct identity *identity, const struct uuid *user);

/* Where the feed stands, before loops run. Blocks. */
enum status identity_feed_open(struct identity *identity, struct arena *arena,
                               struct problem *problem);
/* Take over what is new. Of one task at a time; suspends. */
enum status identity_feed_read(struct task *task, struct identity *identity, int64_t now_us);
/* Forget rows that every process has read or is too late for. Inside a write. */
enum status identity_feed_purge(struct store_tx *tx, int64_t now_us);
