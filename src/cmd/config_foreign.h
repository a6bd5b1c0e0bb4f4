/*
 * cmd/config_foreign.h - The map auth.providers and the list auth.token_issuers of purlin.yaml.
 */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

struct config;
struct config_reading;
struct json_out;
struct yaml_node;

/* Is this key, dotted, one of them? */
bool config_is_foreign_list(struct slice name);
/* `auth` is the group of the file, or NULL. */
void config_read_foreign(const struct config_reading *reading, const struct yaml_node *auth,
                         struct config *config);
void config_foreign_schema(struct json_out *o);
