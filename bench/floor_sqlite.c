/*
 * bench/floor_sqlite.c - The least the data can cost: the statements that Purlin runs for the
 * bench's contract, and the same JSON, in a bare C loop over the same file. No HTTP, no validation,
 * no ETag.
 *
 *     floor_sqlite row DB SECONDS      a post by id, rules in the WHERE clause
 *     floor_sqlite list DB SECONDS     twenty posts of an author, newest first (21 are stepped: is
 * there more?) floor_sqlite create DB SECONDS   UUIDv7 keys, 64 rows a commit, synchronous=FULL, a
 * 64 MB WAL; writes into DB
 *
 * The columns are those the database has (PRAGMA table_info), so that it follows Purlin's schema:
 * BLOB columns are UUIDs, names ending in _at are microseconds. Prints one line: operations per
 * second and CPU per operation.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { COLUMNS_MAX = 64, BATCH = 64, OUT_MAX = 1 << 20, WAL_PAGES_MAX = (64 << 20) / 4096 };

enum kind { KIND_TEXT, KIND_INTEGER, KIND_REAL, KIND_UUID, KIND_TIME };

struct column {
    char name[64];
    enum kind kind;
};

static struct column columns[COLUMNS_MAX];
static int columns_len;
static sqlite3 *db;
static char out[OUT_MAX];
static size_t out_len;
static int wal_pages;

static void die(const char *what)
{
    fprintf(stderr, "floor_sqlite: %s: %s\n", what, db != NULL ? sqlite3_errmsg(db) : "failed");
    exit(1);
}

static void run(const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(sql);
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
        die(sql);
    return stmt;
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* -- the table as it is
 * ------------------------------------------------------------------------------ */

static enum kind kind_of(const char *name, const char *type)
{
    size_t len = strlen(name);
    if (strcmp(type, "BLOB") == 0)
        return KIND_UUID;
    if (len > 3 && strcmp(name + len - 3, "_at") == 0)
        return KIND_TIME;
    if (strcmp(type, "INTEGER") == 0 || strcmp(type, "INT") == 0)
        return KIND_INTEGER;
    return strcmp(type, "REAL") == 0 ? KIND_REAL : KIND_TEXT;
}

static void read_columns(void)
{
    sqlite3_stmt *stmt = prepare("SELECT name, type, pk AND type = 'INTEGER'"
                                 "  FROM pragma_table_info('posts')"
                                 " ORDER BY cid");
    while (sqlite3_step(stmt) == SQLITE_ROW && columns_len < COLUMNS_MAX) {
        /* An alias of the rowid is the table's own business. */
        if (sqlite3_column_int(stmt, 2))
            continue;
        struct column *c = &columns[columns_len++];
        const char *name = (const char *)sqlite3_column_text(stmt, 0);
        snprintf(c->name, sizeof(c->name), "%s", name);
        c->kind = kind_of(name, (const char *)sqlite3_column_text(stmt, 1));
    }
    sqlite3_finalize(stmt);
    if (columns_len == 0)
        die("no table posts");
}

/* "id, author, ..."; with `mark`, that instead of each name. */
static void column_names(char *names, size_t size, const char *mark)
{
    size_t len = 0;
    for (int i = 0; i < columns_len; i++) {
        int n = snprintf(names + len, size - len, "%s%s", i > 0 ? ", " : "",
                         mark != NULL ? mark : columns[i].name);
        len += (size_t)n;
        if (len >= size)
            die("too many columns");
    }
}

/* -- JSON, as fast as plain C writes it
 * -------------------------------------------------------------- */

static void put(const char *data, size_t len)
{
    memcpy(out + out_len, data, len);
    out_len += len;
}

static void put_digits(int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        out[out_len + (size_t)i] = (char)('0' + value % 10);
        value /= 10;
    }
    out_len += (size_t)width;
}

static void put_integer(int64_t value)
{
    char digits[24], *at = digits + sizeof(digits);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        *--at = '-';
    put(at, (size_t)(digits + sizeof(digits) - at));
}

