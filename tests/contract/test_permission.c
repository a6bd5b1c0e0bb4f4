/* Rights in rules: can and @scopes by who asks, what is no permission, and where that is said. */
#include "base/diag.h"
#include "check.h"
#include "contract/expr.h"
#include "contract/permission.h"

static const struct slice editor_patterns[] = { SLICE_INIT("posts:*"), SLICE_INIT("app:publish") };
static const struct rights_role declared[] = {
    { .name = SLICE_INIT("editor"), .patterns = editor_patterns, .patterns_len = 2 },
    { .name = SLICE_INIT("guest") },
};
static const struct rights_permission own[] = { { SLICE_INIT("app:publish"), SLICE_INIT("") } };
static const struct rights rights = {
    .roles = declared, .roles_len = 2, .permissions = own, .permissions_len = 1
};

static const struct slice editor[] = { SLICE_INIT("editor") }, admin[] = { SLICE_INIT("admin") },
                          guest_editor[] = { SLICE_INIT("guest"), SLICE_INIT("editor") },
                          reading[] = { SLICE_INIT("posts:read") },
                          naming[] = { SLICE_INIT("posts:read"), SLICE_INIT("openid") },
                          deleting[] = { SLICE_INIT("*:delete") };

static const struct task_caller as_editor = { .has_user = true,
                                              .rights = &rights,
                                              .roles = editor,
                                              .roles_len = 1 },
                                as_admin = { .roles = admin, .roles_len = 1 },
                                as_reader = { .has_user = true,
                                              .rights = &rights,
                                              .roles = editor,
                                              .roles_len = 1,
                                              .is_scoped = true,
                                              .scopes = reading,
                                              .scopes_len = 1 },
                                /* The role is lent by its permissions, and is not shown. */
    as_program = { .has_user = true,
                   .rights = &rights,
                   .roles = guest_editor,
                   .roles_len = 1,
                   .lent_len = 1,
                   .is_scoped = true,
                   .scopes = naming,
                   .scopes_len = 2 },
                                as_client = { .rights = &rights,
                                              .is_scoped = true,
                                              .scopes_give = true,
                                              .scopes = deleting,
                                              .scopes_len = 1 },
                                as_nothing = { .has_user = true,
                                               .rights = &rights,
                                               .roles = editor,
                                               .roles_len = 1,
                                               .is_scoped = true };

static struct expr *compile(struct arena *arena, const char *text, enum status want)
{
    struct expr *expr = NULL;
    struct expr_error error;
    enum status st = expr_compile(NULL, NULL, slice_cstr(text), EXPR_RULE, arena, &expr, &error);
    if (st != want)
        fail_msg("%s: %s %s", text, error.reason, error.hint);
    return expr;
}

static void test_rules_ask_for_permissions(void **state)
{
    static const struct {
        const char *text;
        const struct task_caller *caller;
        bool want;
    } cases[] = {
        { "can('posts:delete')", &as_editor, true },
        { "can('app:publish')", &as_editor, true },
        { "can('comments:delete')", &as_editor, false },
        { "can('comments:delete')", &as_admin, true },
        { "can('posts:delete')", NULL, false },
        { "!can('posts:delete')", NULL, true },
        { "can('posts:read')", &as_reader, true },
        { "can('posts:delete')", &as_reader, false },
        { "can('posts:read')", &as_program, true },
        { "can('posts:delete')", &as_program, false },
        { "'editor' in @roles", &as_program, false },
        { "'guest' in @roles", &as_program, true },
        { "can('posts:delete')", &as_client, true },
        { "can('posts:read')", &as_client, false },
        { "can('posts:read')", &as_nothing, false },
        /* As they were given, no patterns. */
        { "'posts:*' in @scopes", &as_editor, true },
        { "'posts:read' in @scopes", &as_editor, false },
        { "@scopes.contains('app:publish')", &as_editor, true },
        { "'*' in @scopes", &as_admin, true },
        { "'posts:*' in @scopes", &as_reader, false },
        { "'posts:read' in @scopes", &as_reader, true },
        { "'openid' in @scopes", &as_program, true },
        { "'posts:read' in @scopes", NULL, false },
        { "size(@scopes) == 2", &as_editor, true },
        { "size(@scopes) == 2", &as_program, true },
        { "size(@scopes) == 0", &as_nothing, true },
        { "size(@scopes) == 0", NULL, true },
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct expr_context context = { .caller = cases[i].caller };
        enum expr_answer got = expr_decide(compile(arena, cases[i].text, STATUS_OK), &context);
        if (got != (cases[i].want ? EXPR_YES : EXPR_NO))
            fail_msg("case %zu: %s is %d", i, cases[i].text, got);
    }
    arena_free(arena);
}

