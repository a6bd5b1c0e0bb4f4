/*
 * http/file_cache.c - Open files of a folder, by loop; looked at again once a second.
 */
#include "http/file_cache.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/metric.h"
#include "http/internal.h"

#define BUCKETS 512u /* a power of two */
/* Tasks of one loop in the offload pool for files; others wait their turn here. */
#define WORKERS_MAX 8u
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
/* Made once and sent often, by a worker: slower than for answers. */
#define LEVEL_ZSTD 10
#define LEVEL_BR 6
#define LEVEL_GZIP 7

struct http__file_loop {
    struct http__file_cache *cache;
    struct http__file *buckets[BUCKETS];
    struct http__file *newest, *oldest;
    unsigned len;
    size_t bytes;
    struct task_sem workers;
};

/* How a name was found. */
enum lookup { LOOKUP_HIT, LOOKUP_CHECKED, LOOKUP_OPENED, LOOKUP_NONE, LOOKUPS };

struct http__file_cache {
    const struct http_app *app;
    int folder;              /* a descriptor */
    struct metrics *metrics; /* may be NULL */
    metric_series entries, bytes, lookups[LOOKUPS];
    struct http__file_loop *loops[HTTP__LOOPS_MAX];
};

static const struct {
    enum http__coding coding;
    const char *suffix;
} siblings[] = {
    { HTTP__BR, ".br" },
    { HTTP__ZSTD, ".zst" },
    { HTTP__GZIP, ".gz" },
};

const char *http__file_suffix(enum http__coding coding)
{
    for (size_t i = 0; i < ARRAY_LEN(siblings); i++) {
        if (siblings[i].coding == coding)
            return siblings[i].suffix;
    }
    return "";
}

/* -- life
 * ------------------------------------------------------------------------------------------------
 */

/* The caches of all folders count into the same series. */
static void declare_metrics(struct http__file_cache *cache)
{
    static const char *const outcomes[LOOKUPS] = {
        [LOOKUP_HIT] = "hit",
        [LOOKUP_CHECKED] = "checked",
        [LOOKUP_OPENED] = "opened",
        [LOOKUP_NONE] = "none",
    };
    struct metrics *m = cache->metrics;
    unsigned entries = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_file_cache_entries",
                                  .help = "Static files held open or in memory, over all loops.",
                                  .kind = METRIC_GAUGE });
    unsigned bytes = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_file_cache_bytes",
                                  .help = "Bytes of them that are in memory, codings included.",
                                  .kind = METRIC_GAUGE });
    unsigned lookups = metric_declare(
        m, &(struct metric_desc){ .name = "purlin_file_cache_lookups",
                                  .help = "Names of static files asked for: hit, checked again "
                                          "and unchanged, opened, or none there.",
                                  .kind = METRIC_COUNTER,
                                  .labels = { "outcome" } });
    cache->entries = metric_series_get(m, entries, NULL);
    cache->bytes = metric_series_get(m, bytes, NULL);
    for (unsigned i = 0; i < LOOKUPS; i++) {
        struct slice value = slice_cstr(outcomes[i]);
        cache->lookups[i] = metric_series_get(m, lookups, &value);
    }
}

static void count(const struct http__file_cache *cache, metric_series series, int64_t change)
{
    if (cache->metrics)
        metric_add(cache->metrics, series, change);
}

enum status http__file_cache_new(const struct http_app *app, struct slice folder,
                                 struct http__file_cache **ret, const char **ret_reason)
{
    struct http__file_cache *cache = calloc(1, sizeof(*cache));
    char *path = malloc(folder.len + 1);
    if (!cache || !path) {
        free(cache);
        free(path);
        return STATUS_EXHAUSTED;
    }
    if (folder.len)
        memcpy(path, folder.data, folder.len);
    path[folder.len] = '\0';
    cache->app = app;
    cache->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(path);
    if (cache->folder < 0) {
        free(cache);
        *ret_reason = "the folder cannot be opened";
        return STATUS_INVALID;
    }
    cache->metrics = app->options.metrics;
    if (cache->metrics)
        declare_metrics(cache);
    *ret = cache;
    return STATUS_OK;
}

