#include "contract/contract.h"

#include "base/arena.h"
#include "base/macros.h"
#include "contract/load.h"
#include "contract/pattern.h"
#include "contract/schema.h"

struct contract *contract_find(const struct contract_set *set, struct slice name)
{
    unsigned low = 0, high = set->len;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        int order = slice_cmp(name, set->contracts[middle]->name);
        if (order == 0)
            return set->contracts[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void contract_set_free(struct contract_set *set)
{
    if (!set)
        return;
    /* All but the code of patterns lives in the arena. */
    struct contract__owned *owned = CONTAINER_OF(set, struct contract__owned, set);
    contract_set_free(set->older); /* at most CONTRACT_VERSIONS_MAX deep */
    for (struct contract__pattern_link *link = owned->patterns; link; link = link->next)
        contract_pattern_free(link->pattern);
    for (struct contract__schema_link *link = owned->schemas; link; link = link->next)
        json_schema_free(link->schema);
    arena_free(set->arena);
}
