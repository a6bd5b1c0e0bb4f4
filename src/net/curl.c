/*
 * net/curl.c - libcurl's multi interface on a loop: its sockets are polled by libuv, its one timer
 * is one of ours, and a task waits for its own transfer.
 *
 * There are two multi handles: what the guard let through shares no connections with what it never
 * saw. libcurl gets every address from us (CURLOPT_RESOLVE): its own resolver waits for its threads
 * when a transfer is cancelled, which would hold up the loop as long as a name server is silent.
 */
#include "net/curl.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/problem.h"
#include "net/client_private.h"

#define TRANSFERS_MAX 64u
#define WAITING_MAX 256u
#define CONNECTIONS_MAX 64L
#define HOST_CONNECTIONS_MAX 16L
#define CONNECT_DEFAULT_US (10 * CLOCK_SECOND)
#define TIMEOUT_DEFAULT_US (60 * CLOCK_SECOND)
#define URL_BYTES_MAX 8192u

struct multi {
    CURLM *handle;
    struct net__curl *curl;
    struct loop_timer timer;
    struct loop_post soon; /* "at once", but not from within libcurl */
    bool is_soon;
};

struct net__curl {
    struct net_client *client;
    struct task_sem places;
    struct multi multis[2]; /* ours, users' */
    bool closed;            /* freed when nothing is posted any more */
};

struct watch { /* a socket of libcurl's */
    uv_poll_t poll;
    struct multi *multi;
    curl_socket_t fd;
};

struct transfer {
    struct task *task;
    struct net_client *client;
    const struct net_curl_request *request;
    struct slice host;
    bool guarded, refused, done;
    CURLcode code;
};

/* -- the multi handle
 * ---------------------------------------------------------------------------------------- */

static void curl_forget(struct net__curl *curl)
{
    if (curl->closed && !curl->multis[0].is_soon && !curl->multis[1].is_soon)
        free(curl);
}

/* Whose transfer has ended? */
static void look(struct multi *m)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(m->handle, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result; /* the message dies with the removal */
        struct transfer *t = NULL;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
        (void)curl_multi_remove_handle(m->handle, easy);
        t->done = true;
        t->code = code;
        task_wake(t->task);
    }
}

static void act(struct multi *m, curl_socket_t fd, int events)
{
    int running;
    (void)curl_multi_socket_action(m->handle, fd, events,
                                   &running); /* transfers tell for themselves */
    look(m);
}

