/*
 * tests/identity/test_mail_mime.c - Messages: what is written is read back, and no text adds a
 * header, a line that is too long, or a part.
 */
#include "fixture.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "identity/mail_mime.h"

static const struct identity__mailbox from = { .name = SLICE_INIT("Example"),
                                               .address = SLICE_INIT("no-reply@example.org"),
                                               .domain = SLICE_INIT("example.org") };

static struct slice write_message(struct arena *arena, struct slice subject, struct slice text,
                                  struct slice html)
{
    struct buf out;
    buf_init(&out, arena, 0, IDENTITY__MIME_BYTES_MAX);
    identity__mime_put(&out, &(struct identity__mime){ .id = uuid_v7(),
                                                       .date_us = 784111777 * CLOCK_SECOND,
                                                       .from = &from,
                                                       .to = SLICE("bob@example.net"),
                                                       .reply_to = SLICE("help@example.org"),
                                                       .kind = SLICE("magic_link"),
                                                       .subject = subject,
                                                       .text = text,
                                                       .html = html });
    assert_status(buf_status(&out), STATUS_OK);
    return buf_slice(&out);
}

/* Each line ends with CRLF, is short, and is ASCII without controls. */
static void check_lines(struct slice message)
{
    size_t used = 0;
    for (size_t i = 0; i < message.len; i++) {
        unsigned char c = (unsigned char)message.data[i];
        if (c == '\r') {
            assert_int_equal(message.data[i + 1], '\n');
            assert_true(used <= 78);
            used = 0;
            i++;
            continue;
        }
        assert_true((c >= 0x20 && c < 0x7f) || c == '\t');
        assert_false(used == 0 && c == '.');
        used++;
    }
    assert_int_equal(used, 0);
}

static size_t count(struct slice text, struct slice what)
{
    size_t n = 0;
    for (size_t at = 0; (at = slice_find_slice(text, what)) != SIZE_MAX; n++)
        text = slice_from(text, at + what.len);
    return n;
}

