/* cmd/scratch.c - Databases that are gone afterwards. */
#include "cmd/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/macros.h"
#include "cmd/app.h"

int scratch_begin(struct scratch *scratch, struct app *app, const char *verb)
{
    memcpy(scratch->folder, SCRATCH_FOLDER, sizeof(scratch->folder));
    if (!mkdtemp(scratch->folder)) {
        (void)fprintf(stderr, "purlin %s: no temporary folder can be made\n", verb);
        return CMD_FAILED;
    }
    app->config.database_url = arena_printf(app->arena, "sqlite:%s/purlin.db", scratch->folder);
    return CMD_OK;
}

void scratch_end(struct scratch *scratch, struct app *app)
{
    static const char *const files[] = { "purlin.db", "purlin.db-wal", "purlin.db-shm" };
    app_close(app);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "%s/%s", scratch->folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(scratch->folder);
}
