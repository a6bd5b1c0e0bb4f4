/*
 * store/vfs.c - How connections see their files: SQLite's own way, but for one thing each.
 *
 * Readers. After each commit a reader begins a new snapshot, and SQLite then unmaps the whole
 * database: somebody else might have cut it short. Nearly always that is for nothing, since commits
 * go to the WAL, and faulting every page in again costs some forty row reads. When a checkpoint
 * lets the file grow it is no better: what was mapped has not moved. So here a reader maps, once
 * and for as long as it lives, all it may map of the file, beyond its end too, and asks at each
 * snapshot only how long the file is: the kernel lets nobody read past that, and neither do we.
 *
 * The writer. SQLite writes a page of the WAL in two calls, its head and its bytes, and the pages
 * of a commit one after the other. Here what follows on what was written is gathered, and goes out
 * in one call before anybody can miss it: before the sync that makes a commit, before a read and
 * whatever else looks at the file. Others learn of a commit from the index only after that sync
 * (synchronous=FULL), so they never look for what is still gathered. A write that fails late fails
 * the sync, and with it the commit.
 *
 * The table of methods of an open file is replaced by a copy with slots of our own; everything else
 * is the default VFS's, which gets its own file object, size and methods included, and finds ours
 * behind it.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/macros.h"
#include "store/internal.h"

/* Some fifteen pages. SQLite's own write takes less than 128 KiB at a time. */
#define GATHER_BYTES ((size_t)64 * 1024)
_Static_assert(GATHER_BYTES <= 0x1ffff, "beyond that SQLite writes a part, or nothing");

/* Behind the default VFS's own file object. */
struct own_file {
    char *map; /* a reader's: map_bytes from the file's begin on; NULL: not mapped by us */
    sqlite3_int64 map_bytes;
    sqlite3_int64 size; /* the file's, as last seen */
    bool is_unmappable; /* tried in vain: SQLite's own way then */
    char *gathered;     /* the writer's WAL: GATHER_BYTES; NULL: nothing is gathered */
    size_t gathered_len;
    sqlite3_int64 gathered_at;
};

struct own_vfs {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    const sqlite3_io_methods *real_methods; /* of the files whose methods `methods` copies */
    sqlite3_io_methods methods;
    int kind; /* SQLITE_OPEN_...: of the files whose methods are replaced */
    void (*replace)(sqlite3_io_methods *methods);
};

static const struct own_vfs *vfs_of(const sqlite3_file *file)
{
    const char *methods = (const char *)file->pMethods;
    return (const void *)(methods - offsetof(struct own_vfs, methods)); /* CONTAINER_OF, const */
}

static struct own_file *own_file(const struct own_vfs *own, sqlite3_file *file)
{
    return (void *)((char *)file + own->real->szOsFile);
}

/* -- readers ----------------------------------------------------------------------------------- */

static int look_at_size(const struct own_vfs *own, sqlite3_file *file)
{
    struct own_file *state = own_file(own, file);
    sqlite3_int64 size;
    int rc = own->real_methods->xFileSize(file, &size);
    state->size = rc == SQLITE_OK ? size : 0;
    return rc;
}

/*
 * Map it. Only SQLite knows the file's descriptor, and one of our own would, when closed, take the
 * process's locks on the file with it (POSIX). So SQLite maps what there is, and mremap makes a
 * second mapping of the same file beginning there: that is what it does when told to move nothing.
 */
static void map_all(const struct own_vfs *own, sqlite3_file *file)
{
    const sqlite3_io_methods *real = own->real_methods;
    struct own_file *state = own_file(own, file);
    sqlite3_int64 limit = -1; /* asks */
    void *begin = NULL;
    if (real->xFileControl(file, SQLITE_FCNTL_MMAP_SIZE, &limit) != SQLITE_OK || limit <= 0 ||
        real->xFetch(file, 0, 1, &begin) != SQLITE_OK || !begin)
        return; /* an empty file: later */
    void *map = mremap(begin, 0, (size_t)limit, MREMAP_MAYMOVE);
    (void)real->xUnfetch(file, 0, begin); /* cannot fail */
    state->is_unmappable = map == MAP_FAILED;
    if (state->is_unmappable)
        return;
    (void)real->xUnfetch(file, 0, NULL); /* SQLite's own goes */
    state->map = map;
    state->map_bytes = limit;
    (void)look_at_size(own, file); /* when it fails nothing counts as mapped */
}