static void put_uuid(const uint8_t *id)
{
    static const char hex[] = "0123456789abcdef";
    char *to = out + out_len;
    *to++ = '"';
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = hex[id[i] >> 4];
        *to++ = hex[id[i] & 15];
    }
    *to++ = '"';
    out_len = (size_t)(to - out);
}

/* Days since 1970 to a date, after Howard Hinnant's civil_from_days. */
static void put_time(int64_t wall_us)
{
    int64_t days = wall_us / 86400000000, rest = wall_us % 86400000000;
    int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9, year = yoe + era * 400 + (month <= 2);
    put("\"", 1);
    put_digits(year, 4);
    put("-", 1);
    put_digits(month, 2);
    put("-", 1);
    put_digits(doy - (153 * mp + 2) / 5 + 1, 2);
    put("T", 1);
    put_digits(rest / 3600000000, 2);
    put(":", 1);
    put_digits(rest / 60000000 % 60, 2);
    put(":", 1);
    put_digits(rest / 1000000 % 60, 2);
    put(".", 1);
    put_digits(rest / 1000 % 1000, 3);
    put("Z\"", 2);
}

typedef uint8_t v16 __attribute__((vector_size(16)));
typedef uint64_t v2 __attribute__((vector_size(16)));

/* Whether any of sixteen bytes must be escaped: below space, a quote, or a backslash. */
static bool has_escape(v16 w)
{
    v2 found = (v2)(w < 0x20) | (v2)(w == '"') | (v2)(w == '\\');
    return (found[0] | found[1]) != 0;
}

static void put_escaped(unsigned char c)
{
    if (c == '"' || c == '\\') {
        char pair[2] = { '\\', (char)c };
        put(pair, 2);
    } else if (c < 0x20) {
        char code[8];
        put(code, (size_t)snprintf(code, sizeof(code), "\\u%04x", c));
    } else {
        out[out_len++] = (char)c;
    }
}

static void put_text(const char *text, size_t len)
{
    out[out_len++] = '"';
    size_t i = 0;
    while (i < len) {
        v16 word;
        if (len - i >= sizeof(word)) {
            memcpy(&word, text + i, sizeof(word));
            if (!has_escape(word)) {
                memcpy(out + out_len, &word, sizeof(word));
                out_len += sizeof(word);
                i += sizeof(word);
                continue;
            }
        }
        put_escaped((unsigned char)text[i++]);
    }
    out[out_len++] = '"';
}

static void put_column(sqlite3_stmt *stmt, int i)
{
    if (sqlite3_column_type(stmt, i) == SQLITE_NULL) {
        put("null", 4);
        return;
    }
    switch (columns[i].kind) {
    case KIND_UUID:
        put_uuid(sqlite3_column_blob(stmt, i));
        break;
    case KIND_TIME:
        put_time(sqlite3_column_int64(stmt, i));
        break;
    case KIND_INTEGER:
        put_integer(sqlite3_column_int64(stmt, i));
        break;
    case KIND_REAL: {
        char number[32];
        put(number,
            (size_t)snprintf(number, sizeof(number), "%.17g", sqlite3_column_double(stmt, i)));
        break;
    }
    case KIND_TEXT: {
        const char *text = (const char *)sqlite3_column_text(stmt, i);
        put_text(text, (size_t)sqlite3_column_bytes(stmt, i));
        break;
    }
    }
}

/* `,"name":` of each column, made once. */
static char keys[COLUMNS_MAX][80];
static size_t keys_len[COLUMNS_MAX];

static void make_keys(void)
{
    for (int i = 0; i < columns_len; i++)
        keys_len[i] = (size_t)snprintf(keys[i], sizeof(keys[i]), "%c\"%s\":", i > 0 ? ',' : '{',
                                       columns[i].name);
}

static void put_row(sqlite3_stmt *stmt)
{
    for (int i = 0; i < columns_len; i++) {
        put(keys[i], keys_len[i]);
        put_column(stmt, i);
    }
    put("}", 1);
}

/* -- the three loops
 * --------------------------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* 16-byte values of a one-column query, to ask for at random. */
