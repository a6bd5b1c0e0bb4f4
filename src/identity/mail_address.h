/*
 * identity/mail_address.h - Private to mail: addresses, and names beside them.
 */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct arena;
struct buf;

#define IDENTITY__MAIL_ADDRESS_MAX 254u
#define IDENTITY__MAIL_NAME_MAX 128u /* bytes of a display name */

struct identity__mailbox {
    struct slice name;    /* decoded; may be empty */
    struct slice address; /* as identity_mail_address_read has it */
    struct slice domain;  /* of it */
};

/*
 * "Name <local@domain>", "\"Name, Inc.\" <local@domain>" or the address alone.
 *
 * Errors   INVALID with a sentence in *ret_reason (constant); EXHAUSTED.
 */
enum status identity__mailbox_read(struct arena *arena, struct slice text,
                                   struct identity__mailbox *ret_mailbox, const char **ret_reason);

/* As it stands in a header: the name quoted, or encoded when it is not ASCII. */
void identity__mailbox_put(struct buf *out, const struct identity__mailbox *mailbox);

/* "a…@example.org": enough to find it again, for logs. Memory: `out`. */
#define IDENTITY__MAIL_MASK_MAX (IDENTITY__MAIL_ADDRESS_MAX + 4u)
struct slice identity__mail_mask(struct slice address, char out[IDENTITY__MAIL_MASK_MAX]);
