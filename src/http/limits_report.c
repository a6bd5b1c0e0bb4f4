/*
 * http/limits_report.c - The limits in force and who runs into them, for administrators.
 */
#include "http/rate.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"

static struct slice by_text(unsigned by, char out[48])
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        { HTTP_RATE_BY_IP, "ip" },         { HTTP_RATE_BY_USER, "user" },
        { HTTP_RATE_BY_KEY, "key" },       { HTTP_RATE_BY_ROUTE, "route" },
        { HTTP_RATE_BY_TENANT, "tenant" },
    };
    struct buf b = { .data = out, .cap = 48, .max = 48 };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!(by & names[i].bit))
            continue;
        if (b.len)
            buf_putc(&b, '+');
        buf_put_cstr(&b, names[i].name);
    }
    return b.len ? buf_slice(&b) : SLICE("all");
}

static void put_list(struct json_out *o, const char *key, const struct http__rate_list *list)
{
    json_out_key(o, slice_cstr(key));
    json_out_array(o);
    for (unsigned i = 0; i < list->len; i++) {
        const struct http_rate_rule *rule = &list->rates[i].rule;
        char by[48];
        json_out_object(o);
        json_out_key(o, SLICE("name"));
        json_out_string(o, rule->name);
        json_out_ki(o, "count", rule->count);
        json_out_key(o, SLICE("period_seconds"));
        json_out_double(o, (double)rule->period_us / 1e6);
        json_out_key(o, SLICE("by"));
        json_out_string(o, by_text(rule->by, by));
        json_out_ki(o, "burst", rule->burst);
        json_out_ki(o, "cost", rule->cost);
        json_out_key(o, SLICE("report_only"));
        json_out_bool(o, rule->report);
        json_out_end(o);
    }
    json_out_end(o);
}

static void put_policies(struct json_out *o, const struct http_settings *s)
{
    static const char *const modes[] = {
        [HTTP_RATE_ENFORCE] = "enforce", [HTTP_RATE_REPORT] = "report", [HTTP_RATE_OFF] = "off"
    };
    json_out_key(o, SLICE("policies"));
    json_out_array(o);
    for (unsigned i = 0; i < s->policies_len; i++) {
        const struct http__rate_policy *policy = &s->rate->policies[i];
        struct slice match = s->policies[i].match;
        json_out_object(o);
        json_out_key(o, SLICE("match"));
        json_out_string(o, match.len ? match : SLICE("/"));
        json_out_kv(o, "mode", modes[policy->mode]);
        json_out_ki(o, "cost", policy->cost);
        put_list(o, "requests", &policy->requests);
        put_list(o, "writes", &policy->writes);
        put_list(o, "credentials", &policy->auth);
        json_out_end(o);
    }
    json_out_end(o);
}

static void put_exempt(struct json_out *o, const struct http__rate_set *limits)
{
    json_out_key(o, SLICE("exempt_roles"));
    json_out_array(o);
    for (unsigned i = 0; i < limits->exempt_roles_len; i++)
        json_out_string(o, limits->exempt_roles[i]);
    json_out_end(o);
    json_out_ki(o, "exempt_addresses", limits->exempt ? limits->exempt->len : 0);
}

static void put_table(struct json_out *o, const struct http__rate_limits *limits)
{
    struct shared_counts_stats stats;
    shared_counts_stats_read(limits->counts, &stats);
    json_out_key(o, SLICE("table"));
    json_out_object(o);
    json_out_ki(o, "keys_max", (int64_t)stats.entries_max);
    json_out_ki(o, "decisions", (int64_t)stats.takes);
    json_out_ki(o, "evicted_expired", (int64_t)stats.evicted_expired);
    json_out_ki(o, "evicted_active", (int64_t)stats.evicted_active);
    json_out_end(o);
}

static void put_offenders(struct json_out *o, struct http__rate_limits *limits)
{
    struct http__offender *all =
        arena_array_of(o->buf->arena, struct http__offender, HTTP__OFFENDERS_MAX);
    unsigned len = all ? http__offenders_read(&limits->offenders, all) : 0;
    json_out_key(o, SLICE("offenders"));
    json_out_array(o);
    for (unsigned i = 0; i < len; i++) {
        json_out_object(o);
        json_out_key(o, SLICE("who"));
        json_out_string(o, slice_of(all[i].who, all[i].who_len));
        json_out_key(o, SLICE("policy"));
        json_out_string(o, slice_of(all[i].policy, all[i].policy_len));
        json_out_ki(o, "refused", (int64_t)all[i].refused);
        json_out_ki(o, "unsure", (int64_t)all[i].unsure);
        json_out_key(o, SLICE("first"));
        json_out_time(o, all[i].first_us);
        json_out_key(o, SLICE("last"));
        json_out_time(o, all[i].last_us);
        json_out_end(o);
    }
    json_out_end(o);
}

static void put_overload(struct json_out *o, struct http_app *app)
{
    struct http_overload_stats stats;
    http_overload_read(app, &stats);
    json_out_key(o, SLICE("overload"));
    json_out_object(o);
    json_out_key(o, SLICE("shedding"));
    json_out_bool(o, app->overload != NULL);
    json_out_key(o, SLICE("level"));
    json_out_double(o, stats.level);
    json_out_key(o, SLICE("delay_seconds"));
    json_out_double(o, (double)stats.delay_us / 1e6);
    json_out_ki(o, "in_flight", stats.in_flight);
    json_out_ki(o, "in_flight_limit", stats.in_flight_limit);
    json_out_ki(o, "shed", (int64_t)stats.shed);
    json_out_end(o);
}

void http_limits_write(const struct http_request *req, struct buf *out)
{
    struct http_app *app = req->app;
    struct json_out o = json_out(out);
    json_out_object(&o);
    json_out_key(&o, SLICE("rate_limits"));
    json_out_bool(&o, app->rate != NULL);
    if (app->rate) {
        put_policies(&o, req->settings);
        put_exempt(&o, req->settings->rate);
        put_table(&o, app->rate);
        put_offenders(&o, app->rate);
    }
    put_overload(&o, app);
    json_out_end(&o);
}
