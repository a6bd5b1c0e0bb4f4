/*
 * cmd/rules.h - purlin rules: what its parts share.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"
#include "cmd/app.h"
#include "contract/contract.h"
#include "fiber/task.h"
#include "resource/resource.h"

#define RULES_SCOPES_MAX 64u

struct rules_call {
    const struct cmd_verb *verb;
    struct app_common common;
    struct slice words[CMD_WORDS_MAX]; /* behind explain, test or list */
    unsigned words_len;
    struct slice as, roles, key, scopes, body;
    bool has_scopes, anonymous, json;
};

/* Each returns an exit status. */
int rules_explain(struct app *app, struct rules_call *call);
int rules_list(struct app *app, struct rules_call *call);
int rules_test(struct app *app, struct rules_call *call);

/* "read" and so on. False: it is none. */
bool rules_action(struct slice text, enum contract_action *ret);
/* The texts of a comma-separated list; the arena's. False: more than `max`. */
bool rules_split(struct arena *arena, struct slice list, unsigned max, const struct slice **ret,
                 unsigned *ret_len);
/* What was decided and every condition that led there, a line each, after `prefix`. */
void rules_put_decision(const struct resource_question *q, const struct resource_decision *d,
                        const char *prefix, struct buf *out);
