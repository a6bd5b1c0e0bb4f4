/*
 * identity/password.c - Hashing and verifying on threads of their own. A job lies in the frame of
 * its task, which stays until the job has run or was withdrawn (fiber/offload.c), so the password
 * is not copied on its way; the copies that are made, of its normal form and for libcrypt, are made
 * by the thread and wiped by it.
 *
 * Verifying tries the normal form, and when that is another text the bytes as they came: another
 * system hashed them so. How many tries there are depends on what was typed, never on the account.
 */
#include "identity/password.h"

#include <crypt.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/id.h"
#include "fiber/task.h"
#include "identity/password_private.h"

#define MEMORY_KIB_DEFAULT 19456u /* OWASP Password Storage Cheat Sheet: 19 MiB, two passes */
#define MEMORY_KIB_LEAST 8192u
#define MEMORY_KIB_MOST 262144u
#define PASSES_DEFAULT 2u
#define PASSES_MOST 10u
#define WORK_KIB_MOST ((uint64_t)1024 * 1024) /* what identity_password_read lets pass */
#define QUEUE_DEFAULT 64u
#define SALT_BYTES 16u
#define HASH_BYTES 32u
#define BCRYPT_BYTES 72u   /* of the password; the rest never counted */
#define BCRYPT_SETTING 29u /* "$2b$12$" and the salt */

/* Loops come first: beside one that has work, a thread that hashes gets a quarter of a core. */
#define NICE 5

struct identity_passwords {
    struct offload *offload;
    uint32_t memory_kib, passes;
    char nobody[crypto_pwhash_STRBYTES]; /* a hash of the wanted parameters that nothing matches */
};

/* -- the threads
 * ------------------------------------------------------------------------------------------ */

