/*
 * http/compress.c - Answers in the coding that the client likes best: zstd, br or gzip.
 *
 * What is compressed: text-like types from a size on, with a status that carries a whole
 * representation, unless the handler coded it already or said Cache-Control: no-transform. A
 * strong entity tag gets the coding's name as a suffix inside its quotes ("3-abc" -> "3-abc-br"):
 * the bytes differ, so the tag must (RFC 9110 8.8.3.3); http_etag_matches knows the suffixes, so
 * clients send back what they got.
 *
 * BREACH: where an answer holds a secret and text that an attacker chose, its compressed length
 * tells the secret. The attack needs a browser that attaches credentials by itself. So an answer
 * to a request that carries a cookie (or Basic, Digest, Negotiate credentials, which browsers
 * remember too) goes out plain, unless it says of itself that it is public, the policy allows it
 * (compression.with_cookies) or the handler does (http_compress_safe). Bearer tokens and API keys
 * are attached by code that the attacker does not run.
 *
 * Time: up to INLINE_BYTES are compressed where the answer is sent. More waits until the handler
 * has returned, and is then done in pieces between which the task gives way (app.c, finish).
 */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "http/coder.h"

#define BYTES_MIN_DEFAULT ((int64_t)1024)
#define INLINE_BYTES ((size_t)64 * 1024)
#define LEVEL_ZSTD 3
#define LEVEL_BR 4
#define LEVEL_GZIP 5
#define ENCODERS_MAX 64u
#define DECODERS_MAX 32u
#define BYTES_PER_SECOND_MAX ((int64_t)32 << 20)

static const char default_types[] =
    "text/*, application/json, *+json, application/x-ndjson, application/javascript, "
    "application/xml, *+xml, application/yaml, application/wasm, application/openmetrics-text, "
    "font/ttf, font/otf, image/bmp, image/x-icon";

enum skip { SKIP_CREDENTIALS, SKIP_BUSY, SKIP_COUNT };

struct http__compression {
    struct http__coder_limits limits;
    struct http__coders *coders[HTTP__LOOPS_MAX]; /* each of its own loop's thread */
    struct metrics *metrics;
    metric_series bytes_in[HTTP__CODING_COUNT], bytes_out[HTTP__CODING_COUNT];
    metric_series skipped[SKIP_COUNT];
};

/* -- life
 * ------------------------------------------------------------------------------------------------
 */

static void declare_metrics(struct http__compression *c, struct metrics *m)
{
    static const struct metric_desc bytes = {
        .name = "purlin_compression_bytes",
        .help = "Bytes of answers before (in) and after (out) compression.",
        .kind = METRIC_COUNTER,
        .labels = { "coding", "side" },
    };
    static const struct metric_desc skipped = {
        .name = "purlin_compression_skipped",
        .help = "Answers that went out plain though the client takes a coding: credentials that a "
                "browser attaches, or the loop's share of compression was used up.",
        .kind = METRIC_COUNTER,
        .labels = { "reason" },
    };
    static const struct slice reasons[SKIP_COUNT] = {
        [SKIP_CREDENTIALS] = SLICE_INIT("credentials"),
        [SKIP_BUSY] = SLICE_INIT("busy"),
    };
    unsigned metric = metric_declare(m, &bytes);
    for (unsigned i = 0; i < HTTP__CODING_COUNT; i++) {
        if (!(HTTP__CODINGS_SENT & 1u << i))
            continue;
        struct slice name = http__coding_name((enum http__coding)i);
        c->bytes_in[i] = metric_series_get(m, metric, (struct slice[]){ name, SLICE("in") });
        c->bytes_out[i] = metric_series_get(m, metric, (struct slice[]){ name, SLICE("out") });
    }
    metric = metric_declare(m, &skipped);
    for (unsigned i = 0; i < SKIP_COUNT; i++)
        c->skipped[i] = metric_series_get(m, metric, &reasons[i]);
}

