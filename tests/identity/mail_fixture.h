/*
 * tests/identity/mail_fixture.h - A database and a loop with mail on them, in a folder of their
 * own.
 */
#pragma once

#include "loop.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/macros.h"
#include "base/metric.h"
#include "identity/mail.h"
#include "identity/mail_private.h"
#include "store/store.h"

#define SECRET SLICE("a secret of the tests that is long enough")
#define OTHER_SECRET SLICE("another secret of the tests, as long as that")

struct fixture {
    char folder[64];
    struct arena *arena;
    struct problem problem;
    struct diag diag;
    struct metrics *metrics;
    struct store *store;
    struct offload *offload;
    struct loop *loop;
    struct identity_mail *mail;
};

static inline struct identity_mail_options options_of(struct fixture *f)
{
    return (struct identity_mail_options){
        .store = f->store,
        .metrics = f->metrics,
        .secret = SECRET,
        .from = SLICE("Example <no-reply@example.org>"),
        .folder = arena_printf(f->arena, "%s/mail", f->folder),
        .retry_us = CLOCK_MS,
    };
}

static inline enum status open_as(struct fixture *f, const struct identity_mail_options *options,
                                  struct identity_mail **ret)
{
    problem_clear(&f->problem);
    diag_init(&f->diag, f->arena);
    return identity_mail_open(options, f->arena, &f->diag, &f->problem, ret);
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char url[96];
    assert_non_null(f);
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/purlin-mail-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(url, sizeof(url), "sqlite:%s/test.db", f->folder);
    f->arena = arena_new(NULL, 0);
    f->metrics = metrics_new();
    const struct store_options options = { .url = slice_cstr(url), .create = true };
    assert_status(store_open(&options, f->arena, &f->problem, &f->store), STATUS_OK);
    f->loop = loop_of_test();
    assert_status(offload_new(2, 64, &f->offload), STATUS_OK);
    loop_offload_set(f->loop, f->offload);
    assert_status(store_attach(f->store, f->loop), STATUS_OK);
    const struct identity_mail_options mail = options_of(f);
    assert_status(open_as(f, &mail, &f->mail), STATUS_OK);
    *state = f;
    return 0;
}

static inline int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    identity_mail_close(f->mail);
    store_detach(f->store, f->loop);
    store_close(f->store);
    loop_free(f->loop);
    offload_free(f->offload);
    metrics_free(f->metrics);
    arena_free(f->arena);
    assert_int_equal(nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}

static inline struct identity_mail_letter letter_of(enum identity_mail_kind kind)
{
    return (struct identity_mail_letter){
        .kind = kind,
        .to = SLICE("bob@example.net"),
        .name = SLICE("Bob"),
        .link = SLICE("https://example.org/verify?token=abc&x=1"),
        .code = SLICE("123456"),
        .device = SLICE("Firefox on Linux"),
        .ip = SLICE("192.0.2.7"),
        .new_address = SLICE("robert@example.net"),
        .factor = SLICE("A passkey"),
        .inviter = SLICE("Alice"),
    };
}

/* Put a mail, in a task. */
struct putting {
    struct fixture *f;
    const struct identity_mail_message *message;
    unsigned times;
    bool fails_after;
    enum status st;
    struct slice type; /* of the problem */
};

static inline enum status put_write(struct store_tx *tx, void *arg)
{
    const struct putting *p = arg;
    enum status st = identity_mail_put(tx, p->message);
    return st == STATUS_OK && p->fails_after ? STATUS_CONFLICT : st;
}

static inline void put_task(struct task *task, void *arg)
{
    struct putting *p = arg;
    p->st = store_write(task, p->f->store, put_write, p);
    p->type = slice_cstr(task_problem(task)->type);
}

static inline enum status put_one(struct fixture *f, struct identity_mail *mail,
                                  const struct identity_mail_letter *letter)
{
    struct identity_mail_message message;
    assert_status(identity_mail_render(mail, letter, f->arena, &f->problem, &message), STATUS_OK);
    struct putting putting = { .f = f, .message = &message };
    spawn(f->loop, put_task, &putting);
    run_to_end(f->loop);
    return putting.st;
}