static void make_nobody(struct identity_passwords *passwords)
{
    uint8_t salt[SALT_BYTES], hash[HASH_BYTES];
    char
        salt_text[sodium_base64_ENCODED_LEN(SALT_BYTES, sodium_base64_VARIANT_ORIGINAL_NO_PADDING)];
    char
        hash_text[sodium_base64_ENCODED_LEN(HASH_BYTES, sodium_base64_VARIANT_ORIGINAL_NO_PADDING)];
    randombytes_buf(salt, sizeof(salt));
    randombytes_buf(hash, sizeof(hash));
    (void)sodium_bin2base64(salt_text, sizeof(salt_text), salt, sizeof(salt),
                            sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    (void)sodium_bin2base64(hash_text, sizeof(hash_text), hash, sizeof(hash),
                            sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    (void)snprintf(passwords->nobody, sizeof(passwords->nobody),
                   "$argon2id$v=19$m=%u,t=%u,p=1$%s$%s", passwords->memory_kib, passwords->passes,
                   salt_text, hash_text);
}

static unsigned threads_default(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores >= 2 ? (unsigned)(cores / 2) : 1;
}

enum status identity_passwords_new(const struct identity_password_options *options,
                                   struct identity_passwords **ret)
{
    struct identity_password_options o =
        options ? *options : (struct identity_password_options){ .threads = 0 };
    o.memory_kib = o.memory_kib ? o.memory_kib : MEMORY_KIB_DEFAULT;
    o.passes = o.passes ? o.passes : PASSES_DEFAULT;
    if (o.memory_kib < MEMORY_KIB_LEAST || o.memory_kib > MEMORY_KIB_MOST ||
        o.passes > PASSES_MOST || (uint64_t)o.memory_kib * o.passes > WORK_KIB_MOST)
        return STATUS_INVALID;
    struct identity_passwords *passwords = calloc(1, sizeof(*passwords));
    if (!passwords)
        return STATUS_EXHAUSTED;
    passwords->memory_kib = o.memory_kib;
    passwords->passes = o.passes;
    make_nobody(passwords);
    enum status st = offload_new(o.threads ? o.threads : threads_default(),
                                 o.queue_max ? o.queue_max : QUEUE_DEFAULT, &passwords->offload);
    if (st != STATUS_OK) {
        free(passwords);
        return st;
    }
    *ret = passwords;
    return STATUS_OK;
}

void identity_passwords_free(struct identity_passwords *passwords)
{
    if (!passwords)
        return;
    offload_free(passwords->offload);
    free(passwords);
}

/* The one place that queues: what was refused for want of room says when to come back, and not the
 * same to everybody. */
static enum status run(struct task *task, struct identity_passwords *passwords,
                       void (*fn)(void *arg), void *arg)
{
    enum status st = task_offload_on(task, passwords->offload, fn, arg);
    if (st != STATUS_EXHAUSTED)
        return st;
    st = problem_set(task, STATUS_EXHAUSTED, "identity/busy",
                     "Too many people are logging in at this moment. Try again in a few seconds.");
    task_problem(task)->retry_after_us = (int64_t)(1 + random_fast() % 3) * CLOCK_SECOND;
    return st;
}

static enum status without_memory(struct task *task)
{
    return problem_set(task, STATUS_EXHAUSTED, "identity/no-memory",
                       "There is not enough memory to check a password at this moment.");
}

/* The threads are ours alone, so that it may stay. Refused at worst by a seccomp filter. */
static void give_way_to_loops(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
}

/* -- hash
 * -------------------------------------------------------------------------------------------------
 */

struct hash_job {
    const struct identity_passwords *passwords;
    struct slice password;
    enum status status;
    char stored[crypto_pwhash_STRBYTES];
};

static void hash_on_thread(void *arg)
{
    struct hash_job *job = arg;
    give_way_to_loops();
    CLEANUP(identity__text_wipe) struct identity__text text = { .data = NULL };
    job->status = identity__text_make(job->password, false, &text);
    if (job->status != STATUS_OK)
        return;
    /* Fails only without memory: the bounds of the rest were checked. */
    if (crypto_pwhash_argon2id_str(job->stored, text.data, text.len, job->passwords->passes,
                                   (size_t)job->passwords->memory_kib * 1024) != 0)
        job->status = STATUS_EXHAUSTED;
}

enum status identity_password_hash(struct task *task, struct identity_passwords *passwords,
                                   struct slice password, struct slice *ret_stored)
{
    struct hash_job job = { .passwords = passwords, .password = password };
    enum status st = run(task, passwords, hash_on_thread, &job);
    if (st != STATUS_OK)
        return st;
    if (job.status == STATUS_EXHAUSTED)
        return without_memory(task);
    if (job.status != STATUS_OK)
        return problem_set(task, STATUS_INVALID, "identity/no-password",
                           "A password is text of at most %u characters.",
                           IDENTITY_PASSWORD_POINTS_MAX);
    return arena_copy(task_arena(task), slice_cstr(job.stored), ret_stored);
}

/* -- verify
 * -----------------------------------------------------------------------------------------------
 */

struct verify_job {
    struct slice password;
    enum identity_password_scheme scheme;
    const char *stored; /* NUL-terminated */
    bool matched, matched_raw;
    enum status status;
};

static bool matches_argon2id(struct verify_job *job, struct slice password)
{
    errno = 0;
    if (crypto_pwhash_argon2id_str_verify(job->stored, password.len ? password.data : "",
                                          password.len) == 0)
        return true;
    if (errno == ENOMEM)
        job->status = STATUS_EXHAUSTED;
    return false;
}

static bool matches_bcrypt(struct verify_job *job, struct slice password)
{
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (!data) {
        job->status = STATUS_EXHAUSTED;
        return false;
    }
    char phrase[BCRYPT_BYTES + 1] = { 0 };
    struct slice head = slice_head(password, BCRYPT_BYTES);
    if (head.len > 0)
        memcpy(phrase, head.data, head.len);
    const char *made = crypt_rn(phrase, job->stored, data, (int)sizeof(*data));
    /* The setting is written back in its canonical form, which others did not always store. */
    bool matched = made && strlen(made) == strlen(job->stored) &&
                   sodium_memcmp(made + BCRYPT_SETTING, job->stored + BCRYPT_SETTING,
                                 strlen(made) - BCRYPT_SETTING) == 0;
    /* To libcrypt the text ends at its first zero byte. */
    matched = matched && slice_find(head, 0) == SIZE_MAX;
    sodium_memzero(phrase, sizeof(phrase));
    sodium_memzero(data, sizeof(*data));
    free(data);
    return matched;
}

static bool matches(struct verify_job *job, struct slice password)
{
    return job->scheme == IDENTITY_PASSWORD_BCRYPT ? matches_bcrypt(job, password)
                                                   : matches_argon2id(job, password);
}

static void verify_on_thread(void *arg)
{
    struct verify_job *job = arg;
    give_way_to_loops();
    CLEANUP(identity__text_wipe) struct identity__text text = { .data = NULL };
    enum status st = identity__text_make(job->password, false, &text);
    if (st == STATUS_EXHAUSTED) {
        job->status = st;
        return;
    }
    struct slice normal = identity__text_slice(&text);
    if (st == STATUS_OK)
        job->matched = matches(job, normal);
    if (job->matched || job->status != STATUS_OK)
        return;
    if (st != STATUS_OK || !slice_eq(normal, job->password))
        job->matched = job->matched_raw = matches(job, job->password);
}

static bool is_weaker(const struct identity_password_info *info,
                      const struct identity_passwords *wanted)
{
    return info->scheme != IDENTITY_PASSWORD_ARGON2ID || info->memory_kib < wanted->memory_kib ||
           info->passes < wanted->passes || info->salt_bytes < SALT_BYTES ||
           info->hash_bytes < HASH_BYTES;
}

enum status identity_password_verify(struct task *task, struct identity_passwords *passwords,
                                     struct slice password, struct slice stored,
                                     struct identity_password_verdict *ret)
{
    struct identity_password_info info = { .scheme = IDENTITY_PASSWORD_ARGON2ID };
    struct identity_password_verdict verdict = { .matched = false };
    char text[IDENTITY_PASSWORD_HASH_MAX + 1] = { 0 };
    struct verify_job job = { .password = password, .stored = passwords->nobody };
    bool readable = stored.len > 0 && identity_password_read(stored, &info) == STATUS_OK;
    verdict.unreadable = stored.len > 0 && !readable;
    if (readable) {
        memcpy(text, stored.data, stored.len);
        job.stored = text;
        job.scheme = info.scheme;
    }
    if (password.len > IDENTITY__PASSWORD_BYTES_MAX) {
        *ret = verdict;
        return STATUS_OK;
    }
    enum status st = run(task, passwords, verify_on_thread, &job);
    if (st != STATUS_OK)
        return st;
    if (job.status == STATUS_EXHAUSTED)
        return without_memory(task);
    verdict.matched = readable && job.matched;
    verdict.rehash_due = verdict.matched && (job.matched_raw || is_weaker(&info, passwords));
    *ret = verdict;
    return STATUS_OK;
}