static void file_free(struct http__file *f)
{
    if (f->open.fd >= 0)
        (void)close(f->open.fd);
    union {
        const char *constant;
        char *heap;
    } data = { .constant = f->memory.data };
    free(data.heap);
    for (unsigned i = 0; i < HTTP__CODING_COUNT; i++) {
        data.constant = f->coded[i].data;
        free(data.heap);
    }
    free(f);
}

void http__file_cache_free(struct http__file_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(cache->loops); i++) {
        struct http__file_loop *l = cache->loops[i];
        for (struct http__file *f = l ? l->newest : NULL, *older; f; f = older) {
            older = f->older;
            file_free(f);
        }
        free(l);
    }
    (void)close(cache->folder);
    free(cache);
}

static struct http__file_loop *loop_of(struct task *task, struct http__file_cache *cache)
{
    unsigned index = loop_index(task_loop(task));
    if (index >= ARRAY_LEN(cache->loops))
        return NULL;
    struct http__file_loop *l = cache->loops[index];
    if (!l) {
        l = cache->loops[index] = calloc(1, sizeof(*l));
        if (!l)
            return NULL;
        l->cache = cache;
        task_sem_init(&l->workers, WORKERS_MAX);
    }
    return l;
}

/* -- the table
 * ------------------------------------------------------------------------------------------- */

static void use_unlink(struct http__file_loop *l, struct http__file *f)
{
    *(f->newer ? &f->newer->older : &l->newest) = f->older;
    *(f->older ? &f->older->newer : &l->oldest) = f->newer;
}

static void use_newest(struct http__file_loop *l, struct http__file *f)
{
    f->newer = NULL;
    f->older = l->newest;
    *(l->newest ? &l->newest->newer : &l->oldest) = f;
    l->newest = f;
}

void http__file_release(struct http__file *f)
{
    if (!f)
        return;
    assert(f->refs > 0);
    if (--f->refs == 0)
        file_free(f);
}

static void cache_remove(struct http__file_loop *l, struct http__file *f)
{
    struct http__file **at = &l->buckets[f->hash & (BUCKETS - 1)];
    while (*at != f)
        at = &(*at)->chain;
    *at = f->chain;
    use_unlink(l, f);
    l->len--;
    l->bytes -= f->bytes;
    count(l->cache, l->cache->entries, -1);
    count(l->cache, l->cache->bytes, -(int64_t)f->bytes);
    f->in_cache = false;
    http__file_release(f);
}

/* Room for so many more, at the cost of what was not used for longest. */
static void cache_shrink(struct http__file_loop *l, unsigned files, size_t bytes)
{
    while (l->oldest && (l->len + files > HTTP__FILE_ENTRIES_MAX ||
                         l->bytes + bytes > HTTP__FILE_CACHE_BYTES_MAX))
        cache_remove(l, l->oldest);
}

static void cache_add(struct http__file_loop *l, struct http__file *f)
{
    cache_shrink(l, 1, f->bytes);
    struct http__file **bucket = &l->buckets[f->hash & (BUCKETS - 1)];
    f->chain = *bucket;
    *bucket = f;
    f->refs++;
    f->in_cache = true;
    use_newest(l, f);
    l->len++;
    l->bytes += f->bytes;
    count(l->cache, l->cache->entries, 1);
    count(l->cache, l->cache->bytes, (int64_t)f->bytes);
}

static struct http__file *cache_find(struct http__file_loop *l, uint64_t hash, struct slice name)
{
    struct http__file *f = l->buckets[hash & (BUCKETS - 1)];
    while (f && (f->hash != hash || !slice_eq(slice_of(f->name, f->name_len), name)))
        f = f->chain;
    return f;
}

/* -- the disk
 * -------------------------------------------------------------------------------------------- */

/* Open below the folder. -1 with errno. */
static int open_beneath(int folder, const char *name, bool cached_only)
{
    struct open_how how = {
        .flags = OPEN_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (cached_only ? RESOLVE_CACHED : 0),
    };
    return (int)syscall(SYS_openat2, folder, name, &how, sizeof(how));
}

