/*
 * Expanding without asking for each row: what a node of the tree names is fetched for 64 parents by
 * one statement. A ref becomes an IN over the distinct ids; rows that refer here become, for each
 * parent, the first few by an index on the ref (a subquery with a LIMIT for each parent, inside the
 * one statement). The target's own read rule is part of the statement; what it hides stays an id,
 * or is missing from the child list.
 */
#include "resource/resource_private.h"

#define BATCH 64u

struct resource_branch { /* what one node gave, for the rows of one set */
    const struct resource_expand *node;
    struct resource_rowset set;
    int32_t *first; /* for each parent: its (first) row in `set`, or -1 */
    int32_t *count; /* child lists: how many */
    bool *more;
};

enum status resource__rowset_add(struct resource_rowset *set, const struct store_rows *rows,
                                 unsigned width, struct arena *arena)
{
    if (set->len == set->cap) {
        unsigned cap = set->cap ? set->cap * 2 : 32;
        struct store_value **grown =
            arena_realloc(arena, set->rows, set->cap * sizeof(*grown), cap * sizeof(*grown));
        if (!grown)
            return STATUS_EXHAUSTED;
        set->rows = grown;
        set->cap = cap;
    }
    struct store_value *row = arena_array_of(arena, struct store_value, width);
    if (!row)
        return STATUS_EXHAUSTED;
    for (unsigned i = 0; i < width; i++)
        if (resource__rows_copy(rows, i, arena, &row[i]) != STATUS_OK)
            return STATUS_EXHAUSTED;
    set->width = width;
    set->rows[set->len++] = row;
    return STATUS_OK;
}

/* -- a small table from id to number
 * ----------------------------------------------------------------------- */

struct id_table {
    struct slice *keys; /* data NULL: free */
    int32_t *values;
    unsigned mask;
};

static enum status table_init(struct id_table *table, unsigned items, struct arena *arena)
{
    unsigned size = 16;
    while (size < items * 2)
        size *= 2;
    table->keys = arena_array_of(arena, struct slice, size);
    table->values = arena_array_of(arena, int32_t, size);
    table->mask = size - 1;
    return table->keys && table->values ? STATUS_OK : STATUS_EXHAUSTED;
}

/* The place of the key, or the free one where it belongs. */
static unsigned table_find(const struct id_table *table, struct slice key)
{
    unsigned i = (unsigned)hash64(key, 0) & table->mask;
    while (table->keys[i].data && !slice_eq(table->keys[i], key))
        i = (i + 1) & table->mask;
    return i;
}

/* -- statements
 * ---------------------------------------------------------------------------------------------- */

/* IN over the ids; padded to a few sizes, so that few statements are prepared. */
static void put_ids(struct store_sql *sql, const struct slice *ids, unsigned len)
{
    unsigned padded = 1;
    while (padded < len)
        padded *= 4;
    padded = MIN(padded, BATCH);
    store_sql_lit(sql, " IN (");
    for (unsigned i = 0; i < padded; i++) {
        if (i)
            store_sql_lit(sql, ", ");
        store_sql_value(sql, store_blob(ids[MIN(i, len - 1)]));
    }
    store_sql_lit(sql, ")");
}

static bool put_refs(struct store_sql *sql, const struct resource_call *call,
                     const struct resource_info *target, const struct slice *ids, unsigned len)
{
    store_sql_lit(sql, "SELECT ");
    store_sql_put(sql, target->shown.select);
    store_sql_lit(sql, " FROM ");
    store_sql_put(sql, target->table);
    store_sql_lit(sql, " AS t WHERE t.\"id\"");
    put_ids(sql, ids, len);
    if (target->deleted_at)
        store_sql_lit(sql, " AND t.\"deleted_at\" IS NULL");
    return resource__put_rule(sql, call, target->contract, CONTRACT_READ, SLICE("t"));
}

bool resource__put_children(struct store_sql *sql, const struct resource_call *call,
                            const struct resource_info *parent, const struct resource_expand *node,
                            const struct slice *ids, unsigned len)
{
    const struct resource_info *target = node->target;
    struct slice ref = target->contract->columns[node->referrer->field->column].name;
    store_sql_lit(sql, "SELECT ");
    store_sql_put(sql, target->shown.select);
    store_sql_lit(sql, ", t.");
    store_sql_name(sql, ref);
    store_sql_lit(sql, " FROM ");
    store_sql_put(sql, parent->table);
    store_sql_lit(sql, " AS p CROSS JOIN ");
    store_sql_put(sql, target->table);
    store_sql_lit(sql, " AS t ON t.rowid IN (SELECT c.rowid FROM ");
    store_sql_put(sql, target->table);
    store_sql_lit(sql, " AS c WHERE c.");
    store_sql_name(sql, ref);
    store_sql_lit(sql, " = p.\"id\"");
    if (target->deleted_at)
        store_sql_lit(sql, " AND c.\"deleted_at\" IS NULL");
    if (!resource__put_rule(sql, call, target->contract, CONTRACT_READ, SLICE("c")))
        return false;
    store_sql_lit(sql, " ORDER BY c.\"id\" LIMIT ");
    store_sql_value(sql, store_i64(RESOURCE_CHILDREN_MAX + 1));
    store_sql_lit(sql, ") WHERE p.\"id\"");
    put_ids(sql, ids, len);
    store_sql_lit(sql, " ORDER BY t.");
    store_sql_name(sql, ref);
    store_sql_lit(sql, ", t.\"id\"");
    return true;
}

