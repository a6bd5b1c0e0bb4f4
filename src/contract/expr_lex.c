/*
 * Tokens of the rule and filter language. The text is UTF-8; outside of string literals only ASCII
 * means anything.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "contract/expr_private.h"

static bool is_name_start(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
}

static bool is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

/* The byte `ahead` of the lexer's place; 0 past the end. */
static char peek(const struct expr_compiler *c, size_t ahead)
{
    return c->at + ahead < c->text.len ? c->text.data[c->at + ahead] : '\0';
}

static void token_set(struct expr_compiler *c, enum expr_token_kind kind, size_t start)
{
    c->token.kind = kind;
    c->token.offset = (uint32_t)start;
    c->token.text = slice_of(c->text.data + start, c->at - start);
}

static void token_bad(struct expr_compiler *c)
{
    c->token.kind = EXPR_TOKEN_BAD;
    c->token.text = SLICE_NULL;
}

/* Space, and comments to the end of the line. */
static void skip_space(struct expr_compiler *c)
{
    while (c->at < c->text.len) {
        char ch = peek(c, 0);
        if (ch == '/' && peek(c, 1) == '/') {
            while (c->at < c->text.len && peek(c, 0) != '\n')
                c->at++;
        } else if (ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r') {
            c->at++;
        } else {
            return;
        }
    }
}

static void lex_name(struct expr_compiler *c, size_t start)
{
    while (is_name_start(peek(c, 0)) || is_digit(peek(c, 0)))
        c->at++;
    token_set(c, EXPR_TOKEN_NAME, start);
}

static void lex_context(struct expr_compiler *c, size_t start)
{
    c->at++;
    if (!is_name_start(peek(c, 0))) {
        (void)expr__fail(c, STATUS_INVALID, start, "`@` must be followed by user, roles or now");
        token_bad(c);
        return;
    }
    lex_name(c, start);
    c->token.kind = EXPR_TOKEN_CONTEXT;
    c->token.text = slice_from(c->token.text, 1);
}

static void lex_digits(struct expr_compiler *c)
{
    while (is_digit(peek(c, 0)))
        c->at++;
}

/* Digits as an integer up to 2^63; false beyond. */
static bool read_integer(struct slice digits, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint64_t digit = (uint64_t)(digits.data[i] - '0');
        if (value > ((uint64_t)1 << 63) / 10 || value * 10 + digit > (uint64_t)1 << 63)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

static void lex_number(struct expr_compiler *c, size_t start)
{
    lex_digits(c);
    bool is_double = false;
    if (peek(c, 0) == '.' && is_digit(peek(c, 1))) {
        is_double = true;
        c->at++;
        lex_digits(c);
    }
    size_t exponent = peek(c, 1) == '+' || peek(c, 1) == '-' ? 2 : 1;
    if ((peek(c, 0) == 'e' || peek(c, 0) == 'E') && is_digit(peek(c, exponent))) {
        is_double = true;
        c->at += exponent;
        lex_digits(c);
    }
    token_set(c, is_double ? EXPR_TOKEN_DOUBLE : EXPR_TOKEN_INT, start);
    struct slice digits = c->token.text;
    if (is_name_start(peek(c, 0))) {
        (void)expr__fail(c, STATUS_INVALID, c->at, "a number runs into a name");
        token_bad(c);
    } else if (digits.len > 1 && digits.data[0] == '0' && is_digit(digits.data[1])) {
        (void)expr__fail(c, STATUS_INVALID, start, "a number does not begin with 0");
        token_bad(c);
    } else if (is_double ? !slice_to_double(digits, &c->token.as.real)
                         : !read_integer(digits, &c->token.as.u64)) {
        (void)expr__fail(c, STATUS_INVALID, start, "the number `%.*s` is too large",
                         (int)MIN(digits.len, 40), digits.data);
        token_bad(c);
    }
}

/* Four hexadecimal digits at the lexer's place. */
static bool read_hex4(struct expr_compiler *c, uint32_t *ret)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        char ch = peek(c, i);
        uint32_t digit;
        if (is_digit(ch))
            digit = (uint32_t)(ch - '0');
        else if ((ch | 32) >= 'a' && (ch | 32) <= 'f')
            digit = (uint32_t)((ch | 32) - 'a') + 10;
        else
            return false;
        value = value * 16 + digit;
    }
    c->at += 4;
    *ret = value;
    return true;
}

static void put_code_point(struct buf *out, uint32_t cp)
{
    if (cp < 0x80) {
        buf_putc(out, (char)cp);
        return;
    }
    if (cp < 0x800) {
        buf_putc(out, (char)(0xC0 | cp >> 6));
    } else {
        if (cp < 0x10000) {
            buf_putc(out, (char)(0xE0 | cp >> 12));
        } else {
            buf_putc(out, (char)(0xF0 | cp >> 18));
            buf_putc(out, (char)(0x80 | (cp >> 12 & 0x3F)));
        }
        buf_putc(out, (char)(0x80 | (cp >> 6 & 0x3F)));
    }
    buf_putc(out, (char)(0x80 | (cp & 0x3F)));
}

