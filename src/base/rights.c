/* base/rights.c - Permissions, patterns and the roles that hold them. */
#include "base/rights.h"

#include "base/macros.h"

static const struct slice all = SLICE_INIT("*");

const struct rights_permission rights_own[] = {
    { SLICE_INIT(RIGHTS_AUDIT), SLICE_INIT("Read the audit log") },
    { SLICE_INIT(RIGHTS_HEALTH), SLICE_INIT("Read the checks and limits with their figures") },
    { SLICE_INIT(RIGHTS_IMPERSONATE), SLICE_INIT("Act as another person for a while") },
    { SLICE_INIT(RIGHTS_INVITE), SLICE_INIT("Invite people") },
    { SLICE_INIT(RIGHTS_MAIL), SLICE_INIT("Read the mailbox of development") },
    { SLICE_INIT(RIGHTS_METRICS), SLICE_INIT("Read the metrics") },
    { SLICE_INIT(RIGHTS_OPERATE),
      SLICE_INIT("What is for administrators and has no name of its own") },
};
const unsigned rights_own_len = ARRAY_LEN(rights_own);

/* -- names
 * --------------------------------------------------------------------------------------------- */

static bool is_word(struct slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = word.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return word.len > 0;
}

static bool is_part(struct slice part)
{
    return slice_eq(part, all) || is_word(part);
}

void rights_split(struct slice pattern, struct slice *ret_area, struct slice *ret_verb)
{
    size_t colon = slice_find(pattern, ':');
    *ret_area = colon == SIZE_MAX ? pattern : slice_head(pattern, colon);
    *ret_verb = colon == SIZE_MAX ? pattern : slice_from(pattern, colon + 1);
}

bool rights_is_pattern(struct slice text)
{
    struct slice area, verb;
    if (text.len > RIGHTS_NAME_MAX)
        return false;
    if (slice_find(text, ':') == SIZE_MAX)
        return slice_eq(text, all);
    rights_split(text, &area, &verb);
    return is_part(area) && is_part(verb);
}

bool rights_is_permission(struct slice text)
{
    return rights_is_pattern(text) && slice_find(text, '*') == SIZE_MAX;
}

static bool part_names(struct slice part, struct slice name)
{
    return slice_eq(part, all) || slice_eq(part, name);
}

bool rights_covers(struct slice pattern, struct slice area, struct slice verb)
{
    size_t colon = slice_find(pattern, ':');
    if (colon == SIZE_MAX)
        return slice_eq(pattern, all);
    return part_names(slice_head(pattern, colon), area) &&
           part_names(slice_from(pattern, colon + 1), verb);
}

bool rights_matches(struct slice pattern, struct slice permission)
{
    struct slice area, verb;
    rights_split(permission, &area, &verb);
    return rights_covers(pattern, area, verb);
}

/* -- roles
 * --------------------------------------------------------------------------------------------- */

const struct rights_role *rights_role_find(const struct rights *rights, struct slice role)
{
    for (unsigned i = 0; rights && i < rights->roles_len; i++)
        if (slice_eq(rights->roles[i].name, role))
            return &rights->roles[i];
    return NULL;
}

bool rights_has_role(const struct rights *rights, struct slice role)
{
    return slice_eq(role, SLICE(RIGHTS_ADMIN)) || rights_role_find(rights, role);
}

const struct slice *rights_patterns_of(const struct rights *rights, struct slice role,
                                       unsigned *ret_len)
{
    *ret_len = 1;
    if (slice_eq(role, SLICE(RIGHTS_ADMIN)))
        return &all;
    const struct rights_role *found = rights_role_find(rights, role);
    *ret_len = found ? found->patterns_len : 0;
    return found ? found->patterns : NULL;
}

bool rights_role_gives(const struct rights *rights, struct slice role, struct slice permission)
{
    unsigned len;
    const struct slice *patterns = rights_patterns_of(rights, role, &len);
    for (unsigned i = 0; i < len; i++)
        if (rights_matches(patterns[i], permission))
            return true;
    return false;
}