/* -- fetching
 * -----------------------------------------------------------------------------------------------
 */

struct fetch {
    struct resource_call *call;
    struct resource_rowset *parents;
    struct resource_branch *branch;
    struct slice *ids; /* distinct */
    unsigned ids_len;
    struct id_table table;
    unsigned *budget; /* rows that may still be fetched for this answer */
};

static enum status take_rows(struct fetch *fetch, struct store_rows *rows, unsigned width)
{
    enum status st;
    while ((st = store_rows_next(rows)) == STATUS_OK) {
        if (*fetch->budget == 0)
            return resource__fail(fetch->call->problem, fetch->call->arena, STATUS_INVALID, 400,
                                  "query/expand-too-large",
                                  "More than %u rows would be expanded; ask for fewer rows or less "
                                  "depth.",
                                  RESOURCE_EXPAND_ROWS_MAX);
        --*fetch->budget;
        st = resource__rowset_add(&fetch->branch->set, rows, width, fetch->call->arena);
        if (st != STATUS_OK)
            return st;
    }
    return st == STATUS_NOT_FOUND ? STATUS_OK : st;
}

static enum status fetch_batch(struct fetch *fetch, unsigned from)
{
    struct resource_call *call = fetch->call;
    const struct resource_expand *node = fetch->branch->node;
    const struct slice *ids = fetch->ids + from;
    unsigned len = MIN(fetch->ids_len - from, BATCH);
    struct store_sql sql;
    store_sql_init(&sql, call->arena);
    bool may = node->field
                   ? put_refs(&sql, call, node->target, ids, len)
                   : resource__put_children(&sql, call, fetch->parents->info, node, ids, len);
    if (!may)
        return STATUS_OK;
    if (store_sql_status(&sql) != STATUS_OK)
        return store_sql_status(&sql);
    CLEANUP(store_rows_close) struct store_rows *rows = NULL;
    enum status st = store_query_sql(call->task, call->engine->store, &sql, &rows);
    if (st != STATUS_OK)
        return st;
    return take_rows(fetch, rows, node->target->shown.select_len + (node->field ? 0 : 1));
}

/* The id by which a parent row is looked for: its ref, or its own. */
static struct slice parent_key(const struct fetch *fetch, unsigned row)
{
    const struct resource_shape *shape = fetch->parents->shape;
    const struct contract_field *field = fetch->branch->node->field;
    int column = field ? shape->column_of[field->index] : (int)shape->id_column;
    const struct store_value *value = &fetch->parents->rows[row][column];
    return value->kind == STORE_BLOB ? value->as.bytes : SLICE_NULL;
}

static enum status collect_ids(struct fetch *fetch)
{
    struct arena *arena = fetch->call->arena;
    unsigned len = fetch->parents->len;
    fetch->ids = arena_array_of(arena, struct slice, MAX(len, 1u));
    if (!fetch->ids || table_init(&fetch->table, len, arena) != STATUS_OK)
        return STATUS_EXHAUSTED;
    for (unsigned i = 0; i < len; i++) {
        struct slice key = parent_key(fetch, i);
        unsigned at = table_find(&fetch->table, key);
        if (key.len == 0 || fetch->table.keys[at].data)
            continue;
        fetch->table.keys[at] = key;
        fetch->table.values[at] = -1;
        fetch->ids[fetch->ids_len++] = key;
    }
    return STATUS_OK;
}

/* Say for each parent where its rows are. Children came ordered by the parent's id, so they stand
 * together. */
static enum status connect_rows(struct fetch *fetch)
{
    struct arena *arena = fetch->call->arena;
    struct resource_branch *branch = fetch->branch;
    const struct resource_rowset *set = &branch->set;
    unsigned parents = fetch->parents->len;
    branch->first = arena_array_of(arena, int32_t, MAX(parents, 1u));
    branch->count = arena_array_of(arena, int32_t, MAX(parents, 1u));
    branch->more = arena_array_of(arena, bool, MAX(parents, 1u));
    if (!branch->first || !branch->count || !branch->more)
        return STATUS_EXHAUSTED;
    unsigned key_column = branch->node->field ? branch->node->target->shown.id_column
                                              : branch->node->target->shown.select_len;
    for (unsigned i = set->len; i-- > 0;) {
        unsigned at = table_find(&fetch->table, set->rows[i][key_column].as.bytes);
        if (fetch->table.keys[at].data)
            fetch->table.values[at] = (int32_t)i;
    }
    for (unsigned p = 0; p < parents; p++) {
        struct slice key = parent_key(fetch, p);
        branch->first[p] = key.len ? fetch->table.values[table_find(&fetch->table, key)] : -1;
        if (branch->node->field || branch->first[p] < 0)
            continue;
        for (unsigned i = (unsigned)branch->first[p];
             i < set->len && slice_eq(set->rows[i][key_column].as.bytes, key); i++)
            branch->count[p]++;
        branch->more[p] = branch->count[p] > (int32_t)RESOURCE_CHILDREN_MAX;
        branch->count[p] = MIN(branch->count[p], (int32_t)RESOURCE_CHILDREN_MAX);
    }
    return STATUS_OK;
}

