/*
 * tests/identity/test_mail.c - Letters: what each kind says in both of its parts, what strangers
 * cannot make it say, and what cannot be written at all.
 */
#include "mail_fixture.h"

#include "identity/mail_mime.h"
#include "identity/mail_rows.h"
#include "identity/mail_values.h"

/* The mail as it would be sent. */
static struct identity__mime_view view_of(struct fixture *f, const struct identity_mail *mail,
                                          const struct identity_mail_letter *letter)
{
    struct identity_mail_message message;
    struct identity__mime_view view;
    struct slice to, mime;
    assert_status(identity_mail_render(mail, letter, f->arena, &f->problem, &message), STATUS_OK);
    assert_status(
        identity__mail_seal_open(&mail->seal, &message.id, message.sealed, f->arena, &to, &mime),
        STATUS_OK);
    assert_status(identity__mime_read(f->arena, mime, &view), STATUS_OK);
    assert_slice(to, view.to);
    return view;
}

static bool has(struct slice text, const char *what)
{
    return slice_find_slice(text, slice_cstr(what)) != SIZE_MAX;
}

static enum status render(struct fixture *f, const struct identity_mail *mail,
                          const struct identity_mail_letter *letter)
{
    struct identity_mail_message message;
    problem_clear(&f->problem);
    return identity_mail_render(mail, letter, f->arena, &f->problem, &message);
}

static void test_each_kind_says_all_in_both_parts(void **state)
{
    struct fixture *f = *state;
    for (unsigned k = 0; k < IDENTITY_MAIL_KINDS; k++) {
        enum identity_mail_kind kind = (enum identity_mail_kind)k;
        const struct identity_mail_letter letter = letter_of(kind);
        unsigned values = identity__mail_values_of(kind);
        const struct {
            enum identity__mail_value value;
            const char *text, *html;
        } wanted[] = {
            { IDENTITY__MAIL_LINK, "https://example.org/verify?token=abc&x=1\n",
              "href=\"https://example.org/verify?token=abc&amp;x=1\"" },
            { IDENTITY__MAIL_CODE, "123456", "123456" },
            { IDENTITY__MAIL_IP, "192.0.2.7", "192.0.2.7" },
            { IDENTITY__MAIL_DEVICE, "Firefox on Linux", "Firefox on Linux" },
            { IDENTITY__MAIL_NEW_ADDRESS, "robert@example.net", "robert@example.net" },
            { IDENTITY__MAIL_INVITER, "Alice invites you", "Alice invites you" },
            { IDENTITY__MAIL_NAME, "Hello Bob,", "Hello Bob," },
            { IDENTITY__MAIL_TO, "bob@example.net", "bob@example.net" },
        };
        struct identity__mime_view view = view_of(f, f->mail, &letter);
        assert_slice(view.kind, slice_cstr(identity_mail_kind_name(kind)));
        assert_slice(view.from, SLICE("\"Example\" <no-reply@example.org>"));
        assert_true(view.subject.len > 0);
        assert_false(has(view.text, "{{") || has(view.html, "{{"));
        /* Addresses of a mail say what somebody tried: not for those that are told of it. */
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
            bool allowed = values & IDENTITY__MAIL_BIT(wanted[i].value);
            bool is_notice =
                kind == IDENTITY_MAIL_EMAIL_CHANGE_NOTICE && wanted[i].value == IDENTITY__MAIL_IP;
            if (allowed && !is_notice &&
                (!has(view.text, wanted[i].text) || !has(view.html, wanted[i].html)))
                fail_msg("%s: %s", identity_mail_kind_name(kind), wanted[i].text);
        }
    }
}

static void test_html_loads_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const remote[] = { "src=", "<img",    "<script", "<link",
                                          "url(", "@import", "<iframe", "http-equiv" };
    for (unsigned k = 0; k < IDENTITY_MAIL_KINDS; k++) {
        struct identity_mail_letter letter = letter_of((enum identity_mail_kind)k);
        struct identity__mime_view view = view_of(f, f->mail, &letter);
        for (size_t i = 0; i < ARRAY_LEN(remote); i++)
            assert_false(has(view.html, remote[i]));
    }
}

