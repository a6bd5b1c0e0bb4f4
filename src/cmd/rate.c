#include "cmd/rate.h"

#include "base/address.h"
#include "base/arena.h"
#include "base/macros.h"

static const struct {
    const char *key;
    struct slice name; /* of its first rule */
    size_t offset;     /* in struct config */
} lists[RATE_LISTS] = {
    [RATE_REQUESTS] = { "rate.requests", SLICE_INIT("default"),
                        offsetof(struct config, rate_requests) },
    [RATE_WRITES] = { "rate.writes", SLICE_INIT("writes"), offsetof(struct config, rate_writes) },
    [RATE_CREDENTIALS] = { "rate.credentials", SLICE_INIT("credentials"),
                           offsetof(struct config, rate_credentials) },
};

const char *rate_list_key(enum rate_list list)
{
    return lists[list].key;
}

static struct slice text_of(const struct config *config, enum rate_list list)
{
    return *(const struct slice *)(const void *)((const char *)config + lists[list].offset);
}

/* Rules are the same when list, path and text are. */
static uint64_t id_of(enum rate_list list, struct slice match, const struct http_rate_rule *rule,
                      struct slice text)
{
    return hash64(text, hash64(rule->name, hash64(match, (uint64_t)list + 1)));
}

static const char *add_rule(struct arena *arena, enum rate_list list, struct slice match,
                            struct slice text, struct http_rate_rule *rules, unsigned *len)
{
    struct http_rate_rule rule;
    const char *reason = NULL;
    if (*len == HTTP_RATE_RULES_MAX)
        return "is one rule too many: a list has at most five";
    if (http_rate_parse(text, &rule, &reason) != STATUS_OK)
        return reason;
    if (!rule.name.len && *len == 0)
        rule.name = lists[list].name;
    else if (!rule.name.len)
        rule.name = arena_printf(arena, "%.*s-%u", SLICE_ARG(lists[list].name), *len + 1);
    for (unsigned i = 0; i < *len; i++) {
        if (slice_eq(rules[i].name, rule.name))
            return "has the name of another";
    }
    rule.id = id_of(list, match, &rule, text);
    rules[(*len)++] = rule;
    return NULL;
}

enum status rate_rules_read(const struct config *config, enum rate_list list, struct slice match,
                            struct arena *arena, struct http_rate_rule **ret_rules,
                            unsigned *ret_len, struct slice *ret_complaint)
{
    struct slice rest = text_of(config, list), text;
    struct http_rate_rule *rules =
        arena_array_of(arena, struct http_rate_rule, HTTP_RATE_RULES_MAX);
    unsigned len = 0;
    if (!rules)
        return STATUS_EXHAUSTED;
    while (text_of(config, list).len && slice_split(&rest, ',', &text)) {
        text = slice_trim(text);
        const char *reason = add_rule(arena, list, match, text, rules, &len);
        if (reason) {
            *ret_complaint = arena_printf(arena, "`%.*s` %s", SLICE_ARG(text), reason);
            return STATUS_INVALID;
        }
    }
    *ret_rules = rules;
    *ret_len = len;
    return STATUS_OK;
}

static void check_lists(const struct config *config, const struct config_route *route,
                        struct arena *arena, struct diag *diag)
{
    for (unsigned i = 0; i < RATE_LISTS; i++) {
        struct slice complaint = SLICE_NULL;
        struct http_rate_rule *rules;
        unsigned len;
        if (rate_rules_read(config, (enum rate_list)i, SLICE_NULL, arena, &rules, &len,
                            &complaint) != STATUS_OK)
            diag_add(diag, route ? route->file : SLICE("configuration"), route ? route->line : 0, 0,
                     slice_cstr(lists[i].key), SLICE_NULL, "%.*s", SLICE_ARG(complaint));
    }
}

