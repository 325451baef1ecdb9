/*
 * Commands below a warden: what they write, how they end, and that nothing of them is left, whoever is killed: the
 * command, its warden or the node.
 */
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include <weft/loop/child.h>
#include <weft/loop/warden.h>

#define PATIENCE_S 60
#define FILES      99 /* that a command may have open */

struct seen {
    struct event_base *base;
    struct weft_child *child;
    pid_t pid;
    bool ended;
    int why, status;
    char text[8192];   /* `o` or `e`, the line, `…` if it was cut, LF */
    const char *until; /* the loop ends when the text has this */
};

static void started(void *ctx, pid_t pid)
{
    struct seen *seen = ctx;

    seen->pid = pid;
}

static void line(void *ctx, bool from_err, struct weft_str text, bool cut)
{
    struct seen *seen = ctx;
    size_t at = strlen(seen->text);

    (void)snprintf(seen->text + at, sizeof(seen->text) - at, "%c%.*s%s\n", from_err ? 'e' : 'o',
                   (int)text.len, text.p == NULL ? "" : text.p, cut ? "…" : "");
    if (seen->until != NULL && strstr(seen->text, seen->until) != NULL) {
        event_base_loopbreak(seen->base);
    }
}

static void ended(void *ctx, int why, int status)
{
    struct seen *seen = ctx;

    seen->ended = true;
    seen->why = why;
    seen->status = status;
    weft_child_destroy(seen->child);
    seen->child = NULL;
    event_base_loopbreak(seen->base);
}

static void begin(struct seen *seen, const char *const *argv)
{
    struct weft_child_opts o = {.base = NULL,
                                .name = "test",
                                .argv = argv,
                                .grace_ms = 100,
                                .line_bytes = 32,
                                .files = FILES,
                                .ctx = seen,
                                .started = started,
                                .line = line,
                                .ended = ended};
    struct weft_err err;

    memset(seen, 0, sizeof(*seen));
    seen->base = event_base_new();
    o.base = seen->base;
    assert_int_equal(weft_child_create(&seen->child, &o, &err), 0);
}

static void loop(struct seen *seen, const char *until)
{
    static const struct timeval patience = {PATIENCE_S, 0};

    seen->until = until;
    if (until == NULL || strstr(seen->text, until) == NULL) {
        event_base_loopexit(seen->base, &patience);
        event_base_dispatch(seen->base);
        assert_false(event_base_got_exit(seen->base));
    }
}

static void to_the_end(struct seen *seen)
{
    loop(seen, NULL);
    assert_true(seen->ended);
    event_base_free(seen->base);
}

static void shell(struct seen *seen, const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};

    begin(seen, argv);
}

/* A process is gone when it is a zombie, too: somebody has only to take notice. */
static bool is_gone(pid_t pid)
{
    char path[64];
    char state = 'Z';
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "r");
    if (f == NULL) {
        return true;
    }
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1) {
        state = 'Z';
    }
    fclose(f);
    return state == 'Z' || state == 'X';
}

static void wait_gone(pid_t pid)
{
    const struct timespec nap = {0, 10000000};

    assert_true(pid > 0);
    for (int i = 0; i < PATIENCE_S * 100 && !is_gone(pid); i++) {
        nanosleep(&nap, NULL);
    }
    assert_true(is_gone(pid));
}

/* The number behind `name=` in the output. */
static pid_t number(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    assert_non_null(at);
    return (pid_t)strtol(at + strlen(name) + 1, NULL, 10);
}

static void output_and_exit_code_are_told(void **state)
{
    struct seen seen;

    shell(&seen, "echo one; echo two >&2; printf 0123456789abcdef0123456789abcdefXYZ; exit 3");
    to_the_end(&seen);
    assert_int_equal(seen.why, 0);
    assert_true(WIFEXITED(seen.status));
    assert_int_equal(WEXITSTATUS(seen.status), 3);
    assert_non_null(strstr(seen.text, "oone\n"));
    assert_non_null(strstr(seen.text, "etwo\n"));
    assert_non_null(strstr(seen.text, "o0123456789abcdef0123456789abcdef…\n"));
    assert_true(seen.pid > 0);
}

