/*
 * Numbers, equality, and the search for two equal items. A number is the decimal it was written as:
 * 1, 1.0 and 1e0 are one value, and a multiple of 0.01 is one in decimal, whatever binary makes of
 * it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/macros.h"
#include "contract/schema_private.h"

/* Below this, comparing all pairs beats a table. */
#define PAIRWISE_MAX 8u

/* -- numbers
 * ------------------------------------------------------------------------------------------------------
 */

int schema__number_compare(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    if (json_is_real(a) && json_is_real(b)) {
        double x = json_real_value(a), y = json_real_value(b);
        return (x > y) - (x < y);
    }
    if (json_is_real(a))
        return -schema__number_compare(b, a);
    /* An int64 and a double: beyond the range of int64 the double decides, within it its whole part
     * is one too. */
    double real = json_real_value(b), whole = floor(real);
    json_int_t x = json_integer_value(a);
    if (whole >= 9223372036854775808.0)
        return -1;
    if (whole < -9223372036854775808.0)
        return 1;
    json_int_t y = (json_int_t)whole;
    return x != y ? (x > y) - (x < y) : -(whole < real);
}

static struct schema_decimal decimal_of_real(double real)
{
    char text[40];
    for (int precision = 14; precision < 17; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision, real);
        double back = strtod(text, NULL);
        if (!(back < real) && !(back > real))
            break;
    }
    /* "d.ddde[+-]dd" */
    struct schema_decimal d = { 0 };
    const char *at = text;
    bool fraction = false;
    for (; *at && *at != 'e'; at++) {
        if (!schema__is_digit(*at)) {
            fraction = true;
            continue;
        }
        d.digits = d.digits * 10 + (uint64_t)(*at - '0');
        d.exponent -= fraction;
    }
    d.exponent += (int)strtol(*at ? at + 1 : "0", NULL, 10);
    while (d.digits && d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    return d;
}

struct schema_decimal schema__decimal(const json_t *number)
{
    if (json_is_real(number))
        return decimal_of_real(fabs(json_real_value(number)));
    json_int_t value = json_integer_value(number);
    return (struct schema_decimal){ .digits = value < 0 ? -(uint64_t)value : (uint64_t)value };
}

/* base ^ exponent, modulo m */
static uint64_t power_mod(uint64_t base, unsigned exponent, uint64_t m)
{
    unsigned __int128 result = 1 % m, square = base % m;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1)
            result = result * square % m;
        square = square * square % m;
    }
    return (uint64_t)result;
}

bool schema__is_multiple(struct schema_decimal value, struct schema_decimal of)
{
    if (!value.digits || !of.digits)
        return !value.digits;
    if (value.exponent >= of.exponent) {
        unsigned __int128 scaled =
            power_mod(10, (unsigned)(value.exponent - of.exponent), of.digits);
        return scaled * (value.digits % of.digits) % of.digits == 0;
    }
    /* The value has no more than 19 digits: what has more cannot divide it. */
    unsigned __int128 divisor = of.digits;
    for (int i = value.exponent; i < of.exponent; i++) {
        divisor *= 10;
        if (divisor > value.digits)
            return false;
    }
    return value.digits % (uint64_t)divisor == 0;
}

/* -- equality
 * ------------------------------------------------------------------------------------------------------
 */

static bool equal_at(const json_t *a, const json_t *b, unsigned *steps, unsigned depth)
{
    const char *key;
    json_t *value;
    if (depth > SCHEMA_DEPTH_MAX || !*steps)
        return false;
    --*steps;
    if (json_is_number(a) && json_is_number(b))
        return schema__number_compare(a, b) == 0;
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_string(a))
        return slice_eq(json_slice(a), json_slice(b));
    if (json_is_array(a)) {
        size_t len = json_array_size(a);
        if (len != json_array_size(b))
            return false;
        for (size_t i = 0; i < len; i++)
            if (!equal_at(json_array_get(a, i), json_array_get(b, i), steps, depth + 1))
                return false;
        return true;
    }
    if (!json_is_object(a))
        return true;
    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach(schema__mutable(a), key, value)
    {
        const json_t *other = json_object_get(b, key);
        if (!other || !equal_at(value, other, steps, depth + 1))
            return false;
    }
    return true;
}

