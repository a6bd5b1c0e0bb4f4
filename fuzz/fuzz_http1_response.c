/*
 * fuzz/fuzz_http1_response.c - Answers as the client reads them, fed in pieces whose sizes the
 * first bytes choose. What is understood must not depend on the pieces, and llhttp alone must find
 * no other body in what we accept.
 */
#include "http1.h"
#include "net/client_private.h"

static struct net_header headers[NET__HEADERS_MAX + 1];

/* False: no more whole heads. */
static bool read_head(struct feed *f, char *copy, bool is_head, struct net__answer_head *head,
                      struct seen *seen)
{
    struct net__answer_scan scan = { .at = 0 };
    enum net__scan_result found = NET__SCAN_MORE;
    bool too_large = false;
    while (found == NET__SCAN_MORE) {
        struct slice unread = feed_unread(f);
        if (unread.len)
            found = net__answer_scan(&scan, unread.data, unread.len, &too_large);
        require(scan.at <= unread.len);
        if (found == NET__SCAN_MORE && !feed_more(f))
            return false;
    }
    const char *wrong = "scan";
    if (found == NET__SCAN_WHOLE) {
        require(scan.lines >= 1 && scan.lines - 1u <= NET__HEADERS_MAX);
        memcpy(copy, feed_unread(f).data, scan.at);
        wrong = net__answer_parse(copy, scan.at, headers, scan.lines - 1u, is_head, head);
        f->at += scan.at;
    }
    note_number(seen, wrong != NULL);
    return !wrong;
}

static void note_head(struct seen *seen, const struct net__answer_head *head)
{
    const struct net_client_response *r = &head->response;
    require(r->status >= 100 && r->status <= 999 && r->version_minor <= 1);
    require(r->has_body == (head->until != NET__UNTIL_NONE));
    require(!head->keep_alive || head->until != NET__UNTIL_CLOSE);
    note_number(seen, r->status);
    note_number(seen, r->content_length);
    note_number(seen, head->until);
    note_number(seen, head->keep_alive);
    note_number(seen, head->keep_us);
    for (unsigned i = 0; i < r->headers_len; i++) {
        note(seen, r->headers[i].name);
        note(seen, r->headers[i].value);
        require(r->headers[i].name.len > 0);
        require(!memchr(r->headers[i].value.data, '\r', r->headers[i].value.len));
    }
}

static struct net__framing framing_of(const struct net__answer_head *head)
{
    return (struct net__framing){
        .chunked = head->until == NET__UNTIL_CHUNKED,
        .length = head->until == NET__UNTIL_LENGTH ? head->response.content_length : 0,
    };
}

static struct seen run(struct slice all, const uint8_t *splits, bool is_head)
{
    struct seen seen = { 0 };
    struct feed f = { .all = all, .splits = splits };
    char *body = malloc(all.len + 1), *copy = malloc(all.len + 1);
    require(body && copy);
    bool goes_on = true;
    while (goes_on && seen.messages < MESSAGES_MAX) {
        struct net__answer_head head;
        size_t body_len = 0, start = f.at;
        goes_on = read_head(&f, copy, is_head, &head, &seen);
        if (goes_on) {
            note_head(&seen, &head);
            const struct net__framing framing = framing_of(&head);
            goes_on = head.until != NET__UNTIL_CLOSE && read_body(&f, &framing, body, &body_len);
            note(&seen, slice_of(body, body_len));
            note_number(&seen, goes_on);
        }
        if (goes_on) {
            seen.messages++;
            seen.end = f.at;
            if (!splits && !is_head)
                check_other(HTTP_RESPONSE, slice_of(all.data + start, f.at - start),
                            slice_of(body, body_len));
        }
    }
    free(body);
    free(copy);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SPLITS)
        return 0;
    bool is_head = data[0] & 1;
    struct slice all = slice_of((const char *)data + SPLITS, size - SPLITS);
    struct seen whole = run(all, NULL, is_head);
    struct seen split = run(all, data, is_head);
    require(whole.digest == split.digest && whole.messages == split.messages &&
            whole.end == split.end);
    return 0;
}
