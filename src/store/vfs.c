/*
 * store/vfs.c - How readers see the file: SQLite's own way, but for one thing.
 *
 * After each commit a reader begins a new snapshot, and SQLite then unmaps the whole database:
 * somebody else might have cut it short. Nearly always the file has its old size, since commits go
 * to the WAL; then unmapping it, mapping it again and faulting every page in again is all for
 * nothing, at the price of some forty row reads. Here a mapping stays until the file's size has
 * changed.
 *
 * The table of methods of an open file is replaced by a copy with one slot of our own; everything
 * else is the default VFS's, which gets its own file object, size and methods included, and finds
 * ours behind it.
 */
#include <stddef.h>
#include <stdlib.h>

#include "base/macros.h"
#include "store/internal.h"

/* Behind the default VFS's own file object. */
struct reader_file {
    sqlite3_int64 size; /* when the mapping was last given up; -1: never */
};

struct reader_vfs {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    const sqlite3_io_methods *real_methods; /* of the files whose methods `methods` copies */
    sqlite3_io_methods methods;
};

static int keep_mapping(sqlite3_file *file, sqlite3_int64 offset, void *page)
{
    const char *methods = (const char *)file->pMethods;
    const struct reader_vfs *own =
        (const void *)(methods - offsetof(struct reader_vfs, methods)); /* CONTAINER_OF, const */
    const sqlite3_io_methods *real = own->real_methods;
    if (page)
        return real->xUnfetch(file, offset, page);
    struct reader_file *state = (void *)((char *)file + own->real->szOsFile);
    sqlite3_int64 size;
    if (real->xFileSize(file, &size) == SQLITE_OK && size == state->size)
        return SQLITE_OK;
    state->size = size;
    return real->xUnfetch(file, offset, page);
}

/* Under SQLite's own lock: two loops may open their first connection at once. */
static void replace_methods(struct reader_vfs *own, sqlite3_file *file)
{
    sqlite3_mutex *mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1);
    sqlite3_mutex_enter(mutex);
    if (!own->real_methods && file->pMethods->iVersion >= 3 && file->pMethods->xUnfetch) {
        own->methods = *file->pMethods;
        own->methods.xUnfetch = keep_mapping;
        own->real_methods = file->pMethods;
    }
    if (file->pMethods == own->real_methods)
        file->pMethods = &own->methods;
    sqlite3_mutex_leave(mutex);
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    struct reader_vfs *own = CONTAINER_OF(vfs, struct reader_vfs, vfs);
    int rc = own->real->xOpen(own->real, name, file, flags, ret_flags);
    struct reader_file *state = (void *)((char *)file + own->real->szOsFile);
    state->size = -1;
    if (rc == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB) && file->pMethods)
        replace_methods(own, file);
    return rc;
}

int store__vfs_register(void)
{
    if (sqlite3_vfs_find(STORE__READER_VFS))
        return SQLITE_OK;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    struct reader_vfs *own = real ? calloc(1, sizeof(*own)) : NULL;
    if (!own)
        return SQLITE_NOMEM;
    own->real = real;
    own->vfs = *real; /* the default VFS's functions look at its own fields only */
    own->vfs.pNext = NULL;
    own->vfs.zName = STORE__READER_VFS;
    own->vfs.szOsFile = (int)((size_t)real->szOsFile + sizeof(struct reader_file));
    own->vfs.xOpen = open_file;
    /* The process's from now on, as SQLite's list of them is. */
    int rc = sqlite3_vfs_register(&own->vfs, /* make_default= */ 0);
    if (rc != SQLITE_OK)
        free(own);
    return rc;
}