static void what_cannot_be_started_is_told_with_its_cause(void **state)
{
    const char *const missing[] = {"/no/such/program", NULL};
    const char *const folder[] = {"/tmp", NULL};
    struct seen seen;

    begin(&seen, missing);
    to_the_end(&seen);
    assert_int_equal(seen.why, ENOENT);
    assert_int_equal(seen.pid, 0);
    begin(&seen, folder);
    to_the_end(&seen);
    assert_int_equal(seen.why, EACCES);
}

/* Three descriptors, no blocked or ignored signals, an empty stdin, a group of its own. */
static void the_command_inherits_nothing(void **state)
{
    int leaks[40]; /* without close-on-exec */
    struct seen seen;

    for (size_t i = 0; i < 40; i++) {
        leaks[i] = dup(STDOUT_FILENO);
    }
    signal(SIGPIPE, SIG_IGN);
    shell(&seen, "ls /proc/self/fd; cat; grep -E 'SigBlk|SigIgn' /proc/$$/status | tr -d '\\t'");
    to_the_end(&seen);
    for (size_t i = 0; i < 40; i++) {
        close(leaks[i]);
    }
    assert_non_null(strstr(seen.text, "o0\no1\no2\no3\noSig")); /* 3 is the folder that ls reads */
    assert_non_null(strstr(seen.text, "oSigBlk:00000000"));
    /* 32 and 33 are the C library's own. */
    assert_int_equal(strtoull(strstr(seen.text, "oSigIgn:") + 8, NULL, 16) & 0x7fffffff, 0);
}

/* Its soft limit alone, which a node raises for itself. */
static void the_command_may_have_as_many_files_as_it_is_given(void **state)
{
    struct rlimit limit;
    char hard[32] = "ohard unlimited\n";
    struct seen seen;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max != RLIM_INFINITY) {
        (void)snprintf(hard, sizeof(hard), "ohard %llu\n", (unsigned long long)limit.rlim_max);
    }
    shell(&seen, "echo soft $(ulimit -Sn); echo hard $(ulimit -Hn)");
    to_the_end(&seen);
    assert_non_null(strstr(seen.text, "osoft 99\n"));
    assert_non_null(strstr(seen.text, hard));
}

static void term_reaches_the_whole_group(void **state)
{
    struct seen seen;

    shell(&seen, "trap 'echo bye; exit 7' TERM; sleep 1000 & echo a=$!; wait");
    loop(&seen, "a=");
    pid_t a = number(seen.text, "a");
    weft_child_term(seen.child);
    to_the_end(&seen);
    assert_non_null(strstr(seen.text, "obye\n"));
    assert_int_equal(WEXITSTATUS(seen.status), 7);
    wait_gone(a);
}

/* b leaves the group, c is an orphan in a session of its own. */
#define FAMILY                                                              \
    "trap '' TERM; sleep 1000 & echo a=$!; setsid sleep 1001 & echo b=$!; " \
    "(setsid sh -c 'echo c=$$; exec sleep 1002' &); sleep 0.05; echo ready; wait"

static void after_kill_nothing_is_left(void **state)
{
    struct seen seen;

    shell(&seen, FAMILY);
    loop(&seen, "ready");
    loop(&seen, "c=");
    weft_child_kill(seen.child);
    to_the_end(&seen);
    assert_true(WIFSIGNALED(seen.status));
    for (const char *p = "abc"; *p != '\0'; p++) {
        wait_gone(number(seen.text, (char[]){*p, '\0'}));
    }
}

#define LEAVE_WORD "leave-group"

