#include "engine/tcp/host.h"

#include "flashrelay/clock.h"
#include "support/ip.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};
static const struct port_limits limits = {.mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500};

static struct host *host;

/* 192.0.2.10/27 (broadcast .31), 198.51.100.1/31, 2001:db8::1/61, and no gateways. */
static int open_without_gateways(void **state)
{
    struct host_options options = {.address_count = 3, .mtu = 1500};

    (void)state;
    options.addresses[0] = (struct host_address){ip_of("192.0.2.10"), 27};
    options.addresses[1] = (struct host_address){ip_of("198.51.100.1"), 31};
    options.addresses[2] = (struct host_address){ip_of("2001:db8::1"), 61};
    return host_create(&host, &options, &limits, 2);
}

static int open_with_gateways(void **state)
{
    int result = open_without_gateways(state);

    host->options.gateways[0] = ip_of("192.0.2.1");
    host->options.gateways[1] = ip_of("2001:db8::ffff");
    host->options.gateway_count = 2;
    return result;
}

static int close_host(void **state)
{
    (void)state;
    host_destroy(host);
    return 0;
}

/* --- own addresses --- */

static bool is_own(const char *text, uint8_t *local)
{
    struct ip_address ip = ip_of(text);

    *local = 0xff;
    return ip_address_is_v4(&ip) ? host_find_v4(host, ip.bytes + 12, local) : host_find_v6(host, ip.bytes, local);
}

static void own_addresses_are_found_by_number(void **state)
{
    uint8_t local;

    (void)state;
    assert_true(is_own("192.0.2.10", &local) && local == 0);
    assert_true(is_own("198.51.100.1", &local) && local == 1);
    assert_true(is_own("2001:db8::1", &local) && local == 2);
    assert_false(is_own("192.0.2.11", &local));
    assert_false(is_own("2001:db8::2", &local));
}

static void the_solicited_node_address_is_an_own_one(void **state)
{
    uint8_t local;

    (void)state;
    assert_true(is_own("ff02::1:ff00:1", &local) && local == 2);
    assert_false(is_own("ff02::1:ff00:2", &local));
    assert_false(is_own("ff02::1", &local));
}

static void a_mapped_address_on_the_wire_is_nobody_s(void **state)
{
    struct ip_address ip = ip_of("192.0.2.10");
    uint8_t local;

    (void)state;
    assert_false(host_find_v6(host, ip.bytes, &local));
}

static void peers_have_addresses_of_single_machines(void **state)
{
    static const char *const good[] = {"192.0.2.9",       "192.0.2.32",  "198.51.100.0", "203.0.113.255",
                                       "223.255.255.255", "1.0.0.0",     "126.0.0.1",    "128.0.0.1",
                                       "192.0.2.63",      "2001:db8::2", "fe80::1",      "2001:db8:0:8::"};
    static const char *const bad[] = {
        "192.0.2.10", "192.0.2.31",      "198.51.100.1", "0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1",
        "240.0.0.1",  "255.255.255.255", "::",           "::1",     "ff02::1", "ff0e::1",   "2001:db8::1"};

    (void)state;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct ip_address ip = ip_of(good[i]);

        if (!host_is_peer(host, &ip))
            fail_msg("%s is no peer", good[i]);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ip_address ip = ip_of(bad[i]);

        if (host_is_peer(host, &ip))
            fail_msg("%s is a peer", bad[i]);
    }
}

/* --- neighbours --- */

static int use(const char *remote, const uint8_t mac[6], uint64_t now_ns)
{
    struct ip_address ip = ip_of(remote);

    return host_use_neighbour(host, &ip, 0, mac, now_ns);
}

static void assert_mac(int neighbour, const uint8_t expected[6])
{
    uint8_t mac[6];

    host_neighbour_mac(host, (unsigned)neighbour, mac);
    assert_memory_equal(mac, expected, 6);
}

static void peers_on_the_link_are_neighbours_and_others_share_the_gateway(void **state)
{
    int on_link, next, far_a, far_b, far_v6, within_v6;

    (void)state;
    on_link = use("192.0.2.30", mac_a, 0);
    next = use("192.0.2.29", mac_a, 0);
    far_a = use("192.0.2.32", mac_b, 0); /* one beyond the /27 */
    far_b = use("203.0.113.9", mac_b, 0);
    far_v6 = use("2001:db8:0:8::1", mac_b, 0); /* one beyond the /61 */
    assert_int_not_equal(on_link, next);
    assert_int_equal(far_a, far_b);
    assert_int_not_equal(far_a, far_v6);
    within_v6 = use("2001:db8:0:7:ffff::1", mac_a, 0);
    assert_int_equal(within_v6, 4);
    assert_true(ip_address_equal(&host->neighbours[far_a].ip, &host->options.gateways[0]));
    assert_true(ip_address_equal(&host->neighbours[far_v6].ip, &host->options.gateways[1]));
    assert_int_equal(host->neighbours[far_a].users, 2);
    assert_int_equal(use("192.0.2.1", mac_b, 0), far_a); /* the gateway itself */
}

static void without_gateway_answers_go_where_packets_came_from(void **state)
{
    int a, b;

    (void)state;
    a = use("203.0.113.1", mac_a, 0);
    b = use("203.0.113.1", mac_b, 0);
    assert_int_not_equal(a, b);
    assert_int_equal(use("203.0.113.77", mac_a, 0), a);
    assert_mac(a, mac_a);
    assert_mac(b, mac_b);
}

