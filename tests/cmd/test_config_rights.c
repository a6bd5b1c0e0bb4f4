/* The maps `roles` and `permissions` of purlin.yaml: what roles come to, what is refused, limits.
 */
#include <fcntl.h>
#include <unistd.h>

#include "check.h"
#include "cmd/config.h"
#include "cmd/config_rights.h"
#include "identity/clients.h"

struct fixture {
    struct arena *arena;
    struct diag diag;
    struct config config;
    char file[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_new(NULL, 0);
    (void)snprintf(f->file, sizeof(f->file), "/tmp/purlin-rights-XXXXXX");
    int fd = mkstemp(f->file);
    assert_true(fd >= 0);
    (void)close(fd);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    (void)unlink(f->file);
    arena_free(f->arena);
    free(f);
    return 0;
}

/* The complaints, without the file's name. */
static struct slice load(struct fixture *f, struct slice yaml)
{
    FILE *file = fopen(f->file, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(yaml.data, 1, yaml.len, file), yaml.len);
    assert_int_equal(fclose(file), 0);
    char *nothing[] = { NULL };
    struct config_source source = { .file = slice_cstr(f->file), .environ = nothing };
    diag_init(&f->diag, f->arena);
    f->config = (struct config){ .port = 0 };
    (void)config_load(&source, f->arena, &f->diag, &f->config);
    struct slice rest = complaints_of(f->arena, &f->diag), line;
    struct buf out;
    buf_init(&out, f->arena, 256, (size_t)1 << 20);
    while (rest.len && slice_split(&rest, '\n', &line)) {
        if (!line.len)
            continue;
        buf_put_slice(&out, slice_starts(line, slice_cstr(f->file))
                                ? slice_from(line, strlen(f->file) + 1)
                                : line);
        buf_putc(&out, '\n');
    }
    return buf_slice(&out);
}

static void check_role(struct fixture *f, const char *name, const char *want)
{
    const struct rights_role *role = rights_role_find(&f->config.rights, slice_cstr(name));
    struct buf out;
    buf_init(&out, f->arena, 256, 4096);
    assert_non_null(role);
    for (unsigned i = 0; i < role->patterns_len; i++)
        buf_printf(&out, "%s%.*s", i ? " " : "", SLICE_ARG(role->patterns[i]));
    check_text(name, buf_slice(&out), slice_cstr(want));
}

static void test_roles_include_others(void **state)
{
    struct fixture *f = *state;
    check_text("complaints",
               load(f, SLICE("permissions:\n"
                             "  reports:publish: Publish a report\n"
                             "roles:\n"
                             "  member: Anybody\n"
                             "  writer: { permissions: posts:create, includes: member }\n"
                             "  chief: { description: Decides, includes: [moderator, writer] }\n"
                             "  moderator:\n"
                             "    permissions: [\"posts:*\", reports:publish, posts:create]\n"
                             "    includes: [writer]\n"
                             "  admin: { description: All of it }\n")),
               SLICE(""));
    assert_int_equal(f->config.rights.roles_len, 5);
    assert_int_equal(f->config.rights.permissions_len, 1);
    check_text("text", f->config.rights.permissions[0].text, SLICE("Publish a report"));
    check_text("text", rights_role_find(&f->config.rights, SLICE("member"))->text,
               SLICE("Anybody"));
    check_role(f, "member", "");
    check_role(f, "writer", "posts:create");
    check_role(f, "moderator", "posts:* reports:publish posts:create");
    check_role(f, "chief", "posts:* reports:publish posts:create");
    assert_int_equal(f->config.named_len, 4);
    check_text("key", f->config.named[0].key, SLICE("roles.writer.permissions"));
    check_int("line", f->config.named[0].line, 5);
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *yaml, *want;
    } cases[] = {
        { "roles: [a]\n", "1:8: roles: must have names of roles with what they may\n" },
        { "roles: { Boss: {} }\n",
          "1:10: roles: a name begins with a lower-case letter and has at most 64 lower-case "
          "letters, digits and - _ . :\n" },
        { "roles: { boss: [a] }\n",
          "1:16: roles.boss: a role has `description`, `permissions` and `includes`\n" },
        { "roles: { boss: { permision: [] } }\n",
          "1:18: roles.boss: a role has `description`, `permissions` and `includes`. Did you mean "
          "`permissions`?\n" },
        { "roles: { boss: { permissions: [posts] } }\n",
          "1:32: roles.boss.permissions: is no permission. Write posts:delete, posts:*, *:read or "
          "*.\n" },
        { "roles: { boss: { permissions: [[posts:read]] } }\n",
          "1:32: roles.boss.permissions: is no permission. Write posts:delete, posts:*, *:read or "
          "*.\n" },
        { "roles: { boss: { permissions: { a: b } } }\n",
          "1:31: roles.boss.permissions: must be a list of permissions\n" },
        { "roles: { writer: {}, boss: { includes: [writr] } }\n",
          "1:41: roles.boss.includes: is no role of this file. Did you mean `writer`?\n" },
        { "roles: { boss: { includes: [boss] } }\n",
          "1:29: roles.boss.includes: leads back to the role itself\n" },
        { "roles: { a: { includes: [b] }, b: { includes: [c] }, c: { includes: [a] } }\n",
          "1:70: roles.c.includes: leads back to the role itself\n" },
        { "roles: { admin: { permissions: [posts:read] } }\n",
          "1:10: roles.admin.permissions: the role admin has every permission: leave them out, or "
          "make another role\n" },
        { "permissions: [a:b]\n",
          "1:14: permissions: must have names with what each lets somebody do\n" },
        { "permissions: { \"a:*\": x }\n",
          "1:16: permissions: a name is an area and a verb: reports:publish\n" },
        { "permissions: { purlin:audit: x }\n",
          "1:16: permissions: names of the area purlin are the program's own\n" },
        { "permissions: { a:b: [x] }\n",
          "1:16: permissions: is described by a sentence of at most 200 bytes\n" },
        { "oauth: { scopes: { notes.read: Read } }\n",
          "1:20: oauth.scopes: names no permissions, so nothing could be done with it: say "
          "`permissions: [posts:read]`, or [\"*\"] for all that the person may\n" },
        { "oauth: { scopes: { a: { roles: [editor] } } }\nroles: { editr: {} }\n",
          "1:33: oauth.scopes: the role editor is not declared: say under `roles` what it may. Did "
          "you mean `editr`?\n" },
        { "oauth: { scopes: { a: { permissions: [posts] } } }\n",
          "1:39: oauth.scopes: is no permission. Write posts:delete, posts:*, *:read or *.\n" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_text(cases[i].yaml, load(f, slice_cstr(cases[i].yaml)), slice_cstr(cases[i].want));
}

static void test_scopes_say_what_they_let_do(void **state)
{
    struct fixture *f = *state;
    check_text("complaints",
               load(f, SLICE("roles: { editor: { permissions: [posts:delete, posts:read] } }\n"
                             "oauth:\n"
                             "  scopes:\n"
                             "    posts:read: Read what is written\n"
                             "    edit: { roles: [editor], permissions: [\"comments:*\"] }\n"
                             "    all: { description: Everything, roles: admin }\n")),
               SLICE(""));
    const struct identity_scope *scopes = f->config.oauth_scopes;
    assert_int_equal(f->config.oauth_scopes_len, 3);
    check_text("itself", scopes[0].permissions, SLICE("posts:read"));
    check_text("roles", scopes[1].roles, SLICE("editor"));
    assert_true(slice_eq(scopes[1].permissions, SLICE("posts:delete posts:read comments:*")));
    check_text("all", scopes[2].permissions, SLICE("*"));
}

/* `count` roles, each of which includes the one before. */
static struct slice chain(struct fixture *f, unsigned count)
{
    struct buf out;
    buf_init(&out, f->arena, 4096, 65536);
    buf_put_lit(&out, "roles:\n");
    for (unsigned i = count; i > 0; i--)
        buf_printf(&out, "  r%u: { includes: [r%u] }\n", i, i - 1);
    buf_put_lit(&out, "  r0: {}\n");
    return buf_slice(&out);
}

static struct slice many(struct fixture *f, unsigned roles, unsigned permissions)
{
    struct buf out;
    buf_init(&out, f->arena, 4096, 1 << 20);
    buf_put_lit(&out, "roles:\n");
    for (unsigned i = 0; i < roles; i++) {
        buf_printf(&out, "  r%u: { permissions: [", i);
        for (unsigned k = 0; k < permissions; k++)
            buf_printf(&out, "%sp%u:x%u", k ? ", " : "", i, k);
        buf_put_lit(&out, "] }\n");
    }
    return buf_slice(&out);
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    struct buf deep;
    check_text("64 roles", load(f, many(f, 64, 1)), SLICE(""));
    assert_true(slice_ends(load(f, many(f, 65, 1)), SLICE("roles: are more than 64\n")));
    check_text("256 permissions", load(f, many(f, 1, 256)), SLICE(""));
    assert_true(
        slice_ends(load(f, many(f, 1, 257)), SLICE("roles.r0.permissions: are more than 256\n")));
    check_text("4096 in all", load(f, many(f, 16, 256)), SLICE(""));
    assert_true(slice_ends(load(f, many(f, 17, 241)),
                           SLICE("is one permission too many: at most 4096 in the file\n")));
    buf_init(&deep, f->arena, 4096, 65536);
    buf_put_slice(&deep, many(f, 2, 129));
    buf_put_lit(&deep, "  both: { includes: [r0, r1] }\n");
    assert_true(slice_ends(load(f, buf_slice(&deep)),
                           SLICE("brings the permissions of the role to more than 256\n")));
    /* The first of the file is laid out first, so the whole chain is seen. */
    struct slice good = chain(f, 7), bad = chain(f, 8);
    check_text("8 deep", load(f, good), SLICE(""));
    assert_true(slice_find_slice(load(f, bad), SLICE("nests more than 8 deep")) != SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_roles_include_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scopes_say_what_they_let_do, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
