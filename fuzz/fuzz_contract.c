/* Contracts from any text: a bad one is refused with words, never more. A good one validates a body
 * and is published. */
#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "contract/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct contract_set *set, struct arena *arena)
{
    const struct contract_input input = { .mode = CONTRACT_MODE_CREATE };
    struct buf out;
    json_t *body = NULL;
    buf_init(&out, arena, 4096, (size_t)1 << 22);
    if (json_read(arena, SLICE("{\"a\":1,\"b\":[\"x\"],\"title\":\"t\"}"), JSON_LIMITS_DEFAULT,
                  &body, NULL) != STATUS_OK)
        return;
    for (unsigned i = 0; i < set->len; i++) {
        struct problem problem = { .status = STATUS_OK };
        struct contract_row row;
        (void)contract_validate(set->contracts[i], body, &input, arena, &problem, &row, NULL);
        contract_json_schema(set->contracts[i], 'c', &out);
        contract_json_schema(set->contracts[i], 'r', &out);
    }
    /* What is published is JSON. */
    struct json_limits limits = { .bytes_max = (size_t)1 << 22, .depth_max = 64 };
    struct slice text = buf_slice(&out);
    (void)json_read(arena, text, limits, &body, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    struct contract_source sources[2] = { { SLICE("a.yaml"), text } };
    unsigned sources_len = 1;
    /* Two files in one input, to meet each other. */
    size_t split = slice_find_slice(text, SLICE("\n%%%\n"));
    if (split != SIZE_MAX) {
        sources[0].text = slice_head(text, split + 1);
        sources[1] = (struct contract_source){ SLICE("b.yaml"), slice_from(text, split + 5) };
        sources_len = 2;
    }
    struct arena *arena = arena_new(/* pool= */ NULL, (size_t)64 << 20);
    struct contract_set *set = NULL;
    struct diag diag;
    struct buf out;
    diag_init(&diag, arena);
    buf_init(&out, arena, 1024, (size_t)1 << 22);
    enum status st = contract_set_parse(sources, sources_len, &diag, &set);
    diag_print(&diag, &out);
    if ((st == STATUS_INVALID) != (diag.len + diag.dropped > 0))
        abort();
    if (st == STATUS_OK)
        use(set, arena);
    contract_set_free(set);
    arena_free(arena);
    return 0;
}
