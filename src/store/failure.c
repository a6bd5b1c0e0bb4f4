/*
 * store/failure.c - What SQLite's codes and messages mean to the people above. Only here is
 * SQLite's wording read.
 */
#include <string.h>

#include "base/clock.h"
#include "store/internal.h"

static const struct {
    int code; /* extended codes stand before the primary they belong to */
    struct store__failure failure;
} failures[] = {
    { SQLITE_READONLY_DBMOVED,
      { STATUS_UNAVAILABLE, "store/moved", "The database file was moved or replaced.", 0 } },
    { SQLITE_IOERR_NOMEM,
      { STATUS_EXHAUSTED, "store/memory", "The database is out of memory.", CLOCK_SECOND } },
    { SQLITE_BUSY,
      { STATUS_UNAVAILABLE, "store/busy", "The database is locked by another program.",
        CLOCK_SECOND } },
    { SQLITE_LOCKED,
      { STATUS_UNAVAILABLE, "store/busy", "The database is locked.", CLOCK_SECOND } },
    { SQLITE_FULL,
      { STATUS_UNAVAILABLE, "store/disk-full", "There is no room to write. Reading goes on.",
        10 * CLOCK_SECOND } },
    { SQLITE_IOERR,
      { STATUS_UNAVAILABLE, "store/io", "The disk does not read or write as it should.",
        10 * CLOCK_SECOND } },
    { SQLITE_CANTOPEN,
      { STATUS_UNAVAILABLE, "store/cannot-open", "The database cannot be opened.", CLOCK_SECOND } },
    { SQLITE_READONLY,
      { STATUS_UNAVAILABLE, "store/read-only", "The database cannot be written to.", 0 } },
    { SQLITE_PERM,
      { STATUS_UNAVAILABLE, "store/cannot-open", "The database may not be opened.", 0 } },
    { SQLITE_NOTADB, { STATUS_INTERNAL, "store/corrupt", "The file is not a database.", 0 } },
    { SQLITE_CORRUPT, { STATUS_INTERNAL, "store/corrupt", "The database is damaged.", 0 } },
    { SQLITE_NOMEM,
      { STATUS_EXHAUSTED, "store/memory", "The database is out of memory.", CLOCK_SECOND } },
    { SQLITE_TOOBIG,
      { STATUS_TOO_LARGE, "store/too-large", "A value is larger than the database takes.", 0 } },
    { SQLITE_ABORT,
      { STATUS_UNAVAILABLE, "store/undone", "What was written together with this was undone.",
        CLOCK_SECOND } },
    { SQLITE_INTERRUPT, { STATUS_CANCELLED, "store/interrupted", "The statement was ended.", 0 } },
    { SQLITE_CONSTRAINT,
      { STATUS_CONFLICT, "store/constraint", "The change breaks a rule of the database.", 0 } },
};

static const struct store__failure internal = { STATUS_INTERNAL, "store/statement",
                                                "A database statement failed.", 0 };

const struct store__failure *store__failure_of(int rc)
{
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        if (failures[i].code == rc || failures[i].code == (rc & 0xff))
            return &failures[i].failure;
    }
    return &internal;
}

static void add_cause(struct problem *problem, struct arena *arena, sqlite3 *db, int rc)
{
    const char *words =
        db && sqlite3_extended_errcode(db) == rc ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    struct slice cause = arena_printf(arena, "sqlite %d: %s", rc, words);
    if (cause.len)
        problem_cause(problem, arena, cause);
}

enum status store__fail(struct problem *problem, struct arena *arena, sqlite3 *db, int rc)
{
    const struct store__failure *f = store__failure_of(rc);
    if (problem && problem->status == STATUS_OK) {
        (void)store__problem_set(problem, arena, f->status, f->type, "%s", f->detail);
        problem->retry_after_us = f->retry_after_us;
        add_cause(problem, arena, db, rc);
    }
    return f->status;
}

enum status store__fail_file(struct problem *problem, struct arena *arena, sqlite3 *db, int rc,
                             const char *doing, const char *path)
{
    const struct store__failure *f = store__failure_of(rc);
    enum status st = f->status;
    if ((rc & 0xff) == SQLITE_NOTADB)
        st = STATUS_INVALID;
    const char *words =
        db && sqlite3_extended_errcode(db) == rc ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    if (problem)
        (void)store__problem_set(problem, arena, st, f->type, "%s %s: %s (%s)", doing, path,
                                 f->detail, words);
    return st;
}

/* -- constraints ------------------------------------------------------------------------------- */

/* "posts.a, posts.b" -> table "posts", columns "a,b". */
static enum status read_columns(struct slice list, struct arena *arena, struct store_conflict *c)
{
    struct buf columns;
    buf_init(&columns, arena, list.len, list.len);
    struct slice part;
    while (slice_split(&list, ',', &part)) {
        part = slice_trim(part);
        size_t dot = slice_find(part, '.');
        if (dot == SIZE_MAX)
            continue;
        if (columns.len)
            buf_putc(&columns, ',');
        else if (arena_copy(arena, slice_head(part, dot), &c->table) != STATUS_OK)
            return STATUS_EXHAUSTED;
        buf_put_slice(&columns, slice_from(part, dot + 1));
    }
    c->columns = buf_slice(&columns);
    return buf_status(&columns);
}

bool store__conflict_read(int rc, const char *message, struct arena *arena,
                          struct store_conflict *ret)
{
    struct slice text = slice_cstr(message);
    struct store_conflict c = { .kind = STORE_CONFLICT_NONE };
    struct slice rest = text;
    size_t colon = slice_find(text, ':');
    if (colon != SIZE_MAX)
        rest = slice_trim(slice_from(text, colon + 1));
    enum status st = STATUS_OK;
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        c.kind = STORE_CONFLICT_UNIQUE;
        /* An index on an expression is named instead: "index 'users_email'". */
        if (slice_starts(rest, SLICE("index '")) && slice_ends(rest, SLICE("'")))
            st = arena_copy(arena, slice_of(rest.data + 7, rest.len - 8), &c.constraint);
        else
            st = read_columns(rest, arena, &c);
        break;
    case SQLITE_CONSTRAINT_NOTNULL:
        c.kind = STORE_CONFLICT_NOT_NULL;
        st = read_columns(rest, arena, &c);
        break;
    case SQLITE_CONSTRAINT_CHECK:
        c.kind = STORE_CONFLICT_CHECK;
        st = arena_copy(arena, rest, &c.constraint);
        break;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        c.kind = STORE_CONFLICT_FOREIGN;
        break;
    case SQLITE_CONSTRAINT_TRIGGER:
        c.kind = STORE_CONFLICT_TRIGGER;
        st = arena_copy(arena, text, &c.constraint);
        break;
    default:
        return false;
    }
    if (st != STATUS_OK) /* no room for the words: the kind still tells */
        c.table = c.columns = c.constraint = SLICE_NULL;
    *ret = c;
    return true;
}
