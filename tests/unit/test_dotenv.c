/* .env files: every form of a value, and what is none. */
#include "options/dotenv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dotenv dotenv;
static struct dotenv_error error;
static char *environment[] = {"HOME=/root", "EMPTY=", NULL};

static int dispose(void **state)
{
    (void)state;
    dotenv_dispose(&dotenv);
    return 0;
}

static int parse(const char *text)
{
    dotenv_dispose(&dotenv);
    return dotenv_parse(&dotenv, text, strlen(text), environment, &error);
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
    }
}

static void errors_say_where_and_what(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *error;
    } cases[] = {
        {"A", 1, "expected NAME=value"},
        {"A=1\n\nexport B\n", 3, "expected NAME=value"},
        {"1A=1", 1, "expected NAME=value"},
        {"=1", 1, "expected NAME=value"},
        {"A B=1", 1, "expected NAME=value"},
        {"A=1\nB='x\ny", 3, "expected a closing '"},
        {"A=\"x", 1, "expected a closing \""},
        {"A=x\\", 1, "expected a character after the backslash"},
        {"A=\"x\\", 1, "expected a character after the backslash"},
        {"A=${HOME", 1, "expected ${NAME}"},
        {"A=\"${}\"", 1, "expected ${NAME}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(parse(cases[i].text), -EINVAL);
        assert_int_equal(error.line, cases[i].line);
        assert_string_equal(error.error, cases[i].error);
    }
    assert_int_equal(dotenv_parse(&dotenv, "A=\0", 3, environment, &error), -EINVAL);
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
        cmocka_unit_test_teardown(errors_say_where_and_what, dispose),
        cmocka_unit_test_teardown(nothing, dispose),
        cmocka_unit_test_teardown(names_match_whole, dispose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
