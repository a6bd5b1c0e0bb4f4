/*
 * One pass over the pattern. Most of it is the same in both languages and copied; the rest is
 * rewritten: `.` and \s by ECMA's notion of line ends and spaces, \v, \c, \u and surrogate pairs as
 * code points, the long names of \p{...}, [] and [^], and brackets and braces that stand for
 * themselves.
 */
#include "contract/pattern_ecma.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/macros.h"

/* ECMA's WhiteSpace and LineTerminator; PCRE2's own \s is the ASCII part. */
#define SPACES "\\s\\x{a0}\\x{feff}\\x{2028}\\x{2029}\\p{Zs}"

struct reader {
    struct slice text;
    size_t at;
    size_t stop; /* when the output has reached this */
    struct buf *out;
    struct contract_pattern_error *error;
    bool failed;
};

static bool fail(struct reader *r, size_t at, const char *why)
{
    if (r->failed)
        return false;
    r->failed = true;
    r->error->offset = at;
    (void)snprintf(r->error->reason, sizeof(r->error->reason), "%s", why);
    return false;
}

static char peek(const struct reader *r, size_t ahead)
{
    return r->at + ahead < r->text.len ? r->text.data[r->at + ahead] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static bool is_name_char(char c)
{
    return is_letter(c) || is_digit(c) || c == '_';
}

static void put_code(struct reader *r, uint32_t code)
{
    buf_printf(r->out, "\\x{%x}", (unsigned)code);
}

/* `digits` hex digits at r->at + ahead. */
static bool hex_at(const struct reader *r, size_t ahead, unsigned digits, uint32_t *ret)
{
    uint32_t code = 0;
    for (size_t i = ahead; i < ahead + digits; i++) {
        char c = peek(r, i);
        if (!is_digit(c) && ((c | 32) < 'a' || (c | 32) > 'f'))
            return false;
        code = code * 16 + (uint32_t)(is_digit(c) ? c - '0' : (c | 32) - 'a' + 10);
    }
    *ret = code;
    return true;
}

/* -- \p{...}
 * ---------------------------------------------------------------------------------------------------------
 */

static struct slice short_category(struct slice name)
{
    static const struct {
        struct slice name;
        struct slice code;
    } categories[] = {
        { SLICE_INIT("Cased_Letter"), SLICE_INIT("L&") },
        { SLICE_INIT("Close_Punctuation"), SLICE_INIT("Pe") },
        { SLICE_INIT("Combining_Mark"), SLICE_INIT("M") },
        { SLICE_INIT("Connector_Punctuation"), SLICE_INIT("Pc") },
        { SLICE_INIT("Control"), SLICE_INIT("Cc") },
        { SLICE_INIT("Currency_Symbol"), SLICE_INIT("Sc") },
        { SLICE_INIT("Dash_Punctuation"), SLICE_INIT("Pd") },
        { SLICE_INIT("Decimal_Number"), SLICE_INIT("Nd") },
        { SLICE_INIT("Enclosing_Mark"), SLICE_INIT("Me") },
        { SLICE_INIT("Final_Punctuation"), SLICE_INIT("Pf") },
        { SLICE_INIT("Format"), SLICE_INIT("Cf") },
        { SLICE_INIT("Initial_Punctuation"), SLICE_INIT("Pi") },
        { SLICE_INIT("LC"), SLICE_INIT("L&") },
        { SLICE_INIT("Letter"), SLICE_INIT("L") },
        { SLICE_INIT("Letter_Number"), SLICE_INIT("Nl") },
        { SLICE_INIT("Line_Separator"), SLICE_INIT("Zl") },
        { SLICE_INIT("Lowercase_Letter"), SLICE_INIT("Ll") },
        { SLICE_INIT("Mark"), SLICE_INIT("M") },
        { SLICE_INIT("Math_Symbol"), SLICE_INIT("Sm") },
        { SLICE_INIT("Modifier_Letter"), SLICE_INIT("Lm") },
        { SLICE_INIT("Modifier_Symbol"), SLICE_INIT("Sk") },
        { SLICE_INIT("Nonspacing_Mark"), SLICE_INIT("Mn") },
        { SLICE_INIT("Number"), SLICE_INIT("N") },
        { SLICE_INIT("Open_Punctuation"), SLICE_INIT("Ps") },
        { SLICE_INIT("Other"), SLICE_INIT("C") },
        { SLICE_INIT("Other_Letter"), SLICE_INIT("Lo") },
        { SLICE_INIT("Other_Number"), SLICE_INIT("No") },
        { SLICE_INIT("Other_Punctuation"), SLICE_INIT("Po") },
        { SLICE_INIT("Other_Symbol"), SLICE_INIT("So") },
        { SLICE_INIT("Paragraph_Separator"), SLICE_INIT("Zp") },
        { SLICE_INIT("Private_Use"), SLICE_INIT("Co") },
        { SLICE_INIT("Punctuation"), SLICE_INIT("P") },
        { SLICE_INIT("Separator"), SLICE_INIT("Z") },
        { SLICE_INIT("Space_Separator"), SLICE_INIT("Zs") },
        { SLICE_INIT("Spacing_Mark"), SLICE_INIT("Mc") },
        { SLICE_INIT("Surrogate"), SLICE_INIT("Cs") },
        { SLICE_INIT("Symbol"), SLICE_INIT("S") },
        { SLICE_INIT("Titlecase_Letter"), SLICE_INIT("Lt") },
        { SLICE_INIT("Unassigned"), SLICE_INIT("Cn") },
        { SLICE_INIT("Uppercase_Letter"), SLICE_INIT("Lu") },
        { SLICE_INIT("cntrl"), SLICE_INIT("Cc") },
        { SLICE_INIT("digit"), SLICE_INIT("Nd") },
        { SLICE_INIT("punct"), SLICE_INIT("P") },
    };
    for (size_t i = 0; i < ARRAY_LEN(categories); i++)
        if (slice_eq(name, categories[i].name))
            return categories[i].code;
    return name;
}

/* At the `p` or `P` of an escape. */
static bool put_property(struct reader *r)
{
    size_t start = r->at + 2, end = start;
    char kind = peek(r, 0);
    while (end < r->text.len && (is_name_char(r->text.data[end]) || r->text.data[end] == '='))
        end++;
    if (peek(r, 1) != '{' || end == start || end >= r->text.len || r->text.data[end] != '}')
        return fail(r, r->at, "\\p is followed by a property's name in braces");
    struct slice name = slice_of(r->text.data + start, end - start), value = name;
    size_t equals = slice_find(name, '=');
    const char *prefix = "";
    if (equals != SIZE_MAX) {
        value = slice_from(name, equals + 1);
        name = slice_head(name, equals);
        if (slice_eq(name, SLICE("Script")) || slice_eq(name, SLICE("sc")))
            prefix = "sc:";
        else if (slice_eq(name, SLICE("Script_Extensions")) || slice_eq(name, SLICE("scx")))
            prefix = "scx:";
        else if (!slice_eq(name, SLICE("General_Category")) && !slice_eq(name, SLICE("gc")))
            return fail(r, start, "no property has this name");
    }
    if (slice_eq(value, SLICE("Assigned"))) {
        kind = (char)(kind ^ 32);
        value = SLICE("Cn");
    }
    struct slice code = *prefix ? value : short_category(value);
    buf_printf(r->out, "\\%c{%s%.*s}", kind, prefix, SLICE_ARG(code));
    r->at = end + 1;
    return true;
}

/* -- other escapes
 * ---------------------------------------------------------------------------------------------------
 */

/* At the `u`. */
static bool put_unicode(struct reader *r)
{
    uint32_t code = 0, low;
    size_t taken = 5;
    if (peek(r, 1) == '{') {
        unsigned digits = 0;
        while (digits < 7 && hex_at(r, 2 + digits, 1, &low))
            digits++;
        if (!digits || peek(r, 2 + digits) != '}' || !hex_at(r, 2, digits, &code) ||
            code > 0x10ffff)
            return fail(r, r->at, "\\u{...} is one code point in hex");
        taken = digits + 3;
    } else if (!hex_at(r, 1, 4, &code)) {
        return fail(r, r->at, "\\u is followed by four hex digits, or by some in braces");
    }
    if (taken == 5 && code >= 0xd800 && code <= 0xdbff && peek(r, 5) == '\\' && peek(r, 6) == 'u' &&
        hex_at(r, 7, 4, &low) && low >= 0xdc00 && low <= 0xdfff) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        taken = 11;
    }
    if (code >= 0xd800 && code <= 0xdfff)
        return fail(r, r->at, "half of a surrogate pair matches nothing");
    put_code(r, code);
    r->at += taken;
    return true;
}

