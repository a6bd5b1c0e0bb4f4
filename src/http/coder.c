/*
 * http/coder.c - The compressors and decompressors of one loop. Each library is behind a table of
 * the same few functions.
 *
 * zlib and zstd reset a machine and keep its memory. Brotli does neither, but takes an allocator:
 * ours keeps the blocks with the machine, so that the next use finds them, and says no beyond a
 * bound. Encoders work with windows of 256 KiB: JSON and pages repeat themselves within that, and
 * a machine stays below a megabyte.
 */
#include "http/coder.h"

#include <assert.h>
#include <brotli/decode.h>
#include <brotli/encode.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/clock.h"
#include "base/macros.h"

#define AT_REST_MAX 2u /* of each kind */
#define WINDOW_BITS 18
#define ZLIB_MEM_LEVEL 8
/* What the window of a request's body may be: RFC 9659 stops at 8 MiB as well. Streams name 2 MiB
 * whatever comes, so the limit on the body says nothing about it; and of what is not written,
 * nothing becomes resident. */
#define WINDOW_BITS_MAX 23
/* A decoder at rest gives back what it needed for an unusual window. */
#define AT_REST_BYTES_MAX ((size_t)1 << 20)
#define BLOCKS_MAX 24u
#define BLOCKS_BYTES_MAX ((size_t)20 << 20) /* a brotli decoder with its largest window */

/* -- memory for brotli
 * ----------------------------------------------------------------------------------- */

struct blocks {
    struct {
        void *data;
        size_t cap;
        bool used;
    } all[BLOCKS_MAX];
    unsigned len;
    size_t bytes;
};

static void blocks_drop_free(struct blocks *b)
{
    for (unsigned i = 0; i < b->len;) {
        if (b->all[i].used) {
            i++;
            continue;
        }
        free(b->all[i].data);
        b->bytes -= b->all[i].cap;
        b->all[i] = b->all[--b->len];
    }
}

static void *blocks_alloc(void *opaque, size_t size)
{
    struct blocks *b = opaque;
    unsigned best = BLOCKS_MAX;
    for (unsigned i = 0; i < b->len; i++) {
        bool fits = !b->all[i].used && b->all[i].cap >= size;
        if (fits && (best == BLOCKS_MAX || b->all[i].cap < b->all[best].cap))
            best = i;
    }
    if (best < BLOCKS_MAX) {
        b->all[best].used = true;
        return b->all[best].data;
    }
    if (b->len == BLOCKS_MAX || b->bytes + size > BLOCKS_BYTES_MAX)
        blocks_drop_free(b);
    if (b->len == BLOCKS_MAX || b->bytes + size > BLOCKS_BYTES_MAX)
        return NULL;
    void *data = malloc(MAX(size, (size_t)1));
    if (!data)
        return NULL;
    b->all[b->len].data = data;
    b->all[b->len].cap = size;
    b->all[b->len++].used = true;
    b->bytes += size;
    return data;
}

static void blocks_free(void *opaque, void *data)
{
    struct blocks *b = opaque;
    for (unsigned i = 0; i < b->len; i++) {
        if (b->all[i].data == data)
            b->all[i].used = false;
    }
}

/* -- the machines
 * ------------------------------------------------------------------------------------------ */

struct http__encoder {
    struct http__encoder *next;
    struct http__coders *owner;
    enum http__coding coding;
    union {
        z_stream zlib;
        BrotliEncoderState *brotli;
        ZSTD_CCtx *zstd;
    } as;
    struct blocks blocks;
    char out[HTTP__CODER_OUT_BYTES];
};

struct http__decoder {
    struct http__decoder *next;
    struct http__coders *owner;
    enum http__coding coding;
    union {
        z_stream zlib;
        BrotliDecoderState *brotli;
        ZSTD_DCtx *zstd;
    } as;
    struct blocks blocks;
    char out[HTTP__CODER_OUT_BYTES];
};

