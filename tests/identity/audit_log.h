/*
 * tests/identity/audit_log.h - An audit log in a database of its own, and what tests do with it.
 */
#pragma once

#include <string.h>

#include "base/clock.h"
#include "database.h"
#include "identity/audit.h"

#define SECRET SLICE("a secret of the tests that is long enough")
#define SECRET_2 SLICE("another secret of the tests, as long as that")
#define SECRET_3 SLICE("and a third secret of the tests, as long again")

/* At the SQL prompt the triggers go first. */
#define NO_TRIGGERS                                                                                \
    "DROP TRIGGER purlin_audit__no_update; DROP TRIGGER purlin_audit__no_delete;"                  \
    " DROP TRIGGER purlin_audit__no_replace; DROP TRIGGER purlin_audit_anchors__no_delete; "

struct chain_fixture {
    struct database d;
    struct identity_audit *audit;
};

static inline enum status chain_open_as(struct chain_fixture *f,
                                        struct identity_audit_options options)
{
    problem_clear(&f->d.problem);
    options.store = f->d.store;
    return identity_audit_open(&options, f->d.arena, &f->d.problem, &f->audit);
}

static inline void chain_open(struct chain_fixture *f, struct slice secret, struct slice previous)
{
    assert_status(chain_open_as(f, (struct identity_audit_options){ .secret = secret,
                                                                    .secret_previous = previous }),
                  STATUS_OK);
}

static inline void chain_close(struct chain_fixture *f)
{
    identity_audit_close(f->audit);
    f->audit = NULL;
}

static inline int chain_setup(void **state)
{
    struct chain_fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    database_init(&f->d);
    chain_open(f, SECRET, SLICE_NULL);
    *state = f;
    return 0;
}

static inline int chain_teardown(void **state)
{
    struct chain_fixture *f = *state;
    chain_close(f);
    database_fini(&f->d);
    free(f);
    return 0;
}

/* -- writing
 * ---------------------------------------------------------------------------------------------- */

struct chain_writes {
    struct chain_fixture *f;
    struct identity_audit_event event;
    unsigned len;
};

static inline enum status chain_write_all(struct store_tx *tx, void *arg)
{
    struct chain_writes *w = arg;
    enum status st = STATUS_OK;
    for (unsigned i = 0; i < w->len && st == STATUS_OK; i++)
        st = identity_audit_put(tx, w->f->audit, &w->event);
    return st;
}

static inline void chain_write_task(struct task *task, void *arg)
{
    struct chain_writes *w = arg;
    assert_status(store_write(task, w->f->d.store, chain_write_all, w), STATUS_OK);
}

static inline void chain_write(struct chain_fixture *f, unsigned len)
{
    struct chain_writes w = { .f = f,
                              .len = len,
                              .event = { .act = IDENTITY_AUDIT_LOGIN_SUCCEEDED,
                                         .actor = IDENTITY_AUDIT_USER,
                                         .actor_id = SLICE("0193-ada"),
                                         .subject_kind = SLICE("user"),
                                         .subject_id = SLICE("0193-ada"),
                                         .address = SLICE("192.0.2.1"),
                                         .agent = SLICE("Mozilla/5.0"),
                                         .request_id = SLICE("req-1"),
                                         .details = SLICE("{\"method\":\"password\"}") } };
    database_run(&f->d, chain_write_task, &w);
}

static inline void chain_put(struct chain_fixture *f, const struct identity_audit_event *event)
{
    struct chain_writes w = { .f = f, .event = *event, .len = 1 };
    database_run(&f->d, chain_write_task, &w);
}

/* -- verifying
 * -----------------------------------------------------------------------------------------------
 */

struct chain_verifying {
    struct chain_fixture *f;
    struct identity_audit_verify_options options;
    struct identity_audit_report report;
    enum status st;
};

static inline void chain_verify_task(struct task *task, void *arg)
{
    struct chain_verifying *v = arg;
    v->st = identity_audit_verify(task, v->f->audit, &v->options, &v->report);
    if (v->st == STATUS_OK && v->report.fault != IDENTITY_AUDIT_WHOLE)
        assert_true(v->report.detail.len > 0); /* it says what, in words */
    v->report.detail = SLICE_NULL;             /* of the task's arena */
}

static inline struct identity_audit_report
chain_verify(struct chain_fixture *f, const struct identity_audit_verify_options *options)
{
    struct chain_verifying v = { .f = f };
    if (options)
        v.options = *options;
    database_run(&f->d, chain_verify_task, &v);
    assert_status(v.st, STATUS_OK);
    return v.report;
}

static inline void chain_assert_fault(struct chain_fixture *f, enum identity_audit_fault fault,
                                      int64_t seq)
{
    struct identity_audit_report report = chain_verify(f, NULL);
    assert_string_equal(identity_audit_fault_name(report.fault), identity_audit_fault_name(fault));
    assert_int_equal(report.fault_seq, seq);
}

static inline void chain_assert_whole(struct chain_fixture *f, int64_t rows)
{
    struct identity_audit_report report = chain_verify(f, NULL);
    assert_string_equal(identity_audit_fault_name(report.fault),
                        identity_audit_fault_name(IDENTITY_AUDIT_WHOLE));
    assert_int_equal(report.rows, rows);
}