/* The same on kernels and in sandboxes without openat2: each folder by itself, and no links. */
static int open_walking(int folder, const char *name)
{
    int at = folder;
    for (;;) {
        size_t len = strcspn(name, "/");
        char segment[NAME_MAX + 1];
        if (len == 0 || len > NAME_MAX || (len == 2 && memcmp(name, "..", 2) == 0)) {
            if (at != folder)
                (void)close(at);
            errno = ENOENT;
            return -1;
        }
        memcpy(segment, name, len);
        segment[len] = '\0';
        name += len;
        while (*name == '/')
            name++;
        int flags = OPEN_FLAGS | O_NOFOLLOW | (*name ? O_DIRECTORY : 0);
        int next = openat(at, segment, flags);
        int error = errno;
        if (at != folder)
            (void)close(at);
        errno = error;
        if (next < 0 || !*name)
            return next;
        at = next;
    }
}

static bool is_unsupported(int error)
{
    return error == ENOSYS || error == EPERM || error == EINVAL || error == E2BIG;
}

/* What the disk says of a name. */
struct look {
    int folder;
    const char *name;
    bool cached_only;
    bool with_siblings;
    int error; /* 0: these hold */
    int fd;
    struct stat st;
    char *memory; /* of a small file, heap; NULL: not read */
    unsigned siblings;
};

/* Does name + suffix exist, no older? False with look->error EAGAIN: the disk must be asked. */
static bool has_sibling(struct look *look, const char *suffix)
{
    char name[2048];
    struct stat st;
    int len = snprintf(name, sizeof(name), "%s%s", look->name, suffix);
    if (len < 0 || (size_t)len >= sizeof(name))
        return false;
    int fd = open_beneath(look->folder, name, look->cached_only);
    if (fd < 0 && errno == EAGAIN && look->cached_only)
        look->error = EAGAIN;
    if (fd < 0 && is_unsupported(errno) && !look->cached_only)
        fd = open_walking(look->folder, name);
    if (fd < 0)
        return false;
    bool is_good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                   (st.st_mtim.tv_sec > look->st.st_mtim.tv_sec ||
                    (st.st_mtim.tv_sec == look->st.st_mtim.tv_sec &&
                     st.st_mtim.tv_nsec >= look->st.st_mtim.tv_nsec));
    (void)close(fd);
    return is_good;
}

static void read_small(struct look *look)
{
    size_t size = (size_t)look->st.st_size, got = 0;
    look->memory = malloc(size + 1);
    ssize_t n = 1;
    while (look->memory && got < size && n > 0) {
        struct iovec to = { .iov_base = look->memory + got, .iov_len = size - got };
        n = look->cached_only ? preadv2(look->fd, &to, 1, (off_t)got, RWF_NOWAIT)
                              : pread(look->fd, to.iov_base, to.iov_len, (off_t)got);
        got += n > 0 ? (size_t)n : 0;
    }
    if (!look->memory)
        look->error = ENOMEM;
    else if (got < size)
        look->error = EAGAIN; /* not in memory, or it has just changed */
}

static void look_close(struct look *look)
{
    if (look->fd >= 0)
        (void)close(look->fd);
    free(look->memory);
    look->fd = -1;
    look->memory = NULL;
}

static void look_at(void *arg)
{
    struct look *look = arg;
    look->error = 0;
    look->siblings = 0;
    look->memory = NULL;
    look->fd = open_beneath(look->folder, look->name, look->cached_only);
    if (look->fd < 0 && is_unsupported(errno)) {
        if (look->cached_only)
            errno = EAGAIN;
        else
            look->fd = open_walking(look->folder, look->name);
    }
    if (look->fd < 0 || fstat(look->fd, &look->st) != 0) {
        look->error = errno;
    } else if (S_ISREG(look->st.st_mode)) {
        for (size_t i = 0; i < ARRAY_LEN(siblings) && look->with_siblings; i++) {
            if (has_sibling(look, siblings[i].suffix))
                look->siblings |= 1u << siblings[i].coding;
        }
        if (look->st.st_size <= HTTP__FILE_SMALL_BYTES && !look->error)
            read_small(look);
    } else if (!S_ISDIR(look->st.st_mode)) {
        look->error = ENOENT;
    }
    if (look->error)
        look_close(look);
}

static enum status offload(struct task *task, struct http__file_loop *l, void (*fn)(void *arg),
                           void *arg)
{
    enum status st = task_sem_take(task, &l->workers);
    if (st != STATUS_OK)
        return st;
    st = task_offload(task, fn, arg);
    task_sem_give(&l->workers);
    return st;
}

