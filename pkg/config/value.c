/*
 * One value: from text or JSON into its field of struct weft_config, and back. A field is
 * reached by its offset; its C type follows from the type of the parameter (params.def).
 */
#include "config_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Longest first, so that printing takes the first one that divides. */
static const struct unit ms_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit s_units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
static const struct unit size_units[] = {
    {"GiB", 1073741824}, {"MiB", 1048576}, {"KiB", 1024}, {"", 1}};

#define UNITS WEFT_COUNT_OF(ms_units)
_Static_assert(WEFT_COUNT_OF(s_units) == UNITS && WEFT_COUNT_OF(size_units) == UNITS,
               "whoever walks one can walk them all");

static const struct unit *units_of(enum weft_param_type type)
{
    return type == WEFT_PARAM_TYPE_MS ? ms_units : type == WEFT_PARAM_TYPE_S ? s_units : size_units;
}

/* The fields. Offsets come from offsetof(), so each cast restores the declared type. */
static char **string_at(const struct weft_config *cfg, const struct weft_param *p)
{
    WEFT_ASSERT(p->type == WEFT_PARAM_TYPE_STRING);
    return (char **)((uintptr_t)cfg + p->offset);
}

static struct weft_config_list *list_at(const struct weft_config *cfg, const struct weft_param *p)
{
    WEFT_ASSERT(p->type == WEFT_PARAM_TYPE_LIST);
    return (struct weft_config_list *)((uintptr_t)cfg + p->offset);
}

static uint64_t load_number(const struct weft_config *cfg, const struct weft_param *p)
{
    const char *at = (const char *)cfg + p->offset;
    uint64_t u64;
    uint32_t u32;
    unsigned word;
    bool truth;

    switch (p->type) {
    case WEFT_PARAM_TYPE_BOOL:
        memcpy(&truth, at, sizeof(truth));
        return truth;
    case WEFT_PARAM_TYPE_INT:
    case WEFT_PARAM_TYPE_MS:
    case WEFT_PARAM_TYPE_S:
        memcpy(&u32, at, sizeof(u32));
        return u32;
    case WEFT_PARAM_TYPE_SIZE:
        memcpy(&u64, at, sizeof(u64));
        return u64;
    case WEFT_PARAM_TYPE_ENUM:
        memcpy(&word, at, sizeof(word));
        return word;
    case WEFT_PARAM_TYPE_STRING:
    case WEFT_PARAM_TYPE_LIST:
        break;
    }
    weft_assert_failed(__FILE__, __LINE__, "not a number");
}

static void store_number(struct weft_config *cfg, const struct weft_param *p, uint64_t value)
{
    char *at = (char *)cfg + p->offset;
    uint32_t u32 = (uint32_t)value;
    unsigned word = (unsigned)value;
    bool truth = value != 0;

    switch (p->type) {
    case WEFT_PARAM_TYPE_BOOL:
        memcpy(at, &truth, sizeof(truth));
        return;
    case WEFT_PARAM_TYPE_INT:
    case WEFT_PARAM_TYPE_MS:
    case WEFT_PARAM_TYPE_S:
        memcpy(at, &u32, sizeof(u32));
        return;
    case WEFT_PARAM_TYPE_SIZE:
        memcpy(at, &value, sizeof(value));
        return;
    case WEFT_PARAM_TYPE_ENUM:
        memcpy(at, &word, sizeof(word));
        return;
    case WEFT_PARAM_TYPE_STRING:
    case WEFT_PARAM_TYPE_LIST:
        break;
    }
    weft_assert_failed(__FILE__, __LINE__, "not a number");
}

static int refuse(struct weft_param_why *why, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(struct weft_param_why *why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why->text, sizeof(why->text), fmt, ap);
    va_end(ap);
    return WEFT_EINVAL;
}