static void test_what_is_not_known_leaves_no_hole(void **state)
{
    struct fixture *f = *state;
    struct identity_mail_letter letter = { .kind = IDENTITY_MAIL_NEW_DEVICE,
                                           .to = SLICE("bob@example.net") };
    struct identity__mime_view view = view_of(f, f->mail, &letter);
    assert_true(has(view.text, "Hello,\n"));
    assert_false(has(view.text, "Device:") || has(view.text, "Address:"));
    assert_false(has(view.html, "href"));
    letter = letter_of(IDENTITY_MAIL_INVITATION);
    letter.inviter = SLICE("");
    view = view_of(f, f->mail, &letter);
    assert_true(has(view.text, "You are invited to join Example."));
}

/* Texts of strangers in a mail that we sign. */
static void test_names_say_nothing_else(void **state)
{
    static const struct {
        const char *name, *in, *text, *html; /* what follows "Hello"; */
    } cases[] = {
        { "a name", "J. R. R. Tolkien", " J. R. R. Tolkien,", " J. R. R. Tolkien," },
        { "initials without spaces", "J.R.R. Tolkien", " J.R.R. Tolkien,", " J.R.R. Tolkien," },
        { "another script", "\xe6\x9d\x8e\xe5\xb0\x8f\xe9\xbe\x99",
          " \xe6\x9d\x8e\xe5\xb0\x8f\xe9\xbe\x99,", " \xe6\x9d\x8e\xe5\xb0\x8f\xe9\xbe\x99," },
        { "markup", "<b>Bob</b>", ",", "," },
        { "an entity", "Tom & \"Jerry\"", " Tom & \"Jerry\",", " Tom &amp; &quot;Jerry&quot;," },
        { "a link", "You won: https://evil.example/", ",", "," },
        { "a host", "go to evil.example now", ",", "," },
        { "www", "www.evil.example", ",", "," },
        { "an address", "eve@evil", ",", "," },
        { "lines", "Bob\r\n\r\nBuy this", " Bob Buy this,", " Bob Buy this," },
        { "a separator",
          "Bob\xe2\x80\xa8"
          "Buy",
          " Bob Buy,", " Bob Buy," },
        { "right to left",
          "Bob\xe2\x80\xae"
          "gpj",
          " Bob gpj,", " Bob gpj," },
        { "controls", "B\x01o\x1b[31mb", " B o [31mb,", " B o [31mb," },
        { "no UTF-8", "B\xffob\xc3", " B ob,", " B ob," },
        { "spaces", "  Bob   Smith  ", " Bob Smith,", " Bob Smith," },
        { "a placeholder", "{{link}}", " {{link}},", " {{link}}," },
        { "64 letters", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          " aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,",
          " aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa," },
        { "65 letters", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          " aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xe2\x80\xa6,",
          " aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xe2\x80\xa6," },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_VERIFY_EMAIL);
        letter.name = slice_cstr(cases[i].in);
        struct identity__mime_view view = view_of(f, f->mail, &letter);
        char text[256], html[256];
        (void)snprintf(text, sizeof(text), "Hello%s\n", cases[i].text);
        (void)snprintf(html, sizeof(html), ">Hello%s<", cases[i].html);
        if (!has(view.text, text) || !has(view.html, html))
            fail_msg("%s: %.*s", cases[i].name, SLICE_ARG(slice_head(view.text, 200)));
    }
}

