/*
 * http/rate_limit.c - Rate limits. What a request is charged to follows from its route, method and
 * caller; all of its rules are decided together, and it is charged to all or to none. The tightest
 * is advertised (RateLimit, RateLimit-Policy: draft-ietf-httpapi-ratelimit-headers); a refusal says
 * when to come again, and whoever does so passes.
 *
 * Guessing keys is limited as well: a wrong one is charged to the rules for credentials, and while
 * these are exhausted no key from there is looked at, not even the right one. Otherwise the answer
 * to a right guess would be told from that to a wrong one, limit or not.
 */
#include "http/rate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/problem.h"

#define QUOTA_EXCEEDED "https://iana.org/assignments/http-problem-types#quota-exceeded"
/* Added to what somebody is told to wait, so that rounding anywhere on the way does no harm. */
#define MARGIN_US CLOCK_MS
#define PART_BYTES_MAX 160u

/* -- of an app
 * ------------------------------------------------------------------------------------------- */

static enum status list_init(struct http_settings *s, const struct http_rate_rule *rules,
                             unsigned len, struct http__rate_list *ret)
{
    if (len > HTTP_RATE_RULES_MAX)
        return STATUS_TOO_LARGE;
    ret->rates = arena_array_of(s->arena, struct http_rate, len + 1);
    if (!ret->rates)
        return STATUS_EXHAUSTED;
    for (unsigned i = 0; i < len; i++) {
        enum status st = http__rate_init(s->app, s->arena, &rules[i], &ret->rates[i]);
        if (st != STATUS_OK)
            return st;
    }
    ret->len = len;
    return STATUS_OK;
}

static enum status policies_init(struct http_settings *s)
{
    struct http__rate_set *set = s->rate;
    set->policies = arena_array_of(s->arena, struct http__rate_policy, s->policies_len);
    if (!set->policies)
        return STATUS_EXHAUSTED;
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < s->policies_len && st == STATUS_OK; i++) {
        const struct http_rate_policy *from = &s->policies[i].rate;
        struct http__rate_policy *to = &set->policies[i];
        to->cost = from->cost ? from->cost : 1;
        to->mode = from->mode;
        st = list_init(s, from->requests, from->requests_len, &to->requests);
        if (st == STATUS_OK)
            st = list_init(s, from->writes, from->writes_len, &to->writes);
        if (st == STATUS_OK)
            st = list_init(s, from->auth, from->auth_len, &to->auth);
    }
    return st;
}

static enum status roles_init(struct http_settings *s, struct slice list)
{
    struct http__rate_set *set = s->rate;
    struct slice role, copy;
    enum status st = arena_copy(s->arena, list, &copy);
    while (st == STATUS_OK && list.len && slice_split(&copy, ',', &role)) {
        role = slice_trim(role);
        if (role.len && set->exempt_roles_len == HTTP__EXEMPT_ROLES_MAX)
            st = STATUS_TOO_LARGE;
        else if (role.len)
            set->exempt_roles[set->exempt_roles_len++] = role;
    }
    return st;
}

enum status http__rate_limits_new(struct http_app *app, const struct http_rate_options *options)
{
    if (!options->counts)
        return STATUS_OK;
    struct http__rate_limits *limits = calloc(1, sizeof(*limits));
    if (!limits)
        return STATUS_EXHAUSTED;
    limits->counts = options->counts;
    http__offenders_init(&limits->offenders);
    app->rate = limits;
    if (app->options.metrics)
        limits->decisions =
            metric_declare(app->options.metrics,
                           &(struct metric_desc){ .name = "purlin_ratelimit_decisions",
                                                  .help = "What the rules of rate limits decided.",
                                                  .kind = METRIC_COUNTER,
                                                  .labels = { "policy", "outcome" } });
    return STATUS_OK;
}

enum status http__rate_set_init(struct http_settings *s, const struct http_rate_options *options)
{
    if (!s->app->rate)
        return STATUS_OK;
    s->rate = arena_new_of(s->arena, struct http__rate_set);
    if (!s->rate)
        return STATUS_EXHAUSTED;
    s->rate->headers = options->headers;
    s->rate->exempt = options->exempt;
    enum status st = arena_copy(s->arena, options->tenant_header, &s->rate->tenant_header);
    if (st == STATUS_OK)
        st = roles_init(s, options->exempt_roles);
    return st == STATUS_OK ? policies_init(s) : st;
}

