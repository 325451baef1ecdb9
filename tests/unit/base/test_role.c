#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/base/role.h>

static void *elsewhere(void *arg)
{
    void (*const *check)(pthread_t) = arg;

    (*check)(pthread_self());
    return NULL;
}

static void the_owner_passes(void **state)
{
    void (*hub)(pthread_t) = weft_role_assert_hub;
    void (*worker)(pthread_t) = weft_role_assert_worker;
    void (*control)(pthread_t) = weft_role_assert_control;
    pthread_t thread;

    hub(pthread_self());
    worker(pthread_self());
    control(pthread_self());
    assert_int_equal(pthread_create(&thread, NULL, elsewhere, &hub), 0);
    pthread_join(thread, NULL);
    assert_int_equal(pthread_create(&thread, NULL, elsewhere, &worker), 0);
    pthread_join(thread, NULL);
    assert_int_equal(pthread_create(&thread, NULL, elsewhere, &control), 0);
    pthread_join(thread, NULL);
}

static void *nothing(void *arg)
{
    return arg;
}

static void aborts_for_another(void (*check)(pthread_t))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit none = {0, 0};
        pthread_t other;

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        if (pthread_create(&other, NULL, nothing, NULL) == 0)
            check(other);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void anyone_else_aborts(void **state)
{
    aborts_for_another(weft_role_assert_hub);
    aborts_for_another(weft_role_assert_worker);
    aborts_for_another(weft_role_assert_control);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_passes),
        cmocka_unit_test(anyone_else_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