static const char *number_text(char *out, size_t size, const struct weft_param *p, uint64_t value)
{
    const struct unit *units = units_of(p->type);

    if (value == 0 || p->type == WEFT_PARAM_TYPE_INT) {
        snprintf(out, size, "%" PRIu64, value);
        return out;
    }
    while (value % units->factor != 0)
        units++; /* ends: the last factor is 1 */
    snprintf(out, size, "%" PRIu64 "%s", value / units->factor, units->name);
    return out;
}

static int refuse_range(struct weft_param_why *why, const struct weft_param *p)
{
    char min[32], max[32];

    return refuse(why, "must be %s to %s", number_text(min, sizeof(min), p, p->min),
                  number_text(max, sizeof(max), p, p->max));
}

int weft_param_set_number(struct weft_config *cfg, const struct weft_param *p, uint64_t value,
                          struct weft_param_why *why)
{
    if (value < p->min || value > p->max)
        return refuse_range(why, p);
    store_number(cfg, p, value);
    return 0;
}

/* Bounded and free of control characters: a string stays one line wherever it is shown. */
static int check_text(const struct weft_param *p, const char *text, struct weft_param_why *why)
{
    const char *bad;

    if (strlen(text) > WEFT_CONFIG_TEXT_MAX)
        return refuse(why, "must not be longer than %d bytes", WEFT_CONFIG_TEXT_MAX);
    if (!weft_str_printable(weft_str(text, strlen(text))))
        return refuse(why, "must be UTF-8 without control characters");
    bad = p->rule->check(text);
    return bad ? refuse(why, "%s", bad) : 0;
}

/* Says which entry it is, and shows it where it is short and one line. */
static int refuse_item(struct weft_param_why *why, size_t i, const char *item, const char *reason)
{
    size_t len = strlen(item);

    if (len == 0 || len > 64 || !weft_str_printable(weft_str(item, len)))
        return refuse(why, "entry %zu %s", i + 1, reason);
    return refuse(why, "entry %zu, %s, %s", i + 1, item, reason);
}

static void list_free(struct weft_config_list *list)
{
    for (size_t i = 0; i < list->len; i++)
        free(list->items[i]);
    free(list->items);
    list->items = NULL;
    list->len = 0;
}

int weft_param_set_list(struct weft_config *cfg, const struct weft_param *p,
                        const char *const *items, size_t len, struct weft_param_why *why)
{
    struct weft_config_list *list = list_at(cfg, p);
    struct weft_config_list made = {0};

    if (len > WEFT_CONFIG_LIST_MAX)
        return refuse(why, "must not have more than %d entries", WEFT_CONFIG_LIST_MAX);
    for (size_t i = 0; i < len; i++) {
        struct weft_param_why item_why;

        if (check_text(p, items[i], &item_why))
            return refuse_item(why, i, items[i], item_why.text);
    }
    if (len > 0) {
        made.items = calloc(len, sizeof(*made.items));
        if (!made.items)
            return WEFT_ENOMEM;
    }
    for (; made.len < len; made.len++) {
        made.items[made.len] = strdup(items[made.len]);
        if (!made.items[made.len]) {
            list_free(&made);
            return WEFT_ENOMEM;
        }
    }
    list_free(list);
    *list = made;
    return 0;
}

/* Entries are separated by commas; spaces around them and empty entries do not count. */
static int set_list_text(struct weft_config *cfg, const struct weft_param *p, const char *text,
                         struct weft_param_why *why)
{
    const char *items[WEFT_CONFIG_LIST_MAX + 1];
    char *copy = strdup(text);
    char *rest = copy;
    char *item;
    size_t len = 0;
    int rc;

    if (!copy)
        return WEFT_ENOMEM;
    while (len < WEFT_COUNT_OF(items) && (item = strsep(&rest, ",")) != NULL) {
        item += strspn(item, " ");
        for (size_t n = strlen(item); n > 0 && item[n - 1] == ' '; n--)
            item[n - 1] = '\0';
        if (item[0] != '\0')
            items[len++] = item;
    }
    rc = weft_param_set_list(cfg, p, items, len, why);
    free(copy);
    return rc;
}

