/*
 * fuzz/fuzz_mail_template.c - Templates of mail: an application's files.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "identity/mail_template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct slice write_with(struct arena *arena, const struct identity__mail_template *template,
                               const struct slice *values)
{
    struct buf out;
    buf_init(&out, arena, 0, (size_t)8 << 20);
    identity__mail_template_put(template, values, &out);
    require(buf_status(&out) == STATUS_OK);
    return buf_slice(&out);
}

/* A value brings no markup: as many tags as without any. */
static size_t tags(struct slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.data[i] == '<';
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(NULL, 0);
    struct slice source = slice_of((const char *)data, size);
    struct slice hostile[IDENTITY__MAIL_VALUES], plain[IDENTITY__MAIL_VALUES];
    for (unsigned v = 0; v < IDENTITY__MAIL_VALUES; v++) {
        hostile[v] = SLICE("<script>\"'&{{app}}");
        plain[v] = SLICE("x");
    }
    for (unsigned is_html = 0; is_html < 2; is_html++) {
        struct identity__mail_template *template = NULL;
        struct diag diag;
        diag_init(&diag, arena);
        enum status st = identity__mail_template_read(arena, source, is_html == 1, 0x155u,
                                                      SLICE("t"), 1, &diag, &template);
        require((st == STATUS_OK) == (diag.len == 0) && (st == STATUS_OK) == (template != NULL));
        if (st != STATUS_OK)
            continue;
        struct slice one = write_with(arena, template, hostile);
        require(!is_html || tags(one) == tags(write_with(arena, template, plain)));
        require(utf8_is_valid(one));
    }
    arena_free(arena);
    return 0;
}
