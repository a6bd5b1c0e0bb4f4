/*
 * Names in the database. Resources and fields have no two underscores in a row, so what is made of
 * both with `__` is free.
 */
#include "base/arena.h"
#include "contract/contract.h"
#include "contract/sql.h"

struct slice contract_sql_list_table(const struct contract *c, const struct contract_field *list,
                                     struct arena *arena)
{
    for (unsigned i = 0; i < c->indexes_len; i++)
        if (c->indexes[i].kind == CONTRACT_INDEX_CONTAINS && c->indexes[i].fields[0] == list)
            return arena_printf(arena, "%.*s__list_%.*s", SLICE_ARG(c->name),
                                SLICE_ARG(list->name));
    return SLICE_NULL;
}

struct slice contract_sql_search_table(const struct contract *c, struct arena *arena)
{
    return c->search_len ? arena_printf(arena, "%.*s__search", SLICE_ARG(c->name)) : SLICE_NULL;
}
