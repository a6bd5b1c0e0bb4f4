/* purlin rules list: by resource and action, what each role may whatever the row. */
#include <stdio.h>

#include "base/arena.h"
#include "cmd/rules.h"

#define OUT_BYTES_MAX ((size_t)4 << 20)

static void put_answer(const struct app *app, const struct contract *contract,
                       enum contract_action action, const struct task_caller *caller,
                       struct buf *out)
{
    static const char *const words[] = { [EXPR_NO] = "no", [EXPR_YES] = "yes", [EXPR_ASK] = "row" };
    struct task_caller own = *caller;
    own.rights = &app->config.rights;
    const struct expr_context context = { .caller = &own };
    buf_printf(out, "  %-10s", words[expr_decide(contract->rules[action], &context)]);
}

/* Those that people can have: of a user without roles, of each declared one, of admin. */
static void put_contract(const struct app *app, const struct contract *contract, struct buf *out)
{
    const struct rights *rights = &app->config.rights;
    static const struct slice admin = SLICE_INIT(RIGHTS_ADMIN);
    for (unsigned a = 0; a < CONTRACT_ACTIONS; a++) {
        enum contract_action action = (enum contract_action)a;
        buf_printf(out, "%-32.*s",
                   SLICE_ARG(arena_printf(app->arena, "%.*s:%.*s", SLICE_ARG(contract->name),
                                          SLICE_ARG(contract_action_name(action)))));
        put_answer(app, contract, action, &(struct task_caller){ .has_user = false }, out);
        put_answer(app, contract, action, &(struct task_caller){ .has_user = true }, out);
        for (unsigned i = 0; i < rights->roles_len; i++)
            if (!slice_eq(rights->roles[i].name, admin))
                put_answer(app, contract, action,
                           &(struct task_caller){
                               .has_user = true, .roles = &rights->roles[i].name, .roles_len = 1 },
                           out);
        put_answer(app, contract, action,
                   &(struct task_caller){ .has_user = true, .roles = &admin, .roles_len = 1 }, out);
        buf_putc(out, '\n');
    }
}

int rules_list(struct app *app, struct rules_call *call)
{
    if (call->words_len > 1)
        return cmd_usage_error(call->verb, "one resource at a time");
    int code = app_open_config(app, &call->common);
    if (code == CMD_OK)
        code = app_open_contracts(app);
    if (code != CMD_OK)
        return code;
    struct buf out;
    bool is_found = false;
    buf_init(&out, app->arena, 4096, OUT_BYTES_MAX);
    buf_printf(&out, "%-32s  %-10s  %-10s", "row: it depends on the row", "anonymous", "anybody");
    for (unsigned i = 0; i < app->config.rights.roles_len; i++)
        if (!slice_eq(app->config.rights.roles[i].name, SLICE(RIGHTS_ADMIN)))
            buf_printf(&out, "  %-10.*s", SLICE_ARG(app->config.rights.roles[i].name));
    buf_printf(&out, "  %s\n", RIGHTS_ADMIN);
    for (unsigned i = 0; i < app->set->len; i++) {
        if (call->words_len && !slice_eq(app->set->contracts[i]->name, call->words[0]))
            continue;
        is_found = true;
        put_contract(app, app->set->contracts[i], &out);
    }
    if (!is_found)
        return cmd_usage_error(call->verb, "there is no resource %.*s", SLICE_ARG(call->words[0]));
    return cmd_print_out(buf_slice(&out));
}
