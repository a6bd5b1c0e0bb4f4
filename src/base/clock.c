/*
 * Dates are computed, not asked of the C library: its broken-down time is slow, locale-bound and
 * holds locks. Days since 1970 become year, month and day by counting from 1 March of year 0, so
 * that the leap day is the last of its year.
 */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#include "base/digits.h"
#include "base/macros.h"

/* Tests alone write these; everybody reads the flag, which is then always false. */
static struct {
    bool on;
    int64_t wall_us;
    int64_t mono_us;
} fake;

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts); /* cannot fail for these two clocks */
    return (int64_t)ts.tv_sec * CLOCK_SECOND + ts.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    if (UNLIKELY(__atomic_load_n(&fake.on, __ATOMIC_ACQUIRE)))
        return __atomic_load_n(&fake.wall_us, __ATOMIC_RELAXED);
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
    if (UNLIKELY(__atomic_load_n(&fake.on, __ATOMIC_ACQUIRE)))
        return __atomic_load_n(&fake.mono_us, __ATOMIC_RELAXED);
    return read_clock(CLOCK_MONOTONIC);
}

void clock_fake_set(int64_t wall_us, int64_t mono_us)
{
    __atomic_store_n(&fake.wall_us, wall_us, __ATOMIC_RELAXED);
    __atomic_store_n(&fake.mono_us, mono_us, __ATOMIC_RELAXED);
    __atomic_store_n(&fake.on, wall_us != 0 || mono_us != 0, __ATOMIC_RELEASE);
}

struct date {
    int32_t year;
    uint32_t month, day; /* from 1 */
};

#define DAYS_MIN (-719528) /* 0000-01-01 */
#define DAYS_MAX 2932896   /* 9999-12-31 */
#define WALL_MIN (DAYS_MIN * CLOCK_DAY)
#define WALL_MAX ((DAYS_MAX + 1) * CLOCK_DAY - 1)

static struct date date_of_days(int32_t days)
{
    /* Shifted by one era of 400 years, to stay above zero: 1970-01-01 is day 719468 since
     * 0000-03-01. The divisions by the lengths of centuries, years and months are multiplications
     * whose low half is the remainder (Neri and Schneider 2022, "Euclidean affine functions"). */
    uint32_t since_march = (uint32_t)(days + 719468 + 146097);
    uint32_t quarters = 4 * since_march + 3;
    uint32_t century = quarters / 146097;
    uint32_t in_century = (quarters - century * 146097) | 3;
    uint64_t year_and_rest = (uint64_t)2939745 * in_century;
    uint32_t year_of_century = (uint32_t)(year_and_rest >> 32);
    uint32_t day_of_year = (uint32_t)year_and_rest / 2939745 / 4;
    uint32_t month_and_rest = 2141 * day_of_year + 197913;
    bool after_december = day_of_year >= 306; /* January and February belong to the next year */
    return (struct date){
        .year = (int32_t)(century * 100 + year_of_century) - 400 + after_december,
        .month = (month_and_rest >> 16) - (after_december ? 12 : 0),
        .day = (month_and_rest & 0xffff) / 2141 + 1,
    };
}

static int32_t days_of_date(struct date d)
{
    uint32_t year = (uint32_t)(d.year + 400) - (d.month <= 2);
    uint32_t era = year / 400;
    uint32_t year_of_era = year - era * 400;
    uint32_t month_from_march = d.month > 2 ? d.month - 3 : d.month + 9;
    uint32_t day_of_year = (153 * month_from_march + 2) / 5 + d.day - 1;
    uint32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int32_t)(era * 146097 + day_of_era) - 719468 - 146097;
}