bool schema__equal(const json_t *a, const json_t *b, unsigned *steps)
{
    return equal_at(a, b, steps, 0);
}

/* -- two equal items
 * -----------------------------------------------------------------------------------------------
 */

static uint64_t mix(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

static uint64_t hash_bytes(const void *data, size_t len, uint64_t seed)
{
    return hash64(slice_of(data, len), seed);
}

static uint64_t hash_number(const json_t *v)
{
    double real = json_real_value(v);
    json_int_t whole = json_integer_value(v);
    if (json_is_real(v) && (real < -9223372036854775808.0 || real >= 9223372036854775808.0))
        return hash_bytes(&real, sizeof(real), 1);
    if (json_is_real(v)) {
        whole = (json_int_t)real;
        if ((double)whole < real || (double)whole > real)
            return hash_bytes(&real, sizeof(real), 1);
    }
    return hash_bytes(&whole, sizeof(whole), 2);
}

/* The same for what schema__equal calls equal. Depth is bounded by the reader, and here once more.
 */
static uint64_t hash_value(const json_t *v, unsigned *steps, unsigned depth)
{
    uint64_t hash = (uint64_t)json_typeof(v) * 0x9e3779b97f4a7c15u;
    const char *key;
    json_t *value;
    size_t index;
    if (depth > SCHEMA_DEPTH_MAX || !*steps)
        return hash;
    --*steps;
    if (json_is_number(v))
        return hash_number(v);
    if (json_is_string(v))
        return hash_bytes(json_string_value(v), json_string_length(v), 3);
    json_array_foreach(schema__mutable(v), index, value) hash =
        mix(hash, hash_value(value, steps, depth + 1));
    json_object_foreach(schema__mutable(v), key, value) /* in any order */
        hash += mix(hash_value(value, steps, depth + 1), hash_bytes(key, strlen(key), 4));
    return hash;
}

static bool twins(const json_t *array, size_t a, size_t b, unsigned *steps)
{
    return schema__equal(json_array_get(array, a), json_array_get(array, b), steps);
}

static bool find_pairwise(const json_t *array, size_t len, unsigned *steps, size_t *ret_a,
                          size_t *ret_b)
{
    for (size_t b = 1; b < len; b++)
        for (size_t a = 0; a < b; a++)
            if (twins(array, a, b, steps)) {
                *ret_a = a;
                *ret_b = b;
                return true;
            }
    return false;
}

struct slot {
    uint64_t hash;
    size_t item; /* from 1; 0: free */
};

enum status schema__find_twins(const json_t *array, struct arena *arena, unsigned *steps,
                               bool *ret_found, size_t *ret_a, size_t *ret_b)
{
    size_t len = json_array_size(array), slots_len = 16;
    *ret_found = false;
    if (len <= PAIRWISE_MAX) {
        *ret_found = find_pairwise(array, len, steps, ret_a, ret_b);
        return *steps ? STATUS_OK : STATUS_EXHAUSTED;
    }
    while (slots_len < len * 2)
        slots_len *= 2;
    struct arena_mark mark = arena_mark(arena);
    struct slot *slots = arena_array_of(arena, struct slot, slots_len);
    if (!slots)
        return STATUS_EXHAUSTED;
    for (size_t i = 0; i < len && *steps && !*ret_found; i++) {
        uint64_t hash = hash_value(json_array_get(array, i), steps, 0);
        size_t at = hash & (slots_len - 1);
        for (; slots[at].item && *steps && !*ret_found; at = (at + 1) & (slots_len - 1)) {
            --*steps;
            if (slots[at].hash != hash || !twins(array, slots[at].item - 1, i, steps))
                continue;
            *ret_found = true;
            *ret_a = slots[at].item - 1;
            *ret_b = i;
        }
        if (!*ret_found)
            slots[at] = (struct slot){ .hash = hash, .item = i + 1 };
    }
    arena_rewind(arena, mark);
    return *steps ? STATUS_OK : STATUS_EXHAUSTED;
}
