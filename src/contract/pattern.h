/*
 * contract/pattern.h - Regular expressions of contracts: PCRE2 with JIT, UTF, and limits on the
 * work one match may cost, so that no pattern and no text can hold a loop up.
 *
 * The syntax and its meaning are ECMA-262's with the flag `u`, as JSON Schema has it, so that the
 * published schema says the same: a pattern matches anywhere unless anchored, `$` is the very end,
 * \d and \w are ASCII. Lookbehind must have a fixed length.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "base/status.h"

struct arena;
struct contract_pattern;

#define CONTRACT_PATTERN_BYTES_MAX 1024u

struct contract_pattern_error {
    size_t offset; /* bytes into the pattern */
    char reason[160];
};

/*
 * Errors   INVALID (ret_error says where and why), TOO_LARGE beyond CONTRACT_PATTERN_BYTES_MAX,
 * EXHAUSTED. Memory   the struct lives in `arena`; machine code outside of it is released by
 * contract_pattern_free.
 */
enum status contract_pattern_compile(struct slice text, struct arena *arena,
                                     struct contract_pattern **ret,
                                     struct contract_pattern_error *ret_error);
/* Accepts NULL. Before the arena goes. */
void contract_pattern_free(struct contract_pattern *pattern);

/*
 * Whether `text` (valid UTF-8) matches. One that costs more than the limits does not match.
 *
 * Context  any thread, allocates nothing once the thread has matched before.
 */
bool contract_pattern_match(const struct contract_pattern *pattern, struct slice text);

/* The same, but tells a text that does not match from one that costs more than the limits. */
enum contract_pattern_answer {
    CONTRACT_PATTERN_FAILS,
    CONTRACT_PATTERN_MATCHES,
    CONTRACT_PATTERN_SPENT
};
enum contract_pattern_answer contract_pattern_try(const struct contract_pattern *pattern,
                                                  struct slice text);
