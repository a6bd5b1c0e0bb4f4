/*
 * tests/identity/test_mail_address.c - Where mail may go, and what stands in a header.
 */
#include "fixture.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "identity/mail.h"
#include "identity/mail_address.h"

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_address_read(void **state)
{
    static const struct {
        const char *name, *in, *want; /* NULL: refused */
    } cases[] = {
        { "plain", "bob@example.org", "bob@example.org" },
        { "domain in lower case, local part as it is", "Bob@EXAMPLE.Org", "Bob@example.org" },
        { "all that an atom may have", "!#$%&'*+-/=?^_`{|}~@example.org",
          "!#$%&'*+-/=?^_`{|}~@example.org" },
        { "dots inside", "a.b.c@example.org", "a.b.c@example.org" },
        { "one label", "root@localhost", "root@localhost" },
        { "64 before the @", A64 "@example.org", A64 "@example.org" },
        { "65 before the @", A64 "a@example.org", NULL },
        { "a label of 63", "a@" A63 ".org", "a@" A63 ".org" },
        { "a label of 64", "a@" A64 ".org", NULL },
        { "254 in all",
          "a@" A63 "." A63 "." A63 "."
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "a@" A63 "." A63 "." A63 "."
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
        { "255 in all",
          "aa@" A63 "." A63 "." A63 "."
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          NULL },
        { "an IDN", "bob@ex\xc3\xa4mple.org", "bob@xn--exmple-cua.org" },
        { "an IDN in capitals", "bob@EX\xc3\x84MPLE.org", "bob@xn--exmple-cua.org" },
        { "an IDN of another script", "bob@\xe4\xbe\x8b\xe3\x81\x88.jp", "bob@xn--r8jz45g.jp" },
        { "a domain that is no UTF-8", "bob@ex\xc3mple.org", NULL },
        { "a full-width dot makes no second domain",
          "bob@a\xef\xbc\x8f"
          "b.org",
          NULL },
        { "a letter before the @ that is not ASCII",
          "b\xc3\xb6"
          "b@example.org",
          NULL },
        { "empty", "", NULL },
        { "no @", "example.org", NULL },
        { "nothing before", "@example.org", NULL },
        { "nothing after", "bob@", NULL },
        { "two @", "bob@example.org@example.net", NULL },
        { "a dot first", ".bob@example.org", NULL },
        { "a dot last", "bob.@example.org", NULL },
        { "two dots", "b..b@example.org", NULL },
        { "a final dot", "bob@example.org.", NULL },
        { "an empty label", "bob@example..org", NULL },
        { "a dash at an end", "bob@example-.org", NULL },
        { "a literal", "bob@[127.0.0.1]", NULL },
        { "a number", "bob@127.0.0.1", NULL },
        { "quoted", "\"b b\"@example.org", NULL },
        { "a space", "bob smith@example.org", NULL },
        { "a space in front", " bob@example.org", NULL },
        { "a comment", "bob(me)@example.org", NULL },
        { "a name", "Bob <bob@example.org>", NULL },
        { "a second one", "bob@example.org,eve@example.net", NULL },
        { "a line", "bob@example.org\r\nBcc: eve@example.net", NULL },
        { "a line before the @", "bob\r\nRCPT TO:<eve>@example.org", NULL },
        { "a bare line feed", "bob\n@example.org", NULL },
        { "a folded line in the domain", "bob@example.org\n eve", NULL },
        { "a parameter", "bob@example.org> SIZE=1", NULL },
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice got = SLICE_NULL;
        const char *reason = NULL;
        enum status st = identity_mail_address_read(arena, slice_cstr(cases[i].in), &got, &reason);
        if ((st == STATUS_OK) != (cases[i].want != NULL))
            fail_msg("%s: %s", cases[i].name, status_name(st));
        if (cases[i].want)
            assert_slice(got, slice_cstr(cases[i].want));
        else
            assert_non_null(reason);
    }
    struct slice got;
    const char *reason = NULL;
    assert_status(
        identity_mail_address_read(arena, slice_of("a\0b@example.org", 15), &got, &reason),
        STATUS_INVALID);
    assert_status(identity_mail_address_read(arena, slice_of("a@b\0.org", 8), &got, &reason),
                  STATUS_INVALID);
    arena_free(arena);
}

static void test_mailbox(void **state)
{
    static const struct {
        const char *in, *address, *header; /* NULL: refused */
    } cases[] = {
        { "a@example.org", "a@example.org", "a@example.org" },
        { "<a@example.org>", "a@example.org", "a@example.org" },
        { " Example Site <a@example.org> ", "a@example.org",
          "\"Example Site\"\r\n <a@example.org>" },
        { "\"Example, Inc.\" <a@example.org>", "a@example.org",
          "\"Example, Inc.\"\r\n <a@example.org>" },
        { "\"a \\\"b\\\" \\\\c\" <a@example.org>", "a@example.org",
          "\"a \\\"b\\\" \\\\c\"\r\n <a@example.org>" },
        { "B\xc3\xbc"
          "cher <a@example.org>",
          "a@example.org", "=?UTF-8?Q?B=C3=BCcher?=\r\n <a@example.org>" },
        { "Eve\r\nBcc: x <a@example.org>", NULL, NULL },
        { "\"Eve\nBcc: x\" <a@example.org>", NULL, NULL },
        { "\"a\" b\" <a@example.org>", NULL, NULL },
        { "a <b> <a@example.org>", NULL, NULL },
        { "Example <a@example.org", NULL, NULL },
        { "a@example.org>", NULL, NULL },
        { ">", NULL, NULL },
        { "<>", NULL, NULL },
        { "a>", NULL, NULL },
        { "Example", NULL, NULL },
        { "", NULL, NULL },
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct identity__mailbox mailbox;
        const char *reason = NULL;
        enum status st = identity__mailbox_read(arena, slice_cstr(cases[i].in), &mailbox, &reason);
        if ((st == STATUS_OK) != (cases[i].address != NULL))
            fail_msg("%s: %s", cases[i].in, status_name(st));
        if (st != STATUS_OK) {
            assert_non_null(reason);
            continue;
        }
        struct buf out;
        buf_init(&out, arena, 0, 1024);
        identity__mailbox_put(&out, &mailbox);
        assert_slice(mailbox.address, slice_cstr(cases[i].address));
        assert_slice(buf_slice(&out), slice_cstr(cases[i].header));
    }
    arena_free(arena);
}

static void test_mask_keeps_addresses_out_of_logs(void **state)
{
    char out[IDENTITY__MAIL_MASK_MAX];
    (void)state;
    assert_slice(identity__mail_mask(SLICE("bob@example.org"), out),
                 SLICE("b\xe2\x80\xa6@example.org"));
    assert_slice(identity__mail_mask(SLICE("b@example.org"), out),
                 SLICE("b\xe2\x80\xa6@example.org"));
    assert_slice(identity__mail_mask(SLICE(""), out), SLICE("?"));
    assert_slice(identity__mail_mask(SLICE("@x"), out), SLICE("?"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_read),
        cmocka_unit_test(test_mailbox),
        cmocka_unit_test(test_mask_keeps_addresses_out_of_logs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