static void on_timer(struct loop_timer *timer)
{
    act(CONTAINER_OF(timer, struct multi, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void on_soon(struct loop_post *post)
{
    struct multi *m = CONTAINER_OF(post, struct multi, soon);
    m->is_soon = false;
    if (m->curl->closed)
        curl_forget(m->curl);
    else
        act(m, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer_set(CURLM *handle, long timeout_ms, void *arg)
{
    (void)handle;
    struct multi *m = arg;
    struct loop *loop = m->curl->client->loop;
    loop_timer_stop(loop, &m->timer);
    if (timeout_ms > 0) {
        loop_timer_start(loop, &m->timer, timeout_ms * CLOCK_MS, on_timer);
    } else if (timeout_ms == 0 && !m->is_soon) {
        m->is_soon = true;
        m->soon.fn = on_soon;
        loop_post(loop, &m->soon);
    }
    return 0;
}

static void on_poll(uv_poll_t *poll, int rc, int events)
{
    struct watch *w = poll->data;
    int what = rc < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        what |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        what |= CURL_CSELECT_OUT;
    act(w->multi, w->fd, what);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    (void)easy;
    struct multi *m = arg;
    struct watch *w = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            (void)uv_poll_stop(&w->poll); /* cannot fail */
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
            (void)curl_multi_assign(m->handle, fd, NULL);
        }
        return 0;
    }
    if (!w) {
        w = calloc(1, sizeof(*w));
        if (!w || uv_poll_init(loop_uv(m->curl->client->loop), &w->poll, fd) != 0) {
            free(w);
            return -1;
        }
        w->multi = m;
        w->fd = fd;
        w->poll.data = w;
        (void)curl_multi_assign(m->handle, fd, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&w->poll, events, on_poll) == 0 ? 0 : -1;
}

/* -- a loop's libcurl
 * ------------------------------------------------------------------------------------------ */

static bool multi_open(struct multi *m, struct net__curl *curl)
{
    m->curl = curl;
    m->handle = curl_multi_init();
    if (!m->handle)
        return false;
    CURLMcode rc = curl_multi_setopt(m->handle, CURLMOPT_SOCKETFUNCTION, on_socket);
    rc |= curl_multi_setopt(m->handle, CURLMOPT_SOCKETDATA, m);
    rc |= curl_multi_setopt(m->handle, CURLMOPT_TIMERFUNCTION, on_timer_set);
    rc |= curl_multi_setopt(m->handle, CURLMOPT_TIMERDATA, m);
    rc |= curl_multi_setopt(m->handle, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);
    rc |= curl_multi_setopt(m->handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS_MAX);
    rc |= curl_multi_setopt(m->handle, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS_MAX);
    return rc == CURLM_OK;
}

static void library_open(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* without it curl_multi_init fails, and says so */
}

static struct net__curl *curl_get(struct net_client *client)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, library_open);
    if (client->curl)
        return client->curl;
    struct net__curl *curl = calloc(1, sizeof(*curl));
    if (!curl)
        return NULL;
    curl->client = client;
    task_sem_init(&curl->places, TRANSFERS_MAX);
    client->curl = curl;
    if (multi_open(&curl->multis[0], curl) && multi_open(&curl->multis[1], curl))
        return curl;
    net__curl_close(client);
    return NULL;
}

void net__curl_close(struct net_client *client)
{
    struct net__curl *curl = client->curl;
    if (!curl)
        return;
    client->curl = NULL;
    for (unsigned i = 0; i < ARRAY_LEN(curl->multis); i++) {
        struct multi *m = &curl->multis[i];
        if (m->handle)
            (void)curl_multi_cleanup(m->handle); /* its transfers have ended */
        m->handle = NULL;
        loop_timer_stop(client->loop, &m->timer);
    }
    curl->closed = true;
    curl_forget(curl);
}

/* -- callbacks of a transfer
 * ------------------------------------------------------------------------------------ */

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
    struct buf *out = arg;
    buf_put(out, data, size * count);
    return buf_status(out) == STATUS_OK ? size * count : 0;
}

/* The last look at an address before a socket exists. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct transfer *t = arg;
    struct address to;
    bool is_known = address_from(&address->addr, &to);
    if (t->guarded && (!is_known || !net__is_allowed(t->client, &to))) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* -- whom it leads to
 * ----------------------------------------------------------------------------------------- */

static enum status say_url(struct task *task, const char *what)
{
    return problem_set(task, STATUS_INVALID, "client/request", "%s", what);
}

/* Host and port of a URL of any scheme that libcurl knows. */
static enum status parse_any(struct task *task, struct slice text, struct net_url *ret_url)
{
    struct arena *arena = task_arena(task);
    char *url = text.len <= URL_BYTES_MAX ? arena_cstr(arena, text) : NULL;
    CURLU *parts = curl_url();
    char *host = NULL, *port = NULL, *user = NULL;
    int64_t number = 0;
    enum status st = STATUS_INVALID;
    if (url && parts &&
        curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_NO_USER &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
        st = arena_copy(arena, slice_cstr(host), &ret_url->host);
    if (st == STATUS_OK && (!slice_to_i64(slice_cstr(port), &number) || ret_url->host.len == 0))
        st = STATUS_INVALID;
    curl_free(user);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    if (st != STATUS_OK)
        return st == STATUS_INVALID
                   ? say_url(task, "The URL is malformed, or has a user name in it.")
                   : st;
    ret_url->port = (unsigned)number;
    struct slice inner = ret_url->host;
    if (inner.data[0] == '[' && inner.data[inner.len - 1] == ']')
        inner = slice_of(inner.data + 1, inner.len - 2);
    ret_url->is_literal = address_parse(inner, &ret_url->address);
    return ret_url->host.len < 254 ? STATUS_OK : say_url(task, "The URL's host is too long.");
}

static enum status parse(struct task *task, const struct net_curl_request *request,
                         struct net_url *ret_url)
{
    const char *reason = NULL;
    if (!request->from_user)
        return parse_any(task, request->proxy.len ? request->proxy : request->url, ret_url);
    if (request->proxy.len)
        return say_url(task, "A URL from outside is not fetched through a proxy.");
    enum status st = net_url_parse(task_arena(task), request->url, ret_url, &reason);
    return st == STATUS_INVALID ? say_url(task, reason) : st;
}

/* "+host:port:address,address": for this transfer, not for good. */
static enum status resolve_list(struct task *task, struct net_client *client,
                                const struct net_curl_request *request, int64_t until_us,
                                struct slice *ret_host, struct curl_slist **ret_list)
{
    struct net_url url = { .port = 0 };
    struct net__addresses found;
    enum status st = parse(task, request, &url);
    *ret_host = url.host;
    if (st == STATUS_OK)
        st = net__resolve(task, client, &url, request->from_user, until_us, &found);
    if (st == STATUS_TIMEOUT)
        return net__said(task,
                         problem_set(task, st, "client/timeout",
                                     "\"%.*s\" was not looked up in time (stage: resolve).",
                                     SLICE_ARG(url.host)),
                         504);
    if (st != STATUS_OK || url.is_literal)
        return st;
    struct buf line;
    buf_init(&line, task_arena(task), 128, 1024);
    buf_printf(&line, "+%.*s:%u:", SLICE_ARG(url.host), url.port);
    for (unsigned i = 0; i < found.len; i++) {
        char text[ADDRESS_TEXT_MAX];
        (void)address_format(&found.list[i], text);
        buf_printf(&line, found.list[i].is_v4 ? "%s%s" : "%s[%s]", i ? "," : "", text);
    }
    buf_putc(&line, '\0');
    if (buf_status(&line) != STATUS_OK)
        return buf_status(&line);
    *ret_list = curl_slist_append(NULL, line.data);
    return *ret_list ? STATUS_OK : STATUS_EXHAUSTED;
}

/* -- performing
 * ------------------------------------------------------------------------------------------------
 */

static bool set_options(struct transfer *t, struct arena *arena, struct curl_slist *addresses)
{
    const struct net_curl_request *r = t->request;
    CURL *easy = r->easy;
    char *url = arena_cstr(arena, r->url), *proxy = arena_cstr(arena, r->proxy);
    const char *protocols = r->protocols && !r->from_user ? r->protocols : "http,https";
    int64_t connect_us = r->connect_us ? r->connect_us : CONNECT_DEFAULT_US;
    if (!url || !proxy)
        return false;
    int rc = curl_easy_setopt(easy, CURLOPT_URL, url);
    rc |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols);
    rc |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    rc |= curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
    rc |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    rc |= curl_easy_setopt(easy, CURLOPT_RESOLVE, addresses);
    rc |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    rc |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
    rc |= curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    rc |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    rc |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_us / CLOCK_MS));
    if (r->out) {
        rc |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
        rc |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, r->out);
    }
    return rc == CURLE_OK;
}

