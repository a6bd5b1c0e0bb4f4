/*
 * identity/mail_mime.h - Private to mail: a message as it goes out, and ours read again for the
 * mailbox of development.
 */
#pragma once

#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"
#include "identity/mail_address.h"

struct arena;
struct buf;

#define IDENTITY__MIME_BYTES_MAX ((size_t)768 * 1024)

struct identity__mime {
    struct uuid id;
    int64_t date_us;
    const struct identity__mailbox *from;
    struct slice to, reply_to; /* addresses; reply_to may be empty */
    struct slice kind;
    struct slice subject, text, html; /* UTF-8; lines end with "\n" */
};

/*
 * Write the message: multipart/alternative of two quoted-printable parts, lines of at most 78
 * bytes, CRLF.
 *
 * Errors   kept by `out` (TOO_LARGE, EXHAUSTED).
 * Source   RFC 5322, 2045, 2046, 2047, 3834.
 */
void identity__mime_put(struct buf *out, const struct identity__mime *mime);

/* Text for a header, as encoded words where it is not plain ASCII, folded. Control characters are
 * spaces. Source: RFC 2047. */
void identity__mime_put_words(struct buf *out, struct slice text);

/* What the mailbox shows of a message. */
struct identity__mime_view {
    struct slice to, from, subject, date, kind;
    struct slice text, html;
};
/* Read one again, decoded; of a file that somebody changed, what can be read. EXHAUSTED. */
enum status identity__mime_read(struct arena *arena, struct slice message,
                                struct identity__mime_view *ret_view);
