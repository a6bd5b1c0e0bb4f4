/*
 * identity/mail_mime.c - From text to a message. Nothing that comes from outside reaches a header
 * but through identity__mime_put_words or as an address that was taken apart before, so no header
 * can be added; bodies are quoted-printable, so no line of them means anything to a mail server.
 */
#include "identity/mail_mime.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

#define LINE_MAX 76u       /* of quoted-printable, with the "=" at its end */
#define WORD_MAX 75u       /* of an encoded word, RFC 2047 section 2 */
#define NAME_MAX_BYTES 10u /* "Subject: " stands before the first one */

static const char hex_digits[] = "0123456789ABCDEF";

static void put_escaped(struct buf *out, unsigned char c)
{
    buf_putc(out, '=');
    buf_putc(out, hex_digits[c >> 4]);
    buf_putc(out, hex_digits[c & 15]);
}

/* -- headers
 * -------------------------------------------------------------------------------------------------
 */

static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x7f || c < 0x20 || (c == '=' && i + 1 < text.len && text.data[i + 1] == '?'))
            return false;
    }
    return true;
}

/* In an encoded word as they are; RFC 2047 section 5 (3) allows them in a name as well. */
static bool is_word_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '!' ||
           c == '*' || c == '+' || c == '-' || c == '/';
}

static size_t word_cost(struct slice text, size_t at, size_t bytes)
{
    size_t cost = 0;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text.data[at + i];
        cost += c <= 0x20 || c == 0x7f || is_word_char(c) ? 1 : 3;
    }
    return cost;
}

static void put_word_bytes(struct buf *out, struct slice text, size_t at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text.data[at + i];
        if (c <= 0x20 || c == 0x7f)
            buf_putc(out, '_'); /* a space, whatever control it was */
        else if (is_word_char(c))
            buf_putc(out, (char)c);
        else
            put_escaped(out, c);
    }
}

static void put_encoded(struct buf *out, struct slice text)
{
    static const char begin[] = "=?UTF-8?Q?";
    size_t used = 0, max = WORD_MAX - NAME_MAX_BYTES;
    for (size_t i = 0; i < text.len;) {
        size_t bytes = utf8_sequence(slice_from(text, i));
        struct slice one = slice_of(text.data + i, bytes);
        bool is_valid = bytes > 0;
        if (!is_valid) {
            one = SLICE("?");
            bytes = 1;
        }
        size_t cost = word_cost(one, 0, one.len);
        if (used > 0 && used + cost + 2 > max) {
            buf_put_lit(out, "?=\r\n ");
            used = 0;
            max = WORD_MAX;
        }
        if (used == 0) {
            buf_put_lit(out, begin);
            used = sizeof(begin) - 1;
        }
        put_word_bytes(out, one, 0, one.len);
        used += cost;
        i += bytes;
    }
    if (used > 0)
        buf_put_lit(out, "?=");
}

void identity__mime_put_words(struct buf *out, struct slice text)
{
    /* A long plain text would have to be folded at its spaces; encoded words fold anywhere. */
    if (is_plain(text) && text.len <= WORD_MAX - NAME_MAX_BYTES)
        buf_put_slice(out, text);
    else
        put_encoded(out, text);
}

static void put_date(struct buf *out, int64_t wall_us)
{
    char text[CLOCK_HTTP_DATE_LEN];
    clock_format_http(wall_us, text);
    /* "Sun, 06 Nov 1994 08:49:37 GMT" but for the zone, which RFC 5322 writes in digits. */
    buf_put(out, text, CLOCK_HTTP_DATE_LEN - 3);
    buf_put_lit(out, "+0000");
}

static void put_headers(struct buf *out, const struct identity__mime *mime, const char *boundary)
{
    char id[UUID_TEXT_LEN];
    uuid_format(&mime->id, id);
    buf_put_lit(out, "Date: ");
    put_date(out, mime->date_us);
    buf_put_lit(out, "\r\nFrom: ");
    identity__mailbox_put(out, mime->from);
    buf_put_lit(out, "\r\nTo: ");
    buf_put_slice(out, mime->to);
    if (mime->reply_to.len) {
        buf_put_lit(out, "\r\nReply-To: ");
        buf_put_slice(out, mime->reply_to);
    }
    buf_put_lit(out, "\r\nSubject: ");
    identity__mime_put_words(out, mime->subject);
    buf_put_lit(out, "\r\nMessage-ID: <");
    buf_put(out, id, sizeof(id));
    buf_putc(out, '@');
    buf_put_slice(out, mime->from->domain);
    /* No out-of-office note for these: RFC 3834 says it to most, the second to Exchange. */
    buf_put_lit(out, ">\r\nAuto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All"
                     "\r\nX-Purlin-Mail: ");
    buf_put_slice(out, mime->kind);
    buf_printf(out,
               "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary=\"%s\""
               "\r\n\r\n",
               boundary);
}

/* -- bodies
 * --------------------------------------------------------------------------------------------------
 */

/* A byte that stands as it is, unless it is the last of its line. */
static bool is_quoted_char(unsigned char c)
{
    return (c >= 0x20 && c < 0x7f && c != '=') || c == '\t';
}

static void put_line(struct buf *out, struct slice line)
{
    size_t used = 0;
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.data[i];
        bool is_last = i + 1 == line.len;
        bool stands = is_quoted_char(c) && !(is_last && (c == ' ' || c == '\t')) &&
                      !(used == 0 && (c == '.' || c == 'F')); /* "." and "From " */
        size_t cost = stands ? 1 : 3;
        if (used + cost > LINE_MAX - 1) {
            buf_put_lit(out, "=\r\n");
            used = 0;
            stands = stands && c != '.' && c != 'F';
            cost = stands ? 1 : 3;
        }
        if (stands)
            buf_putc(out, (char)c);
        else
            put_escaped(out, c);
        used += cost;
    }
    buf_put_lit(out, "\r\n");
}

static void put_part(struct buf *out, const char *boundary, const char *type, struct slice body)
{
    buf_printf(out,
               "--%s\r\nContent-Type: %s; charset=utf-8\r\n"
               "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
               boundary, type);
    if (body.len && body.data[body.len - 1] == '\n')
        body.len--;
    for (struct slice line; slice_split(&body, '\n', &line);) {
        if (line.len && line.data[line.len - 1] == '\r')
            line.len--;
        put_line(out, line);
    }
}

void identity__mime_put(struct buf *out, const struct identity__mime *mime)
{
    /* "=_" cannot occur in quoted-printable. */
    uint8_t random[12];
    char boundary[2 + 2 * sizeof(random) + 1] = "=_";
    random_bytes(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        boundary[2 + 2 * i] = hex_digits[random[i] >> 4];
        boundary[3 + 2 * i] = hex_digits[random[i] & 15];
    }
    boundary[sizeof(boundary) - 1] = 0;
    put_headers(out, mime, boundary);
    put_part(out, boundary, "text/plain", mime->text);
    put_part(out, boundary, "text/html", mime->html);
    buf_printf(out, "--%s--\r\n", boundary);
}
