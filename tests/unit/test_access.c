/* The access table: it finds exactly the keys that it was made of, however many there are, and apps keep their numbers. */
#include "flashrelay/access.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { APPS = 20000, TEXT_BYTES = 16 };

static struct access_table *table;

static int create(const struct access_app *apps, unsigned count)
{
    return access_table_create(&table, apps, count, false);
}

static int destroy(void **state)
{
    (void)state;
    access_table_destroy(table);
    table = NULL;
    return 0;
}

static int find(const char *key)
{
    return access_table_find(table, key, strlen(key));
}

static const struct access_app three[] = {
    {(char[]){"a"}, (char[]){"secret"}, 1},
    {(char[]){"b"}, (char[]){"secret2"}, 2},
    {(char[]){"c"}, (char[]){"terces"}, UINT32_MAX},
};

static void each_key_finds_its_app(void **state)
{
    (void)state;
    assert_int_equal(create(three, 3), 0);
    assert_int_equal(find("secret"), 0);
    assert_int_equal(find("secret2"), 1);
    assert_int_equal(find("terces"), 2);
    assert_string_equal(access_table_app(table, 1)->name, "b");
    assert_int_equal(access_table_app(table, 1)->connection_limit, 2);
    assert_null(access_table_app(table, 3));
}

static void what_is_not_exactly_a_key_finds_nothing(void **state)
{
    static const char *const wrong[] = {"", "s", "secre", "secret3", "Secret", "secret22", "secretsecret", "terces "};

    (void)state;
    assert_int_equal(create(three, 3), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(find(wrong[i]), -ENOENT);
    assert_int_equal(access_table_find(table, "secret\0", 7), -ENOENT);
    assert_int_equal(access_table_find(table, "secret\0secret", 13), -ENOENT);
}

/* A key that is longer than the longest is refused unread: reading these bytes would end the test. */
static void what_is_longer_than_the_longest_key_is_not_hashed(void **state)
{
    enum { LENGTH = 8192 };
    char *unreadable = mmap(NULL, LENGTH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(unreadable, MAP_FAILED);
    assert_int_equal(create(three, 3), 0);
    assert_int_equal(access_table_find(table, unreadable, LENGTH), -ENOENT);
    assert_int_equal(access_table_find(table, unreadable, access_table_longest_key_bytes(table) + 1), -ENOENT);
    munmap(unreadable, LENGTH);
}

static void nothing_is_longer_than_the_longest_key(void **state)
{
    char *long_key = calloc(1, 8192);

    (void)state;
    assert_int_equal(create(three, 3), 0);
    assert_int_equal(access_table_longest_key_bytes(table), strlen("secret2"));
    memset(long_key, 's', 8192);
    assert_int_equal(access_table_find(table, long_key, 8192), -ENOENT);
    free(long_key);
}

static void a_table_without_keys_has_no_app(void **state)
{
    (void)state;
    assert_int_equal(create(NULL, 0), 0);
    assert_int_equal(access_table_count(table), 0);
    assert_int_equal(find("secret"), -ENOENT);
    assert_int_equal(find(""), -ENOENT);
}

/* An app that was removed leaves its number unused; the apps after it keep their numbers. */
static void apps_keep_their_numbers(void **state)
{
    struct access_app apps[3];

    (void)state;
    memcpy(apps, three, sizeof apps);
    apps[1] = (struct access_app){0};
    assert_int_equal(create(apps, 3), 0);
    assert_int_equal(access_table_count(table), 3);
    assert_int_equal(find("secret"), 0);
    assert_int_equal(find("secret2"), -ENOENT);
    assert_null(access_table_app(table, 1));
    assert_int_equal(find("terces"), 2);
}

/* Limits and counters have no place for the numbers of a larger table, which is refused and leaves the published one in use. */
static void a_table_with_more_numbers_than_are_counted_is_refused(void **state)
{
    struct snapshot_group *group;
    struct snapshot_slot slot = {0};
    const struct access_table *published;

    (void)state;
    assert_int_equal(snapshot_group_create(&group, 0), 0);
    assert_int_equal(create(three, 2), 0);
    assert_int_equal(access_table_publish(group, &slot, table, 2), 0);
    published = table;
    assert_int_equal(create(three, 3), 0);
    assert_int_equal(access_table_publish(group, &slot, table, 2), -E2BIG);
    assert_ptr_equal(access_table_current(&slot), published);
    assert_int_equal(find("terces"), 2); /* it is still the caller's */
    snapshot_publish(group, &slot, NULL);
    snapshot_group_destroy(group);
}

static void there_are_no_more_numbers_than_requests_can_name(void **state)
{
    (void)state;
    assert_int_equal(create(three, ACCESS_MAX_APPS + 1), -E2BIG);
}

static void write_key(char text[TEXT_BYTES], unsigned number)
{
    snprintf(text, TEXT_BYTES, "%x", number * 2654435761u);
}

static void many_keys_are_told_apart(void **state)
{
    struct access_app *apps = calloc(APPS, sizeof *apps);
    char(*keys)[TEXT_BYTES] = calloc(APPS, sizeof *keys), wrong[TEXT_BYTES];
    static char name[] = "app";

    (void)state;
    for (unsigned i = 0; i < APPS; i++) {
        write_key(keys[i], i);
        apps[i] = (struct access_app){name, keys[i], i};
    }
    assert_int_equal(create(apps, APPS), 0);
    for (unsigned i = 0; i < APPS; i++) {
        assert_int_equal(find(keys[i]), i);
        write_key(wrong, APPS + i);
        assert_int_equal(find(wrong), -ENOENT);
    }
    free(apps);
    free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_key_finds_its_app, destroy),
        cmocka_unit_test_teardown(what_is_not_exactly_a_key_finds_nothing, destroy),
        cmocka_unit_test_teardown(what_is_longer_than_the_longest_key_is_not_hashed, destroy),
        cmocka_unit_test_teardown(nothing_is_longer_than_the_longest_key, destroy),
        cmocka_unit_test_teardown(a_table_without_keys_has_no_app, destroy),
        cmocka_unit_test_teardown(apps_keep_their_numbers, destroy),
        cmocka_unit_test_teardown(a_table_with_more_numbers_than_are_counted_is_refused, destroy),
        cmocka_unit_test(there_are_no_more_numbers_than_requests_can_name),
        cmocka_unit_test_teardown(many_keys_are_told_apart, destroy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
