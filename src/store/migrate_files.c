/*
 * store/migrate_files.c - The folder of migrations.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"
#include "store/migrate.h"

#define FILES_MAX 10000u
#define FILE_BYTES_MAX ((size_t)16 << 20)
#define NUMBER_DIGITS_MAX 9u

static enum status fail_errno(struct problem *problem, struct arena *arena, const char *path,
                              int error)
{
    return store__problem_set(problem, arena, STATUS_UNAVAILABLE, "store/migration",
                              "Cannot read %s: %s.", path, strerror(error));
}

static int read_whole(int fd, char *data, size_t len)
{
    size_t at = 0;
    while (at < len) {
        ssize_t n = read(fd, data + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO; /* it became shorter meanwhile */
        at += (size_t)n;
    }
    return 0;
}

static enum status read_file(const char *path, struct arena *arena, struct problem *problem,
                             struct slice *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        int error = errno;
        if (fd >= 0)
            (void)close(fd);
        return fail_errno(problem, arena, path, error);
    }
    size_t len = (size_t)info.st_size;
    char *data = len <= FILE_BYTES_MAX ? arena_alloc(arena, len + 1) : NULL;
    int error = data ? read_whole(fd, data, len) : 0;
    (void)close(fd); /* it was only read */
    if (!data)
        return store__problem_set(problem, arena, STATUS_TOO_LARGE, "store/migration",
                                  "%s is larger than 16 MiB.", path);
    if (error != 0)
        return fail_errno(problem, arena, path, error);
    *ret = slice_of(data, len);
    return STATUS_OK;
}

/* "0003_add_posts.up.sql" -> 3, "add_posts", up. False for any other form. */
static bool parse_name(struct slice file, unsigned *ret_number, struct slice *ret_name,
                       bool *ret_is_up)
{
    bool is_up = slice_ends(file, SLICE(".up.sql"));
    if (!is_up && !slice_ends(file, SLICE(".down.sql")))
        return false;
    size_t line = slice_find(file, '_');
    int64_t number;
    if (line == SIZE_MAX || line > NUMBER_DIGITS_MAX ||
        !slice_to_i64(slice_head(file, line), &number) || number < 1)
        return false;
    struct slice name = slice_from(file, line + 1);
    name.len -= MIN(name.len, is_up ? strlen(".up.sql") : strlen(".down.sql"));
    if (name.len == 0)
        return false;
    *ret_number = (unsigned)number;
    *ret_name = name;
    *ret_is_up = is_up;
    return true;
}

static struct store__migration_file *find(struct store__migration_files *files, unsigned number)
{
    for (unsigned i = files->len; i > 0; i--) {
        if (files->items[i - 1].number == number)
            return &files->items[i - 1];
    }
    return NULL;
}

static enum status add_side(struct store__migration_side *side, const char *folder,
                            struct slice file, struct arena *arena, struct problem *problem)
{
    struct slice path = arena_printf(arena, "%s/%.*s", folder, SLICE_ARG(file));
    if (!path.data)
        return STATUS_EXHAUSTED;
    enum status st = read_file(path.data, arena, problem, &side->text);
    if (st != STATUS_OK)
        return st;
    unsigned char hash[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256(hash, (const unsigned char *)side->text.data,
                             side->text.len); /* cannot fail */
    (void)sodium_bin2hex(side->checksum, sizeof(side->checksum), hash, sizeof(hash));
    side->file = file;
    return STATUS_OK;
}

static enum status add_file(struct store__migration_files *files, const char *folder,
                            const char *entry, struct arena *arena, struct problem *problem)
{
    struct slice file, name;
    if (arena_copy(arena, slice_cstr(entry), &file) != STATUS_OK)
        return STATUS_EXHAUSTED;
    unsigned number;
    bool is_up;
    if (!parse_name(file, &number, &name, &is_up))
        return store__problem_set(problem, arena, STATUS_INVALID, "store/migration",
                                  "%s/%s is not named like a migration (0001_what_it_does.up.sql).",
                                  folder, entry);
    struct store__migration_file *m = find(files, number);
    if (m && !slice_eq(m->name, name))
        return store__problem_set(problem, arena, STATUS_INVALID, "store/migration",
                                  "Two migrations have the number %u: %.*s and %.*s.", number,
                                  SLICE_ARG(m->name), SLICE_ARG(name));
    if (!m) {
        if (files->len == FILES_MAX)
            return store__problem_set(problem, arena, STATUS_TOO_LARGE, "store/migration",
                                      "%s has more than %u migrations.", folder, FILES_MAX);
        struct store__migration_file *items = arena_realloc(
            arena, files->items, files->len * sizeof(*items), (files->len + 1) * sizeof(*items));
        if (!items)
            return STATUS_EXHAUSTED;
        files->items = items;
        m = &items[files->len++];
        *m = (struct store__migration_file){ .number = number, .name = name };
    }
    return add_side(is_up ? &m->up : &m->down, folder, file, arena, problem);
}

static int by_number(const void *a, const void *b)
{
    unsigned x = ((const struct store__migration_file *)a)->number;
    unsigned y = ((const struct store__migration_file *)b)->number;
    return (x > y) - (x < y);
}

static enum status check_sides(const struct store__migration_files *files, struct arena *arena,
                               struct problem *problem)
{
    for (unsigned i = 0; i < files->len; i++) {
        const struct store__migration_file *m = &files->items[i];
        if (m->up.file.len == 0 || m->down.file.len == 0)
            return store__problem_set(
                problem, arena, STATUS_INVALID, "store/migration",
                "Migration %u (%.*s) has no %s file. One that cannot be undone has a "
                "down file which says so in a comment.",
                m->number, SLICE_ARG(m->name), m->up.file.len ? "down" : "up");
    }
    return STATUS_OK;
}

enum status store__migration_files_read(struct slice folder, struct arena *arena,
                                        struct problem *problem, struct store__migration_files *ret)
{
    struct store__migration_files files = { 0 };
    const char *path = arena_cstr(arena, folder);
    if (!path)
        return STATUS_EXHAUSTED;
    DIR *dir = opendir(path);
    if (!dir && errno != ENOENT)
        return fail_errno(problem, arena, path, errno);
    enum status st = STATUS_OK;
    for (struct dirent *entry; dir && st == STATUS_OK && (entry = readdir(dir)) != NULL;) {
        /* Others' files (a README, an editor's leftovers) are no business of ours; a mistyped .sql
         * is. */
        if (slice_ends(slice_cstr(entry->d_name), SLICE(".sql")) && entry->d_name[0] != '.')
            st = add_file(&files, path, entry->d_name, arena, problem);
    }
    if (dir)
        (void)closedir(dir);
    if (st != STATUS_OK)
        return st;
    if (files.len > 1)
        qsort(files.items, files.len, sizeof(*files.items), by_number);
    st = check_sides(&files, arena, problem);
    if (st == STATUS_OK)
        *ret = files;
    return st;
}

bool store__migration_is_destructive(struct slice text)
{
    struct slice line;
    while (slice_split(&text, '\n', &line)) {
        if (line.len && line.data[line.len - 1] == '\r')
            line.len--;
        if (slice_eq(slice_trim(line), SLICE("-- purlin: destructive")))
            return true;
    }
    return false;
}
