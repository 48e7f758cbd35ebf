#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { CAPACITY = 8 };

static void there_are_as_many_as_asked_for(void **state)
{
    struct slab slab;
    uint8_t *elements[CAPACITY];

    (void)state;
    assert_int_equal(slab_init(&slab, 24, CAPACITY, UINT32_MAX), 0);
    for (unsigned i = 0; i < CAPACITY; i++) {
        elements[i] = slab_take(&slab);
        assert_non_null(elements[i]);
        memset(elements[i], (int)i, 24);
    }
    assert_null(slab_take(&slab));
    assert_int_equal(slab_used(&slab), CAPACITY);
    for (unsigned i = 0; i < CAPACITY; i++)
        assert_int_equal(elements[i][0] + elements[i][23], 2 * i);
    slab_dispose(&slab);
}

static void the_last_given_back_is_taken_first(void **state)
{
    struct slab slab;
    void *first, *second;

    (void)state;
    assert_int_equal(slab_init(&slab, 24, CAPACITY, UINT32_MAX), 0);
    first = slab_take(&slab);
    second = slab_take(&slab);
    slab_give(&slab, second);
    slab_give(&slab, first);
    assert_int_equal(slab_used(&slab), 0);
    assert_ptr_equal(slab_take(&slab), first);
    assert_ptr_equal(slab_take(&slab), second);
    assert_int_equal(slab_used(&slab), 2);
    slab_dispose(&slab);
}

static bool is_resident(void *page, size_t page_bytes)
{
    unsigned char resident;

    assert_int_equal(mincore(page, page_bytes, &resident), 0);
    return resident & 1;
}

static void free_elements_beyond_those_kept_give_their_memory_back(void **state)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    struct slab slab;
    void *elements[3];

    (void)state;
    assert_int_equal(slab_init(&slab, page_bytes, CAPACITY, 1), 0);
    for (unsigned i = 0; i < 3; i++) {
        elements[i] = slab_take(&slab);
        memset(elements[i], 1, page_bytes);
        assert_true(is_resident(elements[i], page_bytes));
    }
    for (unsigned i = 0; i < 3; i++)
        slab_give(&slab, elements[i]);
    assert_true(is_resident(elements[0], page_bytes));
    assert_false(is_resident(elements[1], page_bytes));
    assert_false(is_resident(elements[2], page_bytes));
    slab_dispose(&slab);
}

static void an_element_given_back_leaves_the_others_of_its_page_alone(void **state)
{
    size_t element_bytes = (size_t)sysconf(_SC_PAGESIZE) / CAPACITY;
    struct slab slab;
    uint8_t *elements[CAPACITY];

    (void)state;
    assert_int_equal(slab_init(&slab, element_bytes, CAPACITY, 0), 0);
    for (unsigned i = 0; i < CAPACITY; i++) {
        elements[i] = slab_take(&slab);
        memset(elements[i], (int)i, element_bytes);
    }
    slab_give(&slab, elements[0]);
    for (unsigned i = 1; i < CAPACITY; i++)
        assert_int_equal(elements[i][0] + elements[i][element_bytes - 1], 2 * i);
    slab_dispose(&slab);
}

static void a_slab_that_was_not_made_can_be_disposed_of(void **state)
{
    struct slab slab = {0};

    (void)state;
    slab_dispose(&slab);
    assert_null(slab.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_as_many_as_asked_for),
        cmocka_unit_test(the_last_given_back_is_taken_first),
        cmocka_unit_test(free_elements_beyond_those_kept_give_their_memory_back),
        cmocka_unit_test(an_element_given_back_leaves_the_others_of_its_page_alone),
        cmocka_unit_test(a_slab_that_was_not_made_can_be_disposed_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
