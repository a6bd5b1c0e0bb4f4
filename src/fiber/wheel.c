/*
 * fiber/wheel.c - A hierarchical timing wheel (Varghese and Lauck, 1987, scheme 7).
 *
 * Level 0 has a slot for each of the next 64 ticks of 10 ms, level 1 one for each of the next 64
 * spans of 64 ticks, and so on. A timer goes into the coarsest level that its distance asks for,
 * and when time reaches the start of its slot it moves down ("cascades"). Arming and disarming
 * touch one list and one bit; a word of bits per level says which slots hold timers, so finding the
 * next event reads five words and an idle stretch of any length is skipped in one step. A due time
 * is rounded up to its tick: a timer may be late by a tick, never early.
 */
#include "fiber/wheel.h"

#include <stddef.h>

#include "base/macros.h"

static void list_init(struct loop_timer *head)
{
    head->prev = head->next = head;
}

static void list_append(struct loop_timer *head, struct loop_timer *timer)
{
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
}

void wheel_init(struct wheel *wheel, int64_t now_us)
{
    wheel->tick = now_us / WHEEL_TICK_US;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (int slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

static int64_t tick_of(int64_t due_us)
{
    return due_us > INT64_MAX - WHEEL_TICK_US ? INT64_MAX / WHEEL_TICK_US
                                              : (due_us + WHEEL_TICK_US - 1) / WHEEL_TICK_US;
}

/* Returns the tick at which the slot fires or cascades. `expires` may be the tick being run (from a
 * cascade), never an earlier one. */
static int64_t insert(struct wheel *wheel, struct loop_timer *timer, int64_t expires)
{
    int64_t distance_max = ((int64_t)1 << (WHEEL_SLOT_BITS * WHEEL_LEVELS)) - 1;
    if (expires - wheel->tick > distance_max)
        expires = wheel->tick + distance_max;
    uint64_t distance = (uint64_t)(expires - wheel->tick);
    int level = distance < WHEEL_SLOTS ? 0 : (63 - __builtin_clzll(distance)) / WHEEL_SLOT_BITS;
    int shift = WHEEL_SLOT_BITS * level;
    unsigned slot = (unsigned)(expires >> shift) & (WHEEL_SLOTS - 1);
    list_append(&wheel->slots[level][slot], timer);
    wheel->occupied[level] |= (uint64_t)1 << slot;
    return expires >> shift << shift;
}

int64_t wheel_add(struct wheel *wheel, struct loop_timer *timer)
{
    int64_t expires = tick_of(timer->due_us);
    return insert(wheel, timer, MAX(expires, wheel->tick + 1)) * WHEEL_TICK_US;
}

void wheel_remove(struct wheel *wheel, struct loop_timer *timer)
{
    struct loop_timer *prev = timer->prev, *next = timer->next;
    prev->next = next;
    next->prev = prev;
    timer->prev = timer->next = NULL;
    /* The list's last timer leaves a head that points at itself. Heads outside the wheel (a batch
     * that is being fired) have no bit. */
    struct loop_timer *first = &wheel->slots[0][0];
    if (prev == next && prev >= first && prev < first + WHEEL_LEVELS * WHEEL_SLOTS) {
        size_t index = (size_t)(prev - first);
        wheel->occupied[index / WHEEL_SLOTS] &= ~((uint64_t)1 << (index % WHEEL_SLOTS));
    }
}

/* The next tick at which a slot fires or cascades; INT64_MAX when all are empty. */
static int64_t next_tick(const struct wheel *wheel)
{
    int64_t next = INT64_MAX;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t bits = wheel->occupied[level];
        if (!bits)
            continue;
        int shift = WHEEL_SLOT_BITS * level;
        int64_t at = wheel->tick >> shift;
        /* Turn the word so that bit 0 is the slot after the present one; the present slot comes
         * last, as its timers belong to the next round. */
        unsigned turn = (unsigned)(at + 1) & (WHEEL_SLOTS - 1);
        uint64_t turned = turn ? (bits >> turn) | (bits << (WHEEL_SLOTS - turn)) : bits;
        int64_t tick = (at + 1 + __builtin_ctzll(turned)) << shift;
        next = MIN(next, tick);
    }
    return next;
}

void wheel_catch_up(struct wheel *wheel, int64_t now_us)
{
    int64_t now_tick = now_us / WHEEL_TICK_US;
    if (now_tick - wheel->tick >= WHEEL_SLOTS && next_tick(wheel) > now_tick)
        wheel->tick = now_tick;
}

int64_t wheel_next_us(const struct wheel *wheel)
{
    int64_t tick = next_tick(wheel);
    return tick == INT64_MAX ? INT64_MAX : tick * WHEEL_TICK_US;
}

/* Move a slot's timers to `batch`, leaving the slot empty. */
static void slot_take(struct wheel *wheel, int level, unsigned slot, struct loop_timer *batch)
{
    struct loop_timer *head = &wheel->slots[level][slot];
    list_init(batch);
    wheel->occupied[level] &= ~((uint64_t)1 << slot);
    if (head->next == head)
        return;
    batch->next = head->next;
    batch->prev = head->prev;
    batch->next->prev = batch;
    batch->prev->next = batch;
    list_init(head);
}

static void cascade(struct wheel *wheel)
{
    for (int level = 1; level < WHEEL_LEVELS; level++) {
        int shift = WHEEL_SLOT_BITS * level;
        if (wheel->tick & (((int64_t)1 << shift) - 1))
            return;
        struct loop_timer batch;
        slot_take(wheel, level, (unsigned)(wheel->tick >> shift) & (WHEEL_SLOTS - 1), &batch);
        while (batch.next != &batch) {
            struct loop_timer *timer = batch.next;
            wheel_remove(wheel, timer);
            (void)insert(wheel, timer, MAX(tick_of(timer->due_us), wheel->tick));
        }
    }
}

/* Merge two chains (linked by `next`, ended by NULL), each sorted; the first wins ties. */
static struct loop_timer *merge(struct loop_timer *a, struct loop_timer *b)
{
    struct loop_timer *first = NULL, **end = &first;
    while (a && b) {
        struct loop_timer **from = b->due_us < a->due_us ? &b : &a;
        *end = *from;
        end = &(*from)->next;
        *from = *end;
    }
    *end = a ? a : b;
    return first;
}

/* Timers of one tick are in order of arming; put them in order of due time. Bottom-up merge sort:
 * bins[i] holds a sorted chain of 2^i timers or none. */
static void sort_by_due(struct loop_timer *batch)
{
    struct loop_timer *bins[48] = { NULL };
    struct loop_timer *timer = batch->next;
    while (timer != batch) {
        struct loop_timer *rest = timer->next;
        timer->next = NULL;
        unsigned i = 0;
        for (; bins[i]; i++) {
            timer = merge(bins[i], timer);
            bins[i] = NULL;
        }
        bins[i] = timer;
        timer = rest;
    }
    struct loop_timer *sorted = NULL;
    for (unsigned i = 0; i < ARRAY_LEN(bins); i++)
        sorted = merge(bins[i], sorted);
    list_init(batch);
    while (sorted) {
        struct loop_timer *rest = sorted->next;
        list_append(batch, sorted);
        sorted = rest;
    }
}

unsigned wheel_run(struct wheel *wheel, int64_t now_us, int64_t *ret_late_us)
{
    int64_t now_tick = now_us / WHEEL_TICK_US;
    unsigned fired = 0;
    while (wheel->tick < now_tick) {
        int64_t tick = next_tick(wheel);
        if (tick > now_tick) {
            wheel->tick = now_tick;
            break;
        }
        wheel->tick = tick;
        cascade(wheel);
        struct loop_timer batch;
        slot_take(wheel, 0, (unsigned)tick & (WHEEL_SLOTS - 1), &batch);
        if (batch.next->next != &batch)
            sort_by_due(&batch);
        while (batch.next != &batch) {
            struct loop_timer *timer = batch.next;
            wheel_remove(wheel, timer);
            *ret_late_us = now_us - timer->due_us;
            fired++;
            timer->fn(timer);
        }
    }
    return fired;
}
