/*
 * fiber/channel.c - A ring of pointers with a queue of tasks at each end. At most one of the queues
 * has somebody: senders wait only when the ring is full, receivers only when it is empty.
 */
#include <assert.h>
#include <stdlib.h>

#include "fiber/task.h"
#include "fiber/waiter.h"

#define CHANNEL_ITEMS_MAX (1u << 20)

struct task_channel {
    struct task_waiter *senders_first, *senders_last;
    struct task_waiter *receivers_first, *receivers_last;
    bool closed;
    unsigned max;
    unsigned len;
    unsigned head; /* of the oldest item */
    void *items[];
};

enum status task_channel_new(unsigned items_max, struct task_channel **ret)
{
    if (items_max == 0 || items_max > CHANNEL_ITEMS_MAX)
        return STATUS_INVALID;
    struct task_channel *ch = calloc(1, sizeof(*ch) + items_max * sizeof(ch->items[0]));
    if (!ch)
        return STATUS_EXHAUSTED;
    ch->max = items_max;
    *ret = ch;
    return STATUS_OK;
}

void task_channel_free(struct task_channel *ch)
{
    if (!ch)
        return;
    assert(!ch->senders_first && !ch->receivers_first);
    free(ch);
}

static void push(struct task_channel *ch, void *item)
{
    unsigned tail = ch->head + ch->len;
    ch->items[tail < ch->max ? tail : tail - ch->max] = item;
    ch->len++;
}

static void *pop(struct task_channel *ch)
{
    void *item = ch->items[ch->head];
    ch->head = ch->head + 1 < ch->max ? ch->head + 1 : 0;
    ch->len--;
    return item;
}

enum status task_channel_try_send(struct task_channel *ch, void *item)
{
    if (ch->closed)
        return STATUS_NOT_FOUND;
    if (ch->receivers_first) {
        waiter_grant(&ch->receivers_first, &ch->receivers_last)->item = item;
        return STATUS_OK;
    }
    if (ch->len == ch->max)
        return STATUS_EXHAUSTED;
    push(ch, item);
    return STATUS_OK;
}

enum status task_channel_send(struct task *task, struct task_channel *ch, void *item)
{
    enum status st = task_channel_try_send(ch, item);
    if (st != STATUS_EXHAUSTED)
        return st;
    struct task_waiter waiter = { .item = item };
    st = waiter_wait(task, &ch->senders_first, &ch->senders_last, &waiter);
    return st == STATUS_OK && waiter.closed ? STATUS_NOT_FOUND : st;
}

enum status task_channel_receive(struct task *task, struct task_channel *ch, void **ret_item)
{
    if (ch->len > 0) {
        *ret_item = pop(ch);
        if (ch->senders_first)
            push(ch, waiter_grant(&ch->senders_first, &ch->senders_last)->item);
        return STATUS_OK;
    }
    if (ch->closed)
        return STATUS_NOT_FOUND;
    struct task_waiter waiter = { 0 };
    enum status st = waiter_wait(task, &ch->receivers_first, &ch->receivers_last, &waiter);
    if (st == STATUS_OK && waiter.closed)
        st = STATUS_NOT_FOUND;
    if (st == STATUS_OK)
        *ret_item = waiter.item;
    return st;
}

void task_channel_close(struct task_channel *ch)
{
    ch->closed = true;
    while (ch->senders_first)
        waiter_grant(&ch->senders_first, &ch->senders_last)->closed = true;
    while (ch->receivers_first)
        waiter_grant(&ch->receivers_first, &ch->receivers_last)->closed = true;
}
