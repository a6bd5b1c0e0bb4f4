/*
 * http/chain.c - The steps that every request passes, in order, one file each. A new standard is a
 * file and a line here.
 *
 * `before` runs down the list until a step answers, `after` and `done` run down all of it: also for
 * requests that were refused before they were whole, so that these carry ids and are counted and
 * logged like the others.
 *
 * A step that has to wait gets a task; the list is then taken up where it was left (req->step), so
 * that no step sees a request twice.
 */
#include "http/internal.h"

#include <assert.h>

#include "base/macros.h"

static const struct http__step *const chain[] = {
    &http__step_metrics,       /* first: counts what any later step refuses */
    &http__step_client,        /* whose it is, for all that follow */
    &http__step_trace,         /* before everything that may log */
    &http__step_request_id,    /* takes the trace's id when that is new */
    &http__step_overload,      /* before anything that costs time */
    &http__step_host,          /* is it meant for us at all? */
    &http__step_https,         /* before anything looks at what was sent in clear */
    &http__step_cors,          /* preflights have no credentials: before all that asks for some */
    &http__step_deprecation,   /* what is gone is gone for everybody */
    &http__step_caller,        /* who asks */
    &http__step_csrf,          /* did they, or a page that they happen to look at */
    &http__step_added,         /* who asks, as rooms above know it */
    &http__step_rate_limit,    /* how much: by who asks, and before strangers are turned away */
    &http__step_signature,     /* after: its arithmetic is worth limiting */
    &http__step_audience,      /* may they, as far as the route says */
    &http__step_body_limit,    /* after: strangers learn nothing of a route's limits */
    &http__step_server_timing, /* development only */
    &http__step_files,         /* lets go of the file that was sent */
    &http__step_compress,      /* gives back what the answer was compressed with */
    &http__step_access_log,    /* last: everything is known */
};

static enum http_verdict ask(const struct http__step *step, struct task *task,
                             struct http_request *req)
{
    if (step->before)
        return step->before(req) ? HTTP_STEP_NEXT : HTTP_STEP_ANSWERED;
    if (!step->before_waiting || req->refused)
        return HTTP_STEP_NEXT;
    enum http_verdict verdict = step->before_waiting(task, req);
    /* Who has a task waits in it. */
    assert(verdict != HTTP_STEP_WAIT || !task);
    return verdict == HTTP_STEP_WAIT && task ? HTTP_STEP_ANSWERED : verdict;
}

enum http_verdict http__chain_before(struct task *task, struct http_request *req)
{
    for (; req->step < ARRAY_LEN(chain); req->step++) {
        enum http_verdict verdict = ask(chain[req->step], task, req);
        if (verdict != HTTP_STEP_NEXT)
            return verdict;
    }
    return HTTP_STEP_NEXT;
}

void http__chain_after(struct http_request *req, int status)
{
    for (size_t i = 0; i < ARRAY_LEN(chain); i++) {
        if (chain[i]->after)
            chain[i]->after(req, status);
    }
}

void http__chain_done(struct http_request *req)
{
    for (size_t i = 0; i < ARRAY_LEN(chain); i++) {
        if (chain[i]->done)
            chain[i]->done(req);
    }
}
