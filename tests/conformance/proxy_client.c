/*
 * tests/conformance/proxy_client.c - /proxy-client and what tests ask of it.
 *
 *   /proxy-client?url=URL   any method; the request's body is passed on, and the answer back
 *       from_user=1         as if a user had brought the URL (its port is allowed)
 *       stream=1            both bodies in pieces instead of whole
 *       chunked=1           with stream: the length is not announced
 *       expect=1            Expect: 100-continue
 *       engine=curl         through libcurl
 *       max=BYTES           of the answer
 *       queue|resolve|connect|tls|write|first_byte|read|total=MS   timeouts
 *       header=NAME:VALUE   to send, once
 *   /proxy-client/stats     what the client of this loop holds
 *
 * X-Client-Attempts, -Reused, -Peer and -Stage say what happened. Names under .test are a table of
 * this file; other names than localhost are not looked up, and nothing beyond loopback is reached.
 */
#include "proxy_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "net/client.h"
#include "net/curl.h"

#define BODY_BYTES_MAX ((int64_t)64 << 20)

struct proxy_client {
    struct net_dns *dns;
    struct net_client_tls *tls;
    struct net_client *client;
};

/* -- names
 * -----------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    const char *addresses[3];
    enum status status;
    unsigned silent_s;
} names[] = {
    { "loopback.test", { "127.0.0.1" }, STATUS_OK, 0 },
    { "other.test", { "127.0.0.1" }, STATUS_OK, 0 },
    { "dual.test", { "::1", "127.0.0.1" }, STATUS_OK, 0 },
    { "private.test", { "10.0.0.1" }, STATUS_OK, 0 },
    { "metadata.test", { "169.254.169.254" }, STATUS_OK, 0 },
    { "mixed.test", { "8.8.8.8", "127.0.0.1" }, STATUS_OK, 0 },
    { "failing.test", { NULL }, STATUS_UNAVAILABLE, 0 },
    { "silent.test", { NULL }, STATUS_UNAVAILABLE, 3 },
};

static enum status look_up(const char *host, struct address *ret_addresses, unsigned *ret_len,
                           void *arg)
{
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(host, names[i].name) != 0)
            continue;
        (void)sleep(names[i].silent_s);
        for (unsigned k = 0; k < 3 && names[i].addresses[k]; k++) {
            if (address_parse(slice_cstr(names[i].addresses[k]), &ret_addresses[k]))
                *ret_len = k + 1;
        }
        return names[i].status;
    }
    return STATUS_NOT_FOUND;
}

/* -- what is asked
 * ------------------------------------------------------------------------------------------ */

struct asked {
    struct slice url, header;
    bool from_user, stream, chunked, expect, curl;
    int64_t max;
    struct net_client_timeouts timeouts;
};

static enum status read_query(struct task *task, struct http_request *req, struct asked *asked)
{
    struct net_client_timeouts *t = &asked->timeouts;
    const struct {
        struct slice name;
        struct slice *text;
        bool *flag;
        int64_t *number, *ms;
    } options[] = {
        { SLICE_INIT("url"), .text = &asked->url },
        { SLICE_INIT("header"), .text = &asked->header },
        { SLICE_INIT("from_user"), .flag = &asked->from_user },
        { SLICE_INIT("stream"), .flag = &asked->stream },
        { SLICE_INIT("chunked"), .flag = &asked->chunked },
        { SLICE_INIT("expect"), .flag = &asked->expect },
        { SLICE_INIT("max"), .number = &asked->max },
        { SLICE_INIT("queue"), .ms = &t->queue_us },
        { SLICE_INIT("resolve"), .ms = &t->resolve_us },
        { SLICE_INIT("connect"), .ms = &t->connect_us },
        { SLICE_INIT("tls"), .ms = &t->tls_us },
        { SLICE_INIT("write"), .ms = &t->write_us },
        { SLICE_INIT("first_byte"), .ms = &t->first_byte_us },
        { SLICE_INIT("read"), .ms = &t->read_us },
        { SLICE_INIT("total"), .ms = &t->total_us },
    };
    const struct http_param *params;
    unsigned len;
    enum status st = http_query(task, req, &params, &len);
    for (unsigned i = 0; i < len && st == STATUS_OK; i++) {
        if (slice_eq(params[i].name, SLICE("engine")))
            asked->curl = slice_eq(params[i].value, SLICE("curl"));
        for (size_t k = 0; k < ARRAY_LEN(options); k++) {
            int64_t number = 0;
            if (!slice_eq(params[i].name, options[k].name))
                continue;
            (void)slice_to_i64(params[i].value, &number); /* 0: the default */
            if (options[k].text)
                *options[k].text = params[i].value;
            else if (options[k].flag)
                *options[k].flag = number != 0;
            else if (options[k].number)
                *options[k].number = number;
            else
                *options[k].ms = number * CLOCK_MS;
        }
    }
    return st;
}