void rate_config_check(const struct config *config, struct arena *arena, struct diag *diag)
{
    check_lists(config, NULL, arena, diag);
    for (unsigned i = 0; i < config->routes_len; i++)
        check_lists(config->routes[i].config, &config->routes[i], arena, diag);
    struct slice rest = config->rate_exempt_addresses, part;
    struct address_set *set = arena_new_of(arena, struct address_set);
    while (set && config->rate_exempt_addresses.len && slice_split(&rest, ',', &part)) {
        const char *reason;
        part = slice_trim(part);
        if (!address_set_add(set, part, &reason))
            diag_add(diag, SLICE("configuration"), 0, 0, SLICE("rate.exempt_addresses"), SLICE_NULL,
                     "`%.*s` %s", SLICE_ARG(part), reason);
    }
}

enum status rate_policy_read(const struct config *config, const struct config *everywhere,
                             struct slice match, struct arena *arena, struct http_rate_policy *ret)
{
    struct http_rate_rule *rules[RATE_LISTS];
    unsigned lens[RATE_LISTS];
    struct slice complaint; /* the configuration was checked */
    for (unsigned i = 0; i < RATE_LISTS; i++) {
        /* What reads as it does everywhere is counted together with everywhere. */
        bool is_own =
            !slice_eq(text_of(config, (enum rate_list)i), text_of(everywhere, (enum rate_list)i));
        enum status st = rate_rules_read(config, (enum rate_list)i, is_own ? match : SLICE_NULL,
                                         arena, &rules[i], &lens[i], &complaint);
        if (st != STATUS_OK)
            return st;
    }
    bool is_report = slice_eq(config->rate_mode, SLICE("report"));
    bool is_off = slice_eq(config->rate_mode, SLICE("off"));
    *ret = (struct http_rate_policy){
        .requests = rules[RATE_REQUESTS],
        .requests_len = lens[RATE_REQUESTS],
        .writes = rules[RATE_WRITES],
        .writes_len = lens[RATE_WRITES],
        .auth = rules[RATE_CREDENTIALS],
        .auth_len = lens[RATE_CREDENTIALS],
        .cost = (uint32_t)config->rate_cost,
        .mode = is_off      ? HTTP_RATE_OFF
                : is_report ? HTTP_RATE_REPORT
                            : HTTP_RATE_ENFORCE,
    };
    return STATUS_OK;
}

static enum status read_exempt(struct slice list, struct arena *arena,
                               const struct address_set **ret_set)
{
    struct slice rest = list, part;
    const char *reason;
    struct address_set *set = arena_new_of(arena, struct address_set);
    if (!set)
        return STATUS_EXHAUSTED;
    while (list.len && slice_split(&rest, ',', &part)) {
        if (!address_set_add(set, slice_trim(part), &reason))
            return STATUS_INVALID;
    }
    *ret_set = set;
    return STATUS_OK;
}

/* Header names are lower case once parsed. */
static enum status read_header_name(struct slice name, struct arena *arena, struct slice *ret)
{
    enum status st = arena_copy(arena, name, ret);
    for (size_t i = 0; st == STATUS_OK && i < name.len; i++) {
        char *c = (char *)(uintptr_t)ret->data + i;
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    }
    return st;
}

enum status rate_options_read(const struct config *config, struct arena *arena,
                              struct http_rate_options *ret)
{
    bool both = slice_eq(config->rate_headers, SLICE("both"));
    bool off = slice_eq(config->rate_headers, SLICE("off"));
    struct http_rate_options options = {
        .headers = off    ? HTTP_RATE_HEADERS_OFF
                   : both ? HTTP_RATE_HEADERS_BOTH
                          : HTTP_RATE_HEADERS_STANDARD,
        .exempt_roles = config->rate_exempt_roles,
    };
    enum status st = read_header_name(config->rate_tenant_header, arena, &options.tenant_header);
    if (st == STATUS_OK && config->rate_exempt_addresses.len)
        st = read_exempt(config->rate_exempt_addresses, arena, &options.exempt);
    if (st == STATUS_OK)
        *ret = options;
    return st;
}
