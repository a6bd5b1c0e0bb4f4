/*
 * cmd/rate.h - Lists of rate limit rules as the configuration has them.
 */
#pragma once

#include "cmd/config.h"
#include "http/http.h"

enum rate_list { RATE_REQUESTS, RATE_WRITES, RATE_CREDENTIALS, RATE_LISTS };

/* "rate.requests" */
const char *rate_list_key(enum rate_list list);

/*
 * Read one list. Rules without a name get that of their list, with a number from the second on;
 * rules of a list that reads the same for two routes share their counts.
 *
 * Errors   INVALID with a sentence in *ret_complaint, EXHAUSTED.
 * Memory   in `arena`; names may lie in the configuration's texts.
 */
enum status rate_rules_read(const struct config *config, enum rate_list list, struct slice match,
                            struct arena *arena, struct http_rate_rule **ret_rules,
                            unsigned *ret_len, struct slice *ret_complaint);

/* All three lists and what holds beside them, for the paths under `match`; `everywhere` is what
 * holds where nothing else does. The configuration was checked. */
enum status rate_policy_read(const struct config *config, const struct config *everywhere,
                             struct slice match, struct arena *arena, struct http_rate_policy *ret);
/* Complain in `diag` of every rule and address that cannot be read, those of `routes` included. */
void rate_config_check(const struct config *config, struct arena *arena, struct diag *diag);
/* What holds for all paths, but for the store of counts. */
enum status rate_options_read(const struct config *config, struct arena *arena,
                              struct http_rate_options *ret);
