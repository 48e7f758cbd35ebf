/* Text from peers, escaped so that a terminal obeys none of it. */
#include "common/printable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *bytes, size_t length, const char *expected)
{
    struct text text = {0};

    text_add_string(&text, "");
    printable_add(&text, bytes, length);
    assert_string_equal(text.bytes, expected);
    text_dispose(&text);
}

#define CHECK(bytes, expected) check(bytes, sizeof(bytes) - 1, expected)

static void what_shows_stays(void **state)
{
    (void)state;
    CHECK("", "");
    CHECK(" {\"index\": 0}~\\", " {\"index\": 0}~\\");
    CHECK("\xc2\xa0\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbd", "\xc2\xa0\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbd");
}

static void controls_are_escaped(void **state)
{
    (void)state;
    CHECK("\0\a\t\n\r\x1b[2J\x1f\x7f", "\\u0000\\u0007\\u0009\\u000a\\u000d\\u001b[2J\\u001f\\u007f");
    CHECK("\xc2\x80\xc2\x9b\xc2\x9f", "\\u0080\\u009b\\u009f");
    CHECK("\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029");
    CHECK("\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\xaa\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9",
          "\\u061c\\u200e\\u200f\\u202a\\u202e\\u2066\\u2069");
}

static void what_is_no_utf8_is_escaped(void **state)
{
    (void)state;
    CHECK("\x9b"
          "31m",
          "\\x9b31m"); /* 0x9b begins a control sequence for a terminal that reads single bytes */
    CHECK("\xc2", "\\xc2");
    CHECK("\xe2\x80", "\\xe2\\x80");
    CHECK("\xc0\x9b\xed\xa0\x80\xf4\x90\x80\x80\xff", "\\xc0\\x9b\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xff");
    CHECK("\xe2\x80\xc3\xa4", "\\xe2\\x80\xc3\xa4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_shows_stays),
        cmocka_unit_test(controls_are_escaped),
        cmocka_unit_test(what_is_no_utf8_is_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
