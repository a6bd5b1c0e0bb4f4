/* identity/job.c - Tasks behind answers. */
#include "identity/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/room.h"

#define TEXT_MAX 256u
/* A spawned task runs at once, before the answer it is to stand behind; and what runs right after
 * that still meets the client's next request. */
#define AFTER_US (10 * CLOCK_MS)
#define AFTER_MORE_US (20 * CLOCK_MS)

struct running {
    struct identity_job job;
    const char *name;
    identity_job_fn fn;
    unsigned *len; /* of the loop's jobs */
    char email_key[IDENTITY_EMAIL_MAX], address[TEXT_MAX], agent[TEXT_MAX], request_id[TEXT_MAX];
};

static struct slice keep(char *place, size_t max, struct slice text)
{
    size_t len = MIN(text.len, max);
    if (len)
        memcpy(place, text.data, len);
    return slice_of(place, len);
}

static void run(struct task *task, void *arg)
{
    struct running *r = arg;
    task_ids_set(task, r->job.request_id, SLICE_NULL);
    /* When the server stops there is no need to wait: the job is done or fails by itself. */
    (void)task_sleep(task, AFTER_US + (int64_t)(random_fast() % AFTER_MORE_US));
    enum status st = r->fn(task, &r->job);
    if (st != STATUS_OK) {
        const struct log_field fields[] = { LOG_CSTR("job", r->name),
                                            LOG_CSTR("status", status_name(st)),
                                            LOG_TEXT("detail", task_problem(task)->detail) };
        task_log(task, LOG_LEVEL_WARN, "identity.job_failed", fields, ARRAY_LEN(fields));
    }
    *r->len -= 1;
    free(r);
}

enum status identity_job_start(struct task *task, struct identity *identity,
                               struct http_request *req, struct slice email_key, const char *name,
                               identity_job_fn fn)
{
    unsigned *len = &identity->jobs[loop_index(loop_self())];
    const struct net_header *agent = net_header_get(http_net(req), NET_HEADER_USER_AGENT);
    struct running *r = *len < IDENTITY_JOBS_MAX ? calloc(1, sizeof(*r)) : NULL;
    if (r) {
        r->name = name;
        r->fn = fn;
        r->len = len;
        r->job = (struct identity_job){
            .identity = identity,
            .email_key = keep(r->email_key, sizeof(r->email_key), email_key),
            .address = keep(r->address, sizeof(r->address), http_client_ip(req)),
            .agent = keep(r->agent, sizeof(r->agent), agent ? agent->value : SLICE_NULL),
            .request_id = keep(r->request_id, sizeof(r->request_id), http_request_id(req)),
        };
        const struct task_options options = { .deadline_us = clock_mono_us() + 30 * CLOCK_SECOND,
                                              .name = name };
        *len += 1;
        if (task_spawn(task_loop(task), run, r, &options) == STATUS_OK)
            return STATUS_OK;
        *len -= 1;
        free(r);
    }
    enum status st = problem_set(task, STATUS_EXHAUSTED, "identity/busy",
                                 "Too many are asking for mail at once. Try again.");
    task_problem(task)->http_status = 503;
    task_problem(task)->retry_after_us = CLOCK_SECOND;
    return st;
}