/* Only this machine: tests have no business elsewhere. A malformed URL is the client's to refuse.
 */
static enum status check_url(struct task *task, struct http_request *req, const struct asked *asked,
                             uint16_t *ret_port)
{
    struct net_url url;
    const char *reason;
    struct slice text = asked->url;
    /* A mail's URL is looked at as if it were the web's. */
    if (slice_starts(text, SLICE("smtp://")))
        text = arena_printf(http_arena(req), "http%.*s", SLICE_ARG(slice_from(text, 4)));
    if (net_url_parse(http_arena(req), text, &url, &reason) != STATUS_OK)
        return STATUS_OK;
    *ret_port = (uint16_t)url.port;
    const char *special = url.is_literal ? net_address_special(&url.address) : "loopback";
    bool is_near = special && (asked->from_user || strcmp(special, "loopback") == 0);
    return is_near ? STATUS_OK
                   : problem_set(task, STATUS_DENIED, "conformance/not-here",
                                 "Only URLs of this machine are fetched.");
}

/* -- the answer
 * -----------------------------------------------------------------------------------------------
 */

static void tell(struct http_request *req, const struct net_client_report *report)
{
    struct arena *arena = http_arena(req);
    http_header_add(req, SLICE("X-Client-Attempts"), arena_printf(arena, "%u", report->attempts));
    http_header_add(req, SLICE("X-Client-Reused"), report->reused ? SLICE("1") : SLICE("0"));
    http_header_add(req, SLICE("X-Client-Stage"), slice_cstr(net_client_stage_name(report->stage)));
    struct slice peer = SLICE_NULL;
    if (arena_copy(arena, slice_cstr(report->peer), &peer) == STATUS_OK && peer.len)
        http_header_add(req, SLICE("X-Client-Peer"), peer);
}

static enum status next_piece(struct task *task, void *arg, struct slice *ret_piece)
{
    return net_body_read(task, arg, ret_piece);
}

static const char *type_of(struct http_request *req, const struct net_client_response *response)
{
    struct slice type = net_client_header(response, SLICE("content-type"));
    const char *text = type.len ? arena_cstr(http_arena(req), type) : NULL;
    return text ? text : "application/octet-stream";
}

static enum status stream_back(struct task *task, struct http_request *req,
                               struct net_client_exchange *x)
{
    const struct net_client_response *response = net_client_response_of(x);
    struct slice piece;
    enum status st = http_stream_begin(req, response->status, type_of(req, response));
    while (st == STATUS_OK) {
        st = net_client_read(task, x, &piece);
        if (st == STATUS_OK)
            st = http_stream_write(task, req, piece);
    }
    if (st != STATUS_NOT_FOUND)
        return st;
    http_stream_end(req);
    return STATUS_OK;
}

static enum status pass_on(struct task *task, struct http_request *req,
                           const struct net_client_request *request, bool stream)
{
    CLEANUP(net_client_finish) struct net_client_exchange *x = NULL;
    enum status st = net_client_send(task, request, &x);
    if (st == STATUS_OK && stream) {
        tell(req, request->report);
        return stream_back(task, req, x);
    }
    struct slice body = SLICE_NULL;
    if (st == STATUS_OK)
        st = net_client_read_all(task, x, &body);
    tell(req, request->report);
    if (st != STATUS_OK)
        return st;
    const struct net_client_response *response = net_client_response_of(x);
    http_send(req, response->status, type_of(req, response), body);
    return STATUS_OK;
}