void http__rate_limits_free(struct http__rate_limits *limits)
{
    if (!limits)
        return;
    http__offenders_fini(&limits->offenders);
    free(limits);
}

/* -- whose requests are counted together
 * ----------------------------------------------------------------- */

static bool client_of(struct http_request *req, struct address *ret)
{
    const struct address *client = http_client_address(req);
    if (!client)
        return false; /* a unix socket, whose peers have no address */
    *ret = address_subscriber(client);
    return true;
}

static void put_client(struct http_request *req, struct buf *part)
{
    struct address client;
    if (!client_of(req, &client))
        buf_putc(part, 'u');
    else if (client.is_v4)
        buf_put(part, client.bytes + 12, 4);
    else
        buf_put(part, client.bytes, 8);
}

static struct slice tenant_of(struct http_request *req)
{
    struct slice header = req->settings->rate->tenant_header;
    if (req->tenant.len)
        return req->tenant;
    return header.len ? net_header_find(http_net(req), header) : http_net(req)->host;
}

/* Texts of any length come in as their (keyed) hash. */
static void put_hash(struct http_request *req, struct buf *part, struct slice text)
{
    uint64_t hash = shared_counts_key(req->app->rate->counts, 0, text);
    buf_put(part, &hash, sizeof(hash));
}

static void put_route(struct http_request *req, struct buf *part)
{
    if (!req->route)
        return;
    put_hash(req, part, slice_cstr(req->route->route.pattern));
    for (unsigned i = 0; i < req->route->route.named_params && i < req->values_len; i++)
        put_hash(req, part, req->values[i]);
}

static uint64_t key_of(struct http_request *req, const struct http_rate *rate)
{
    char text[PART_BYTES_MAX];
    struct buf part = { .data = text, .cap = sizeof(text), .max = sizeof(text) };
    unsigned by = rate->rule.by;
    bool has_user = (by & HTTP_RATE_BY_USER) && req->caller.has_user;
    bool has_key = (by & HTTP_RATE_BY_KEY) && req->has_key;
    if (has_user) {
        buf_putc(&part, 's');
        buf_put(&part, req->caller.user.bytes, sizeof(req->caller.user.bytes));
    }
    if (has_key) {
        buf_putc(&part, 'k');
        buf_put(&part, &req->key_id, sizeof(req->key_id));
    }
    /* A stranger has neither, and may not choose one: the address stands in. */
    bool wants_identity = by & (HTTP_RATE_BY_USER | HTTP_RATE_BY_KEY);
    if ((by & HTTP_RATE_BY_IP) || (wants_identity && !has_user && !has_key)) {
        buf_putc(&part, 'i');
        put_client(req, &part);
    }
    if (by & HTTP_RATE_BY_TENANT) {
        buf_putc(&part, 't');
        put_hash(req, &part, tenant_of(req));
    }
    if (by & HTTP_RATE_BY_ROUTE) {
        buf_putc(&part, 'r');
        put_route(req, &part);
    }
    return shared_counts_key(req->app->rate->counts, rate->rule.id, buf_slice(&part));
}

/* The same for people. */
static struct slice name_of(struct http_request *req, const struct http_rate *rate,
                            char out[HTTP__OFFENDER_NAME_MAX])
{
    struct buf b = { .data = out, .cap = HTTP__OFFENDER_NAME_MAX, .max = HTTP__OFFENDER_NAME_MAX };
    unsigned by = rate->rule.by;
    char text[ADDRESS_TEXT_MAX];
    struct address client;
    if ((by & HTTP_RATE_BY_USER) && req->caller.has_user) {
        char user[UUID_TEXT_LEN];
        uuid_format(&req->caller.user, user);
        buf_put_lit(&b, "user ");
        buf_put(&b, user, sizeof(user));
    } else if ((by & HTTP_RATE_BY_KEY) && req->has_key) {
        char digits[16];
        http__hex64(req->key_id, digits);
        buf_put_lit(&b, "key ");
        buf_put(&b, digits, sizeof(digits));
    } else if (by & (HTTP_RATE_BY_IP | HTTP_RATE_BY_USER | HTTP_RATE_BY_KEY)) {
        buf_put_lit(&b, "ip ");
        if (client_of(req, &client)) {
            buf_put_slice(&b, address_format(&client, text));
            if (!client.is_v4)
                buf_put_lit(&b, "/64");
        }
    } else if (!(by & HTTP_RATE_BY_TENANT)) {
        buf_put_lit(&b, "everybody");
    }
    if (by & HTTP_RATE_BY_TENANT) {
        struct slice tenant = slice_head(tenant_of(req), 40);
        buf_put_lit(&b, " tenant ");
        buf_put_slice(&b, utf8_is_valid(tenant) ? tenant : SLICE("?"));
    }
    return slice_trim(buf_slice(&b));
}