struct http__coders {
    struct http__coder_limits limits;
    struct http__encoder *encoders[HTTP__CODING_COUNT]; /* at rest */
    struct http__decoder *decoders[HTTP__CODING_COUNT];
    unsigned encoders_resting[HTTP__CODING_COUNT], decoders_resting[HTTP__CODING_COUNT];
    unsigned encoders_at_work, decoders_at_work;
    int64_t second_us; /* when the share began */
    int64_t left;      /* of it, bytes */
};

/* zlib reads through pointers that are not const. */
static Bytef *zlib_bytes(const char *data)
{
    union {
        const char *constant;
        Bytef *bytes;
    } as = { .constant = data };
    return as.bytes;
}

/* -- compressing
 * ------------------------------------------------------------------------------------------- */

struct encoding {
    /* Make the machine; once. */
    bool (*open)(struct http__encoder *e, int level);
    /* Before each use; `length` of what will come, or -1. */
    bool (*begin)(struct http__encoder *e, int level, int64_t length);
    /* As http__encoder_run. */
    bool (*run)(struct http__encoder *e, struct slice *input, enum http__flow flow, char *out,
                size_t cap, size_t *ret_len, bool *ret_done);
    /* After each use; may be NULL. */
    void (*end)(struct http__encoder *e);
    void (*close)(struct http__encoder *e);
};

static bool gzip_open(struct http__encoder *e, int level)
{
    const int gzip_format = 16;
    return deflateInit2(&e->as.zlib, level, Z_DEFLATED, MAX_WBITS + gzip_format, ZLIB_MEM_LEVEL,
                        Z_DEFAULT_STRATEGY) == Z_OK;
}

static bool gzip_begin(struct http__encoder *e, int level, int64_t length)
{
    (void)level;
    (void)length;
    return deflateReset(&e->as.zlib) == Z_OK;
}

static bool gzip_run(struct http__encoder *e, struct slice *input, enum http__flow flow, char *out,
                     size_t cap, size_t *ret_len, bool *ret_done)
{
    static const int flushes[] = { Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH };
    z_stream *z = &e->as.zlib;
    struct slice part = slice_head(*input, (size_t)1 << 30);
    z->next_in = zlib_bytes(part.data);
    z->avail_in = (uInt)part.len;
    z->next_out = (Bytef *)out;
    z->avail_out = (uInt)cap;
    int rc = deflate(z, flushes[flow]);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return false;
    *input = slice_from(*input, part.len - z->avail_in);
    *ret_len = cap - z->avail_out;
    *ret_done = flow == HTTP__END ? rc == Z_STREAM_END : input->len == 0 && z->avail_out > 0;
    return true;
}

static void gzip_close(struct http__encoder *e)
{
    (void)deflateEnd(&e->as.zlib); /* says only that something was unwritten */
}

static bool brotli_open(struct http__encoder *e, int level)
{
    (void)e;
    (void)level;
    return true; /* each use makes its own, of the blocks that are here */
}

static bool brotli_begin(struct http__encoder *e, int level, int64_t length)
{
    BrotliEncoderState *state = BrotliEncoderCreateInstance(blocks_alloc, blocks_free, &e->blocks);
    if (!state)
        return false;
    e->as.brotli = state;
    uint32_t bits = WINDOW_BITS;
    while (length >= 0 && bits > BROTLI_MIN_WINDOW_BITS + 4 && (int64_t)1 << (bits - 1) > length)
        bits--;
    bool is_set =
        BrotliEncoderSetParameter(state, BROTLI_PARAM_QUALITY, (uint32_t)level) &&
        BrotliEncoderSetParameter(state, BROTLI_PARAM_LGWIN, bits) &&
        (length < 0 || BrotliEncoderSetParameter(state, BROTLI_PARAM_SIZE_HINT,
                                                 (uint32_t)MIN(length, (int64_t)1 << 30)));
    return is_set;
}

