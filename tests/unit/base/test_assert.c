#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/base/assert.h>

/* What a child wrote to its standard error before it was aborted. */
static void run_and_collect(int value, char *out, size_t size, int *ret_status)
{
    int fds[2];
    ssize_t n;
    size_t len = 0;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit none = {0, 0};

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(fds[1], STDERR_FILENO);
        WEFT_ASSERT(value == 7);
        _exit(0);
    }
    close(fds[1]);
    while ((n = read(fds[0], out + len, size - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, ret_status, 0), pid);
}

static void a_true_condition_does_nothing(void **state)
{
    char out[256];
    int status;

    run_and_collect(7, out, sizeof(out), &status);
    assert_true(WIFEXITED(status));
    assert_string_equal(out, "");
}

static void a_false_condition_says_where_and_aborts(void **state)
{
    char out[256];
    int status;

    run_and_collect(8, out, sizeof(out), &status);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(out, "test_assert.c:"));
    assert_non_null(strstr(out, "value == 7"));
}

struct outer {
    int before;
    int member;
};

static void container_of_finds_the_outer_struct(void **state)
{
    struct outer outer = {1, 2};
    int *member = &outer.member;

    assert_ptr_equal(WEFT_CONTAINER_OF(member, struct outer, member), &outer);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_condition_does_nothing),
        cmocka_unit_test(a_false_condition_says_where_and_aborts),
        cmocka_unit_test(container_of_finds_the_outer_struct),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
