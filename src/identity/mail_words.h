/*
 * identity/mail_words.h - Private to mail: our own templates.
 */
#pragma once

#include <stdbool.h>

#include "identity/mail.h"

struct buf;

/* The source of a template of ours, as an application's own file would have it: the text begins
 * with "Subject: ..." and an empty line. */
void identity__mail_words_put(enum identity_mail_kind kind, bool is_html, struct buf *out);
