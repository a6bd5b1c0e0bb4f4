/*
 * fuzz/fuzz_yaml.c - Any text is read or complained of, with a place inside of it; what was read
 * becomes JSON; and with little memory the answer is the same or EXHAUSTED.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_tree(const struct yaml_node *node, int lines)
{
    require(node->line >= 1 && node->line <= lines && node->column >= 1);
    unsigned len = 0;
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        require((node->kind == YAML_MAP) == (item->key != NULL));
        require(!item->key || yaml_get(node, item->key->text) == item);
        check_tree(item, lines); /* as deep as the limits allow */
        len++;
    }
    require(len == node->len);
}

static void check_complaints(struct arena *arena, const struct diag *diag, int lines)
{
    require(diag->len + diag->dropped > 0);
    for (unsigned i = 0; i < diag->len; i++) {
        require(diag->items[i].line >= 0 && diag->items[i].line <= lines);
        require(diag->items[i].message.len > 0);
    }
    struct buf out;
    buf_init(&out, arena, 0, 1 << 20);
    diag_print(diag, &out);
    require(buf_status(&out) == STATUS_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = slice_of((const char *)data, size);
    const struct yaml_limits limits = { .bytes_max = 1 << 16, .nodes_max = 2000, .depth_max = 16 };
    /* libyaml also takes a lone CR, and three characters of Unicode, for the end of a line. */
    int lines = (int)size + 2;
    for (size_t budget = 0; budget < 2; budget++) {
        struct arena *arena = arena_new(NULL, budget ? size * 8 + 1500 : 0);
        struct diag diag;
        diag_init(&diag, arena);
        struct yaml_node *root = NULL;
        enum status st = yaml_read(text, SLICE("file"), limits, arena, &diag, &root);
        if (st == STATUS_OK) {
            check_tree(root, lines);
            require(budget || yaml_to_json(root, arena));
        } else {
            require(st == STATUS_INVALID || (budget && st == STATUS_EXHAUSTED));
            if (st == STATUS_INVALID && !budget)
                check_complaints(arena, &diag, lines);
        }
        arena_free(arena);
    }
    return 0;
}
