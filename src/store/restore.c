/*
 * store/restore.c - Put a backup in the place of a database that nobody has open.
 *
 * The copy is made and verified beside the database before anything of it is touched. Then the old
 * database is locked for good, its WAL folded into it and removed: a WAL left behind would be
 * replayed into the restored file. Last, one rename. A crash leaves the old database whole until
 * that rename, and the new one after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/files.h"
#include "store/internal.h"

#define COPY_BYTES ((size_t)1 << 20)

/* SQLite's lock bytes lie from here on, in files of any size. */
#define LOCK_BYTES_START 0x40000000
#define LOCK_BYTES 512

static enum status fail_errno(struct problem *problem, struct arena *arena, const char *doing,
                              const char *path, int error)
{
    const char *type = error == ENOSPC || error == EDQUOT ? "store/disk-full" : "store/io";
    return store__problem_set(problem, arena, STATUS_UNAVAILABLE, type, "%s %s: %s.", doing, path,
                              strerror(error));
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

struct copy {
    int from, to;
    int64_t done, total;
    store_progress_fn progress;
    void *arg;
};

static int copy_bytes(struct copy *c, char *buffer)
{
    for (;;) {
        ssize_t n = read(c->from, buffer, COPY_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : 0;
        int error = write_all(c->to, buffer, (size_t)n);
        if (error != 0)
            return error;
        c->done += n;
        if (c->progress)
            c->progress(c->arg, c->done, c->total);
    }
}

static enum status copy_file(const char *from, const char *to, struct copy *c, struct arena *arena,
                             struct problem *problem)
{
    char *buffer = arena_alloc(arena, COPY_BYTES);
    if (!buffer)
        return STATUS_EXHAUSTED;
    struct stat info;
    c->from = open(from, O_RDONLY | O_CLOEXEC);
    if (c->from < 0 || fstat(c->from, &info) != 0) {
        int error = errno;
        if (c->from >= 0)
            (void)close(c->from);
        return fail_errno(problem, arena, "Reading", from, error);
    }
    c->total = info.st_size;
    c->to = open(to, O_WRONLY | O_TRUNC | O_CLOEXEC);
    int error = c->to < 0 ? errno : copy_bytes(c, buffer);
    if (c->to >= 0 && close(c->to) != 0 && error == 0)
        error = errno;
    (void)close(c->from);
    return error == 0 ? STATUS_OK : fail_errno(problem, arena, "Writing", to, error);
}

static enum status fail_open_elsewhere(const char *path, struct arena *arena,
                                       struct problem *problem)
{
    return store__problem_set(problem, arena, STATUS_UNAVAILABLE, "store/busy",
                              "%s is open in a program. Stop it first, then restore.", path);
}

/* For a file that SQLite does not take: does another process hold one of SQLite's locks on it? */
static bool is_locked(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct flock lock = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = LOCK_BYTES_START,
        .l_len = LOCK_BYTES,
    };
    bool is = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(fd); /* it was only asked about */
    return is;
}

static void remove_beside(const char *path, const char *suffix, struct arena *arena)
{
    struct slice name = arena_printf(arena, "%s%s", path, suffix);
    if (name.len)
        (void)unlink(name.data); /* mostly it is not there */
}

/*
 * Lock the database `path` for good and leave it without a WAL. *ret_db stays open (its lock is
 * what keeps others out) and is NULL when there is nothing to lock.
 */
static enum status lock_old(const char *path, struct arena *arena, struct problem *problem,
                            sqlite3 **ret_db)
{
    *ret_db = NULL;
    struct stat info;
    if (stat(path, &info) != 0) {
        remove_beside(path, "-wal", arena); /* of a database that is gone */
        return STATUS_OK;
    }
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(
        path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    /* In exclusive mode even reading takes the lock that says nobody else has the file open.
     * Leaving WAL mode folds the WAL into the file and removes it. */
    if (rc == SQLITE_OK)
        rc = store__exec(db, "PRAGMA locking_mode = EXCLUSIVE;"
                             "SELECT count(*) FROM sqlite_schema;"
                             "PRAGMA journal_mode = DELETE;"
                             "BEGIN EXCLUSIVE");
    if (rc == SQLITE_OK) {
        *ret_db = db;
        return STATUS_OK;
    }
    (void)sqlite3_close_v2(db);
    if ((rc & 0xff) == SQLITE_BUSY || is_locked(path))
        return fail_open_elsewhere(path, arena, problem);
    if ((rc & 0xff) != SQLITE_NOTADB && (rc & 0xff) != SQLITE_CORRUPT)
        return store__fail_file(problem, arena, NULL, rc, "Locking", path);
    /* Damaged: what a restore is for. */
    remove_beside(path, "-wal", arena);
    remove_beside(path, "-shm", arena);
    remove_beside(path, "-journal", arena);
    return STATUS_OK;
}

static enum status put_in_place(const char *part, const char *path, struct arena *arena,
                                struct problem *problem)
{
    sqlite3 *old = NULL;
    enum status st = lock_old(path, arena, problem, &old);
    if (st != STATUS_OK)
        return st;
    st = store__part_place(part, path, arena, problem);
    /* Ends the lock on what is by now a file without a name. */
    (void)sqlite3_close_v2(old);
    return st;
}

enum status store_restore(struct slice url, struct slice backup_path, struct arena *arena,
                          struct problem *problem, store_progress_fn progress, void *arg)
{
    store__memory_install();
    char *path;
    enum status st = store__url_path(url, arena, problem, &path);
    if (st != STATUS_OK)
        return st;
    char *from = arena_cstr(arena, backup_path);
    if (!from || backup_path.len == 0 || store__same_file(from, path))
        return store__problem_set(
            problem, arena, STATUS_INVALID, "store/restore",
            "Restoring needs the name of a backup, which is another file than the "
            "database.");
    st = store__file_verify(from, arena, problem);
    if (st != STATUS_OK)
        return st;
    char *part;
    st = store__part_make(path, arena, problem, &part);
    if (st != STATUS_OK)
        return st;
    struct copy copy = { .progress = progress, .arg = arg };
    st = copy_file(from, part, &copy, arena, problem);
    if (st == STATUS_OK)
        st = store__file_verify(part, arena, problem);
    if (st == STATUS_OK)
        st = put_in_place(part, path, arena, problem);
    if (st != STATUS_OK)
        (void)unlink(part); /* a part that stays is in the way of nothing */
    return st;
}