static bool put_back_reference(struct reader *r)
{
    size_t len = 0;
    while (is_digit(peek(r, len)))
        len++;
    buf_printf(r->out, "\\g{%.*s}", (int)len, r->text.data + r->at);
    r->at += len;
    return true;
}

static bool put_named_reference(struct reader *r)
{
    size_t end = slice_find(slice_from(r->text, r->at), '>');
    if (peek(r, 1) != '<' || end == SIZE_MAX)
        return fail(r, r->at, "\\k is followed by a group's name in angle brackets");
    buf_putc(r->out, '\\');
    buf_put(r->out, r->text.data + r->at, end + 1);
    r->at += end + 1;
    return true;
}

/* Those of one letter and nothing after it. */
static bool put_simple_escape(struct reader *r, char c, bool in_class)
{
    r->at++;
    switch (c) {
    case 's':
        buf_put_cstr(r->out, in_class ? SPACES : "[" SPACES "]");
        return true;
    case 'S':
        buf_put_cstr(r->out, in_class ? "\\S" : "[^" SPACES "]");
        return true;
    case 'v':
        put_code(r, 0x0b);
        return true;
    case 'B':
        if (in_class)
            return fail(r, r->at - 2, "\\B means nothing in a class");
        break;
    default:
        break;
    }
    buf_putc(r->out, '\\');
    buf_putc(r->out, c);
    return true;
}

