#include "observe/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"

/* The numbers of /proc/self/stat after the command's closing parenthesis, from field 3 on
 * (proc(5)). */
static bool read_stat(int64_t *fields, unsigned len)
{
    char text[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || !at[2])
        return false;
    at += 3; /* past the state letter, field 3 */
    for (unsigned i = 0; i < len; i++)
        fields[i] = strtoll(at, &at, 10);
    return true;
}

enum {
    STAT_UTIME = 10,
    STAT_STIME = 11,
    STAT_THREADS = 16,
    STAT_VSIZE = 19,
    STAT_RSS = 20,
    STAT_LEN
};

static double stat_field(unsigned field, double factor)
{
    int64_t fields[STAT_LEN];
    return read_stat(fields, STAT_LEN) ? (double)fields[field] * factor : 0;
}

double observe__resident_bytes(void *unused)
{
    (void)unused;
    return stat_field(STAT_RSS, (double)sysconf(_SC_PAGESIZE));
}

static double virtual_bytes(void *unused)
{
    (void)unused;
    return stat_field(STAT_VSIZE, 1);
}

static double threads(void *unused)
{
    (void)unused;
    return stat_field(STAT_THREADS, 1);
}

static double cpu_seconds(void *unused)
{
    struct rusage usage;
    (void)unused;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double open_fds(void *unused)
{
    (void)unused;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    double n = -3; /* ".", ".." and the folder's own descriptor */
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

static double max_fds(void *unused)
{
    struct rlimit limit;
    (void)unused;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : 0;
}

static double start_time(void *started_us)
{
    return (double)*(const int64_t *)started_us / 1e6;
}

static double log_lines_dropped(void *unused)
{
    (void)unused;
    return (double)log_dropped();
}

void observe__process_metrics(struct metrics *m, int64_t *started_us)
{
    static const struct {
        struct metric_desc desc;
        metric_read_fn read;
    } figures[] = {
        { { .name = "process_cpu_seconds",
            .kind = METRIC_COUNTER,
            .help = "User and system CPU time spent." },
          cpu_seconds },
        { { .name = "process_resident_memory_bytes",
            .kind = METRIC_GAUGE,
            .help = "Resident memory." },
          observe__resident_bytes },
        { { .name = "process_virtual_memory_bytes",
            .kind = METRIC_GAUGE,
            .help = "Virtual memory." },
          virtual_bytes },
        { { .name = "process_open_fds", .kind = METRIC_GAUGE, .help = "Open file descriptors." },
          open_fds },
        { { .name = "process_max_fds",
            .kind = METRIC_GAUGE,
            .help = "Most file descriptors allowed." },
          max_fds },
        { { .name = "process_threads", .kind = METRIC_GAUGE, .help = "Threads." }, threads },
        { { .name = "process_start_time_seconds",
            .kind = METRIC_GAUGE,
            .help = "Start time of the process since the Unix epoch." },
          start_time },
        { { .name = "purlin_log_dropped_lines",
            .kind = METRIC_COUNTER,
            .help = "Log lines lost because a thread's ring was full." },
          log_lines_dropped },
    };
    for (size_t i = 0; i < ARRAY_LEN(figures); i++)
        metric_callback(m, metric_declare(m, &figures[i].desc), NULL, figures[i].read, started_us);
}
