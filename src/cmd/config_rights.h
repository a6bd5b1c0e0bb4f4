/*
 * cmd/config_rights.h - The maps `roles` and `permissions` of purlin.yaml, and the permissions that
 * other parts of the file name.
 */
#pragma once

#include <stdbool.h>

#include "base/rights.h"
#include "base/slice.h"

struct arena;
struct config;
struct config_reading;
struct json_out;
struct yaml_node;

/* A permission that the file names, to be held against the contracts once they are read. */
struct config_named {
    struct slice pattern, key, file;
    int line, column;
};

/* Is this key, dotted, one of the maps? */
bool config_is_rights_map(struct slice name);
/* Before the lists of oauth, which name roles. */
void config_read_rights(const struct config_reading *reading, const struct yaml_node *root,
                        struct config *config);
/* Remember that `at` names a permission or pattern. False: it is none, and that is complained of.
 */
bool config_name_permission(const struct config_reading *r, const struct yaml_node *at,
                            struct slice pattern, struct slice key, struct config *config);
/* "Did you mean `moderator`?" */
struct slice config_suggest_role(struct arena *arena, const struct rights *rights,
                                 struct slice wrong);
void config_rights_schema(struct json_out *o);