/* Depth is bounded by the plan (expand_depth_max). */
static enum status expand(struct resource_call *call, struct resource_rowset *set,
                          const struct resource_expand *nodes, unsigned *budget)
{
    unsigned len = 0;
    for (const struct resource_expand *node = nodes; node; node = node->next)
        len++;
    set->branches = arena_array_of(call->arena, struct resource_branch, MAX(len, 1u));
    if (!set->branches)
        return STATUS_EXHAUSTED;
    for (const struct resource_expand *node = nodes; node; node = node->next) {
        struct resource_branch *branch = &set->branches[set->branches_len++];
        *branch = (struct resource_branch){
            .node = node, .set = { .info = node->target, .shape = &node->target->shown }
        };
        struct fetch fetch = { .call = call, .parents = set, .branch = branch, .budget = budget };
        enum status st = collect_ids(&fetch);
        for (unsigned from = 0; st == STATUS_OK && from < fetch.ids_len; from += BATCH)
            st = fetch_batch(&fetch, from);
        if (st == STATUS_OK)
            st = connect_rows(&fetch);
        if (st == STATUS_OK && node->children)
            st = expand(call, &branch->set, node->children, budget);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

enum status resource__rowset_expand(struct resource_call *call, struct resource_rowset *set,
                                    const struct resource_expand *nodes)
{
    unsigned budget = RESOURCE_EXPAND_ROWS_MAX;
    enum status st = expand(call, set, nodes, &budget);
    if (st != STATUS_EXHAUSTED || call->problem->status != STATUS_OK)
        return st;
    /* The arena is spent: there may be no room left for words, the type says it. */
    return resource__fail(call->problem, call->arena, STATUS_INVALID, 400, "query/expand-too-large",
                          "The expanded rows are too large; ask for fewer rows or less depth.");
}

/* -- writing
 * -------------------------------------------------------------------------------------------------
 */

static const struct resource_branch *branch_of_field(const struct resource_rowset *set,
                                                     const struct contract_field *field)
{
    for (unsigned i = 0; i < set->branches_len; i++)
        if (set->branches[i].node->field == field)
            return &set->branches[i];
    return NULL;
}

/* A field that a child list of the same name takes the place of (a count called `comments`). */
static bool is_hidden(const struct resource_rowset *set, struct slice name)
{
    for (unsigned i = 0; i < set->branches_len; i++)
        if (set->branches[i].node->referrer && slice_eq(set->branches[i].node->name, name))
            return true;
    return false;
}

static void write_children(const struct resource_branch *branch, unsigned parent, struct buf *out)
{
    json_put_string(out, branch->node->name);
    buf_put_lit(out, ":{\"data\":[");
    for (int32_t i = 0; i < branch->count[parent]; i++) {
        if (i)
            buf_putc(out, ',');
        resource__rowset_write(&branch->set, (unsigned)(branch->first[parent] + i), out);
    }
    buf_put_lit(out, "],\"has_more\":");
    buf_put_cstr(out, branch->more[parent] ? "true}" : "false}");
}

void resource__rowset_write(const struct resource_rowset *set, unsigned row, struct buf *out)
{
    const struct resource_shape *shape = set->shape;
    size_t start = out->len;
    buf_putc(out, '{');
    for (unsigned i = 0; i < shape->len; i++) {
        const struct contract_field *field = shape->fields[i];
        if (is_hidden(set, field->name))
            continue;
        if (out->len > start + 1)
            buf_putc(out, ',');
        buf_put_slice(out, slice_from(shape->keys[i], 1));
        const struct resource_branch *branch = branch_of_field(set, field);
        if (branch && branch->first[row] >= 0)
            resource__rowset_write(&branch->set, (unsigned)branch->first[row], out);
        else
            contract_value_write(field, &set->rows[row][shape->columns[i]], out);
    }
    for (unsigned i = 0; i < set->branches_len; i++)
        if (set->branches[i].node->referrer) {
            if (out->len > start + 1)
                buf_putc(out, ',');
            write_children(&set->branches[i], row, out);
        }
    buf_putc(out, '}');
}
