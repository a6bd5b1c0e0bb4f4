/*
 * The keys of a contract, once: the reader refuses what is not here, and the JSON Schema for
 * editors (meta_schema.c) is written from it.
 */
#include "base/macros.h"
#include "contract/load.h"

#define T(type) (1u << CONTRACT_##type)
#define ALL_TYPES ((1u << CONTRACT_TYPES) - 1)
#define GIVEN_TYPES (ALL_TYPES & ~T(COUNT)) /* what somebody gives a value for */
#define TEXT_TYPES (T(STRING) | T(TEXT) | T(EMAIL) | T(URL))
#define BOUNDED_TYPES (TEXT_TYPES | T(INTEGER) | T(NUMBER) | T(TIME) | T(DATE) | T(MONEY))
#define NAMED_LIST                                                                                 \
    "\"type\":\"array\",\"minItems\":1,\"uniqueItems\":true,\"items\":{\"type\":\"string\"}"
#define BOOLEAN "\"type\":\"boolean\""
#define BOUND "\"type\":[\"number\",\"string\"]"

const struct contract__field_key contract__field_keys[] = {
    { SLICE_INIT("type"), ALL_TYPES, false, NULL, "What the field holds." },
    { SLICE_INIT("enum"), T(ENUM), false, NAMED_LIST, "One of these values; says the type." },
    { SLICE_INIT("values"), T(ENUM), true, NAMED_LIST, "The values of `type: enum`." },
    { SLICE_INIT("ref"), T(REF), false, "\"type\":\"string\"",
      "The id of a row of this resource; says the type." },
    { SLICE_INIT("count"), T(COUNT), false,
      "\"type\":\"string\",\"pattern\":\"^[a-z][a-z0-9_]*\\\\.[a-z][a-z0-9_]*$\"",
      "RESOURCE.FIELD: how many rows refer to this one by that field; kept by the database." },
    { SLICE_INIT("where"), T(COUNT), false, "\"type\":\"string\"",
      "Which of the referring rows count, in the rule language." },
    { SLICE_INIT("description"), ALL_TYPES, false, "\"type\":\"string\"",
      "A sentence for people." },
    { SLICE_INIT("required"), GIVEN_TYPES, false, BOOLEAN,
      "Must be given when a row is made, and is never null." },
    { SLICE_INIT("optional"), GIVEN_TYPES, false, BOOLEAN,
      "May be null although there is a default." },
    { SLICE_INIT("unique"),
      TEXT_TYPES | T(INTEGER) | T(NUMBER) | T(TIME) | T(DATE) | T(UUID) | T(ENUM) | T(REF), false,
      BOOLEAN, "No two rows have the same value." },
    { SLICE_INIT("immutable"), GIVEN_TYPES, false, BOOLEAN,
      "Given when a row is made, never changed." },
    { SLICE_INIT("readonly"), GIVEN_TYPES, false, BOOLEAN,
      "Set by the server or an import, not by clients." },
    { SLICE_INIT("writeonly"), GIVEN_TYPES, false, BOOLEAN, "Taken and never shown." },
    { SLICE_INIT("default"), GIVEN_TYPES, false, NULL,
      "Stands for a value that is not given; \"@user\" is the caller, \"@now\" the time." },
    { SLICE_INIT("min"), BOUNDED_TYPES, true, BOUND,
      "Least length of text in characters, or least value; on a list, of each item." },
    { SLICE_INIT("max"), BOUNDED_TYPES, true, BOUND,
      "Greatest length of text in characters, or greatest value; on a list, of each item." },
    { SLICE_INIT("pattern"), TEXT_TYPES, true, "\"type\":\"string\",\"format\":\"regex\"",
      "A regular expression that the text must match; on a list, each item." },
    { SLICE_INIT("schemes"), T(URL), true, NAMED_LIST,
      "Schemes that a url may have; http and https unless said." },
    { SLICE_INIT("of"), T(LIST), false, "\"type\":[\"string\",\"object\"]",
      "The type of a list's items, or their type with constraints." },
    { SLICE_INIT("min_items"), T(LIST), false,
      "\"type\":\"integer\",\"minimum\":0,\"maximum\":1000", "Least number of items." },
    { SLICE_INIT("max_items"), T(LIST), false,
      "\"type\":\"integer\",\"minimum\":1,\"maximum\":1000",
      "Greatest number of items; 100 unless said." },
    { SLICE_INIT("unique_items"), T(LIST), false, BOOLEAN, "No item stands in the list twice." },
    { SLICE_INIT("currencies"), T(MONEY), false, NAMED_LIST,
      "ISO 4217 codes that are taken; all unless said." },
    { SLICE_INIT("accept"), T(MEDIA), false, NAMED_LIST,
      "Media types that are taken, as image/png or image/*." },
    { SLICE_INIT("max_bytes"), T(JSON) | T(MEDIA), false, "\"type\":\"integer\",\"minimum\":1",
      "Greatest size: of the JSON text (65536 unless said), or of the medium." },
    { SLICE_INIT("schema"), T(JSON), false, "\"type\":[\"object\",\"boolean\"]",
      "A JSON Schema (2020-12) that the value must satisfy." },
    { SLICE_INIT("on_delete"), T(REF), false, "\"enum\":[\"restrict\",\"cascade\",\"set_null\"]",
      "What happens to this row when the one it refers to is deleted." },
};
const unsigned contract__field_keys_len = ARRAY_LEN(contract__field_keys);

const struct slice contract__top_keys[] = {
    SLICE_INIT("resource"), SLICE_INIT("description"), SLICE_INIT("fields"),
    SLICE_INIT("indexes"),  SLICE_INIT("unique"),      SLICE_INIT("search"),
    SLICE_INIT("rules"),    SLICE_INIT("cache"),       SLICE_INIT("limits"),
    SLICE_INIT("events"),   SLICE_INIT("soft_delete"),
};
const unsigned contract__top_keys_len = ARRAY_LEN(contract__top_keys);

bool contract__key_fits(const struct contract__field_key *key, enum contract_type type,
                        enum contract_type item)
{
    if (key->types >> type & 1)
        return true;
    return type == CONTRACT_LIST && key->of_items && item < CONTRACT_TYPES &&
           (key->types >> item & 1);
}

bool contract__type_find(struct slice name, enum contract_type *ret)
{
    for (unsigned i = 0; i < CONTRACT_TYPES; i++) {
        if (slice_eq(name, slice_cstr(contract_type_name((enum contract_type)i)))) {
            *ret = (enum contract_type)i;
            return true;
        }
    }
    return false;
}

bool contract__type_is_item(enum contract_type type)
{
    static const uint32_t items = T(STRING) | T(TEXT) | T(INTEGER) | T(NUMBER) | T(BOOLEAN) |
                                  T(TIME) | T(DATE) | T(UUID) | T(EMAIL) | T(URL) | T(ENUM);
    return items >> type & 1;
}
