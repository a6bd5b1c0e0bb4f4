/*
 * JSON Lines, and the pieces that both formats read from. A line is gathered into one bounded
 * buffer; one that is too long is read past, not kept, so memory does not depend on the file.
 */
#include "cmd/import.h"

#include <errno.h>
#include <unistd.h>

#include "base/arena.h"

long import_read_file(void *fd, char *room, size_t room_bytes)
{
    for (;;) {
        ssize_t n = read(*(int *)fd, room, room_bytes);
        if (n >= 0 || errno != EINTR)
            return (long)n;
    }
}

static bool fetch(struct import_input *in)
{
    if (in->ended)
        return false;
    long n = in->read(in->arg, in->piece, in->piece_bytes);
    in->at = 0;
    in->len = n > 0 ? (size_t)n : 0;
    in->ended = n <= 0;
    in->failed |= n < 0;
    return n > 0;
}

/* The mark may be cut by the end of a piece: gather three bytes before deciding. */
static void pass_mark(struct import_input *in)
{
    static const char mark[3] = { '\xef', '\xbb', '\xbf' };
    in->started = true;
    in->line = 1;
    size_t have = 0;
    while (have < sizeof(mark)) {
        long n = in->read(in->arg, in->piece + have, in->piece_bytes - have);
        in->failed |= n < 0;
        if (n <= 0) {
            in->ended = true;
            break;
        }
        have += (size_t)n;
    }
    in->len = have;
    if (have >= sizeof(mark) && memcmp(in->piece, mark, sizeof(mark)) == 0) {
        in->at = sizeof(mark);
        in->taken = sizeof(mark);
    }
}

int import_input_peek(struct import_input *in)
{
    if (!in->started)
        pass_mark(in);
    if (in->at == in->len && !fetch(in))
        return -1;
    return (unsigned char)in->piece[in->at];
}

/* The rest of the line into `buf`, its end taken but not kept. False at the end of the file with
 * nothing read. */
static bool take_line(struct import_input *in, struct buf *buf)
{
    bool any = false;
    while (import_input_peek(in) >= 0) {
        any = true;
        struct slice rest = import_input_rest(in);
        const char *end = memchr(rest.data, '\n', rest.len);
        size_t n = end ? (size_t)(end - rest.data) : rest.len;
        buf_put(buf, rest.data, n);
        in->at += n;
        in->taken += n;
        if (end) {
            import_input_take(in);
            break;
        }
    }
    return any;
}

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    return true;
}

bool import_ndjson_next(struct import_input *in, struct buf *buf, struct import_record *ret)
{
    for (;;) {
        buf_clear(buf);
        if (import_input_peek(in) < 0)
            return false;
        int64_t line = in->line;
        if (!take_line(in, buf))
            return false;
        struct slice text = buf_slice(buf);
        if (slice_ends(text, SLICE("\r")))
            text.len--;
        *ret = (struct import_record){ .line = line, .text = text };
        if (buf_status(buf) != STATUS_OK) {
            ret->code = "too_large";
            ret->reason = "The line is too long.";
            return true;
        }
        if (is_blank(text))
            continue;
        if (!utf8_is_valid(text)) {
            ret->code = "utf8";
            ret->reason = "The line is not UTF-8.";
        }
        ret->digest = hash64(text, 0);
        return true;
    }
}
