/*
 * net/chunk.c - The chunked transfer coding (RFC 9112 section 7.1), byte by byte between the data
 * and in runs within it. Nothing is tolerated that the grammar does not name, since whoever stands
 * before us may read it otherwise: that is how requests are smuggled.
 */
#include "net/codec.h"

#include "base/macros.h"

/* A size line with its extensions, and all trailers together. */
#define SIZE_LINE_MAX 256u
#define TRAILERS_MAX 8192u
#define DIGITS_MAX 16u

enum state {
    SIZE,      /* the first state: a zeroed decoder is ready */
    EXT_SPACE, /* bad whitespace, which is to be parsed (RFC 9110 5.6.3): a ";" has to follow */
    EXT_NAME_FIRST,
    EXT_NAME,
    EXT_NAME_SPACE,
    EXT_VALUE_FIRST,
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_PAIR,
    EXT_AFTER_QUOTED,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    BAD
};

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_field_text(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t';
}

/* After a size or an extension: the next extension or the end of the line. */
static uint8_t after_extension(unsigned char c)
{
    if (c == ';')
        return EXT_NAME_FIRST;
    if (is_space(c))
        return EXT_SPACE;
    return c == '\r' ? SIZE_LF : BAD;
}

static uint8_t size_step(struct net__chunk *ch, unsigned char c)
{
    int digit = hex_digit(c);
    if (digit < 0)
        return ch->digits ? after_extension(c) : BAD;
    if (++ch->digits > DIGITS_MAX || ch->left > (uint64_t)INT64_MAX >> 4)
        return BAD;
    ch->left = ch->left << 4 | (unsigned)digit;
    return SIZE;
}

static uint8_t extension_step(uint8_t state, unsigned char c)
{
    switch (state) {
    case EXT_SPACE:
        if (is_space(c))
            return EXT_SPACE;
        return c == ';' ? EXT_NAME_FIRST : BAD;
    case EXT_NAME_FIRST:
        if (is_space(c))
            return EXT_NAME_FIRST;
        return net__is_token[c] ? EXT_NAME : BAD;
    case EXT_NAME:
        if (net__is_token[c])
            return EXT_NAME;
        if (is_space(c))
            return EXT_NAME_SPACE;
        return c == '=' ? EXT_VALUE_FIRST : after_extension(c);
    case EXT_NAME_SPACE:
        if (is_space(c))
            return EXT_NAME_SPACE;
        if (c == '=')
            return EXT_VALUE_FIRST;
        return c == ';' ? EXT_NAME_FIRST : BAD;
    case EXT_VALUE_FIRST:
        if (is_space(c))
            return EXT_VALUE_FIRST;
        if (c == '"')
            return EXT_QUOTED;
        return net__is_token[c] ? EXT_VALUE : BAD;
    case EXT_VALUE:
        return net__is_token[c] ? EXT_VALUE : after_extension(c);
    case EXT_QUOTED:
        if (c == '"')
            return EXT_AFTER_QUOTED;
        if (c == '\\')
            return EXT_QUOTED_PAIR;
        return is_field_text(c) ? EXT_QUOTED : BAD;
    case EXT_QUOTED_PAIR:
        return is_field_text(c) ? EXT_QUOTED : BAD;
    default:
        return after_extension(c);
    }
}

static uint8_t trailer_step(uint8_t state, unsigned char c)
{
    switch (state) {
    case TRAILER_FIRST:
        if (c == '\r')
            return END_LF;
        return net__is_token[c] ? TRAILER_NAME : BAD;
    case TRAILER_NAME:
        if (c == ':')
            return TRAILER_VALUE;
        return net__is_token[c] ? TRAILER_NAME : BAD;
    case TRAILER_VALUE:
        if (c == '\r')
            return TRAILER_LF;
        return is_field_text(c) ? TRAILER_VALUE : BAD;
    default:
        return c == '\n' ? TRAILER_FIRST : BAD;
    }
}

static void step(struct net__chunk *ch, unsigned char c)
{
    switch ((enum state)ch->state) {
    case SIZE:
        ch->state = size_step(ch, c);
        break;
    case SIZE_LF:
        if (c != '\n')
            ch->state = BAD;
        else
            ch->state = ch->left ? DATA : TRAILER_FIRST;
        ch->line_bytes = 0;
        ch->digits = 0;
        break;
    case DATA_CR:
        ch->state = c == '\r' ? DATA_LF : BAD;
        break;
    case DATA_LF:
        ch->state = c == '\n' ? SIZE : BAD;
        ch->line_bytes = 0;
        break;
    case TRAILER_FIRST:
    case TRAILER_NAME:
    case TRAILER_VALUE:
    case TRAILER_LF:
        ch->state = trailer_step(ch->state, c);
        if (++ch->line_bytes > TRAILERS_MAX)
            ch->state = BAD;
        return;
    case DATA:
    case END_LF:
    case BAD:
        return; /* the caller's */
    default:
        ch->state = extension_step(ch->state, c);
        break;
    }
    if (++ch->line_bytes > SIZE_LINE_MAX)
        ch->state = BAD;
}

enum net__piece net__chunk_next(struct net__chunk *chunk, const char *data, size_t len,
                                size_t *ret_used, struct slice *ret_piece)
{
    size_t i = 0;
    while (i < len && chunk->state != BAD) {
        if (chunk->state == DATA) {
            size_t n = MIN(len - i, chunk->left);
            *ret_piece = slice_of(data + i, n);
            *ret_used = i + n;
            chunk->left -= n;
            if (chunk->left == 0)
                chunk->state = DATA_CR;
            return NET__PIECE_DATA;
        }
        if (chunk->state == END_LF) {
            *ret_used = i + 1;
            if (data[i] == '\n')
                return NET__PIECE_END;
            chunk->state = BAD;
            return NET__PIECE_BAD;
        }
        step(chunk, (unsigned char)data[i++]);
    }
    *ret_used = i;
    return chunk->state == BAD ? NET__PIECE_BAD : NET__PIECE_MORE;
}

/* -- a body of either framing
 * ---------------------------------------------------------------------------- */

void net__body_init(struct net__body *body, const struct net__framing *framing)
{
    *body = (struct net__body){
        .chunked = framing->chunked,
        .left = framing->length,
        .done = !framing->chunked && framing->length == 0,
    };
}

enum net__piece net__body_next(struct net__body *body, const char *data, size_t len,
                               size_t *ret_used, struct slice *ret_piece)
{
    *ret_used = 0;
    if (body->bad)
        return NET__PIECE_BAD;
    if (body->done)
        return NET__PIECE_END;
    if (body->chunked) {
        enum net__piece piece = net__chunk_next(&body->chunk, data, len, ret_used, ret_piece);
        body->done = piece == NET__PIECE_END;
        body->bad = piece == NET__PIECE_BAD;
        return piece;
    }
    if (len == 0)
        return NET__PIECE_MORE;
    size_t n = (uint64_t)body->left < len ? (size_t)body->left : len;
    *ret_piece = slice_of(data, n);
    *ret_used = n;
    body->left -= (int64_t)n;
    body->done = body->left == 0;
    return NET__PIECE_DATA;
}
