/*
 * base/rights.h - The one language of rights: permissions such as "posts:delete", and roles that
 * hold them. Pure; what is served and who asks, others know.
 *
 * A permission is an area and a verb: a resource and what is done to it, or a name of the
 * application's or of the program itself ("purlin:audit"). A pattern has "*" for either part, or is
 * "*". Whoever has the role admin may all. Source   decision 0044.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define RIGHTS_NAME_MAX 128u /* bytes of a permission or pattern */
#define RIGHTS_ADMIN "admin"

/* What routes of the program itself need. */
#define RIGHTS_AREA "purlin"
#define RIGHTS_OPERATE "purlin:operate"
#define RIGHTS_AUDIT "purlin:audit"
#define RIGHTS_METRICS "purlin:metrics"
#define RIGHTS_HEALTH "purlin:health"
#define RIGHTS_MAIL "purlin:mail"
#define RIGHTS_INVITE "purlin:invite"
#define RIGHTS_IMPERSONATE "purlin:impersonate"

/* A name with a sentence for people. */
struct rights_permission {
    struct slice name, text;
};
extern const struct rights_permission rights_own[]; /* the program's */
extern const unsigned rights_own_len;

struct rights_role {
    struct slice name, text;
    const struct slice *patterns; /* all of them: those of the roles that it includes, too */
    unsigned patterns_len;
};

/* What an application declares. Zero: nothing; then the role admin alone has permissions. */
struct rights {
    const struct rights_role *roles;
    unsigned roles_len;
    const struct rights_permission *permissions; /* names of its own */
    unsigned permissions_len;
};

/* "area:verb", each of lower-case letters, digits and - _ . or "*"; or "*" alone. */
bool rights_is_pattern(struct slice text);
/* A pattern without "*". */
bool rights_is_permission(struct slice text);
/* The two parts of a pattern; of "*" both are. */
void rights_split(struct slice pattern, struct slice *ret_area, struct slice *ret_verb);
/* Does the pattern have area:verb among what it stands for? */
bool rights_covers(struct slice pattern, struct slice area, struct slice verb);
bool rights_matches(struct slice pattern, struct slice permission);

/* Is there such a role? The role admin always is. `rights` may be NULL. */
bool rights_has_role(const struct rights *rights, struct slice role);
/* NULL: it was not declared. */
const struct rights_role *rights_role_find(const struct rights *rights, struct slice role);
/* The patterns of a role; none of one that was not declared, "*" of admin. */
const struct slice *rights_patterns_of(const struct rights *rights, struct slice role,
                                       unsigned *ret_len);
bool rights_role_gives(const struct rights *rights, struct slice role, struct slice permission);
