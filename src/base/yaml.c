/*
 * libyaml splits the text into events; this builds the tree from them and refuses what makes YAML
 * surprising: anchors and aliases (a small file that grows without end), tags (types that the
 * reader did not ask for), merge keys, directives, several documents, keys that are not plain names
 * and the same key twice. Only what libyaml itself cannot read past ends the reading; the rest is
 * collected, so that one run shows everything.
 */
#include "base/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/macros.h"

#define BYTES_MAX_DEFAULT ((size_t)1 << 20)
#define NODES_MAX_DEFAULT 50000u
#define DEPTH_MAX_DEFAULT 32u
/* Beyond this many keys of one map, looking for doubles goes over a sorted copy. */
#define QUADRATIC_KEYS_MAX 16u

/* A list or map that is still open. */
struct frame {
    struct yaml_node *node;
    struct yaml_node *last; /* its newest child */
    struct yaml_node *key;  /* of a map: read, and waiting for its value */
};

struct reader {
    yaml_parser_t parser;
    struct slice text, file;
    struct arena *arena;
    struct diag *diag;
    struct yaml_limits limits;
    struct frame *stack;
    unsigned depth, nodes;
    struct yaml_node *root;
    bool bad; /* something was reported */
};

static int line_of(const yaml_mark_t *mark)
{
    return (int)MIN(mark->line, 1000000000) + 1;
}

static int column_of(const yaml_mark_t *mark)
{
    return (int)MIN(mark->column, 1000000000) + 1;
}

#define COMPLAIN(r, mark, ...)                                                                     \
    do {                                                                                           \
        diag_add((r)->diag, (r)->file, line_of(mark), column_of(mark), SLICE_NULL, SLICE_NULL,     \
                 __VA_ARGS__);                                                                     \
        (r)->bad = true;                                                                           \
    } while (0)

/* The byte at a place that libyaml names by line and character. */
static char byte_at(struct slice text, const yaml_mark_t *mark)
{
    size_t i = 0;
    for (size_t line = 0; line < mark->line && i < text.len; i++)
        line += text.data[i] == '\n';
    for (size_t column = 0; column < mark->column && i < text.len; column++) {
        i++;
        while (i < text.len && ((unsigned char)text.data[i] & 0xc0) == 0x80)
            i++;
    }
    return i < text.len ? text.data[i] : '\0';
}

/* What usually lies behind a complaint of libyaml's. */
static struct slice hint_of(const yaml_parser_t *p, char at)
{
    const char *problem = p->problem ? p->problem : "";
    if (at == '\t')
        return SLICE("YAML is indented with spaces, not with tabs.");
    if (at == '@' || at == '`' || at == '%')
        return SLICE("A value that begins with this character must be quoted.");
    if (strcmp(problem, "mapping values are not allowed in this context") == 0)
        return SLICE(
            "Is the line indented as those around it? A value with `: ` in it must be quoted.");
    if (strcmp(problem, "did not find expected key") == 0)
        return SLICE("A value that begins with a quote must be quoted whole.");
    return SLICE_NULL;
}

static void complain_of_syntax(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "cannot be read";
    bool in_reader = p->error == YAML_READER_ERROR;
    const yaml_mark_t *mark = in_reader ? &p->mark : &p->problem_mark;
    struct slice hint = in_reader ? SLICE_NULL : hint_of(p, byte_at(r->text, mark));
    char since[32] = "";
    if (!in_reader && p->context && p->context_mark.line != mark->line)
        (void)snprintf(since, sizeof(since), " that began on line %d", line_of(&p->context_mark));
    diag_add(r->diag, r->file, line_of(mark), in_reader ? 0 : column_of(mark), SLICE_NULL, hint,
             "not YAML: %s%s%s%s", problem, p->context && !in_reader ? " " : "",
             p->context && !in_reader ? p->context : "", since);
    r->bad = true;
}

/* Where the first byte stands that is not UTF-8. */
static void complain_of_utf8(struct reader *r)
{
    int line = 1;
    struct slice rest = r->text, part;
    while (slice_split(&rest, '\n', &part)) {
        if (!utf8_is_valid(part))
            break;
        line++;
    }
    diag_add(r->diag, r->file, line, 0, SLICE_NULL, SLICE_NULL, "not valid UTF-8");
    r->bad = true;
}

static struct yaml_node *node_new(struct reader *r, enum yaml_kind kind, const yaml_mark_t *mark)
{
    struct yaml_node *node = arena_new_of(r->arena, struct yaml_node);
    if (!node)
        return NULL;
    node->kind = kind;
    node->line = line_of(mark);
    node->column = column_of(mark);
    r->nodes++;
    return node;
}

