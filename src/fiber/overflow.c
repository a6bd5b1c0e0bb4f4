/*
 * fiber/overflow.c - A task that outgrows its stack touches the guard below it. The kernel then
 * runs our handler on an alternate stack (the task's own is full), which says which task it was and
 * lets the process die as it would have.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fiber/internal.h"

#define SIGNAL_STACK_BYTES ((size_t)65536)

static struct sigaction old_segv, old_bus;

/* The stack that this thread got from us, NULL when it had one already. */
static __thread void *signal_stack;

/* Only async-signal-safe calls from here on. */
static size_t put_text(char *line, size_t len, size_t max, const char *text)
{
    while (*text && len < max) {
        char c = *text++;
        line[len++] = (unsigned char)c < 0x20 || c == '\\' ? '?' : c;
    }
    return len;
}

static void write_line(const struct task *task)
{
    char line[256];
    size_t max = sizeof(line) - 1;
    size_t len =
        put_text(line, 0, max, "{\"level\":\"error\",\"msg\":\"fiber.stack_overflow\",\"task\":\"");
    len = put_text(line, len, max - 2, task->name ? task->name : "unnamed");
    len = put_text(line, len, max, "\"}");
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; /* dying; there is nobody left to tell */
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    const struct task *task = loop__current_task();
    struct sigaction next = signal_number == SIGBUS ? old_bus : old_segv;
    if (task && stack_guards(&task->stack, (uintptr_t)info->si_addr)) {
        write_line(task);
        memset(&next, 0, sizeof(next));
        next.sa_handler = SIG_DFL;
    }
    /* The faulting instruction runs again, now under the default action or under whoever was here
     * before us (a sanitizer), with the registers of the fault for the core. */
    (void)sigaction(signal_number, &next, NULL);
}

void loop_install_overflow_handler(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    (void)sigemptyset(&action.sa_mask);
    loop__signal_stack_open();
    /* Both can only fail for a signal number that does not exist. */
    (void)sigaction(SIGSEGV, &action, &old_segv);
    (void)sigaction(SIGBUS, &action, &old_bus);
}

void loop__signal_stack_open(void)
{
    stack_t old;
    if (signal_stack || sigaltstack(NULL, &old) != 0 || !(old.ss_flags & SS_DISABLE))
        return;
    void *memory = mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return; /* an overflow still dies, without its log line */
    stack_t own = { .ss_sp = memory, .ss_size = SIGNAL_STACK_BYTES };
    if (sigaltstack(&own, NULL) == 0)
        signal_stack = memory;
    else
        (void)munmap(memory, SIGNAL_STACK_BYTES);
}

void loop__signal_stack_close(void)
{
    if (!signal_stack)
        return;
    stack_t none = { .ss_flags = SS_DISABLE };
    (void)sigaltstack(&none, NULL);
    (void)munmap(signal_stack, SIGNAL_STACK_BYTES);
    signal_stack = NULL;
}