/* -- deciding
 * --------------------------------------------------------------------------------------------- */

struct charge {
    const struct http_rate *rates[SHARED_TAKES_MAX];
    struct shared_take takes[SHARED_TAKES_MAX];
    unsigned len;
};

static void add(struct http_request *req, struct charge *charge, const struct http_rate *rate,
                uint32_t cost, bool report)
{
    assert(charge->len < SHARED_TAKES_MAX);
    charge->rates[charge->len] = rate;
    charge->takes[charge->len++] = (struct shared_take){
        .key = key_of(req, rate),
        .rate = rate->shared,
        .cost = cost,
        .advisory = report || rate->rule.report,
    };
}

static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint64_t product = (uint64_t)a * b;
    return product > SHARED_COUNT_MAX ? SHARED_COUNT_MAX : (uint32_t)product;
}

static void add_list(struct http_request *req, struct charge *charge,
                     const struct http__rate_list *list, const struct http__rate_policy *policy)
{
    for (unsigned i = 0; i < list->len; i++)
        add(req, charge, &list->rates[i], multiply(list->rates[i].rule.cost, policy->cost),
            policy->mode == HTTP_RATE_REPORT);
}

/* Seconds until `us` have passed, and then some. */
static int64_t seconds_after(int64_t us)
{
    return (us + MARGIN_US + CLOCK_SECOND - 1) / CLOCK_SECOND;
}

/* Is `take` what the client should know of, rather than what is noted already? */
static void advertise(struct http_request *req, const struct http_rate *rate,
                      const struct shared_take *take)
{
    struct http__rate_note *note = &req->rate;
    if (take->advisory || take->cost == 0)
        return;
    bool refused = !take->allowed;
    int64_t reset_us = take->full_us;
    if (refused)
        reset_us = take->wait_us;
    else if (take->left == 0) /* until the next one passes, not until all is there */
        reset_us -= (rate->shared.burst_ns - rate->shared.unit_ns) / 1000;
    int64_t left = take->left / take->cost;
    bool is_tighter = !note->rate || (refused && !note->refused) ||
                      (refused == note->refused &&
                       (left < note->left || (left == note->left && reset_us > note->reset_us)));
    /* The longest wait is the one that counts. */
    if (refused && note->refused)
        is_tighter = reset_us > note->reset_us;
    if (is_tighter)
        *note = (struct http__rate_note){
            .rate = rate, .left = left, .reset_us = reset_us, .refused = refused
        };
}

static void count(struct http_request *req, const struct http_rate *rate,
                  enum http__rate_outcome outcome)
{
    if (req->app->options.metrics)
        metric_add(req->app->options.metrics, rate->series[outcome], 1);
}

static void blame(struct http_request *req, const struct http_rate *rate, uint64_t key)
{
    char who[HTTP__OFFENDER_NAME_MAX];
    http__offenders_add(&req->app->rate->offenders, key, name_of(req, rate, who), rate->rule.name);
}

/* Fill the problem of a 429. */
static void explain(struct http_request *req, const struct charge *charge, struct problem *p)
{
    const struct http_rate *worst = req->rate.rate;
    struct slice *names = arena_array_of(http_arena(req), struct slice, charge->len);
    unsigned len = 0;
    for (unsigned i = 0; i < charge->len && names; i++) {
        if (!charge->takes[i].allowed && !charge->takes[i].advisory &&
            arena_copy(http_arena(req), charge->rates[i]->rule.name, &names[len]) == STATUS_OK)
            len++;
    }
    int64_t seconds = seconds_after(req->rate.reset_us);
    *p = (struct problem){
        .status = STATUS_EXHAUSTED,
        .http_status = 429,
        .type = QUOTA_EXCEEDED,
        .detail = arena_printf(
            http_arena(req), "The limit \"%.*s\" allows %u in %lld s; come again in %lld s.",
            SLICE_ARG(worst->rule.name), worst->rule.count,
            (long long)MAX(worst->rule.period_us / CLOCK_SECOND, (int64_t)1), (long long)seconds),
        .retry_after_us = seconds * CLOCK_SECOND,
        .violated = names,
        .violated_len = len,
    };
}