static bool brotli_run(struct http__encoder *e, struct slice *input, enum http__flow flow,
                       char *out, size_t cap, size_t *ret_len, bool *ret_done)
{
    static const BrotliEncoderOperation operations[] = { BROTLI_OPERATION_PROCESS,
                                                         BROTLI_OPERATION_FLUSH,
                                                         BROTLI_OPERATION_FINISH };
    const uint8_t *next_in = (const uint8_t *)input->data;
    uint8_t *next_out = (uint8_t *)out;
    size_t in_left = input->len, out_left = cap;
    if (!BrotliEncoderCompressStream(e->as.brotli, operations[flow], &in_left, &next_in, &out_left,
                                     &next_out, NULL))
        return false;
    *input = slice_from(*input, input->len - in_left);
    *ret_len = cap - out_left;
    *ret_done = flow == HTTP__END ? BrotliEncoderIsFinished(e->as.brotli)
                                  : in_left == 0 && !BrotliEncoderHasMoreOutput(e->as.brotli);
    return true;
}

static void brotli_end(struct http__encoder *e)
{
    BrotliEncoderDestroyInstance(e->as.brotli);
    e->as.brotli = NULL;
}

static void brotli_close(struct http__encoder *e)
{
    blocks_drop_free(&e->blocks);
}

static bool zstd_open(struct http__encoder *e, int level)
{
    e->as.zstd = ZSTD_createCCtx();
    return e->as.zstd &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(e->as.zstd, ZSTD_c_compressionLevel, level)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(e->as.zstd, ZSTD_c_windowLog, WINDOW_BITS));
}

static bool zstd_begin(struct http__encoder *e, int level, int64_t length)
{
    (void)level;
    if (ZSTD_isError(ZSTD_CCtx_reset(e->as.zstd, ZSTD_reset_session_only)))
        return false;
    unsigned long long size = length < 0 ? ZSTD_CONTENTSIZE_UNKNOWN : (unsigned long long)length;
    return !ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(e->as.zstd, size));
}

static bool zstd_run(struct http__encoder *e, struct slice *input, enum http__flow flow, char *out,
                     size_t cap, size_t *ret_len, bool *ret_done)
{
    static const ZSTD_EndDirective directives[] = { ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end };
    ZSTD_inBuffer in = { .src = input->data, .size = input->len };
    ZSTD_outBuffer to = { .dst = out, .size = cap };
    size_t left = ZSTD_compressStream2(e->as.zstd, &to, &in, directives[flow]);
    if (ZSTD_isError(left))
        return false;
    *input = slice_from(*input, in.pos);
    *ret_len = to.pos;
    *ret_done = flow == HTTP__RUN ? input->len == 0 : input->len == 0 && left == 0;
    return true;
}

static void zstd_close(struct http__encoder *e)
{
    (void)ZSTD_freeCCtx(e->as.zstd);
}

static const struct encoding encodings[HTTP__CODING_COUNT] = {
    [HTTP__GZIP] = { .open = gzip_open, .begin = gzip_begin, .run = gzip_run, .close = gzip_close },
    [HTTP__BR] = { .open = brotli_open,
                   .begin = brotli_begin,
                   .run = brotli_run,
                   .end = brotli_end,
                   .close = brotli_close },
    [HTTP__ZSTD] = { .open = zstd_open, .begin = zstd_begin, .run = zstd_run, .close = zstd_close },
};

static void encoder_free(struct http__encoder *e)
{
    encodings[e->coding].close(e);
    free(e);
}

static struct http__encoder *encoder_new(struct http__coders *coders, enum http__coding coding)
{
    struct http__encoder *e = coders->encoders[coding];
    if (e) {
        coders->encoders[coding] = e->next;
        coders->encoders_resting[coding]--;
        return e;
    }
    e = malloc(sizeof(*e));
    if (!e)
        return NULL;
    memset(e, 0, offsetof(struct http__encoder, out));
    e->owner = coders;
    e->coding = coding;
    if (encodings[coding].open(e, coders->limits.levels[coding]))
        return e;
    encoder_free(e);
    return NULL;
}

