#include "base/status.h"

static const char *const names[STATUS_COUNT] = {
    [STATUS_OK] = "ok",
    [STATUS_INVALID] = "invalid",
    [STATUS_UNAUTHENTICATED] = "unauthenticated",
    [STATUS_DENIED] = "denied",
    [STATUS_NOT_FOUND] = "not_found",
    [STATUS_CONFLICT] = "conflict",
    [STATUS_TOO_LARGE] = "too_large",
    [STATUS_EXHAUSTED] = "exhausted",
    [STATUS_TIMEOUT] = "timeout",
    [STATUS_CANCELLED] = "cancelled",
    [STATUS_UNAVAILABLE] = "unavailable",
    [STATUS_INTERNAL] = "internal",
};

const char *status_name(enum status st)
{
    return (unsigned)st < STATUS_COUNT ? names[st] : "unknown";
}
