/*
 * purlin check. Everything that serve would check, without serving; --explain shows what rules
 * become; --live asks a running server, for a container's health check.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "cmd/app.h"
#include "cmd/tls.h"
#include "contract/contract.h"
#include "contract/expr.h"

#define LIVE_TIMEOUT_S 2

static int connect_to(const struct config *c)
{
    struct timeval timeout = { .tv_sec = LIVE_TIMEOUT_S };
    char host[64] = "127.0.0.1";
    bool any = slice_eq(c->host, SLICE("0.0.0.0"));
    if (!any && slice_find(c->host, ':') == SIZE_MAX && c->host.len < sizeof(host)) {
        memcpy(host, c->host.data, c->host.len);
        host[c->host.len] = 0;
    }
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)c->port) };
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int check_live(const struct config *c)
{
    static const char request[] =
        "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char answer[64] = { 0 };
    int fd = connect_to(c);
    bool alive = fd >= 0 && send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0 &&
                 recv(fd, answer, sizeof(answer) - 1, 0) > 0 &&
                 strncmp(answer, "HTTP/1.1 200", 12) == 0;
    if (fd >= 0)
        (void)close(fd);
    if (!alive)
        (void)fprintf(stderr, "purlin check: no live server on port %lld\n", (long long)c->port);
    return alive ? CMD_OK : CMD_FAILED;
}

static int explain(const struct app *app)
{
    static const char *const actions[CONTRACT_ACTIONS] = { "read", "create", "update", "delete" };
    struct buf out;
    buf_init(&out, app->arena, 4096, (size_t)4 << 20);
    for (unsigned i = 0; i < app->set->len; i++) {
        const struct contract *c = app->set->contracts[i];
        buf_printf(&out, "%s%.*s\n", i ? "\n" : "", SLICE_ARG(c->name));
        for (unsigned a = 0; a < CONTRACT_ACTIONS; a++) {
            buf_printf(&out, "  %s\n", actions[a]);
            expr_explain(c->rules[a], &out);
            if (out.len && out.data[out.len - 1] != '\n')
                buf_putc(&out, '\n');
        }
    }
    return cmd_print_out(buf_slice(&out));
}

static int run(const struct cmd_verb *verb, int argc, char **argv)
{
    struct app app = { 0 };
    struct app_common common = { 0 };
    bool wants_explain = false, wants_live = false;
    const struct cmd_option options[] = {
        APP_COMMON_OPTIONS(common),
        { .name = "--explain",
          .help = "Print every rule and the SQL it becomes.",
          .is_set = &wants_explain },
        { .name = "--live",
          .help = "Ask the server on HOST and PORT whether it is alive.",
          .is_set = &wants_live },
    };
    struct cmd_args args;
    int code;
    if (!cmd_args_parse(verb, options, ARRAY_LEN(options), argc, argv, &args, &code))
        return code;
    if (args.words_len)
        return cmd_usage_error(verb, "unexpected argument %.*s", SLICE_ARG(args.words[0]));
    code = app_open_config(&app, &common);
    if (code == CMD_OK && wants_live) {
        code = check_live(&app.config);
    } else if (code == CMD_OK) {
        code = app_open_contracts(&app);
        if (code == CMD_OK) {
            tls_check(&app.config, clock_wall_us(), app.arena, &app.diag);
            code = app.diag.len ? cmd_print_diag(&app.diag) : CMD_OK;
        }
        if (code == CMD_OK && wants_explain)
            code = explain(&app);
        else if (code == CMD_OK)
            (void)printf("The configuration and %u contracts are valid.\n", app.set->len);
    }
    app_close(&app);
    return code;
}

const struct cmd_verb cmd_check = {
    .name = "check",
    .summary = "Check the configuration, its certificates and keys, and the contracts.",
    .synopsis = "[--explain] [--live] [--config FILE] [--env-file FILE]",
    .details =
        "Lists every problem at once, each with file, line and key, and exits 2 when there is one.",
    .run = run,
};
