/*
 * The limits of contracts (limits: { create: 30/minute/user }): each row that is created, changed
 * or deleted is a unit, also inside a batch and inside its parent; so is each list, export and
 * read. All that a request asks for is charged together, before the writer is asked; a batch that
 * is more than what is left is refused as a whole.
 */
#include "resource/resource_private.h"

#include "base/clock.h"

static const struct {
    struct slice name; /* as in the contract */
} actions[RESOURCE_LIMITED] = {
    [RESOURCE_LIMITED_LIST] = { SLICE_INIT("list") },
    [RESOURCE_LIMITED_READ] = { SLICE_INIT("read") },
    [RESOURCE_LIMITED_CREATE] = { SLICE_INIT("create") },
    [RESOURCE_LIMITED_UPDATE] = { SLICE_INIT("update") },
    [RESOURCE_LIMITED_DELETE] = { SLICE_INIT("delete") },
};

static unsigned by_of(struct slice by)
{
    if (slice_eq(by, SLICE("user")))
        return HTTP_RATE_BY_USER;
    return slice_eq(by, SLICE("key")) ? HTTP_RATE_BY_KEY : HTTP_RATE_BY_IP;
}

enum status resource__limits_init(struct resource_info *info, struct http_app *app,
                                  struct arena *arena)
{
    const struct contract *contract = info->contract;
    for (unsigned i = 0; app && i < contract->limits_len; i++) {
        const struct contract_limit *limit = &contract->limits[i];
        unsigned action = 0;
        while (action < RESOURCE_LIMITED && !slice_eq(limit->action, actions[action].name))
            action++;
        if (action == RESOURCE_LIMITED)
            continue; /* the loader let none through */
        struct slice name =
            arena_printf(arena, "%.*s.%.*s", SLICE_ARG(contract->name), SLICE_ARG(limit->action));
        /* The same after a reload: who was limited stays so. */
        const struct http_rate_rule rule = {
            .name = name,
            .count = limit->count,
            .period_us = limit->per_us,
            .by = by_of(limit->by),
            .id = hash64(name, 0x636f6e7472616374),
        };
        enum status st = http_rate_new(app, arena, &rule, &info->limits[action]);
        if (st != STATUS_OK)
            return st;
        info->catalog->has_limits |= info->limits[action] != NULL;
    }
    return STATUS_OK;
}

enum status resource__limits_take(struct resource_call *call, enum resource_limited action)
{
    const struct http_rate *rate = call->info->limits[action];
    const uint32_t cost = 1;
    return rate ? http_rate_take(call->task, call->req, &rate, &cost, 1) : STATUS_OK;
}

/* -- writes: several rows at once
 * ------------------------------------------------------------------------ */

void resource__tally_op(struct resource_tally *tally, const struct resource_op *op)
{
    static const enum resource_limited action_of[] = {
        [RESOURCE_CREATE] = RESOURCE_LIMITED_CREATE,  [RESOURCE_REPLACE] = RESOURCE_LIMITED_UPDATE,
        [RESOURCE_MERGE] = RESOURCE_LIMITED_UPDATE,   [RESOURCE_PATCH] = RESOURCE_LIMITED_UPDATE,
        [RESOURCE_RESTORE] = RESOURCE_LIMITED_UPDATE, [RESOURCE_DELETE] = RESOURCE_LIMITED_DELETE,
    };
    if (!op->info->catalog->has_limits)
        return;
    resource__tally_add(tally, op->info->limits[action_of[op->verb]]);
    for (const struct resource_child_row *child = op->children; child; child = child->next)
        resource__tally_add(tally, child->info->limits[RESOURCE_LIMITED_CREATE]);
}

void resource__tally_add(struct resource_tally *tally, const struct http_rate *rate)
{
    unsigned i = 0;
    if (!rate)
        return;
    while (i < tally->len && tally->rates[i] != rate)
        i++;
    if (i == tally->len) {
        if (tally->len == RESOURCE_TALLY_MAX) {
            tally->overflow = true;
            return;
        }
        tally->rates[tally->len] = rate;
        tally->costs[tally->len++] = 0;
    }
    tally->costs[i]++;
}

enum status resource__tally_take(struct resource_call *call, const struct resource_tally *tally)
{
    if (tally->overflow)
        return resource__fail(call->problem, call->arena, STATUS_TOO_LARGE, 422, "batch/too-wide",
                              "A batch may touch the limits of at most %u resources and actions.",
                              RESOURCE_TALLY_MAX);
    return http_rate_take(call->task, call->req, tally->rates, tally->costs, tally->len);
}
