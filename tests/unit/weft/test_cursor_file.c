#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cursor_file.h"

static char dir[] = "/tmp/weft-cursor.XXXXXX";
static char path[64];

static void put(const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void what_a_cursor_is(void **state)
{
    assert_true(cursor_valid("1795314948063-41"));
    assert_true(cursor_valid("0-0"));
    assert_true(cursor_valid("0:1795314948063-41,1:1795314948063-7"));
    assert_false(cursor_valid(""));
    assert_false(cursor_valid("-41"));
    assert_false(cursor_valid("1-2\r\nX: y"));
    assert_false(cursor_valid("earliest"));
}

static void absent_or_empty_is_no_cursor(void **state)
{
    char cursor[CURSOR_MAX] = "x";

    unlink(path);
    assert_true(cursor_file_read(path, cursor));
    assert_string_equal(cursor, "");
    put("");
    assert_true(cursor_file_read(path, cursor));
    assert_string_equal(cursor, "");
}

static void comes_back_as_it_was(void **state)
{
    char cursor[CURSOR_MAX];
    const struct dirent *entry;
    int files = 0;
    DIR *in;

    assert_true(cursor_file_write(path, "12-3"));
    assert_true(cursor_file_write(path, "1795314948063-41"));
    assert_true(cursor_file_read(path, cursor));
    assert_string_equal(cursor, "1795314948063-41");

    /* Nothing is left beside it. */
    in = opendir(dir);
    assert_non_null(in);
    while ((entry = readdir(in)) != NULL)
        files += entry->d_name[0] != '.';
    closedir(in);
    assert_int_equal(files, 1);
}

static void nonsense_is_refused(void **state)
{
    char cursor[CURSOR_MAX];

    put("hello\n");
    assert_false(cursor_file_read(path, cursor));
    assert_false(cursor_file_read(dir, cursor) && cursor[0] != '\0');
    assert_false(cursor_file_write("/nonexistent/folder/file", "1-2"));
}

static int make_dir(void **state)
{
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/cursor", dir);
    return 0;
}

static int remove_dir(void **state)
{
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_cursor_is),
        cmocka_unit_test(absent_or_empty_is_no_cursor),
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