/* -- through libcurl
 * ------------------------------------------------------------------------------------------ */

struct upload {
    struct slice left;
};

static size_t on_read(char *to, size_t size, size_t count, void *arg)
{
    struct upload *upload = arg;
    size_t n = MIN(upload->left.len, size * count);
    memcpy(to, upload->left.data, n);
    upload->left = slice_from(upload->left, n);
    return n;
}

/* The body goes up as a request's or, to smtp://, as a mail. */
static bool set_up(CURL *easy, struct http_request *req, struct slice body, struct upload *upload,
                   struct curl_slist *recipients, bool is_mail)
{
    const char *ca = getenv("CLIENT_CA");
    *upload = (struct upload){ body };
    int rc = ca ? (int)curl_easy_setopt(easy, CURLOPT_CAINFO, ca) : 0;
    if (is_mail) {
        rc |= curl_easy_setopt(easy, CURLOPT_MAIL_FROM, "<sender@example.test>");
        rc |= curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, recipients);
        rc |= curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        rc |= curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        rc |= curl_easy_setopt(easy, CURLOPT_READDATA, upload);
    } else if (body.len) {
        rc |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data);
        rc |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)body.len);
    }
    if (!is_mail)
        rc |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST,
                               arena_cstr(http_arena(req), net_method_text(http_method(req))));
    return rc == 0;
}

static enum status perform(struct task *task, struct http_request *req, const struct asked *asked,
                           CURL *easy, struct slice body)
{
    struct buf out;
    struct upload upload;
    bool is_mail = slice_starts(asked->url, SLICE("smtp"));
    struct curl_slist *recipients = curl_slist_append(NULL, "<receiver@example.test>");
    buf_init(&out, http_arena(req), 0, asked->max ? (size_t)asked->max : (size_t)1 << 20);
    const struct net_curl_request request = {
        .easy = easy,
        .url = asked->url,
        .protocols = is_mail ? "smtp,smtps" : NULL,
        .from_user = asked->from_user,
        .out = &out,
        .connect_us = asked->timeouts.connect_us,
        .timeout_us = asked->timeouts.total_us,
    };
    long status = 0, version = 0;
    enum status st = STATUS_EXHAUSTED;
    if (easy && recipients && set_up(easy, req, body, &upload, recipients, is_mail))
        st = net_curl_perform(task, &request, &status);
    curl_slist_free_all(recipients);
    if (st != STATUS_OK)
        return st;
    (void)curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    http_header_add(req, SLICE("X-Client-Version"),
                    version == CURL_HTTP_VERSION_2_0 ? SLICE("2") : SLICE("1"));
    http_header_add(req, SLICE("X-Client-Status"), arena_printf(http_arena(req), "%ld", status));
    http_send(req, is_mail ? 200 : (int)status, "application/octet-stream", buf_slice(&out));
    return STATUS_OK;
}

static enum status through_curl(struct task *task, struct http_request *req,
                                const struct asked *asked)
{
    struct slice body;
    enum status st = http_body(task, req, NULL, &body);
    if (st != STATUS_OK)
        return st;
    CURL *easy = curl_easy_init();
    st = perform(task, req, asked, easy, body);
    curl_easy_cleanup(easy);
    return st;
}