static bool is_leap_year(int32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool is_date(struct date d)
{
    static const unsigned char lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (d.month < 1 || d.month > 12 || d.day < 1)
        return false;
    unsigned length = lengths[d.month - 1];
    return d.day <= length + (d.month == 2 && is_leap_year(d.year));
}

static void put_date(char *p, struct date d)
{
    uint32_t century = (uint32_t)d.year / 100;
    digits__put2(p, century);
    digits__put2(p + 2, (uint32_t)d.year - century * 100);
    p[4] = '-';
    digits__put2(p + 5, d.month);
    p[7] = '-';
    digits__put2(p + 8, d.day);
}

/* "08:49:37" */
static void put_time(char *p, uint32_t second_of_day)
{
    uint32_t minute_of_day = second_of_day / 60;
    uint32_t hour = minute_of_day / 60;
    digits__put2(p, hour);
    p[2] = ':';
    digits__put2(p + 3, minute_of_day - hour * 60);
    p[5] = ':';
    digits__put2(p + 6, second_of_day - minute_of_day * 60);
}

/* Days and the microseconds into the day, for times before 1970 too. */
static int32_t split_days(int64_t wall_us, int64_t *ret_in_day_us)
{
    wall_us = MAX(WALL_MIN, MIN(wall_us, WALL_MAX));
    int64_t since = wall_us - WALL_MIN;
    *ret_in_day_us = since % CLOCK_DAY;
    return (int32_t)(since / CLOCK_DAY) + DAYS_MIN;
}

void clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_LEN])
{
    int64_t in_day_us;
    int32_t days = split_days(wall_us, &in_day_us);
    uint32_t ms_of_day = (uint32_t)(in_day_us / CLOCK_MS);
    uint32_t second_of_day = ms_of_day / 1000;
    uint32_t ms = ms_of_day - second_of_day * 1000;
    uint32_t tenth = ms / 100;
    put_date(out, date_of_days(days));
    out[10] = 'T';
    put_time(out + 11, second_of_day);
    out[19] = '.';
    out[20] = (char)('0' + tenth);
    digits__put2(out + 21, ms - tenth * 100);
    out[23] = 'Z';
}

/* `n` digits from p, or UINT32_MAX. */
static uint32_t get_digits(const char *p, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++) {
        uint32_t digit = (unsigned char)p[i] - (uint32_t)'0';
        if (digit > 9)
            return UINT32_MAX;
        v = v * 10 + digit;
    }
    return v;
}

static bool get_date(const char *p, struct date *ret)
{
    if (p[4] != '-' || p[7] != '-')
        return false;
    uint32_t year = get_digits(p, 4);
    struct date d = { .month = get_digits(p + 5, 2), .day = get_digits(p + 8, 2) };
    if (year == UINT32_MAX)
        return false;
    d.year = (int32_t)year;
    if (!is_date(d))
        return false;
    *ret = d;
    return true;
}

/* "08:49:37" to the second of the day; a 60th second counts as one past 59. */
static bool get_time(const char *p, uint32_t *ret_second_of_day)
{
    uint32_t hour = get_digits(p, 2);
    uint32_t minute = get_digits(p + 3, 2);
    uint32_t second = get_digits(p + 6, 2);
    if (p[2] != ':' || p[5] != ':' || hour > 23 || minute > 59 || second > 60)
        return false;
    *ret_second_of_day = hour * 3600 + minute * 60 + second;
    return true;
}

/* "Z" or "+hh:mm", the whole of s. */
static bool get_offset(struct slice s, int64_t *ret_us)
{
    if (s.len == 1 && (s.data[0] == 'Z' || s.data[0] == 'z')) {
        *ret_us = 0;
        return true;
    }
    if (s.len != 6 || (s.data[0] != '+' && s.data[0] != '-') || s.data[3] != ':')
        return false;
    uint32_t hours = get_digits(s.data + 1, 2);
    uint32_t minutes = get_digits(s.data + 4, 2);
    if (hours > 23 || minutes > 59)
        return false;
    int64_t us = hours * CLOCK_HOUR + minutes * CLOCK_MINUTE;
    *ret_us = s.data[0] == '-' ? -us : us;
    return true;
}

