/*
 * fuzz/fuzz_audit.c - What strangers can put into the audit log, by a header above all; and heads
 * as they are given to be looked for.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "identity/audit_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(struct arena *arena, struct slice text, size_t max)
{
    struct slice kept = identity__audit_text(arena, text, max);
    require(utf8_is_valid(kept));
    /* What fits is as long as it was; what does not is cut before a character of up to four bytes.
     */
    require(text.len <= max ? kept.len == text.len : kept.len <= max && kept.len + 3 >= max);
    for (size_t i = 0; i < kept.len; i++)
        require((uint8_t)kept.data[i] >= 0x20 && kept.data[i] != 0x7f);
    struct slice again = identity__audit_text(arena, kept, max);
    require(slice_eq(again, kept));
}

static void check_head(struct slice text)
{
    struct identity_audit_head head;
    if (!identity_audit_head_parse(text, &head))
        return;
    struct identity_audit_head again;
    char bytes[128];
    struct buf out = { .data = bytes, .cap = sizeof(bytes), .max = sizeof(bytes) };
    buf_put_i64(&out, head.seq);
    buf_putc(&out, ':');
    buf_put_hex(&out, head.hash, sizeof(head.hash));
    require(head.seq > 0 && identity_audit_head_parse(buf_slice(&out), &again));
    require(again.seq == head.seq && memcmp(again.hash, head.hash, sizeof(head.hash)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct arena *arena = arena_new(NULL, 0);
    check_text(arena, text, IDENTITY_AUDIT_AGENT_MAX);
    check_text(arena, text, 7);
    check_head(text);
    arena_free(arena);
    return 0;
}