static int compare_keys(const void *a, const void *b)
{
    const struct yaml_node *x = *(const struct yaml_node *const *)a;
    const struct yaml_node *y = *(const struct yaml_node *const *)b;
    int by_text = slice_cmp(x->text, y->text);
    if (by_text != 0)
        return by_text;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

static void complain_of_double(struct reader *r, const struct yaml_node *first,
                               const struct yaml_node *second)
{
    diag_add(r->diag, r->file, second->line, second->column, second->text, SLICE_NULL,
             "the same key twice, first on line %d", first->line);
    r->bad = true;
}

static enum status check_doubles(struct reader *r, const struct yaml_node *map)
{
    if (map->len <= QUADRATIC_KEYS_MAX) {
        for (const struct yaml_node *a = map->first; a; a = a->next) {
            const struct yaml_node *b = map->first;
            while (b != a && !slice_eq(b->key->text, a->key->text))
                b = b->next;
            if (b != a)
                complain_of_double(r, b->key, a->key);
        }
        return STATUS_OK;
    }
    const struct yaml_node **keys = arena_array_of(r->arena, const struct yaml_node *, map->len);
    if (!keys)
        return STATUS_EXHAUSTED;
    unsigned n = 0;
    for (const struct yaml_node *value = map->first; value; value = value->next)
        keys[n++] = value->key;
    qsort(keys, n, sizeof(keys[0]), compare_keys);
    for (unsigned i = 1; i < n; i++) {
        if (slice_eq(keys[i - 1]->text, keys[i]->text))
            complain_of_double(r, keys[i - 1], keys[i]);
    }
    return STATUS_OK;
}

/* Put a finished or just opened node where it belongs. */
static void attach(struct reader *r, struct yaml_node *node, const yaml_mark_t *mark)
{
    if (r->depth == 0) {
        r->root = node;
        return;
    }
    struct frame *top = &r->stack[r->depth - 1];
    if (top->node->kind == YAML_MAP && !top->key) {
        if (node->kind != YAML_SCALAR)
            COMPLAIN(r, mark, "a list or map cannot be a key here");
        else if (!node->quoted && slice_eq(node->text, SLICE("<<")))
            COMPLAIN(r, mark, "merge keys (<<) are not supported; write the keys out");
        top->key = node;
        return;
    }
    node->key = top->key;
    top->key = NULL;
    if (top->last)
        top->last->next = node;
    else
        top->node->first = node;
    top->last = node;
    top->node->len++;
}

static void check_decoration(struct reader *r, const yaml_char_t *anchor, const yaml_char_t *tag,
                             const yaml_mark_t *mark)
{
    if (anchor)
        COMPLAIN(r, mark, "anchors (&%.40s) are not supported; write the value out",
                 (const char *)anchor);
    if (tag)
        COMPLAIN(r, mark, "tags (%.40s) are not supported", (const char *)tag);
}

static enum status read_scalar(struct reader *r, const yaml_event_t *event)
{
    check_decoration(r, event->data.scalar.anchor, event->data.scalar.tag, &event->start_mark);
    struct yaml_node *node = node_new(r, YAML_SCALAR, &event->start_mark);
    if (!node)
        return STATUS_EXHAUSTED;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    struct slice text = slice_of((const char *)event->data.scalar.value, event->data.scalar.length);
    enum status st = arena_copy(r->arena, text, &node->text);
    if (st == STATUS_OK)
        attach(r, node, &event->start_mark);
    return st;
}

static enum status open_node(struct reader *r, enum yaml_kind kind, const yaml_event_t *event)
{
    struct yaml_node *node = node_new(r, kind, &event->start_mark);
    if (!node)
        return STATUS_EXHAUSTED;
    if (r->depth == r->limits.depth_max) {
        COMPLAIN(r, &event->start_mark, "nested deeper than %u levels", r->limits.depth_max);
        return STATUS_INVALID;
    }
    attach(r, node, &event->start_mark);
    r->stack[r->depth++] = (struct frame){ .node = node };
    return STATUS_OK;
}

static enum status close_node(struct reader *r)
{
    const struct yaml_node *node = r->stack[--r->depth].node;
    return node->kind == YAML_MAP ? check_doubles(r, node) : STATUS_OK;
}

static void start_document(struct reader *r, const yaml_event_t *event)
{
    if (r->root)
        COMPLAIN(r, &event->start_mark, "a second document; one file holds one");
    if (event->data.document_start.version_directive ||
        event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end)
        COMPLAIN(r, &event->start_mark, "directives (%%YAML, %%TAG) are not supported");
}

static enum status take_event(struct reader *r, const yaml_event_t *event, bool *ret_end)
{
    bool makes_node = event->type == YAML_SCALAR_EVENT ||
                      event->type == YAML_SEQUENCE_START_EVENT ||
                      event->type == YAML_MAPPING_START_EVENT;
    if (makes_node && r->nodes >= r->limits.nodes_max) {
        COMPLAIN(r, &event->start_mark, "more than %u values in one file", r->limits.nodes_max);
        return STATUS_INVALID;
    }
    switch (event->type) {
    case YAML_STREAM_END_EVENT:
        *ret_end = true;
        return STATUS_OK;
    case YAML_DOCUMENT_START_EVENT:
        start_document(r, event);
        return r->root ? STATUS_INVALID : STATUS_OK;
    case YAML_ALIAS_EVENT:
        COMPLAIN(r, &event->start_mark, "aliases (*%.40s) are not supported; write the value out",
                 (const char *)event->data.alias.anchor);
        return STATUS_INVALID;
    case YAML_SCALAR_EVENT:
        return read_scalar(r, event);
    case YAML_SEQUENCE_START_EVENT:
        check_decoration(r, event->data.sequence_start.anchor, event->data.sequence_start.tag,
                         &event->start_mark);
        return open_node(r, YAML_LIST, event);
    case YAML_MAPPING_START_EVENT:
        check_decoration(r, event->data.mapping_start.anchor, event->data.mapping_start.tag,
                         &event->start_mark);
        return open_node(r, YAML_MAP, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_node(r);
    default:
        return STATUS_OK;
    }
}

static enum status read_events(struct reader *r)
{
    for (bool end = false; !end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event)) {
            if (r->parser.error == YAML_MEMORY_ERROR)
                return STATUS_EXHAUSTED;
            complain_of_syntax(r);
            return STATUS_INVALID;
        }
        enum status st = take_event(r, &event, &end);
        yaml_event_delete(&event);
        if (st != STATUS_OK)
            return st;
    }
    return r->bad ? STATUS_INVALID : STATUS_OK;
}

