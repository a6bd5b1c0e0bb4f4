/*
 * What people type into a search box becomes a query of FTS5. Nothing of its own syntax is let
 * through: each word is quoted, so that a query cannot be malformed, name columns or use operators.
 */
#include "resource/resource_private.h"

#define WORDS_MAX 32u

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A word without a letter or digit would match nothing, and so nothing at all would be found. */
static bool has_token(struct slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.data[i];
        if (c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            return true;
    }
    return false;
}

static void put_phrase(struct buf *out, struct slice words, bool is_prefix)
{
    if (out->len)
        buf_putc(out, ' ');
    buf_putc(out, '"');
    for (size_t i = 0; i < words.len; i++) {
        if (words.data[i] == '"')
            buf_putc(out, '"');
        buf_putc(out, words.data[i] == '\0' ? ' ' : words.data[i]);
    }
    buf_putc(out, '"');
    if (is_prefix)
        buf_put_lit(out, " *");
}

enum status resource__search_match(struct slice q, struct arena *arena, struct slice *ret_match)
{
    struct buf out;
    buf_init(&out, arena, q.len + 64, 4 * q.len + 256);
    unsigned words = 0;
    size_t i = 0;
    while (i < q.len && words < WORDS_MAX) {
        while (i < q.len && is_space(q.data[i]))
            i++;
        if (i == q.len)
            break;
        bool is_phrase = q.data[i] == '"';
        size_t start = i += is_phrase;
        while (i < q.len && (is_phrase ? q.data[i] != '"' : !is_space(q.data[i])))
            i++;
        struct slice word = slice_of(q.data + start, i - start);
        bool is_last = i >= q.len;
        i += is_phrase && i < q.len;
        bool is_prefix = !is_phrase && (is_last || slice_ends(word, SLICE("*")));
        if (!has_token(word))
            continue;
        put_phrase(&out, word, is_prefix);
        words++;
    }
    if (buf_status(&out) != STATUS_OK)
        return buf_status(&out);
    if (words == 0)
        return STATUS_INVALID;
    *ret_match = buf_slice(&out);
    return STATUS_OK;
}

void resource__search_highlight(struct slice snippet, struct buf *out)
{
    struct buf html;
    buf_init(&html, out->arena, snippet.len + 64, 64 * snippet.len + 1024);
    for (size_t i = 0; i < snippet.len; i++) {
        char c = snippet.data[i];
        if (c == '\2')
            buf_put_lit(&html, "<mark>");
        else if (c == '\3')
            buf_put_lit(&html, "</mark>");
        else if (c == '<')
            buf_put_lit(&html, "&lt;");
        else if (c == '>')
            buf_put_lit(&html, "&gt;");
        else if (c == '&')
            buf_put_lit(&html, "&amp;");
        else if (c == '"')
            buf_put_lit(&html, "&quot;");
        else
            buf_putc(&html, c);
    }
    json_put_string(out, buf_slice(&html));
    buf_fini(&html);
}