static bool is_mapped(const struct own_file *state, sqlite3_int64 offset, int n)
{
    return state->map && offset + n <= MIN(state->size, state->map_bytes);
}

static int fetch_page(sqlite3_file *file, sqlite3_int64 offset, int n, void **ret_page)
{
    const struct own_vfs *own = vfs_of(file);
    struct own_file *state = own_file(own, file);
    if (UNLIKELY(!state->map && !state->is_unmappable))
        map_all(own, file);
    if (UNLIKELY(!state->map))
        return own->real_methods->xFetch(file, offset, n, ret_page);
    /* A checkpoint may have let the file grow since this snapshot began. */
    if (UNLIKELY(!is_mapped(state, offset, n)) && offset + n <= state->map_bytes)
        (void)look_at_size(own, file);
    *ret_page = LIKELY(is_mapped(state, offset, n)) ? state->map + offset : NULL;
    return SQLITE_OK; /* what is not mapped SQLite reads */
}

/* Without a page: a new snapshot begins. */
static int give_page(sqlite3_file *file, sqlite3_int64 offset, void *page)
{
    const struct own_vfs *own = vfs_of(file);
    if (!own_file(own, file)->map)
        return own->real_methods->xUnfetch(file, offset, page);
    return page ? SQLITE_OK : look_at_size(own, file);
}

static int read_page(sqlite3_file *file, void *data, int n, sqlite3_int64 offset)
{
    const struct own_vfs *own = vfs_of(file);
    struct own_file *state = own_file(own, file);
    if (!is_mapped(state, offset, n))
        return own->real_methods->xRead(file, data, n, offset);
    memcpy(data, state->map + offset, (size_t)n);
    return SQLITE_OK;
}

static int close_mapped(sqlite3_file *file)
{
    const struct own_vfs *own = vfs_of(file);
    struct own_file *state = own_file(own, file);
    if (state->map)
        (void)munmap(state->map, (size_t)state->map_bytes);
    state->map = NULL;
    return own->real_methods->xClose(file);
}

static void replace_readers(sqlite3_io_methods *methods)
{
    if (methods->iVersion < 3 || !methods->xFetch || !methods->xUnfetch)
        return;
    methods->xFetch = fetch_page;
    methods->xUnfetch = give_page;
    methods->xRead = read_page;
    methods->xClose = close_mapped;
}

/* -- the writer's WAL -------------------------------------------------------------------------- */

/* Whether or not it succeeds nothing is gathered then: SQLite undoes the transaction of a write
 * that failed. */
static int put_gathered(const struct own_vfs *own, sqlite3_file *file)
{
    struct own_file *state = own_file(own, file);
    size_t len = state->gathered_len;
    state->gathered_len = 0;
    if (len == 0)
        return SQLITE_OK;
    return own->real_methods->xWrite(file, state->gathered, (int)len, state->gathered_at);
}

static int wal_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 offset)
{
    const struct own_vfs *own = vfs_of(file);
    struct own_file *state = own_file(own, file);
    size_t len = (size_t)n;
    bool follows = offset == state->gathered_at + (sqlite3_int64)state->gathered_len;
    if (!state->gathered)
        return own->real_methods->xWrite(file, data, n, offset);
    if (!follows || len > GATHER_BYTES - state->gathered_len) {
        int rc = put_gathered(own, file);
        if (rc != SQLITE_OK || len > GATHER_BYTES)
            return rc == SQLITE_OK ? own->real_methods->xWrite(file, data, n, offset) : rc;
        state->gathered_at = offset;
    }
    memcpy(state->gathered + state->gathered_len, data, len);
    state->gathered_len += len;
    return SQLITE_OK;
}

