/*
 * tests/identity/test_mail_template.c - Templates: what they say, and what is refused when they are
 * read.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "identity/mail_template.h"
#include "identity/mail_words.h"

#define ALLOWED                                                                                    \
    (IDENTITY__MAIL_BIT(IDENTITY__MAIL_APP) | IDENTITY__MAIL_BIT(IDENTITY__MAIL_NAME) |            \
     IDENTITY__MAIL_BIT(IDENTITY__MAIL_LINK))

static const struct slice values[IDENTITY__MAIL_VALUES] = {
    [IDENTITY__MAIL_APP] = SLICE_INIT("Tom & Co"),
    [IDENTITY__MAIL_LINK] = SLICE_INIT("https://example.org/?a=1&b='\"<>"),
};

static void test_writes(void **state)
{
    static const struct {
        const char *name, *in, *text, *html;
    } cases[] = {
        { "nothing", "", "", "" },
        { "no place", "a { } }} b", "a { } }} b", "a { } }} b" },
        { "a value", "a {{app}} b", "a Tom & Co b", "a Tom &amp; Co b" },
        { "spaces inside", "{{ app }}", "Tom & Co", "Tom &amp; Co" },
        { "all that HTML minds", "{{link}}", "https://example.org/?a=1&b='\"<>",
          "https://example.org/?a=1&amp;b=&#39;&quot;&lt;&gt;" },
        { "its own markup stays", "<b>&amp;</b>", "<b>&amp;</b>", "<b>&amp;</b>" },
        { "there is one", "{{#app}}x{{/app}}", "x", "x" },
        { "there is none", "{{#name}}x{{/name}}y", "y", "y" },
        { "otherwise", "{{^name}}x{{/name}}{{^app}}y{{/app}}", "x", "x" },
        { "inside of another", "{{#app}}a{{#name}}b{{#app}}c{{/app}}{{/name}}d{{/app}}e", "ade",
          "ade" },
        { "a note", "a{{! not seen }}b", "ab", "ab" },
        { "empty section", "{{#name}}{{/name}}{{#app}}{{/app}}", "", "" },
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        bool is_html = i % 2 == 1;
        struct identity__mail_template *template;
        struct diag diag;
        struct buf out;
        diag_init(&diag, arena);
        buf_init(&out, arena, 0, 4096);
        assert_status(identity__mail_template_read(arena, slice_cstr(cases[i / 2].in), is_html,
                                                   ALLOWED, SLICE("t"), 1, &diag, &template),
                      STATUS_OK);
        identity__mail_template_put(template, values, &out);
        struct slice want = slice_cstr(is_html ? cases[i / 2].html : cases[i / 2].text);
        if (!slice_eq(buf_slice(&out), want))
            fail_msg("%s: %.*s", cases[i / 2].name, SLICE_ARG(buf_slice(&out)));
    }
    arena_free(arena);
}

static void test_refuses(void **state)
{
    static const struct {
        const char *in;
        int line, column;
        const char *says;
    } cases[] = {
        { "{{nam}}", 1, 1, "unknown placeholder `nam`" },
        { "a\nbc {{code}}", 2, 4, "this mail has no value `code`" },
        { "{{}}", 1, 1, "unknown placeholder ``" },
        { "{{{app}}}", 1, 1, "unknown placeholder `{app`" },
        { "{{#nam}}{{/nam}}", 1, 1, "unknown placeholder `nam`" },
        { "a {{app", 1, 3, "{{ has no }} on its line" },
        { "a {{\napp}}", 1, 3, "{{ has no }} on its line" },
        { "\n{{#name}}x", 2, 11, "the section {{#name}} is not closed" },
        { "x{{/name}}", 1, 2, "{{/name}} closes no section that is open here" },
        { "{{#name}}{{#app}}{{/name}}{{/app}}", 1, 18,
          "{{/name}} closes no section that is open here" },
        { "\xff", 1, 1, "a template must be UTF-8" },
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct identity__mail_template *template = NULL;
        struct diag diag;
        diag_init(&diag, arena);
        assert_status(identity__mail_template_read(arena, slice_cstr(cases[i].in), false, ALLOWED,
                                                   SLICE("t.txt"), 1, &diag, &template),
                      STATUS_INVALID);
        assert_null(template);
        assert_true(diag.len >= 1);
        assert_slice(diag.items[0].message, slice_cstr(cases[i].says));
        assert_int_equal(diag.items[0].line, cases[i].line);
        assert_int_equal(diag.items[0].column, cases[i].column);
    }
    arena_free(arena);
}

static enum status read_of(struct arena *arena, struct slice source)
{
    struct identity__mail_template *template;
    struct diag diag;
    diag_init(&diag, arena);
    return identity__mail_template_read(arena, source, false, ALLOWED, SLICE("t"), 1, &diag,
                                        &template);
}

/* At each bound, and one past it. */
static void test_bounds(void **state)
{
    struct arena *arena = arena_new(NULL, 0);
    struct buf text;
    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        enum status want = more ? STATUS_INVALID : STATUS_OK;
        buf_init(&text, arena, 0, (size_t)1 << 20);
        for (unsigned i = 0; i < IDENTITY__MAIL_PLACES_MAX + more; i++)
            buf_put_lit(&text, "x{{app}}");
        assert_status(read_of(arena, buf_slice(&text)), want);
        buf_init(&text, arena, 0, (size_t)1 << 20);
        for (size_t i = 0; i < IDENTITY__MAIL_TEMPLATE_MAX + more; i++)
            buf_putc(&text, 'x');
        assert_status(read_of(arena, buf_slice(&text)), want);
        buf_init(&text, arena, 0, (size_t)1 << 20);
        for (unsigned i = 0; i < IDENTITY__MAIL_DEPTH_MAX + more; i++)
            buf_put_lit(&text, "{{#app}}");
        for (unsigned i = 0; i < IDENTITY__MAIL_DEPTH_MAX + more; i++)
            buf_put_lit(&text, "{{/app}}");
        assert_status(read_of(arena, buf_slice(&text)), want);
    }
    arena_free(arena);
}

/* Ours can be read, with the values that their kinds have. */
static void test_our_own(void **state)
{
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (unsigned k = 0; k < 2 * IDENTITY_MAIL_KINDS; k++) {
        enum identity_mail_kind kind = (enum identity_mail_kind)(k / 2);
        struct identity__mail_template *template;
        struct diag diag;
        struct buf source;
        diag_init(&diag, arena);
        buf_init(&source, arena, 0, IDENTITY__MAIL_TEMPLATE_MAX);
        identity__mail_words_put(kind, k % 2 == 1, &source);
        assert_status(identity__mail_template_read(arena, buf_slice(&source), k % 2 == 1,
                                                   identity__mail_values_of(kind), SLICE("t"), 1,
                                                   &diag, &template),
                      STATUS_OK);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
