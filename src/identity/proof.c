/* identity/proof.c - Proofs, read, used and refused. */
#include "identity/proof.h"

#include "base/clock.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/factors.h"
#include "identity/room.h"

enum status identity_proof_read(struct task *task, struct identity *identity,
                                struct http_request *req, const struct identity_input *in,
                                const struct uuid *user, struct identity_proof *ret)
{
    (void)task;
    *ret =
        (struct identity_proof){ .identity = identity, .user = *user, .now_us = clock_wall_us() };
    ret->code = identity_input_text(in, "code", IDENTITY_FACTOR_CODE_MAX, false);
    if (ret->code.len)
        ret->method = identity_code_method(ret->code);
    identity_note_init(&ret->note, identity, req, IDENTITY_AUDIT_RECOVERY_CODE_USED, user);
    identity_note_by_user(&ret->note, user);
    return identity_input_status(in);
}

enum status identity_proof_use(struct store_tx *tx, const struct identity_proof *proof)
{
    enum status st =
        identity_code_use(tx, proof->identity, &proof->user, proof->code, proof->now_us);
    if (st == STATUS_OK && proof->method == IDENTITY_METHOD_RECOVERY)
        st = identity_note_put(tx, &proof->note);
    return st;
}

enum status identity_proof_refuse(struct task *task, struct http_request *req,
                                  const struct identity_proof *proof, enum status outcome)
{
    struct identity_note note;
    identity__count_login(proof->identity, IDENTITY__OUTCOME_WRONG);
    identity_note_init(&note, proof->identity, req, IDENTITY_AUDIT_FACTOR_FAILED, &proof->user);
    note.event.outcome = IDENTITY_AUDIT_REFUSED;
    identity_note_later(&note);
    if (outcome == STATUS_CONFLICT)
        return problem_set(task, STATUS_UNAUTHENTICATED, "identity/code-used",
                           "This code was used already: wait for the next one.");
    return problem_set(task, STATUS_UNAUTHENTICATED, "identity/wrong-code", "The code is wrong.");
}
