/* fiber/caller.c - What a caller may do by name: their roles and their scopes taken together. */
#include "base/rights.h"
#include "fiber/task.h"

bool task_caller_is_in_scope(const struct task_caller *caller, struct slice area, struct slice verb)
{
    for (unsigned i = 0; i < caller->withheld_len; i++)
        if (rights_covers(caller->withheld[i], area, verb))
            return false;
    if (!caller->is_scoped)
        return true;
    for (unsigned i = 0; i < caller->scopes_len; i++)
        if (rights_covers(caller->scopes[i], area, verb))
            return true;
    return false;
}

bool task_caller_has(const struct task_caller *caller, struct slice permission)
{
    struct slice area, verb;
    if (!caller)
        return false;
    rights_split(permission, &area, &verb);
    if (!task_caller_is_in_scope(caller, area, verb))
        return false;
    if (caller->is_scoped && caller->scopes_give)
        return true;
    for (unsigned i = 0; i < caller->roles_len + caller->lent_len; i++)
        if (rights_role_gives(caller->rights, caller->roles[i], permission))
            return true;
    return false;
}