/* ".678" from the front of *rest: 1 to 9 digits, what is finer than a microsecond is cut. */
static bool get_fraction(struct slice *rest, int64_t *ret_us)
{
    *ret_us = 0;
    if (rest->len == 0 || rest->data[0] != '.')
        return true;
    int64_t us = 0;
    size_t n = 0;
    for (; n + 1 < rest->len && get_digits(rest->data + 1 + n, 1) != UINT32_MAX; n++) {
        if (n < 6)
            us = us * 10 + (rest->data[1 + n] - '0');
    }
    if (n < 1 || n > 9)
        return false;
    for (size_t i = n; i < 6; i++)
        us *= 10;
    *rest = slice_from(*rest, n + 1);
    *ret_us = us;
    return true;
}

bool clock_parse_rfc3339(struct slice s, int64_t *ret_us)
{
    struct date date;
    uint32_t second_of_day;
    int64_t fraction_us, offset_us;
    if (s.len < sizeof("2026-01-02T03:04:05Z") - 1 || (s.data[10] != 'T' && s.data[10] != 't') ||
        !get_date(s.data, &date) || !get_time(s.data + 11, &second_of_day))
        return false;
    struct slice rest = slice_from(s, 19);
    if (!get_fraction(&rest, &fraction_us) || !get_offset(rest, &offset_us))
        return false;

    int64_t wall_us = days_of_date(date) * CLOCK_DAY - offset_us;
    if (s.data[17] == '6') {
        /* Leap seconds are inserted at the end of a UTC day only (RFC 3339 section 5.7). */
        int64_t in_day_us = second_of_day * CLOCK_SECOND - offset_us;
        if ((in_day_us % CLOCK_DAY + CLOCK_DAY) % CLOCK_DAY != 0)
            return false;
        *ret_us = wall_us + second_of_day * CLOCK_SECOND - 1;
        return true;
    }
    wall_us += second_of_day * CLOCK_SECOND + fraction_us;
    /* An offset can lead out of the years that can be written: what is taken must be shown as it
     * is. */
    if (wall_us < WALL_MIN || wall_us > WALL_MAX)
        return false;
    *ret_us = wall_us;
    return true;
}

void clock_format_date(int32_t days, char out[CLOCK_DATE_LEN])
{
    days = MAX(DAYS_MIN, MIN(days, DAYS_MAX));
    put_date(out, date_of_days(days));
}

bool clock_parse_date(struct slice s, int32_t *ret_days)
{
    struct date d;
    if (s.len != CLOCK_DATE_LEN || !get_date(s.data, &d))
        return false;
    *ret_days = days_of_date(d);
    return true;
}

/* Thursday first, as 1970 began with one. */
static const char weekdays[7][4] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

void clock_format_http(int64_t wall_us, char out[CLOCK_HTTP_DATE_LEN])
{
    int64_t in_day_us;
    int32_t days = split_days(wall_us, &in_day_us);
    struct date d = date_of_days(days);
    memcpy(out, weekdays[(uint32_t)(days - DAYS_MIN + 2) % 7], 3); /* 0000-01-01: Saturday */
    out[3] = ',';
    out[4] = ' ';
    digits__put2(out + 5, d.day);
    out[7] = ' ';
    memcpy(out + 8, months[d.month - 1], 3);
    out[11] = ' ';
    digits__put2(out + 12, (uint32_t)d.year / 100);
    digits__put2(out + 14, (uint32_t)d.year % 100);
    out[16] = ' ';
    put_time(out + 17, (uint32_t)(in_day_us / CLOCK_SECOND));
    memcpy(out + 25, " GMT", 4);
}

static bool get_month(const char *p, uint32_t *ret)
{
    for (uint32_t i = 0; i < ARRAY_LEN(months); i++) {
        if (memcmp(p, months[i], 3) == 0) {
            *ret = i + 1;
            return true;
        }
    }
    return false;
}

static bool is_weekday(const char *p)
{
    for (size_t i = 0; i < ARRAY_LEN(weekdays); i++) {
        if (memcmp(p, weekdays[i], 3) == 0)
            return true;
    }
    return false;
}

