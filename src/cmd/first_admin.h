/*
 * cmd/first_admin.h - In development, with neither a bootstrap key nor an administrator, the first
 * start makes one and tells its password once, on the terminal and never in the log.
 */
#pragma once

struct app;
struct loop;

/* Look, and make one, in a task of this loop, once it runs. */
void first_admin_start(struct app *app, struct loop *loop);
