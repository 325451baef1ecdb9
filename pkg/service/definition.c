#include <weft/service/definition.h>

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/form.h>

/* A definition comes in at most so many bytes, and takes twice as many while it is read. */
#define DEF_BYTES_MAX 65536
#define LABELS_MAX    16
#define LABEL_MAX     100
#define ARG_BYTES_MAX 8192 /* of all arguments together */
#define URL_MAX       2048
#define MS_MAX        86400000 /* a day */
#define BOTH          (-1)

static const char *const kind_words[] = {"url", "command", NULL};
static const char *const restart_words[] = {"always", "on_failure", "never", NULL};

#define AT(field) offsetof(struct weft_service_def, field)

static const struct weft_member members[] = {
    {"kind", WEFT_MEMBER_CHOICE, AT(kind), 0, 0, kind_words, true},
    {"version", WEFT_MEMBER_TEXT, AT(version), 0, 64, NULL, false},
    {"labels", WEFT_MEMBER_OBJECT, AT(labels), 0, 0, NULL, false},
    {"run_on", WEFT_MEMBER_TEXT, AT(run_on), 0, 64, NULL, false},
    {"url", WEFT_MEMBER_TEXT, AT(url), 0, URL_MAX, NULL, false},
    {"interval_ms", WEFT_MEMBER_U64, AT(interval_ms), 100, MS_MAX, NULL, false},
    {"timeout_ms", WEFT_MEMBER_U64, AT(timeout_ms), 10, 600000, NULL, false},
    {"connect_timeout_ms", WEFT_MEMBER_U64, AT(connect_timeout_ms), 10, 600000, NULL, false},
    {"unhealthy_after", WEFT_MEMBER_U64, AT(unhealthy_after), 1, 100, NULL, false},
    {"healthy_after", WEFT_MEMBER_U64, AT(healthy_after), 1, 100, NULL, false},
    {"command", WEFT_MEMBER_ARRAY, AT(command), 0, 0, NULL, false},
    {"restart", WEFT_MEMBER_CHOICE, AT(restart), 0, 0, restart_words, false},
    {"autostart", WEFT_MEMBER_BOOL, AT(autostart), 0, 0, NULL, false},
    {"backoff_min_ms", WEFT_MEMBER_U64, AT(backoff_min_ms), 10, MS_MAX, NULL, false},
    {"backoff_max_ms", WEFT_MEMBER_U64, AT(backoff_max_ms), 10, MS_MAX, NULL, false},
    {"start_ms", WEFT_MEMBER_U64, AT(start_ms), 0, 600000, NULL, false},
    {"stop_timeout_ms", WEFT_MEMBER_U64, AT(stop_timeout_ms), 0, 600000, NULL, false},
};

/* Which kind a member belongs to: rows from to, not including the last. */
enum { FIRST_OF_URL = 4, FIRST_OF_COMMAND = 10 };

static int kind_of(size_t i)
{
    if (i < FIRST_OF_URL) {
        return BOTH;
    }
    return i < FIRST_OF_COMMAND ? WEFT_SERVICE_URL : WEFT_SERVICE_COMMAND;
}

static bool name_valid(struct weft_str s)
{
    bool ok = s.len >= 1 && s.len <= WEFT_SERVICE_ID_MAX;

    for (size_t i = 0; ok && i < s.len; i++) {
        char c = s.p[i];

        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '.' || c == '_' || c == '-';
    }
    return ok;
}

bool weft_service_id_valid(struct weft_str id)
{
    return name_valid(id);
}

static void defaults(struct weft_service_def *def)
{
    memset(def, 0, sizeof(*def));
    weft_buf_init(&def->bytes, (size_t)DEF_BYTES_MAX * 2);
    def->labels = (struct weft_json){WEFT_JSON_OBJECT, WEFT_STR("{}")};
    def->command = (struct weft_json){WEFT_JSON_ARRAY, WEFT_STR("[]")};
    def->version = def->run_on = def->url = WEFT_STR("");
    def->interval_ms = 10000;
    def->timeout_ms = 2000;
    def->connect_timeout_ms = 1000;
    def->unhealthy_after = 3;
    def->healthy_after = 1;
    def->restart = WEFT_RESTART_ALWAYS;
    def->backoff_min_ms = 500;
    def->backoff_max_ms = 30000;
    def->start_ms = 1000;
    def->stop_timeout_ms = 10000;
}

/* ---- rules that the table does not know ---- */

static int wrong(struct weft_err *err, const char *field, const char *what)
{
    return weft_err_set(err, WEFT_EINVAL, field, "%s", what);
}