/* What libcurl says in ours. */
static enum status say_failed(struct task *task, const struct transfer *t)
{
    static const struct {
        CURLcode code;
        enum status status;
        int http_status;
        const char *type, *words;
    } table[] = {
        { CURLE_COULDNT_RESOLVE_HOST, STATUS_UNAVAILABLE, 502, "client/dns", "was not found" },
        { CURLE_COULDNT_RESOLVE_PROXY, STATUS_UNAVAILABLE, 502, "client/dns", "was not found" },
        { CURLE_COULDNT_CONNECT, STATUS_UNAVAILABLE, 502, "client/connect", "cannot be reached" },
        { CURLE_OPERATION_TIMEDOUT, STATUS_TIMEOUT, 504, "client/timeout", "was too late" },
        { CURLE_PEER_FAILED_VERIFICATION, STATUS_UNAVAILABLE, 502, "client/tls",
          "has a certificate that cannot be trusted" },
        { CURLE_SSL_CONNECT_ERROR, STATUS_UNAVAILABLE, 502, "client/tls",
          "did not finish the TLS handshake" },
        { CURLE_SSL_CACERT_BADFILE, STATUS_UNAVAILABLE, 502, "client/tls",
          "cannot be verified: there are no authorities" },
        { CURLE_USE_SSL_FAILED, STATUS_UNAVAILABLE, 502, "client/tls", "does not speak TLS" },
        { CURLE_FILESIZE_EXCEEDED, STATUS_TOO_LARGE, 502, "client/too-large",
          "answers with more than allowed" },
        { CURLE_UNSUPPORTED_PROTOCOL, STATUS_INVALID, 0, "client/request",
          "may not be reached by this scheme" },
        { CURLE_URL_MALFORMAT, STATUS_INVALID, 0, "client/request", "stands in a malformed URL" },
        { CURLE_LOGIN_DENIED, STATUS_UNAVAILABLE, 502, "client/login", "refuses our credentials" },
        { CURLE_GOT_NOTHING, STATUS_UNAVAILABLE, 502, "client/closed",
          "closed the connection without an answer" },
        { CURLE_OUT_OF_MEMORY, STATUS_EXHAUSTED, 503, "client/busy",
          "cannot be asked: memory is short" },
    };
    if (t->refused)
        return net__said(task,
                         problem_set(task, STATUS_DENIED, "client/refused-address",
                                     "This URL leads to an address where URLs from outside may "
                                     "not go."),
                         422);
    if (t->code == CURLE_WRITE_ERROR && t->request->out)
        return net__said(task,
                         problem_set(task, STATUS_TOO_LARGE, "client/too-large",
                                     "\"%.*s\" answers with more than allowed.",
                                     SLICE_ARG(t->host)),
                         502);
    size_t i = 0;
    while (i < ARRAY_LEN(table) && table[i].code != t->code)
        i++;
    bool is_known = i < ARRAY_LEN(table);
    enum status st = is_known ? table[i].status : STATUS_UNAVAILABLE;
    st = problem_set(task, st, is_known ? table[i].type : "client/protocol", "\"%.*s\" %s.",
                     SLICE_ARG(t->host), is_known ? table[i].words : "gave no usable answer");
    problem_cause(task_problem(task), task_arena(task), slice_cstr(curl_easy_strerror(t->code)));
    return is_known && table[i].http_status == 0
               ? st
               : net__said(task, st, is_known ? table[i].http_status : 502);
}