static void an_answer_changes_the_address_of_its_neighbour_only(void **state)
{
    struct ip_address ip = ip_of("192.0.2.30"), unknown = ip_of("192.0.2.20");
    int a = use("192.0.2.30", mac_a, 0), b = use("192.0.2.29", mac_a, 0), count = (int)host->neighbour_count;

    (void)state;
    host_learn(host, &ip, mac_b, NS_PER_S);
    host_learn(host, &unknown, mac_b, NS_PER_S);
    assert_mac(a, mac_b);
    assert_mac(b, mac_a);
    assert_int_equal(host->neighbour_count, count);
    assert_int_equal(use("192.0.2.30", mac_a, 2 * NS_PER_S), a); /* a handshake's source does not change what ARP has said */
    assert_mac(a, mac_b);
}

static void entries_run_out_and_come_back(void **state)
{
    char text[32];

    (void)state;
    for (unsigned i = 0; i < HOST_NEIGHBOURS; i++) {
        snprintf(text, sizeof text, "2001:db8::1:%x", i);
        assert_int_equal(use(text, mac_a, 0), i);
    }
    assert_int_equal(use("192.0.2.30", mac_b, 0), -ENOBUFS);
    assert_int_equal(use("2001:db8::1:7", mac_a, 0), 7); /* known ones are found */
    host_leave_neighbour(host, 7);
    assert_int_equal(use("192.0.2.30", mac_b, 0), -ENOBUFS); /* it has one user left */
    host_leave_neighbour(host, 7);
    assert_int_equal(use("192.0.2.30", mac_b, 0), 7);
    assert_mac(7, mac_b);
    assert_int_equal(host->neighbours[7].users, 1);
}

/* --- stale ones --- */

static unsigned count_stale(uint64_t now_ns)
{
    unsigned place = 0, count = 0;
    struct ip_address ip;
    uint8_t local;

    while (host_next_stale(host, &place, now_ns, &ip, &local))
        count++;
    return count;
}

static void who_was_not_confirmed_for_30_s_is_asked_for(void **state)
{
    struct ip_address ip = ip_of("192.0.2.30");
    int neighbour = use("192.0.2.30", mac_a, 100 * NS_PER_S);
    struct ip_address asked;
    unsigned place = 0;
    uint8_t local;

    (void)state;
    use("203.0.113.1", mac_b, 100 * NS_PER_S); /* known by its MAC address only: nobody can be asked */
    assert_int_equal(count_stale(129 * NS_PER_S), 0);
    assert_int_equal(count_stale(130 * NS_PER_S), 1);
    assert_true(host_next_stale(host, &place, 130 * NS_PER_S, &asked, &local));
    assert_true(ip_address_equal(&asked, &ip));
    host_learn(host, &ip, mac_a, 131 * NS_PER_S);
    assert_int_equal(count_stale(160 * NS_PER_S), 0);
    assert_int_equal(count_stale(161 * NS_PER_S), 1);
    host_leave_neighbour(host, (unsigned)neighbour);
    assert_int_equal(count_stale(161 * NS_PER_S), 0); /* nobody uses it */
}

/* Ages have 16 bits: they wrap after 18 hours. */
static void ages_wrap(void **state)
{
    uint64_t now_ns = 65530 * NS_PER_S;

    (void)state;
    use("192.0.2.30", mac_a, now_ns);
    assert_int_equal(count_stale(now_ns + 29 * NS_PER_S), 0);
    assert_int_equal(count_stale(now_ns + 30 * NS_PER_S), 1);
}

/* --- news --- */

static void news_reach_every_engine_and_are_bounded(void **state)
{
    struct host_too_big news;

    (void)state;
    for (uint16_t i = 0; i < HOST_NEWS + 5; i++)
        host_tell(host, &(struct host_too_big){.mtu = i});
    for (unsigned engine = 0; engine < 2; engine++) {
        for (uint16_t i = 0; i < HOST_NEWS; i++) {
            assert_true(host_take_news(host, engine, &news));
            assert_int_equal(news.mtu, i);
        }
        assert_false(host_take_news(host, engine, &news));
    }
    host_tell(host, &(struct host_too_big){.mtu = 1280});
    assert_true(host_take_news(host, 1, &news));
    assert_int_equal(news.mtu, 1280);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(own_addresses_are_found_by_number, open_without_gateways, close_host),
        cmocka_unit_test_setup_teardown(the_solicited_node_address_is_an_own_one, open_without_gateways, close_host),
        cmocka_unit_test_setup_teardown(a_mapped_address_on_the_wire_is_nobody_s, open_without_gateways, close_host),
        cmocka_unit_test_setup_teardown(peers_have_addresses_of_single_machines, open_without_gateways, close_host),
        cmocka_unit_test_setup_teardown(peers_on_the_link_are_neighbours_and_others_share_the_gateway, open_with_gateways,
                                        close_host),
        cmocka_unit_test_setup_teardown(without_gateway_answers_go_where_packets_came_from, open_without_gateways, close_host),
        cmocka_unit_test_setup_teardown(an_answer_changes_the_address_of_its_neighbour_only, open_without_gateways, close_host),
        cmocka_unit_test_setup_teardown(entries_run_out_and_come_back, open_without_gateways, close_host),
        cmocka_unit_test_setup_teardown(who_was_not_confirmed_for_30_s_is_asked_for, open_without_gateways, close_host),
        cmocka_unit_test_setup_teardown(ages_wrap, open_without_gateways, close_host),
        cmocka_unit_test_setup_teardown(news_reach_every_engine_and_are_bounded, open_without_gateways, close_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
