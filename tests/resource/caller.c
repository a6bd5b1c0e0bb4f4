/*
 * Who asks, for tests: linked with --wrap=http_caller into the engine's server, so that a test can
 * be anybody by sending X-Test-User (an id) and X-Test-Roles (names with commas). The product has
 * no such thing.
 */
#include "base/arena.h"
#include "base/id.h"
#include "fiber/task.h"
#include "http/http.h"

const struct task_caller *__real_http_caller(const struct http_request *req);
const struct task_caller *__wrap_http_caller(const struct http_request *req);

static struct slice *split_roles(struct slice text, struct arena *arena, unsigned *ret_len)
{
    struct slice *roles = arena_array_of(arena, struct slice, 8);
    struct slice rest = text, role;
    while (roles && *ret_len < 8 && text.len && slice_split(&rest, ',', &role))
        roles[(*ret_len)++] = slice_trim(role);
    return roles;
}

const struct task_caller *__wrap_http_caller(const struct http_request *req)
{
    struct slice user = net_header_find(http_net(req), SLICE("x-test-user"));
    struct slice roles = net_header_find(http_net(req), SLICE("x-test-roles"));
    if (!user.len && !roles.len)
        return __real_http_caller(req);
    struct arena *arena = http_arena((struct http_request *)(uintptr_t)req);
    struct task_caller *caller = arena_new_of(arena, struct task_caller);
    if (!caller)
        return __real_http_caller(req);
    caller->has_user = uuid_parse(user, &caller->user);
    caller->roles = split_roles(roles, arena, &caller->roles_len);
    return caller;
}