static enum status run(struct task *task, struct transfer *t, struct multi *m, int64_t until_us)
{
    CURL *easy = t->request->easy;
    if (curl_multi_add_handle(m->handle, easy) != CURLM_OK)
        return net__said(task,
                         problem_set(task, STATUS_EXHAUSTED, "client/busy",
                                     "No further transfer can be started now."),
                         503);
    enum status st = STATUS_OK;
    while (!t->done && st == STATUS_OK)
        st = task_wait_until(task, until_us);
    if (!t->done) {
        (void)curl_multi_remove_handle(m->handle, easy);
        if (st == STATUS_TIMEOUT)
            return net__said(task,
                             problem_set(task, st, "client/timeout",
                                         "\"%.*s\" did not finish in time.", SLICE_ARG(t->host)),
                             504);
        return st;
    }
    return t->code == CURLE_OK ? STATUS_OK : say_failed(task, t);
}

/* The handle is the caller's again, without what points into our frame. */
static void unset_options(CURL *easy)
{
    (void)curl_easy_setopt(easy, CURLOPT_RESOLVE, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, NULL);
}

static enum status perform(struct task *task, struct net__curl *curl, struct transfer *t,
                           long *ret_status)
{
    const struct net_curl_request *r = t->request;
    struct curl_slist *addresses = NULL;
    int64_t timeout_us = r->timeout_us ? r->timeout_us : TIMEOUT_DEFAULT_US;
    int64_t until_us = loop_now_us(curl->client->loop) + timeout_us;
    enum status st = resolve_list(task, curl->client, r, until_us, &t->host, &addresses);
    if (st == STATUS_OK && !set_options(t, task_arena(task), addresses))
        st = say_url(task, "The transfer cannot be set up.");
    if (st == STATUS_OK)
        st = run(task, t, &curl->multis[r->from_user], until_us);
    if (st == STATUS_OK)
        (void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, ret_status);
    unset_options(r->easy);
    curl_slist_free_all(addresses);
    return st;
}

enum status net_curl_perform(struct task *task, const struct net_curl_request *request,
                             long *ret_status)
{
    struct net_client *client = net_client_of(task_loop(task));
    struct net__curl *curl = client && !client->closed ? curl_get(client) : NULL;
    if (!curl)
        return problem_set(task, STATUS_UNAVAILABLE, "client/closed",
                           "This loop makes no requests to other servers.");
    if (curl->places.waiting >= WAITING_MAX)
        return net__said(task,
                         problem_set(task, STATUS_EXHAUSTED, "client/busy",
                                     "Too many transfers are waiting already."),
                         503);
    enum status st = task_sem_take(task, &curl->places);
    if (st != STATUS_OK)
        return st;
    struct transfer t = {
        .task = task, .client = client, .request = request, .guarded = request->from_user
    };
    int64_t started_us = loop_now_us(client->loop);
    st = perform(task, curl, &t, ret_status);
    task_sem_give(&curl->places);
    net__observe(client, NET_METHOD_OTHER, st == STATUS_OK ? (int)*ret_status : 0, st,
                 task_problem(task)->type, started_us);
    return st;
}