static void test_what_cannot_be_written(void **state)
{
    struct fixture *f = *state;
    struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    static const char *const links[] = { "",
                                         "/relative",
                                         "javascript:alert(1)",
                                         "ftp://example.org/",
                                         "https://",
                                         "https:///path",
                                         "https://example.org/a b",
                                         "https://example.org/\"onclick=",
                                         "https://example.org/\r\nBcc: eve@example.net",
                                         "https://ex\xc3\xa4mple.org/" };
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        letter.link = slice_cstr(links[i]);
        assert_status(render(f, f->mail, &letter), STATUS_INTERNAL);
        assert_string_equal(f->problem.type, "identity/mail-values");
    }
    static char longest[IDENTITY__MAIL_LINK_MAX + 1] = "https://example.org/";
    memset(longest + 20, 'a', sizeof(longest) - 20);
    letter.link = slice_of(longest, IDENTITY__MAIL_LINK_MAX);
    assert_status(render(f, f->mail, &letter), STATUS_OK);
    letter.link = slice_of(longest, IDENTITY__MAIL_LINK_MAX + 1);
    assert_status(render(f, f->mail, &letter), STATUS_INTERNAL);
    letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    letter.to = SLICE("bob@example.net\r\nBcc: eve@example.net");
    assert_status(render(f, f->mail, &letter), STATUS_INVALID);
    assert_string_equal(f->problem.type, "identity/mail-address");
    letter = letter_of(IDENTITY_MAIL_EMAIL_CHANGE_NOTICE);
    letter.new_address = SLICE("");
    assert_status(render(f, f->mail, &letter), STATUS_INTERNAL);
}

static void test_times(void **state)
{
    static const struct {
        int64_t left_us;
        const char *want;
    } cases[] = {
        { 30 * CLOCK_SECOND, "for less than a minute," },
        { CLOCK_MINUTE, "for 1 minute," },
        { 15 * CLOCK_MINUTE, "for 15 minutes," },
        { CLOCK_HOUR, "for 1 hour," },
        { 90 * CLOCK_MINUTE, "for 90 minutes," },
        { 24 * CLOCK_HOUR, "for 1 day," },
        { 36 * CLOCK_HOUR, "for 36 hours," },
        { 7 * CLOCK_DAY, "for 7 days," },
    };
    struct fixture *f = *state;
    const int64_t now_us = 1794067571 * CLOCK_SECOND; /* 2026-11-07T16:06:11Z */
    clock_fake_set(now_us, clock_mono_us());
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_RESET_PASSWORD);
        letter.expires_us = now_us + cases[i].left_us;
        if (!has(view_of(f, f->mail, &letter).text, cases[i].want))
            fail_msg("%s", cases[i].want);
    }
    struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_ACCOUNT_DELETION);
    letter.expires_us = now_us + 30 * CLOCK_DAY;
    assert_true(has(view_of(f, f->mail, &letter).text, "on 7 December 2026, 16:06 UTC."));
    letter = letter_of(IDENTITY_MAIL_NEW_DEVICE);
    letter.at_us = now_us - CLOCK_DAY;
    assert_true(has(view_of(f, f->mail, &letter).text, "When: 6 November 2026, 16:06 UTC"));
    clock_fake_set(0, 0);
}

static void test_nothing_to_send_with(void **state)
{
    struct fixture *f = *state;
    CLEANUP(identity_mail_close) struct identity_mail *mail = NULL;
    struct identity_mail_options options = options_of(f);
    options.folder = SLICE("");
    options.metrics = NULL;
    assert_status(open_as(f, &options, &mail), STATUS_OK);
    assert_false(identity_mail_can_send(mail));
    assert_true(identity_mail_can_send(f->mail));
    const struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    assert_status(render(f, mail, &letter), STATUS_UNAVAILABLE);
    assert_string_equal(f->problem.type, "identity/no-mail");
    identity_mail_wake(mail);
    assert_status(identity_mail_start(mail, f->loop), STATUS_OK);
}

/* -- an application's own texts
 * --------------------------------------------------------------------------------- */

