/*
 * identity/password_policy.c - Which passwords may be chosen: length, and not among the first that
 * somebody would guess (NIST SP 800-63B section 5.1.1.2). There are no rules about kinds of
 * characters; they make passwords worse.
 */
#include "identity/password.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/problem.h"
#include "fiber/task.h"
#include "identity/password_private.h"

#define NEWS_MIN 4u        /* code points that do not follow from what stands before them */
#define PERIOD_MAX 4u      /* of what is repeated */
#define OWN_BYTES_MIN 4u   /* of a word of one's own: shorter ones stand in many words */
#define OWN_BYTES_MAX 320u /* the longest address of mail */

static const struct {
    const char *code, *text;
} faults[IDENTITY_PASSWORD_FAULT_COUNT] = {
    [IDENTITY_PASSWORD_GOOD] = { "good", "This password can be used." },
    [IDENTITY_PASSWORD_NOT_TEXT] = { "not_text",
                                     "This has characters that cannot be typed into a form." },
    [IDENTITY_PASSWORD_TOO_SHORT] = { "too_short", "Use at least 8 characters. Several words make "
                                                   "a good password." },
    [IDENTITY_PASSWORD_TOO_LONG] = { "too_long", "Use at most 1024 characters." },
    [IDENTITY_PASSWORD_TOO_SIMPLE] = { "too_simple", "This is a sequence or the same few "
                                                     "characters again and again. Several words "
                                                     "make a good password." },
    [IDENTITY_PASSWORD_TOO_COMMON] = { "too_common", "This is among the passwords that are tried "
                                                     "first, also with digits or signs added. "
                                                     "Several words make a good password." },
    [IDENTITY_PASSWORD_PERSONAL] = { "personal", "Apart from your own name or address, or the name "
                                                 "of this site, this has fewer than 8 "
                                                 "characters." },
};

const char *identity_password_fault_code(enum identity_password_fault fault)
{
    return faults[fault].code;
}

const char *identity_password_fault_text(enum identity_password_fault fault)
{
    return faults[fault].text;
}

/* Browsers drop or refuse them in a field, so that the owner could never log in by a page. */
static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        bool c1 = c == 0xc2 && i + 1 < s.len && (unsigned char)s.data[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c1)
            return true;
    }
    return false;
}

/* -- sequences
 * ------------------------------------------------------------------------------------------------
 */

/* Side by side on a keyboard. */
static bool are_neighbours(utf8proc_int32_t a, utf8proc_int32_t b)
{
    static const char *const rows[] = { "1234567890", "qwertyuiop", "asdfghjkl",
                                        "zxcvbnm",    "qwertzuiop", "yxcvbnm",
                                        "azertyuiop", "qsdfghjklm", "wxcvbn" };
    if (a <= 0 || a >= 0x80 || b <= 0 || b >= 0x80)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *at = strchr(rows[i], a);
        if (at && (at[1] == b || (at > rows[i] && at[-1] == b)))
            return true;
    }
    return false;
}

/* Few code points are news: the others are one up, one down or next to the one before, or what
 * stood there up to four places ago. */
static bool is_simple(struct slice folded)
{
    utf8proc_int32_t before[PERIOD_MAX] = { 0 };
    unsigned news = 0;
    for (size_t at = 0, n = 0; at < folded.len && news < NEWS_MIN; n++) {
        utf8proc_int32_t point = 0;
        at += (size_t)MAX(utf8proc_iterate((const utf8proc_uint8_t *)folded.data + at,
                                           (utf8proc_ssize_t)(folded.len - at), &point),
                          1);
        utf8proc_int32_t last = before[(n + PERIOD_MAX - 1) % PERIOD_MAX];
        bool follows =
            n > 0 && (point == last + 1 || point == last - 1 || are_neighbours(last, point));
        for (size_t i = 0; i < MIN(n, (size_t)PERIOD_MAX); i++)
            follows |= point == before[i];
        news += !follows;
        before[n % PERIOD_MAX] = point;
    }
    sodium_memzero(before, sizeof(before));
    return news < NEWS_MIN;
}

/* -- one's own names
 * ------------------------------------------------------------------------------------------ */

struct cover {
    struct slice password; /* folded */
    bool *covered;         /* a byte each */
};

static void cover_word(struct cover *cover, struct slice word)
{
    if (word.len < OWN_BYTES_MIN)
        return;
    for (size_t at = 0; at + word.len <= cover->password.len;) {
        size_t found = slice_find_slice(slice_from(cover->password, at), word);
        if (found == SIZE_MAX)
            return;
        memset(cover->covered + at + found, true, word.len);
        at += found + 1;
    }
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

static void cover_words_of(struct cover *cover, struct slice text)
{
    size_t start = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && is_word_char(text.data[i]))
            continue;
        cover_word(cover, slice_of(text.data + start, i - start));
        start = i + 1;
    }
}

