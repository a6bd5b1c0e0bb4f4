/*
 * store/open.c - Opening and closing a store, its figures and metrics.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/internal.h"

/* -- where ------------------------------------------------------------------------------------- */

enum status store__url_path(struct slice url, struct arena *arena, struct problem *problem,
                            char **ret_path)
{
    if (!slice_starts(url, SLICE("sqlite:")))
        return store__problem_set(
            problem, arena, STATUS_INVALID, "store/url",
            "\"%.*s\" is not a database URL: it begins with \"sqlite:\", as in "
            "\"sqlite:data/purlin.db\".",
            SLICE_ARG(url));
    struct slice path = slice_from(url, 7);
    if (slice_starts(path, SLICE("//")))
        path = slice_from(path, 2);
    if (path.len == 0 || path.data[0] == ':' || slice_find(path, '?') != SIZE_MAX)
        return store__problem_set(
            problem, arena, STATUS_INVALID, "store/url",
            "\"%.*s\" does not name a file: databases in memory and parameters after "
            "\"?\" are not taken.",
            SLICE_ARG(url));
    char *text = arena_cstr(arena, path);
    if (!text)
        return store__problem_set(problem, arena, STATUS_INVALID, "store/url",
                                  "The path has a zero byte.");
    *ret_path = text;
    return STATUS_OK;
}

/* Make the folders above `path`. */
static int make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        int rc = mkdir(path, 0750);
        int error = errno;
        *p = '/';
        if (rc != 0 && error != EEXIST)
            return error;
    }
    return 0;
}

/* An empty file for SQLite to fill: with O_EXCL, and only readable by its owner. */
static enum status make_file(char *path, struct arena *arena, struct problem *problem)
{
    int error = make_folders(path);
    int fd = -1;
    if (error == 0) {
        fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        error = fd < 0 ? errno : 0;
    }
    if (fd >= 0)
        (void)close(fd); /* nothing was written to it */
    if (error != 0 && error != EEXIST)
        return store__problem_set(problem, arena, STATUS_UNAVAILABLE, "store/cannot-open",
                                  "Cannot make the database file %s: %s.", path, strerror(error));
    return STATUS_OK;
}

static enum status check_file(char *path, bool create, struct arena *arena, struct problem *problem)
{
    struct stat info;
    if (stat(path, &info) == 0) {
        if (!S_ISREG(info.st_mode))
            return store__problem_set(problem, arena, STATUS_INVALID, "store/url",
                                      "%s is not a file.", path);
        return STATUS_OK;
    }
    int error = errno;
    if (error == ENOENT && create)
        return make_file(path, arena, problem);
    return store__problem_set(problem, arena, STATUS_UNAVAILABLE, "store/cannot-open",
                              "Cannot open the database file %s: %s.", path, strerror(error));
}

/* -- connections of the store itself ----------------------------------------------------------- */

static int on_text(void *arg, int columns, char **values, char **names)
{
    (void)names;
    char *out = arg;
    if (columns > 0 && values[0])
        (void)snprintf(out, 32, "%s", values[0]);
    return 0;
}

/* WAL mode is kept in the file; setting it again costs nothing. It is refused where memory cannot
 * be shared. */
static enum status set_wal(struct store *store, struct arena *arena, struct problem *problem)
{
    sqlite3 *db = store->writer->db;
    char mode[32] = "";
    int rc = sqlite3_exec(db, "PRAGMA journal_mode = WAL", on_text, mode, NULL);
    if (rc != SQLITE_OK)
        return store__fail_file(problem, arena, db, sqlite3_extended_errcode(db), "Opening",
                                store->path);
    if (strcmp(mode, "wal") != 0)
        return store__problem_set(
            problem, arena, STATUS_UNAVAILABLE, "store/cannot-open",
            "%s cannot be used in WAL mode (journal mode is \"%s\"): is it on a network "
            "file system?",
            store->path, mode);
    char bytes[32] = "4096";
    (void)sqlite3_exec(db, "PRAGMA page_size", on_text, bytes,
                       NULL); /* 4096 is right to a factor */
    int64_t page_bytes = 4096;
    (void)slice_to_i64(slice_cstr(bytes), &page_bytes);
    store->page_bytes = (uint32_t)page_bytes;
    return STATUS_OK;
}

