/*
 * store/vfs.c - How connections see their files: SQLite's own way, but for one thing each.
 *
 * Readers. After each commit a reader begins a new snapshot, and SQLite then unmaps the whole
 * database: somebody else might have cut it short. Nearly always the file has its old size, since
 * commits go to the WAL; then unmapping it, mapping it again and faulting every page in again is
 * all for nothing, at the price of some forty row reads. Here a mapping stays until the file's size
 * has changed.
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

#include "base/macros.h"
#include "store/internal.h"

/* Some fifteen pages. SQLite's own write takes less than 128 KiB at a time. */
#define GATHER_BYTES ((size_t)64 * 1024)
_Static_assert(GATHER_BYTES <= 0x1ffff, "beyond that SQLite writes a part, or nothing");

/* Behind the default VFS's own file object. */
struct own_file {
    sqlite3_int64 size; /* a reader's: when the mapping was last given up; -1: never */
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

static int keep_mapping(sqlite3_file *file, sqlite3_int64 offset, void *page)
{
    const struct own_vfs *own = vfs_of(file);
    const sqlite3_io_methods *real = own->real_methods;
    if (page)
        return real->xUnfetch(file, offset, page);
    struct own_file *state = own_file(own, file);
    sqlite3_int64 size;
    if (real->xFileSize(file, &size) == SQLITE_OK && size == state->size)
        return SQLITE_OK;
    state->size = size;
    return real->xUnfetch(file, offset, page);
}

static void replace_readers(sqlite3_io_methods *methods)
{
    if (methods->iVersion >= 3 && methods->xUnfetch)
        methods->xUnfetch = keep_mapping;
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
    *state = (struct own_file){ .size = -1 };
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
