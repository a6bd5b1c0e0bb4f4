/* identity/claim.c - What somebody brings back from a mail. */
#include "identity/claim.h"

#include "base/arena.h"
#include "base/problem.h"
#include "fiber/task.h"
#include "identity/room.h"

#define CODE_BYTES_MAX 32u

void identity_claim_read(const struct identity_input *in, struct identity_claim *ret)
{
    *ret = (struct identity_claim){
        .token = identity_input_text(in, "token", IDENTITY_SECRET_TEXT_MAX, false),
    };
    if (ret->token.len)
        return;
    (void)identity_input_email(in, "email", &ret->email_key);
    ret->code = identity_input_text(in, "code", CODE_BYTES_MAX, true);
}

static enum status take_code(struct store_tx *tx, struct identity *identity,
                             enum identity_purpose purpose, const struct identity_claim *claim,
                             int64_t now_us, struct identity_one_time *ret_once,
                             struct identity_account *ret_account)
{
    enum status st = identity_account_by_email_in(tx, identity, claim->email_key, ret_account);
    return st == STATUS_OK ? identity_one_time_take_code(tx, identity, purpose, &ret_account->user,
                                                         claim->code, now_us, ret_once)
                           : st;
}

enum status identity_claim_take(struct store_tx *tx, struct identity *identity,
                                enum identity_purpose purpose, const struct identity_claim *claim,
                                int64_t now_us, struct identity_one_time *ret_once,
                                struct identity_account *ret_account)
{
    if (!claim->token.len)
        return take_code(tx, identity, purpose, claim, now_us, ret_once, ret_account);
    enum status st = identity_one_time_take_link(tx, purpose, claim->token, now_us, ret_once);
    return st == STATUS_OK
               ? identity_account_by_user_in(tx, identity, &ret_once->owner, ret_account)
               : st;
}

enum status identity_claim_refuse(struct task *task)
{
    enum status st = problem_set(task, STATUS_INVALID, "identity/invalid-secret",
                                 "The link or code is wrong, was used, or has expired: ask for a "
                                 "new one.");
    task_problem(task)->http_status = 422;
    return st;
}
