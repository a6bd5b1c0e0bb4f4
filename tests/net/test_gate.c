/* tests/net/test_gate.c - The gate at its bounds: in all, by address, and under more addresses than
 * it could ever hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "net/gate.h"

#define OPEN_MAX 1000u
#define MILLION 1000000u

static struct net_gate *gate_of(unsigned connections_max, unsigned per_address_max,
                                const struct address_set *exempt)
{
    struct net_gate *gate;
    const struct net_gate_options options = {
        .connections_max = connections_max,
        .per_address_max = per_address_max,
        .exempt = exempt,
    };
    assert_int_equal(net_gate_new(&options, &gate), STATUS_OK);
    return gate;
}

static struct net_gate_stats stats_of(struct net_gate *gate)
{
    struct net_gate_stats stats;
    net_gate_stats_read(gate, &stats);
    return stats;
}

static enum net_verdict enter(struct net_gate *gate, const struct address *peer,
                              struct net__ticket *ticket)
{
    enum net_verdict verdict = net__gate_enter(gate, ticket);
    if (verdict == NET_ADMITTED)
        verdict = net__gate_name(gate, ticket, peer);
    if (verdict == NET_REFUSED_SILENTLY)
        net__gate_leave(gate, ticket);
    return verdict;
}

static enum net_verdict enter_text(struct net_gate *gate, const char *text,
                                   struct net__ticket *ticket)
{
    struct address peer;
    assert_true(address_parse(slice_cstr(text), &peer));
    return enter(gate, &peer, ticket);
}

/* IPv4 addresses from 0.0.0.0 on, then the /64s of 2001::/16. */
static struct address address_number(uint32_t n, bool is_v4)
{
    struct address a = { .is_v4 = is_v4 };
    if (is_v4)
        a.bytes[10] = a.bytes[11] = 0xff;
    else
        a.bytes[0] = 0x20;
    for (unsigned i = 0; i < 4; i++)
        a.bytes[(is_v4 ? 12 : 4) + i] = (uint8_t)(n >> (24 - 8 * i));
    return a;
}

static void test_gate_in_all(void **state)
{
    (void)state;
    struct net_gate *gate = gate_of(8, 0, NULL);
    struct net__ticket tickets[64];
    unsigned told = 0, silent = 0;
    for (unsigned i = 0; i < 64; i++) {
        enum net_verdict verdict = enter(gate, NULL, &tickets[i]);
        assert_int_equal(verdict == NET_ADMITTED, i < 8);
        told += verdict == NET_REFUSED_OVER;
        silent += verdict == NET_REFUSED_SILENTLY;
    }
    assert_int_equal(told, 8 / 8 + 16);
    assert_int_equal(silent, 64 - 8 - told);
    struct net_gate_stats stats = stats_of(gate);
    assert_int_equal(stats.open, 8 + told);
    assert_int_equal(stats.accepted, 8);
    assert_int_equal(stats.refused[NET_GATE_TOTAL], 56);
    for (unsigned i = 0; i < 64; i++) {
        net__gate_leave(gate, &tickets[i]);
        net__gate_leave(gate, &tickets[i]); /* an empty ticket by now */
    }
    assert_int_equal(stats_of(gate).open, 0);
    assert_int_equal(enter(gate, NULL, &tickets[0]), NET_ADMITTED);
    net__gate_leave(gate, &tickets[0]);
    net_gate_free(gate);
}

