/*
 * identity/mail_values.c - Values come from requests, so they are made harmless before a template
 * sees them: one line, no controls, no marks that turn the direction of writing around. Escaping
 * for HTML is the template's.
 */
#include "identity/mail_values.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"

#define BIT(value) IDENTITY__MAIL_BIT(IDENTITY__MAIL_##value)
#define ALWAYS (BIT(APP) | BIT(TO) | BIT(NAME) | BIT(WHEN) | BIT(EXPIRES_IN) | BIT(EXPIRES_AT))

static const struct {
    const char *name;
    unsigned has, needs;
} kinds[IDENTITY_MAIL_KINDS] = {
    [IDENTITY_MAIL_VERIFY_EMAIL] = { "verify_email", BIT(LINK) | BIT(CODE), BIT(LINK) },
    [IDENTITY_MAIL_RESET_PASSWORD] = { "reset_password", BIT(LINK), BIT(LINK) },
    [IDENTITY_MAIL_MAGIC_LINK] = { "magic_link", BIT(LINK) | BIT(CODE), BIT(LINK) },
    [IDENTITY_MAIL_EMAIL_CHANGE] = { "email_change", BIT(LINK) | BIT(CODE), BIT(LINK) },
    [IDENTITY_MAIL_EMAIL_CHANGE_NOTICE] = { "email_change_notice",
                                            BIT(LINK) | BIT(NEW_ADDRESS) | BIT(DEVICE) | BIT(IP),
                                            BIT(NEW_ADDRESS) },
    [IDENTITY_MAIL_NEW_DEVICE] = { "new_device", BIT(LINK) | BIT(DEVICE) | BIT(IP), 0 },
    [IDENTITY_MAIL_INVITATION] = { "invitation", BIT(LINK) | BIT(INVITER), BIT(LINK) },
    [IDENTITY_MAIL_PASSWORD_CHANGED] = { "password_changed", BIT(LINK) | BIT(DEVICE) | BIT(IP), 0 },
    [IDENTITY_MAIL_ACCOUNT_DELETION] = { "account_deletion", BIT(LINK), 0 },
    [IDENTITY_MAIL_ACCOUNT_EXISTS] = { "account_exists", BIT(LINK), 0 },
    [IDENTITY_MAIL_EMAIL_CHANGED] = { "email_changed", BIT(NEW_ADDRESS) | BIT(DEVICE) | BIT(IP),
                                      BIT(NEW_ADDRESS) },
    [IDENTITY_MAIL_FACTOR_ADDED] = { "factor_added",
                                     BIT(LINK) | BIT(FACTOR) | BIT(DEVICE) | BIT(IP), BIT(FACTOR) },
    [IDENTITY_MAIL_FACTOR_REMOVED] = { "factor_removed",
                                       BIT(LINK) | BIT(FACTOR) | BIT(DEVICE) | BIT(IP),
                                       BIT(FACTOR) },
    [IDENTITY_MAIL_ACTED_AS] = { "acted_as", BIT(LINK), 0 },
    [IDENTITY_MAIL_RECOVERY_CODES] = { "recovery_codes", BIT(LINK) | BIT(DEVICE) | BIT(IP), 0 },
    [IDENTITY_MAIL_TEST] = { "test", 0, 0 },
};

const char *identity_mail_kind_name(enum identity_mail_kind kind)
{
    return kinds[kind].name;
}

bool identity_mail_kind_find(struct slice name, enum identity_mail_kind *ret_kind)
{
    for (unsigned k = 0; k < IDENTITY_MAIL_KINDS; k++) {
        if (slice_eq(name, slice_cstr(kinds[k].name))) {
            *ret_kind = (enum identity_mail_kind)k;
            return true;
        }
    }
    return false;
}

unsigned identity__mail_values_of(enum identity_mail_kind kind)
{
    return kinds[kind].has | ALWAYS;
}

unsigned identity__mail_needed(enum identity_mail_kind kind)
{
    return kinds[kind].needs | BIT(APP) | BIT(TO);
}

