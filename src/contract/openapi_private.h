/*
 * contract/openapi_private.h - Private: what openapi.c takes from openapi_parts.c.
 */
#pragma once

#include <stdbool.h>

#include "base/json.h"
#include "base/slice.h"
#include "contract/openapi.h"

/* {"$ref": "#/components/SECTION/NAME"}, and as a member. */
void contract__put_ref(struct json_out *o, const char *section, struct slice name);
void contract__put_ref_member(struct json_out *o, const char *key, const char *section,
                              struct slice name);
/* The component of an error status. */
const char *contract__error_name(int status);
/* Who may call: nobody in particular, or also who has a key, token or session; and with what
 * signatures. `permission` is what they need of permissions, and what a token or key that is held
 * to scopes has to have among them; empty: none. */
enum contract__callers { CONTRACT__ANYBODY, CONTRACT__ANYBODY_OR_KEY, CONTRACT__KEY };
void contract__put_callers(struct json_out *o, enum contract__callers callers,
                           struct slice permission, const struct openapi_policy *policy);
/* What operations refer to beside the ever same. */
struct contract__used {
    bool ages; /* one is deprecated */
    bool signs_messages, signs_plain;
};
/* Members of components.schemas, and the other sections of components. */
void contract__put_shared_schemas(struct json_out *o);
void contract__put_shared_components(struct json_out *o, const struct contract__used *used);
