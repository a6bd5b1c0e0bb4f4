/*
 * identity/mail.c - Opening, and a letter's way to a sealed message. docs/mail.md is for those who
 * run it; decision 0035 says why it is so.
 */
#include "identity/mail.h"

#include <curl/curl.h>
#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "fiber/task.h"
#include "identity/mail_mime.h"
#include "identity/mail_private.h"
#include "identity/mail_values.h"
#include "store/store.h"

#define QUEUE_DEFAULT 10000u
#define ATTEMPTS_DEFAULT 12u
#define CONCURRENCY_DEFAULT 4u
#define TIMEOUT_DEFAULT_US (30 * CLOCK_SECOND)
#define RETRY_DEFAULT_US (5 * CLOCK_SECOND)
#define LOOK_US CLOCK_SECOND /* two look-ups by an index */
#define POOL_QUEUE_MAX 64u   /* never that many: the worker counts what it has on its way */
#define SUBJECT_MAX ((size_t)512)
#define PART_MAX ((size_t)192 * 1024)

/* -- opening
 * --------------------------------------------------------------------------------------------------
 */

static double read_waiting(void *arg)
{
    const struct identity_mail *mail = arg;
    return (double)__atomic_load_n(&mail->waiting, __ATOMIC_RELAXED);
}

static double read_oldest(void *arg)
{
    const struct identity_mail *mail = arg;
    int64_t oldest_us = __atomic_load_n(&mail->oldest_us, __ATOMIC_RELAXED);
    int64_t age_us = oldest_us ? clock_wall_us() - oldest_us : 0;
    return age_us > 0 ? (double)age_us / 1e6 : 0;
}

static void declare_metrics(struct identity_mail *mail)
{
    static const struct slice outcomes[IDENTITY__MAIL_EVENTS] = {
        [IDENTITY__MAIL_COUNT_SENT] = SLICE_INIT("sent"),
        [IDENTITY__MAIL_COUNT_RETRIED] = SLICE_INIT("retried"),
        [IDENTITY__MAIL_COUNT_REFUSED] = SLICE_INIT("refused"),
        [IDENTITY__MAIL_COUNT_EXPIRED] = SLICE_INIT("expired"),
    };
    struct metrics *metrics = mail->metrics;
    unsigned counts = metric_declare(
        metrics, &(struct metric_desc){ .name = "purlin_mail",
                                        .help = "Attempts to send a mail, by what became of them.",
                                        .kind = METRIC_COUNTER,
                                        .labels = { "kind", "outcome" } });
    for (unsigned k = 0; k < IDENTITY_MAIL_KINDS; k++) {
        for (unsigned e = 0; e < IDENTITY__MAIL_EVENTS; e++) {
            const struct slice values[] = {
                slice_cstr(identity_mail_kind_name((enum identity_mail_kind)k)), outcomes[e]
            };
            mail->counts[k][e] = metric_series_get(metrics, counts, values);
        }
    }
    unsigned waiting =
        metric_declare(metrics, &(struct metric_desc){ .name = "purlin_mail_queue",
                                                       .help = "Mails that wait to be sent.",
                                                       .kind = METRIC_GAUGE });
    unsigned oldest = metric_declare(
        metrics, &(struct metric_desc){ .name = "purlin_mail_oldest_seconds",
                                        .help = "How long the oldest of them has been waiting.",
                                        .kind = METRIC_GAUGE });
    metric_callback(metrics, waiting, NULL, read_waiting, mail);
    metric_callback(metrics, oldest, NULL, read_oldest, mail);
}

static enum status say(struct problem *problem, struct arena *arena, enum status st,
                       const char *key, const char *reason)
{
    if (st != STATUS_INVALID)
        return st;
    return problem_put(problem, arena, __FILE__, __LINE__, st, "identity/mail", "%s %s", key,
                       reason);
}

/* What is written on each mail, and where it goes. */
static enum status read_options(struct identity_mail *mail,
                                const struct identity_mail_options *options, struct arena *arena,
                                struct problem *problem)
{
    const char *reason = "";
    enum status st = identity__mailbox_read(mail->arena, options->from, &mail->from, &reason);
    if (st != STATUS_OK)
        return say(problem, arena, st, "mail.from", reason);
    mail->app = mail->from.name.len ? mail->from.name : mail->from.domain;
    if (options->reply_to.len)
        st = identity_mail_address_read(mail->arena, options->reply_to, &mail->reply_to, &reason);
    if (st != STATUS_OK)
        return say(problem, arena, st, "mail.reply_to", reason);
    if (options->smtp_url.len) {
        st = identity__mail_server_read(mail->arena, options->smtp_url, mail->from.domain,
                                        &mail->server, &reason);
        mail->sender = &identity__mail_smtp;
        if (st == STATUS_OK)
            st = offload_new(mail->concurrency, POOL_QUEUE_MAX, &mail->pool);
    } else if (options->folder.len) {
        mail->folder = arena_cstr(mail->arena, options->folder);
        mail->sender = &identity__mail_folder;
        st = mail->folder ? STATUS_OK : STATUS_EXHAUSTED;
    }
    if (options->ca_file.len)
        mail->ca_file = arena_cstr(mail->arena, options->ca_file);
    return say(problem, arena, st, "mail.smtp_url", reason);
}