/* -- texts of people
 * ------------------------------------------------------------------------------------------ */

/* The code point of a well-formed sequence. */
static uint32_t code_point(const char *at, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)at;
    if (bytes == 1)
        return p[0];
    uint32_t point = p[0] & (0xffu >> (bytes + 1));
    for (size_t i = 1; i < bytes; i++)
        point = point << 6 | (p[i] & 0x3fu);
    return point;
}

/* Controls, separators of lines, and what turns the direction of writing. */
static bool is_harmful(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
           point == 0x200e || point == 0x200f || point == 0x061c ||
           (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
           point == 0xfeff;
}

static enum status clean(struct arena *arena, struct slice text, size_t points_max,
                         struct slice *ret_text)
{
    struct buf out;
    size_t points = 0;
    buf_init(&out, arena, 64, 4 * points_max + 8);
    for (size_t i = 0; i < text.len;) {
        size_t bytes = utf8_sequence(slice_from(text, i));
        bool is_space =
            bytes == 0 || is_harmful(code_point(text.data + i, bytes)) || text.data[i] == ' ';
        bool follows_space = out.len == 0 || out.data[out.len - 1] == ' ';
        if (points == points_max) {
            buf_put_lit(&out, "\xe2\x80\xa6");
            break;
        }
        if (!is_space)
            buf_put(&out, text.data + i, bytes);
        else if (!follows_space)
            buf_putc(&out, ' ');
        points += !is_space || !follows_space;
        i += bytes ? bytes : 1;
    }
    *ret_text = slice_trim(buf_slice(&out));
    return buf_status(&out);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* Would a mail program make a link of a part of it? "J.R.R. Tolkien" is none, "example.org" is. */
static bool is_linked(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_dot = c == '.' && i > 0 && text.data[i - 1] != ' ' && i + 2 < text.len &&
                      is_letter(text.data[i + 1]) && is_letter(text.data[i + 2]);
        if (c == '/' || c == '\\' || c == '@' || c == '<' || c == '>' || is_dot)
            return true;
    }
    return false;
}

static enum status person(struct arena *arena, struct slice text, struct slice *ret_text)
{
    enum status st = clean(arena, text, IDENTITY__MAIL_PERSON_MAX, ret_text);
    if (st == STATUS_OK && is_linked(*ret_text))
        *ret_text = SLICE("");
    return st;
}

/* -- links and times
 * ------------------------------------------------------------------------------------------- */

static bool is_link(struct slice text)
{
    struct slice rest = slice_from(text, slice_starts(text, SLICE("https://")) ? 8 : 7);
    if (text.len > IDENTITY__MAIL_LINK_MAX || rest.len == 0 || rest.data[0] == '/' ||
        !(slice_starts(text, SLICE("https://")) || slice_starts(text, SLICE("http://"))))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}", c))
            return false;
    }
    return true;
}

/* "15 minutes", "1 hour", "3 days": rounded down, so that nobody comes too late. */
static struct slice duration(struct arena *arena, int64_t us)
{
    static const struct {
        int64_t us;
        const char *name;
    } units[] = { { CLOCK_DAY, "day" }, { CLOCK_HOUR, "hour" }, { CLOCK_MINUTE, "minute" } };
    /* What was decided a moment ago is as long as it was meant to be. */
    us += CLOCK_SECOND;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        int64_t n = us / units[i].us;
        /* "36 hours", not "1 day". */
        if (n >= 2 || (n == 1 && (i + 1 == ARRAY_LEN(units) || us % units[i].us < units[i + 1].us)))
            return arena_printf(arena, "%lld %s%s", (long long)n, units[i].name, n == 1 ? "" : "s");
    }
    return SLICE("less than a minute");
}