static bool join_http(struct date d, const char *time, int64_t *ret_us)
{
    uint32_t second_of_day;
    if (!is_date(d) || !get_time(time, &second_of_day))
        return false;
    *ret_us = days_of_date(d) * CLOCK_DAY + second_of_day * CLOCK_SECOND;
    return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool parse_asctime(struct slice s, int64_t *ret_us)
{
    const char *p = s.data;
    struct date d;
    uint32_t year = get_digits(p + 20, 4);
    if (p[3] != ' ' || p[7] != ' ' || p[10] != ' ' || p[19] != ' ' || year == UINT32_MAX ||
        !get_month(p + 4, &d.month))
        return false;
    d.year = (int32_t)year;
    d.day = p[8] == ' ' ? get_digits(p + 9, 1) : get_digits(p + 8, 2);
    return join_http(d, p + 11, ret_us);
}

/* "Sunday, 06-Nov-94 08:49:37 GMT": of the two-digit years, the latest not 50 years ahead. */
static bool parse_rfc850(struct slice s, int64_t *ret_us)
{
    size_t comma = slice_find(s, ',');
    struct slice rest = slice_from(s, comma == SIZE_MAX ? s.len : comma + 1);
    const char *p = rest.data;
    struct date d;
    if (rest.len != sizeof(" 06-Nov-94 08:49:37 GMT") - 1 || p[0] != ' ' || p[3] != '-' ||
        p[7] != '-' || p[10] != ' ' || !slice_ends(rest, SLICE(" GMT")) ||
        !get_month(p + 4, &d.month))
        return false;
    uint32_t year = get_digits(p + 8, 2);
    if (year == UINT32_MAX)
        return false;
    int64_t unused;
    int32_t this_year = date_of_days(split_days(clock_wall_us(), &unused)).year;
    d.day = get_digits(p + 1, 2);
    d.year = this_year - this_year % 100 + (int32_t)year;
    if (d.year > this_year + 50)
        d.year -= 100;
    return join_http(d, p + 11, ret_us);
}

bool clock_parse_http(struct slice s, int64_t *ret_us)
{
    const char *p = s.data;
    if (s.len < sizeof("Sun Nov  6 08:49:37 1994") - 1 || !is_weekday(p))
        return false;
    if (p[3] == ' ')
        return s.len == sizeof("Sun Nov  6 08:49:37 1994") - 1 && parse_asctime(s, ret_us);
    if (p[3] != ',')
        return parse_rfc850(s, ret_us);

    struct date d;
    if (s.len != CLOCK_HTTP_DATE_LEN || p[4] != ' ' || p[7] != ' ' || p[11] != ' ' ||
        p[16] != ' ' || memcmp(p + 25, " GMT", 4) != 0 || !get_month(p + 8, &d.month))
        return false;
    uint32_t year = get_digits(p + 12, 4);
    if (year == UINT32_MAX)
        return false;
    d.day = get_digits(p + 5, 2);
    d.year = (int32_t)year;
    return join_http(d, p + 17, ret_us);
}

#define DURATION_MAX (3653 * CLOCK_DAY)

bool clock_parse_duration(struct slice s, int64_t *ret_us)
{
    static const struct {
        struct slice name;
        int64_t us;
    } units[] = {
        { SLICE_INIT(""), CLOCK_SECOND },    { SLICE_INIT("ms"), CLOCK_MS },
        { SLICE_INIT("s"), CLOCK_SECOND },   { SLICE_INIT("m"), CLOCK_MINUTE },
        { SLICE_INIT("min"), CLOCK_MINUTE }, { SLICE_INIT("h"), CLOCK_HOUR },
        { SLICE_INIT("d"), CLOCK_DAY },
    };
    size_t digits = 0;
    while (digits < s.len && get_digits(s.data + digits, 1) != UINT32_MAX)
        digits++;
    int64_t count;
    if (!slice_to_i64(slice_head(s, digits), &count))
        return false;
    struct slice unit = slice_from(s, digits);
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!slice_eq(unit, units[i].name))
            continue;
        if (count > DURATION_MAX / units[i].us)
            return false;
        *ret_us = count * units[i].us;
        return true;
    }
    return false;
}
