/*
 * identity/mail_values.h - Private to mail: what a letter says, as texts that can stand in a mail.
 */
#pragma once

#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/mail.h"
#include "identity/mail_template.h"

struct arena;
struct buf;

#define IDENTITY__MAIL_LINK_MAX 2048u
#define IDENTITY__MAIL_PERSON_MAX 64u /* code points of a person's text */

/* Append "6 November 2026", and ", 08:49 UTC". */
void identity__moment_put(struct buf *out, int64_t wall_us, bool with_minutes);

/*
 * The values of a letter that was written at `now_us`, to `to` (a checked address).
 *
 * Errors   INTERNAL: one that the kind needs is missing, or the link is no absolute URL of http or
 *          https; EXHAUSTED. *problem says it.
 */
enum status identity__mail_values_make(const struct identity_mail_letter *letter, struct slice app,
                                       struct slice to, int64_t now_us, int64_t expires_us,
                                       struct arena *arena, struct problem *problem,
                                       struct slice ret_values[IDENTITY__MAIL_VALUES]);
