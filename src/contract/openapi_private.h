/*
 * contract/openapi_private.h - Private: what openapi.c takes from openapi_parts.c.
 */
#pragma once

#include <stdbool.h>

#include "base/json.h"
#include "base/slice.h"

/* {"$ref": "#/components/SECTION/NAME"}, and as a member. */
void contract__put_ref(struct json_out *o, const char *section, struct slice name);
void contract__put_ref_member(struct json_out *o, const char *key, const char *section,
                              struct slice name);
/* The component of an error status. */
const char *contract__error_name(int status);
/* Members of components.schemas, and the other sections of components; `ages`: with what deprecated
 * operations refer to. */
void contract__put_shared_schemas(struct json_out *o);
void contract__put_shared_components(struct json_out *o, bool ages);
