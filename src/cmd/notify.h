/*
 * cmd/notify.h - Telling a service manager how we are (sd_notify(3)), without its library: a
 * datagram to the socket that NOTIFY_SOCKET names. Without one nothing is told. Any thread.
 */
#pragma once

#include "base/macros.h"

/* "READY=1", "STOPPING=1"; several lines are several facts. Never waits. */
void notify_send(const char *format, ...) PRINTF_LIKE(1, 2);
