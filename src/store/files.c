/*
 * store/files.c - Whole database files: made beside their place, verified, synced, renamed into it.
 * Whoever looks sees the old file or the new one.
 */
#include "store/files.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"

bool store__same_file(const char *a, const char *b)
{
    struct stat info_a, info_b;
    return stat(a, &info_a) == 0 && stat(b, &info_b) == 0 && info_a.st_dev == info_b.st_dev &&
           info_a.st_ino == info_b.st_ino;
}

static enum status fail(struct problem *problem, struct arena *arena, const char *doing,
                        const char *path, int error)
{
    const char *type = error == ENOSPC || error == EDQUOT ? "store/disk-full" : "store/io";
    return store__problem_set(problem, arena, STATUS_UNAVAILABLE, type, "%s %s: %s.", doing, path,
                              strerror(error));
}

enum status store__part_make(const char *path, struct arena *arena, struct problem *problem,
                             char **ret_part)
{
    struct slice name = arena_printf(arena, "%s.part-XXXXXX", path);
    char *part = name.len ? arena_cstr(arena, name) : NULL;
    if (!part)
        return STATUS_EXHAUSTED;
    int fd = mkostemp(part, O_CLOEXEC); /* readable by its owner alone */
    if (fd < 0)
        return fail(problem, arena, "Writing", path, errno);
    (void)close(fd); /* nothing was written to it */
    *ret_part = part;
    return STATUS_OK;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = fsync(fd) == 0 ? 0 : errno;
    (void)close(fd); /* fsync has said what there is to say */
    return error;
}

static int sync_folder_of(const char *path, struct arena *arena)
{
    char *copy = arena_cstr(arena, slice_cstr(path));
    return copy ? sync_path(dirname(copy), O_RDONLY | O_DIRECTORY) : ENOMEM;
}

enum status store__part_place(const char *part, const char *path, struct arena *arena,
                              struct problem *problem)
{
    int error = sync_path(part, O_RDWR);
    if (error == 0 && rename(part, path) != 0)
        error = errno;
    if (error == 0)
        error = sync_folder_of(path, arena);
    return error == 0 ? STATUS_OK : fail(problem, arena, "Writing", path, error);
}

/* A URI in which the path cannot be taken for parameters; "immutable" opens without locks, WAL or
 * journal. */
static char *immutable_uri(const char *path, struct arena *arena)
{
    struct buf uri;
    buf_init(&uri, arena, 0, 4096 * 3);
    buf_put_cstr(&uri, "file:");
    for (const char *p = path; *p; p++) {
        if (*p == '/')
            buf_putc(&uri, '/');
        else
            buf_put_percent(&uri, slice_of(p, 1));
    }
    buf_put_cstr(&uri, "?immutable=1");
    return buf_status(&uri) == STATUS_OK ? arena_cstr(arena, buf_slice(&uri)) : NULL;
}

static int first_finding(sqlite3 *db, struct arena *arena, struct slice *ret_finding)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        struct slice line = slice_cstr((const char *)sqlite3_column_text(stmt, 0));
        if (!slice_eq(line, SLICE("ok")))
            (void)arena_copy(arena, line,
                             ret_finding); /* without room it stays empty, but not NULL */
        rc = SQLITE_OK;
    }
    (void)sqlite3_finalize(stmt);
    return rc;
}

enum status store__file_verify(const char *path, struct arena *arena, struct problem *problem)
{
    char *uri = immutable_uri(path, arena);
    if (!uri)
        return STATUS_EXHAUSTED;
    sqlite3 *db = NULL;
    struct slice finding = SLICE_NULL;
    int rc = sqlite3_open_v2(
        uri, &db,
        SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK)
        rc = first_finding(db, arena, &finding);
    enum status st = STATUS_OK;
    if (rc != SQLITE_OK)
        st = store__fail_file(problem, arena, db, rc, "Verifying", path);
    else if (finding.data)
        st = store__problem_set(problem, arena, STATUS_INVALID, "store/corrupt",
                                "%s is damaged: %.*s.", path, SLICE_ARG(finding));
    (void)sqlite3_close_v2(db);
    return st == STATUS_INTERNAL ? STATUS_INVALID : st;
}