static enum status open_mail(struct identity_mail *mail,
                             const struct identity_mail_options *options, struct arena *arena,
                             struct diag *diag, struct problem *problem)
{
    mail->store = options->store;
    mail->metrics = options->metrics;
    mail->queue_max = options->queue_max ? options->queue_max : QUEUE_DEFAULT;
    mail->attempts_max = options->attempts_max ? options->attempts_max : ATTEMPTS_DEFAULT;
    mail->concurrency = options->concurrency ? options->concurrency : CONCURRENCY_DEFAULT;
    mail->timeout_us = options->timeout_us ? options->timeout_us : TIMEOUT_DEFAULT_US;
    mail->look_us = LOOK_US;
    mail->retry_us = options->retry_us ? options->retry_us : RETRY_DEFAULT_US;
    identity__mail_seal_init(&mail->seal, options->secret, options->secret_previous);
    enum status st = read_options(mail, options, arena, problem);
    struct slice folder = SLICE_NULL;
    if (st == STATUS_OK)
        st = arena_copy(mail->arena, options->templates, &folder);
    if (st == STATUS_OK)
        st = identity__mail_templates_read(mail->arena, folder, diag, &mail->templates);
    if (st == STATUS_OK && mail->store)
        st = store_script(mail->store, identity__mail_rows_schema, arena, problem);
    if (st == STATUS_OK && mail->metrics)
        declare_metrics(mail);
    return st;
}

enum status identity_mail_open(const struct identity_mail_options *options, struct arena *arena,
                               struct diag *diag, struct problem *problem,
                               struct identity_mail **ret_mail)
{
    /* Without it nothing is sent, and the sender says so. */
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    struct arena *own = arena_new(NULL, 0);
    struct identity_mail *mail = arena_new_of(own, struct identity_mail);
    mail->arena = own;
    enum status st = open_mail(mail, options, arena, diag, problem);
    if (st != STATUS_OK) {
        identity_mail_close(mail);
        return st;
    }
    *ret_mail = mail;
    return STATUS_OK;
}

void identity_mail_close(struct identity_mail *mail)
{
    if (!mail)
        return;
    identity__mail_worker_free(mail->worker);
    offload_free(mail->pool);
    identity__mail_seal_wipe(&mail->seal);
    if (mail->server.password)
        sodium_memzero(mail->server.password, strlen(mail->server.password));
    arena_free(mail->arena);
}

bool identity_mail_can_send(const struct identity_mail *mail)
{
    return mail->sender != NULL;
}

enum status identity_mail_url_check(struct slice url, struct arena *arena, const char **ret_reason)
{
    struct identity__mail_server server;
    return identity__mail_server_read(arena, url, SLICE("localhost"), &server, ret_reason);
}

enum status identity_mail_sender_check(struct slice from, struct arena *arena,
                                       const char **ret_reason)
{
    struct identity__mailbox mailbox;
    return identity__mailbox_read(arena, from, &mailbox, ret_reason);
}

void identity_mail_stats_read(const struct identity_mail *mail, struct identity_mail_stats *ret)
{
    uint64_t totals[IDENTITY__MAIL_EVENTS];
    for (unsigned e = 0; e < IDENTITY__MAIL_EVENTS; e++)
        totals[e] = __atomic_load_n(&mail->totals[e], __ATOMIC_RELAXED);
    *ret = (struct identity_mail_stats){
        .sent = totals[IDENTITY__MAIL_COUNT_SENT],
        .retried = totals[IDENTITY__MAIL_COUNT_RETRIED],
        .refused = totals[IDENTITY__MAIL_COUNT_REFUSED],
        .expired = totals[IDENTITY__MAIL_COUNT_EXPIRED],
        .waiting = __atomic_load_n(&mail->waiting, __ATOMIC_RELAXED),
        .oldest_us = __atomic_load_n(&mail->oldest_us, __ATOMIC_RELAXED),
    };
}

/* -- writing a mail
 * -------------------------------------------------------------------------------------------- */

struct written {
    struct uuid id;
    int64_t now_us, expires_us;
    struct slice to, mime;
};