struct http__encoder *http__encoder_take(struct http__coders *coders, enum http__coding coding,
                                         int64_t length)
{
    if (coders->encoders_at_work >= coders->limits.encoders_max || !encodings[coding].run)
        return NULL;
    struct http__encoder *e = encoder_new(coders, coding);
    if (!e)
        return NULL;
    coders->encoders_at_work++;
    if (encodings[coding].begin(e, coders->limits.levels[coding], length))
        return e;
    http__encoder_give(e);
    return NULL;
}

void http__encoder_give(struct http__encoder *e)
{
    if (!e)
        return;
    struct http__coders *coders = e->owner;
    coders->encoders_at_work--;
    if (encodings[e->coding].end)
        encodings[e->coding].end(e);
    if (coders->encoders_resting[e->coding] == AT_REST_MAX) {
        encoder_free(e);
        return;
    }
    e->next = coders->encoders[e->coding];
    coders->encoders[e->coding] = e;
    coders->encoders_resting[e->coding]++;
}

enum http__coding http__encoder_coding(const struct http__encoder *e)
{
    return e->coding;
}

enum status http__encoder_run(struct http__encoder *e, struct slice *input, enum http__flow flow,
                              char *out, size_t cap, size_t *ret_len, bool *ret_done)
{
    *ret_len = 0;
    bool ok = encodings[e->coding].run(e, input, flow, out, cap, ret_len, ret_done);
    return ok ? STATUS_OK : STATUS_INTERNAL;
}

char *http__encoder_out(struct http__encoder *e)
{
    return e->out;
}

/* -- decompressing
 * ----------------------------------------------------------------------------------------- */

struct decoding {
    bool (*open)(struct http__decoder *d);
    bool (*begin)(struct http__decoder *d);
    enum status (*run)(struct http__decoder *d, struct slice *input, char *out, size_t cap,
                       size_t *ret_len, bool *ret_end);
    /* After each use; may be NULL. */
    void (*end)(struct http__decoder *d);
    void (*close)(struct http__decoder *d);
    /* Bytes it holds at rest. */
    size_t (*weight)(const struct http__decoder *d);
};

static bool inflate_open(struct http__decoder *d)
{
    const int gzip_format = 16;
    int bits = MAX_WBITS + (d->coding == HTTP__GZIP ? gzip_format : 0);
    return inflateInit2(&d->as.zlib, bits) == Z_OK;
}

static bool inflate_begin(struct http__decoder *d)
{
    return inflateReset(&d->as.zlib) == Z_OK;
}

static enum status inflate_run(struct http__decoder *d, struct slice *input, char *out, size_t cap,
                               size_t *ret_len, bool *ret_end)
{
    z_stream *z = &d->as.zlib;
    struct slice part = slice_head(*input, (size_t)1 << 30);
    z->next_in = zlib_bytes(part.data);
    z->avail_in = (uInt)part.len;
    z->next_out = (Bytef *)out;
    z->avail_out = (uInt)cap;
    int rc = inflate(z, Z_NO_FLUSH);
    *input = slice_from(*input, part.len - z->avail_in);
    *ret_len = cap - z->avail_out;
    *ret_end = rc == Z_STREAM_END;
    if (rc == Z_STREAM_END)
        return inflateReset(z) == Z_OK ? STATUS_OK : STATUS_INTERNAL; /* another member may come */
    if (rc == Z_MEM_ERROR)
        return STATUS_EXHAUSTED;
    return rc == Z_OK || rc == Z_BUF_ERROR ? STATUS_OK : STATUS_INVALID;
}

static void inflate_close(struct http__decoder *d)
{
    (void)inflateEnd(&d->as.zlib); /* cannot fail for what was opened */
}

static size_t inflate_weight(const struct http__decoder *d)
{
    (void)d;
    return (size_t)1 << MAX_WBITS;
}

