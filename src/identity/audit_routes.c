/*
 * identity/audit_routes.c - GET /api/v1/audit: the log for administrators, newest first.
 *
 * A cursor names the row that a page ended with, by its time and number. It is no secret and needs
 * no signature: who may read the log may read it from any row on.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/macros.h"
#include "base/rights.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/audit_private.h"

#define PATH "/api/v1/audit"
#define LIMIT_DEFAULT 20u
#define BODY_BYTES_MAX ((size_t)1 << 20)
#define CURSOR_BYTES_MAX 48u

struct asked {
    struct task *task;
    struct identity_audit_filter filter;
    unsigned seen; /* a bit a parameter */
};

static void refuse(struct asked *asked, struct slice name, const char *code, const char *detail)
{
    struct problem *problem = task_problem(asked->task);
    struct arena *arena = task_arena(asked->task);
    if (problem->status == STATUS_OK) {
        (void)problem_set(asked->task, STATUS_INVALID, "query/invalid",
                          "One or more query parameters are not valid.");
        problem->http_status = 400;
    }
    problem_field_add(problem, arena, arena_printf(arena, "?%.*s", SLICE_ARG(slice_head(name, 64))),
                      code, "%s", detail);
}

static void take_act(struct asked *asked, struct slice name, struct slice value)
{
    enum identity_audit_act act;
    if (identity_audit_act_find(value, &act))
        asked->filter.act = value;
    else
        refuse(asked, name, "enum", "There is no act of this name; docs/audit.md lists them.");
}

static void take_user(struct asked *asked, struct slice name, struct slice value)
{
    if (value.len > 0 && value.len <= IDENTITY_AUDIT_ID_MAX)
        asked->filter.user = value;
    else
        refuse(asked, name, "format", "The id of a user, key, client or operator.");
}

static bool take_time(struct asked *asked, struct slice name, struct slice value, int64_t *ret_us)
{
    if (clock_parse_rfc3339(value, ret_us) && *ret_us > 0)
        return true;
    refuse(asked, name, "format", "A time such as 2027-01-31T12:00:00Z.");
    return false;
}

static void take_since(struct asked *asked, struct slice name, struct slice value)
{
    (void)take_time(asked, name, value, &asked->filter.since_us);
}

static void take_until(struct asked *asked, struct slice name, struct slice value)
{
    (void)take_time(asked, name, value, &asked->filter.until_us);
}

static void take_limit(struct asked *asked, struct slice name, struct slice value)
{
    int64_t limit;
    if (slice_to_i64(value, &limit) && limit >= 1 && limit <= IDENTITY_AUDIT_LIST_MAX)
        asked->filter.limit = (unsigned)limit;
    else
        refuse(asked, name, "range", "A number from 1 to 100.");
}

static void take_cursor(struct asked *asked, struct slice name, struct slice value)
{
    struct slice at;
    struct identity_audit_filter *filter = &asked->filter;
    if (value.len > CURSOR_BYTES_MAX || !slice_split(&value, '.', &at) || !value.data ||
        !slice_to_i64(at, &filter->before_us) || !slice_to_i64(value, &filter->before_seq) ||
        filter->before_seq < 1)
        refuse(asked, name, "format", "No cursor of this list.");
}

static const struct {
    const char *name;
    void (*take)(struct asked *asked, struct slice name, struct slice value);
} parameters[] = {
    { "act", take_act },     { "user", take_user },   { "since", take_since },
    { "until", take_until }, { "limit", take_limit }, { "cursor", take_cursor },
};

static void take_parameter(struct asked *asked, const struct http_param *param)
{
    for (unsigned i = 0; i < ARRAY_LEN(parameters); i++) {
        if (!slice_eq(slice_cstr(parameters[i].name), param->name))
            continue;
        if (asked->seen & 1u << i)
            refuse(asked, param->name, "repeated", "It is given twice.");
        else
            parameters[i].take(asked, param->name, param->value);
        asked->seen |= 1u << i;
        return;
    }
    refuse(asked, param->name, "unknown_parameter",
           "There is no such parameter here; there are act, user, since, until, limit, cursor.");
}