static int set_string(struct weft_config *cfg, const struct weft_param *p, const char *text,
                      struct weft_param_why *why)
{
    char **at = string_at(cfg, p);
    int rc = check_text(p, text, why);
    char *copy;

    if (rc)
        return rc;
    copy = strdup(text);
    if (!copy)
        return WEFT_ENOMEM;
    free(*at);
    *at = copy;
    return 0;
}

static int set_word(struct weft_config *cfg, const struct weft_param *p, const char *text,
                    struct weft_param_why *why)
{
    size_t len = 0;

    for (unsigned i = 0; p->words[i]; i++) {
        if (strcmp(p->words[i], text) == 0) {
            store_number(cfg, p, i);
            return 0;
        }
    }
    refuse(why, "must be one of");
    for (unsigned i = 0; p->words[i]; i++) {
        len = strlen(why->text);
        snprintf(why->text + len, sizeof(why->text) - len, "%s %s", i ? "," : "", p->words[i]);
    }
    return WEFT_EINVAL;
}

static int set_truth(struct weft_config *cfg, const struct weft_param *p, const char *text,
                     struct weft_param_why *why)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
        store_number(cfg, p, 1);
    else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
        store_number(cfg, p, 0);
    else
        return refuse(why, "must be true or false");
    return 0;
}

bool weft_param_parse_number(enum weft_param_type type, struct weft_str text, uint64_t *ret_value)
{
    const struct unit *units = units_of(type);
    struct weft_str unit = text;
    uint64_t factor = 0;
    uint64_t value;

    while (unit.len > 0 && unit.p[0] >= '0' && unit.p[0] <= '9') {
        unit.p++;
        unit.len--;
    }
    text.len -= unit.len;
    if (text.len == 0)
        return false;
    if (unit.len == 0)
        factor = 1;
    for (size_t i = 0; i < UNITS && unit.len > 0 && type != WEFT_PARAM_TYPE_INT; i++) {
        if (weft_str_eq(weft_str(units[i].name, strlen(units[i].name)), unit))
            factor = units[i].factor;
    }
    if (factor == 0)
        return false;
    if (!weft_str_u64(text, &value) || value > UINT64_MAX / factor)
        *ret_value = UINT64_MAX;
    else
        *ret_value = value * factor;
    return true;
}

static int set_number_text(struct weft_config *cfg, const struct weft_param *p, const char *text,
                           struct weft_param_why *why)
{
    uint64_t value;

    if (weft_param_parse_number(p->type, weft_str(text, strlen(text)), &value))
        return weft_param_set_number(cfg, p, value, why);
    if (p->type == WEFT_PARAM_TYPE_MS)
        return refuse(why, "must be a duration such as 500, 500ms, 30s, 5m or 1h");
    if (p->type == WEFT_PARAM_TYPE_S)
        return refuse(why, "must be a duration such as 3600, 30s, 5m, 1h or 7d");
    if (p->type == WEFT_PARAM_TYPE_SIZE)
        return refuse(why, "must be a size such as 65536, 64KiB, 16MiB or 1GiB");
    return refuse(why, "must be a whole number without sign");
}

int weft_param_set_text(struct weft_config *cfg, const struct weft_param *p, const char *text,
                        struct weft_param_why *why)
{
    switch (p->type) {
    case WEFT_PARAM_TYPE_STRING:
        return set_string(cfg, p, text, why);
    case WEFT_PARAM_TYPE_LIST:
        return set_list_text(cfg, p, text, why);
    case WEFT_PARAM_TYPE_BOOL:
        return set_truth(cfg, p, text, why);
    case WEFT_PARAM_TYPE_INT:
    case WEFT_PARAM_TYPE_MS:
    case WEFT_PARAM_TYPE_S:
    case WEFT_PARAM_TYPE_SIZE:
        return set_number_text(cfg, p, text, why);
    case WEFT_PARAM_TYPE_ENUM:
        return set_word(cfg, p, text, why);
    }
    weft_assert_failed(__FILE__, __LINE__, "unknown type");
}