/* On the loop if the kernel has it all in memory, else by a worker. */
static enum status look_up(struct task *task, struct http__file_loop *l, struct look *look)
{
    look->cached_only = true;
    look_at(look);
    if (look->error == EAGAIN) {
        look->cached_only = false;
        enum status st = offload(task, l, look_at, look);
        if (st != STATUS_OK)
            return st == STATUS_EXHAUSTED ? problem_set(task, st, "http/overloaded",
                                                        "The server reads as many files as it can.")
                                          : st;
    }
    switch (look->error) {
    case 0:
        return STATUS_OK;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        return problem_set(task, STATUS_EXHAUSTED, "http/overloaded",
                           "The server has as many files open as it can.");
    default:
        return STATUS_NOT_FOUND; /* also what may not be read: it is nobody's business why */
    }
}

static int64_t us_of(struct timespec t)
{
    return (int64_t)t.tv_sec * CLOCK_SECOND + t.tv_nsec / 1000;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const struct http__file *f, const struct stat *st)
{
    return f->device == st->st_dev && f->inode == st->st_ino && f->size == st->st_size &&
           is_same_time(f->modified, st->st_mtim) && is_same_time(f->changed, st->st_ctim) &&
           f->is_folder == S_ISDIR(st->st_mode);
}

/* Takes what the look found. NULL: out of memory. */
static struct http__file *file_new(struct http__file_loop *l, uint64_t hash, struct slice name,
                                   struct look *look)
{
    struct http__file *f = calloc(1, sizeof(*f) + name.len + 1);
    if (!f) {
        look_close(look);
        return NULL;
    }
    const struct stat *st = &look->st;
    f->loop = l;
    f->hash = hash;
    f->is_folder = S_ISDIR(st->st_mode);
    f->siblings = look->siblings;
    f->open.fd = look->fd;
    f->size = st->st_size;
    f->device = st->st_dev;
    f->inode = st->st_ino;
    f->modified = st->st_mtim;
    f->changed = st->st_ctim;
    f->modified_us = us_of(st->st_mtim);
    f->etag_len = (uint8_t)snprintf(f->etag, sizeof(f->etag), "\"%llx-%llx-%llx\"",
                                    (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
                                    (unsigned long long)st->st_mtim.tv_sec * 1000000000ull +
                                        (unsigned long long)st->st_mtim.tv_nsec);
    f->bytes = sizeof(*f) + name.len;
    if (look->memory) {
        f->memory = slice_of(look->memory, (size_t)st->st_size);
        f->bytes += (size_t)st->st_size;
    }
    if (look->memory || f->is_folder) {
        (void)close(look->fd); /* all of it is known */
        f->open.fd = -1;
    }
    f->name_len = name.len;
    memcpy(f->name, name.data, name.len);
    return f;
}

/* A sibling has no siblings. */
static bool may_have_siblings(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(siblings); i++) {
        if (slice_ends(name, slice_cstr(siblings[i].suffix)))
            return false;
    }
    return true;
}

enum status http__file_get(struct task *task, struct http__file_cache *cache, struct slice name,
                           struct http__file **ret)
{
    struct http__file_loop *l = loop_of(task, cache);
    if (!l || !name.data)
        return STATUS_EXHAUSTED;
    uint64_t hash = hash64(name, 0);
    int64_t now_us = loop_now_us(task_loop(task));
    struct http__file *f = cache_find(l, hash, name);
    if (f && now_us - f->checked_us < HTTP__FILE_FRESH_US) {
        use_unlink(l, f);
        use_newest(l, f);
        f->refs++;
        count(cache, cache->lookups[LOOKUP_HIT], 1);
        *ret = f;
        return STATUS_OK;
    }
    if (f)
        f->checked_us = now_us; /* others go on with it while this task looks */
    struct look look = { .folder = cache->folder,
                         .name = arena_cstr(task_arena(task), name),
                         .with_siblings = may_have_siblings(name) };
    if (!look.name)
        return STATUS_NOT_FOUND;
    enum status st = look_up(task, l, &look);
    f = cache_find(l, hash, name);
    if (st != STATUS_OK) {
        if (f && st == STATUS_NOT_FOUND)
            cache_remove(l, f);
        count(cache, cache->lookups[LOOKUP_NONE], 1);
        return st;
    }
    if (f && is_same(f, &look.st)) {
        f->siblings = look.siblings;
        look_close(&look);
        count(cache, cache->lookups[LOOKUP_CHECKED], 1);
    } else {
        if (f)
            cache_remove(l, f);
        f = file_new(l, hash, name, &look);
        if (!f)
            return STATUS_EXHAUSTED;
        cache_add(l, f);
        count(cache, cache->lookups[LOOKUP_OPENED], 1);
    }
    f->checked_us = now_us;
    f->refs++;
    *ret = f;
    return STATUS_OK;
}

