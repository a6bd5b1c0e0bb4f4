/*
 * net/curl.h - libcurl on the loop, for third parties that need more than net/client.h speaks:
 * HTTP/2, proxies, signed requests. A transfer is set up with libcurl's own options and
 * performed by a task, which waits while the loop does not.
 *
 * Not for mail and FTP: libcurl 7.88 ends their transfers in a loop of its own, for as long as the
 * server likes (identity/mail_smtp.c).
 *
 * Names are looked up by us, never by libcurl, which would start a thread for each and wait for it;
 * the guard of net/client.h holds here too.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct buf;
struct task;

struct net_curl_request {
    CURL *easy; /* the caller's: method, headers, bodies, credentials, versions */
    struct slice url;
    const char *protocols; /* allowed ones, as CURLOPT_PROTOCOLS_STR; NULL: "http,https" */
    struct slice proxy;    /* "http://host:port"; empty: none, whatever the environment says */
    bool from_user;        /* as in net_client_request; http and https, no proxy */
    struct buf *out;       /* gets the answer's body as far as its max; NULL: the caller has set
                              CURLOPT_WRITEFUNCTION */
    int64_t connect_us;    /* to a connection that is ready. 0: 10 s */
    int64_t timeout_us;    /* of all. 0: 60 s; ends earlier when the task's deadline does */
};

/*
 * Perform a transfer. These options are ours and overwritten: URL, protocols, proxy, name
 * resolution, redirects (none), verification of TLS peers (always), signals (none), timeouts.
 *
 * Errors   INVALID client/request, DENIED client/refused-address, UNAVAILABLE client/dns,
 *          client/connect, client/tls, client/protocol (502), TIMEOUT client/timeout (504),
 *          TOO_LARGE client/too-large (`out` is full), EXHAUSTED client/busy, CANCELLED.
 * Memory   the handle stays the caller's, and may be used again.
 * Context  suspends. The loop needs a client (net_client_open). *ret_status is the status of HTTP
 *          or the last reply code of another protocol.
 * Bounds   64 transfers of a loop at once; further ones wait, at most 256.
 */
enum status net_curl_perform(struct task *task, const struct net_curl_request *request,
                             long *ret_status);
