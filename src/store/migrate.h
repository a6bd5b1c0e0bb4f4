/*
 * store/migrate.h - Private to store/: the files of migrations, read and checked.
 */
#pragma once

#include <stdbool.h>

#include "base/problem.h"
#include "base/slice.h"
#include "base/status.h"

struct arena;

#define STORE__CHECKSUM_LEN 64 /* SHA-256 in hex */

struct store__migration_side {
    struct slice file; /* its name, without the folder; empty: there is none */
    struct slice text;
    char checksum[STORE__CHECKSUM_LEN + 1];
};

struct store__migration_file {
    unsigned number;
    struct slice name;
    struct store__migration_side up, down;
};

struct store__migration_files {
    struct store__migration_file *items; /* by number */
    unsigned len;
};

/*
 * Read a folder of `NNNN_name.up.sql` and `NNNN_name.down.sql`. A folder that does not exist has no
 * migrations.
 *
 * Errors   INVALID for a file whose name or partner is wrong, or a number used twice; UNAVAILABLE
 * when it cannot be read; TOO_LARGE.
 */
enum status store__migration_files_read(struct slice folder, struct arena *arena,
                                        struct problem *problem,
                                        struct store__migration_files *ret);

/* Has the text a line "-- purlin: destructive"? */
bool store__migration_is_destructive(struct slice text);
