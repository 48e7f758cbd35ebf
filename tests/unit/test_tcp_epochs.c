/* Frames held until the port has sent them, against a port whose epochs end when the test says so. */
#include "engine/tcp/epochs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define WINDOW 1024

static struct {
    struct port port;
    uint64_t begun, oldest;
} card;
static struct epochs epochs;
static struct holds holds[EPOCH_CHANNELS + 2];
static struct engine_channel channels[EPOCH_CHANNELS + 3];
static struct engine engine;

static uint64_t begin_epoch(struct port *port)
{
    (void)port;
    return card.begun + 1 - card.oldest == PORT_EPOCHS ? 0 : ++card.begun;
}

static uint64_t oldest_epoch(struct port *port)
{
    (void)port;
    return card.oldest;
}

static const struct port_ops ops = {.begin_epoch = begin_epoch, .oldest_epoch = oldest_epoch};

static int begin(void **state)
{
    (void)state;
    card.port.ops = &ops;
    card.begun = 0;
    card.oldest = 1;
    epochs_init(&epochs);
    engine = (struct engine){.channels = channels, .channel_count = EPOCH_CHANNELS + 3};
    for (unsigned i = 0; i < EPOCH_CHANNELS + 2; i++) {
        if (holds_init(&holds[i], WINDOW) != 0)
            return -1;
        channels[i].holds = &holds[i];
    }
    channels[EPOCH_CHANNELS + 2].holds = NULL; /* not counted */
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EPOCH_CHANNELS + 2; i++)
        holds_dispose(&holds[i]);
    return 0;
}

static void release_before(uint64_t oldest)
{
    card.oldest = oldest;
    epochs_release(&epochs, &engine, &card.port);
}

static void the_lowest_frame_is_held_until_the_epoch_is_over(void **state)
{
    (void)state;
    assert_false(epochs_hold(&epochs, &engine, 0, 10, 1)); /* none is open */
    assert_true(epochs_begin(&epochs, &card.port));
    assert_true(epochs_hold(&epochs, &engine, 0, 10, 1));
    assert_true(epochs_hold(&epochs, &engine, 0, 12, 1));
    assert_int_equal(holds_lowest(&holds[0]), 10);
    assert_true(epochs_hold(&epochs, &engine, 0, 7, 1));
    assert_int_equal(holds_lowest(&holds[0]), 7);
    assert_int_equal(holds[0].total, 1);
    release_before(1);
    assert_int_equal(holds_lowest(&holds[0]), 7);
    release_before(2);
    assert_int_equal(holds_lowest(&holds[0]), HOLDS_NONE);
    assert_false(epochs_hold_any(&epochs));
    assert_false(epochs_hold(&epochs, &engine, 0, 20, 1)); /* an epoch that is over takes no more */
}

static void an_epoch_of_more_channels_than_four_is_two(void **state)
{
    (void)state;
    assert_true(epochs_begin(&epochs, &card.port));
    for (uint16_t channel = 0; channel < EPOCH_CHANNELS; channel++)
        assert_true(epochs_hold(&epochs, &engine, channel, 100u + channel, 1));
    assert_false(epochs_hold(&epochs, &engine, EPOCH_CHANNELS, 200, 1));
    assert_true(epochs_hold(&epochs, &engine, 2, 99, 1)); /* those that it has may still be held */
    assert_true(epochs_begin(&epochs, &card.port));
    assert_true(epochs_hold(&epochs, &engine, EPOCH_CHANNELS, 200, 1));
    release_before(2);
    for (uint16_t channel = 0; channel < EPOCH_CHANNELS; channel++)
        assert_int_equal(holds_lowest(&holds[channel]), HOLDS_NONE);
    assert_int_equal(holds_lowest(&holds[EPOCH_CHANNELS]), 200);
    release_before(3);
    assert_int_equal(holds_lowest(&holds[EPOCH_CHANNELS]), HOLDS_NONE);
}