static void test_gate_by_address(void **state)
{
    static const struct {
        const char *peer;
        enum net_verdict want;
    } steps[] = {
        { "192.0.2.1", NET_ADMITTED },
        { "192.0.2.1", NET_ADMITTED },
        { "::ffff:192.0.2.1", NET_REFUSED_OVER }, /* the same, through an IPv6 socket */
        { "192.0.2.2", NET_ADMITTED },
        { "2001:db8:1:2::1", NET_ADMITTED },
        { "2001:db8:1:2:ffff::9", NET_ADMITTED },
        { "2001:db8:1:2:abcd::", NET_REFUSED_OVER }, /* of the same /64 */
        { "2001:db8:1:3::1", NET_ADMITTED },
        { "10.0.0.1", NET_ADMITTED }, /* a proxy, as often as it likes */
        { "10.0.0.1", NET_ADMITTED },
        { "10.0.0.1", NET_ADMITTED },
    };
    (void)state;
    struct address_set proxies = { 0 };
    const char *reason = NULL;
    assert_true(address_set_add(&proxies, SLICE("10.0.0.0/8"), &reason));
    struct net_gate *gate = gate_of(100, 2, &proxies);
    struct net__ticket tickets[ARRAY_LEN(steps)];
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        enum net_verdict verdict = enter_text(gate, steps[i].peer, &tickets[i]);
        if (verdict != steps[i].want)
            fail_msg("step %u, %s: %d, not %d", i, steps[i].peer, verdict, steps[i].want);
    }
    assert_int_equal(stats_of(gate).addresses, 4);
    assert_int_equal(stats_of(gate).refused[NET_GATE_ADDRESS], 2);
    /* Beyond the few that are told why: not a word, and not counted as open. */
    struct net__ticket more[8];
    for (unsigned i = 0; i < ARRAY_LEN(more); i++)
        assert_int_equal(enter_text(gate, "192.0.2.1", &more[i]),
                         i < 3 ? NET_REFUSED_OVER : NET_REFUSED_SILENTLY);
    for (unsigned i = 0; i < ARRAY_LEN(more); i++)
        net__gate_leave(gate, &more[i]);
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
        net__gate_leave(gate, &tickets[i]);
    assert_int_equal(stats_of(gate).open, 0);
    assert_int_equal(stats_of(gate).addresses, 0);
    net_gate_free(gate);
}

/* A million addresses that come and stay: the table holds those that are open and no more. */
static void test_gate_million_that_stay(void **state)
{
    (void)state;
    struct net_gate *gate = gate_of(OPEN_MAX, 4, NULL);
    struct net__ticket *tickets = calloc(MILLION, sizeof(*tickets));
    assert_non_null(tickets);
    unsigned admitted = 0;
    for (uint32_t i = 0; i < MILLION; i++) {
        struct address peer = address_number(i * 7919, i % 2);
        admitted += enter(gate, &peer, &tickets[i]) == NET_ADMITTED;
    }
    struct net_gate_stats stats = stats_of(gate);
    assert_int_equal(admitted, OPEN_MAX);
    assert_int_equal(stats.addresses, OPEN_MAX);
    assert_int_equal(stats.addresses_held, OPEN_MAX);
    assert_int_equal(stats.refused[NET_GATE_TOTAL], MILLION - OPEN_MAX);
    for (uint32_t i = 0; i < MILLION; i++)
        net__gate_leave(gate, &tickets[i]);
    assert_int_equal(stats_of(gate).open, 0);
    assert_int_equal(stats_of(gate).addresses, 0);
    free(tickets);
    net_gate_free(gate);
}

/* A million that come and go, always some of them open: places are used again. */
static void test_gate_million_that_go(void **state)
{
    (void)state;
    struct net_gate *gate = gate_of(OPEN_MAX, 4, NULL);
    struct net__ticket tickets[OPEN_MAX / 2] = { 0 };
    for (uint32_t i = 0; i < MILLION; i++) {
        struct net__ticket *ticket = &tickets[i % ARRAY_LEN(tickets)];
        struct address peer = address_number(i, i % 3);
        net__gate_leave(gate, ticket);
        assert_int_equal(enter(gate, &peer, ticket), NET_ADMITTED);
    }
    struct net_gate_stats stats = stats_of(gate);
    assert_int_equal(stats.addresses, ARRAY_LEN(tickets));
    assert_int_equal(stats.accepted, MILLION);
    /* At most what 16 stripes may have each had at some moment. */
    assert_in_range(stats.addresses_held, ARRAY_LEN(tickets), 2 * OPEN_MAX);
    for (unsigned i = 0; i < ARRAY_LEN(tickets); i++)
        net__gate_leave(gate, &tickets[i]);
    assert_int_equal(stats_of(gate).open, 0);
    net_gate_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_in_all),
        cmocka_unit_test(test_gate_by_address),
        cmocka_unit_test(test_gate_million_that_stay),
        cmocka_unit_test(test_gate_million_that_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
