/*
 * identity/mail_template.c - A template is read once, into pieces: texts, values, and jumps over
 * sections.
 */
#include "identity/mail_template.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "identity/page.h"

const struct slice identity__mail_value_names[IDENTITY__MAIL_VALUES] = {
    [IDENTITY__MAIL_APP] = SLICE_INIT("app"),
    [IDENTITY__MAIL_TO] = SLICE_INIT("to"),
    [IDENTITY__MAIL_NAME] = SLICE_INIT("name"),
    [IDENTITY__MAIL_LINK] = SLICE_INIT("link"),
    [IDENTITY__MAIL_CODE] = SLICE_INIT("code"),
    [IDENTITY__MAIL_DEVICE] = SLICE_INIT("device"),
    [IDENTITY__MAIL_IP] = SLICE_INIT("ip"),
    [IDENTITY__MAIL_NEW_ADDRESS] = SLICE_INIT("new_address"),
    [IDENTITY__MAIL_FACTOR] = SLICE_INIT("factor"),
    [IDENTITY__MAIL_INVITER] = SLICE_INIT("inviter"),
    [IDENTITY__MAIL_WHEN] = SLICE_INIT("when"),
    [IDENTITY__MAIL_EXPIRES_IN] = SLICE_INIT("expires_in"),
    [IDENTITY__MAIL_EXPIRES_AT] = SLICE_INIT("expires_at"),
};

enum piece_kind { PIECE_TEXT, PIECE_VALUE, PIECE_IF, PIECE_UNLESS, PIECE_END };

struct piece {
    enum piece_kind kind;
    unsigned value;
    unsigned end; /* of a section: the piece behind it */
    struct slice text;
};

#define PIECES_MAX (2u * IDENTITY__MAIL_PLACES_MAX + 1u)

struct identity__mail_template {
    bool is_html;
    unsigned len;
    struct piece *pieces;
};

/* -- reading
 * -------------------------------------------------------------------------------------------------
 */

struct reading {
    struct arena *arena;
    struct slice source, file;
    int line;
    unsigned allowed;
    struct diag *diag;
    struct piece pieces[PIECES_MAX];
    unsigned len, places;
    unsigned open[IDENTITY__MAIL_DEPTH_MAX];
    unsigned depth;
};

/* Where `at` is in the file; columns count bytes. */
static void place_of(const struct reading *r, size_t at, int *ret_line, int *ret_column)
{
    *ret_line = r->line;
    *ret_column = 1;
    for (size_t i = 0; i < at; i++) {
        bool ends = r->source.data[i] == '\n';
        *ret_line += ends;
        *ret_column = ends ? 1 : *ret_column + 1;
    }
}

#define COMPLAIN(r, at, hint, ...)                                                                 \
    do {                                                                                           \
        int line_, column_;                                                                        \
        place_of((r), (at), &line_, &column_);                                                     \
        diag_add((r)->diag, (r)->file, line_, column_, SLICE(""), (hint), __VA_ARGS__);            \
    } while (0)

static void add(struct reading *r, struct piece piece)
{
    if (r->len < PIECES_MAX)
        r->pieces[r->len++] = piece;
}

static bool find_value(struct reading *r, struct slice name, size_t at, unsigned *ret_value)
{
    struct slice names[IDENTITY__MAIL_VALUES];
    size_t names_len = 0;
    for (unsigned v = 0; v < IDENTITY__MAIL_VALUES; v++) {
        bool is_allowed = (r->allowed & IDENTITY__MAIL_BIT(v)) != 0;
        if (slice_eq(name, identity__mail_value_names[v])) {
            if (is_allowed) {
                *ret_value = v;
                return true;
            }
            COMPLAIN(r, at, SLICE(""), "this mail has no value `%.*s`", SLICE_ARG(name));
            return false;
        }
        if (is_allowed)
            names[names_len++] = identity__mail_value_names[v];
    }
    COMPLAIN(r, at, diag_suggest(r->arena, name, names, names_len), "unknown placeholder `%.*s`",
             SLICE_ARG(slice_head(name, 40)));
    return false;
}

static void open_section(struct reading *r, enum piece_kind kind, unsigned value, size_t at)
{
    if (r->depth == IDENTITY__MAIL_DEPTH_MAX) {
        COMPLAIN(r, at, SLICE(""), "sections are more than %u deep", IDENTITY__MAIL_DEPTH_MAX);
        return;
    }
    r->open[r->depth++] = r->len;
    add(r, (struct piece){ .kind = kind, .value = value });
}

static void close_section(struct reading *r, unsigned value, size_t at)
{
    struct piece *open = r->depth ? &r->pieces[r->open[r->depth - 1]] : NULL;
    if (!open || open->value != value) {
        COMPLAIN(r, at, SLICE(""), "{{/%.*s}} closes no section that is open here",
                 SLICE_ARG(identity__mail_value_names[value]));
        return;
    }
    r->depth--;
    add(r, (struct piece){ .kind = PIECE_END });
    open->end = r->len;
}

