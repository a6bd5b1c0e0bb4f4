/*
 * identity/mail_templates.c - Which template each mail is written by: ours, or the application's
 * file of that name. A text begins with its subject.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "identity/mail_private.h"
#include "identity/mail_words.h"

#define SUBJECT "Subject:"
#define PATH_MAX_BYTES 4096u

/* -- files
 * -----------------------------------------------------------------------------------------------------
 */

/* NOT_FOUND; TOO_LARGE; UNAVAILABLE. */
static enum status read_file(struct arena *arena, const char *path, struct slice *ret_text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_UNAVAILABLE;
    struct buf text;
    buf_init(&text, arena, 4096, IDENTITY__MAIL_TEMPLATE_MAX);
    ssize_t n = 1;
    while (n > 0) {
        char piece[2048];
        n = read(fd, piece, sizeof(piece));
        if (n > 0)
            buf_put(&text, piece, (size_t)n);
    }
    (void)close(fd);
    if (n < 0)
        return STATUS_UNAVAILABLE;
    *ret_text = buf_slice(&text);
    return buf_status(&text);
}

struct source {
    struct slice file, text;
};

/* The application's, else ours. */
static enum status find_source(struct arena *arena, struct slice folder,
                               enum identity_mail_kind kind, bool is_html, struct diag *diag,
                               struct source *ret_source)
{
    struct source source = { .file = arena_printf(
                                 arena, "%.*s%s%s.%s", SLICE_ARG(folder), folder.len ? "/" : "",
                                 identity_mail_kind_name(kind), is_html ? "html" : "txt") };
    char *path = source.file.data ? arena_cstr(arena, source.file) : NULL;
    if (!path)
        return STATUS_EXHAUSTED;
    enum status st = folder.len ? read_file(arena, path, &source.text) : STATUS_NOT_FOUND;
    if (st == STATUS_NOT_FOUND) {
        struct buf ours;
        buf_init(&ours, arena, 8192, IDENTITY__MAIL_TEMPLATE_MAX);
        identity__mail_words_put(kind, is_html, &ours);
        source.text = buf_slice(&ours);
        st = buf_status(&ours);
    }
    if (st == STATUS_TOO_LARGE || st == STATUS_UNAVAILABLE) {
        diag_add(diag, source.file, 0, 0, SLICE(""), SLICE(""), "%s",
                 st == STATUS_TOO_LARGE ? "a template may have 128 KiB" : "cannot be read");
        st = STATUS_INVALID;
    }
    if (st == STATUS_OK)
        *ret_source = source;
    return st;
}

/* -- one
 * -------------------------------------------------------------------------------------------------------
 */

struct making {
    struct arena *arena;
    struct diag *diag;
    enum identity_mail_kind kind;
};

static enum status read_text(const struct making *m, const struct source *source,
                             struct identity__mail_template **ret_subject,
                             struct identity__mail_template **ret_text)
{
    struct slice rest = source->text, subject = SLICE(""), empty = SLICE("-");
    unsigned allowed = identity__mail_values_of(m->kind);
    (void)slice_split(&rest, '\n', &subject);
    (void)slice_split(&rest, '\n', &empty);
    if (subject.len && subject.data[subject.len - 1] == '\r')
        subject.len--;
    struct slice words = slice_trim(slice_from(subject, sizeof(SUBJECT) - 1));
    if (!slice_starts(subject, SLICE(SUBJECT)) || words.len == 0 ||
        slice_trim(empty).len > (slice_ends(empty, SLICE("\r")) ? 1u : 0u) || !rest.data) {
        diag_add(m->diag, source->file, 1, 1, SLICE(""), SLICE(""),
                 "begin with a line \"Subject: ...\" and an empty one");
        return STATUS_INVALID;
    }
    enum status st = identity__mail_template_read(m->arena, words, /* is_html= */ false, allowed,
                                                  source->file, 1, m->diag, ret_subject);
    enum status more = identity__mail_template_read(m->arena, rest, /* is_html= */ false, allowed,
                                                    source->file, 3, m->diag, ret_text);
    return st != STATUS_OK ? st : more;
}

