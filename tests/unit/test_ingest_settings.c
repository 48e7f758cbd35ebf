/* What the options say to the ingest. */
#include "ingest_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A hostile upstream that knew the secret could make two messages of one identity, of which the relay would drop the second. */
static void each_start_draws_a_secret_and_a_seed_of_its_own(void **state)
{
    const struct options options = {.max_message_bytes = 1 << 20};
    struct ingest_options first = ingest_settings_of(&options), second = ingest_settings_of(&options);

    (void)state;
    assert_true(first.secret != second.secret);
    assert_true(first.seed != second.seed);
    assert_true(first.secret != first.seed);
}

static void times_are_in_nanoseconds(void **state)
{
    const struct options options = {
        .subscriber_max_interval_ms = 1, .subscriber_ping_interval_ms = 2, .subscriber_pong_timeout_ms = 3};
    struct ingest_options settings = ingest_settings_of(&options);

    (void)state;
    assert_int_equal(settings.max_backoff_ns, 1000000);
    assert_int_equal(settings.ping_interval_ns, 2000000);
    assert_int_equal(settings.pong_timeout_ns, 3000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_start_draws_a_secret_and_a_seed_of_its_own),
        cmocka_unit_test(times_are_in_nanoseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
