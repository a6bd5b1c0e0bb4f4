/* tests/fiber/test_channel.c - Channels: order, bounds, closing, and that no item is lost or
 * doubled. */
#include "fiber/task.h"
#include "fixture.h"

#define ITEMS 10000u

struct pipe_line {
    struct task_channel *ch;
    unsigned items;
    unsigned sent, received;
    unsigned ahead_max;
    enum status send_status, receive_status;
    struct task *sender, *receiver;
};

static void send_all(struct task *task, void *arg)
{
    struct pipe_line *p = arg;
    p->sender = task;
    while (p->sent < p->items) {
        p->send_status = task_channel_send(task, p->ch, (void *)(uintptr_t)(p->sent + 1));
        if (p->send_status != STATUS_OK)
            return;
        p->sent++;
        p->ahead_max = MAX(p->ahead_max, p->sent - p->received);
    }
    task_channel_close(p->ch);
}

static void receive_all(struct task *task, void *arg)
{
    struct pipe_line *p = arg;
    p->receiver = task;
    void *item = NULL;
    while ((p->receive_status = task_channel_receive(task, p->ch, &item)) == STATUS_OK)
        assert_int_equal((uintptr_t)item, ++p->received);
}

static void test_channel_keeps_order_and_bound(void **state)
{
    struct fixture *f = *state;
    const unsigned bounds[] = { 1, 2, 7, 64 };
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        for (unsigned receiver_first = 0; receiver_first < 2; receiver_first++) {
            struct pipe_line p = { .items = ITEMS };
            assert_status(task_channel_new(bounds[i], &p.ch), STATUS_OK);
            spawn(f->loop, receiver_first ? receive_all : send_all, &p);
            spawn(f->loop, receiver_first ? send_all : receive_all, &p);
            run_to_end(f);
            assert_int_equal(p.sent, ITEMS);
            assert_int_equal(p.received, ITEMS);
            assert_status(p.receive_status, STATUS_NOT_FOUND);
            /* What was handed to a receiver that has yet to run comes on top of what lies in the
             * ring. */
            assert_true(p.ahead_max <= 2 * bounds[i] + 1);
            task_channel_free(p.ch);
        }
    }
}

static void test_channel_refuses_beyond_its_bound(void **state)
{
    struct task_channel *ch = NULL;
    (void)state;
    assert_status(task_channel_new(0, &ch), STATUS_INVALID);
    assert_status(task_channel_new(UINT32_MAX, &ch), STATUS_INVALID);
    assert_null(ch);
    assert_status(task_channel_new(3, &ch), STATUS_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_status(task_channel_try_send(ch, &ch), STATUS_OK);
    assert_status(task_channel_try_send(ch, &ch), STATUS_EXHAUSTED);
    task_channel_close(ch);
    assert_status(task_channel_try_send(ch, &ch), STATUS_NOT_FOUND);
    task_channel_free(ch);
}

static void test_channel_drains_after_close(void **state)
{
    struct fixture *f = *state;
    struct pipe_line p = { .items = 3 };
    assert_status(task_channel_new(4, &p.ch), STATUS_OK);
    spawn(f->loop, send_all, &p); /* sends three, closes, ends */
    spawn(f->loop, receive_all, &p);
    run_to_end(f);
    assert_int_equal(p.received, 3);
    assert_status(p.receive_status, STATUS_NOT_FOUND);
    task_channel_free(p.ch);
}

static void test_channel_close_ends_waiting_senders_and_receivers(void **state)
{
    struct fixture *f = *state;
    struct pipe_line p = { .items = 3 };
    assert_status(task_channel_new(1, &p.ch), STATUS_OK);
    spawn(f->loop, send_all, &p);
    assert_int_equal(p.sent, 1);
    task_channel_close(p.ch);
    run_to_end(f);
    assert_status(p.send_status, STATUS_NOT_FOUND);
    assert_int_equal(p.sent, 1);
    task_channel_free(p.ch);

    struct pipe_line q = { 0 };
    assert_status(task_channel_new(1, &q.ch), STATUS_OK);
    spawn(f->loop, receive_all, &q);
    task_channel_close(q.ch);
    run_to_end(f);
    assert_status(q.receive_status, STATUS_NOT_FOUND);
    task_channel_free(q.ch);
}

static void test_channel_item_handed_to_a_cancelled_receiver_arrives(void **state)
{
    struct fixture *f = *state;
    struct pipe_line p = { 0 };
    assert_status(task_channel_new(1, &p.ch), STATUS_OK);
    spawn(f->loop, receive_all, &p);
    assert_status(task_channel_try_send(p.ch, (void *)(uintptr_t)1), STATUS_OK);
    task_cancel(p.receiver);
    run_to_end(f);
    assert_int_equal(p.received, 1);
    assert_status(p.receive_status, STATUS_CANCELLED);
    task_channel_free(p.ch);
}

static void test_channel_item_of_a_cancelled_sender_does_not_arrive(void **state)
{
    struct fixture *f = *state;
    struct pipe_line p = { .items = 2 };
    assert_status(task_channel_new(1, &p.ch), STATUS_OK);
    spawn(f->loop, send_all, &p);
    task_cancel(p.sender);
    run_to_end(f);
    assert_status(p.send_status, STATUS_CANCELLED);
    task_channel_close(p.ch);
    spawn(f->loop, receive_all, &p);
    assert_int_equal(p.received, 1);
    assert_status(p.receive_status, STATUS_NOT_FOUND);
    task_channel_free(p.ch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_channel_keeps_order_and_bound, setup, teardown),
        cmocka_unit_test(test_channel_refuses_beyond_its_bound),
        cmocka_unit_test_setup_teardown(test_channel_drains_after_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_channel_close_ends_waiting_senders_and_receivers,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_channel_item_handed_to_a_cancelled_receiver_arrives,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_channel_item_of_a_cancelled_sender_does_not_arrive,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
