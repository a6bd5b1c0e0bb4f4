/* tests/identity/test_qr.c - QR codes: the frame that scanners look for is where it belongs, and
 * what does not fit is refused. */
#include "identity/qr.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "fixture.h"

#define SIZE_MAX_MODULES 185 /* of version 40, with its quiet zone */

struct picture {
    int size;
    bool dark[SIZE_MAX_MODULES][SIZE_MAX_MODULES];
};

/* The number after `mark`, which stands at *at; *at moves on. */
static int read_after(char **at, const char *mark)
{
    assert_int_equal(strncmp(*at, mark, strlen(mark)), 0);
    char *from = *at + strlen(mark);
    long n = strtol(from, at, 10);
    assert_true(*at > from);
    assert_in_range(n, 0, SIZE_MAX_MODULES);
    return (int)n;
}

/* The second path's runs "M<x> <y>h<n>v1h-<n>z". */
static void draw(struct slice svg, struct picture *ret)
{
    char *text = strndup(svg.data, svg.len);
    memset(ret, 0, sizeof(*ret));
    char *at = strstr(text, "viewBox=\"0 0 ");
    assert_non_null(at);
    ret->size = read_after(&at, "viewBox=\"0 0 ");
    assert_in_range(ret->size, 21 + 8, SIZE_MAX_MODULES);
    at = strstr(text, "#000\" d=\"");
    assert_non_null(at);
    at += strlen("#000\" d=\"");
    while (*at == 'M') {
        int x = read_after(&at, "M"), y = read_after(&at, " "), n = read_after(&at, "h");
        assert_int_equal(read_after(&at, "v1h-"), n);
        for (int i = 0; i < n; i++)
            ret->dark[y][x + i] = true;
        assert_int_equal(*at, 'z');
        at++;
    }
    assert_int_equal(*at, '"');
    free(text);
}

/* Seven dark modules, a light ring, three by three: ISO/IEC 18004 section 6.3.3.1. */
static void assert_finder(const struct picture *p, int x, int y)
{
    for (int dy = -1; dy <= 7; dy++) {
        for (int dx = -1; dx <= 7; dx++) {
            bool is_border = dx == -1 || dy == -1 || dx == 7 || dy == 7;
            bool is_ring = dx == 0 || dy == 0 || dx == 6 || dy == 6;
            bool is_core = dx >= 2 && dx <= 4 && dy >= 2 && dy <= 4;
            assert_int_equal(p->dark[y + dy][x + dx], !is_border && (is_ring || is_core));
        }
    }
}

static void test_qr_has_its_finders_and_quiet_zone(void **state)
{
    (void)state;
    static struct picture p;
    struct buf b;
    buf_init(&b, NULL, 0, 64 * 1024);
    assert_status(
        identity_qr_put(&b, SLICE("otpauth://totp/a:b?secret=JBSWY3DPEHPK3PXP"), "A code"),
        STATUS_OK);
    draw(buf_slice(&b), &p);
    assert_finder(&p, 4, 4);
    assert_finder(&p, p.size - 11, 4);
    assert_finder(&p, 4, p.size - 11);
    for (int i = 0; i < p.size; i++)
        for (int q = 0; q < 4; q++)
            assert_false(p.dark[q][i] || p.dark[i][q] || p.dark[p.size - 1 - q][i] ||
                         p.dark[i][p.size - 1 - q]);
    /* The timing pattern, dark and light in turn, between two finders. */
    for (int x = 12; x < p.size - 12; x++)
        assert_int_equal(p.dark[10][x], x % 2 == 0);
    buf_fini(&b);
}

static void test_qr_refuses_what_is_too_long(void **state)
{
    (void)state;
    char text[IDENTITY_QR_TEXT_MAX + 1];
    memset(text, '\xe9', sizeof(text)); /* the widest encoding */
    struct buf b;
    buf_init(&b, NULL, 0, 256 * 1024);
    assert_status(identity_qr_put(&b, slice_of(text, sizeof(text)), "x"), STATUS_TOO_LARGE);
    assert_status(identity_qr_put(&b, SLICE_NULL, "x"), STATUS_TOO_LARGE);
    assert_int_equal(b.len, 0);
    assert_status(identity_qr_put(&b, slice_of(text, IDENTITY_QR_TEXT_MAX), "x"), STATUS_OK);
    buf_fini(&b);
}

static void test_qr_stops_at_the_end_of_the_page(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, NULL, 0, 100);
    assert_status(identity_qr_put(&b, SLICE("text"), "x"), STATUS_TOO_LARGE);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qr_has_its_finders_and_quiet_zone),
        cmocka_unit_test(test_qr_refuses_what_is_too_long),
        cmocka_unit_test(test_qr_stops_at_the_end_of_the_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