static enum status write_parts(const struct identity_mail *mail, enum identity_mail_kind kind,
                               const struct slice *values, struct arena *arena,
                               struct identity__mime *mime)
{
    const struct {
        const struct identity__mail_template *template;
        struct slice *out;
        size_t bytes_max;
    } parts[] = {
        { mail->templates.of[kind].subject, &mime->subject, SUBJECT_MAX },
        { mail->templates.of[kind].text, &mime->text, PART_MAX },
        { mail->templates.of[kind].html, &mime->html, PART_MAX },
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct buf out;
        buf_init(&out, arena, 1024, parts[i].bytes_max);
        identity__mail_template_put(parts[i].template, values, &out);
        if (buf_status(&out) != STATUS_OK)
            return buf_status(&out);
        *parts[i].out = buf_slice(&out);
    }
    return STATUS_OK;
}

static enum status refuse_address(struct problem *problem, struct arena *arena, const char *reason)
{
    return problem_put(problem, arena, __FILE__, __LINE__, STATUS_INVALID, "identity/mail-address",
                       "No mail can be sent to this address: it %s", reason);
}

static enum status write_mail(const struct identity_mail *mail,
                              const struct identity_mail_letter *letter, struct arena *arena,
                              struct problem *problem, struct written *ret_written)
{
    if (!mail->sender)
        return problem_put(problem, arena, __FILE__, __LINE__, STATUS_UNAVAILABLE,
                           "identity/no-mail",
                           "This needs mail, and this server has no way to send any: SMTP_URL is "
                           "not set.");
    const char *reason = "";
    int64_t now_us = clock_wall_us();
    struct written w = { .id = uuid_v7(),
                         .now_us = now_us,
                         .expires_us = letter->expires_us ? letter->expires_us
                                                          : now_us + IDENTITY__MAIL_LIFE_US };
    struct slice values[IDENTITY__MAIL_VALUES];
    enum status st = identity_mail_address_read(arena, letter->to, &w.to, &reason);
    if (st == STATUS_INVALID)
        return refuse_address(problem, arena, reason);
    if (st == STATUS_OK)
        st = identity__mail_values_make(letter, mail->app, w.to, now_us, w.expires_us, arena,
                                        problem, values);
    struct identity__mime mime = {
        .id = w.id,
        .date_us = now_us,
        .from = &mail->from,
        .to = w.to,
        .reply_to = mail->reply_to,
        .kind = slice_cstr(identity_mail_kind_name(letter->kind)),
    };
    if (st == STATUS_OK)
        st = write_parts(mail, letter->kind, values, arena, &mime);
    struct buf out;
    buf_init(&out, arena, 8192, IDENTITY__MIME_BYTES_MAX);
    if (st == STATUS_OK) {
        identity__mime_put(&out, &mime);
        st = buf_status(&out);
    }
    if (st == STATUS_TOO_LARGE)
        return problem_put(problem, arena, __FILE__, __LINE__, STATUS_INTERNAL,
                           "identity/mail-values", "The mail %s grew too large.",
                           identity_mail_kind_name(letter->kind));
    if (st != STATUS_OK)
        return st;
    w.mime = buf_slice(&out);
    *ret_written = w;
    return STATUS_OK;
}

enum status identity_mail_render(const struct identity_mail *mail,
                                 const struct identity_mail_letter *letter, struct arena *arena,
                                 struct problem *problem, struct identity_mail_message *ret_message)
{
    struct written w;
    struct slice sealed;
    enum status st = write_mail(mail, letter, arena, problem, &w);
    if (st == STATUS_OK)
        st = identity__mail_seal_close(&mail->seal, &w.id, w.to, w.mime, arena, &sealed);
    if (st != STATUS_OK)
        return st;
    *ret_message = (struct identity_mail_message){ .mail = mail,
                                                   .id = w.id,
                                                   .kind = letter->kind,
                                                   .created_us = w.now_us,
                                                   .expires_us = w.expires_us,
                                                   .sealed = sealed };
    return STATUS_OK;
}

enum status identity_mail_send(struct task *task, const struct identity_mail *mail,
                               const struct identity_mail_letter *letter, struct buf *answer)
{
    struct written w;
    struct identity__mail_outcome outcome = { .said = SLICE("") };
    enum status st = write_mail(mail, letter, task_arena(task), task_problem(task), &w);
    if (st != STATUS_OK)
        return st;
    const struct identity__mail_parcel parcel = { .id = w.id, .to = w.to, .mime = w.mime };
    st = mail->sender->send(task, mail, &parcel, &outcome);
    if (st != STATUS_OK)
        return st;
    if (answer)
        buf_put_slice(answer, outcome.said);
    if (outcome.verdict == IDENTITY__MAIL_SENT)
        return STATUS_OK;
    return problem_set(task, STATUS_UNAVAILABLE, "identity/mail-refused",
                       "The mail was not sent (%s)%s%.*s", outcome.reason,
                       outcome.said.len ? ": " : ".", SLICE_ARG(outcome.said));
}
