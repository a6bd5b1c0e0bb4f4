/*
 * Children given inside a new row ({"title": ..., "comments": [{...}]}): validated before the
 * transaction with the id that their parent will have, created in the same one. Their own create
 * rules apply.
 */
#include "resource/resource_private.h"

#define DEPTH_MAX 3u
#define ROWS_MAX 1000u

struct nursery {
    struct resource_op *op;
    struct resource_child_row **end;
    unsigned rows;
};

static enum status prepare_children(struct nursery *n, const struct uuid *parent_id,
                                    const struct contract_children *children, struct slice pointer,
                                    unsigned depth);

/* The item with its ref to the parent put in. The tree that was read is not changed: a copy of the
 * top level is. */
static json_t *with_parent(struct nursery *n, const json_t *item, struct slice field,
                           const struct uuid *parent_id)
{
    char id[UUID_TEXT_LEN];
    uuid_format(parent_id, id);
    struct arena *before = json_arena_set(n->op->arena);
    json_t *copy = json_copy((json_t *)(uintptr_t)item);
    if (copy &&
        json_object_setn_new(copy, field.data, field.len, json_stringn(id, UUID_TEXT_LEN)) != 0)
        copy = NULL;
    (void)json_arena_set(before);
    return copy;
}

static enum status prepare_child(struct nursery *n, const struct contract_referrer *referrer,
                                 const struct uuid *parent_id, const json_t *item,
                                 struct slice pointer, unsigned depth)
{
    struct resource_op *op = n->op;
    const struct resource_info *info = resource__info_of(op->call->catalog, referrer->contract);
    struct slice ref = referrer->field->name;
    if (!json_is_object(item)) {
        problem_field_add(op->problem, op->arena, pointer, "type", "A row is an object.");
        return STATUS_INVALID;
    }
    if (json_object_getn(item, ref.data, ref.len)) {
        problem_field_add(op->problem, op->arena,
                          arena_printf(op->arena, "%.*s/%.*s", SLICE_ARG(pointer), SLICE_ARG(ref)),
                          "read_only", "Inside its parent a row refers to that parent.");
        return STATUS_INVALID;
    }
    struct resource_child_row *child = arena_new_of(op->arena, struct resource_child_row);
    json_t *object = with_parent(n, item, ref, parent_id);
    if (!child || !object || !pointer.data)
        return STATUS_EXHAUSTED;
    *child = (struct resource_child_row){ .info = info, .pointer = pointer };

    struct contract_children grandchildren = { 0 };
    struct contract_input input = { .mode = CONTRACT_MODE_CREATE,
                                    .caller = op->call->context.caller,
                                    .now_us = op->call->context.now_us,
                                    .pointer = pointer };
    enum status st = contract_validate(referrer->contract, object, &input, op->arena, op->problem,
                                       &child->row, &grandchildren);
    if (st != STATUS_OK)
        return st;
    child->id = uuid_v7();
    resource__row_stamp(info, &child->row, &child->id, op->call->context.now_us);
    *n->end = child;
    n->end = &child->next;
    return prepare_children(n, &child->id, &grandchildren, pointer, depth + 1);
}

static enum status prepare_children(struct nursery *n, const struct uuid *parent_id,
                                    const struct contract_children *children, struct slice pointer,
                                    unsigned depth)
{
    struct resource_op *op = n->op;
    enum status result = STATUS_OK;
    for (unsigned c = 0; c < children->len; c++) {
        const struct contract_child *child = &children->items[c];
        struct slice list = arena_printf(op->arena, "%.*s/%.*s", SLICE_ARG(pointer),
                                         SLICE_ARG(child->referrer->name));
        if (depth == DEPTH_MAX || n->rows + json_array_size(child->items) > ROWS_MAX) {
            problem_field_add(op->problem, op->arena, list, "items_too_many",
                              "At most %u rows in all, %u deep.", ROWS_MAX, DEPTH_MAX);
            return STATUS_INVALID;
        }
        n->rows += (unsigned)json_array_size(child->items);
        for (size_t i = 0; i < json_array_size(child->items); i++) {
            /* All bad rows are reported, not only the first. */
            enum status st =
                prepare_child(n, child->referrer, parent_id, json_array_get(child->items, i),
                              arena_printf(op->arena, "%.*s/%zu", SLICE_ARG(list), i), depth);
            if (st != STATUS_OK && st != STATUS_INVALID)
                return st;
            if (st != STATUS_OK)
                result = st;
        }
    }
    return result;
}

enum status resource__children_prepare(struct resource_op *op,
                                       const struct contract_children *children)
{
    struct nursery n = { .op = op, .end = &op->children };
    return prepare_children(&n, &op->id, children, op->pointer, 0);
}

enum status resource__children_insert(struct resource_op *op, struct store_tx *tx)
{
    for (struct resource_child_row *child = op->children; child; child = child->next) {
        const struct contract *contract = child->info->contract;
        bool allowed = false;
        enum status st =
            resource__rule_ask(tx, op, contract, CONTRACT_CREATE, &child->row, &allowed);
        if (st == STATUS_OK && !allowed)
            st = resource__refuse(op->call, op->problem, op->arena, contract, CONTRACT_CREATE);
        if (st == STATUS_OK)
            st = resource__insert(tx, child->info, &child->row, child->pointer);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}
