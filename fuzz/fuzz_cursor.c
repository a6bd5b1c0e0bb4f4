/*
 * Any text as a cursor: nobody can make one up. And any keys in one of our own: they come back as
 * they were, and a changed character is noticed.
 */
#include <stdint.h>
#include <stdlib.h>

#include "resource/resource_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[32] = { 7 };

static struct store_value take_key(struct slice *rest)
{
    struct store_value value = { .kind = (enum store_kind)((uint8_t)rest->data[0] % 5) };
    *rest = slice_from(*rest, 1);
    char number[8] = { 0 };
    size_t len = rest->len < 8 ? rest->len : 8;
    memcpy(number, rest->data, len);
    if (value.kind == STORE_I64)
        memcpy(&value.as.i64, number, 8);
    else if (value.kind == STORE_DOUBLE)
        value.as.real = (double)number[0];
    else if (value.kind != STORE_NULL)
        value.as.bytes = slice_head(*rest, len);
    *rest = slice_from(*rest, len);
    return value;
}

static void round_trip(struct slice input, struct arena *arena)
{
    struct resource_cursor cursor = { .backward = input.len % 2 != 0 }, read;
    while (input.len > 0 && cursor.len < ARRAY_LEN(cursor.keys))
        cursor.keys[cursor.len++] = take_key(&input);
    struct buf text;
    buf_init(&text, arena, 0, 8192);
    resource__cursor_write(key, SLICE("list"), &cursor, &text);
    if (buf_status(&text) != STATUS_OK ||
        resource__cursor_read(key, SLICE("list"), buf_slice(&text), arena, &read) != STATUS_OK ||
        read.len != cursor.len || read.backward != cursor.backward)
        abort();
    for (unsigned i = 0; i < read.len; i++)
        if (!resource__value_eq(&read.keys[i], &cursor.keys[i]))
            abort();
    text.data[text.len / 2] = text.data[text.len / 2] == 'x' ? 'y' : 'x';
    if (resource__cursor_read(key, SLICE("list"), buf_slice(&text), arena, &read) == STATUS_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(NULL, 0);
    struct slice input = slice_of((const char *)data, size);
    struct resource_cursor read;
    if (resource__cursor_read(key, SLICE("list"), input, arena, &read) == STATUS_OK)
        abort();
    round_trip(input, arena);
    arena_free(arena);
    return 0;
}
