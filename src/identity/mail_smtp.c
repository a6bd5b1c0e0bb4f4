/*
 * identity/mail_smtp.c - Mail by SMTP, through libcurl.
 *
 * Not through net/curl.h: libcurl 7.88 waits inside of curl_multi_socket_action for what the server
 * says to the end of a message (smtp_done) and to QUIT (smtp_disconnect), however long that takes,
 * and servers look for spam just there. On a loop everybody would wait with it, so mail has a few
 * threads of its own, on which nobody else's work waits.
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/mail_private.h"

#define SAID_MAX 400u
#define SOCKETS_MAX 4u
#define TOTAL_TIMEOUTS 4 /* a transfer may take so many times what one answer may */

struct transfer {
    const struct identity_mail *mail;
    const struct identity__mail_parcel *parcel;
    char *url, *from, *to;
    size_t taken;        /* of the message */
    char verb[5];        /* the last command that was sent */
    long code;           /* of the last answer ... */
    char said[SAID_MAX]; /* ... and its lines */
    size_t said_len;
    bool said_ends;                     /* the next line begins another answer */
    bool is_over;                       /* we said QUIT: what is answered to that does not count */
    curl_socket_t sockets[SOCKETS_MAX]; /* that are open */
    unsigned sockets_len;
    CURLcode rc;
};

/* -- what libcurl tells
 * --------------------------------------------------------------------------------------- */

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t n = MIN(size * count, t->parcel->mime.len - t->taken);
    memcpy(out, t->parcel->mime.data + t->taken, n);
    t->taken += n;
    return n;
}

/* A line of an answer: "250-SIZE", "550 5.1.1 no such user". */
static size_t on_line(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    struct slice line = slice_of(data, size * count);
    int64_t code;
    if (t->is_over)
        return size * count;
    while (line.len && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    if (t->said_ends)
        t->said_len = 0;
    t->said_ends = line.len < 4 || line.data[3] != '-';
    if (slice_to_i64(slice_head(line, 3), &code) && code >= 200 && code < 600)
        t->code = (long)code;
    if (t->said_len > 0 && t->said_len < SAID_MAX)
        t->said[t->said_len++] = ' ';
    for (size_t i = 0; i < line.len && t->said_len < SAID_MAX; i++) {
        unsigned char c = (unsigned char)line.data[i];
        t->said[t->said_len++] = (char)(c < 0x20 || c >= 0x7f ? '?' : c);
    }
    return size * count;
}

/* Several may be tried at once: one of each family. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *t = arg;
    (void)purpose;
    if (t->sockets_len == SOCKETS_MAX)
        return CURL_SOCKET_BAD;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0)
        t->sockets[t->sockets_len++] = fd;
    return fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
    struct transfer *t = arg;
    for (unsigned i = 0; i < t->sockets_len; i++)
        if (t->sockets[i] == fd)
            t->sockets[i] = t->sockets[--t->sockets_len];
    return close(fd);
}

/* It is said, and politely: nobody waits for what is answered, which may be never. */
static void after_quit(struct transfer *t)
{
    t->is_over = true;
    for (unsigned i = 0; i < t->sockets_len; i++)
        (void)shutdown(t->sockets[i], SHUT_RD);
}

/* What was sent last; the lines of a login are none of our business. */
static int on_debug(CURL *easy, curl_infotype type, char *data, size_t len, void *arg)
{
    static const char verbs[][5] = { "EHLO", "HELO", "STAR", "AUTH", "MAIL", "RCPT", "DATA" };
    struct transfer *t = arg;
    (void)easy;
    for (size_t i = 0; type == CURLINFO_HEADER_OUT && i < ARRAY_LEN(verbs); i++)
        if (len >= 4 && memcmp(data, verbs[i], 4) == 0)
            memcpy(t->verb, verbs[i], sizeof(t->verb));
    if (type == CURLINFO_HEADER_OUT && len >= 4 && memcmp(data, "QUIT", 4) == 0)
        after_quit(t);
    return 0;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    const struct transfer *t = arg;
    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return t->parcel->cut && __atomic_load_n(t->parcel->cut, __ATOMIC_RELAXED);
}

/* -- on a thread that may wait
 * -------------------------------------------------------------------------------- */

static bool set_where(CURL *easy, const struct transfer *t)
{
    const struct identity__mail_server *server = &t->mail->server;
    long timeout_ms = (long)(t->mail->timeout_us / CLOCK_MS);
    int rc = curl_easy_setopt(easy, CURLOPT_URL, t->url);
    rc |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    rc |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
    rc |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_USE_SSL,
                           (long)(server->wants_starttls || server->tls_from_start
                                      ? CURLUSESSL_ALL
                                      : CURLUSESSL_NONE));
    rc |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (t->mail->ca_file)
        rc |= curl_easy_setopt(easy, CURLOPT_CAINFO, t->mail->ca_file);
    if (server->user) {
        rc |= curl_easy_setopt(easy, CURLOPT_USERNAME, server->user);
        rc |= curl_easy_setopt(easy, CURLOPT_PASSWORD, server->password);
    }
    rc |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    rc |= curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, MAX(timeout_ms / 1000, 1L));
    rc |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TOTAL_TIMEOUTS * timeout_ms);
    return rc == CURLE_OK;
}