struct http__compression *http__compression_new(const struct http_options *options)
{
    struct http__compression *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    const struct http_coders *o = &options->coders;
    c->limits = (struct http__coder_limits){
        .levels = { [HTTP__ZSTD] = o->zstd_level ? o->zstd_level : LEVEL_ZSTD,
                    [HTTP__BR] = o->br_level ? o->br_level : LEVEL_BR,
                    [HTTP__GZIP] = o->gzip_level ? o->gzip_level : LEVEL_GZIP },
        .encoders_max = ENCODERS_MAX,
        .decoders_max = DECODERS_MAX,
        .bytes_per_second_max = o->bytes_per_second ? o->bytes_per_second : BYTES_PER_SECOND_MAX,
    };
    c->metrics = options->metrics;
    if (c->metrics)
        declare_metrics(c, c->metrics);
    return c;
}

void http__compression_free(struct http__compression *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(c->coders); i++)
        http__coders_free(c->coders[i]);
    free(c);
}

struct http__coders *http__coders_of(struct http_request *req)
{
    struct http__compression *c = req->app->compression;
    unsigned index = loop_index(net_loop(req->x));
    if (index >= ARRAY_LEN(c->coders))
        return NULL;
    if (!c->coders[index])
        c->coders[index] = http__coders_new(&c->limits);
    return c->coders[index];
}

static void count(const struct http_request *req, metric_series series, int64_t n)
{
    struct http__compression *c = req->app->compression;
    if (c->metrics)
        metric_add(c->metrics, series, n);
}

void http_compress_never(struct http_request *req)
{
    req->compress = HTTP__COMPRESS_NEVER;
}

void http_compress_safe(struct http_request *req)
{
    req->compress = HTTP__COMPRESS_SAFE;
}

/* -- what is worth it
 * ---------------------------------------------------------------------------------------- */

/* "text/html" against "text/html", "text/" + "*" and "*+json". */
static bool matches(struct slice type, struct slice pattern)
{
    if (slice_starts(pattern, SLICE("*")))
        return slice_ends(type, slice_from(pattern, 1));
    if (slice_ends(pattern, SLICE("*")))
        return slice_starts(type, slice_head(pattern, pattern.len - 1));
    return slice_eq_nocase(type, pattern);
}

bool http__is_compressible(const struct http_policy *policy, const char *content_type)
{
    struct slice type = slice_cstr(content_type);
    type = slice_trim(slice_head(type, slice_find(type, ';')));
    struct slice rest = policy->compression.types, pattern;
    if (!rest.len)
        rest = SLICE(default_types);
    while (type.len && slice_split(&rest, ',', &pattern)) {
        if (matches(type, slice_trim(pattern)))
            return true;
    }
    return false;
}

static struct net_header *find_header(struct http_request *req, struct slice name)
{
    for (unsigned i = 0; i < req->headers_len; i++) {
        if (slice_eq_nocase(req->headers[i].name, name))
            return &req->headers[i];
    }
    return NULL;
}

void http__vary_add(struct http_request *req, struct slice name)
{
    struct net_header *vary = find_header(req, SLICE("Vary"));
    if (!vary) {
        http__step_header(req, SLICE("Vary"), name);
        return;
    }
    struct slice rest = vary->value, part;
    while (slice_split(&rest, ',', &part)) {
        part = slice_trim(part);
        if (slice_eq_nocase(part, name) || slice_eq(part, SLICE("*")))
            return;
    }
    struct buf joined; /* not by printf: nearly every answer comes by here */
    buf_init(&joined, http_arena(req), vary->value.len + 2 + name.len, SIZE_MAX);
    buf_put_slice(&joined, vary->value);
    buf_put_lit(&joined, ", ");
    buf_put_slice(&joined, name);
    if (buf_status(&joined) == STATUS_OK)
        vary->value = buf_slice(&joined);
    else
        http__step_header(req, SLICE("Vary"), name);
}

/* Would a browser have attached what says who asks? */
static bool has_ambient_credentials(const struct http_request *req)
{
    static const struct slice schemes[] = { SLICE_INIT("basic "), SLICE_INIT("digest "),
                                            SLICE_INIT("negotiate "), SLICE_INIT("ntlm ") };
    const struct net_request *r = http_net(req);
    if (net_header_get(r, NET_HEADER_COOKIE))
        return true;
    const struct net_header *h = net_header_get(r, NET_HEADER_AUTHORIZATION);
    for (size_t i = 0; h && i < ARRAY_LEN(schemes); i++) {
        if (slice_eq_nocase(slice_head(h->value, schemes[i].len), schemes[i]))
            return true;
    }
    return false;
}

