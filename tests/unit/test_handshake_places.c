#include "flashrelay/random.h"
#include "shard/handshake_places.h"
#include "support/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TOTAL = 16, PER_ADDRESS = 6 };

static struct handshake_places *places;
static struct list_node nodes[TOTAL + 1];
static unsigned used;

static int open_places(void **state)
{
    (void)state;
    used = 0;
    return handshake_places_create(&places, TOTAL, PER_ADDRESS, 1);
}

static int close_places(void **state)
{
    (void)state;
    handshake_places_destroy(places);
    return 0;
}

static struct list_node *enter(const char *address)
{
    struct ip_address ip = ip_of(address);
    struct list_node *node = &nodes[used++];

    list_init(node);
    assert_null(handshake_places_find_victim(places, &ip));
    handshake_places_enter(places, &ip, node);
    return node;
}

static struct list_node *victim_for(const char *address)
{
    struct ip_address ip = ip_of(address);

    return handshake_places_find_victim(places, &ip);
}

static void an_address_over_its_limit_loses_its_oldest(void **state)
{
    struct list_node *oldest = enter("192.0.2.1"), *second = enter("192.0.2.1");
    struct ip_address ip = ip_of("192.0.2.1");

    (void)state;
    for (unsigned i = 2; i < PER_ADDRESS; i++)
        enter("192.0.2.1");
    assert_ptr_equal(victim_for("192.0.2.1"), oldest);
    assert_null(victim_for("192.0.2.2"));
    handshake_places_leave(places, &ip, oldest);
    assert_null(victim_for("192.0.2.1"));
    handshake_places_enter(places, &ip, oldest);
    assert_ptr_equal(victim_for("192.0.2.1"), second);
    assert_int_equal(handshake_places_taken(places), PER_ADDRESS);
}

static void the_busiest_address_gives_way_when_all_are_taken(void **state)
{
    struct list_node *first_of_busiest;
    struct ip_address busiest = ip_of("192.0.2.2");

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        enter("192.0.2.1");
    first_of_busiest = enter("192.0.2.2");
    for (unsigned i = 1; i < PER_ADDRESS; i++)
        enter("192.0.2.2");
    for (unsigned i = 0; i < 5; i++)
        enter("192.0.2.3");
    assert_int_equal(handshake_places_taken(places), TOTAL);
    assert_ptr_equal(victim_for("192.0.2.4"), first_of_busiest);
    assert_ptr_equal(victim_for("192.0.2.1"), first_of_busiest);
    handshake_places_leave(places, &busiest, first_of_busiest);
    assert_null(victim_for("192.0.2.4"));
}

static void a_customer_of_ipv6_is_one_address(void **state)
{
    struct list_node *oldest = enter("2001:db8:1:2::1");

    (void)state;
    enter("2001:db8:1:2::2");
    enter("2001:db8:1:2:3::1");
    enter("2001:db8:1:2:ffff::1");
    enter("2001:db8:1:2::9");
    enter("2001:db8:1:2::8");
    assert_ptr_equal(victim_for("2001:db8:1:2::77"), oldest);
    assert_null(victim_for("2001:db8:1:3::1"));
}

/*
 * A random run, compared with counts in plain arrays: the victim is the oldest handshake of the newcomer's address if that is at its
 * limit, else of an address with most handshakes.
 */
static void any_sequence_keeps_the_counts(void **state)
{
    static const char *const texts[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8:1::1"};
    enum { ADDRESSES = sizeof texts / sizeof texts[0] };
    struct ip_address ips[ADDRESSES];
    unsigned owners[TOTAL], counts[ADDRESSES] = {0}, taken = 0;
    uint64_t ages[TOTAL] = {0}, clock = 0;
    bool entered[TOTAL] = {false};
    struct random random;

    (void)state;
    random_seed(&random, 5);
    for (unsigned i = 0; i < ADDRESSES; i++)
        ips[i] = ip_of(texts[i]);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned slot = (unsigned)random_below(&random, TOTAL), address = (unsigned)random_below(&random, ADDRESSES), most = 0;

        if (entered[slot]) {
            handshake_places_leave(places, &ips[owners[slot]], &nodes[slot]);
            entered[slot] = false;
            counts[owners[slot]]--;
            taken--;
            continue;
        }
        if (random_below(&random, 4) == 0)
            continue;
        struct list_node *victim = handshake_places_find_victim(places, &ips[address]);
        for (unsigned i = 0; i < ADDRESSES; i++)
            most = counts[i] > most ? counts[i] : most;
        assert_int_equal(victim != NULL, counts[address] == PER_ADDRESS || taken == TOTAL);
        if (victim) {
            unsigned index = (unsigned)(victim - nodes), owner = owners[index];

            assert_true(counts[address] == PER_ADDRESS ? owner == address : counts[owner] == most);
            for (unsigned i = 0; i < TOTAL; i++)
                assert_true(!entered[i] || owners[i] != owner || ages[i] >= ages[index]);
            continue;
        }
        list_init(&nodes[slot]);
        handshake_places_enter(places, &ips[address], &nodes[slot]);
        owners[slot] = address;
        ages[slot] = ++clock;
        entered[slot] = true;
        counts[address]++;
        assert_int_equal(handshake_places_taken(places), ++taken);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_places, close_places)
    const struct CMUnitTest tests[] = {
        TEST(an_address_over_its_limit_loses_its_oldest),
        TEST(the_busiest_address_gives_way_when_all_are_taken),
        TEST(a_customer_of_ipv6_is_one_address),
        TEST(any_sequence_keeps_the_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
