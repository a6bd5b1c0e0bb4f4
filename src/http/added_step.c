/*
 * http/added_step.c - The steps that rooms above bring, in the order they were added. Whose turn it
 * is, is kept with the request: one that waited is asked again, those before it are not.
 */
#include "http/internal.h"

enum status http_step_add(struct http_app *app, const char *name, http_step_fn fn, void *arg)
{
    if (app->steps_len == HTTP_STEPS_MAX)
        return STATUS_EXHAUSTED;
    app->steps[app->steps_len].name = name;
    app->steps[app->steps_len].fn = fn;
    app->steps[app->steps_len].arg = arg;
    app->steps_len++;
    return STATUS_OK;
}

static enum http_verdict before_waiting(struct task *task, struct http_request *req)
{
    const struct http_app *app = req->app;
    for (; req->added_step < app->steps_len; req->added_step++) {
        unsigned i = req->added_step;
        enum http_verdict verdict = app->steps[i].fn(task, req, app->steps[i].arg);
        if (verdict != HTTP_STEP_NEXT)
            return verdict;
    }
    return HTTP_STEP_NEXT;
}

const struct http__step http__step_added = {
    .name = "added",
    .before_waiting = before_waiting,
};