static void test_rules_ask_by_name_only(void **state)
{
    static const char *const refused[] = {
        "can()",          "can('posts')",        "can('posts:*')",    "can('*')",
        "can(1)",         "can(@user)",          "can('a:b', 'c:d')", "'a:b'.can()",
        "1 in @scopes",   "@now in @scopes",     "@scopes",           "can('posts:re') == 1",
        "@scope == null", "lowerAscii(@scopes)",
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        (void)compile(arena, refused[i], STATUS_INVALID);
    arena_free(arena);
}

/* The printed text compiles to the same again. */
static void test_rights_are_printed(void **state)
{
    static const char text[] = "can(\"posts:delete\") && \"posts:*\" in @scopes";
    struct arena *arena = arena_new(NULL, 0);
    struct buf out;
    (void)state;
    buf_init(&out, arena, 64, 4096);
    expr_print(compile(arena, text, STATUS_OK), &out);
    check_text("printed", buf_slice(&out), SLICE(text));
    arena_free(arena);
}

static const char posts[] = "resource: posts\n"
                            "fields: { title: { type: string } }\n"
                            "rules:\n"
                            "  read: '%s'\n"
                            "  update: true\n";

static struct slice check(struct arena *arena, const char *rule, const struct rights *of,
                          const char *scopes)
{
    struct diag diag;
    struct buf out;
    struct slice text = arena_printf(arena, posts, rule);
    struct contract_set *set = set_of(arena, arena_cstr(arena, text));
    diag_init(&diag, arena);
    buf_init(&out, arena, 256, 4096);
    contract_permissions_check(set, of, slice_cstr(scopes), &diag);
    diag_print(&diag, &out);
    contract_set_free(set);
    return buf_slice(&out);
}

static void test_wrong_names_are_found(void **state)
{
    static const struct {
        const char *rule, *want;
    } cases[] = {
        { "can(\"posts:delete\") && can(\"app:publish\") && can(\"purlin:audit\")", "" },
        { "title == \"x\" || can(\"post:delete\")",
          "test.yaml:4:30: rules.read: there is no permission `post:delete`. "
          "Did you mean `posts:delete`?\n" },
        { "can(\"posts:publish\")",
          "test.yaml:4:14: rules.read: there is no permission `posts:publish`. A resource has "
          "read, create, update and delete; others are declared under `permissions`.\n" },
        { "\"editor\" in @roles || \"admin\" in @roles", "" },
        { "\"editr\" in @roles",
          "test.yaml:4:10: rules.read: there is no role `editr`. Did you mean `editor`?\n" },
        { "@roles.contains(\"nobody\")",
          "test.yaml:4:26: rules.read: there is no role `nobody`\n" },
        { "\"notes.read\" in @scopes && \"openid\" in @scopes && \"posts:*\" in @scopes", "" },
        { "\"notes.reed\" in @scopes",
          "test.yaml:4:10: rules.read: there is no scope or permission `notes.reed`\n" },
    };
    struct arena *arena = arena_new(NULL, 0);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_text(cases[i].rule, check(arena, cases[i].rule, &rights, "other notes.read"),
                   slice_cstr(cases[i].want));
    /* Where no roles are declared, any may be asked for. */
    check_text("undeclared", check(arena, "\"editr\" in @roles", NULL, ""), SLICE(""));
    check_text("undeclared",
               check(arena, "\"editr\" in @roles", &(struct rights){ .roles_len = 0 }, ""),
               SLICE(""));
    arena_free(arena);
}

static void test_which_permissions_there_are(void **state)
{
    static const struct {
        const char *pattern;
        bool want;
    } cases[] = {
        { "posts:read", true },
        { "posts:*", true },
        { "*:delete", true },
        { "*", true },
        { "*:*", true },
        { "app:publish", true },
        { "app:*", true },
        { "purlin:mail", true },
        { "purlin:*", true },
        { "*:publish", true },
        { "posts:publish", false },
        { "post:read", false },
        { "*:write", false },
        { "app:read", false },
        { "purlin:read", false },
        { "posts", false },
        { "", false },
    };
    struct arena *arena = arena_new(NULL, 0);
    struct contract_set *set = set_of(arena, "resource: posts\nfields: { a: { type: string } }\n");
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (contract_permission_exists(set, &rights, slice_cstr(cases[i].pattern)) != cases[i].want)
            fail_msg("%s", cases[i].pattern);
    assert_false(contract_permission_exists(set, NULL, SLICE("app:publish")));
    contract_set_free(set);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_ask_for_permissions),
        cmocka_unit_test(test_rules_ask_by_name_only),
        cmocka_unit_test(test_rights_are_printed),
        cmocka_unit_test(test_wrong_names_are_found),
        cmocka_unit_test(test_which_permissions_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