static enum status proxy(struct task *task, struct http_request *req, void *arg)
{
    (void)arg;
    struct asked asked = { .max = 0 };
    uint16_t port = 0;
    enum status st = read_query(task, req, &asked);
    if (st == STATUS_OK)
        st = check_url(task, req, &asked, &port);
    if (st != STATUS_OK)
        return st;
    if (asked.curl)
        return through_curl(task, req, &asked);
    size_t colon = slice_find(asked.header, ':');
    const struct net_header header = { .name = slice_head(asked.header, colon),
                                       .value = slice_trim(slice_from(asked.header, colon + 1)) };
    struct net_client_report report;
    struct net_client_request request = {
        .method = http_method(req),
        .url = asked.url,
        .headers = &header,
        .headers_len = asked.header.len ? 1 : 0,
        .expect_continue = asked.expect,
        .from_user = asked.from_user,
        .ports = &port,
        .ports_len = 1,
        .answer_bytes_max = asked.max,
        .timeouts = asked.timeouts,
        .report = &report,
    };
    if (asked.stream) {
        request.next = next_piece;
        request.next_arg = http_exchange(req);
        request.body_bytes = asked.chunked ? -1 : http_net(req)->content_length;
    } else {
        st = http_body(task, req, NULL, &request.body);
    }
    return st == STATUS_OK ? pass_on(task, req, &request, asked.stream) : st;
}

static void stats(struct http_request *req, void *arg)
{
    struct proxy_client *proxy = arg;
    struct net_client_stats s;
    net_client_stats_read(proxy->client, &s);
    http_send_json(req, 200,
                   arena_printf(http_arena(req),
                                "{\"connections\":%u,\"idle\":%u,\"waiting\":%u,\"names\":%u,"
                                "\"opened\":%llu,\"reused\":%llu,\"retried\":%llu,"
                                "\"lookups\":%llu}",
                                s.connections, s.idle, s.waiting, s.names,
                                (unsigned long long)s.opened, (unsigned long long)s.reused,
                                (unsigned long long)s.retried, (unsigned long long)s.lookups));
}

/* -- opening
 * --------------------------------------------------------------------------------------------------
 */

static bool add_routes(struct proxy_client *own, struct http_app *app)
{
    const char *reason;
    const struct http_route figures = { .method = NET_METHOD_GET,
                                        .pattern = "/proxy-client/stats",
                                        .handle_inline = stats,
                                        .arg = own };
    enum status st = http_route_add(app, &figures, &reason);
    for (unsigned m = 0; m < NET_METHOD_OTHER && st == STATUS_OK; m++) {
        const struct http_route route = { .method = (enum net_method)m,
                                          .pattern = "/proxy-client",
                                          .handler = proxy,
                                          .body_bytes_max = BODY_BYTES_MAX,
                                          .arg = own };
        if (m != NET_METHOD_HEAD)
            st = http_route_add(app, &route, &reason);
    }
    return st == STATUS_OK;
}

static enum status open_client(struct proxy_client *proxy, struct loop *loop)
{
    const char *ca = getenv("CLIENT_CA"), *allow = getenv("CLIENT_ALLOW"), *reason = "";
    struct address_set near = { .len = 0 };
    if (allow && !address_set_add(&near, slice_cstr(allow), &reason))
        return STATUS_INVALID;
    enum status st =
        net_dns_new(&(struct net_dns_options){ .lookup = look_up, .threads_max = 4 }, &proxy->dns);
    if (st == STATUS_OK)
        st = net_client_tls_new(&(struct net_client_tls_options){ .ca_file = slice_cstr(ca) },
                                &proxy->tls, &reason);
    if (st == STATUS_OK)
        st = net_client_open(
            loop,
            &(struct net_client_options){
                .dns = proxy->dns, .tls = proxy->tls, .allow = &near, .host_connections_max = 8 },
            &proxy->client);
    if (st != STATUS_OK)
        (void)fprintf(stderr, "purlin-conformance: no client: %s %s\n", status_name(st), reason);
    return st;
}

struct proxy_client *proxy_client_open(struct http_app *app, struct loop *loop)
{
    struct proxy_client *proxy = calloc(1, sizeof(*proxy));
    if (proxy && open_client(proxy, loop) == STATUS_OK && add_routes(proxy, app))
        return proxy;
    proxy_client_close(proxy);
    return NULL;
}

void proxy_client_close(struct proxy_client *proxy)
{
    if (!proxy)
        return;
    net_client_close(proxy->client);
    net_client_tls_free(proxy->tls);
    net_dns_free(proxy->dns);
    free(proxy);
}