static enum status read_query(struct asked *asked, struct http_request *req)
{
    const struct http_param *params = NULL;
    unsigned len = 0;
    enum status st = STATUS_OK;
    if (http_net(req)->query.len > 0)
        st = http_query(asked->task, req, &params, &len);
    for (unsigned i = 0; st == STATUS_OK && i < len; i++)
        take_parameter(asked, &params[i]);
    return st == STATUS_OK ? task_problem(asked->task)->status : st;
}

static struct slice make_cursor(struct arena *arena, const struct identity_audit_page *page)
{
    const struct identity_audit_row *last = &page->rows[page->len - 1];
    return arena_printf(arena, "%lld.%lld", (long long)last->at_us, (long long)last->seq);
}

/* The next page, with the same filters. */
static void add_link(struct http_request *req, const struct identity_audit_filter *filter,
                     struct slice cursor)
{
    char time[CLOCK_RFC3339_LEN];
    struct buf link;
    buf_init(&link, http_arena(req), 256, 2048);
    buf_printf(&link, "<" PATH "?cursor=%.*s&limit=%u", SLICE_ARG(cursor), filter->limit);
    if (filter->act.len)
        buf_printf(&link, "&act=%.*s", SLICE_ARG(filter->act));
    if (filter->user.len) {
        buf_put_lit(&link, "&user=");
        buf_put_percent(&link, filter->user);
    }
    if (filter->since_us) {
        clock_format_rfc3339(filter->since_us, time);
        buf_printf(&link, "&since=%.*s", CLOCK_RFC3339_LEN, time);
    }
    if (filter->until_us) {
        clock_format_rfc3339(filter->until_us, time);
        buf_printf(&link, "&until=%.*s", CLOCK_RFC3339_LEN, time);
    }
    buf_put_lit(&link, ">; rel=\"next\"");
    if (buf_status(&link) == STATUS_OK)
        http_header_add(req, SLICE("Link"), buf_slice(&link));
}

static void write_page(struct buf *body, const struct identity_audit_page *page, unsigned limit,
                       struct slice cursor)
{
    struct json_out o = json_out(body);
    struct buf row;
    buf_init(&row, body->arena, 1024, BODY_BYTES_MAX);
    json_out_object(&o);
    json_out_key(&o, SLICE("data"));
    json_out_array(&o);
    for (unsigned i = 0; i < page->len; i++) {
        buf_clear(&row);
        identity_audit_row_write(&page->rows[i], &row);
        json_out_raw(&o, buf_slice(&row));
    }
    json_out_end(&o);
    json_out_key(&o, SLICE("page"));
    json_out_object(&o);
    json_out_ki(&o, "limit", limit);
    json_out_key(&o, SLICE("next"));
    if (page->has_more)
        json_out_string(&o, cursor);
    else
        json_out_null(&o);
    json_out_key(&o, SLICE("has_more"));
    json_out_bool(&o, page->has_more);
    json_out_end(&o);
    json_out_end(&o);
}

static enum status handle_list(struct task *task, struct http_request *req, void *arg)
{
    struct asked asked = { .task = task, .filter.limit = LIMIT_DEFAULT };
    struct identity_audit_page page;
    struct slice cursor = SLICE_NULL;
    struct buf body;
    enum status st = read_query(&asked, req);
    if (st == STATUS_OK)
        st = identity_audit_list(task, arg, &asked.filter, &page);
    if (st != STATUS_OK)
        return st;
    if (page.has_more) {
        cursor = make_cursor(task_arena(task), &page);
        add_link(req, &asked.filter, cursor);
    }
    buf_init(&body, task_arena(task), 4096, BODY_BYTES_MAX);
    write_page(&body, &page, asked.filter.limit, cursor);
    if (buf_status(&body) != STATUS_OK)
        return problem_set(task, buf_status(&body), "identity/audit-page",
                           "The page grew too large; ask for fewer rows.");
    http_header_add(req, SLICE("Cache-Control"), SLICE("no-store"));
    http_send_json(req, 200, buf_slice(&body));
    return STATUS_OK;
}

