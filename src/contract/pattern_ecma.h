/* contract/pattern_ecma.h - From the regular expressions of ECMA-262, which JSON Schema means, to
 * those of PCRE2. */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "contract/pattern.h"

struct buf;

/* No translation is longer: most for `\s`, two bytes, and a byte may become five. */
#define CONTRACT__PATTERN_GROWTH_MAX ((size_t)CONTRACT_PATTERN_BYTES_MAX * 32)

/*
 * Append `text` to `out` in PCRE2's syntax, by the meaning it has in ECMA-262 with the flag `u`:
 * what only PCRE2 knows (\A, \Z, possessive quantifiers, verbs, inline flags) is refused; a
 * needless backslash before punctuation is let pass, as browsers do without the flag.
 *
 * Errors   INVALID with ret_error; TOO_LARGE, EXHAUSTED as `out` says.
 */
enum status contract__pattern_from_ecma(struct slice text, struct buf *out,
                                        struct contract_pattern_error *ret_error);
/* Where in `text` the translation's byte `offset` comes from. */
size_t contract__pattern_origin(struct slice text, size_t offset);