static void test_headers(void **state)
{
    static const char *const wanted[] = {
        "Date: Sun, 06 Nov 1994 08:49:37 +0000\r\n",
        "From: \"Example\"\r\n <no-reply@example.org>\r\n",
        "To: bob@example.net\r\n",
        "Reply-To: help@example.org\r\n",
        "Subject: Sign in\r\n",
        "\r\nMessage-ID: <",
        "Auto-Submitted: auto-generated\r\n",
        "MIME-Version: 1.0\r\n",
        "Content-Type: multipart/alternative;\r\n boundary=\"=_",
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable",
        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable",
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    struct slice message =
        write_message(arena, SLICE("Sign in"), SLICE("Hello\n"), SLICE("<p>Hello</p>\n"));
    check_lines(message);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (count(message, slice_cstr(wanted[i])) != 1)
            fail_msg("%s", wanted[i]);
    arena_free(arena);
}

/* A table of subjects that want to be more than that. */
static void test_subjects_stay_subjects(void **state)
{
    static const struct {
        const char *in, *read; /* NULL: as it was */
    } cases[] = {
        { "Sign in", NULL },
        { "Bcc: eve@example.net", NULL },
        { "a\r\nBcc: eve@example.net", "a  Bcc: eve@example.net" },
        { "a\nBcc: eve@example.net", "a Bcc: eve@example.net" },
        { "a\rBcc: eve@example.net", "a Bcc: eve@example.net" },
        { "a\r\n\r\n<script>", "a    <script>" },
        { "a\r\n b", "a   b" },
        { "=?UTF-8?Q?a=0D=0ABcc:_eve?=", NULL },
        { "\xe2\x80\xa8 a separator of lines", NULL },
        { "Gr\xc3\xbc\xc3\x9f"
          "e aus K\xc3\xb6ln, wo es mehr Zeichen braucht als in eine einzige "
          "kodierte Einheit passen: \xe2\x82\xac \xf0\x9f\x98\x80 \xf0\x9f\x98\x80",
          NULL },
        { "a question? an = sign_and an underscore", NULL },
        { "0123456789012345678901234567890123456789012345678901234567890123456789 so long that it "
          "would have to be folded",
          NULL },
        { "\x01\x02\x7f", "   " },
        { "", NULL },
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice message =
            write_message(arena, slice_cstr(cases[i].in), SLICE("x\n"), SLICE("y\n"));
        struct identity__mime_view view;
        check_lines(message);
        assert_int_equal(count(message, SLICE("\r\nBcc")), 0);
        assert_int_equal(count(message, SLICE("\r\n\r\n")), 3); /* the head's, and each part's */
        assert_status(identity__mime_read(arena, message, &view), STATUS_OK);
        const char *want = cases[i].read ? cases[i].read : cases[i].in;
        if (!slice_eq(view.subject, slice_cstr(want)))
            fail_msg("%s: read as %.*s", cases[i].in, SLICE_ARG(view.subject));
        assert_slice(view.text, SLICE("x\n"));
    }
    arena_free(arena);
}

static void test_invalid_utf8_in_a_subject(void **state)
{
    struct arena *arena = arena_new(NULL, 0);
    struct identity__mime_view view;
    (void)state;
    struct slice message =
        write_message(arena, SLICE("a\xff\xc3 b\xe2\x82"), SLICE("x\n"), SLICE("y\n"));
    check_lines(message);
    assert_status(identity__mime_read(arena, message, &view), STATUS_OK);
    assert_slice(view.subject, SLICE("a?? b??"));
    arena_free(arena);
}

static void test_bodies_come_back(void **state)
{
    static const char *const bodies[] = {
        "Hello\n",
        "\n\na\n\n",
        ".\n..\nFrom the beginning\n.leading\n",
        "trailing space \ntrailing tab\t\n",
        "= is =3D and =\nend=\n",
        "\xc3\xa4\xc3\xb6\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80\n",
        "01234567890123456789012345678901234567890123456789012345678901234567890123.56\n",
        "https://example.org/?t=abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz=.\n",
        "--=_0123456789\n\nContent-Type: text/html\n",
        "-- \nthe signature\n",
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct slice body = slice_cstr(bodies[i]);
        struct slice message = write_message(arena, SLICE("s"), body, body);
        struct identity__mime_view view;
        check_lines(message);
        assert_status(identity__mime_read(arena, message, &view), STATUS_OK);
        assert_slice(view.text, body);
        assert_slice(view.html, body);
        assert_slice(view.to, SLICE("bob@example.net"));
        assert_slice(view.kind, SLICE("magic_link"));
    }
    arena_free(arena);
}

/* CRLF in a template is one end of a line. */
static void test_body_with_crlf(void **state)
{
    struct arena *arena = arena_new(NULL, 0);
    struct identity__mime_view view;
    (void)state;
    struct slice message = write_message(arena, SLICE("s"), SLICE("a\r\nb \r\n"), SLICE("no end"));
    check_lines(message);
    assert_status(identity__mime_read(arena, message, &view), STATUS_OK);
    assert_slice(view.text, SLICE("a\nb \n"));
    assert_slice(view.html, SLICE("no end\n"));
    arena_free(arena);
}

/* Files in the mailbox's folder are anybody's. */
static void test_read_of_what_is_no_message(void **state)
{
    static const char *const files[] = {
        "",
        "\r\n\r\n",
        "Subject",
        "Subject:",
        "Subject: =?UTF-8?Q?",
        "Subject: =?UTF-8?Q?=4",
        "Content-Type: multipart/alternative; boundary=\"\"\r\n\r\n--\r\n",
        "Content-Type: multipart/alternative; boundary=\"x\r\n\r\n--x",
        "Content-Type: multipart/alternative; boundary=\"x\"\r\n\r\n--x",
        "Content-Type: multipart/alternative; boundary=\"x\"\r\n\r\n--x\r\n--x\r\n--x",
        "Content-Type: a; boundary=\"x\"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\na=\xff=",
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct identity__mime_view view;
        assert_status(identity__mime_read(arena, slice_cstr(files[i]), &view), STATUS_OK);
        assert_true(utf8_is_valid(view.text));
        assert_true(utf8_is_valid(view.subject));
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_subjects_stay_subjects),
        cmocka_unit_test(test_invalid_utf8_in_a_subject),
        cmocka_unit_test(test_bodies_come_back),
        cmocka_unit_test(test_body_with_crlf),
        cmocka_unit_test(test_read_of_what_is_no_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
