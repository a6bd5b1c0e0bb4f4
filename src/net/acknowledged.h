/*
 * net/acknowledged.h - How much of what was written the peer's machine has, as the kernel knows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Bytes that the peer of a TCP socket has acknowledged since it is connected. False on what is not
 * TCP, and where the kernel does not tell. */
bool net__bytes_acknowledged(int fd, uint64_t *ret_bytes);
