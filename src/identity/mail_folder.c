/*
 * identity/mail_folder.c - The mailbox of development: each mail a file, ID.eml, the newest 200 of
 * them. Ids sort by time. Only files with such names are looked at or taken away.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "fiber/task.h"
#include "identity/mail_mime.h"
#include "identity/mail_private.h"

#define SUFFIX ".eml"
#define PATH_BYTES 1024u
#define LOOKED_AT_MAX 4096u /* files of one look */

static bool path_of(const char *folder, const struct uuid *id, const char *suffix,
                    char out[PATH_BYTES])
{
    char text[UUID_TEXT_LEN];
    uuid_format(id, text);
    int n = snprintf(out, PATH_BYTES, "%s/%.*s%s", folder, (int)sizeof(text), text, suffix);
    return n > 0 && (unsigned)n < PATH_BYTES;
}

/* -- reading
 * -------------------------------------------------------------------------------------------------
 */

static int newest_first(const void *a, const void *b)
{
    return memcmp(b, a, sizeof(struct uuid));
}

/* All of them, the newest first. */
static unsigned list_all(const char *folder, struct uuid ids[LOOKED_AT_MAX])
{
    DIR *dir = opendir(folder);
    unsigned len = 0;
    if (!dir)
        return 0;
    for (struct dirent *entry; len < LOOKED_AT_MAX && (entry = readdir(dir));) {
        struct slice name = slice_cstr(entry->d_name);
        if (slice_ends(name, SLICE(SUFFIX)) &&
            uuid_parse(slice_head(name, name.len - (sizeof(SUFFIX) - 1)), &ids[len]))
            len++;
    }
    (void)closedir(dir);
    qsort(ids, len, sizeof(ids[0]), newest_first);
    return len;
}

unsigned identity__mail_folder_list(const char *folder, struct uuid *ret_ids)
{
    struct uuid *ids = calloc(LOOKED_AT_MAX, sizeof(*ids));
    unsigned len = ids ? MIN(list_all(folder, ids), IDENTITY__MAIL_FILES_MAX) : 0;
    if (ids)
        memcpy(ret_ids, ids, len * sizeof(*ids));
    free(ids);
    return len;
}

enum status identity__mail_folder_read(const char *folder, const struct uuid *id,
                                       struct arena *arena, struct slice *ret_message)
{
    char path[PATH_BYTES], piece[2048];
    if (!path_of(folder, id, SUFFIX, path))
        return STATUS_NOT_FOUND;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_UNAVAILABLE;
    struct buf out;
    buf_init(&out, arena, 16384, IDENTITY__MIME_BYTES_MAX);
    ssize_t n;
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        buf_put(&out, piece, (size_t)n);
    (void)close(fd);
    if (n < 0)
        return STATUS_UNAVAILABLE;
    *ret_message = buf_slice(&out);
    return buf_status(&out);
}

/* -- writing
 * -------------------------------------------------------------------------------------------------
 */

/* "data/mail" and what is above it. */
static bool make_folder(const char *folder)
{
    char path[PATH_BYTES];
    size_t len = strlen(folder);
    if (len == 0 || len >= sizeof(path))
        return false;
    memcpy(path, folder, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        char kept = path[i];
        path[i] = 0;
        /* Mail opens accounts: nobody else reads it. */
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return false;
        path[i] = kept;
    }
    return true;
}

static bool write_all(int fd, struct slice text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.data, text.len);
        if (n <= 0)
            return false;
        text = slice_from(text, (size_t)n);
    }
    return true;
}

static void remove_old(const char *folder)
{
    struct uuid *ids = calloc(LOOKED_AT_MAX, sizeof(*ids));
    unsigned len = ids ? list_all(folder, ids) : 0;
    for (unsigned i = IDENTITY__MAIL_FILES_MAX; i < len; i++) {
        char path[PATH_BYTES];
        if (path_of(folder, &ids[i], SUFFIX, path))
            (void)unlink(path); /* another process may have been faster */
    }
    free(ids);
}

struct writing {
    const char *folder;
    const struct identity__mail_parcel *parcel;
    bool is_written;
};

static void write_file(void *arg)
{
    struct writing *w = arg;
    char part[PATH_BYTES], path[PATH_BYTES];
    if (!make_folder(w->folder) || !path_of(w->folder, &w->parcel->id, ".part", part) ||
        !path_of(w->folder, &w->parcel->id, SUFFIX, path))
        return;
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    w->is_written = write_all(fd, w->parcel->mime);
    w->is_written = close(fd) == 0 && w->is_written;
    w->is_written = w->is_written && rename(part, path) == 0;
    if (!w->is_written)
        (void)unlink(part);
    remove_old(w->folder);
}

static enum status send_folder(struct task *task, const struct identity_mail *mail,
                               const struct identity__mail_parcel *parcel,
                               struct identity__mail_outcome *ret_outcome)
{
    struct writing writing = { .folder = mail->folder, .parcel = parcel };
    enum status st = task_offload(task, write_file, &writing);
    if (st != STATUS_OK)
        return st;
    *ret_outcome = (struct identity__mail_outcome){
        .verdict = writing.is_written ? IDENTITY__MAIL_SENT : IDENTITY__MAIL_LATER,
        .said = writing.is_written
                    ? arena_printf(task_arena(task), "Written into %s.", mail->folder)
                    : SLICE(""),
        .reason = "the mailbox's folder cannot be written",
    };
    return STATUS_OK;
}

const struct identity__mail_sender identity__mail_folder = { .name = "folder",
                                                             .send = send_folder };
