/*
 * purlin VERB: finds the verb and runs it.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/macros.h"
#include "cmd/cmd.h"

static const struct cmd_verb *const verbs[] = {
    &cmd_serve,  &cmd_check,  &cmd_migrate, &cmd_import, &cmd_export, &cmd_seed,  &cmd_openapi,
    &cmd_routes, &cmd_backup, &cmd_restore, &cmd_config, &cmd_cert,   &cmd_user,  &cmd_keys,
    &cmd_token,  &cmd_mail,   &cmd_key,     &cmd_audit,  &cmd_client, &cmd_rules,
};

static int print_overview(FILE *out)
{
    (void)fprintf(out,
                  "Purlin %s - the production backend in one program.\n\nUsage: purlin VERB "
                  "[OPTIONS]\n\nVerbs:\n",
                  PURLIN_VERSION);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        (void)fprintf(out, "  %-9s %s\n", verbs[i]->name, verbs[i]->summary);
    (void)fprintf(out,
                  "  %-9s %s\n  %-9s %s\n\n"
                  "purlin VERB --help says more. Exit status: 0 done, 1 the work failed, 2 called "
                  "wrongly or\n"
                  "invalid configuration.\n",
                  "version", "Print the version.", "help", "Print this, or the help of a verb.");
    return CMD_OK;
}

static const struct cmd_verb *find_verb(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (slice_eq(slice_cstr(verbs[i]->name), name))
            return verbs[i];
    return NULL;
}

static int unknown_verb(struct slice name)
{
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    struct slice names[ARRAY_LEN(verbs) + 2] = { SLICE_INIT("version"), SLICE_INIT("help") };
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        names[i + 2] = slice_cstr(verbs[i]->name);
    struct slice hint = diag_suggest(arena, name, names, ARRAY_LEN(names));
    (void)fprintf(stderr, "purlin: unknown verb %.*s. %.*s%sSee: purlin help\n", SLICE_ARG(name),
                  SLICE_ARG(hint), hint.len ? " " : "");
    return CMD_USAGE;
}

/* What the parser of HTTP is built for: meson.build. */
static bool is_processor_too_old(void)
{
#ifdef __x86_64__
    return !__builtin_cpu_supports("sse4.2");
#else
    return false;
#endif
}

int main(int argc, char **argv)
{
    if (is_processor_too_old()) {
        (void)fprintf(stderr,
                      "purlin: this processor has no SSE 4.2 (x86-64-v2), which is needed.\n");
        return CMD_FAILED;
    }
    if (argc < 2) {
        (void)print_overview(stderr);
        return CMD_USAGE;
    }
    struct slice name = slice_cstr(argv[1]);
    if (slice_eq(name, SLICE("--help")) || slice_eq(name, SLICE("-h")))
        return print_overview(stdout);
    if (slice_eq(name, SLICE("version")) || slice_eq(name, SLICE("--version"))) {
        (void)printf("purlin %s\n", PURLIN_VERSION);
        return CMD_OK;
    }
    if (slice_eq(name, SLICE("help"))) {
        if (argc == 2)
            return print_overview(stdout);
        char help[] = "--help";
        char *help_argv[] = { help };
        const struct cmd_verb *verb = find_verb(slice_cstr(argv[2]));
        return verb ? verb->run(verb, 1, help_argv) : unknown_verb(slice_cstr(argv[2]));
    }
    const struct cmd_verb *verb = find_verb(name);
    return verb ? verb->run(verb, argc - 2, argv + 2) : unknown_verb(name);
}