static struct yaml_limits limits_or_default(struct yaml_limits limits)
{
    return (struct yaml_limits){
        .bytes_max = limits.bytes_max ? limits.bytes_max : BYTES_MAX_DEFAULT,
        .nodes_max = limits.nodes_max ? limits.nodes_max : NODES_MAX_DEFAULT,
        .depth_max = limits.depth_max ? limits.depth_max : DEPTH_MAX_DEFAULT,
    };
}

enum status yaml_read(struct slice text, struct slice file, struct yaml_limits limits,
                      struct arena *arena, struct diag *diag, struct yaml_node **ret_root)
{
    struct reader r = {
        .text = text,
        .file = file,
        .arena = arena,
        .diag = diag,
        .limits = limits_or_default(limits),
    };
    if (text.len > r.limits.bytes_max) {
        diag_add(diag, file, 0, 0, SLICE_NULL, SLICE_NULL, "larger than %zu bytes",
                 r.limits.bytes_max);
        return STATUS_INVALID;
    }
    if (!utf8_is_valid(text)) {
        complain_of_utf8(&r);
        return STATUS_INVALID;
    }
    r.stack = arena_array_of(arena, struct frame, r.limits.depth_max);
    if (!r.stack || !yaml_parser_initialize(&r.parser))
        return STATUS_EXHAUSTED;
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.len ? text.data : ""),
                                 text.len);
    enum status st = read_events(&r);
    yaml_parser_delete(&r.parser);
    if (st != STATUS_OK)
        return st;
    if (!r.root) {
        diag_add(diag, file, 0, 0, SLICE_NULL, SLICE_NULL, "empty");
        return STATUS_INVALID;
    }
    *ret_root = r.root;
    return STATUS_OK;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, struct slice key)
{
    if (!map || map->kind != YAML_MAP)
        return NULL;
    for (const struct yaml_node *value = map->first; value; value = value->next) {
        if (slice_eq(value->key->text, key))
            return value;
    }
    return NULL;
}

static bool is_one_of(const struct yaml_node *node, const char *const *words, size_t len)
{
    if (!node || node->kind != YAML_SCALAR || node->quoted)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (slice_eq(node->text, slice_cstr(words[i])))
            return true;
    }
    return false;
}

bool yaml_is_null(const struct yaml_node *node)
{
    static const char *const words[] = { "", "~", "null", "Null", "NULL" };
    return is_one_of(node, words, ARRAY_LEN(words));
}

bool yaml_to_bool(const struct yaml_node *node, bool *ret)
{
    static const char *const yes[] = { "true", "True", "TRUE" };
    static const char *const no[] = { "false", "False", "FALSE" };
    if (is_one_of(node, yes, ARRAY_LEN(yes)))
        *ret = true;
    else if (is_one_of(node, no, ARRAY_LEN(no)))
        *ret = false;
    else
        return false;
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/* 0x1F and 0o17 */
static bool parse_based(struct slice digits, int base, int64_t *ret)
{
    int64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        int digit = digit_of(digits.data[i]);
        if (digit >= base || __builtin_mul_overflow(value, (int64_t)base, &value) ||
            __builtin_add_overflow(value, (int64_t)digit, &value))
            return false;
    }
    if (digits.len == 0)
        return false;
    *ret = value;
    return true;
}

