/*
 * net/path.c - Request targets: the form they come in, and the one normal form of their path.
 *
 * Routing, rules and logs all see the normal form, so nothing can be spelled past them. A spelling
 * that programs before or behind us could read in two ways is refused instead of repaired (EH7).
 */
#include "net/codec.h"

#include <string.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/macros.h"

/* What a character of a raw path may be. */
enum { PATH_BAD, PATH_PLAIN, PATH_SLASH, PATH_DOT, PATH_PERCENT };
static const uint8_t path_class[256] = {
    ['a' ... 'z'] = PATH_PLAIN, ['A' ... 'Z'] = PATH_PLAIN, ['0' ... '9'] = PATH_PLAIN,
    ['-'] = PATH_PLAIN,         ['_'] = PATH_PLAIN,         ['~'] = PATH_PLAIN,
    ['!'] = PATH_PLAIN,         ['$'] = PATH_PLAIN,         ['&'] = PATH_PLAIN,
    ['\''] = PATH_PLAIN,        ['('] = PATH_PLAIN,         [')'] = PATH_PLAIN,
    ['*'] = PATH_PLAIN,         ['+'] = PATH_PLAIN,         [','] = PATH_PLAIN,
    ['='] = PATH_PLAIN,         [':'] = PATH_PLAIN,         ['@'] = PATH_PLAIN,
    ['/'] = PATH_SLASH,         ['.'] = PATH_DOT,           ['%'] = PATH_PERCENT,
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(unsigned char c)
{
    return path_class[c] != PATH_BAD &&
           (c >= 'a' || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_');
}

/* Is there nothing to do? True for nearly every path there is. */
static bool is_normal(struct slice raw)
{
    char before = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.data[i];
        uint8_t class = path_class[(unsigned char)c];
        if (LIKELY(class == PATH_PLAIN)) {
            before = c;
            continue;
        }
        if (class == PATH_BAD || class == PATH_PERCENT)
            return false;
        if (before == '/') /* "//", or "/." which may be a dot segment */
            return false;
        before = c;
    }
    return true;
}

/*
 * Unescape raw[*at..] ("%XX") into out. The whole run of escaped bytes past ASCII must be UTF-8: it
 * is checked here as one text, so that overlong forms and halves of characters do not come through.
 */
static bool put_escaped(struct slice raw, size_t *at, char *out, size_t *out_len)
{
    static const char digits[] = "0123456789ABCDEF";
    char text[4];
    size_t text_len = 0;
    do {
        size_t i = *at;
        if (raw.len - i < 3 || raw.data[i] != '%')
            return false;
        int high = hex_value(raw.data[i + 1]), low = hex_value(raw.data[i + 2]);
        if (high < 0 || low < 0)
            return false;
        unsigned char c = (unsigned char)(high << 4 | low);
        /* Dots, slashes and semicolons hidden from whoever looked before us; controls. */
        if (c < 0x20 || c == 0x7f || c == '.' || c == '/' || c == '\\' || c == ';')
            return false;
        *at += 3;
        if (is_unreserved(c)) {
            out[(*out_len)++] = (char)c;
            return text_len == 0;
        }
        out[(*out_len)++] = '%';
        out[(*out_len)++] = digits[c >> 4];
        out[(*out_len)++] = digits[c & 15];
        if (c < 0x80)
            return text_len == 0;
        text[text_len++] = (char)c;
        if (utf8_is_valid(slice_of(text, text_len)))
            return true;
    } while (text_len < sizeof(text));
    return false;
}

/* Take "." and ".." off the end of out, whose last segment is whole. False above the root. */
static bool resolve_dots(char *out, size_t *out_len)
{
    size_t n = *out_len;
    if (n >= 2 && out[n - 1] == '.' && out[n - 2] == '/') {
        *out_len = n - 1;
        return true;
    }
    if (n < 3 || out[n - 1] != '.' || out[n - 2] != '.' || out[n - 3] != '/')
        return true;
    n -= 3; /* at the slash before ".." */
    if (n == 0)
        return false;
    while (out[n - 1] != '/')
        n--;
    *out_len = n;
    return true;
}

enum status net__path_normalise(struct arena *arena, struct slice raw, struct slice *ret_path)
{
    if (raw.len == 0 || raw.data[0] != '/')
        return STATUS_INVALID;
    if (is_normal(raw)) {
        *ret_path = raw;
        return STATUS_OK;
    }
    char *out = arena_alloc(arena, raw.len);
    if (!out)
        return STATUS_EXHAUSTED;
    size_t len = 0, i = 0;
    while (i < raw.len) {
        char c = raw.data[i];
        switch (path_class[(unsigned char)c]) {
        case PATH_BAD:
            return STATUS_INVALID;
        case PATH_PERCENT:
            if (!put_escaped(raw, &i, out, &len))
                return STATUS_INVALID;
            continue;
        case PATH_SLASH:
            if (i > 0 && raw.data[i - 1] == '/')
                return STATUS_INVALID;
            if (!resolve_dots(out, &len))
                return STATUS_INVALID;
            /* A resolved segment left its own slash behind. */
            if (len == 0 || out[len - 1] != '/')
                out[len++] = c;
            break;
        default:
            out[len++] = c;
        }
        i++;
    }
    if (!resolve_dots(out, &len))
        return STATUS_INVALID;
    *ret_path = slice_of(out, len);
    return STATUS_OK;
}

/* -- authority
 * ------------------------------------------------------------------------------------------- */

/* reg-name without what no name has and somebody may take for two: ";" as in paths, "," as of two
 * Host lines that were joined, escapes. */
static const bool is_host_char[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true,
    ['.'] = true,         ['_'] = true,         ['~'] = true,         ['!'] = true,
    ['$'] = true,         ['&'] = true,         ['\''] = true,        ['('] = true,
    [')'] = true,         ['*'] = true,         ['+'] = true,         ['='] = true,
};

static bool port_is_valid(struct slice port)
{
    unsigned value = 0;
    for (size_t i = 0; i < port.len; i++) {
        if (port.data[i] < '0' || port.data[i] > '9')
            return false;
        value = value * 10 + (unsigned)(port.data[i] - '0');
        if (value > 65535)
            return false;
    }
    return true;
}

bool net__authority_is_valid(struct slice authority)
{
    size_t i = 0;
    if (authority.len && authority.data[0] == '[') {
        struct address unused;
        i = slice_find(authority, ']');
        if (i == SIZE_MAX)
            return false;
        struct slice inner = slice_of(authority.data + 1, i - 1);
        if (slice_find(inner, ':') == SIZE_MAX || !address_parse(inner, &unused))
            return false;
        i++;
    } else {
        while (i < authority.len && is_host_char[(unsigned char)authority.data[i]])
            i++;
        if (i == 0)
            return false;
    }
    if (i == authority.len)
        return true;
    return authority.data[i] == ':' && port_is_valid(slice_from(authority, i + 1));
}

/* -- target
 * ---------------------------------------------------------------------------------------------- */

/* Past "http://" or "https://", or 0. */
static size_t scheme_len(struct slice target)
{
    if (target.len >= 7 && slice_eq_nocase(slice_head(target, 7), SLICE("http://")))
        return 7;
    if (target.len >= 8 && slice_eq_nocase(slice_head(target, 8), SLICE("https://")))
        return 8;
    return 0;
}

/* Printable ASCII without "#": the rest of a query's grammar is its reader's (http/query.c). */
static bool query_is_valid(struct slice query)
{
    unsigned bad = 0;
    for (size_t i = 0; i < query.len; i++) {
        unsigned char c = (unsigned char)query.data[i];
        bad |= (unsigned)(c <= 0x20) | (unsigned)(c >= 0x7f) | (unsigned)(c == '#');
    }
    return bad == 0;
}

enum status net__target_parse(struct arena *arena, struct slice target, bool is_options,
                              struct net_request *request)
{
    request->target = target;
    request->query = SLICE_NULL;
    if (target.len == 1 && target.data[0] == '*' && is_options) {
        request->path = target;
        return STATUS_OK;
    }
    struct slice rest = target;
    if (target.len == 0)
        return STATUS_INVALID;
    if (target.data[0] != '/') {
        size_t skip = scheme_len(target);
        if (skip == 0)
            return STATUS_INVALID;
        size_t end = skip;
        while (end < target.len && target.data[end] != '/' && target.data[end] != '?')
            end++;
        struct slice host = slice_of(target.data + skip, end - skip);
        if (!net__authority_is_valid(host))
            return STATUS_INVALID;
        request->host = host;
        rest = slice_from(target, end);
    }
    const char *mark = rest.len ? memchr(rest.data, '?', rest.len) : NULL;
    if (mark) {
        size_t path_len = (size_t)(mark - rest.data);
        request->query = slice_from(rest, path_len + 1);
        if (!query_is_valid(request->query))
            return STATUS_INVALID;
        rest.len = path_len;
    }
    if (rest.len == 0)
        rest = SLICE("/"); /* "http://host" and "http://host?query" */
    return net__path_normalise(arena, rest, &request->path);
}
