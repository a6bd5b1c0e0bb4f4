#include "cmd/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "cmd/inherit.h"
#include "cmd/listen.h"

extern char **environ;

/* A large database may have to be brought to new contracts first. */
#define LATE_US (120 * CLOCK_SECOND)
#define VARIABLE_BYTES_MAX ((size_t)64 * 1024)

void upgrade_init(struct upgrade *u, struct arena *arena, int argc, char **argv)
{
    static char verb[] = "serve";
    u->exe = arena_alloc(arena, PATH_MAX);
    ssize_t n = readlink("/proc/self/exe", u->exe, PATH_MAX - 1);
    u->exe[n > 0 ? n : 0] = '\0';
    char **full = arena_array_of(arena, char *, (size_t)argc + 3);
    full[0] = u->exe;
    full[1] = verb;
    memcpy(full + 2, argv, (size_t)argc * sizeof(*argv));
    u->argv = full;
}

bool upgrade_is_running(const struct upgrade *u)
{
    return u->pid != 0;
}

/* -- the end of it
 * ---------------------------------------------------------------------------------------- */

static void stop_watching(struct upgrade *u)
{
    loop_timer_stop(u->loop, &u->late);
    uv_close((uv_handle_t *)&u->poll, NULL);
    (void)close(u->ready_fd);
    u->pid = 0;
}

/* It is our child and not waited for yet, so its number is still its own. */
static void fail(struct upgrade *u, const char *why)
{
    int status = 0;
    pid_t pid = u->pid;
    (void)kill(pid, SIGKILL); /* mostly it is gone already */
    (void)waitpid(pid, &status, 0);
    stop_watching(u);
    log_error("server.upgrade_failed", LOG_CSTR("why", why), LOG_I64("pid", pid),
              LOG_I64("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
              LOG_CSTR("kept", "this process serves on"));
}

static void on_late(struct loop_timer *timer)
{
    fail(CONTAINER_OF(timer, struct upgrade, late), "it was not ready in two minutes");
}

static void on_word(uv_poll_t *poll, int rc, int events)
{
    struct upgrade *u = poll->data;
    char word;
    (void)events;
    ssize_t n = rc == 0 ? read(u->ready_fd, &word, 1) : 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != 1) {
        fail(u, "it ended before it was ready; its own output says why");
        return;
    }
    log_info("server.upgraded", LOG_I64("successor", u->pid));
    stop_watching(u);
    u->on_ready(u->arg);
}

void upgrade_cancel(struct upgrade *u)
{
    if (upgrade_is_running(u))
        fail(u, "this process was told to stop");
}

/* -- the start of it
 * -------------------------------------------------------------------------------------- */

static bool is_variable(const char *entry, const char *name)
{
    size_t len = strlen(name);
    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

/* Ours, with the sockets in it. */
static char **make_environment(struct arena *arena, struct slice handover)
{
    size_t len = 0, out = 0;
    while (environ[len])
        len++;
    char **env = arena_array_of(arena, char *, len + 2);
    for (size_t i = 0; env && i < len; i++) {
        if (!is_variable(environ[i], INHERIT_VARIABLE))
            env[out++] = environ[i];
    }
    if (env)
        env[out] =
            arena_cstr(arena, arena_printf(arena, INHERIT_VARIABLE "=%.*s", SLICE_ARG(handover)));
    return env && env[out] ? env : NULL;
}

/* posix_spawn clears close-on-exec of what is duplicated onto itself. */
static int spawn(struct upgrade *u, char *const *env, const int *fds, unsigned fds_len, int ready)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    (void)posix_spawn_file_actions_init(&actions); /* these fail for want of memory only, and then
                                                      so does the spawn */
    (void)posix_spawnattr_init(&attributes);
    for (unsigned i = 0; i < fds_len; i++)
        (void)posix_spawn_file_actions_adddup2(&actions, fds[i], fds[i]);
    (void)posix_spawn_file_actions_adddup2(&actions, ready, ready);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn(&u->pid, u->exe, &actions, &attributes, u->argv, env);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    if (error)
        u->pid = 0;
    return error;
}

static void start(struct upgrade *u, struct arena *arena, const int pipe_fds[2])
{
    int *fds = arena_array_of(arena, int, INHERIT_MAX);
    struct buf handover;
    buf_init(&handover, arena, 1024, VARIABLE_BYTES_MAX);
    unsigned fds_len = fds ? listen_handover(u->listen, &handover, fds, INHERIT_MAX) : 0;
    inherit_put_ready(&handover, pipe_fds[1]);
    char **env =
        buf_status(&handover) == STATUS_OK ? make_environment(arena, buf_slice(&handover)) : NULL;
    int error = env && fds_len ? spawn(u, env, fds, fds_len, pipe_fds[1]) : ENOMEM;
    if (error) {
        log_error("server.upgrade_failed", LOG_CSTR("program", u->exe), LOG_I64("errno", error),
                  LOG_CSTR("kept", "this process serves on"));
        (void)close(pipe_fds[0]);
        return;
    }
    u->ready_fd = pipe_fds[0];
    (void)uv_poll_init(loop_uv(u->loop), &u->poll, u->ready_fd);
    u->poll.data = u;
    (void)uv_poll_start(&u->poll, UV_READABLE, on_word);
    loop_timer_start(u->loop, &u->late, LATE_US, on_late);
    log_info("server.upgrading", LOG_I64("successor", u->pid), LOG_CSTR("program", u->exe));
}

void upgrade_start(struct upgrade *u)
{
    int pipe_fds[2];
    if (upgrade_is_running(u))
        return;
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        log_error("server.upgrade_failed", LOG_I64("errno", errno),
                  LOG_CSTR("kept", "this process serves on"));
        return;
    }
    CLEANUP(arena_free) struct arena *arena = arena_new(NULL, 0);
    start(u, arena, pipe_fds);
    (void)close(pipe_fds[1]);
}