static const char answer_schema[] =
    "{\"type\":\"object\",\"required\":[\"data\",\"page\"],\"properties\":{"
    "\"data\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"required\":[\"seq\",\"at\",\"act\",\"outcome\",\"actor\",\"subject\",\"address\","
    "\"user_agent\",\"request_id\",\"details\",\"hash\"],\"properties\":{"
    "\"seq\":{\"type\":\"integer\",\"minimum\":1},"
    "\"at\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"act\":{\"type\":\"string\"},"
    "\"outcome\":{\"enum\":[\"ok\",\"refused\",\"failed\"]},"
    "\"actor\":{\"type\":\"object\",\"required\":[\"kind\",\"id\"],\"properties\":{"
    "\"kind\":{\"type\":\"string\"},\"id\":{\"type\":[\"string\",\"null\"]}}},"
    "\"subject\":{\"type\":[\"object\",\"null\"],\"required\":[\"kind\",\"id\"],\"properties\":{"
    "\"kind\":{\"type\":[\"string\",\"null\"]},\"id\":{\"type\":[\"string\",\"null\"]}}},"
    "\"address\":{\"type\":[\"string\",\"null\"]},"
    "\"user_agent\":{\"type\":[\"string\",\"null\"]},"
    "\"request_id\":{\"type\":[\"string\",\"null\"]},"
    "\"details\":{\"type\":[\"object\",\"null\"]},"
    "\"hash\":{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{64}$\"}}}},"
    "\"page\":{\"type\":\"object\",\"required\":[\"limit\",\"next\",\"has_more\"],\"properties\":{"
    "\"limit\":{\"type\":\"integer\"},"
    "\"next\":{\"type\":[\"string\",\"null\"]},"
    "\"has_more\":{\"type\":\"boolean\"}}}}}";

static const char parameters_json[] =
    "[{\"name\":\"act\",\"in\":\"query\","
    "\"description\":\"Only this act, such as login.failed.\","
    "\"schema\":{\"type\":\"string\"}},"
    "{\"name\":\"user\",\"in\":\"query\","
    "\"description\":\"Only what this user (or key, client, operator) did, or was done to it.\","
    "\"schema\":{\"type\":\"string\",\"maxLength\":128}},"
    "{\"name\":\"since\",\"in\":\"query\",\"description\":\"At this time or later.\","
    "\"schema\":{\"type\":\"string\",\"format\":\"date-time\"}},"
    "{\"name\":\"until\",\"in\":\"query\",\"description\":\"Before this time.\","
    "\"schema\":{\"type\":\"string\",\"format\":\"date-time\"}},"
    "{\"name\":\"limit\",\"in\":\"query\",\"description\":\"Rows of a page.\","
    "\"schema\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":20}},"
    "{\"name\":\"cursor\",\"in\":\"query\",\"description\":\"page.next of the page before.\","
    "\"schema\":{\"type\":\"string\"}}]";

enum status identity_audit_routes(struct identity_audit *audit, struct http_app *app)
{
    const char *reason;
    return http_route_add(app,
                          &(struct http_route){ .method = NET_METHOD_GET,
                                                .pattern = PATH,
                                                .handler = handle_list,
                                                .arg = audit,
                                                .audience = HTTP_ADMIN,
                                                .permission = RIGHTS_AUDIT,
                                                .body_bytes_max = -1,
                                                .summary = "The audit log, newest first.",
                                                .tag = "audit",
                                                .operation_id = "audit.list",
                                                .answer_schema = answer_schema,
                                                .parameters = parameters_json },
                          &reason);
}
