/*
 * The meta-schema of draft 2020-12, its vocabularies laid into one document. What a schema may be
 * does not change by that; $dynamicAnchor "meta" is kept, so that schemas that extend it still do.
 */
#include "base/arena.h"
#include "base/json.h"
#include "contract/schema_private.h"

/* clang-format off */
static const char text[] =
    "{\"$dynamicAnchor\":\"meta\",\"type\":[\"object\",\"boolean\"],\"properties\":{"
    /* core */
    "\"$id\":{\"type\":\"string\",\"format\":\"uri-reference\",\"pattern\":\"^[^#]*#?$\"},"
    "\"$schema\":{\"type\":\"string\",\"format\":\"uri\"},"
    "\"$ref\":{\"type\":\"string\",\"format\":\"uri-reference\"},"
    "\"$anchor\":{\"$ref\":\"#/$defs/anchor\"},"
    "\"$dynamicRef\":{\"type\":\"string\",\"format\":\"uri-reference\"},"
    "\"$dynamicAnchor\":{\"$ref\":\"#/$defs/anchor\"},"
    "\"$vocabulary\":{\"type\":\"object\",\"propertyNames\":{\"type\":\"string\",\"format\":\"uri\"},"
        "\"additionalProperties\":{\"type\":\"boolean\"}},"
    "\"$comment\":{\"type\":\"string\"},"
    "\"$defs\":{\"$ref\":\"#/$defs/schemas\"},"
    /* applicator, unevaluated */
    "\"prefixItems\":{\"$ref\":\"#/$defs/list\"},"
    "\"items\":{\"$dynamicRef\":\"#meta\"},"
    "\"contains\":{\"$dynamicRef\":\"#meta\"},"
    "\"additionalProperties\":{\"$dynamicRef\":\"#meta\"},"
    "\"properties\":{\"$ref\":\"#/$defs/schemas\"},"
    "\"patternProperties\":{\"$ref\":\"#/$defs/schemas\",\"propertyNames\":{\"format\":\"regex\"}},"
    "\"dependentSchemas\":{\"$ref\":\"#/$defs/schemas\"},"
    "\"propertyNames\":{\"$dynamicRef\":\"#meta\"},"
    "\"if\":{\"$dynamicRef\":\"#meta\"},"
    "\"then\":{\"$dynamicRef\":\"#meta\"},"
    "\"else\":{\"$dynamicRef\":\"#meta\"},"
    "\"allOf\":{\"$ref\":\"#/$defs/list\"},"
    "\"anyOf\":{\"$ref\":\"#/$defs/list\"},"
    "\"oneOf\":{\"$ref\":\"#/$defs/list\"},"
    "\"not\":{\"$dynamicRef\":\"#meta\"},"
    "\"unevaluatedItems\":{\"$dynamicRef\":\"#meta\"},"
    "\"unevaluatedProperties\":{\"$dynamicRef\":\"#meta\"},"
    /* validation */
    "\"type\":{\"anyOf\":[{\"$ref\":\"#/$defs/type\"},"
        "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/type\"},\"minItems\":1,\"uniqueItems\":true}]},"
    "\"const\":true,"
    "\"enum\":{\"type\":\"array\"},"
    "\"multipleOf\":{\"type\":\"number\",\"exclusiveMinimum\":0},"
    "\"maximum\":{\"type\":\"number\"},"
    "\"exclusiveMaximum\":{\"type\":\"number\"},"
    "\"minimum\":{\"type\":\"number\"},"
    "\"exclusiveMinimum\":{\"type\":\"number\"},"
    "\"maxLength\":{\"$ref\":\"#/$defs/count\"},"
    "\"minLength\":{\"$ref\":\"#/$defs/count\"},"
    "\"pattern\":{\"type\":\"string\",\"format\":\"regex\"},"
    "\"maxItems\":{\"$ref\":\"#/$defs/count\"},"
    "\"minItems\":{\"$ref\":\"#/$defs/count\"},"
    "\"uniqueItems\":{\"type\":\"boolean\"},"
    "\"maxContains\":{\"$ref\":\"#/$defs/count\"},"
    "\"minContains\":{\"$ref\":\"#/$defs/count\"},"
    "\"maxProperties\":{\"$ref\":\"#/$defs/count\"},"
    "\"minProperties\":{\"$ref\":\"#/$defs/count\"},"
    "\"required\":{\"$ref\":\"#/$defs/names\"},"
    "\"dependentRequired\":{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#/$defs/names\"}},"
    /* meta-data, format, content */
    "\"title\":{\"type\":\"string\"},"
    "\"description\":{\"type\":\"string\"},"
    "\"default\":true,"
    "\"deprecated\":{\"type\":\"boolean\"},"
    "\"readOnly\":{\"type\":\"boolean\"},"
    "\"writeOnly\":{\"type\":\"boolean\"},"
    "\"examples\":{\"type\":\"array\"},"
    "\"format\":{\"type\":\"string\"},"
    "\"contentEncoding\":{\"type\":\"string\"},"
    "\"contentMediaType\":{\"type\":\"string\"},"
    "\"contentSchema\":{\"$dynamicRef\":\"#meta\"},"
    /* what earlier drafts left */
    "\"definitions\":{\"$ref\":\"#/$defs/schemas\"},"
    "\"dependencies\":{\"type\":\"object\",\"additionalProperties\":"
        "{\"anyOf\":[{\"$dynamicRef\":\"#meta\"},{\"$ref\":\"#/$defs/names\"}]}}},"
    "\"$defs\":{"
    "\"anchor\":{\"type\":\"string\",\"pattern\":\"^[A-Za-z_][-A-Za-z0-9._]*$\"},"
    "\"count\":{\"type\":\"integer\",\"minimum\":0},"
    "\"list\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"$dynamicRef\":\"#meta\"}},"
    "\"names\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"uniqueItems\":true},"
    "\"schemas\":{\"type\":\"object\",\"additionalProperties\":{\"$dynamicRef\":\"#meta\"}},"
    "\"type\":{\"enum\":[\"array\",\"boolean\",\"integer\",\"null\",\"number\",\"object\",\"string\"]}}}";
/* clang-format on */

const json_t *schema__meta(struct arena *arena)
{
    json_t *meta = NULL;
    return json_read(arena, slice_of(text, sizeof(text) - 1), JSON_LIMITS_DEFAULT, &meta, NULL) ==
                   STATUS_OK
               ? meta
               : NULL;
}
