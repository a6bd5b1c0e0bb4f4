/*
 * identity/mail_pages.h - Private to mail: the pages of the mailbox, without a script.
 */
#pragma once

#include <stdint.h>

#include "base/id.h"
#include "identity/mail_mime.h"

struct buf;

struct identity__mail_entry {
    struct uuid id;
    struct identity__mime_view view; /* without the parts */
};

void identity__mail_page_list(struct buf *out, const struct identity__mail_entry *entries,
                              unsigned len, struct slice folder);
void identity__mail_page_one(struct buf *out, const struct uuid *id,
                             const struct identity__mime_view *view);
/* The HTML part, as it stands in a frame: its links open outside of it. */
void identity__mail_page_frame(struct buf *out, struct slice html);
