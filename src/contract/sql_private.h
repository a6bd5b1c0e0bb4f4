/*
 * contract/sql_private.h - The parts that write the schema (sql_schema.c, sql_check.c,
 * sql_trigger.c) and compare it (sql_read.c, sql_diff.c, sql_table.c).
 *
 * Comparing works on texts alone: the wanted schema is written, both are read as lists of
 * definitions, and the way down is the same comparison the other way round. So what a trigger keeps
 * must be able to be filled from its own text: its insert trigger carries a line "-- refill:
 * statements" that compute from the rows what the trigger would have kept.
 */
#pragma once

#include "base/buf.h"
#include "contract/contract.h"
#include "contract/sql.h"

#define SQL_REFILL "-- refill: "

/* -- writing
 * --------------------------------------------------------------------------------------------- */

void sql__name(struct buf *out, struct slice name); /* "quoted" */
void sql__text(struct buf *out, struct slice text); /* 'quoted' */
/* prefix."column"; the prefix ("NEW.") may be empty */
void sql__column(struct buf *out, const char *prefix, struct slice column);
/* The CONSTRAINTs of one column; money's stand at its second. */
void sql__checks(struct buf *out, const struct contract *c, const struct contract_column *column);
/* The field's default as an SQL literal for this column; false: none can be written. */
bool sql__default(struct buf *out, const struct contract_column *column, unsigned sub);
void sql__triggers(struct buf *out, const struct contract_set *set, const struct contract *c);
void sql__indexes(struct buf *out, const struct contract *c);