static uint8_t (*load_keys(const char *sql, size_t *ret_len))[16]
{
    size_t len = 0, cap = 1 << 20;
    uint8_t(*list)[16] = malloc(cap * 16);
    sqlite3_stmt *stmt = prepare(sql);
    while (list != NULL && sqlite3_step(stmt) == SQLITE_ROW && len < cap)
        memcpy(list[len++], sqlite3_column_blob(stmt, 0), 16);
    sqlite3_finalize(stmt);
    if (len == 0)
        die("the table is empty");
    *ret_len = len;
    return list;
}

struct meter {
    int64_t wall_ns, cpu_ns, ops;
};

static struct meter meter_start(void)
{
    return (struct meter){ .wall_ns = now_ns(CLOCK_MONOTONIC),
                           .cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) };
}

static bool meter_runs(const struct meter *m, double seconds)
{
    return (double)(now_ns(CLOCK_MONOTONIC) - m->wall_ns) < seconds * 1e9;
}

static void meter_print(const struct meter *m)
{
    double wall = (double)(now_ns(CLOCK_MONOTONIC) - m->wall_ns);
    double cpu = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - m->cpu_ns);
    printf("{\"per_second\": %.0f, \"cpu_us\": %.3f, \"bytes\": %zu}\n",
           (double)m->ops * 1e9 / wall, cpu / 1e3 / (double)m->ops, out_len);
}

static void run_row(double seconds)
{
    static char names[4096], sql[8192];
    column_names(names, sizeof(names), NULL);
    snprintf(sql, sizeof(sql),
             "SELECT %s FROM posts WHERE id = ?1 AND (visibility = 'public' OR author = ?2)",
             names);
    size_t ids_len = 0;
    uint8_t(*ids)[16] = load_keys("SELECT id FROM posts WHERE visibility = 'public'", &ids_len);
    sqlite3_stmt *stmt = prepare(sql);
    struct meter m = meter_start();
    while (meter_runs(&m, seconds)) {
        for (int i = 0; i < 256; i++, m.ops++) {
            out_len = 0;
            sqlite3_bind_blob(stmt, 1, ids[next_random() % ids_len], 16, SQLITE_STATIC);
            if (sqlite3_step(stmt) != SQLITE_ROW)
                die("row not found");
            put_row(stmt);
            sqlite3_reset(stmt);
        }
    }
    meter_print(&m);
    sqlite3_finalize(stmt);
    free(ids);
}

static void run_list(double seconds)
{
    static char names[4096], sql[8192];
    column_names(names, sizeof(names), NULL);
    snprintf(sql, sizeof(sql),
             "SELECT %s FROM posts WHERE author = ?1 AND (visibility = 'public' OR author = ?2)"
             " ORDER BY created_at DESC, id DESC LIMIT 21",
             names);
    size_t ids_len = 0;
    uint8_t(*ids)[16] =
        load_keys("SELECT DISTINCT author FROM posts WHERE author IS NOT NULL", &ids_len);
    sqlite3_stmt *stmt = prepare(sql);
    struct meter m = meter_start();
    while (meter_runs(&m, seconds)) {
        for (int i = 0; i < 32; i++, m.ops++) {
            static const char page[] =
                "],\"page\":{\"limit\":20,\"next\":\"\",\"prev\":null,\"has_more\":true}}";
            out_len = 0;
            put("{\"data\":[", 9);
            sqlite3_bind_blob(stmt, 1, ids[next_random() % ids_len], 16, SQLITE_STATIC);
            for (int n = 0; sqlite3_step(stmt) == SQLITE_ROW; n++) {
                if (n == 20)
                    break;
                if (n > 0)
                    put(",", 1);
                put_row(stmt);
            }
            put(page, sizeof(page) - 1);
            sqlite3_reset(stmt);
        }
    }
    meter_print(&m);
    sqlite3_finalize(stmt);
    free(ids);
}

static void uuid7(uint8_t id[16])
{
    int64_t ms = now_ns(CLOCK_REALTIME) / 1000000;
    if (getrandom(id, 16, 0) != 16)
        die("getrandom");
    for (int i = 0; i < 6; i++)
        id[i] = (uint8_t)(ms >> (40 - 8 * i));
    id[6] = (uint8_t)(0x70 | (id[6] & 0x0f));
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
}