static bool says(const struct net_header *cache_control, struct slice directive)
{
    struct slice rest = cache_control ? cache_control->value : SLICE_NULL, part;
    while (rest.data && slice_split(&rest, ',', &part)) {
        if (slice_eq_nocase(slice_trim(part), directive))
            return true;
    }
    return false;
}

static bool may_tell_a_secret(struct http_request *req, const struct net_header *cache_control)
{
    return req->compress != HTTP__COMPRESS_SAFE && !req->policy->compression.with_cookies &&
           !says(cache_control, SLICE("public")) && has_ambient_credentials(req);
}

/* A status whose content is a representation, whole. */
static bool carries_whole(int status)
{
    return status >= 200 && status != 204 && status != 205 && status != 206 && status != 304;
}

struct slice http__accept_encoding(const struct http_request *req)
{
    const struct net_header *h = net_header_get(http_net(req), NET_HEADER_ACCEPT_ENCODING);
    return h ? h->value : SLICE_NULL;
}

enum http__coding http__compress_choose(struct http_request *req, int status,
                                        const char *content_type, int64_t length)
{
    const struct http_compression *policy = &req->policy->compression;
    if (policy->off || req->compress == HTTP__COMPRESS_NEVER || !content_type ||
        !carries_whole(status))
        return HTTP__IDENTITY;
    bool is_small =
        length >= 0 && length < (policy->bytes_min ? policy->bytes_min : BYTES_MIN_DEFAULT);
    struct slice accept = http__accept_encoding(req);
    if (is_small && !accept.data)
        return HTTP__IDENTITY;
    bool identity_refused;
    enum http__coding coding = http__coding_choose(accept, HTTP__CODINGS_SENT, &identity_refused);
    const struct net_header *cache_control = find_header(req, SLICE("Cache-Control"));
    if ((is_small && !identity_refused) || !http__is_compressible(req->policy, content_type) ||
        find_header(req, SLICE("Content-Encoding")) || says(cache_control, SLICE("no-transform")))
        return HTTP__IDENTITY;
    http__vary_add(req, SLICE("Accept-Encoding"));
    if (coding == HTTP__IDENTITY)
        return coding;
    if (may_tell_a_secret(req, cache_control)) {
        count(req, req->app->compression->skipped[SKIP_CREDENTIALS], 1);
        return HTTP__IDENTITY;
    }
    struct http__coders *coders = http__coders_of(req);
    int64_t now_us = loop_now_us(net_loop(req->x));
    if (coders && http__coders_afford(coders, MAX(length, (int64_t)0), now_us))
        return coding;
    count(req, req->app->compression->skipped[SKIP_BUSY], 1);
    return HTTP__IDENTITY;
}

/* "3-abc" -> "3-abc-br"; weak ones stay: they name no bytes. */
static void mark_etag(struct http_request *req, enum http__coding coding)
{
    struct net_header *etag = find_header(req, SLICE("ETag"));
    if (!etag || etag->value.len < 2 || etag->value.data[0] != '"')
        return;
    struct slice marked = arena_printf(http_arena(req), "%.*s-%.*s\"", (int)etag->value.len - 1,
                                       etag->value.data, SLICE_ARG(http__coding_name(coding)));
    if (marked.data)
        etag->value = marked;
}

void http__compress_mark(struct http_request *req, enum http__coding coding)
{
    http__step_header(req, SLICE("Content-Encoding"), http__coding_name(coding));
    mark_etag(req, coding);
}

/* A 304 tells the tag of what the client has, as it has it. */
void http__compress_not_modified(struct http_request *req)
{
    struct net_header *etag = find_header(req, SLICE("ETag"));
    const struct net_header *known = net_header_get(http_net(req), NET_HEADER_IF_NONE_MATCH);
    if (!etag || !known || req->policy->compression.off || req->compress == HTTP__COMPRESS_NEVER)
        return;
    http__vary_add(req, SLICE("Accept-Encoding"));
    struct slice variant = http__etag_variant(known->value, etag->value);
    if (variant.data)
        etag->value = variant;
}

/* -- whole
 * -----------------------------------------------------------------------------------------------
 */

