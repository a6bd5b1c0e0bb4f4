#include "base/problem.h"

#include <stdarg.h>

#include "base/arena.h"
#include "base/macros.h"

enum status problem_put(struct problem *p, struct arena *arena, const char *file, int line,
                        enum status st, const char *type, const char *format, ...)
{
    if (!p || p->status != STATUS_OK)
        return st;
    p->status = st;
    p->type = type;
    p->file = file;
    p->line = line;
    va_list args;
    va_start(args, format);
    p->detail = arena_vprintf(arena, format, args);
    va_end(args);
    return st;
}

static bool fields_grow(struct problem *p, struct arena *arena)
{
    if (p->fields_len < p->fields_cap)
        return true;
    size_t cap = p->fields_cap ? MIN(p->fields_cap * 2, PROBLEM_FIELDS_MAX) : 4;
    struct problem_field *fields =
        arena_realloc(arena, p->fields, p->fields_cap * sizeof(*fields), cap * sizeof(*fields));
    if (!fields)
        return false;
    p->fields = fields;
    p->fields_cap = cap;
    return true;
}

void problem_field_add(struct problem *p, struct arena *arena, struct slice pointer,
                       const char *code, const char *format, ...)
{
    if (p->status == STATUS_OK) {
        p->status = STATUS_INVALID;
        p->type = "validation";
        p->http_status = 422;
        p->detail = SLICE("One or more fields are not valid.");
    }
    struct problem_field field = { .code = code };
    if (p->fields_len == PROBLEM_FIELDS_MAX || !fields_grow(p, arena) ||
        arena_copy(arena, pointer, &field.pointer) != STATUS_OK) {
        p->fields_dropped = true;
        return;
    }
    va_list args;
    va_start(args, format);
    field.detail = arena_vprintf(arena, format, args);
    va_end(args);
    p->fields[p->fields_len++] = field;
}

void problem_cause(struct problem *p, struct arena *arena, struct slice cause)
{
    struct slice joined = SLICE_NULL;
    if (p->cause.len)
        joined = arena_printf(arena, "%.*s; %.*s", SLICE_ARG(p->cause), SLICE_ARG(cause));
    else if (arena_copy(arena, cause, &joined) != STATUS_OK)
        return;
    if (joined.len)
        p->cause = joined;
}

void problem_clear(struct problem *p)
{
    *p = (struct problem){ .status = STATUS_OK };
}
