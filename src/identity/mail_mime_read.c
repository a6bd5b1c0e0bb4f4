/*
 * identity/mail_mime_read.c - Messages of ours, read again for people who develop. Files in a
 * folder are anybody's: what is no message shows as little, never as a fault.
 */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "identity/mail_mime.h"

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "=41" at `i`, or -1. */
static int escaped_at(struct slice text, size_t i)
{
    if (text.data[i] != '=' || i + 2 >= text.len)
        return -1;
    int high = hex_of(text.data[i + 1]), low = hex_of(text.data[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Whatever bytes there were, a page can show them. */
static enum status take_text(struct arena *arena, const struct buf *decoded, struct slice *ret)
{
    if (buf_status(decoded) != STATUS_OK)
        return buf_status(decoded);
    struct slice text = buf_slice(decoded);
    if (utf8_is_valid(text)) {
        *ret = text;
        return STATUS_OK;
    }
    struct buf out;
    buf_init(&out, arena, text.len + 1, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        buf_putc(&out, (unsigned char)text.data[i] < 0x80 ? text.data[i] : '?');
    *ret = buf_slice(&out);
    return buf_status(&out);
}

static enum status read_body(struct arena *arena, struct slice text, struct slice *ret_body)
{
    struct buf out;
    buf_init(&out, arena, text.len + 1, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        int escaped = escaped_at(text, i);
        if (escaped >= 0) {
            buf_putc(&out, (char)escaped);
            i += 2;
        } else if (c == '=' && i + 2 < text.len && text.data[i + 1] == '\r' &&
                   text.data[i + 2] == '\n') {
            i += 2;
        } else if (c != '\r') {
            buf_putc(&out, c);
        }
    }
    return take_text(arena, &out, ret_body);
}

/* -- headers
 * -------------------------------------------------------------------------------------------------
 */

/* One header, unfolded; SLICE("") when it is not there. */
static enum status find_header(struct arena *arena, struct slice head, struct slice name,
                               struct slice *ret_value)
{
    *ret_value = SLICE("");
    for (size_t at = 0; at < head.len;) {
        struct slice rest = slice_from(head, at);
        size_t end = slice_find(rest, '\n');
        size_t line = end == SIZE_MAX ? rest.len : end + 1;
        if (rest.len > name.len && rest.data[name.len] == ':' &&
            slice_eq_nocase(slice_head(rest, name.len), name)) {
            while (line < rest.len && (rest.data[line] == ' ' || rest.data[line] == '\t')) {
                size_t next = slice_find(slice_from(rest, line), '\n');
                line = next == SIZE_MAX ? rest.len : line + next + 1;
            }
            struct slice value = slice_of(rest.data + name.len + 1, line - name.len - 1);
            struct buf out;
            buf_init(&out, arena, value.len + 1, value.len + 1);
            for (size_t i = 0; i < value.len; i++)
                if (value.data[i] != '\r' && value.data[i] != '\n')
                    buf_putc(&out, value.data[i]);
            *ret_value = slice_trim(buf_slice(&out));
            return buf_status(&out);
        }
        at += line;
    }
    return STATUS_OK;
}

/* The end of an encoded word that begins at `at`, or 0; *ret_text is what is in it. */
static size_t word_end(struct slice text, size_t at, struct slice *ret_text)
{
    static const struct slice begin = SLICE_INIT("=?UTF-8?Q?");
    struct slice rest = slice_from(text, at);
    if (rest.len < begin.len || !slice_eq_nocase(slice_head(rest, begin.len), begin))
        return 0;
    struct slice inner = slice_from(rest, begin.len);
    size_t end = slice_find_slice(inner, SLICE("?="));
    if (end == SIZE_MAX)
        return 0;
    *ret_text = slice_head(inner, end);
    return at + begin.len + end + 2;
}

static enum status read_words(struct arena *arena, struct slice text, struct slice *ret_text)
{
    struct buf out;
    buf_init(&out, arena, text.len + 1, text.len + 1);
    for (size_t i = 0; i < text.len;) {
        struct slice word, next;
        size_t end = word_end(text, i, &word);
        if (end == 0) {
            buf_putc(&out, text.data[i++]);
            continue;
        }
        for (size_t w = 0; w < word.len; w++) {
            int escaped = escaped_at(word, w);
            buf_putc(&out, escaped >= 0 ? (char)escaped
                                        : (char)(word.data[w] == '_' ? ' ' : word.data[w]));
            w += escaped >= 0 ? 2 : 0;
        }
        /* Spaces between two words are only there to fold. */
        size_t after = end;
        while (after < text.len && (text.data[after] == ' ' || text.data[after] == '\t'))
            after++;
        i = after < text.len && word_end(text, after, &next) ? after : end;
    }
    return take_text(arena, &out, ret_text);
}

static enum status read_header(struct arena *arena, struct slice head, struct slice name,
                               struct slice *ret_value)
{
    struct slice raw;
    enum status st = find_header(arena, head, name, &raw);
    return st == STATUS_OK ? read_words(arena, raw, ret_value) : st;
}

/* -- parts
 * ---------------------------------------------------------------------------------------------------
 */

static struct slice split_head(struct slice *rest)
{
    size_t end = slice_find_slice(*rest, SLICE("\r\n\r\n"));
    struct slice head = end == SIZE_MAX ? *rest : slice_head(*rest, end + 2);
    *rest = end == SIZE_MAX ? SLICE("") : slice_from(*rest, end + 4);
    return head;
}

static enum status read_part(struct arena *arena, struct slice part,
                             struct identity__mime_view *view)
{
    struct slice body = part, type, head = split_head(&body);
    enum status st = find_header(arena, head, SLICE("Content-Type"), &type);
    if (st != STATUS_OK)
        return st;
    bool is_html = slice_starts(type, SLICE("text/html"));
    if (!is_html && !slice_starts(type, SLICE("text/plain")))
        return STATUS_OK;
    return read_body(arena, body, is_html ? &view->html : &view->text);
}

static enum status read_parts(struct arena *arena, struct slice type, struct slice body,
                              struct identity__mime_view *view)
{
    size_t at = slice_find_slice(type, SLICE("boundary=\""));
    struct slice boundary = at == SIZE_MAX ? SLICE("") : slice_from(type, at + 10);
    size_t end = slice_find(boundary, '"');
    if (end == SIZE_MAX || end == 0)
        return STATUS_OK;
    struct slice mark = arena_printf(arena, "--%.*s", SLICE_ARG(slice_head(boundary, end)));
    if (!mark.data)
        return STATUS_EXHAUSTED;
    size_t from = slice_find_slice(body, mark);
    for (unsigned i = 0; i < 2 && from != SIZE_MAX; i++) {
        struct slice rest = slice_from(body, from + mark.len + 2);
        size_t to = slice_find_slice(rest, mark);
        enum status st = read_part(arena, to == SIZE_MAX ? rest : slice_head(rest, to), view);
        if (st != STATUS_OK || to == SIZE_MAX)
            return st;
        from = (size_t)(rest.data - body.data) + to;
    }
    return STATUS_OK;
}

enum status identity__mime_read(struct arena *arena, struct slice message,
                                struct identity__mime_view *ret_view)
{
    struct identity__mime_view view = { .text = SLICE(""), .html = SLICE("") };
    const struct {
        struct slice name, *value;
    } headers[] = {
        { SLICE("To"), &view.to },
        { SLICE("From"), &view.from },
        { SLICE("Subject"), &view.subject },
        { SLICE("Date"), &view.date },
        { SLICE("X-Purlin-Mail"), &view.kind },
    };
    struct slice body = message, type, head = split_head(&body);
    enum status st = find_header(arena, head, SLICE("Content-Type"), &type);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]) && st == STATUS_OK; i++)
        st = read_header(arena, head, headers[i].name, headers[i].value);
    if (st == STATUS_OK)
        st = read_parts(arena, type, body, &view);
    if (st == STATUS_OK)
        *ret_view = view;
    return st;
}