/* What stands between the braces. */
static void read_place(struct reading *r, struct slice inner, size_t at)
{
    struct slice name = slice_trim(inner);
    char sign = name.len ? name.data[0] : 0;
    unsigned value;
    if (sign == '!')
        return;
    if (sign == '#' || sign == '^' || sign == '/')
        name = slice_trim(slice_from(name, 1));
    if (!find_value(r, name, at, &value))
        return;
    if (sign == '#' || sign == '^')
        open_section(r, sign == '#' ? PIECE_IF : PIECE_UNLESS, value, at);
    else if (sign == '/')
        close_section(r, value, at);
    else
        add(r, (struct piece){ .kind = PIECE_VALUE, .value = value });
}

static void read_all(struct reading *r)
{
    size_t at = 0;
    while (at < r->source.len) {
        struct slice rest = slice_from(r->source, at);
        size_t open = slice_find_slice(rest, SLICE("{{"));
        size_t text = open == SIZE_MAX ? rest.len : open;
        if (text > 0)
            add(r, (struct piece){ .kind = PIECE_TEXT, .text = slice_head(rest, text) });
        at += text;
        if (open == SIZE_MAX)
            return;
        struct slice inner = slice_from(r->source, at + 2);
        size_t close = slice_find_slice(inner, SLICE("}}"));
        size_t line_end = slice_find(inner, '\n');
        if (close == SIZE_MAX || line_end < close) {
            COMPLAIN(r, at, SLICE(""), "{{ has no }} on its line");
            return;
        }
        if (++r->places > IDENTITY__MAIL_PLACES_MAX) {
            COMPLAIN(r, at, SLICE(""), "more than %u placeholders", IDENTITY__MAIL_PLACES_MAX);
            return;
        }
        read_place(r, slice_head(inner, close), at);
        at += close + 4;
    }
}

static enum status read_checked(struct reading *r, bool is_html,
                                struct identity__mail_template **ret_template)
{
    unsigned before = r->diag->len + r->diag->dropped;
    if (r->source.len > IDENTITY__MAIL_TEMPLATE_MAX)
        COMPLAIN(r, 0, SLICE(""), "a template may have 128 KiB");
    else if (!utf8_is_valid(r->source))
        COMPLAIN(r, 0, SLICE(""), "a template must be UTF-8");
    else
        read_all(r);
    if (r->diag->len + r->diag->dropped == before && r->depth > 0)
        COMPLAIN(r, r->source.len, SLICE(""), "the section {{#%.*s}} is not closed",
                 SLICE_ARG(identity__mail_value_names[r->pieces[r->open[r->depth - 1]].value]));
    if (r->diag->len + r->diag->dropped > before)
        return STATUS_INVALID;
    struct identity__mail_template *template =
        arena_new_of(r->arena, struct identity__mail_template);
    struct piece *pieces = arena_array_of(r->arena, struct piece, MAX(r->len, 1u));
    if (!template || !pieces)
        return STATUS_EXHAUSTED;
    memcpy(pieces, r->pieces, r->len * sizeof(*pieces));
    *template =
        (struct identity__mail_template){ .is_html = is_html, .len = r->len, .pieces = pieces };
    *ret_template = template;
    return STATUS_OK;
}

enum status identity__mail_template_read(struct arena *arena, struct slice source, bool is_html,
                                         unsigned allowed, struct slice file, int line,
                                         struct diag *diag,
                                         struct identity__mail_template **ret_template)
{
    struct reading *r = calloc(1, sizeof(*r));
    if (!r)
        return STATUS_EXHAUSTED;
    r->arena = arena;
    r->source = source;
    r->file = file;
    r->line = line;
    r->allowed = allowed;
    r->diag = diag;
    enum status st = read_checked(r, is_html, ret_template);
    free(r);
    return st;
}

/* -- writing
 * -------------------------------------------------------------------------------------------------
 */

void identity__mail_template_put(const struct identity__mail_template *template,
                                 const struct slice values[IDENTITY__MAIL_VALUES], struct buf *out)
{
    for (unsigned i = 0; i < template->len;) {
        const struct piece *piece = &template->pieces[i];
        bool has_value = values[piece->value].len > 0;
        bool skips =
            (piece->kind == PIECE_IF && !has_value) || (piece->kind == PIECE_UNLESS && has_value);
        if (piece->kind == PIECE_TEXT)
            buf_put_slice(out, piece->text);
        else if (piece->kind == PIECE_VALUE && template->is_html)
            identity_page_text(out, values[piece->value]);
        else if (piece->kind == PIECE_VALUE)
            buf_put_slice(out, values[piece->value]);
        i = skips ? piece->end : i + 1;
    }
}