/* All of `body` into the arena. False: it got no smaller, or could not be done. */
static bool encode(struct task *task, struct http_request *req, struct http__encoder *e,
                   struct slice body, struct slice *ret)
{
    size_t whole = body.len, cap = MIN(whole, MAX(whole / 4, (size_t)1024)), len = 0;
    char *out = arena_alloc(http_arena(req), cap);
    bool is_done = false;
    while (out && !is_done) {
        struct slice part = slice_head(body, INLINE_BYTES);
        size_t part_len = part.len, n;
        enum http__flow flow = part.len == body.len ? HTTP__END : HTTP__RUN;
        bool took_part;
        if (http__encoder_run(e, &part, flow, out + len, cap - len, &n, &took_part) != STATUS_OK)
            return false;
        len += n;
        body = slice_from(body, part_len - part.len);
        is_done = took_part && flow == HTTP__END;
        if (is_done)
            break;
        if (len == cap) {
            size_t want = MIN(cap * 2, whole);
            char *grown = want > cap ? arena_realloc(http_arena(req), out, cap, want) : NULL;
            if (!grown)
                return false;
            out = grown;
            cap = want;
        }
        if (task && took_part && task_yield(task) != STATUS_OK)
            return false; /* no time left: plain is quicker */
    }
    *ret = slice_of(out, len);
    return is_done;
}

bool http__compress_is_long(struct slice body)
{
    return body.len > INLINE_BYTES;
}

struct slice http__compress(struct task *task, struct http_request *req, int status,
                            const char *content_type, struct slice body)
{
    if (status == 304) {
        http__compress_not_modified(req);
        return body;
    }
    if (!task && http__compress_is_long(body))
        return body;
    enum http__coding coding = http__compress_choose(req, status, content_type, (int64_t)body.len);
    if (coding == HTTP__IDENTITY)
        return body;
    struct http__compression *c = req->app->compression;
    struct http__encoder *e = http__encoder_take(http__coders_of(req), coding, (int64_t)body.len);
    if (!e) {
        count(req, c->skipped[SKIP_BUSY], 1);
        return body;
    }
    struct slice encoded;
    bool is_smaller = encode(task, req, e, body, &encoded) && encoded.len < body.len;
    http__encoder_give(e);
    if (!is_smaller)
        return body;
    count(req, c->bytes_in[coding], (int64_t)body.len);
    count(req, c->bytes_out[coding], (int64_t)encoded.len);
    http__compress_mark(req, coding);
    return encoded;
}

/* -- streams
 * --------------------------------------------------------------------------------------------- */

void http__compress_stream(struct http_request *req, int status, const char *content_type)
{
    enum http__coding coding = http__compress_choose(req, status, content_type, -1);
    if (coding == HTTP__IDENTITY)
        return;
    req->encoder = http__encoder_take(http__coders_of(req), coding, -1);
    if (req->encoder)
        http__compress_mark(req, coding);
    else
        count(req, req->app->compression->skipped[SKIP_BUSY], 1);
}

enum status http__compress_write(struct task *task, struct http_request *req, struct slice piece,
                                 enum http__flow flow)
{
    struct http__encoder *e = req->encoder;
    struct http__compression *c = req->app->compression;
    enum http__coding coding = http__encoder_coding(e);
    count(req, c->bytes_in[coding], (int64_t)piece.len);
    bool is_done = false;
    while (!is_done) {
        struct slice part = slice_head(piece, INLINE_BYTES);
        size_t part_len = part.len, n;
        bool is_last = part.len == piece.len, took_part;
        enum status st =
            http__encoder_run(e, &part, is_last ? flow : HTTP__RUN, http__encoder_out(e),
                              HTTP__CODER_OUT_BYTES, &n, &took_part);
        if (st == STATUS_OK && n > 0)
            st = net_stream_write(task, req->x, slice_of(http__encoder_out(e), n));
        if (st != STATUS_OK)
            return st;
        count(req, c->bytes_out[coding], (int64_t)n);
        piece = slice_from(piece, part_len - part.len);
        is_done = is_last && took_part;
        if (took_part && !is_done && (st = task_yield(task)) != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

static void done(struct http_request *req)
{
    http__encoder_give(req->encoder);
    http__decoder_give(req->decoder);
    req->encoder = NULL;
    req->decoder = NULL;
}

const struct http__step http__step_compress = {
    .name = "compress",
    .done = done,
};