static void write_file(struct fixture *f, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_own_templates(void **state)
{
    struct fixture *f = *state;
    CLEANUP(identity_mail_close) struct identity_mail *mail = NULL;
    struct identity_mail_options options = options_of(f);
    options.metrics = NULL;
    options.templates = slice_cstr(f->folder);
    write_file(f, "magic_link.txt", "Subject: Hallo {{name}}\r\n\r\nHier entlang: {{link}}\n");
    write_file(f, "magic_link.html", "<a href=\"{{link}}\">{{name}}</a>\n");
    assert_status(open_as(f, &options, &mail), STATUS_OK);
    struct identity_mail_letter letter = letter_of(IDENTITY_MAIL_MAGIC_LINK);
    letter.name = SLICE("J\xc3\xb6rg & Co");
    struct identity__mime_view view = view_of(f, mail, &letter);
    assert_slice(view.subject, SLICE("Hallo J\xc3\xb6rg & Co"));
    assert_slice(view.text, SLICE("Hier entlang: https://example.org/verify?token=abc&x=1\n"));
    assert_slice(view.html, SLICE("<a href=\"https://example.org/verify?token=abc&amp;x=1\">"
                                  "J\xc3\xb6rg &amp; Co</a>\n"));
    /* The others are ours still. */
    letter.kind = IDENTITY_MAIL_VERIFY_EMAIL;
    assert_slice(view_of(f, mail, &letter).subject, SLICE("Confirm your address"));
}

static void test_templates_that_are_wrong(void **state)
{
    struct fixture *f = *state;
    struct identity_mail *mail = NULL;
    struct identity_mail_options options = options_of(f);
    options.templates = slice_cstr(f->folder);
    write_file(f, "magic_link.txt", "Subject: {{nam}}\n\nOne\nTwo {{lnik}}\n");
    write_file(f, "new_device.txt", "A new device\n\nwithout a subject\n");
    write_file(f, "invitation.txt", "Subject: You\nno empty line\n");
    write_file(f, "test.txt", "Subject: \n\nx\n");
    write_file(f, "reset_password.html", "{{#name}}");
    assert_status(open_as(f, &options, &mail), STATUS_INVALID);
    static const struct {
        const char *file;
        int line;
    } wanted[] = { { "magic_link.txt", 1 }, { "magic_link.txt", 4 }, { "new_device.txt", 1 },
                   { "invitation.txt", 1 }, { "test.txt", 1 },       { "reset_password.html", 1 } };
    assert_int_equal(f->diag.len, ARRAY_LEN(wanted));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        bool is_found = false;
        for (unsigned d = 0; d < f->diag.len; d++)
            is_found |= slice_ends(f->diag.items[d].file, slice_cstr(wanted[i].file)) &&
                        f->diag.items[d].line == wanted[i].line;
        if (!is_found)
            fail_msg("%s:%d", wanted[i].file, wanted[i].line);
    }
    options.templates = SLICE("/nonexistent");
    assert_status(open_as(f, &options, &mail), STATUS_INVALID);
    assert_int_equal(f->diag.len, 1);
}

/* What `purlin mail templates` writes is what is used without it. */
static void test_templates_written_are_ours(void **state)
{
    struct fixture *f = *state;
    CLEANUP(identity_mail_close) struct identity_mail *mail = NULL;
    struct identity_mail_options options = options_of(f);
    unsigned written = 0;
    options.metrics = NULL;
    options.templates = arena_printf(f->arena, "%s/own", f->folder);
    assert_status(identity_mail_templates_write(options.templates, f->arena, &f->problem, &written),
                  STATUS_OK);
    assert_int_equal(written, 2 * IDENTITY_MAIL_KINDS);
    assert_status(open_as(f, &options, &mail), STATUS_OK);
    clock_fake_set(1794067571 * CLOCK_SECOND, clock_mono_us());
    for (unsigned k = 0; k < IDENTITY_MAIL_KINDS; k++) {
        const struct identity_mail_letter letter = letter_of((enum identity_mail_kind)k);
        struct identity__mime_view ours = view_of(f, f->mail, &letter);
        struct identity__mime_view own = view_of(f, mail, &letter);
        assert_slice(own.subject, ours.subject);
        assert_slice(own.text, ours.text);
        assert_slice(own.html, ours.html);
    }
    clock_fake_set(0, 0);
    /* What somebody has changed is not written over. */
    write_file(f, "own/test.txt", "Subject: mine\n\nx\n");
    assert_status(identity_mail_templates_write(options.templates, f->arena, &f->problem, &written),
                  STATUS_OK);
    assert_int_equal(written, 0);
}

