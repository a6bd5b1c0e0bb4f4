/*
 * purlin rules: who may do what by the contracts, and why.
 */
#include "cmd/rules.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/macros.h"

bool rules_action(struct slice text, enum contract_action *ret)
{
    for (unsigned a = 0; a < CONTRACT_ACTIONS; a++)
        if (slice_eq(text, contract_action_name((enum contract_action)a))) {
            *ret = (enum contract_action)a;
            return true;
        }
    return false;
}

bool rules_split(struct arena *arena, struct slice list, unsigned max, const struct slice **ret,
                 unsigned *ret_len)
{
    struct slice *items = arena_array_of(arena, struct slice, max), part;
    unsigned len = 0;
    while (items && list.len && slice_split(&list, ',', &part)) {
        part = slice_trim(part);
        if (!part.len)
            continue;
        if (len == max)
            return false;
        items[len++] = part;
    }
    *ret = items;
    *ret_len = len;
    return items != NULL;
}

/* -- what was decided
 * ---------------------------------------------------------------------------------- */

static void put_place(const struct contract *contract, enum contract_action action, size_t offset,
                      struct buf *out)
{
    const struct contract_place *at = &contract->rules_at[action];
    struct slice before = slice_head(contract->rules_text[action], offset);
    if (!at->line)
        buf_printf(out, "%.*s (no rule: nobody)", SLICE_ARG(contract->file));
    else
        buf_printf(out, "%.*s:%d:%d", SLICE_ARG(contract->file), at->line,
                   at->column + (at->is_plain ? (int)utf8_count(before) : 0));
}

static void put_rule(const struct resource_question *q, enum contract_action action,
                     const struct resource_rule_answer *rule, const char *what, const char *prefix,
                     struct buf *out)
{
    static const char *const answers[] = {
        [EXPR_NO] = "no ", [EXPR_YES] = "yes", [EXPR_ASK] = "?  "
    };
    if (!rule->steps_len)
        return;
    buf_printf(out, "%s%.*s%s, ", prefix, SLICE_ARG(contract_action_name(action)), what);
    put_place(q->contract, action, 0, out);
    buf_putc(out, '\n');
    if (!rule->is_in_scope)
        buf_printf(out, "%s  no   scopes cover %.*s:%.*s\n", prefix, SLICE_ARG(q->contract->name),
                   SLICE_ARG(contract_action_name(action)));
    for (unsigned i = 0; i < rule->steps_len; i++) {
        const struct expr_step *step = &rule->steps[i];
        buf_printf(out, "%s  %s  %*s%.*s", prefix, answers[step->answer], (int)step->depth * 2, "",
                   SLICE_ARG(step->text));
        if (step->values.len)
            buf_printf(out, "   (%.*s)", SLICE_ARG(step->values));
        buf_putc(out, '\n');
    }
}

static void put_fields(const struct resource_question *q, const char *prefix, struct buf *out)
{
    static const char *const notes[] = { "readonly", "immutable", "writeonly" };
    bool is_read = q->action == CONTRACT_READ;
    for (size_t k = 0; k < ARRAY_LEN(notes); k++) {
        const char *joint = ": ";
        for (unsigned i = 0; i < q->contract->fields_len; i++) {
            const struct contract_field *f = q->contract->fields[i];
            bool is_so = k == 0 ? f->readonly : k == 1 ? f->immutable : f->writeonly;
            bool is_asked =
                k == 2 ? is_read
                       : q->action == CONTRACT_UPDATE || (k == 0 && q->action == CONTRACT_CREATE);
            if (!is_so || !is_asked)
                continue;
            if (joint[0] == ':')
                buf_printf(out, "%s%s fields", prefix, notes[k]);
            buf_printf(out, "%s%.*s", joint, SLICE_ARG(f->name));
            joint = ", ";
        }
        if (joint[0] == ',')
            buf_putc(out, '\n');
    }
}

void rules_put_decision(const struct resource_question *q, const struct resource_decision *d,
                        const char *prefix, struct buf *out)
{
    static const char *const words[] = {
        [EXPR_NO] = "denied", [EXPR_YES] = "allowed", [EXPR_ASK] = "depends on the row"
    };
    buf_printf(out, "%s%s: %s\n", prefix, words[d->allowed], d->reason);
    if (q->action != CONTRACT_READ)
        put_rule(q, CONTRACT_READ, &d->read, "", prefix, out);
    put_rule(q, q->action, &d->action, "", prefix, out);
    put_rule(q, q->action, &d->changed, " as it would become", prefix, out);
    put_fields(q, prefix, out);
}

/* -- the verb
 * ------------------------------------------------------------------------------------------ */

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*fn)(struct app *app, struct rules_call *call);
    } parts[] = { { "explain", rules_explain }, { "test", rules_test }, { "list", rules_list } };
    struct app app = { 0 };
    struct rules_call call = { .verb = verb };
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(call.common),
        { .name = "--as",
          .value = "USER",
          .text = &call.as,
          .help = "explain: who asks, by id or address, with the roles of their account." },
        { .name = "--roles",
          .value = "A,B",
          .text = &call.roles,
          .help = "explain: with these roles (instead of the account's)." },
        { .name = "--key",
          .value = "KEY",
          .text = &call.key,
          .help = "explain: an API key, by its id or how `purlin key list` shows it." },
        { .name = "--scopes",
          .value = "A,B",
          .text = &call.scopes,
          .is_set = &call.has_scopes,
          .help = "explain: held to these scopes." },
        { .name = "--anonymous", .is_set = &call.anonymous, .help = "explain: nobody asks." },
        { .name = "--body",
          .value = "JSON",
          .text = &call.body,
          .help = "explain: the row that would be made, or what would change." },
        { .name = "--json", .is_set = &call.json, .help = "explain: as one JSON object." },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!args.words_len || !slice_eq(args.words[0], slice_cstr(parts[i].name)))
            continue;
        call.words_len = args.words_len - 1;
        for (unsigned k = 1; k < args.words_len; k++)
            call.words[k - 1] = args.words[k];
        code = parts[i].fn(&app, &call);
        app_close(&app);
        return code;
    }
    return cmd_usage_error(verb, "say what to do: explain, test or list");
}

const struct cmd_verb cmd_rules = {
    .name = "rules",
    .summary = "Explain, test and list who may do what.",
    .synopsis = "explain RESOURCE[/ID] VERB (--as USER | --roles A,B | --key KEY | --anonymous)\n"
                "                     [--scopes A,B] [--body JSON] [--json]\n"
                "       purlin rules test [FILE]\n"
                "       purlin rules list [RESOURCE]",
    .details =
        "explain  says whether a caller may read, create, update or delete, and which "
        "conditions decide;\n"
        "         exits 0 when they may, 1 when not or when it depends on the row\n"
        "test     runs the cases of FILE (CONTRACTS/rules.test.yaml) over rows of their own, "
        "as TAP\n"
        "list     who may by role: yes, no, or it depends on the row",
    .run = run,
};
