/* identity/proof.c - Proofs, read, used and refused. */
#include "identity/proof.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/factors.h"
#include "identity/room.h"

/* A passkey of this very account. */
static enum status read_passkey(struct task *task, const json_t *credential,
                                const struct uuid *occasion, struct identity_proof *ret)
{
    struct slice id = slice_of((const char *)occasion->bytes, sizeof(occasion->bytes));
    ret->assertion = arena_new_of(task_arena(task), struct identity_assertion);
    if (!ret->assertion)
        return STATUS_EXHAUSTED;
    enum status st = identity_assertion_read(task, ret->identity, credential,
                                             IDENTITY_CEREMONY_PROVE, id, ret->assertion);
    if (st != STATUS_OK)
        return st;
    if (memcmp(ret->assertion->passkey.user.bytes, ret->user.bytes, sizeof(ret->user.bytes)) != 0)
        return problem_set(task, STATUS_UNAUTHENTICATED, "identity/passkey-refused",
                           "The passkey was refused: it is another account's.");
    ret->method = IDENTITY_METHOD_PASSKEY;
    return STATUS_OK;
}

enum status identity_proof_read(struct task *task, struct identity *identity,
                                struct http_request *req, const struct identity_input *in,
                                const struct uuid *user, const struct uuid *occasion,
                                struct identity_proof *ret)
{
    *ret =
        (struct identity_proof){ .identity = identity, .user = *user, .now_us = clock_wall_us() };
    const json_t *credential = identity_input_object(in, "credential");
    ret->code = identity_input_text(in, "code", IDENTITY_FACTOR_CODE_MAX, false);
    if (identity_input_status(in) != STATUS_OK)
        return STATUS_INVALID;
    identity_note_init(&ret->note, identity, req, IDENTITY_AUDIT_RECOVERY_CODE_USED, user);
    identity_note_by_user(&ret->note, user);
    if (credential)
        return read_passkey(task, credential, occasion, ret);
    if (ret->code.len)
        ret->method = identity_code_method(ret->code);
    return STATUS_OK;
}

enum status identity_proof_use(struct store_tx *tx, const struct identity_proof *proof)
{
    if (proof->method == IDENTITY_METHOD_PASSKEY)
        return identity_assertion_use(tx, proof->assertion, proof->now_us);
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
    /* Of a passkey it was said already what is wrong. */
    if (outcome == STATUS_CONFLICT)
        return problem_set(task, STATUS_UNAUTHENTICATED, "identity/code-used",
                           "This code was used already: wait for the next one.");
    return problem_set(task, STATUS_UNAUTHENTICATED, "identity/wrong-code", "The code is wrong.");
}
