/*
 * tests/fiber/test_overflow.c - A task that outgrows its stack dies at its guard and says so; its
 * neighbours' stacks, in memory shared with this process, are found untouched. Other faults die as
 * they always did.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fiber/task.h"
#include "fixture.h"

/* What the child leaves for us to read. */
struct report {
    uintptr_t began;   /* in the first frame of the overflowing task */
    uintptr_t deepest; /* lowest address that it wrote */
    uintptr_t neighbours[2];
};

static struct report *report;

static void park(struct task *task, void *arg)
{
    *(uintptr_t *)arg = (uintptr_t)&arg;
    (void)task_wait(task); /* for ever */
}

/* Not a loop in disguise: each call keeps its frame until the next one returns. */
__attribute__((noinline)) static unsigned go_deeper(unsigned depth)
{
    volatile char frame[1024];
    for (unsigned i = 0; i < sizeof(frame); i++)
        frame[i] = (char)depth;
    report->deepest = (uintptr_t)&frame[0];
    unsigned below = depth == 0 ? 0 : go_deeper(depth - 1);
    return below + (unsigned)frame[depth % sizeof(frame)];
}

static void overflow(struct task *task, void *arg)
{
    (void)arg;
    (void)task_yield(task); /* until the neighbours are there */
    report->began = (uintptr_t)&arg;
    report->deepest = go_deeper(1u << 30);
}

/* Before the loop runs: its second neighbour is not there yet. */
static void overflow_at_once(struct task *task, void *arg)
{
    (void)task;
    report->neighbours[1] = UINTPTR_MAX;
    report->began = (uintptr_t)&arg;
    report->deepest = go_deeper(1u << 30);
}

static void fault_elsewhere(struct task *task, void *arg)
{
    (void)task;
    char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)nowhere = 1;
    *(bool *)arg = true;
}

struct death {
    int status;
    char log[2048];
};

static void die(task_fn fn, int log_fd)
{
    struct loop *loop = NULL;
    dup2(log_fd, STDERR_FILENO);
    const struct task_options options = { .name = "the-deep-one" };
    bool survived = false;
    /* cmocka catches these; what stands behind our handler shall be what a server has. */
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    loop_install_overflow_handler();
    /* A neighbour mapped before and one mapped after, so that one lies on either side. */
    if (loop_new(NULL, &loop) != STATUS_OK ||
        task_spawn(loop, park, &report->neighbours[0], NULL) != STATUS_OK ||
        task_spawn(loop, fn, &survived, &options) != STATUS_OK ||
        task_spawn(loop, park, &report->neighbours[1], NULL) != STATUS_OK)
        _exit(3);
    loop_stop(loop);
    loop_run(loop);
    _exit(0);
}

static struct death run_child(task_fn fn)
{
    struct death death = { 0 };
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        die(fn, fds[1]);
    close(fds[1]);
    size_t len = 0;
    ssize_t got;
    while (len < sizeof(death.log) - 1 &&
           (got = read(fds[0], death.log + len, sizeof(death.log) - 1 - len)) > 0)
        len += (size_t)got;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &death.status, 0), pid);
    return death;
}

static int setup_report(void **state)
{
    (void)state;
    report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return report == MAP_FAILED ? -1 : 0;
}

static int teardown_report(void **state)
{
    (void)state;
    return munmap(report, sizeof(*report));
}

static void test_overflow_hits_the_guard_and_says_whose(void **state)
{
    (void)state;
    const task_fn rows[] = { overflow, overflow_at_once };
    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        struct death death = run_child(rows[row]);
        assert_true(WIFSIGNALED(death.status));
        assert_true(WTERMSIG(death.status) == SIGSEGV || WTERMSIG(death.status) == SIGBUS);
        assert_non_null(strstr(death.log, "\"msg\":\"fiber.stack_overflow\""));
        assert_non_null(strstr(death.log, "\"task\":\"the-deep-one\""));
        /* All it wrote lies on its own stack, and no neighbour lies there. */
        const struct report *r = report;
        assert_true(r->deepest != 0 && r->deepest < r->began);
        assert_true(r->began - r->deepest <= 262144);
        for (size_t i = 0; i < ARRAY_LEN(r->neighbours); i++)
            assert_true(r->neighbours[i] != 0 &&
                        (r->neighbours[i] > r->began || r->neighbours[i] < r->deepest));
        memset(report, 0, sizeof(*report));
    }
}

static void test_overflow_handler_leaves_other_faults_alone(void **state)
{
    (void)state;
    struct death death = run_child(fault_elsewhere);
    assert_null(strstr(death.log, "stack_overflow\""));
    /* The default action, or a sanitizer that was there first. */
    assert_false(WIFEXITED(death.status) && WEXITSTATUS(death.status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_overflow_hits_the_guard_and_says_whose, setup_report,
                                        teardown_report),
        cmocka_unit_test_setup_teardown(test_overflow_handler_leaves_other_faults_alone,
                                        setup_report, teardown_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