int weft_param_set_default(struct weft_config *cfg, const struct weft_param *p)
{
    struct weft_param_why why;
    int rc;

    if (p->type == WEFT_PARAM_TYPE_STRING || p->type == WEFT_PARAM_TYPE_LIST)
        rc = weft_param_set_text(cfg, p, p->def_text, &why);
    else
        rc = weft_param_set_number(cfg, p, p->def, &why);
    WEFT_ASSERT(rc != WEFT_EINVAL); /* the table breaks its own rule */
    return rc;
}

void weft_param_clear(struct weft_config *cfg, const struct weft_param *p)
{
    if (p->type == WEFT_PARAM_TYPE_STRING)
        free(*string_at(cfg, p));
    else if (p->type == WEFT_PARAM_TYPE_LIST)
        list_free(list_at(cfg, p));
}

bool weft_param_equal(const struct weft_config *a, const struct weft_config *b,
                      const struct weft_param *p)
{
    const struct weft_config_list *la, *lb;

    if (p->type == WEFT_PARAM_TYPE_STRING)
        return strcmp(*string_at(a, p), *string_at(b, p)) == 0;
    if (p->type != WEFT_PARAM_TYPE_LIST)
        return load_number(a, p) == load_number(b, p);
    la = list_at(a, p);
    lb = list_at(b, p);
    if (la->len != lb->len)
        return false;
    for (size_t i = 0; i < la->len; i++) {
        if (strcmp(la->items[i], lb->items[i]) != 0)
            return false;
    }
    return true;
}

static void print_text(struct weft_buf *out, const struct weft_param *p, const char *text)
{
    char shown[WEFT_CONFIG_TEXT_MAX + 8]; /* redacting adds 3 bytes at most */

    if (p->rule->secret) {
        weft_config_redact_url(text, shown, sizeof(shown));
        text = shown;
    }
    weft_buf_json(out, weft_str(text, strlen(text)));
}

void weft_param_print(struct weft_buf *out, const struct weft_config *cfg,
                      const struct weft_param *p)
{
    const struct weft_config_list *list;
    uint64_t number;

    switch (p->type) {
    case WEFT_PARAM_TYPE_STRING:
        print_text(out, p, *string_at(cfg, p));
        return;
    case WEFT_PARAM_TYPE_LIST:
        list = list_at(cfg, p);
        weft_buf_puts(out, "[");
        for (size_t i = 0; i < list->len; i++) {
            weft_buf_puts(out, i ? ", " : "");
            print_text(out, p, list->items[i]);
        }
        weft_buf_puts(out, "]");
        return;
    case WEFT_PARAM_TYPE_BOOL:
        weft_buf_puts(out, load_number(cfg, p) ? "true" : "false");
        return;
    case WEFT_PARAM_TYPE_INT:
    case WEFT_PARAM_TYPE_MS:
    case WEFT_PARAM_TYPE_S:
    case WEFT_PARAM_TYPE_SIZE:
        weft_buf_u64(out, load_number(cfg, p));
        return;
    case WEFT_PARAM_TYPE_ENUM:
        number = load_number(cfg, p);
        weft_buf_json(out, weft_str(p->words[number], strlen(p->words[number])));
        return;
    }
}

void weft_param_print_number(struct weft_buf *out, const struct weft_param *p, uint64_t value)
{
    char text[32];

    if (p->type == WEFT_PARAM_TYPE_ENUM)
        weft_buf_puts(out, p->words[value]);
    else if (p->type == WEFT_PARAM_TYPE_BOOL)
        weft_buf_puts(out, value ? "true" : "false");
    else
        weft_buf_puts(out, number_text(text, sizeof(text), p, value));
}
