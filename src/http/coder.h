/*
 * http/coder.h - Content codings: their names, who accepts which, and the machines that compress
 * and decompress. Private to the room.
 *
 * The machines are expensive to make (up to a megabyte each), so every loop keeps a few that are
 * at rest and has a bound on those at work: an answer that finds none free goes out as it is, a
 * request that finds none gets 503. A loop has so much compression a second and no more, so that
 * a flood of large answers costs bandwidth before it costs other people's time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct loop;

/* In the order we prefer them where the client does not care. */
enum http__coding {
    HTTP__ZSTD,
    HTTP__BR,
    HTTP__GZIP,
    HTTP__DEFLATE, /* zlib's format, RFC 9110 8.4.1.2: taken, never sent */
    HTTP__IDENTITY,
    HTTP__CODING_COUNT
};
#define HTTP__CODINGS_SENT (1u << HTTP__ZSTD | 1u << HTTP__BR | 1u << HTTP__GZIP)

/* "gzip"; what names the coding in headers, tags of entities ("-gzip") and metrics. */
struct slice http__coding_name(enum http__coding coding);
/* IDENTITY for "identity" and for none; COUNT for what nobody here knows. */
enum http__coding http__coding_of(struct slice name);

/*
 * The best of the codings in `available` (bits of 1u << coding) for this Accept-Encoding (`value`
 * as sent; data NULL: there was none). *ret_identity_refused: the client does not want it plain.
 * Source   RFC 9110 section 12.5.3. A malformed member is as if it were not there.
 */
enum http__coding http__coding_choose(struct slice value, unsigned available,
                                      bool *ret_identity_refused);

/* -- machines
 * ------------------------------------------------------------------------------------------- */

#define HTTP__CODER_OUT_BYTES ((size_t)16 * 1024)

struct http__coder_limits {
    int levels[HTTP__CODING_COUNT]; /* of those sent */
    unsigned encoders_max;          /* of a loop, at work at once */
    unsigned decoders_max;
    int64_t bytes_per_second_max; /* that a loop compresses */
};

/* What one loop has; made by its thread at first use. */
struct http__coders;
struct http__coders *http__coders_new(const struct http__coder_limits *limits);
void http__coders_free(struct http__coders *coders);
/* May so many bytes be compressed now? Takes them off this second's share. */
bool http__coders_afford(struct http__coders *coders, int64_t bytes, int64_t now_us);
unsigned http__coders_at_work(const struct http__coders *coders);

enum http__flow { HTTP__RUN, HTTP__FLUSH, HTTP__END };

struct http__encoder;
/* `length` of what will come, or -1. NULL: too many are at work. */
struct http__encoder *http__encoder_take(struct http__coders *coders, enum http__coding coding,
                                         int64_t length);
void http__encoder_give(struct http__encoder *e); /* accepts NULL */
enum http__coding http__encoder_coding(const struct http__encoder *e);
/*
 * Take from *input and write to out[0..cap). *ret_done: all input is taken, and with FLUSH or END
 * everything is written too; else call again. INTERNAL when the library fails: give it back then.
 */
enum status http__encoder_run(struct http__encoder *e, struct slice *input, enum http__flow flow,
                              char *out, size_t cap, size_t *ret_len, bool *ret_done);
/* A buffer of HTTP__CODER_OUT_BYTES that belongs to it. */
char *http__encoder_out(struct http__encoder *e);

struct http__decoder;
/* EXHAUSTED: too many are at work. */
enum status http__decoder_take(struct http__coders *coders, enum http__coding coding,
                               struct http__decoder **ret);
void http__decoder_give(struct http__decoder *d); /* accepts NULL */
/*
 * Take from *input and write to out[0..cap). *ret_len may be 0 when it wants more input. At the
 * end of the coding *ret_end; what then is left of *input is no part of it (of gzip, the next
 * member is). INVALID: malformed; EXHAUSTED: it asks for more memory than we give.
 */
enum status http__decoder_run(struct http__decoder *d, struct slice *input, char *out, size_t cap,
                              size_t *ret_len, bool *ret_end);
char *http__decoder_out(struct http__decoder *d);
/* May another member follow the end of one (gzip, zstd)? */
bool http__decoder_is_many(const struct http__decoder *d);
