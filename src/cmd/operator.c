#include "cmd/operator.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "cmd/config.h"

void operator_event(struct arena *arena, struct identity_audit_event *event)
{
    struct passwd entry, *found = NULL;
    char names[1024];
    event->actor = IDENTITY_AUDIT_OPERATOR;
    if (getpwuid_r(getuid(), &entry, names, sizeof(names), &found) == 0 && found)
        event->actor_id = arena_printf(arena, "%s", found->pw_name);
    else
        event->actor_id = arena_printf(arena, "uid %u", (unsigned)getuid());
}

bool operator_time(struct slice text, int64_t now_us, int direction, int64_t *ret_us)
{
    int64_t us;
    if (config_date(text, &us)) {
        *ret_us = us;
        return true;
    }
    if (!clock_parse_duration(text, &us) || us == 0)
        return false;
    *ret_us = now_us + direction * us;
    return true;
}
