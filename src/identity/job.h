/*
 * identity/job.h - What is done behind an answer that has gone already: asking for a link must take
 * the same time whether there is an account or not, so the account is looked for afterwards.
 * Private to the room.
 */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct http_request;
struct identity;
struct task;

#define IDENTITY_JOBS_MAX 256u /* of one loop at once; beyond: 503 */

/* What a job knows of the request; its own copies. */
struct identity_job {
    struct identity *identity;
    struct slice email_key;
    struct slice address, agent, request_id;
};
typedef enum status (*identity_job_fn)(struct task *task, const struct identity_job *job);

/*
 * Run `fn` in a task of its own on this loop, for the request's client and this address. A failure
 * is logged under `name` (constant) and the request's id.
 *
 * Errors   EXHAUSTED with the problem set: too many run.
 */
enum status identity_job_start(struct task *task, struct identity *identity,
                               struct http_request *req, struct slice email_key, const char *name,
                               identity_job_fn fn);
