/* identity/letter.c - The mails of an account's life. */
#include "identity/letter.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "fiber/task.h"
#include "identity/room.h"
#include "identity/throttle.h"

#define LINK_BYTES_MAX ((size_t)1024)

/* Where a link leads: the application's own page, or ours. */
static struct slice link_of(struct task *task, const struct identity *identity, const char *path,
                            struct slice token)
{
    struct slice pages = identity->options.pages;
    struct buf b;
    buf_init(&b, task_arena(task), 256, LINK_BYTES_MAX);
    if (pages.len) {
        buf_put_slice(&b, pages);
        if (!slice_ends(pages, SLICE("/")))
            buf_putc(&b, '/');
    } else {
        buf_put_slice(&b, identity->issuer);
        buf_put_lit(&b, "/auth/");
        if (slice_eq(slice_cstr(path), SLICE("sessions")))
            buf_put_lit(&b, "account/"); /* /auth/sessions is for programs */
    }
    buf_put_cstr(&b, path);
    if (token.len) {
        buf_put_lit(&b, "?token=");
        buf_put_percent(&b, token);
    }
    return buf_status(&b) == STATUS_OK ? buf_slice(&b) : SLICE_NULL;
}

static enum status write_letter(struct task *task, struct identity *identity,
                                struct identity_mail_letter *letter, struct identity_letter *ret)
{
    if (!identity->options.mail)
        return problem_set(task, STATUS_UNAVAILABLE, "identity/no-mail",
                           "This server cannot send mail.");
    return identity_mail_render(identity->options.mail, letter, task_arena(task),
                                task_problem(task), &ret->message);
}

enum status identity_letter_write(struct task *task, struct identity *identity,
                                  enum identity_purpose purpose, const struct uuid *owner,
                                  struct slice data, int64_t life_us, const char *path,
                                  struct identity_mail_letter *letter, struct identity_letter *ret)
{
    *ret = (struct identity_letter){ .identity = identity,
                                     .has_once = true,
                                     .now_us = clock_wall_us() };
    bool with_code = letter->kind == IDENTITY_MAIL_VERIFY_EMAIL ||
                     letter->kind == IDENTITY_MAIL_MAGIC_LINK ||
                     letter->kind == IDENTITY_MAIL_EMAIL_CHANGE;
    enum status st =
        identity_one_time_prepare(purpose, owner, with_code, ret->now_us + life_us, &ret->once);
    if (st != STATUS_OK)
        return st;
    ret->once.data = data;
    letter->link = link_of(task, identity, path, identity_secret_text(&ret->once.link));
    letter->code = with_code ? slice_of(ret->once.code, sizeof(ret->once.code)) : SLICE_NULL;
    letter->expires_us = ret->once.expires_us;
    return write_letter(task, identity, letter, ret);
}

enum status identity_letter_notice(struct task *task, struct identity *identity, const char *path,
                                   struct identity_mail_letter *letter, struct identity_letter *ret)
{
    *ret = (struct identity_letter){ .identity = identity, .now_us = clock_wall_us() };
    if (path)
        letter->link = link_of(task, identity, path, SLICE_NULL);
    return write_letter(task, identity, letter, ret);
}

enum status identity_letter_put(struct store_tx *tx, const struct identity_letter *letter)
{
    enum status st = STATUS_OK;
    if (letter->has_once)
        st = identity_one_time_put(tx, letter->identity, &letter->once, letter->now_us);
    return st == STATUS_OK ? identity_mail_put(tx, &letter->message) : st;
}

static enum status write_alone(struct store_tx *tx, void *arg)
{
    return identity_letter_put(tx, arg);
}

enum status identity_letter_send(struct task *task, struct identity_letter *letter)
{
    enum status st = store_write(task, letter->identity->store, write_alone, letter);
    if (st == STATUS_OK)
        identity_mail_wake(letter->identity->options.mail);
    return st;
}

void identity_letter_wipe(struct identity_letter *letter)
{
    identity_one_time_wipe(&letter->once);
}

bool identity_letter_is_due(struct identity *identity, enum identity_purpose purpose,
                            struct slice email_key)
{
    char name[IDENTITY_EMAIL_MAX + 1];
    name[0] = (char)purpose;
    memcpy(name + 1, email_key.data, email_key.len);
    const struct identity_throttle_key key = {
        IDENTITY_THROTTLE_MAIL,
        identity_throttle_hash(identity->throttle, slice_of(name, email_key.len + 1)),
    };
    return identity_throttle_begin(identity->throttle, &key, 1, clock_mono_us()) == 0;
}