static bool unbrotli_open(struct http__decoder *d)
{
    (void)d;
    return true;
}

static bool unbrotli_begin(struct http__decoder *d)
{
    d->as.brotli = BrotliDecoderCreateInstance(blocks_alloc, blocks_free, &d->blocks);
    return d->as.brotli != NULL;
}

static enum status unbrotli_run(struct http__decoder *d, struct slice *input, char *out, size_t cap,
                                size_t *ret_len, bool *ret_end)
{
    const uint8_t *next_in = (const uint8_t *)input->data;
    uint8_t *next_out = (uint8_t *)out;
    size_t in_left = input->len, out_left = cap;
    BrotliDecoderResult rc =
        BrotliDecoderDecompressStream(d->as.brotli, &in_left, &next_in, &out_left, &next_out, NULL);
    *input = slice_from(*input, input->len - in_left);
    *ret_len = cap - out_left;
    *ret_end = rc == BROTLI_DECODER_RESULT_SUCCESS;
    if (rc != BROTLI_DECODER_RESULT_ERROR)
        return STATUS_OK;
    BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(d->as.brotli);
    bool is_memory = code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
                     code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES;
    return is_memory ? STATUS_EXHAUSTED : STATUS_INVALID;
}

static void unbrotli_end(struct http__decoder *d)
{
    BrotliDecoderDestroyInstance(d->as.brotli);
    d->as.brotli = NULL;
}

static void unbrotli_close(struct http__decoder *d)
{
    blocks_drop_free(&d->blocks);
}

static size_t unbrotli_weight(const struct http__decoder *d)
{
    return d->blocks.bytes;
}

static bool unzstd_open(struct http__decoder *d)
{
    d->as.zstd = ZSTD_createDCtx();
    return d->as.zstd != NULL;
}

static bool unzstd_begin(struct http__decoder *d)
{
    return !ZSTD_isError(ZSTD_DCtx_reset(d->as.zstd, ZSTD_reset_session_only)) &&
           !ZSTD_isError(ZSTD_DCtx_setParameter(d->as.zstd, ZSTD_d_windowLogMax, WINDOW_BITS_MAX));
}

static enum status unzstd_run(struct http__decoder *d, struct slice *input, char *out, size_t cap,
                              size_t *ret_len, bool *ret_end)
{
    ZSTD_inBuffer in = { .src = input->data, .size = input->len };
    ZSTD_outBuffer to = { .dst = out, .size = cap };
    size_t rc = ZSTD_decompressStream(d->as.zstd, &to, &in);
    *input = slice_from(*input, in.pos);
    *ret_len = to.pos;
    if (ZSTD_isError(rc)) {
        ZSTD_ErrorCode code = ZSTD_getErrorCode(rc);
        return code == ZSTD_error_frameParameter_windowTooLarge ||
                       code == ZSTD_error_memory_allocation
                   ? STATUS_EXHAUSTED
                   : STATUS_INVALID;
    }
    *ret_end = rc == 0;
    return STATUS_OK;
}

static void unzstd_close(struct http__decoder *d)
{
    (void)ZSTD_freeDCtx(d->as.zstd);
}

static size_t unzstd_weight(const struct http__decoder *d)
{
    return ZSTD_sizeof_DCtx(d->as.zstd);
}

static const struct decoding decodings[HTTP__CODING_COUNT] = {
    [HTTP__GZIP] = { .open = inflate_open,
                     .begin = inflate_begin,
                     .run = inflate_run,
                     .close = inflate_close,
                     .weight = inflate_weight },
    [HTTP__DEFLATE] = { .open = inflate_open,
                        .begin = inflate_begin,
                        .run = inflate_run,
                        .close = inflate_close,
                        .weight = inflate_weight },
    [HTTP__BR] = { .open = unbrotli_open,
                   .begin = unbrotli_begin,
                   .run = unbrotli_run,
                   .end = unbrotli_end,
                   .close = unbrotli_close,
                   .weight = unbrotli_weight },
    [HTTP__ZSTD] = { .open = unzstd_open,
                     .begin = unzstd_begin,
                     .run = unzstd_run,
                     .close = unzstd_close,
                     .weight = unzstd_weight },
};

