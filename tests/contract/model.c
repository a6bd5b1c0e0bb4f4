#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"

#define FIELDS_MAX 64
#define INDEXES_MAX 16

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "model: %s\n", what);
    abort();
}

static struct slice text(struct model *m, const char *s)
{
    struct slice copy = SLICE_NULL;
    must(arena_copy(m->arena, slice_cstr(s), &copy) == STATUS_OK, "memory");
    return copy;
}

struct model *model_new(void)
{
    struct arena *arena = arena_new(NULL, 0);
    struct model *m = arena_new_of(arena, struct model);
    m->arena = arena;
    m->set.arena = arena;
    m->set.contracts = m->contracts;
    return m;
}

void model_free(struct model *m)
{
    for (unsigned i = 0; i < m->set.len; i++)
        for (unsigned f = 0; f < m->contracts[i]->fields_len; f++)
            json_decref(m->contracts[i]->fields[f]->default_json);
    arena_free(m->arena);
}

static struct contract_field *field_add(struct model *m, struct contract *c, const char *name,
                                        enum contract_type type)
{
    must(c->fields_len < FIELDS_MAX, "too many fields");
    struct contract_field *f = arena_new_of(m->arena, struct contract_field);
    f->name = text(m, name);
    f->type = type;
    f->nullable = true;
    f->index = c->fields_len;
    c->fields[c->fields_len++] = f;
    return f;
}

struct contract *model_contract(struct model *m, const char *name)
{
    must(m->set.len < MODEL_CONTRACTS_MAX, "too many contracts");
    struct contract *c = arena_new_of(m->arena, struct contract);
    c->name = text(m, name);
    c->index = m->set.len;
    c->fields = arena_array_of(m->arena, struct contract_field *, FIELDS_MAX);
    c->columns = arena_array_of(m->arena, struct contract_column, FIELDS_MAX * 2);
    c->indexes = arena_array_of(m->arena, struct contract_index, INDEXES_MAX);
    m->contracts[m->set.len++] = c;
    struct contract_field *id = field_add(m, c, "id", CONTRACT_UUID);
    id->system = true;
    model_required(id);
    return c;
}

struct contract_field *model_field(struct model *m, struct contract *c, const char *name,
                                   enum contract_type type)
{
    return field_add(m, c, name, type);
}

struct contract_field *model_ref(struct model *m, struct contract *c, const char *name,
                                 struct contract *target, enum contract_on_delete on_delete)
{
    struct contract_field *f = field_add(m, c, name, CONTRACT_REF);
    f->ref = target;
    f->on_delete = on_delete;
    return f;
}

struct contract_field *model_list(struct model *m, struct contract *c, const char *name,
                                  enum contract_type item)
{
    struct contract_field *f = field_add(m, c, name, CONTRACT_LIST);
    f->of = arena_new_of(m->arena, struct contract_field);
    f->of->type = item;
    f->max_items = 100;
    return f;
}

/* The words of `list`, in the arena. */
static unsigned words(struct model *m, const char *list, struct slice *out, unsigned max)
{
    struct slice rest = text(m, list), word;
    unsigned len = 0;
    while (slice_split(&rest, ' ', &word)) {
        must(len < max, "too many words");
        out[len++] = word;
    }
    return len;
}

struct contract_field *model_enum(struct model *m, struct contract *c, const char *name,
                                  const char *values)
{
    struct contract_field *f = field_add(m, c, name, CONTRACT_ENUM);
    f->values = arena_array_of(m->arena, struct slice, 16);
    f->values_len = words(m, values, f->values, 16);
    return f;
}

struct contract_field *model_count(struct model *m, struct contract *c, const char *name,
                                   struct contract *from, const char *ref_field, const char *where)
{
    struct contract_field *f = field_add(m, c, name, CONTRACT_COUNT);
    f->ref = from;
    f->ref_field = model_field_find(from, ref_field);
    f->count_where_text = where ? text(m, where) : SLICE_NULL;
    f->readonly = true;
    model_required(f);
    return f;
}

struct contract_index *model_index(struct model *m, struct contract *c,
                                   enum contract_index_kind kind, bool unique, const char *fields)
{
    must(c->indexes_len < INDEXES_MAX, "too many indexes");
    must(m->pending_len < ARRAY_LEN(m->pending), "too many indexes");
    struct contract_index *index = &c->indexes[c->indexes_len++];
    struct slice *names = m->pending[m->pending_len].names;
    m->pending[m->pending_len].contract = c;
    m->pending[m->pending_len++].index = index;
    index->kind = kind;
    index->unique = unique;
    index->len = words(m, fields, names, 8);
    index->fields = arena_array_of(m->arena, struct contract_field *, index->len);
    index->descending = arena_array_of(m->arena, bool, index->len);
    return index;
}

