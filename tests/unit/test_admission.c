#include "flashrelay/admission.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static void requests_come_oldest_first(void **state)
{
    struct admission_queue queue;
    struct admission_request requests[3], *taken;

    (void)state;
    admission_queue_init(&queue);
    assert_true(admission_queue_is_empty(&queue));
    assert_null(admission_queue_take(&queue));
    for (unsigned i = 0; i < 3; i++)
        admission_queue_push(&queue, &requests[i]);
    assert_false(admission_queue_is_empty(&queue));
    taken = admission_queue_take(&queue);
    for (unsigned i = 0; i < 3; i++, taken = taken->next)
        assert_ptr_equal(taken, &requests[i]);
    assert_null(taken);
    assert_true(admission_queue_is_empty(&queue));
}

/* How often the waker of an engine was woken; the test has no engine behind it. */
static int wakes;

static void count_wake(struct waker *waker, struct waker *from)
{
    (void)waker;
    assert_null(from);
    wakes++;
}

static void control_is_signalled_once_for_all_that_it_has_not_taken(void **state)
{
    struct admission admission = {.control_event = eventfd(0, EFD_NONBLOCK)};
    struct admission_request requests[3];
    eventfd_t signals;

    (void)state;
    admission_queue_init(&admission.requests);
    admission_ask(&admission, &requests[0]);
    admission_ask(&admission, &requests[1]);
    assert_int_equal(eventfd_read(admission.control_event, &signals), 0);
    assert_int_equal(signals, 1);
    assert_ptr_equal(admission_queue_take(&admission.requests), &requests[0]);
    admission_ask(&admission, &requests[2]);
    assert_int_equal(eventfd_read(admission.control_event, &signals), 0);
    assert_int_equal(signals, 1);
    close(admission.control_event);
}

static void an_answer_goes_to_its_shard_and_wakes_it(void **state)
{
    struct waker wakers[2] = {{.wake = count_wake}, {.wake = count_wake}};
    struct waker *woken[2] = {&wakers[0], &wakers[1]};
    struct admission_queue answers[2];
    struct admission admission = {.answers = answers, .shard_wakers = woken, .shards = 2, .control_event = -1};
    struct admission_request request = {.shard = 1};

    (void)state;
    admission_queue_init(&answers[0]);
    admission_queue_init(&answers[1]);
    wakes = 0;
    waker_prepare_sleep(&wakers[1]);
    admission_answer(&admission, &request);
    assert_int_equal(wakes, 1);
    assert_true(admission_queue_is_empty(&answers[0]));
    assert_ptr_equal(admission_queue_take(&answers[1]), &request);
}

enum { PRODUCERS = 4, REQUESTS = 20000 };

static struct admission_queue shared;
static struct admission_request produced[PRODUCERS][REQUESTS];

static void *produce(void *requests)
{
    for (unsigned i = 0; i < REQUESTS; i++)
        admission_queue_push(&shared, (struct admission_request *)requests + i);
    return NULL;
}

static void nothing_is_lost_or_reordered_between_threads(void **state)
{
    pthread_t threads[PRODUCERS];
    unsigned next[PRODUCERS] = {0}, left = PRODUCERS * REQUESTS;

    (void)state;
    admission_queue_init(&shared);
    for (unsigned i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, produced[i]), 0);
    while (left > 0) {
        struct admission_request *request = admission_queue_take(&shared);

        for (; request; request = request->next, left--) {
            size_t index = (size_t)(request - &produced[0][0]);

            assert_int_equal(index % REQUESTS, next[index / REQUESTS]++);
        }
    }
    for (unsigned i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(admission_queue_is_empty(&shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_come_oldest_first),
        cmocka_unit_test(control_is_signalled_once_for_all_that_it_has_not_taken),
        cmocka_unit_test(an_answer_goes_to_its_shard_and_wakes_it),
        cmocka_unit_test(nothing_is_lost_or_reordered_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
