/* .env files: every form of a value, and lines that are left out because they are no assignment. */
#include "options/dotenv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dotenv dotenv;
static struct warnings warnings;
static char *environment[] = {"HOME=/root", "EMPTY=", NULL};

static int dispose(void **state)
{
    (void)state;
    dotenv_dispose(&dotenv);
    warnings_dispose(&warnings);
    return 0;
}

static int parse(const char *text)
{
    dispose(NULL);
    return dotenv_parse(&dotenv, "file", text, strlen(text), environment, &warnings);
}

static void values(void **state)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"A=1", "1"},
        {"A=1\n", "1"},
        {"A=1\r\n", "1"},
        {"\xef\xbb\xbf"
         "A=1",
         "1"},
        {"  A = 1  \nB=2", "1"},
        {"export A=1", "1"},
        {"export\tA=1", "1"},
        {"# A=2\n\n   # x\nA=1 # comment", "1"},
        {"A=", ""},
        {"A= # comment", ""},
        {"A=#comment", ""},
        {"A=a#b", "a#b"},
        {"A=a b\tc  ", "a b\tc"},
        {"A=a=b", "a=b"},
        {"A='$HOME \\n \"x\" # y'", "$HOME \\n \"x\" # y"},
        {"A=\"a # b\"", "a # b"},
        {"A=\"a\\nb\\t\\\"\\\\\\$HOME\"", "a\nb\t\"\\$HOME"},
        {"A='two\nlines'", "two\nlines"},
        {"A=\"two\nlines\"", "two\nlines"},
        {"A=pre'fix'\"ed\"", "prefixed"},
        {"A=a\\ b\\#\\$HOME", "a b#$HOME"},
        {"A=$HOME/x", "/root/x"},
        {"A=${HOME}x", "/rootx"},
        {"A=\"${HOME}\"", "/root"},
        {"A=[$NONE][$EMPTY]", "[][]"},
        {"HOME=other\nA=$HOME", "/root"},
        {"B=2\nC=3\nA=$B${C}", "23"},
        {"A=5$ $", "5$ $"},
        {"A=first\nA=second", "first"},
        {"A=ws://u:p@h:1/?k=v,wss://x", "ws://u:p@h:1/?k=v,wss://x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(parse(cases[i].text), 0);
        assert_non_null(dotenv_find(&dotenv, "A"));
        assert_string_equal(dotenv_find(&dotenv, "A"), cases[i].value);
        assert_int_equal(warnings.count, 0);
    }
}

static void bad_lines_are_left_out_and_named(void **state)
{
    static const struct {
        const char *text, *warning;
    } cases[] = {
        {"A", "file, line 1 is left out: expected NAME=value"},
        {"A=1\n\nexport B\n", "file, line 3 is left out: expected NAME=value"},
        {"1A=1", "file, line 1 is left out: expected NAME=value"},
        {"=1", "file, line 1 is left out: expected NAME=value"},
        {"A B=1", "file, line 1 is left out: expected NAME=value"},
        {"A=1\nB='x\nC=y", "file, line 2 is left out: expected a closing '"},
        {"A=\"x", "file, line 1 is left out: expected a closing \""},
        {"A=x\\", "file, line 1 is left out: expected a character after the backslash"},
        {"A=\"x\\", "file, line 1 is left out: expected a character after the backslash"},
        {"A=${HOME", "file, line 1 is left out: expected ${NAME}"},
        {"A=\"${}\"", "file, line 1 is left out: expected ${NAME}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(parse(cases[i].text), 0);
        assert_int_equal(warnings.count, 1);
        assert_string_equal(warnings.texts[0], cases[i].warning);
    }
}

static void what_stands_around_bad_lines_counts(void **state)
{
    (void)state;
    assert_int_equal(parse("A=1\nthis is none\nB='open\nC=3 # '\n=\nD=\"two\nlines\"\nE=5"), 0);
    assert_string_equal(dotenv_find(&dotenv, "A"), "1");
    assert_string_equal(dotenv_find(&dotenv, "B"), "open\nC=3 # ");
    assert_string_equal(dotenv_find(&dotenv, "D"), "two\nlines");
    assert_string_equal(dotenv_find(&dotenv, "E"), "5");
    assert_int_equal(warnings.count, 2);
    assert_non_null(strstr(warnings.texts[0], "line 2 "));
    assert_non_null(strstr(warnings.texts[1], "line 5 "));
    assert_int_equal(parse("A='secret\nB=2\nC=3"), 0);
    assert_null(dotenv_find(&dotenv, "A"));
    assert_string_equal(dotenv_find(&dotenv, "B"), "2");
    assert_string_equal(dotenv_find(&dotenv, "C"), "3");
    assert_int_equal(warnings.count, 1);
    assert_null(strstr(warnings.texts[0], "secret"));
}

static void a_file_of_bad_lines_fills_no_memory(void **state)
{
    (void)state;
    assert_int_equal(parse("x\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nA=1"), 0);
    assert_int_equal(warnings.count, WARNINGS_KEPT);
    assert_int_equal(warnings.more, 11 - WARNINGS_KEPT);
    assert_string_equal(dotenv_find(&dotenv, "A"), "1");
}

static void what_is_no_text_is_left_out(void **state)
{
    (void)state;
    assert_int_equal(dotenv_parse(&dotenv, "file", "A=1\n\0", 5, environment, &warnings), 0);
    assert_int_equal(dotenv.count, 0);
    assert_string_equal(warnings.texts[0], "file is left out: expected text, without NUL");
}

static void nothing(void **state)
{
    (void)state;
    assert_int_equal(parse(""), 0);
    assert_int_equal(parse("\n\r\n # x"), 0);
    assert_int_equal(dotenv.count, 0);
    assert_null(dotenv_find(&dotenv, "A"));
}

static void names_match_whole(void **state)
{
    (void)state;
    assert_int_equal(parse("AB=1\nA.B=2\nB=3"), 0);
    assert_null(dotenv_find(&dotenv, "A"));
    assert_string_equal(dotenv_find(&dotenv, "A.B"), "2");
    assert_string_equal(environment_find(environment, "HOME", 4), "/root");
    assert_null(environment_find(environment, "HOM", 3));
    assert_null(environment_find(NULL, "HOME", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(values, dispose),
        cmocka_unit_test_teardown(bad_lines_are_left_out_and_named, dispose),
        cmocka_unit_test_teardown(what_stands_around_bad_lines_counts, dispose),
        cmocka_unit_test_teardown(a_file_of_bad_lines_fills_no_memory, dispose),
        cmocka_unit_test_teardown(what_is_no_text_is_left_out, dispose),
        cmocka_unit_test_teardown(nothing, dispose),
        cmocka_unit_test_teardown(names_match_whole, dispose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
