/* Publishing messages to the log: the identities by which copies are recognised. */
#include "ingest/publish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

struct fixture {
    struct channel_marks marks;
    struct channel *channel;
    struct ingest_options options;
    struct ingest_counters counters;
    struct upstream_counters upstream_counters;
    struct publisher publisher;
    struct message message;
};

static struct fixture *open_fixture(const struct ingest_options *options)
{
    struct fixture *fixture = aligned_alloc(_Alignof(struct fixture), sizeof *fixture);
    struct channel_options channel = {.name = "test", .arena_bytes = 4 << 20, .entries = 64, .marks = &fixture->marks};

    memset(fixture, 0, sizeof *fixture);
    channel_marks_init(&fixture->marks, 0);
    assert_int_equal(channel_create(&fixture->channel, &channel), 0);
    fixture->options = *options;
    fixture->options.channel = fixture->channel;
    if (fixture->options.max_message_bytes == 0)
        fixture->options.max_message_bytes = 1 << 20;
    assert_int_equal(publisher_init(&fixture->publisher, &fixture->options, &fixture->counters), 0);
    list_init(&fixture->message.waiting_node);
    fixture->message.counters = &fixture->upstream_counters;
    fixture->message.name = "ws://builder";
    return fixture;
}

static void close_fixture(struct fixture *fixture)
{
    publisher_dispose(&fixture->publisher);
    channel_destroy(fixture->channel);
    free(fixture);
}

static void offer(struct fixture *fixture, const void *bytes, size_t length)
{
    fixture->message.bytes = bytes;
    fixture->message.length = length;
    assert_true(publisher_offer(&fixture->publisher, &fixture->message));
}

/* --- identities --- */

static struct recent_identity identity_of(uint64_t secret, const void *bytes, size_t length)
{
    struct fixture *fixture = open_fixture(&(struct ingest_options){.upstream_count = 2, .secret = secret});
    struct recent_identity identity;

    offer(fixture, bytes, length);
    identity = fixture->message.identity;
    close_fixture(fixture);
    return identity;
}

/* Short, medium and long inputs are hashed in different ways. */
static void identities_depend_on_the_secret(void **state)
{
    static const size_t lengths[] = {0, 1, 16, 128, 200, 1000};
    uint8_t bytes[1000];

    (void)state;
    memset(bytes, '{', sizeof bytes);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct recent_identity first = identity_of(1, bytes, lengths[i]), same = identity_of(1, bytes, lengths[i]);
        struct recent_identity other = identity_of(2, bytes, lengths[i]);
        XXH128_hash_t known = XXH3_128bits(bytes, lengths[i]);

        assert_true(first.low == same.low && first.high == same.high);
        assert_true(first.low != other.low && first.high != other.high);
        assert_true(first.low != known.low64 && first.high != known.high64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identities_depend_on_the_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
