/*
 * net/h2_input.c - Bytes to nghttp2, after a look at the head of each frame: what it takes in
 * silence is counted or refused here.
 */
#include "net/h2.h"

#include <string.h>

#include "base/macros.h"

static ssize_t receive(struct net__h2 *h2, struct slice bytes)
{
    if (bytes.len == 0)
        return 0;
    h2->in_nghttp2 = true;
    ssize_t rc = nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes.data, bytes.len);
    h2->in_nghttp2 = false;
    return rc;
}

/* nghttp2 keeps no closed streams and lets HEADERS and DATA of one pass in silence, as they may
 * have crossed our reset. Where we have reset nothing they are an error (RFC 9113 5.1, 5.1.1). It
 * has taken all frames before this one. */
static bool is_of_closed(struct net__h2 *h2, const nghttp2_frame_hd *hd)
{
    if (h2->heads_seen != h2->heads_opened)
        h2->has_reset = true; /* nghttp2 refused a stream that the peer knows of */
    return !h2->has_reset && !nghttp2_session_find_stream(h2->session, hd->stream_id);
}

/* Is it a frame for a stream that was there before? Even numbers nghttp2 refuses. */
static bool concerns_old_stream(const struct net__h2 *h2, const nghttp2_frame_hd *hd)
{
    return (hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_DATA) && hd->stream_id % 2 == 1 &&
           hd->stream_id <= h2->last_id;
}

/* What nghttp2 leaves to us. False: GOAWAY is submitted. */
static bool check_frame(struct net__h2 *h2, const nghttp2_frame_hd *hd)
{
    static const enum net__h2_kind kinds[] = {
        [NGHTTP2_DATA] = NET__H2_BUDGETS,
        [NGHTTP2_HEADERS] = NET__H2_BUDGETS,
        [NGHTTP2_PRIORITY] = NET__H2_PRIORITIES,
        [NGHTTP2_RST_STREAM] = NET__H2_RESETS,
        [NGHTTP2_SETTINGS] = NET__H2_SETTINGS,
        [NGHTTP2_PUSH_PROMISE] = NET__H2_UNKNOWN,
        [NGHTTP2_PING] = NET__H2_PINGS,
        [NGHTTP2_GOAWAY] = NET__H2_UNKNOWN,
        [NGHTTP2_WINDOW_UPDATE] = NET__H2_WINDOW_UPDATES,
        [NGHTTP2_CONTINUATION] = NET__H2_BUDGETS, /* nghttp2 counts them */
    };
    uint32_t code = NGHTTP2_NO_ERROR;
    if (concerns_old_stream(h2, hd) && is_of_closed(h2, hd))
        code = h2->has_gaps ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_STREAM_CLOSED;
    else if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0)
        code = NGHTTP2_PROTOCOL_ERROR;
    if (code != NGHTTP2_NO_ERROR) {
        (void)nghttp2_session_terminate_session(h2->session, code); /* else: without a word */
        return false;
    }
    if (hd->type == NGHTTP2_HEADERS && hd->stream_id > h2->last_id && hd->stream_id % 2 == 1) {
        h2->heads_seen++;
        h2->has_gaps |= hd->stream_id != h2->last_id + 2;
        h2->last_id = hd->stream_id;
    }
    enum net__h2_kind kind = NET__H2_UNKNOWN;
    if (hd->type < ARRAY_LEN(kinds))
        kind = kinds[hd->type];
    else if (hd->type == NGHTTP2_PRIORITY_UPDATE)
        kind = NET__H2_PRIORITIES;
    return kind == NET__H2_BUDGETS || net__h2_spend(h2, kind);
}

static nghttp2_frame_hd frame_head(const uint8_t *p)
{
    return (nghttp2_frame_hd){
        .length = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2],
        .type = p[3],
        .flags = p[4],
        .stream_id = (int32_t)((uint32_t)(p[5] & 0x7f) << 24 | (uint32_t)p[6] << 16 |
                               (uint32_t)p[7] << 8 | p[8]),
    };
}

/* Look at the head of each frame before nghttp2 does: it tells of most of them, not of those that
 * it ignores, and a flood of these is a flood, too. */
ssize_t net__h2_input(struct net__h2 *h2, struct slice bytes)
{
    size_t at = 0, given = 0;
    while (at < bytes.len) {
        if (h2->frame_left > 0) {
            size_t n = MIN((size_t)h2->frame_left, bytes.len - at);
            h2->frame_left -= (uint32_t)n;
            at += n;
            continue;
        }
        size_t head_at = at, n = MIN(NET__H2_HEAD_BYTES - h2->head_len, bytes.len - at);
        memcpy(h2->head + h2->head_len, bytes.data + at, n);
        h2->head_len = (uint8_t)(h2->head_len + n);
        at += n;
        if (h2->head_len < NET__H2_HEAD_BYTES)
            break;
        nghttp2_frame_hd hd = frame_head(h2->head);
        h2->head_len = 0;
        h2->frame_left = (uint32_t)hd.length;
        if (concerns_old_stream(h2, &hd)) {
            ssize_t rc = receive(h2, slice_of(bytes.data + given, head_at - given));
            given = head_at;
            if (rc < 0)
                return rc;
        }
        if (!check_frame(h2, &hd))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return receive(h2, slice_from(bytes, given));
}