static void indexes_resolve(struct model *m)
{
    for (unsigned p = 0; p < m->pending_len; p++) {
        struct contract_index *index = m->pending[p].index;
        for (unsigned i = 0; i < index->len; i++) {
            struct slice written = m->pending[p].names[i];
            char name[64];
            index->descending[i] = slice_starts(written, SLICE("-"));
            snprintf(name, sizeof(name), "%.*s",
                     SLICE_ARG(slice_from(written, index->descending[i])));
            index->fields[i] = model_field_find(m->pending[p].contract, name);
        }
    }
}

void model_required(struct contract_field *f)
{
    f->required = true;
    f->nullable = false;
}

void model_default(struct contract_field *f, json_t *value)
{
    f->default_kind = CONTRACT_DEFAULT_VALUE;
    f->default_json = value;
    f->nullable = false;
}

void model_search(struct model *m, struct contract *c, const char *fields)
{
    struct slice names[8];
    c->search_len = words(m, fields, names, 8);
    c->search = arena_array_of(m->arena, struct contract_field *, c->search_len);
    for (unsigned i = 0; i < c->search_len; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%.*s", SLICE_ARG(names[i]));
        c->search[i] = model_field_find(c, name);
    }
}

static const char *sql_type(enum contract_type type)
{
    switch (type) {
    case CONTRACT_INTEGER:
    case CONTRACT_BOOLEAN:
    case CONTRACT_TIME:
    case CONTRACT_COUNT:
        return "INTEGER";
    case CONTRACT_NUMBER:
        return "REAL";
    case CONTRACT_UUID:
    case CONTRACT_REF:
        return "BLOB";
    default:
        return "TEXT";
    }
}

static void column_add(struct contract *c, struct contract_field *f, struct slice name,
                       const char *type)
{
    c->columns[c->columns_len++] = (struct contract_column){
        .name = name, .sql_type = type, .field = f, .not_null = !f->nullable
    };
    f->columns_len++;
}

static void columns_number(struct model *m, struct contract *c)
{
    for (unsigned i = 0; i < c->fields_len; i++) {
        struct contract_field *f = c->fields[i];
        f->column = c->columns_len;
        if (f->type != CONTRACT_MONEY) {
            column_add(c, f, f->name, sql_type(f->type));
            continue;
        }
        column_add(c, f, arena_printf(m->arena, "%.*s_amount", SLICE_ARG(f->name)), "INTEGER");
        column_add(c, f, arena_printf(m->arena, "%.*s_currency", SLICE_ARG(f->name)), "TEXT");
    }
}

static struct expr *compile(struct model *m, struct contract *c, struct slice source,
                            enum expr_use use)
{
    struct expr *expr = NULL;
    struct expr_error error;
    enum status st = expr_compile(&m->set, c, source, use, m->arena, &expr, &error);
    if (st != STATUS_OK)
        fprintf(stderr, "%.*s: %s\n", SLICE_ARG(source), error.reason);
    must(st == STATUS_OK, "an expression does not compile");
    return expr;
}

void model_finish(struct model *m)
{
    static const struct {
        const char *name;
        enum contract_type type;
    } tail[] = { { "created_at", CONTRACT_TIME },
                 { "updated_at", CONTRACT_TIME },
                 { "version", CONTRACT_INTEGER },
                 { "deleted_at", CONTRACT_TIME } };
    for (unsigned i = 0; i < m->set.len; i++) {
        struct contract *c = m->contracts[i];
        for (unsigned t = 0; t < ARRAY_LEN(tail) - !c->soft_delete; t++) {
            struct contract_field *f = field_add(m, c, tail[t].name, tail[t].type);
            f->system = true;
            if (t < 3)
                model_required(f);
        }
        columns_number(m, c);
    }
    indexes_resolve(m);
    for (unsigned i = 0; i < m->set.len; i++) {
        struct contract *c = m->contracts[i];
        for (unsigned f = 0; f < c->fields_len; f++)
            if (c->fields[f]->count_where_text.len)
                c->fields[f]->count_where =
                    compile(m, c->fields[f]->ref, c->fields[f]->count_where_text, EXPR_INDEX);
        for (unsigned x = 0; x < c->indexes_len; x++)
            if (c->indexes[x].where_text.len)
                c->indexes[x].where = compile(m, c, c->indexes[x].where_text, EXPR_INDEX);
        for (unsigned a = 0; a < CONTRACT_ACTIONS; a++)
            model_rule(m, c, (enum contract_action)a, "true");
    }
}

void model_rule(struct model *m, struct contract *c, enum contract_action action, const char *rule)
{
    c->rules_text[action] = text(m, rule);
    c->rules[action] = compile(m, c, c->rules_text[action], EXPR_RULE);
}

struct contract *model_find(const struct model *m, const char *name)
{
    for (unsigned i = 0; i < m->set.len; i++)
        if (slice_eq(m->contracts[i]->name, slice_cstr(name)))
            return m->contracts[i];
    must(false, name);
    return NULL;
}

struct contract_field *model_field_find(const struct contract *c, const char *name)
{
    for (unsigned i = 0; i < c->fields_len; i++)
        if (slice_eq(c->fields[i]->name, slice_cstr(name)))
            return c->fields[i];
    must(false, name);
    return NULL;
}
