/*
 * fuzz/fuzz_mail_address.c - Addresses, as people type them into forms and operators into
 * mail.from: what is taken can stand in a header and an SMTP command, and reads as itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "identity/mail.h"
#include "identity/mail_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_address(struct arena *arena, struct slice address)
{
    struct slice again;
    const char *reason = NULL;
    unsigned ats = 0;
    require(address.len > 0 && address.len <= IDENTITY__MAIL_ADDRESS_MAX);
    for (size_t i = 0; i < address.len; i++) {
        char c = address.data[i];
        require(c > ' ' && c < 127 && !strchr("<>()[]\\,;:\"", c));
        ats += c == '@';
    }
    require(ats == 1);
    require(identity_mail_address_read(arena, address, &again, &reason) == STATUS_OK &&
            slice_eq(again, address));
    char mask[IDENTITY__MAIL_MASK_MAX];
    require(identity__mail_mask(address, mask).len <= sizeof(mask));
}

static void check_mailbox(struct arena *arena, const struct identity__mailbox *mailbox)
{
    struct buf out;
    buf_init(&out, arena, 0, 4096);
    identity__mailbox_put(&out, mailbox);
    require(buf_status(&out) == STATUS_OK);
    check_address(arena, mailbox->address);
    for (size_t i = 0; i < out.len; i++) {
        char c = out.data[i];
        /* A line ends only where the next one goes on with it. */
        bool folds = i + 2 < out.len && memcmp(out.data + i, "\r\n ", 3) == 0;
        require((c >= ' ' && c < 127) || folds);
        i += folds ? 2 : 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(NULL, 0);
    struct slice text = slice_of((const char *)data, size), address;
    struct identity__mailbox mailbox;
    const char *reason = NULL;
    if (identity_mail_address_read(arena, text, &address, &reason) == STATUS_OK)
        check_address(arena, address);
    else
        require(reason != NULL);
    reason = NULL;
    if (identity__mailbox_read(arena, text, &mailbox, &reason) == STATUS_OK)
        check_mailbox(arena, &mailbox);
    else
        require(reason != NULL);
    arena_free(arena);
    return 0;
}
