/*
 * tests/contract/database.h - A database in memory, and migrations on it as the program runs them.
 * A test that asks for what is not so has failed.
 */
#pragma once

#include <sqlite3.h>

#include "contract/contract.h"
#include "contract/sql.h"

struct arena;
struct model;

/* A literal of the id that ends in the digit n. */
#define ID(n) "x'0000000000000000000000000000000" #n "'"

sqlite3 *database_new(void);
void database_run(sqlite3 *db, const char *sql);
/* As a migration runs: foreign keys off, one transaction. */
void database_migrate(sqlite3 *db, const struct buf *statements);
/* All rows' first columns, each after a "|"; for free(). */
char *database_ask(sqlite3 *db, const char *sql);
void database_assert_answer(sqlite3 *db, const char *sql, const char *want);
/* Integrity and foreign keys are as they should be. */
void database_assert_sound(sqlite3 *db);
/* contract_sql_diff without a store; renames are separated by spaces. */
void database_diff(sqlite3 *db, const struct contract_set *set, const char *renames,
                   struct arena *arena, struct contract_diff *ret);
/* Nothing differs from the contracts. */
void database_assert_same(sqlite3 *db, const struct model *m, struct arena *arena);