/* As a command: goes into its warden's process group. */
static int leave_group(void)
{
    if (setpgid(0, getpgid(getppid())) != 0) {
        return 1;
    }
    printf("left\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}

static void a_command_that_leaves_its_group_is_reached(void **state)
{
    static const char *const argv[] = {"/proc/self/exe", LEAVE_WORD, NULL};
    struct seen seen;

    begin(&seen, argv);
    loop(&seen, "left");
    weft_child_term(seen.child);
    to_the_end(&seen);
    assert_true(WIFSIGNALED(seen.status));
    assert_int_equal(WTERMSIG(seen.status), SIGTERM);

    begin(&seen, argv);
    loop(&seen, "left");
    weft_child_kill(seen.child);
    to_the_end(&seen);
    assert_int_equal(WTERMSIG(seen.status), SIGKILL);
}

static bool look_late; /* a pidfd is asked for only when the process has gone */

/* In the place of libc's, for the child's pidfd_open: who asks may be late. */
long syscall(long number, ...)
{
    long (*real)(long, ...);
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    while (number == SYS_pidfd_open && look_late && kill((pid_t)a[0], 0) == 0) {
        (void)sched_yield();
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void how_it_ended_is_told_where_sigchld_was_ignored(void **state)
{
    (void)signal(SIGCHLD, SIG_IGN);
    for (int late = 0; late <= 1; late++) {
        struct seen seen;

        look_late = late == 1;
        shell(&seen, "echo said; exit 7");
        to_the_end(&seen);
        assert_int_equal(seen.why, 0);
        assert_int_equal(WEXITSTATUS(seen.status), 7);
        assert_string_equal(seen.text, "osaid\n");
    }
    look_late = false;
    (void)signal(SIGCHLD, SIG_DFL);
}

#define SLOW_WARDEN "TEST_SLOW_WARDEN" /* in its environment */

/* In the place of libc's: what a slow warden kills has died, and its children are another's, before it looks on. */
int kill(pid_t pid, int sig)
{
    static int (*real)(pid_t, int);
    siginfo_t info;
    int rc;

    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "kill");
    }
    rc = real(pid, sig);
    if (rc == 0 && pid > 0 && sig == SIGKILL && getenv(SLOW_WARDEN) != NULL) {
        (void)waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    }
    return rc;
}

/* In the place of libc's: the command that is killed has died when a slow warden looks at it. */
int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    static int (*real)(idtype_t, id_t, siginfo_t *, int);

    if (real == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "waitid");
    }
    return real(type, id, info, getenv(SLOW_WARDEN) != NULL ? options & ~WNOHANG : options);
}

/* A daemon with two workers, which ends the command: the workers become the warden's when the daemon has died. */
static void orphans_of_what_is_killed_are_ended_too(void **state)
{
    assert_int_equal(setenv(SLOW_WARDEN, "1", 1), 0);
    for (int round = 0; round < 10; round++) {
        struct seen seen;

        shell(&seen, "setsid sh -c 'sleep 1000 >/dev/null 2>&1 & echo a=$!; "
                     "sleep 1000 >/dev/null 2>&1 & echo b=$!; kill -KILL $PPID; wait' & wait");
        to_the_end(&seen);
        wait_gone(number(seen.text, "a"));
        wait_gone(number(seen.text, "b"));
    }
    assert_int_equal(unsetenv(SLOW_WARDEN), 0);
}

static void when_the_command_has_ended_its_family_ends(void **state)
{
    struct seen seen;

    shell(&seen, "sleep 1000 & echo a=$!; setsid sleep 1000 & echo b=$!; exit 0");
    to_the_end(&seen);
    assert_int_equal(seen.status, 0);
    wait_gone(number(seen.text, "a"));
    wait_gone(number(seen.text, "b"));
}

static void destroy_kills_and_waits(void **state)
{
    struct seen seen;

    shell(&seen, FAMILY);
    loop(&seen, "ready");
    loop(&seen, "c=");
    weft_child_destroy(seen.child);
    event_base_free(seen.base);
    for (const char *p = "abc"; *p != '\0'; p++) {
        assert_true(is_gone(number(seen.text, (char[]){*p, '\0'})));
    }
}

static pid_t parent_of(pid_t pid)
{
    char path[64];
    int parent = 0;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d (%*[^)]) %*c %d", &parent), 1);
    fclose(f);
    return parent;
}

static void a_killed_warden_takes_the_command_with_it(void **state)
{
    struct seen seen;

    shell(&seen, "trap '' TERM; sleep 1000 & echo a=$!; wait");
    loop(&seen, "a=");
    kill(parent_of(seen.pid), SIGKILL);
    to_the_end(&seen);
    assert_true(WIFSIGNALED(seen.status));
    wait_gone(seen.pid);
    wait_gone(number(seen.text, "a"));
}

