/*
 * http/request_id.c - X-Request-Id: taken over when it is short and harmless, made otherwise, and
 * always sent back.
 */
#include "http/internal.h"

#include <string.h>

#include "base/id.h"

#define REQUEST_ID_MAX 128u

/* What may stand in logs, URLs and headers without a second thought. */
static bool is_safe(struct slice id)
{
    if (id.len == 0 || id.len > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.data[i];
        bool is_alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_alnum && c != '-' && c != '_' && c != '.' && c != ':' && c != '/' && c != '+' &&
            c != '=')
            return false;
    }
    return true;
}

static bool before(struct http_request *req)
{
    const struct net_header *sent = net_header_get(http_net(req), NET_HEADER_X_REQUEST_ID);
    if (sent && is_safe(sent->value)) {
        req->request_id = sent->value;
    } else if (req->trace_is_ours) {
        req->request_id = req->trace_id; /* one name is enough for a request that begins here */
    } else {
        http__hex64(random_fast(), req->request_id_text);
        http__hex64(random_fast(), req->request_id_text + 16);
        req->request_id = slice_of(req->request_id_text, 32);
    }
    return true;
}

static void after(struct http_request *req, int status)
{
    (void)status;
    http__step_header(req, SLICE("X-Request-Id"), req->request_id);
}

const struct http__step http__step_request_id = {
    .name = "request_id",
    .before = before,
    .after = after,
};