/* "Ann.Lee@example.org" as a whole, before and after the @, by words, and "annlee". */
static enum status cover_own(struct cover *cover, struct slice raw)
{
    struct slice cut = slice_head(raw, OWN_BYTES_MAX);
    while (cut.len < raw.len && cut.len > 0 && ((unsigned char)raw.data[cut.len] & 0xc0) == 0x80)
        cut.len--;
    CLEANUP(identity__text_wipe) struct identity__text text = { .data = NULL };
    enum status st = identity__text_make(cut, true, &text);
    if (st != STATUS_OK)
        return st == STATUS_EXHAUSTED ? st : STATUS_OK; /* no text: in no password either */
    struct slice all = identity__text_slice(&text);
    size_t at = slice_find(all, '@');
    struct slice local = at == SIZE_MAX ? all : slice_head(all, at);
    cover_word(cover, all);
    cover_word(cover, local);
    cover_word(cover, slice_from(all, local.len + 1));
    cover_words_of(cover, all);
    size_t len = 0;
    for (size_t i = 0; i < local.len; i++) {
        if (is_word_char(text.data[i]))
            text.data[len++] = text.data[i];
    }
    cover_word(cover, slice_of(text.data, len));
    return STATUS_OK;
}

/* Is what is left of it, without the names, too short for a password? */
static enum status is_personal(struct slice folded, const struct slice *own, size_t own_len,
                               bool *ret)
{
    struct cover cover = { .password = folded, .covered = calloc(folded.len + 1, 1) };
    if (!cover.covered)
        return STATUS_EXHAUSTED;
    enum status st = STATUS_OK;
    for (size_t i = 0; i < own_len && st == STATUS_OK; i++)
        st = cover_own(&cover, own[i]);
    size_t left = 0;
    for (size_t i = 0; i < folded.len; i++)
        left += !cover.covered[i] && ((unsigned char)folded.data[i] & 0xc0) != 0x80;
    free(cover.covered);
    if (st == STATUS_OK)
        *ret = left < IDENTITY_PASSWORD_POINTS_MIN;
    return st;
}

/* -- all of it
 * ------------------------------------------------------------------------------------------------
 */

/* Of what is text and long enough. */
static enum status judge_content(struct slice password, const struct slice *own, size_t own_len,
                                 enum identity_password_fault *ret_fault)
{
    CLEANUP(identity__text_wipe) struct identity__text text = { .data = NULL };
    enum status st = identity__text_make(password, true, &text);
    if (st != STATUS_OK)
        return st;
    struct slice folded = identity__text_slice(&text);
    bool personal = false;
    st = is_personal(folded, own, own_len, &personal);
    if (st != STATUS_OK)
        return st;
    *ret_fault = IDENTITY_PASSWORD_GOOD;
    if (identity__common_or_nearly(folded))
        *ret_fault = IDENTITY_PASSWORD_TOO_COMMON;
    else if (is_simple(folded))
        *ret_fault = IDENTITY_PASSWORD_TOO_SIMPLE;
    else if (personal)
        *ret_fault = IDENTITY_PASSWORD_PERSONAL;
    return STATUS_OK;
}

enum status identity_password_judge(struct slice password, const struct slice *own, size_t own_len,
                                    enum identity_password_fault *ret_fault)
{
    CLEANUP(identity__text_wipe) struct identity__text text = { .data = NULL };
    enum status st = identity__text_make(password, false, &text);
    if (st == STATUS_EXHAUSTED)
        return st;
    if (st == STATUS_TOO_LARGE) {
        *ret_fault = IDENTITY_PASSWORD_TOO_LONG;
    } else if (st != STATUS_OK || has_control(password)) {
        *ret_fault = IDENTITY_PASSWORD_NOT_TEXT;
    } else if (MIN(utf8_count(password), utf8_count(identity__text_slice(&text))) <
               IDENTITY_PASSWORD_POINTS_MIN) {
        /* In the form that has fewer: neither marks typed apart nor one letter that is eighteen. */
        *ret_fault = IDENTITY_PASSWORD_TOO_SHORT;
    } else {
        return judge_content(password, own, own_len, ret_fault);
    }
    return STATUS_OK;
}

enum status identity_password_check(struct task *task, struct slice pointer, struct slice password,
                                    const struct slice *own, size_t own_len)
{
    enum identity_password_fault fault = IDENTITY_PASSWORD_GOOD;
    enum status st = identity_password_judge(password, own, own_len, &fault);
    if (st != STATUS_OK || fault == IDENTITY_PASSWORD_GOOD)
        return st;
    problem_field_add(task_problem(task), task_arena(task), pointer, faults[fault].code, "%s",
                      faults[fault].text);
    return STATUS_INVALID;
}
