/*
 * cmd/scratch.h - A database in a temporary folder, for verbs that need one and are not to touch
 * the configured one.
 */
#pragma once

#define SCRATCH_FOLDER "/tmp/purlin-XXXXXX"

struct app;

struct scratch {
    char folder[sizeof(SCRATCH_FOLDER)];
};

/* Make the folder, and let the configuration name a database in it that is yet to be made. An exit
 * status, having said what is wrong. */
int scratch_begin(struct scratch *scratch, struct app *app, const char *verb);
/* Close the app, and take the folder away. */
void scratch_end(struct scratch *scratch, struct app *app);
