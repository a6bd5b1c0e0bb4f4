/*
 * http/encoding.c - Names of content codings, and Accept-Encoding (RFC 9110 section 12.5.3).
 */
#include "http/coder.h"

#include "base/macros.h"

#define MEMBERS_MAX 64 /* of an Accept-Encoding that are looked at */
#define WEIGHT_FULL 1000
#define UNNAMED (-1)

static const struct slice names[HTTP__CODING_COUNT] = {
    [HTTP__ZSTD] = SLICE_INIT("zstd"),         [HTTP__BR] = SLICE_INIT("br"),
    [HTTP__GZIP] = SLICE_INIT("gzip"),         [HTTP__DEFLATE] = SLICE_INIT("deflate"),
    [HTTP__IDENTITY] = SLICE_INIT("identity"),
};

struct slice http__coding_name(enum http__coding coding)
{
    return names[coding];
}

enum http__coding http__coding_of(struct slice name)
{
    if (name.len == 0)
        return HTTP__IDENTITY;
    if (slice_eq_nocase(name, SLICE("x-gzip"))) /* RFC 9110 8.4.1.3: the same */
        return HTTP__GZIP;
    for (unsigned i = 0; i < HTTP__CODING_COUNT; i++) {
        if (slice_eq_nocase(name, names[i]))
            return (enum http__coding)i;
    }
    return HTTP__CODING_COUNT;
}

/* "0.825" in thousandths; -1: no weight. */
static int parse_weight(struct slice text)
{
    if (text.len == 0 || text.len > 5 || (text.data[0] != '0' && text.data[0] != '1') ||
        (text.len > 1 && text.data[1] != '.'))
        return -1;
    int weight = (text.data[0] - '0') * WEIGHT_FULL, unit = 100;
    for (size_t i = 2; i < text.len; i++, unit /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        weight += (text.data[i] - '0') * unit;
    }
    return weight <= WEIGHT_FULL ? weight : -1;
}

/* "gzip;q=0.5" -> name and weight. False: malformed. */
static bool parse_member(struct slice member, struct slice *ret_name, int *ret_weight)
{
    size_t semicolon = slice_find(member, ';');
    *ret_name = slice_trim(slice_head(member, semicolon));
    *ret_weight = WEIGHT_FULL;
    if (semicolon == SIZE_MAX)
        return ret_name->len > 0;
    struct slice parameter = slice_trim(slice_from(member, semicolon + 1));
    if (!slice_eq_nocase(slice_head(parameter, 2), SLICE("q=")))
        return false;
    *ret_weight = parse_weight(slice_from(parameter, 2));
    return ret_name->len > 0 && *ret_weight >= 0;
}

static void parse_list(struct slice value, int weights[HTTP__CODING_COUNT], int *ret_others)
{
    struct slice member, name;
    for (unsigned i = 0; i < MEMBERS_MAX && slice_split(&value, ',', &member); i++) {
        int weight;
        if (!parse_member(member, &name, &weight))
            continue;
        if (slice_eq(name, SLICE("*"))) {
            *ret_others = weight;
            continue;
        }
        enum http__coding coding = http__coding_of(name);
        if (coding < HTTP__CODING_COUNT)
            weights[coding] = weight;
    }
}

enum http__coding http__coding_choose(struct slice value, unsigned available,
                                      bool *ret_identity_refused)
{
    int weights[HTTP__CODING_COUNT], others = UNNAMED;
    *ret_identity_refused = false;
    if (!value.data)
        return HTTP__IDENTITY; /* anything would do; what did not ask for it may not know it */
    for (unsigned i = 0; i < HTTP__CODING_COUNT; i++)
        weights[i] = UNNAMED;
    parse_list(value, weights, &others);
    for (unsigned i = 0; i < HTTP__CODING_COUNT; i++) {
        if (weights[i] == UNNAMED && others != UNNAMED)
            weights[i] = others;
    }
    /* Plain wins only where it is named with more weight: at the same, fewer bytes do. */
    *ret_identity_refused = weights[HTTP__IDENTITY] == 0;
    enum http__coding best = HTTP__IDENTITY;
    int best_weight = MAX(weights[HTTP__IDENTITY], 0);
    for (unsigned i = 0; i < HTTP__IDENTITY; i++) {
        bool is_better = weights[i] > best_weight ||
                         (weights[i] == best_weight && best == HTTP__IDENTITY && weights[i] > 0);
        if ((available & 1u << i) && is_better) {
            best = (enum http__coding)i;
            best_weight = weights[i];
        }
    }
    return best;
}