static void a_channel_without_holds_takes_a_place_and_nothing_else(void **state)
{
    (void)state;
    assert_true(epochs_begin(&epochs, &card.port));
    assert_true(epochs_hold(&epochs, &engine, EPOCH_CHANNELS + 2, 5, 1));
    assert_true(epochs_hold(&epochs, &engine, EPOCH_CHANNELS + 2, 3, 1));
    release_before(2);
    assert_false(epochs_hold_any(&epochs));
}

static void an_epoch_takes_a_limited_number_of_segments(void **state)
{
    (void)state;
    assert_true(epochs_begin(&epochs, &card.port));
    assert_true(epochs_hold(&epochs, &engine, 0, 1, PORT_EPOCH_SEGMENTS - 1));
    assert_false(epochs_hold(&epochs, &engine, 0, 1, 2));
    assert_true(epochs_hold(&epochs, &engine, 0, 1, 1));
    assert_false(epochs_hold(&epochs, &engine, 0, 1, 1));
    release_before(2);
}

static void no_epoch_is_begun_while_all_are_in_use(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= PORT_EPOCHS; i++) {
        assert_true(epochs_begin(&epochs, &card.port));
        assert_true(epochs_hold(&epochs, &engine, 0, i, 1));
    }
    assert_false(epochs_begin(&epochs, &card.port));
    assert_false(epochs_hold(&epochs, &engine, 0, 500, 1));
    assert_int_equal(holds_lowest(&holds[0]), 1);
    release_before(2);
    assert_int_equal(holds_lowest(&holds[0]), 2);
    assert_true(epochs_begin(&epochs, &card.port)); /* its place in the ring is the first one's */
    assert_true(epochs_hold(&epochs, &engine, 0, 500, 1));
    release_before(PORT_EPOCHS + 1);
    assert_int_equal(holds_lowest(&holds[0]), 500);
    release_before(PORT_EPOCHS + 2);
    assert_int_equal(holds_lowest(&holds[0]), HOLDS_NONE);
}

/* A port that lets go of nothing: 8,192 turns with one segment each fit into its epochs. */
static void small_turns_never_use_up_all_epochs(void **state)
{
    (void)state;
    for (uint64_t turn = 1; turn <= PORT_EPOCH_SEGMENTS; turn++) {
        if (!epochs_hold(&epochs, &engine, 0, turn % 1000 + 1, 1)) {
            assert_true(epochs_begin(&epochs, &card.port));
            assert_true(epochs_hold(&epochs, &engine, 0, turn % 1000 + 1, 1));
        }
        epochs_end_turn(&epochs);
    }
    assert_true(card.begun <= PORT_EPOCHS / 2 + 2);
    epochs_release_all(&epochs, &engine);
    assert_int_equal(holds[0].total, 0);
}

/* Turn after turn, as long as the port keeps up: each turn's frames are let go of by themselves. */
static void a_turn_is_an_epoch(void **state)
{
    (void)state;
    for (uint64_t turn = 1; turn < 1000; turn++) {
        assert_true(epochs_begin(&epochs, &card.port));
        assert_true(epochs_hold(&epochs, &engine, 0, turn, 1));
        epochs_end_turn(&epochs);
        assert_false(epochs_hold(&epochs, &engine, 0, turn, 1));
        if (turn > 3)
            release_before(turn - 2);
        assert_int_equal(holds_lowest(&holds[0]), turn > 3 ? turn - 2 : 1);
    }
    epochs_release_all(&epochs, &engine);
    assert_false(epochs_hold_any(&epochs));
    assert_int_equal(holds[0].total, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_lowest_frame_is_held_until_the_epoch_is_over, begin, end),
        cmocka_unit_test_setup_teardown(an_epoch_of_more_channels_than_four_is_two, begin, end),
        cmocka_unit_test_setup_teardown(a_channel_without_holds_takes_a_place_and_nothing_else, begin, end),
        cmocka_unit_test_setup_teardown(an_epoch_takes_a_limited_number_of_segments, begin, end),
        cmocka_unit_test_setup_teardown(no_epoch_is_begun_while_all_are_in_use, begin, end),
        cmocka_unit_test_setup_teardown(small_turns_never_use_up_all_epochs, begin, end),
        cmocka_unit_test_setup_teardown(a_turn_is_an_epoch, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