static enum status read_kind(const struct making *m, struct slice folder,
                             struct identity__mail_templates *templates)
{
    struct source text, html;
    enum status st = find_source(m->arena, folder, m->kind, false, m->diag, &text);
    if (st == STATUS_OK)
        st = read_text(m, &text, &templates->of[m->kind].subject, &templates->of[m->kind].text);
    if (st != STATUS_OK && st != STATUS_INVALID)
        return st;
    enum status more = find_source(m->arena, folder, m->kind, true, m->diag, &html);
    if (more == STATUS_OK)
        more = identity__mail_template_read(m->arena, html.text, /* is_html= */ true,
                                            identity__mail_values_of(m->kind), html.file, 1,
                                            m->diag, &templates->of[m->kind].html);
    return st != STATUS_OK ? st : more;
}

enum status identity__mail_templates_read(struct arena *arena, struct slice folder,
                                          struct diag *diag,
                                          struct identity__mail_templates *ret_templates)
{
    struct identity__mail_templates *templates =
        arena_new_of(arena, struct identity__mail_templates);
    enum status st = templates ? STATUS_OK : STATUS_EXHAUSTED;
    bool is_invalid = false;
    char *path = arena_cstr(arena, folder);
    struct stat info;
    if (path && folder.len && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))) {
        diag_add(diag, folder, 0, 0, SLICE(""), SLICE(""), "mail.templates is no folder");
        return STATUS_INVALID;
    }
    for (unsigned k = 0; k < IDENTITY_MAIL_KINDS && st == STATUS_OK; k++) {
        const struct making making = { .arena = arena,
                                       .diag = diag,
                                       .kind = (enum identity_mail_kind)k };
        st = read_kind(&making, folder, templates);
        is_invalid = is_invalid || st == STATUS_INVALID;
        st = st == STATUS_INVALID ? STATUS_OK : st;
    }
    if (st == STATUS_OK && is_invalid)
        st = STATUS_INVALID;
    if (st == STATUS_OK)
        *ret_templates = *templates;
    return st;
}

void identity_mail_templates_check(struct slice folder, struct arena *arena, struct diag *diag)
{
    struct identity__mail_templates templates;
    /* What is wrong stands in `diag`. */
    if (folder.len)
        (void)identity__mail_templates_read(arena, folder, diag, &templates);
}

/* -- to be changed
 * --------------------------------------------------------------------------------------------- */

static enum status write_file(const char *path, struct slice text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? STATUS_CONFLICT : STATUS_UNAVAILABLE;
    bool is_written = true;
    while (text.len > 0 && is_written) {
        ssize_t n = write(fd, text.data, text.len);
        is_written = n > 0;
        if (is_written)
            text = slice_from(text, (size_t)n);
    }
    is_written = close(fd) == 0 && is_written;
    if (!is_written)
        (void)unlink(path);
    return is_written ? STATUS_OK : STATUS_UNAVAILABLE;
}

enum status identity_mail_templates_write(struct slice folder, struct arena *arena,
                                          struct problem *problem, unsigned *ret_written)
{
    char *path = arena_cstr(arena, folder);
    unsigned written = 0;
    if (!path)
        return STATUS_EXHAUSTED;
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return problem_put(problem, arena, __FILE__, __LINE__, STATUS_UNAVAILABLE, "identity/mail",
                           "The folder %s cannot be made: %s.", path, strerror(errno));
    for (unsigned k = 0; k < 2 * IDENTITY_MAIL_KINDS; k++) {
        enum identity_mail_kind kind = (enum identity_mail_kind)(k / 2);
        bool is_html = k % 2 == 1;
        struct source source;
        struct slice file = arena_printf(arena, "%.*s/%s.%s", SLICE_ARG(folder),
                                         identity_mail_kind_name(kind), is_html ? "html" : "txt");
        char *name = file.data ? arena_cstr(arena, file) : NULL;
        enum status st =
            name ? find_source(arena, SLICE(""), kind, is_html, NULL, &source) : STATUS_EXHAUSTED;
        if (st == STATUS_OK)
            st = write_file(name, source.text);
        if (st != STATUS_OK && st != STATUS_CONFLICT)
            return problem_put(problem, arena, __FILE__, __LINE__, st, "identity/mail",
                               "The template %s cannot be written: %s.", name ? name : "",
                               strerror(errno));
        written += st == STATUS_OK;
    }
    *ret_written = written;
    return STATUS_OK;
}