/* At the character behind the backslash. */
static bool put_escape(struct reader *r, bool in_class)
{
    char c = peek(r, 0);
    uint32_t code;
    if (r->at >= r->text.len)
        return fail(r, r->at, "a backslash at the end");
    if (strchr("dDwWsSbBtnvfr", c) && c)
        return put_simple_escape(r, c, in_class);
    if (c == 'p' || c == 'P')
        return put_property(r);
    if (c == 'u')
        return put_unicode(r);
    if (c == 'k' && !in_class)
        return put_named_reference(r);
    if (c >= '1' && c <= '9' && !in_class)
        return put_back_reference(r);
    if (c == 'x' && hex_at(r, 1, 2, &code)) {
        put_code(r, code);
        r->at += 3;
        return true;
    }
    if (c == 'c' && is_letter(peek(r, 1))) {
        put_code(r, (uint32_t)peek(r, 1) & 31);
        r->at += 2;
        return true;
    }
    if (c == '0' && !is_digit(peek(r, 1))) {
        put_code(r, 0);
        r->at++;
        return true;
    }
    if (is_letter(c) || is_digit(c))
        return fail(r, r->at - 1, "this escape means nothing");
    /* What stands for itself with or without the backslash; beyond ASCII without. */
    if (!(c & 0x80))
        buf_putc(r->out, '\\');
    buf_putc(r->out, c);
    r->at++;
    return true;
}

/* -- groups, quantifiers, classes
 * -------------------------------------------------------------------------------------- */

