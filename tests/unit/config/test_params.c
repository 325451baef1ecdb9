/* The table itself: every row has what the parser, the file and the document need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weft/config/config.h>

#include "config_priv.h"

static void names_are_unique(void **state)
{
    for (size_t i = 0; i < weft_params_len; i++) {
        const struct weft_param *p = &weft_params[i];

        assert_ptr_equal(weft_param_find(p->name, strlen(p->name)), p);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(p->env, weft_params[k].env);
            if (p->flag && weft_params[k].flag)
                assert_string_not_equal(p->flag, weft_params[k].flag);
        }
    }
}

static void rows_are_complete(void **state)
{
    for (size_t i = 0; i < weft_params_len; i++) {
        const struct weft_param *p = &weft_params[i];
        size_t env_len = strspn(p->env, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        size_t group_len = strlen(p->group);

        assert_memory_equal(p->env, "WEFT_", 5);
        assert_int_equal(env_len, strlen(p->env));
        assert_memory_equal(p->name, p->group, group_len);
        assert_int_equal(p->name[group_len], '.');
        assert_string_equal(p->name + group_len + 1, p->field);
        assert_int_equal(p->text[strlen(p->text) - 1], '.');
        if (p->flag)
            assert_memory_equal(p->flag, "--", 2);
        if (p->type == WEFT_PARAM_TYPE_STRING || p->type == WEFT_PARAM_TYPE_LIST)
            assert_non_null(p->rule);
        else
            assert_true(p->min <= p->def && p->def <= p->max);
        /* uint32_t fields */
        if (p->type == WEFT_PARAM_TYPE_INT || p->type == WEFT_PARAM_TYPE_MS ||
            p->type == WEFT_PARAM_TYPE_S)
            assert_true(p->max <= UINT32_MAX);
        assert_true(p->offset < sizeof(struct weft_config));
    }
}

static void durations_and_sizes_say_their_unit(void **state)
{
    for (size_t i = 0; i < weft_params_len; i++) {
        const struct weft_param *p = &weft_params[i];
        size_t len = strlen(p->field);

        if (p->type == WEFT_PARAM_TYPE_MS)
            assert_string_equal(p->field + len - 3, "_ms");
        if (p->type == WEFT_PARAM_TYPE_S)
            assert_string_equal(p->field + len - 2, "_s");
        if (p->type == WEFT_PARAM_TYPE_SIZE)
            assert_string_equal(p->field + len - 5, "bytes");
    }
}

static void a_part_of_a_name_is_no_name(void **state)
{
    assert_null(weft_param_find("http.lis", 8));
    assert_null(weft_param_find("http.listen2", 12));
    assert_null(weft_param_find("", 0));
    assert_non_null(weft_param_find("http.listen=x", 11));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(durations_and_sizes_say_their_unit),
        cmocka_unit_test(a_part_of_a_name_is_no_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