/* What has left the group lives on, with the pipes in its hands: they are not waited for. */
static void a_killed_warden_ends_it_whoever_holds_its_output(void **state)
{
    struct seen seen;
    pid_t a;

    shell(&seen, "setsid sleep 1000 & echo a=$!; wait");
    loop(&seen, "a=");
    a = number(seen.text, "a");
    kill(parent_of(seen.pid), SIGKILL);
    to_the_end(&seen);
    assert_true(WIFSIGNALED(seen.status));
    assert_false(is_gone(a));
    kill(a, SIGKILL);
}

/* The node is another process here; kill -9 comes at moments from before the command runs to long after. */
static void a_killed_node_leaves_nothing(void **state)
{
    for (int round = 0; round < 20; round++) {
        struct timespec wait = {0, round * 1500000L};
        char text[8192] = "";
        int report[2];
        pid_t node;
        ssize_t n;

        assert_int_equal(pipe(report), 0);
        node = fork();
        if (node == 0) {
            struct seen seen;

            shell(&seen, FAMILY);
            loop(&seen, round < 10 ? "a=" : "ready");
            if (round >= 10) {
                loop(&seen, "c=");
            }
            n = write(report[1], seen.text, strlen(seen.text) + 1);
            for (;;) {
                pause();
            }
        }
        close(report[1]);
        if (round >= 5) {
            n = read(report[0], text, sizeof(text));
            assert_true(n > 0);
        } else {
            nanosleep(&wait, NULL);
        }
        kill(node, SIGKILL);
        waitpid(node, NULL, 0);
        /* To its end: nobody has inherited the other one. */
        while ((n = read(report[0], text + strlen(text), sizeof(text) - strlen(text) - 1)) > 0) {
        }
        close(report[0]);
        for (const char *p = "abc"; *p != '\0'; p++) {
            char name[3] = {*p, '=', '\0'};

            if (strstr(text, name) != NULL) {
                wait_gone(number(text, (char[]){*p, '\0'}));
            }
        }
    }
}

/* The command does not end when it is asked to, and what has left its group is orphaned by the kill alone. */
static void a_killed_node_leaves_no_orphan_of_what_had_to_be_killed(void **state)
{
    assert_int_equal(setenv(SLOW_WARDEN, "1", 1), 0);
    for (int round = 0; round < 10; round++) {
        char text[64] = "";
        int report[2];
        pid_t node;

        assert_int_equal(pipe(report), 0);
        node = fork();
        if (node == 0) {
            struct seen seen;

            shell(&seen, "trap '' TERM; setsid sleep 1000 & echo a=$!; while :; do wait; done");
            loop(&seen, "a=");
            assert_true(write(report[1], seen.text, strlen(seen.text) + 1) > 0);
            for (;;) {
                pause();
            }
        }
        close(report[1]);
        assert_true(read(report[0], text, sizeof(text)) > 0);
        close(report[0]);
        kill(node, SIGKILL);
        waitpid(node, NULL, 0);
        wait_gone(number(text, "a"));
    }
    assert_int_equal(unsetenv(SLOW_WARDEN), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_exit_code_are_told),
        cmocka_unit_test(what_cannot_be_started_is_told_with_its_cause),
        cmocka_unit_test(the_command_inherits_nothing),
        cmocka_unit_test(the_command_may_have_as_many_files_as_it_is_given),
        cmocka_unit_test(term_reaches_the_whole_group),
        cmocka_unit_test(after_kill_nothing_is_left),
        cmocka_unit_test(a_command_that_leaves_its_group_is_reached),
        cmocka_unit_test(how_it_ended_is_told_where_sigchld_was_ignored),
        cmocka_unit_test(orphans_of_what_is_killed_are_ended_too),
        cmocka_unit_test(when_the_command_has_ended_its_family_ends),
        cmocka_unit_test(destroy_kills_and_waits),
        cmocka_unit_test(a_killed_warden_takes_the_command_with_it),
        cmocka_unit_test(a_killed_warden_ends_it_whoever_holds_its_output),
        cmocka_unit_test(a_killed_node_leaves_nothing),
        cmocka_unit_test(a_killed_node_leaves_no_orphan_of_what_had_to_be_killed),
    };

    /* /proc/self/exe, executed anew, is this test. */
    if (argc > 1 && strcmp(argv[1], WEFT_WARDEN_WORD) == 0) {
        return weft_warden_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], LEAVE_WORD) == 0) {
        return leave_group();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
