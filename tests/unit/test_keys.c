/* API keys: both forms, every refusal, and that no refusal shows a key. */
#include "access/keys.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct api_keys keys;
static char error[256];

static int add(const char *list)
{
    error[0] = 0;
    return keys_parse(&keys, list, error, sizeof error);
}

static int dispose(void **state)
{
    (void)state;
    keys_dispose(&keys);
    return 0;
}

static void both_forms(void **state)
{
    (void)state;
    assert_int_equal(add("a:k1:5,b:k2,c:k3:0,d:k4:99999999999999999999"), 0);
    assert_int_equal(keys.count, 4);
    assert_string_equal(keys.apps[0].name, "a");
    assert_string_equal(keys.apps[0].key, "k1");
    assert_int_equal(keys.apps[0].connection_limit, 5);
    assert_int_equal(keys.apps[1].connection_limit, UINT32_MAX);
    assert_int_equal(keys.apps[2].connection_limit, 0);
    assert_int_equal(keys.apps[3].connection_limit, UINT32_MAX);
}

static void empty_items_are_skipped_and_nothing_is_trimmed(void **state)
{
    (void)state;
    assert_int_equal(add(""), 0);
    assert_int_equal(add(",,a: k ,, b:k,"), 0);
    assert_int_equal(keys.count, 2);
    assert_string_equal(keys.apps[0].key, " k ");
    assert_string_equal(keys.apps[1].name, " b");
}

static void lists_add_up(void **state)
{
    (void)state;
    assert_int_equal(add("a:k1"), 0);
    assert_int_equal(add("b:k2"), 0);
    assert_int_equal(keys.count, 2);
    assert_int_equal(add("a:k3"), -EINVAL);
    assert_int_equal(keys.count, 2);
}

static void refusals_name_the_app_and_never_the_key(void **state)
{
    static const struct {
        const char *list, *told;
    } cases[] = {
        {"acme", "acme has no key"},
        {"acme:", "acme has no key"},
        {"acme:hush:", "acme has an empty connection limit"},
        {"acme:hush:5:6", "acme has a part too many"},
        {"acme:hush:five", "acme has a connection limit that is not a number"},
        {"acme:hush:-1", "acme has a connection limit that is not a number"},
        {"acme:hush: 1", "acme has a connection limit that is not a number"},
        {":hush:5", "the item after 1 apps names none"},
        {":", "the item after 1 apps names none"},
        {"acme:hush,acme:hush2", "acme is named twice"},
        {"acme:hush,emca:hush", "emca has the key of another app"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(add("first:one:1"), 0);
        assert_int_equal(add(cases[i].list), -EINVAL);
        assert_non_null(strstr(error, cases[i].told));
        assert_null(strstr(error, "hush"));
        keys_dispose(&keys);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(both_forms, dispose),
        cmocka_unit_test_teardown(empty_items_are_skipped_and_nothing_is_trimmed, dispose),
        cmocka_unit_test_teardown(lists_add_up, dispose),
        cmocka_unit_test_teardown(refusals_name_the_app_and_never_the_key, dispose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