static int on_wal(void *arg, sqlite3 *at, const char *name, int pages)
{
    (void)arg;
    (void)at;
    (void)name;
    wal_pages = pages;
    return SQLITE_OK;
}

static void bind_new(sqlite3_stmt *stmt, const uint8_t id[16], const uint8_t author[16],
                     int64_t wall_us, const char *body)
{
    for (int i = 0; i < columns_len; i++) {
        const char *name = columns[i].name;
        int at = i + 1;
        if (strcmp(name, "id") == 0)
            sqlite3_bind_blob(stmt, at, id, 16, SQLITE_STATIC);
        else if (strcmp(name, "author") == 0)
            sqlite3_bind_blob(stmt, at, author, 16, SQLITE_STATIC);
        else if (strcmp(name, "title") == 0)
            sqlite3_bind_text(stmt, at, "A post of the bench, as durable as any", -1,
                              SQLITE_STATIC);
        else if (strcmp(name, "body") == 0)
            sqlite3_bind_text(stmt, at, body, 600, SQLITE_STATIC);
        else if (strcmp(name, "visibility") == 0)
            sqlite3_bind_text(stmt, at, "public", 6, SQLITE_STATIC);
        else if (columns[i].kind == KIND_TIME && strcmp(name, "deleted_at") != 0)
            sqlite3_bind_int64(stmt, at, wall_us);
        else if (columns[i].kind == KIND_INTEGER)
            sqlite3_bind_int64(stmt, at, strcmp(name, "version") == 0);
        else
            sqlite3_bind_null(stmt, at);
    }
}

static void run_create(double seconds)
{
    static char names[4096], marks[4096], sql[9000], body[601];
    column_names(names, sizeof(names), NULL);
    column_names(marks, sizeof(marks), "?");
    snprintf(sql, sizeof(sql), "INSERT INTO posts (%s) VALUES (%s)", names, marks);
    memset(body, 'x', 600);
    body[600] = '\0';

    run("PRAGMA journal_mode = WAL");
    run("PRAGMA synchronous = FULL");
    run("PRAGMA wal_autocheckpoint = 0");
    sqlite3_wal_hook(db, on_wal, NULL);
    size_t authors_len = 0;
    uint8_t(*authors)[16] =
        load_keys("SELECT DISTINCT author FROM posts WHERE author IS NOT NULL", &authors_len);
    sqlite3_stmt *insert = prepare(sql), *begin = prepare("BEGIN IMMEDIATE"),
                 *commit = prepare("COMMIT");
    struct meter m = meter_start();
    while (meter_runs(&m, seconds)) {
        sqlite3_step(begin);
        sqlite3_reset(begin);
        for (int i = 0; i < BATCH; i++, m.ops++) {
            uint8_t id[16];
            uuid7(id);
            bind_new(insert, id, authors[next_random() % authors_len],
                     now_ns(CLOCK_REALTIME) / 1000, body);
            if (sqlite3_step(insert) != SQLITE_DONE)
                die("insert");
            sqlite3_reset(insert);
        }
        if (sqlite3_step(commit) != SQLITE_DONE)
            die("commit");
        sqlite3_reset(commit);
        if (wal_pages >= WAL_PAGES_MAX) {
            sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
            wal_pages = 0;
        }
    }
    meter_print(&m);
    sqlite3_finalize(insert);
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    free(authors);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: floor_sqlite row|list|create DB SECONDS\n");
        return 2;
    }
    bool writes = strcmp(argv[1], "create") == 0;
    double seconds = strtod(argv[3], NULL);
    /* One thread: SQLite's own locks would be pure cost. */
    int flags = SQLITE_OPEN_NOMUTEX | (writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    if (sqlite3_open_v2(argv[2], &db, flags, NULL) != SQLITE_OK)
        die(argv[2]);
    /* All that helps a bare loop: the file in memory, no page cache to manage. */
    run("PRAGMA mmap_size = 1073741824");
    read_columns();
    make_keys();
    if (writes)
        run_create(seconds);
    else if (strcmp(argv[1], "row") == 0)
        run_row(seconds);
    else
        run_list(seconds);
    sqlite3_close(db);
    return 0;
}
