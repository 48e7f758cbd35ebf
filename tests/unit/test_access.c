#include "flashrelay/access.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char name_a[] = "a", name_b[] = "b", name_c[] = "c";
static char key_a[] = "secret", key_b[] = "secret2", key_c[] = "terces";
static struct access_app apps[] = {{name_a, key_a, 1}, {name_b, key_b, 2}, {name_c, key_c, UINT32_MAX}};
static const struct access_table table = {.apps = apps, .count = 3};

static int find(const char *key)
{
    return access_table_find(&table, key, strlen(key));
}

static void each_key_finds_its_app(void **state)
{
    (void)state;
    assert_int_equal(find("secret"), 0);
    assert_int_equal(find("secret2"), 1);
    assert_int_equal(find("terces"), 2);
}

static void what_is_not_exactly_a_key_finds_nothing(void **state)
{
    (void)state;
    assert_int_equal(find(""), -ENOENT);
    assert_int_equal(find("secre"), -ENOENT);
    assert_int_equal(find("secret3"), -ENOENT);
    assert_int_equal(find("Secret"), -ENOENT);
    assert_int_equal(find("secret22"), -ENOENT);
    assert_int_equal(find("secretsecret"), -ENOENT);
    assert_int_equal(access_table_find(&table, "secret\0", 7), -ENOENT);
    assert_int_equal(access_table_find(&table, "secret\0secret", 13), -ENOENT);
}

static void a_table_without_keys_has_no_app(void **state)
{
    const struct access_table empty = {0};

    (void)state;
    assert_int_equal(access_table_find(&empty, "secret", 6), -ENOENT);
    assert_int_equal(access_table_find(&empty, "", 0), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_finds_its_app),
        cmocka_unit_test(what_is_not_exactly_a_key_finds_nothing),
        cmocka_unit_test(a_table_without_keys_has_no_app),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
