/* identity/notice.c - Mails that tell an owner what was done to their account. */
#include "identity/notice.h"

#include "base/problem.h"
#include "fiber/task.h"
#include "http/http.h"
#include "identity/account.h"
#include "identity/agent.h"
#include "identity/letter.h"
#include "identity/room.h"

static enum status send_notice(struct task *task, struct identity *identity,
                               struct http_request *req, const struct identity_notice *notice)
{
    struct identity_account account = { .email = notice->to };
    struct identity_letter letter;
    enum status st = STATUS_OK;
    if (!notice->to.len)
        st = identity_account_by_user(task, identity, notice->user, &account);
    if (st != STATUS_OK)
        return st;
    struct identity_mail_letter mail = { .kind = notice->kind,
                                         .to = account.email,
                                         .new_address = notice->new_address };
    if (notice->factor)
        mail.factor = slice_cstr(notice->factor);
    if (req) {
        const struct net_header *agent = net_header_get(http_net(req), NET_HEADER_USER_AGENT);
        mail.device = identity_agent_words(task_arena(task), agent ? agent->value : SLICE_NULL);
        mail.ip = http_client_ip(req);
    }
    st = identity_letter_notice(task, identity, notice->path, &mail, &letter);
    return st == STATUS_OK ? identity_letter_send(task, &letter) : st;
}

void identity_notice_send(struct task *task, struct identity *identity, struct http_request *req,
                          const struct identity_notice *notice)
{
    if (!identity->options.mail || !identity_mail_can_send(identity->options.mail))
        return;
    if (send_notice(task, identity, req, notice) == STATUS_OK)
        return;
    identity__log_user(LOG_LEVEL_WARN, "identity.notice_not_sent", notice->user);
    problem_clear(task_problem(task));
}