static bool set_what(CURL *easy, struct transfer *t, struct curl_slist *to)
{
    int rc = curl_easy_setopt(easy, CURLOPT_MAIL_FROM, t->from);
    rc |= curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to);
    rc |= curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->parcel->mime.len);
    rc |= curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    rc |= curl_easy_setopt(easy, CURLOPT_READDATA, t);
    rc |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_line);
    rc |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    rc |= curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
    rc |= curl_easy_setopt(easy, CURLOPT_DEBUGDATA, t);
    rc |= curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    rc |= curl_easy_setopt(easy, CURLOPT_XFERINFODATA, t);
    rc |= curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    rc |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    rc |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
    rc |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    rc |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, t);
    rc |= curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    return rc == CURLE_OK;
}

static void perform(void *arg)
{
    struct transfer *t = arg;
    CURL *easy = curl_easy_init();
    struct curl_slist *to = curl_slist_append(NULL, t->to);
    t->rc = CURLE_OUT_OF_MEMORY;
    if (easy && to && set_where(easy, t) && set_what(easy, t, to))
        t->rc = curl_easy_perform(easy);
    curl_easy_cleanup(easy);
    curl_slist_free_all(to);
}

/* -- what became of it
 * ----------------------------------------------------------------------------------------- */

static bool is_verb(const struct transfer *t, const char *verb)
{
    return strcmp(t->verb, verb) == 0;
}

static const char *reason_of(const struct transfer *t)
{
    static const struct {
        CURLcode code;
        const char *reason;
    } codes[] = {
        { CURLE_COULDNT_RESOLVE_HOST, "the server's name was not found" },
        { CURLE_COULDNT_CONNECT, "the server cannot be reached" },
        { CURLE_OPERATION_TIMEDOUT, "the server took too long" },
        { CURLE_PEER_FAILED_VERIFICATION, "the server's certificate cannot be trusted" },
        { CURLE_SSL_CONNECT_ERROR, "the TLS handshake failed" },
        { CURLE_SSL_CACERT_BADFILE, "the file of trusted authorities cannot be read" },
        { CURLE_USE_SSL_FAILED, "the server offers no TLS" },
        { CURLE_LOGIN_DENIED, "the server refuses the login" },
        { CURLE_GOT_NOTHING, "the server closed the connection" },
        { CURLE_RECV_ERROR, "the connection broke" },
    };
    static const struct {
        const char *verb, *reason;
    } verbs[] = {
        { "", "the server refuses the connection" },
        { "EHLO", "the server refuses the greeting" },
        { "HELO", "the server refuses the greeting" },
        { "STAR", "the server refuses to begin TLS" },
        { "AUTH", "the server refuses the login" },
        { "MAIL", "the server refuses the sender" },
        { "RCPT", "the server refuses the recipient" },
        { "DATA", "the server refuses the message" },
    };
    if (t->rc == CURLE_OK)
        return "";
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i].code == t->rc && t->rc != CURLE_RECV_ERROR)
            return codes[i].reason;
    for (size_t i = 0; i < ARRAY_LEN(verbs) && t->code >= 400; i++)
        if (is_verb(t, verbs[i].verb))
            return verbs[i].reason;
    return t->rc == CURLE_RECV_ERROR ? "the connection broke" : "the server gave no usable answer";
}

/* What is said of the mail itself, for good, ends it. What is said of us (the connection, the
 * login, the sender) will be another day, when somebody has set it right. */
static enum identity__mail_verdict verdict_of(const struct transfer *t)
{
    if (t->rc == CURLE_OK)
        return IDENTITY__MAIL_SENT;
    bool is_of_mail = is_verb(t, "RCPT") || is_verb(t, "DATA");
    return is_of_mail && t->code >= 500 ? IDENTITY__MAIL_REFUSED : IDENTITY__MAIL_LATER;
}

static enum status send_smtp(struct task *task, const struct identity_mail *mail,
                             const struct identity__mail_parcel *parcel,
                             struct identity__mail_outcome *ret_outcome)
{
    struct arena *arena = task_arena(task);
    struct transfer *t = arena_new_of(arena, struct transfer);
    if (!t)
        return STATUS_EXHAUSTED;
    t->mail = mail;
    t->parcel = parcel;
    t->said_ends = true;
    t->url = arena_cstr(arena, mail->server.url);
    t->from = arena_cstr(arena, mail->from.address);
    t->to = arena_cstr(arena, parcel->to);
    if (!t->url || !t->from || !t->to)
        return STATUS_EXHAUSTED;
    enum status st = task_offload_on(task, mail->pool, perform, t);
    if (st != STATUS_OK)
        return st;
    if (t->rc == CURLE_ABORTED_BY_CALLBACK)
        return STATUS_CANCELLED;
    *ret_outcome = (struct identity__mail_outcome){ .verdict = verdict_of(t),
                                                    .code = t->code,
                                                    .said = slice_of(t->said, t->said_len),
                                                    .reason = reason_of(t) };
    return STATUS_OK;
}

const struct identity__mail_sender identity__mail_smtp = { .name = "smtp", .send = send_smtp };
