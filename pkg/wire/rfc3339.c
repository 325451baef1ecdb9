#include "rfc3339.h"

#include <stddef.h>

/* n digits at s.p + at. -1: not digits, or not there. */
static int number_at(struct weft_str s, size_t at, size_t n)
{
    int value = 0;

    if (s.len < at + n)
        return -1;
    for (size_t i = at; i < at + n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        value = value * 10 + (s.p[i] - '0');
    }
    return value;
}

static bool in_range(int value, int min, int max)
{
    return value >= min && value <= max;
}

static bool char_at(struct weft_str s, size_t at, const char *one_of)
{
    return at < s.len && s.p[at] != '\0' && strchr(one_of, s.p[at]) != NULL;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* Since 1970-01-01. Counts years from March, so that the leap day is the last of its year. */
static int64_t days_since_epoch(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    int64_t era = (y + 400) / 400 - 1; /* y is -1 at least */
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * m + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

/* "YYYY-MM-DDThh:mm:ss", without what follows. */
static bool parse_seconds(struct weft_str s, int64_t *ret_seconds)
{
    int year = number_at(s, 0, 4);
    int month = number_at(s, 5, 2);
    int day = number_at(s, 8, 2);
    int hour = number_at(s, 11, 2);
    int minute = number_at(s, 14, 2);
    int second = number_at(s, 17, 2);

    if (!char_at(s, 4, "-") || !char_at(s, 7, "-") || !char_at(s, 10, "Tt") ||
        !char_at(s, 13, ":") || !char_at(s, 16, ":"))
        return false;
    if (year < 0 || !in_range(month, 1, 12) || !in_range(day, 1, days_in_month(year, month)) ||
        !in_range(hour, 0, 23) || !in_range(minute, 0, 59) || !in_range(second, 0, 60))
        return false;
    *ret_seconds = ((days_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}

/* ".123" at *at, if there is one. */
static bool parse_fraction(struct weft_str s, size_t *at, int *ret_ms)
{
    int scale = 100;
    int ms = 0;
    size_t i = *at;

    *ret_ms = 0;
    if (!char_at(s, i, "."))
        return true;
    for (i++; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
        ms += (s.p[i] - '0') * scale;
        scale /= 10;
    }
    if (i == *at + 1)
        return false;
    *at = i;
    *ret_ms = ms;
    return true;
}

/* "Z" or "+hh:mm", and nothing after it. */
static bool parse_offset(struct weft_str s, size_t at, int *ret_minutes)
{
    int hours, minutes;

    if (char_at(s, at, "Zz")) {
        *ret_minutes = 0;
        return at + 1 == s.len;
    }
    if (!char_at(s, at, "+-") || !char_at(s, at + 3, ":") || s.len != at + 6)
        return false;
    hours = number_at(s, at + 1, 2);
    minutes = number_at(s, at + 4, 2);
    if (!in_range(hours, 0, 23) || !in_range(minutes, 0, 59))
        return false;
    *ret_minutes = (hours * 60 + minutes) * (s.p[at] == '-' ? -1 : 1);
    return true;
}

bool weft_rfc3339_parse(struct weft_str s, int64_t *ret_ms)
{
    size_t at = 19;
    int64_t seconds;
    int ms, offset;

    if (!parse_seconds(s, &seconds) || !parse_fraction(s, &at, &ms) ||
        !parse_offset(s, at, &offset))
        return false;
    *ret_ms = (seconds - (int64_t)offset * 60) * 1000 + ms;
    return true;
}