static enum status open_conn(struct store *store, enum store__role role, struct arena *arena,
                             struct problem *problem, struct store__conn **ret_conn)
{
    int rc = SQLITE_NOMEM;
    enum status st = store__conn_open(store, role, &rc, ret_conn);
    if (st == STATUS_OK)
        return st;
    return store__fail_file(problem, arena, NULL, rc, "Opening", store->path);
}

static enum status open_parts(struct store *store, struct arena *arena, struct problem *problem)
{
    if (store->read_only) {
        struct store__conn *probe;
        enum status st = open_conn(store, STORE__READER, arena, problem, &probe);
        if (st == STATUS_OK)
            store__conn_close(probe);
        return st;
    }
    enum status st = open_conn(store, STORE__WRITER, arena, problem, &store->writer);
    if (st == STATUS_OK)
        st = set_wal(store, arena, problem);
    if (st == STATUS_OK)
        st = open_conn(store, STORE__CHECKPOINTER, arena, problem, &store->checkpointer);
    if (st != STATUS_OK)
        return st;
    if (store__checkpointer_start(store) != STATUS_OK || store__writer_start(store) != STATUS_OK)
        return store__problem_set(problem, arena, STATUS_UNAVAILABLE, "store/thread",
                                  "Cannot start the threads of the database.");
    return STATUS_OK;
}

/* -- life -------------------------------------------------------------------------------------- */

static void init_locks(struct store *store)
{
    (void)pthread_mutex_init(&store->lanes_lock, NULL); /* default mutexes: glibc's cannot fail */
    (void)pthread_mutex_init(&store->queue_lock, NULL);
    (void)pthread_mutex_init(&store->write_gate, NULL);
    (void)pthread_mutex_init(&store->checkpoint_lock, NULL);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&store->queue_filled, &attr);
    (void)pthread_cond_init(&store->checkpoint_wanted, &attr);
    (void)pthread_condattr_destroy(&attr);
}

static struct store *store_new(const struct store_options *o, const char *path)
{
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return NULL;
    store->path = strdup(path);
    if (!store->path) {
        free(store);
        return NULL;
    }
    store->read_only = o->read_only;
    store->readers_per_loop =
        MIN(o->readers_per_loop ? o->readers_per_loop : STORE__READERS_DEFAULT, STORE__READERS_MAX);
    store->statements_max = o->statements_max ? o->statements_max : STORE__STATEMENTS_DEFAULT;
    store->write_queue_max = o->write_queue_max ? o->write_queue_max : STORE__WRITE_QUEUE_DEFAULT;
    store->batch_max = o->batch_max ? o->batch_max : STORE__BATCH_DEFAULT;
    store->wal_bytes_max = o->wal_bytes_max ? o->wal_bytes_max : STORE__WAL_BYTES_DEFAULT;
    store->mmap_bytes = o->mmap_bytes ? MAX(o->mmap_bytes, 0) : STORE__MMAP_BYTES_DEFAULT;
    store->page_bytes = 4096;
    store->metrics = o->metrics;
    init_locks(store);
    return store;
}

enum status store_open(const struct store_options *options, struct arena *arena,
                       struct problem *problem, struct store **ret_store)
{
    char *path;
    enum status st = store__url_path(options->url, arena, problem, &path);
    if (st == STATUS_OK)
        st = check_file(path, options->create && !options->read_only, arena, problem);
    if (st != STATUS_OK)
        return st;
    store__memory_install();
    struct store *store = store_new(options, path);
    if (!store)
        return STATUS_EXHAUSTED;
    st = open_parts(store, arena, problem);
    if (st != STATUS_OK) {
        store_close(store);
        return st;
    }
    if (store->metrics)
        store__metrics_declare(store);
    *ret_store = store;
    return STATUS_OK;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    store__writer_stop(store);
    store__checkpointer_stop(store);
    while (store->lanes)
        store_detach(store, store->lanes->loop);
    /* The last connection to close copies the WAL into the database and removes it. */
    store__conn_close(store->checkpointer);
    store__conn_close(store->writer);
    arena_pool_free(store->writer_arenas);
    (void)pthread_cond_destroy(&store->queue_filled);
    (void)pthread_cond_destroy(&store->checkpoint_wanted);
    (void)pthread_mutex_destroy(&store->checkpoint_lock);
    (void)pthread_mutex_destroy(&store->write_gate);
    (void)pthread_mutex_destroy(&store->queue_lock);
    (void)pthread_mutex_destroy(&store->lanes_lock);
    free(store->path);
    free(store);
}
