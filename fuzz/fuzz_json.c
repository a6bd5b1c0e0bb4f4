/*
 * fuzz/fuzz_json.c - json_read takes what jansson's own reader takes, and makes the same of it;
 * what it takes, json_put_value writes so that it reads as the same value and is written the same
 * again; and with little memory the answer is the same or EXHAUSTED.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct slice written(struct arena *arena, const json_t *value)
{
    struct buf b;
    buf_init(&b, arena, 0, (size_t)8 << 20);
    json_put_value(&b, value);
    require(buf_status(&b) == STATUS_OK);
    return buf_slice(&b);
}

static void compare_with_jansson(struct slice text, enum status st, const json_t *value)
{
    json_error_t error;
    /* It has a depth of its own, and takes a zero byte after the value for the end. */
    if (text.len == 0 || st == STATUS_TOO_LARGE || slice_find(text, '\0') != SIZE_MAX)
        return;
    json_t *judge = json_loadb(text.data, text.len,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    require((judge != NULL) == (st == STATUS_OK));
    if (judge)
        require(json_equal(judge, value));
    json_decref(judge);
}

static void read_with_little(struct slice text, size_t budget, enum status want)
{
    struct arena *arena = arena_new(NULL, budget);
    json_t *value;
    enum status st = json_read(arena, text, JSON_LIMITS_DEFAULT, &value, NULL);
    /* A fault late in the text may come after memory ran out. */
    require(st == want || st == STATUS_EXHAUSTED);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = slice_of((const char *)data, size);
    const struct json_limits written_limits = { .bytes_max = (size_t)8 << 20, .depth_max = 64 };
    struct arena *arena = arena_new(NULL, 0);
    json_t *value = NULL, *again;
    struct json_error_at at;
    enum status st = json_read(arena, text, JSON_LIMITS_DEFAULT, &value, &at);
    compare_with_jansson(text, st, value);
    if (st == STATUS_OK) {
        require(utf8_is_valid(text));
        struct slice first = written(arena, value);
        require(utf8_is_valid(first));
        require(json_read(arena, first, written_limits, &again, NULL) == STATUS_OK);
        require(json_equal(value, again));
        require(slice_eq(first, written(arena, again)));
    } else {
        require(at.offset <= size && at.line >= 1 && at.column >= 1);
        require(at.reason[0] != '\0' && utf8_is_valid(slice_cstr(at.reason)));
    }
    arena_free(arena);
    read_with_little(text, size * 7 + 64, st);
    read_with_little(text, size + 16, st);
    return 0;
}
