/*
 * fuzz/fuzz_http1.c - The HTTP/1.1 codec: requests in a row, fed in pieces whose sizes the first
 * bytes choose. What is understood must not depend on the pieces, and llhttp alone must find no
 * other body in what we accept.
 */
#include "base/arena.h"
#include "http1.h"

static const struct net_limits limits = {
    .line_bytes_max = 128,
    .headers_bytes_max = 512,
    .headers_max = 8,
};

struct message {
    struct arena *arena;
    struct net_request request;
    struct net__framing framing;
    size_t start;
};

/* False: no more whole heads. */
static bool read_head(struct feed *f, struct message *m, struct seen *seen)
{
    struct net__scan scan = { 0 };
    const struct net_refusal *refusal = NULL;
    enum net__scan_result found = NET__SCAN_MORE;
    while (found == NET__SCAN_MORE) {
        struct slice unread = feed_unread(f);
        if (unread.len)
            found = net__scan_head(&scan, unread.data, unread.len, &limits, &refusal);
        require(scan.at <= unread.len);
        if (found == NET__SCAN_MORE && !feed_more(f))
            return false;
    }
    if (found == NET__SCAN_WHOLE) {
        size_t len = scan.at - scan.head_start;
        unsigned headers_max = scan.lines - 1u;
        char *head = arena_alloc(m->arena, len);
        require(headers_max <= limits.headers_max);
        m->request.headers = arena_array_of(m->arena, struct net_header, MAX(headers_max, 1u));
        memcpy(head, feed_unread(f).data + scan.head_start, len);
        refusal = net__parse_head(m->arena, head, len, headers_max, &m->request, &m->framing);
        m->start = f->at + scan.head_start;
        f->at += scan.at;
    }
    if (refusal) {
        /* What is both too long and malformed is called the one or the other by how much of it had
         * come. */
        int status = refusal->http_status;
        note_number(seen, status == 414 || status == 431 ? 400 : status);
    }
    return !refusal;
}

static void note_request(struct seen *seen, const struct net_request *r)
{
    note(seen, r->path);
    note(seen, r->query);
    note(seen, r->host);
    note_number(seen, r->method);
    note_number(seen, r->keep_alive);
    for (unsigned i = 0; i < r->headers_len; i++) {
        note(seen, r->headers[i].name);
        note(seen, r->headers[i].value);
    }
    require(r->path.len > 0 && (r->path.data[0] == '/' || r->method == NET_METHOD_OPTIONS));
    require(!memchr(r->path.data, '\0', r->path.len));
}

/* llhttp knows no HTTP/1.2 to 1.9, which are to be taken as 1.1. */
static bool is_known_to_llhttp(struct slice message)
{
    const char *version = memchr(message.data, '\r', message.len);
    return version && version[-1] <= '1';
}

static struct seen run(struct slice all, const uint8_t *splits)
{
    struct seen seen = { 0 };
    struct feed f = { .all = all, .splits = splits };
    char *body = malloc(all.len + 1);
    require(body != NULL);
    bool goes_on = true;
    while (goes_on && seen.messages < MESSAGES_MAX) {
        struct message m = { .arena = arena_new(NULL, (size_t)1 << 20) };
        size_t body_len = 0;
        goes_on = read_head(&f, &m, &seen);
        if (goes_on) {
            note_request(&seen, &m.request);
            goes_on = read_body(&f, &m.framing, body, &body_len);
            note(&seen, slice_of(body, body_len));
            note_number(&seen, goes_on);
        }
        if (goes_on) {
            seen.messages++;
            seen.end = f.at;
            struct slice message = slice_of(all.data + m.start, f.at - m.start);
            if (!splits && is_known_to_llhttp(message))
                check_other(HTTP_REQUEST, message, slice_of(body, body_len));
        }
        arena_free(m.arena);
    }
    free(body);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SPLITS)
        return 0;
    struct slice all = slice_of((const char *)data + SPLITS, size - SPLITS);
    struct seen whole = run(all, NULL);
    struct seen split = run(all, data);
    require(whole.digest == split.digest && whole.messages == split.messages &&
            whole.end == split.end);
    return 0;
}