static void decoder_free(struct http__decoder *d)
{
    decodings[d->coding].close(d);
    free(d);
}

static struct http__decoder *decoder_new(struct http__coders *coders, enum http__coding coding)
{
    struct http__decoder *d = coders->decoders[coding];
    if (d) {
        coders->decoders[coding] = d->next;
        coders->decoders_resting[coding]--;
        return d;
    }
    d = malloc(sizeof(*d));
    if (!d)
        return NULL;
    memset(d, 0, offsetof(struct http__decoder, out));
    d->owner = coders;
    d->coding = coding;
    if (decodings[coding].open(d))
        return d;
    decoder_free(d);
    return NULL;
}

enum status http__decoder_take(struct http__coders *coders, enum http__coding coding,
                               struct http__decoder **ret)
{
    assert(decodings[coding].run);
    if (coders->decoders_at_work >= coders->limits.decoders_max)
        return STATUS_EXHAUSTED;
    struct http__decoder *d = decoder_new(coders, coding);
    if (!d)
        return STATUS_EXHAUSTED;
    coders->decoders_at_work++;
    if (!decodings[coding].begin(d)) {
        http__decoder_give(d);
        return STATUS_EXHAUSTED;
    }
    *ret = d;
    return STATUS_OK;
}

void http__decoder_give(struct http__decoder *d)
{
    if (!d)
        return;
    struct http__coders *coders = d->owner;
    coders->decoders_at_work--;
    if (decodings[d->coding].end)
        decodings[d->coding].end(d);
    bool is_heavy = decodings[d->coding].weight(d) > AT_REST_BYTES_MAX;
    if (is_heavy || coders->decoders_resting[d->coding] == AT_REST_MAX) {
        decoder_free(d);
        return;
    }
    d->next = coders->decoders[d->coding];
    coders->decoders[d->coding] = d;
    coders->decoders_resting[d->coding]++;
}

enum status http__decoder_run(struct http__decoder *d, struct slice *input, char *out, size_t cap,
                              size_t *ret_len, bool *ret_end)
{
    *ret_len = 0;
    *ret_end = false;
    return decodings[d->coding].run(d, input, out, cap, ret_len, ret_end);
}

char *http__decoder_out(struct http__decoder *d)
{
    return d->out;
}

bool http__decoder_is_many(const struct http__decoder *d)
{
    return d->coding == HTTP__GZIP || d->coding == HTTP__ZSTD;
}

/* -- of one loop
 * ------------------------------------------------------------------------------------------- */

struct http__coders *http__coders_new(const struct http__coder_limits *limits)
{
    struct http__coders *coders = calloc(1, sizeof(*coders));
    if (coders)
        coders->limits = *limits;
    return coders;
}

void http__coders_free(struct http__coders *coders)
{
    if (!coders)
        return;
    for (unsigned i = 0; i < HTTP__CODING_COUNT; i++) {
        for (struct http__encoder *e = coders->encoders[i], *next; e; e = next) {
            next = e->next;
            encoder_free(e);
        }
        for (struct http__decoder *d = coders->decoders[i], *next; d; d = next) {
            next = d->next;
            decoder_free(d);
        }
    }
    free(coders);
}

bool http__coders_afford(struct http__coders *coders, int64_t bytes, int64_t now_us)
{
    if (coders->second_us == 0 || now_us - coders->second_us >= CLOCK_SECOND) {
        coders->second_us = now_us;
        coders->left = coders->limits.bytes_per_second_max;
    }
    if (coders->left < bytes)
        return false;
    coders->left -= bytes;
    return true;
}

unsigned http__coders_at_work(const struct http__coders *coders)
{
    return coders->encoders_at_work + coders->decoders_at_work;
}
