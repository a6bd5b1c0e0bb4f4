/*
 * net/codec.h - The HTTP/1.1 codec without sockets: find the end of a head, parse it, normalise its
 * path, cut a body into pieces. Everything here works on bytes in memory, so that it can be fuzzed
 * in any split.
 *
 * llhttp 8.1 in strict mode parses the head. What it lets pass and HTTP does not is refused here:
 * bare LF, folded lines, empty names, runs of spaces in the request line, fragments, unknown
 * transfer codings, repeated singletons. Chunks are cut by our own decoder (net/chunk.c):
 * llhttp 8.1 bounds neither extensions nor trailers, and refuses extensions that are well-formed
 * (a=b;c, quoted pairs).
 */
#pragma once

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "net/net.h"

/* The few refusals there are; what was wrong in detail is nobody's business. */
extern const struct net_refusal net__malformed;         /* 400 */
extern const struct net_refusal net__line_too_long;     /* 414 */
extern const struct net_refusal net__headers_too_large; /* 431 */
extern const struct net_refusal net__version;           /* 505 */
extern const struct net_refusal net__not_implemented;   /* 501: method */
extern const struct net_refusal net__coding;            /* 501: transfer coding */
extern const struct net_refusal net__expectation;       /* 417 */
extern const struct net_refusal net__too_slow;          /* 408 */
extern const struct net_refusal net__too_many;          /* 503 */
extern const struct net_refusal net__in_clear;          /* 400: on a port that speaks TLS */

/* -- the end of a head
 * ---------------------------------------------------------------------------------- */

enum net__scan_result { NET__SCAN_MORE, NET__SCAN_WHOLE, NET__SCAN_REFUSED };

/* How far the head at the front of the unread bytes was looked at. Zero at the start of each head.
 */
struct net__scan {
    uint32_t at;         /* bytes looked at */
    uint32_t line_start; /* of the line being looked at */
    uint32_t head_start; /* after empty lines that came before the request line */
    uint32_t headers_start;
    uint16_t lines; /* whole ones: request line and header lines */
};

/*
 * Look for the empty line that ends the head in data[0..len), going on where the last call stopped.
 * WHOLE: scan->at is the length of the head with its empty line. REFUSED: *ret_refusal says why.
 */
enum net__scan_result net__scan_head(struct net__scan *scan, const char *data, size_t len,
                                     const struct net_limits *limits,
                                     const struct net_refusal **ret_refusal);

/* -- a head
 * ---------------------------------------------------------------------------------------------- */

/* How the body is framed; what the connection needs besides the request. */
struct net__framing {
    bool chunked;
    int64_t length; /* when not chunked */
};

/*
 * Parse the whole head at data[0..len), which begins with the request line and ends with the empty
 * line and is written to (names become lower case). `headers_max` places for headers are at
 * request->headers. Returns NULL, or why it is refused; the request then holds what was understood
 * all the same (method, path, header fields). Memory   the request's slices point into data, or
 * into the arena.
 */
const struct net_refusal *net__parse_head(struct arena *arena, char *data, size_t len,
                                          unsigned headers_max, struct net_request *request,
                                          struct net__framing *ret_framing);

enum net_method net__method_of(struct slice text);
/* The number of a lower-case header name. */
enum net_header_id net__header_id(const char *name, size_t len);
/* Number and index headers[i], whose name is in lower case. False: a second one of a field of which
 * there can be only one. */
bool net__header_index(struct net_request *request, unsigned i);
/*
 * Number and index all headers, whose names are in lower case; lists that readers want in one piece
 * become one header. NULL, or why the request is refused.
 *
 * Memory   what is joined lies in the arena.
 * Source   RFC 9110 5.3.
 */
const struct net_refusal *net__headers_index(struct arena *arena, struct net_request *request);
/* Make one header of all of that (lower-case) name, in the first one's place: headers behind it
 * move. False: it does not fit into the arena. */
bool net__headers_join(struct arena *arena, struct net_request *request, struct slice name,
                       struct slice separator);

/* -- the target
 * ------------------------------------------------------------------------------------------ */

/*
 * Normalise the path of a request once: dot segments resolved, unreserved characters unescaped,
 * other escapes in upper case. INVALID when it cannot be done safely (encoded slash or dot, "//",
 * ";", NUL, controls, bad UTF-8, a step above the root); EXHAUSTED. Memory   *ret_path is `raw`
 * itself when there was nothing to do, else in the arena.
 */
enum status net__path_normalise(struct arena *arena, struct slice raw, struct slice *ret_path);

/* A host with an optional port, as in Host and in absolute-form targets; no user info. */
bool net__authority_is_valid(struct slice authority);

/* Split a request target in origin-, absolute- or asterisk-form and normalise its path. */
enum status net__target_parse(struct arena *arena, struct slice target, bool is_options,
                              struct net_request *request);

/* -- chunks
 * ---------------------------------------------------------------------------------------------- */

enum net__piece { NET__PIECE_MORE, NET__PIECE_DATA, NET__PIECE_END, NET__PIECE_BAD };

struct net__chunk {
    uint64_t left;       /* of the chunk being read */
    uint32_t line_bytes; /* of the size line or the trailers being read */
    uint8_t state;
    uint8_t digits;
};

/*
 * Cut the next piece off data[0..len). *ret_used bytes are done with, the piece among them.
 * MORE: all was used and no data was in it. END: the last chunk and the trailers (which are
 * dropped) have passed.
 */
enum net__piece net__chunk_next(struct net__chunk *chunk, const char *data, size_t len,
                                size_t *ret_used, struct slice *ret_piece);

/* -- a body
 * ---------------------------------------------------------------------------------------------- */

struct net__body {
    bool chunked;
    bool done;
    bool bad;
    int64_t left; /* when not chunked */
    struct net__chunk chunk;
};

void net__body_init(struct net__body *body, const struct net__framing *framing);
enum net__piece net__body_next(struct net__body *body, const char *data, size_t len,
                               size_t *ret_used, struct slice *ret_piece);

/* Token characters of RFC 9110 5.6.2. */
extern const bool net__is_token[256];