/* OK, or EXHAUSTED with *problem filled, or why no decision could be had. */
static enum status decide(struct task *task, struct http_request *req, struct charge *charge,
                          int64_t now_us, struct problem *problem)
{
    bool allowed = true;
    enum status st = shared_counts_take(task, req->app->rate->counts, now_us, charge->takes,
                                        charge->len, &allowed);
    if (st != STATUS_OK)
        return st;
    for (unsigned i = 0; i < charge->len; i++) {
        const struct shared_take *take = &charge->takes[i];
        if (!take->allowed && take->cost == 0) {
            /* A look that found nothing left. */
            struct shared_take refused = *take;
            refused.cost = 1;
            advertise(req, charge->rates[i], &refused);
        } else {
            advertise(req, charge->rates[i], take);
        }
        if (take->allowed) {
            count(req, charge->rates[i], HTTP__RATE_ALLOWED);
            continue;
        }
        count(req, charge->rates[i], take->advisory ? HTTP__RATE_REPORTED : HTTP__RATE_REFUSED);
        blame(req, charge->rates[i], take->key);
    }
    if (allowed)
        return STATUS_OK;
    explain(req, charge, problem);
    return STATUS_EXHAUSTED;
}

/* -- the step
 * --------------------------------------------------------------------------------------------- */

static bool is_exempt(struct http_request *req)
{
    const struct http__rate_set *limits = req->settings->rate;
    for (unsigned i = 0; i < limits->exempt_roles_len; i++) {
        if (http__has_role(&req->caller, limits->exempt_roles[i]))
            return true;
    }
    const struct address *client = limits->exempt ? http_client_address(req) : NULL;
    return client && address_set_has(limits->exempt, client);
}

static void count_exempt(struct http_request *req, const struct http__rate_list *list)
{
    for (unsigned i = 0; i < list->len; i++)
        count(req, &list->rates[i], HTTP__RATE_EXEMPT);
}

/* Health routes that everybody may ask make no difference between keys. */
static bool tells_keys_apart(const struct http_request *req, enum http_priority priority)
{
    return req->key_presented &&
           !(priority == HTTP_PRIORITY_HEALTH && req->route->route.audience == HTTP_PUBLIC);
}

static void collect(struct http_request *req, const struct http__rate_policy *policy,
                    struct charge *charge)
{
    enum http_priority priority = http__priority_of(req);
    bool is_auth = priority == HTTP_PRIORITY_AUTH;
    bool is_failed = req->key_failed;
    if (tells_keys_apart(req, priority) || is_auth) {
        for (unsigned i = 0; i < policy->auth.len; i++) {
            const struct http_rate *rate = &policy->auth.rates[i];
            uint32_t units = is_auth || is_failed;
            add(req, charge, rate, multiply(units * rate->rule.cost, policy->cost),
                policy->mode == HTTP_RATE_REPORT);
        }
    }
    if (priority == HTTP_PRIORITY_HEALTH)
        return;
    bool is_write = priority == HTTP_PRIORITY_WRITE;
    if (is_exempt(req)) {
        count_exempt(req, &policy->requests);
        return;
    }
    add_list(req, charge, &policy->requests, policy);
    if (is_write)
        add_list(req, charge, &policy->writes, policy);
}

static enum http_verdict before(struct task *task, struct http_request *req)
{
    const struct http__rate_set *limits = req->settings->rate;
    /* A preflight asks on behalf of a request that comes, and is charged, afterwards. */
    if (!limits || http_method(req) == NET_METHOD_OPTIONS)
        return HTTP_STEP_NEXT;
    const struct http__rate_policy *policy =
        &limits->policies[req->policy - req->settings->policies];
    if (policy->mode == HTTP_RATE_OFF)
        return HTTP_STEP_NEXT;
    if (!task && shared_counts_suspends(req->app->rate->counts))
        return HTTP_STEP_WAIT;
    struct charge charge;
    charge.len = 0;
    collect(req, policy, &charge);
    if (charge.len == 0)
        return HTTP_STEP_NEXT;
    struct problem problem = { .status = STATUS_OK };
    /* In a task time has passed since the head came. */
    int64_t now_us = task ? clock_mono_us() : net_ready_us(req->x);
    enum status st = decide(task, req, &charge, now_us, &problem);
    if (st == STATUS_OK)
        return HTTP_STEP_NEXT;
    http_send_problem(req, st, problem.status ? &problem : task ? task_problem(task) : NULL);
    return HTTP_STEP_ANSWERED;
}