/* -- codings
 * --------------------------------------------------------------------------------------------- */

struct code_job {
    const struct http__file *file;
    enum http__coding coding;
    char *coded; /* heap; NULL: it got no smaller */
    size_t coded_len;
};

static char *read_whole(const struct http__file *f)
{
    size_t size = (size_t)f->size, got = 0;
    char *data = malloc(size + 1);
    ssize_t n = 1;
    while (data && got < size && n > 0) {
        n = pread(f->open.fd, data + got, size - got, (off_t)got);
        got += n > 0 ? (size_t)n : 0;
    }
    if (data && got == size)
        return data;
    free(data);
    return NULL;
}

static void code_with(struct code_job *job, struct http__coders *coders, struct slice plain)
{
    struct http__encoder *e = http__encoder_take(coders, job->coding, (int64_t)plain.len);
    size_t cap = plain.len, len = 0;
    char *out = malloc(cap);
    bool done = false;
    while (e && out && !done && len < cap) {
        size_t n;
        if (http__encoder_run(e, &plain, HTTP__END, out + len, cap - len, &n, &done) != STATUS_OK)
            break;
        len += n;
    }
    http__encoder_give(e);
    if (!done) {
        free(out);
        return;
    }
    char *fitted = realloc(out, len);
    job->coded = fitted ? fitted : out;
    job->coded_len = len;
}

/* On a worker, with machines of its own. */
static void code(void *arg)
{
    static const struct http__coder_limits limits = {
        .levels = { [HTTP__ZSTD] = LEVEL_ZSTD, [HTTP__BR] = LEVEL_BR, [HTTP__GZIP] = LEVEL_GZIP },
        .encoders_max = 1,
    };
    struct code_job *job = arg;
    const struct http__file *f = job->file;
    char *read = f->memory.data ? NULL : read_whole(f);
    struct slice plain = read ? slice_of(read, (size_t)f->size) : f->memory;
    struct http__coders *coders = http__coders_new(&limits);
    if (coders && plain.data)
        code_with(job, coders, plain);
    http__coders_free(coders);
    free(read);
}

static enum status make_coded(struct task *task, struct http__file_loop *l, struct http__file *f,
                              enum http__coding coding)
{
    struct code_job job = { .file = f, .coding = coding };
    enum status st = offload(task, l, code, &job);
    if (st == STATUS_EXHAUSTED)
        return STATUS_OK; /* plain, this time */
    if (st != STATUS_OK)
        return st;
    f->coded_tried[coding] = true;
    if (!job.coded)
        return STATUS_OK;
    f->coded[coding] = slice_of(job.coded, job.coded_len);
    if (f->in_cache) {
        /* It may be the one that must go for it; whoever got it holds it. */
        cache_shrink(l, 0, job.coded_len);
        f->bytes += job.coded_len;
        if (f->in_cache) {
            l->bytes += job.coded_len;
            count(l->cache, l->cache->bytes, (int64_t)job.coded_len);
        }
    }
    return STATUS_OK;
}

enum status http__file_coded(struct task *task, struct http__file *f, enum http__coding coding,
                             struct slice *ret_coded)
{
    struct http__file_loop *l = f->loop;
    if (!f->coded_tried[coding]) {
        enum status st = task_latch_lock(task, &f->coding);
        if (st != STATUS_OK)
            return st;
        if (!f->coded_tried[coding])
            st = make_coded(task, l, f, coding);
        task_latch_unlock(task, &f->coding);
        if (st != STATUS_OK)
            return st;
    }
    *ret_coded = f->coded[coding];
    return STATUS_OK;
}