/* \uXXXX, a surrogate pair being two of them; the lexer stands after the u. */
static bool lex_unicode(struct expr_compiler *c, struct buf *out, size_t escape)
{
    uint32_t cp, low;
    if (!read_hex4(c, &cp))
        return expr__fail(c, STATUS_INVALID, escape, "\\u is followed by four hexadecimal digits");
    if (cp >= 0xD800 && cp < 0xDC00 && peek(c, 0) == '\\' && peek(c, 1) == 'u') {
        c->at += 2;
        if (!read_hex4(c, &low) || low < 0xDC00 || low > 0xDFFF)
            return expr__fail(c, STATUS_INVALID, escape, "the escape is half of a surrogate pair");
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    }
    if (cp >= 0xD800 && cp <= 0xDFFF)
        return expr__fail(c, STATUS_INVALID, escape, "the escape is half of a surrogate pair");
    if (cp == 0)
        return expr__fail(c, STATUS_INVALID, escape, "text cannot hold the character U+0000");
    put_code_point(out, cp);
    return true;
}

static bool lex_escape(struct expr_compiler *c, struct buf *out)
{
    static const char from[] = "\\\"'/`nrtbf", to[] = "\\\"'/`\n\r\t\b\f";
    size_t escape = c->at++;
    char ch = peek(c, 0);
    if (ch == 'u') {
        c->at++;
        return lex_unicode(c, out, escape);
    }
    const char *found = ch ? strchr(from, ch) : NULL;
    if (found == NULL) {
        (void)expr__fail(c, STATUS_INVALID, escape, "unknown escape in a string");
        expr__hint(c, "The escapes are \\\\ \\\" \\' \\/ \\n \\r \\t \\b \\f \\uXXXX.");
        return false;
    }
    buf_putc(out, to[found - from]);
    c->at++;
    return true;
}

static void lex_string(struct expr_compiler *c, size_t start)
{
    char quote = peek(c, 0);
    c->at++;
    struct buf out;
    buf_init(&out, c->arena, 0, EXPR_BYTES_MAX);
    bool escaped = false;
    size_t from = c->at;
    for (;;) {
        if (c->at >= c->text.len) {
            (void)expr__fail(c, STATUS_INVALID, start, "the string is not closed");
            token_bad(c);
            return;
        }
        unsigned char ch = (unsigned char)peek(c, 0);
        if (ch == (unsigned char)quote)
            break;
        if (ch < 0x20) {
            (void)expr__fail(c, STATUS_INVALID, c->at, "a string holds no control characters");
            expr__hint(c, "Write \\n for a line break, \\t for a tab.");
            token_bad(c);
            return;
        }
        if (ch != '\\') {
            c->at++;
            continue;
        }
        escaped = true;
        buf_put(&out, c->text.data + from, c->at - from);
        if (!lex_escape(c, &out)) {
            token_bad(c);
            return;
        }
        from = c->at;
    }
    struct slice raw = slice_of(c->text.data + from, c->at - from);
    c->at++;
    token_set(c, EXPR_TOKEN_STRING, start);
    c->token.text = raw;
    if (escaped) {
        buf_put_slice(&out, raw);
        c->token.text = buf_slice(&out);
    }
    if (buf_status(&out) != STATUS_OK) {
        (void)expr__fail(c, STATUS_EXHAUSTED, start, "no memory");
        token_bad(c);
    }
}

static void lex_operator(struct expr_compiler *c, size_t start)
{
    static const struct slice pairs[] = { SLICE_INIT("||"), SLICE_INIT("&&"), SLICE_INIT("=="),
                                          SLICE_INIT("!="), SLICE_INIT("<="), SLICE_INIT(">=") };
    struct slice rest = slice_from(c->text, c->at);
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (slice_starts(rest, pairs[i])) {
            c->at += 2;
            token_set(c, EXPR_TOKEN_OP, start);
            return;
        }
    char ch = peek(c, 0);
    if (ch && strchr("!<>+-*/%()[],.?:", ch)) {
        c->at++;
        token_set(c, EXPR_TOKEN_OP, start);
        return;
    }
    if (ch == '=' || ch == '&' || ch == '|') {
        (void)expr__fail(c, STATUS_INVALID, start, "`%c` is not an operator", ch);
        expr__hint(c, "Did you mean `%c%c`?", ch, ch);
    } else if (ch > 0x20 && ch < 0x7F) {
        (void)expr__fail(c, STATUS_INVALID, start, "`%c` means nothing here", ch);
    } else {
        (void)expr__fail(c, STATUS_INVALID, start, "the character 0x%02x means nothing here",
                         (unsigned)(unsigned char)ch);
    }
    token_bad(c);
}

void expr__lex(struct expr_compiler *c)
{
    if (c->token.kind == EXPR_TOKEN_BAD)
        return;
    skip_space(c);
    size_t start = c->at;
    char ch = peek(c, 0);
    if (start >= c->text.len)
        token_set(c, EXPR_TOKEN_END, start);
    else if (is_name_start(ch))
        lex_name(c, start);
    else if (ch == '@')
        lex_context(c, start);
    else if (is_digit(ch))
        lex_number(c, start);
    else if (ch == '"' || ch == '\'')
        lex_string(c, start);
    else
        lex_operator(c, start);
}