static int check_labels(const struct weft_service_def *def, struct weft_err *err)
{
    struct weft_json_iter it;
    struct weft_json v;
    struct weft_str key;
    size_t n = 0;

    weft_json_begin(&it, def->labels);
    while (weft_json_next(&it, &key, &v)) {
        if (!name_valid(key)) {
            return wrong(err, "labels", "a name is 1 to 64 of A-Z a-z 0-9 . _ -");
        }
        if (v.kind != WEFT_JSON_STRING || v.raw.len > LABEL_MAX + 2) {
            return wrong(err, "labels", "a value is a string of at most 100 bytes");
        }
        if (++n > LABELS_MAX) {
            return wrong(err, "labels", "there are at most 16");
        }
    }
    return 0;
}

/* host or [address], with a port or without. */
static bool authority_valid(struct weft_str s)
{
    struct weft_str host = s;
    struct weft_str port = weft_str(NULL, 0);
    uint64_t number = 1;

    if (s.len > 0 && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.len);

        if (end == NULL) {
            return false;
        }
        host = weft_str(s.p + 1, (size_t)(end - s.p) - 1);
        port = weft_str(end + 1, s.len - host.len - 2);
        for (size_t i = 0; i < host.len; i++) {
            if (strchr("0123456789abcdefABCDEF:.", host.p[i]) == NULL) {
                return false;
            }
        }
    } else {
        const char *colon = memchr(s.p, ':', s.len);

        if (colon != NULL) {
            host.len = (size_t)(colon - s.p);
            port = weft_str(colon, s.len - host.len);
        }
        for (size_t i = 0; i < host.len; i++) {
            char c = host.p[i];

            if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_')) {
                return false;
            }
        }
    }
    if (port.len > 0 && (port.p[0] != ':' || port.len > 6 ||
                         !weft_str_u64(weft_str(port.p + 1, port.len - 1), &number))) {
        return false;
    }
    return host.len > 0 && number >= 1 && number <= 65535;
}

static int check_url(const struct weft_service_def *def, struct weft_err *err)
{
    struct weft_str rest = def->url;
    size_t scheme = 0;
    size_t n = 0;

    for (size_t i = 0; i < def->url.len; i++) {
        if ((unsigned char)def->url.p[i] <= ' ' || (unsigned char)def->url.p[i] >= 0x7f) {
            return wrong(err, "url",
                         "it must have no spaces and only ASCII (escape others with %)");
        }
    }
    if (rest.len > 7 && weft_str_ieq(weft_str(rest.p, 7), WEFT_STR("http://"))) {
        scheme = 7;
    } else if (rest.len > 8 && weft_str_ieq(weft_str(rest.p, 8), WEFT_STR("https://"))) {
        scheme = 8;
    } else {
        return wrong(err, "url", "it must begin with http:// or https:// and name a host");
    }
    rest = weft_str(rest.p + scheme, rest.len - scheme);
    while (n < rest.len && strchr("/?#", rest.p[n]) == NULL) {
        n++;
    }
    if (memchr(rest.p, '@', n) != NULL) {
        return wrong(err, "url", "it must have no user or password: whoever may read sees it");
    }
    if (!authority_valid(weft_str(rest.p, n))) {
        return wrong(err, "url", "its host or port is none");
    }
    return 0;
}

static int check_command(struct weft_service_def *def, struct weft_err *err)
{
    struct weft_json_iter it;
    struct weft_json v;
    size_t at = 0;

    def->args = malloc(def->command.raw.len + 1); /* decoded it is shorter, NULs included */
    WEFT_ASSERT(def->args != NULL);
    weft_json_begin(&it, def->command);
    while (weft_json_next(&it, NULL, &v)) {
        struct weft_str arg;

        if (v.kind != WEFT_JSON_STRING) {
            return wrong(err, "command", "it must be an array of strings");
        }
        if (def->argc == WEFT_SERVICE_ARGS_MAX) {
            return wrong(err, "command", "there are at most 60 arguments");
        }
        arg = weft_json_text(v, def->args + at);
        if (memchr(arg.p, '\0', arg.len) != NULL) {
            return wrong(err, "command", "an argument must not have a NUL");
        }
        def->argv[def->argc++] = def->args + at;
        def->args[at + arg.len] = '\0';
        at += arg.len + 1;
        if (at > ARG_BYTES_MAX) {
            return wrong(err, "command", "it is longer than 8192 bytes");
        }
    }
    if (def->argc == 0 || def->argv[0][0] == '\0') {
        return wrong(err, "command", "it must name a program");
    }
    return 0;
}

