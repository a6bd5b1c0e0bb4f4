/* cmd/rights.h - Roles and permissions of the configuration, held against the contracts. */
#pragma once

#include <stdbool.h>

#include "base/status.h"

struct app;
struct rights;
struct slice;
struct task;

/* What the file and the contracts name and there is not, into app->diag. */
void rights_check(struct app *app);
/* Do the two declare something else? */
bool rights_differ(const struct rights *a, const struct rights *b);
/* The same of what a command was given. INVALID with the task's problem set. */
enum status rights_check_scopes(struct task *task, const struct app *app,
                                const struct slice *scopes, unsigned len);
enum status rights_check_roles(struct task *task, const struct app *app, const struct slice *roles,
                               unsigned len);
