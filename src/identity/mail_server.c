/*
 * identity/mail_server.c - SMTP_URL: smtp[s]://[user:password@]host[:port][/name][?starttls=...].
 * TLS is asked for unless the server is on this machine: a password, and links that open accounts,
 * would go over the network in clear, and whoever is in between could have it so.
 */
#include <curl/curl.h>
#include <string.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/buf.h"
#include "identity/mail_private.h"

#define URL_MAX 2048u

struct parts {
    char *scheme, *host, *user, *password, *port, *path, *query;
};

static void parts_free(struct parts *p)
{
    char *const all[] = { p->scheme, p->host, p->user, p->password, p->port, p->path, p->query };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        curl_free(all[i]);
}

static const char *take_apart(const char *text, struct parts *p)
{
    CURLU *url = curl_url();
    const struct {
        CURLUPart part;
        char **out;
        CURLUcode missing; /* what is said when it is not there; CURLUE_OK: it has to be */
        unsigned flags;
    } wanted[] = {
        { CURLUPART_SCHEME, &p->scheme, CURLUE_OK, 0 },
        { CURLUPART_HOST, &p->host, CURLUE_OK, 0 },
        { CURLUPART_USER, &p->user, CURLUE_NO_USER, CURLU_URLDECODE },
        { CURLUPART_PASSWORD, &p->password, CURLUE_NO_PASSWORD, CURLU_URLDECODE },
        { CURLUPART_PORT, &p->port, CURLUE_NO_PORT, 0 },
        { CURLUPART_PATH, &p->path, CURLUE_OK, 0 },
        { CURLUPART_QUERY, &p->query, CURLUE_NO_QUERY, 0 },
    };
    const char *fault =
        !url || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK
            ? "must be a URL such as smtp://user:password@mail.example.org:587; encode what is "
              "special in the password (\"@\" is %40)."
            : NULL;
    for (size_t i = 0; i < ARRAY_LEN(wanted) && !fault; i++) {
        CURLUcode rc = curl_url_get(url, wanted[i].part, wanted[i].out, wanted[i].flags);
        if (rc != CURLUE_OK && (rc != wanted[i].missing || wanted[i].missing == CURLUE_OK))
            fault = "is malformed.";
    }
    curl_url_cleanup(url);
    return fault;
}

static bool is_local(const char *host)
{
    struct slice name = slice_cstr(host);
    struct address address;
    if (name.len > 2 && name.data[0] == '[')
        name = slice_of(name.data + 1, name.len - 2);
    if (slice_eq_nocase(name, SLICE("localhost")))
        return true;
    return address_parse(name, &address) && address_is_loopback(&address);
}

/* The name that we greet with goes into a command: only what names have. */
static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.';
        if (!fits)
            return false;
    }
    return name.len > 0 && name.len < 254;
}

static bool has_controls(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static const char *read_tls(const struct parts *p, struct identity__mail_server *server)
{
    server->tls_from_start = strcmp(p->scheme, "smtps") == 0;
    if (!server->tls_from_start && strcmp(p->scheme, "smtp") != 0)
        return "must begin with smtp:// or smtps://.";
    server->wants_starttls = !server->tls_from_start && !is_local(p->host);
    if (!p->query)
        return NULL;
    bool is_off = strcmp(p->query, "starttls=off") == 0;
    if (server->tls_from_start || (!is_off && strcmp(p->query, "starttls=required") != 0))
        return "may end with ?starttls=off or ?starttls=required, and that for smtp:// only.";
    server->wants_starttls = !is_off;
    return NULL;
}

static enum status make(struct arena *arena, const struct parts *p, struct slice helo,
                        struct identity__mail_server *server, const char **ret_reason)
{
    *ret_reason = read_tls(p, server);
    struct slice path = slice_from(slice_cstr(p->path), 1);
    struct slice name = path.len ? path : helo;
    if (!*ret_reason && !is_name(name))
        *ret_reason = "has a path that is no name to greet with.";
    if (!*ret_reason && (has_controls(p->user) || has_controls(p->password)))
        *ret_reason = "has control characters in its user or password.";
    if (*ret_reason)
        return STATUS_INVALID;
    /* Submission with a login, else from one mail server to another (RFC 6409). */
    const char *port = p->port ? p->port : server->tls_from_start ? "465" : p->user ? "587" : "25";
    server->url = arena_printf(arena, "%s://%s:%s/%.*s", p->scheme, p->host, port, SLICE_ARG(name));
    if (p->user) {
        server->user = arena_cstr(arena, slice_cstr(p->user));
        server->password = arena_cstr(arena, p->password ? slice_cstr(p->password) : SLICE(""));
    }
    return server->url.data && (!p->user || (server->user && server->password)) ? STATUS_OK
                                                                                : STATUS_EXHAUSTED;
}

enum status identity__mail_server_read(struct arena *arena, struct slice text, struct slice helo,
                                       struct identity__mail_server *ret_server,
                                       const char **ret_reason)
{
    struct identity__mail_server server = { .user = NULL };
    struct parts parts = { .scheme = NULL };
    if (text.len > URL_MAX || (text.len && memchr(text.data, 0, text.len))) {
        *ret_reason = "is too long.";
        return STATUS_INVALID;
    }
    char *url = arena_cstr(arena, text);
    if (!url)
        return STATUS_EXHAUSTED;
    *ret_reason = take_apart(url, &parts);
    enum status st = *ret_reason ? STATUS_INVALID : make(arena, &parts, helo, &server, ret_reason);
    parts_free(&parts);
    if (st == STATUS_OK)
        *ret_server = server;
    return st;
}
