/*
 * fuzz/fuzz_mail_message.c - Messages: a subject (the first line) and bodies of any bytes make one
 * that mail servers take, and reading any file finds text that can be shown.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "identity/mail_mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static const struct identity__mailbox from = { .name = SLICE_INIT("Example"),
                                               .address = SLICE_INIT("a@example.org"),
                                               .domain = SLICE_INIT("example.org") };

/* Lines of at most 78 bytes of ASCII, ended by CRLF; as many empty ones before the bodies as there
 * are heads. */
static void check_message(struct slice message)
{
    size_t used = 0;
    for (size_t i = 0; i < message.len; i++) {
        unsigned char c = (unsigned char)message.data[i];
        if (c == '\r') {
            require(i + 1 < message.len && message.data[i + 1] == '\n' && used <= 78);
            used = 0;
            i++;
            continue;
        }
        require(((c >= 0x20 && c < 0x7f) || c == '\t') && !(used == 0 && c == '.'));
        used++;
    }
    require(used == 0);
}

static void check_view(struct arena *arena, struct slice message,
                       struct identity__mime_view *ret_view)
{
    require(identity__mime_read(arena, message, ret_view) == STATUS_OK);
    require(utf8_is_valid(ret_view->subject) && utf8_is_valid(ret_view->text) &&
            utf8_is_valid(ret_view->html) && utf8_is_valid(ret_view->to));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(NULL, 0);
    struct slice all = slice_of((const char *)data, size), rest = all, subject = SLICE("");
    struct identity__mime_view view;
    struct buf out;
    check_view(arena, all, &view);
    (void)slice_split(&rest, '\n', &subject);
    if (!rest.data)
        rest = SLICE("");
    buf_init(&out, arena, 0, (size_t)8 << 20);
    identity__mime_put(&out, &(struct identity__mime){ .from = &from,
                                                       .to = SLICE("b@example.net"),
                                                       .kind = SLICE("test"),
                                                       .subject = subject,
                                                       .text = rest,
                                                       .html = rest });
    require(buf_status(&out) == STATUS_OK);
    check_message(buf_slice(&out));
    check_view(arena, buf_slice(&out), &view);
    require(slice_eq(view.to, SLICE("b@example.net")) && slice_eq(view.kind, SLICE("test")));
    require(slice_eq(view.text, view.html));
    arena_free(arena);
    return 0;
}
