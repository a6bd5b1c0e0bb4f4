/*
 * net/acknowledged.c - Alone, because the kernel's struct tcp_info, which has what is asked for
 * here, and the C library's, which libuv's header brings and which has not, exclude each other.
 */
#include "net/acknowledged.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

bool net__bytes_acknowledged(int fd, uint64_t *ret_bytes)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
        return false;
    *ret_bytes = info.tcpi_bytes_acked;
    return true;
}