void identity__moment_put(struct buf *out, int64_t wall_us, bool with_minutes)
{
    static const char *const months[] = { "January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December" };
    char text[CLOCK_RFC3339_LEN];
    int64_t month = 1, day = 1;
    clock_format_rfc3339(wall_us, text);
    (void)slice_to_i64(slice_of(text + 5, 2), &month); /* digits, by the format */
    (void)slice_to_i64(slice_of(text + 8, 2), &day);
    buf_printf(out, "%lld %s %.4s", (long long)day, months[month - 1], text);
    if (with_minutes)
        buf_printf(out, ", %.5s UTC", text + 11);
}

static struct slice moment(struct arena *arena, int64_t wall_us)
{
    struct buf text;
    buf_init(&text, arena, 40, 64);
    identity__moment_put(&text, wall_us, true);
    return buf_status(&text) == STATUS_OK ? buf_slice(&text) : SLICE_NULL;
}

/* -- all of them
 * -----------------------------------------------------------------------------------------------
 */

static enum status check(const struct identity_mail_letter *letter, struct arena *arena,
                         struct problem *problem, const struct slice *values)
{
    unsigned needs = identity__mail_needed(letter->kind);
    for (unsigned v = 0; v < IDENTITY__MAIL_VALUES; v++)
        if ((needs & IDENTITY__MAIL_BIT(v)) && values[v].len == 0)
            return problem_put(problem, arena, __FILE__, __LINE__, STATUS_INTERNAL,
                               "identity/mail-values", "The mail %s cannot be written without %s.",
                               kinds[letter->kind].name, identity__mail_value_names[v].data);
    if (letter->link.len && !is_link(letter->link))
        return problem_put(problem, arena, __FILE__, __LINE__, STATUS_INTERNAL,
                           "identity/mail-values",
                           "The mail %s cannot be written: its link is no absolute URL.",
                           kinds[letter->kind].name);
    return STATUS_OK;
}

enum status identity__mail_values_make(const struct identity_mail_letter *letter, struct slice app,
                                       struct slice to, int64_t now_us, int64_t expires_us,
                                       struct arena *arena, struct problem *problem,
                                       struct slice ret_values[IDENTITY__MAIL_VALUES])
{
    struct slice v[IDENTITY__MAIL_VALUES] = {
        [IDENTITY__MAIL_APP] = app,
        [IDENTITY__MAIL_TO] = to,
        [IDENTITY__MAIL_LINK] = letter->link,
        [IDENTITY__MAIL_WHEN] = moment(arena, letter->at_us ? letter->at_us : now_us),
        [IDENTITY__MAIL_EXPIRES_IN] = duration(arena, expires_us - now_us),
        [IDENTITY__MAIL_EXPIRES_AT] = moment(arena, expires_us),
    };
    const struct {
        struct slice in, *out;
        size_t points_max; /* 0: a person's */
    } texts[] = {
        { letter->name, &v[IDENTITY__MAIL_NAME], 0 },
        { letter->inviter, &v[IDENTITY__MAIL_INVITER], 0 },
        { letter->device, &v[IDENTITY__MAIL_DEVICE], 0 },
        { letter->factor, &v[IDENTITY__MAIL_FACTOR], 0 },
        { letter->code, &v[IDENTITY__MAIL_CODE], 32 },
        { letter->ip, &v[IDENTITY__MAIL_IP], 64 },
        { letter->new_address, &v[IDENTITY__MAIL_NEW_ADDRESS], 254 },
    };
    enum status st = STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(texts) && st == STATUS_OK; i++)
        st = texts[i].points_max ? clean(arena, texts[i].in, texts[i].points_max, texts[i].out)
                                 : person(arena, texts[i].in, texts[i].out);
    if (st == STATUS_OK && (!v[IDENTITY__MAIL_WHEN].data || !v[IDENTITY__MAIL_EXPIRES_AT].data ||
                            !v[IDENTITY__MAIL_EXPIRES_IN].data))
        st = STATUS_EXHAUSTED;
    if (st == STATUS_OK)
        st = check(letter, arena, problem, v);
    if (st == STATUS_OK)
        memcpy(ret_values, v, sizeof(v));
    return st;
}