static void put_x_headers(struct http_request *req, const struct http__rate_note *note,
                          struct slice seconds)
{
    struct buf b;
    buf_init(&b, http_arena(req), 32, 64);
    buf_put_u64(&b, note->rate->rule.count);
    size_t limit_len = b.len;
    buf_put_i64(&b, note->left);
    if (buf_status(&b) != STATUS_OK)
        return;
    struct slice both = buf_slice(&b);
    http__step_header(req, SLICE("X-RateLimit-Limit"), slice_head(both, limit_len));
    http__step_header(req, SLICE("X-RateLimit-Remaining"), slice_from(both, limit_len));
    http__step_header(req, SLICE("X-RateLimit-Reset"), seconds);
}

static void after(struct http_request *req, int status)
{
    (void)status;
    const struct http__rate_note *note = &req->rate;
    if (!note->rate || req->settings->rate->headers == HTTP_RATE_HEADERS_OFF)
        return;
    struct buf b;
    buf_init(&b, http_arena(req), 64, 128);
    buf_put_slice(&b, slice_head(note->rate->field, note->rate->rule.name.len + 2));
    buf_put_lit(&b, ";r=");
    buf_put_i64(&b, note->left);
    buf_put_lit(&b, ";t=");
    size_t at = b.len;
    buf_put_i64(&b, note->reset_us ? seconds_after(note->reset_us) : 0);
    if (buf_status(&b) != STATUS_OK)
        return;
    http__step_header(req, SLICE("RateLimit-Policy"), note->rate->field);
    http__step_header(req, SLICE("RateLimit"), buf_slice(&b));
    if (req->settings->rate->headers == HTTP_RATE_HEADERS_BOTH)
        put_x_headers(req, note, slice_from(buf_slice(&b), at));
}

const struct http__step http__step_rate_limit = {
    .name = "rate_limit",
    .before_waiting = before,
    .after = after,
};

/* -- for rooms above
 * -------------------------------------------------------------------------------------- */

/* A room's rules may go before the answer does (contracts are reloaded): keep what is to be told.
 */
static void keep_note(struct http_request *req)
{
    struct http_rate *copy = arena_new_of(http_arena(req), struct http_rate);
    const struct http_rate *rate = req->rate.rate;
    req->rate.rate = NULL; /* better nothing than what is gone */
    if (!copy)
        return;
    *copy = *rate;
    if (arena_copy(http_arena(req), rate->field, &copy->field) == STATUS_OK &&
        arena_copy(http_arena(req), rate->rule.name, &copy->rule.name) == STATUS_OK)
        req->rate.rate = copy;
}

static enum status take_group(struct task *task, struct http_request *req, struct charge *charge)
{
    const struct http_rate *noted = req->rate.rate;
    struct problem *problem = task_problem(task), refusal = { .status = STATUS_OK };
    enum status st = decide(task, req, charge, clock_mono_us(), &refusal);
    if (req->rate.rate && req->rate.rate != noted)
        keep_note(req);
    /* The first reason wins, as everywhere. */
    if (st == STATUS_EXHAUSTED && refusal.status == st && problem->status == STATUS_OK)
        *problem = refusal;
    return st;
}

enum status http_rate_take(struct task *task, struct http_request *req,
                           const struct http_rate *const *rates, const uint32_t *costs,
                           unsigned len)
{
    const struct http__rate_set *limits = req->settings->rate;
    if (!limits || len == 0)
        return STATUS_OK;
    enum http_rate_mode mode = limits->policies[req->policy - req->settings->policies].mode;
    if (mode == HTTP_RATE_OFF)
        return STATUS_OK;
    bool exempt = is_exempt(req);
    struct charge charge;
    charge.len = 0;
    for (unsigned i = 0; i < len; i++) {
        if (!rates[i] || !costs[i])
            continue;
        if (exempt) {
            count(req, rates[i], HTTP__RATE_EXEMPT);
            continue;
        }
        if (charge.len == SHARED_TAKES_MAX) {
            enum status st = take_group(task, req, &charge);
            if (st != STATUS_OK)
                return st;
            charge.len = 0;
        }
        add(req, &charge, rates[i], multiply(rates[i]->rule.cost, costs[i]),
            mode == HTTP_RATE_REPORT);
    }
    return charge.len ? take_group(task, req, &charge) : STATUS_OK;
}