static bool put_group_start(struct reader *r)
{
    static const struct slice starts[] = { SLICE_INIT("(?:"), SLICE_INIT("(?="), SLICE_INIT("(?!"),
                                           SLICE_INIT("(?<="), SLICE_INIT("(?<!") };
    struct slice rest = slice_from(r->text, r->at);
    if (peek(r, 1) == '*')
        return fail(r, r->at + 1, "nothing to repeat");
    if (peek(r, 1) != '?') {
        buf_putc(r->out, '(');
        r->at++;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        if (slice_starts(rest, starts[i])) {
            buf_put_slice(r->out, starts[i]);
            r->at += starts[i].len;
            return true;
        }
    if (peek(r, 2) != '<' || !is_letter(peek(r, 3)))
        return fail(r, r->at, "no group starts like this");
    buf_put_lit(r->out, "(?<");
    r->at += 3;
    return true;
}

/* Bytes of "{2}", "{2,}" or "{2,3}" here; 0: the brace stands for itself. */
static size_t counted_len(const struct reader *r)
{
    size_t n = 1;
    while (is_digit(peek(r, n)))
        n++;
    if (n == 1)
        return 0;
    if (peek(r, n) == ',')
        n++;
    while (is_digit(peek(r, n)))
        n++;
    return peek(r, n) == '}' ? n + 1 : 0;
}

static bool put_quantifier(struct reader *r, size_t len)
{
    buf_put(r->out, r->text.data + r->at, len);
    r->at += len;
    if (peek(r, 0) == '?') {
        buf_putc(r->out, '?');
        r->at++;
    }
    char c = peek(r, 0);
    if (c == '*' || c == '+' || c == '?' || (c == '{' && counted_len(r)))
        return fail(r, r->at, "nothing to repeat");
    return true;
}

static bool put_class(struct reader *r)
{
    r->at++;
    bool inverse = peek(r, 0) == '^';
    r->at += inverse;
    if (peek(r, 0) == ']') {
        buf_put_cstr(r->out, inverse ? "[\\x{0}-\\x{10ffff}]" : "[^\\x{0}-\\x{10ffff}]");
        r->at++;
        return true;
    }
    buf_put_cstr(r->out, inverse ? "[^" : "[");
    while (r->at < r->text.len && buf_status(r->out) == STATUS_OK) {
        char c = peek(r, 0);
        r->at++;
        if (c == '\\') {
            if (!put_escape(r, true))
                return false;
            continue;
        }
        /* A bracket inside would start a POSIX class. */
        if (c == '[')
            buf_putc(r->out, '\\');
        buf_putc(r->out, c);
        if (c == ']')
            return true;
    }
    return fail(r, r->text.len, "missing terminating ] for character class");
}

static bool put_next(struct reader *r)
{
    char c = peek(r, 0);
    switch (c) {
    case '\\':
        r->at++;
        return put_escape(r, false);
    case '[':
        return put_class(r);
    case '(':
        return put_group_start(r);
    case '*':
    case '+':
    case '?':
        return put_quantifier(r, 1);
    case '{': {
        size_t len = counted_len(r);
        if (len)
            return put_quantifier(r, len);
        break;
    }
    case '.':
        buf_put_lit(r->out, "[^\\n\\r\\x{2028}\\x{2029}]");
        r->at++;
        return true;
    default:
        break;
    }
    if (c == '{' || c == '}' || c == ']')
        buf_putc(r->out, '\\');
    buf_putc(r->out, c);
    r->at++;
    return true;
}

static enum status translate(struct reader *r)
{
    while (r->at < r->text.len && r->out->len < r->stop && buf_status(r->out) == STATUS_OK)
        if (!put_next(r))
            return STATUS_INVALID;
    return buf_status(r->out);
}

enum status contract__pattern_from_ecma(struct slice text, struct buf *out,
                                        struct contract_pattern_error *ret_error)
{
    struct reader r = { .text = text, .stop = SIZE_MAX, .out = out, .error = ret_error };
    return translate(&r);
}

size_t contract__pattern_origin(struct slice text, size_t offset)
{
    struct contract_pattern_error unused;
    CLEANUP(buf_fini) struct buf out;
    buf_init(&out, NULL, 0, CONTRACT__PATTERN_GROWTH_MAX);
    struct reader r = { .text = text, .stop = offset, .out = &out, .error = &unused };
    (void)translate(&r);
    return r.at;
}