static int wal_read(sqlite3_file *file, void *data, int n, sqlite3_int64 offset)
{
    const struct own_vfs *own = vfs_of(file);
    int rc = put_gathered(own, file);
    return rc == SQLITE_OK ? own->real_methods->xRead(file, data, n, offset) : rc;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    const struct own_vfs *own = vfs_of(file);
    int rc = put_gathered(own, file);
    return rc == SQLITE_OK ? own->real_methods->xTruncate(file, size) : rc;
}

static int wal_sync(sqlite3_file *file, int flags)
{
    const struct own_vfs *own = vfs_of(file);
    int rc = put_gathered(own, file);
    return rc == SQLITE_OK ? own->real_methods->xSync(file, flags) : rc;
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    const struct own_vfs *own = vfs_of(file);
    int rc = put_gathered(own, file);
    return rc == SQLITE_OK ? own->real_methods->xFileSize(file, ret_size) : rc;
}

static int wal_close(sqlite3_file *file)
{
    const struct own_vfs *own = vfs_of(file);
    struct own_file *state = own_file(own, file);
    int rc = put_gathered(own, file);
    free(state->gathered);
    state->gathered = NULL;
    int close_rc = own->real_methods->xClose(file);
    return rc == SQLITE_OK ? close_rc : rc;
}

static void replace_writers(sqlite3_io_methods *methods)
{
    methods->xWrite = wal_write;
    methods->xRead = wal_read;
    methods->xTruncate = wal_truncate;
    methods->xSync = wal_sync;
    methods->xFileSize = wal_size;
    methods->xClose = wal_close;
}

/* -- opening ----------------------------------------------------------------------------------- */

/* Under SQLite's own lock: two loops may open their first connection at once. */
static void replace_methods(struct own_vfs *own, sqlite3_file *file)
{
    sqlite3_mutex *mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1);
    sqlite3_mutex_enter(mutex);
    if (!own->real_methods) {
        own->methods = *file->pMethods;
        own->replace(&own->methods);
        own->real_methods = file->pMethods;
    }
    if (file->pMethods == own->real_methods)
        file->pMethods = &own->methods;
    sqlite3_mutex_leave(mutex);
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    struct own_vfs *own = CONTAINER_OF(vfs, struct own_vfs, vfs);
    int rc = own->real->xOpen(own->real, name, file, flags, ret_flags);
    struct own_file *state = own_file(own, file);
    *state = (struct own_file){ .size = 0 };
    if (rc != SQLITE_OK || !(flags & own->kind) || !file->pMethods)
        return rc;
    replace_methods(own, file);
    if (own->kind == SQLITE_OPEN_WAL && file->pMethods == &own->methods)
        state->gathered = malloc(GATHER_BYTES); /* without it each write goes out by itself */
    return rc;
}

static int register_vfs(const char *name, int kind, void (*replace)(sqlite3_io_methods *methods))
{
    if (sqlite3_vfs_find(name))
        return SQLITE_OK;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    struct own_vfs *own = real ? calloc(1, sizeof(*own)) : NULL;
    if (!own)
        return SQLITE_NOMEM;
    own->real = real;
    own->kind = kind;
    own->replace = replace;
    own->vfs = *real; /* the default VFS's functions look at its own fields only */
    own->vfs.pNext = NULL;
    own->vfs.zName = name;
    own->vfs.szOsFile = (int)((size_t)real->szOsFile + sizeof(struct own_file));
    own->vfs.xOpen = open_file;
    /* The process's from now on, as SQLite's list of them is. */
    int rc = sqlite3_vfs_register(&own->vfs, /* make_default= */ 0);
    if (rc != SQLITE_OK)
        free(own);
    return rc;
}

int store__vfs_register(void)
{
    int rc = register_vfs(STORE__READER_VFS, SQLITE_OPEN_MAIN_DB, replace_readers);
    return rc == SQLITE_OK ? register_vfs(STORE__WRITER_VFS, SQLITE_OPEN_WAL, replace_writers) : rc;
}