static int check(struct weft_service_def *def, uint64_t seen, struct weft_err *err)
{
    int rc = check_labels(def, err);

    for (size_t i = FIRST_OF_URL; rc == 0 && i < WEFT_COUNT_OF(members); i++) {
        if ((seen & UINT64_C(1) << i) != 0 && kind_of(i) != (int)def->kind) {
            rc = weft_err_set(err, WEFT_EINVAL, members[i].name, "a service of kind %s has none",
                              kind_words[def->kind]);
        }
    }
    if (rc == 0 && def->run_on.len > 0 && !name_valid(def->run_on)) {
        rc = wrong(err, "run_on", "it must be the id of a node");
    }
    if (rc == 0 && def->backoff_max_ms < def->backoff_min_ms) {
        rc = wrong(err, "backoff_max_ms", "it must not be less than backoff_min_ms");
    }
    if (rc == 0) {
        rc = def->kind == WEFT_SERVICE_URL ? check_url(def, err) : check_command(def, err);
    }
    return rc;
}

int weft_service_def_read(struct weft_service_def *def, struct weft_str body, struct weft_err *err)
{
    uint64_t seen = 0;
    int rc;

    defaults(def);
    if (body.len > DEF_BYTES_MAX) {
        return weft_err_set(err, WEFT_ETOOBIG, "body", "a definition has at most %d bytes",
                            DEF_BYTES_MAX);
    }
    rc = weft_form_read(members, WEFT_COUNT_OF(members), body, &def->bytes, def, &seen, err);
    return rc == 0 ? check(def, seen, err) : rc;
}

void weft_service_def_fini(struct weft_service_def *def)
{
    weft_buf_fini(&def->bytes);
    free(def->args);
    def->args = NULL;
    def->argc = 0;
}

/* ---- the hash ---- */

/* Members of the other kind have no field. */
static bool has_field(const struct weft_service_def *def, size_t i)
{
    return kind_of(i) == BOTH || kind_of(i) == (int)def->kind;
}

static void print_value(const struct weft_service_def *def, const struct weft_member *m, bool json,
                        struct weft_buf *out)
{
    const void *at = (const char *)def + m->offset;

    switch (m->kind) {
    case WEFT_MEMBER_U64:
        weft_buf_u64(out, *(const uint64_t *)at);
        break;
    case WEFT_MEMBER_BOOL:
        weft_buf_puts(out, *(const bool *)at ? "true" : "false");
        break;
    case WEFT_MEMBER_TEXT:
        if (json) {
            weft_buf_json(out, *(const struct weft_str *)at);
        } else {
            weft_buf_str(out, *(const struct weft_str *)at);
        }
        break;
    case WEFT_MEMBER_CHOICE:
        weft_buf_printf(out, json ? "\"%s\"" : "%s", m->choices[*(const unsigned *)at]);
        break;
    case WEFT_MEMBER_OBJECT:
    case WEFT_MEMBER_ARRAY:
        weft_buf_str(out, ((const struct weft_json *)at)->raw);
        break;
    case WEFT_MEMBER_NUMBER:
        break; /* none has it */
    }
}

const char *weft_service_def_field(const struct weft_service_def *def, size_t i,
                                   struct weft_buf *out)
{
    size_t k = 0;

    for (; k < WEFT_COUNT_OF(members); k++) {
        if (has_field(def, k) && i-- == 0) {
            print_value(def, &members[k], false, out);
            return members[k].name;
        }
    }
    return NULL;
}

void weft_service_def_print(const struct weft_service_def *def, struct weft_buf *out)
{
    bool first = true;

    for (size_t i = 0; i < WEFT_COUNT_OF(members); i++) {
        if (has_field(def, i)) {
            weft_buf_printf(out, "%s\"%s\":", first ? "" : ",", members[i].name);
            print_value(def, &members[i], true, out);
            first = false;
        }
    }
}

/* As a request body: what somebody has changed with redis-cli meets the same rules. */
int weft_service_def_load(struct weft_service_def *def,
                          struct weft_str (*value)(void *ctx, const char *name), void *ctx,
                          struct weft_err *err)
{
    struct weft_buf body;
    const char *sep = "{";
    int rc;

    weft_buf_init(&body, DEF_BYTES_MAX);
    for (size_t i = 0; i < WEFT_COUNT_OF(members); i++) {
        enum weft_member_kind kind = members[i].kind;
        struct weft_str text = value(ctx, members[i].name);

        if (text.p == NULL) {
            continue;
        }
        weft_buf_printf(&body, "%s\"%s\":", sep, members[i].name);
        sep = ",";
        if (kind == WEFT_MEMBER_TEXT || kind == WEFT_MEMBER_CHOICE) {
            weft_buf_json(&body, text);
        } else {
            weft_buf_str(&body, text);
        }
    }
    weft_buf_puts(&body, sep[0] == '{' ? "{}" : "}");
    rc = weft_service_def_read(def, weft_str(body.data, body.len), err);
    weft_buf_fini(&body);
    return rc;
}