bool yaml_to_i64(const struct yaml_node *node, int64_t *ret)
{
    if (!node || node->kind != YAML_SCALAR || node->quoted)
        return false;
    struct slice s = node->text;
    if (slice_starts(s, SLICE("0x")))
        return parse_based(slice_from(s, 2), 16, ret);
    if (slice_starts(s, SLICE("0o")))
        return parse_based(slice_from(s, 2), 8, ret);
    if (s.len > 1 && s.data[0] == '+' && s.data[1] != '-')
        s = slice_from(s, 1);
    return slice_to_i64(s, ret);
}

static size_t take_digits(struct slice *s, char *out, size_t *len, size_t size)
{
    size_t n = 0;
    while (n < s->len && s->data[n] >= '0' && s->data[n] <= '9' && *len < size)
        out[(*len)++] = s->data[n++];
    *s = slice_from(*s, n);
    return n;
}

/* YAML's numbers are JSON's with a plus sign, leading zeros and a bare point allowed: written anew
 * as JSON's. */
bool yaml_to_double(const struct yaml_node *node, double *ret)
{
    if (!node || node->kind != YAML_SCALAR || node->quoted || node->text.len > 64)
        return false;
    char json[96];
    size_t len = 0;
    struct slice s = node->text;
    if (s.len && (s.data[0] == '+' || s.data[0] == '-')) {
        if (s.data[0] == '-')
            json[len++] = '-';
        s = slice_from(s, 1);
    }
    size_t leading = s.len;
    while (s.len > 1 && s.data[0] == '0' && s.data[1] >= '0' && s.data[1] <= '9')
        s = slice_from(s, 1);
    leading -= s.len;
    size_t whole = take_digits(&s, json, &len, 80) + leading, fraction = 0;
    if (whole == 0)
        json[len++] = '0';
    if (s.len && s.data[0] == '.') {
        s = slice_from(s, 1);
        json[len++] = '.';
        fraction = take_digits(&s, json, &len, 80);
        if (fraction == 0)
            json[len++] = '0';
    }
    if (whole + fraction == 0)
        return false;
    memcpy(json + len, s.data, s.len > 10 ? 0 : s.len);
    return s.len <= 10 && slice_to_double(slice_of(json, len + s.len), ret);
}

static void put_scalar(const struct yaml_node *node, struct buf *out)
{
    bool boolean;
    int64_t i64;
    double real;
    if (yaml_is_null(node)) {
        buf_put_lit(out, "null");
    } else if (yaml_to_bool(node, &boolean)) {
        buf_put_cstr(out, boolean ? "true" : "false");
    } else if (yaml_to_i64(node, &i64)) {
        buf_put_i64(out, i64);
    } else if (yaml_to_double(node, &real)) {
        size_t start = out->len;
        buf_put_double(out, real);
        /* A whole number past int64 must not read back as an integer. */
        struct slice put = slice_from(buf_slice(out), start);
        if (slice_find(put, '.') == SIZE_MAX && slice_find(put, 'e') == SIZE_MAX)
            buf_put_lit(out, ".0");
    } else {
        json_put_string(out, node->text);
    }
}

static void put_node(const struct yaml_node *node, unsigned depth, struct buf *out)
{
    if (node->kind == YAML_SCALAR) {
        put_scalar(node, out);
        return;
    }
    if (depth == 0) {
        out->status = STATUS_TOO_LARGE;
        return;
    }
    buf_putc(out, node->kind == YAML_MAP ? '{' : '[');
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        if (item != node->first)
            buf_putc(out, ',');
        if (node->kind == YAML_MAP) {
            json_put_string(out, item->key->text);
            buf_putc(out, ':');
        }
        put_node(item, depth - 1, out);
    }
    buf_putc(out, node->kind == YAML_MAP ? '}' : ']');
}

json_t *yaml_to_json(const struct yaml_node *node, struct arena *arena)
{
    CLEANUP(buf_fini) struct buf text;
    buf_init(&text, /* arena= */ NULL, 256, (size_t)16 << 20);
    put_node(node, 60, &text);
    json_t *value = NULL;
    struct json_limits limits = { .bytes_max = (size_t)16 << 20, .depth_max = 64 };
    if (buf_status(&text) != STATUS_OK ||
        json_read(arena, buf_slice(&text), limits, &value, /* ret_error= */ NULL) != STATUS_OK)
        return NULL;
    return value;
}
