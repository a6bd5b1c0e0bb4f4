/*
 * cmd/operator.h - Whoever calls a verb at the machine, as the audit log names them, and times as
 * they write them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "identity/audit.h"

struct arena;

/* The system's user; the event's texts live in the arena. */
void operator_event(struct arena *arena, struct identity_audit_event *event);

/* "2027-01-31", RFC 3339, or a duration from now on (`direction` 1) or back (-1). */
bool operator_time(struct slice text, int64_t now_us, int direction, int64_t *ret_us);
