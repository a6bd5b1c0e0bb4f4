/*
 * store/files.h - Private to store/: whole database files, put in place in one step.
 */
#pragma once

#include <stdbool.h>

#include "base/problem.h"
#include "base/status.h"

struct arena;

/* Two names of one file? False when either does not exist. */
bool store__same_file(const char *a, const char *b);

/* Make an empty file beside `path`, in the same folder and with a name nobody uses. */
enum status store__part_make(const char *path, struct arena *arena, struct problem *problem,
                             char **ret_part);
/* Sync `part`, give it the name `path`, sync the folder. */
enum status store__part_place(const char *part, const char *path, struct arena *arena,
                              struct problem *problem);

/*
 * Open the file read-only and without locks (nobody else writes to it) and run SQLite's integrity
 * check.
 *
 * Errors   INVALID when it is no database or damaged.
 */
enum status store__file_verify(const char *path, struct arena *arena, struct problem *problem);