/* -- options
 * --------------------------------------------------------------------------------------------------
 */

static void test_server_urls(void **state)
{
    static const struct {
        const char *in, *url, *user, *password; /* url NULL: refused */
        bool tls, starttls;
    } cases[] = {
        { "smtp://mail.example.org", "smtp://mail.example.org:25/me.example", NULL, NULL, false,
          true },
        { "smtp://u:p@mail.example.org", "smtp://mail.example.org:587/me.example", "u", "p", false,
          true },
        { "smtps://u:p%40%3A@mail.example.org", "smtps://mail.example.org:465/me.example", "u",
          "p@:", true, false },
        { "smtp://u@mail.example.org:2525/host.example.org",
          "smtp://mail.example.org:2525/host.example.org", "u", "", false, true },
        { "smtp://localhost", "smtp://localhost:25/me.example", NULL, NULL, false, false },
        { "smtp://127.0.0.1:1025", "smtp://127.0.0.1:1025/me.example", NULL, NULL, false, false },
        { "smtp://[::1]:1025", "smtp://[::1]:1025/me.example", NULL, NULL, false, false },
        { "smtp://127.evil.example", "smtp://127.evil.example:25/me.example", NULL, NULL, false,
          true },
        { "smtp://localhost?starttls=required", "smtp://localhost:25/me.example", NULL, NULL, false,
          true },
        { "smtp://mail.example.org?starttls=off", "smtp://mail.example.org:25/me.example", NULL,
          NULL, false, false },
        { "smtp://mail.example.org?starttls=maybe", NULL, NULL, NULL, false, false },
        { "smtps://mail.example.org?starttls=off", NULL, NULL, NULL, false, false },
        { "http://mail.example.org", NULL, NULL, NULL, false, false },
        { "mail.example.org", NULL, NULL, NULL, false, false },
        { "smtp://", NULL, NULL, NULL, false, false },
        { "smtp://u:p%0d%0aX@mail.example.org", NULL, NULL, NULL, false, false },
        { "smtp://mail.example.org/a%0d%0ab", NULL, NULL, NULL, false, false },
        { "smtp://mail.example.org:99999", NULL, NULL, NULL, false, false },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct identity__mail_server server = { .user = NULL };
        const char *reason = NULL;
        enum status st = identity__mail_server_read(f->arena, slice_cstr(cases[i].in),
                                                    SLICE("me.example"), &server, &reason);
        if ((st == STATUS_OK) != (cases[i].url != NULL))
            fail_msg("%s: %s", cases[i].in, status_name(st));
        if (st != STATUS_OK) {
            assert_non_null(reason);
            continue;
        }
        assert_slice(server.url, slice_cstr(cases[i].url));
        assert_int_equal(server.tls_from_start, cases[i].tls);
        assert_int_equal(server.wants_starttls, cases[i].starttls);
        assert_int_equal(server.user != NULL, cases[i].user != NULL);
        if (cases[i].user) {
            assert_string_equal(server.user, cases[i].user);
            assert_string_equal(server.password, cases[i].password);
        }
    }
}

static void test_options_that_are_wrong(void **state)
{
    struct fixture *f = *state;
    struct identity_mail *mail = NULL;
    struct identity_mail_options options = options_of(f);
    options.from = SLICE("nobody");
    assert_status(open_as(f, &options, &mail), STATUS_INVALID);
    assert_slice(f->problem.detail, SLICE("mail.from has no @."));
    options = options_of(f);
    options.reply_to = SLICE("a b@example.org");
    assert_status(open_as(f, &options, &mail), STATUS_INVALID);
    options = options_of(f);
    options.smtp_url = SLICE("http://example.org");
    assert_status(open_as(f, &options, &mail), STATUS_INVALID);
    assert_null(mail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_kind_says_all_in_both_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_html_loads_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_known_leaves_no_hole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_say_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_to_send_with, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_templates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_templates_that_are_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(test_templates_written_are_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_urls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options_that_are_wrong, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
