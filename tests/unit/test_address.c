/* Addresses: one form for IPv4 and IPv6, and texts that are refused as no address. */
#include "flashrelay/address.h"
#include "support/skip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct ip_address parse(const char *text)
{
    struct ip_address ip;

    assert_int_equal(ip_address_parse(&ip, text, strlen(text)), 0);
    return ip;
}

static void expect_text(const char *given, const char *expected)
{
    struct ip_address ip = parse(given);
    char text[ADDRESS_TEXT_BYTES];

    assert_string_equal(ip_address_format(&ip, text), expected);
}

static void addresses_are_printed_as_they_are_written(void **state)
{
    (void)state;
    expect_text("1.2.3.4", "1.2.3.4");
    expect_text("0.0.0.0", "0.0.0.0");
    expect_text("::", "::");
    expect_text("2001:DB8:0:0::1", "2001:db8::1");
    expect_text("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void a_mapped_address_is_the_ipv4_one(void **state)
{
    struct ip_address plain = parse("10.0.0.1"), mapped = parse("::ffff:10.0.0.1"), other = parse("::10.0.0.1");

    (void)state;
    assert_true(ip_address_is_v4(&plain));
    assert_true(ip_address_equal(&plain, &mapped));
    assert_false(ip_address_is_v4(&other));
    assert_false(ip_address_equal(&plain, &other));
    expect_text("::ffff:10.0.0.1", "10.0.0.1");
}

static void only_bare_addresses_are_addresses(void **state)
{
    static const char *const WRONG[] = {
        "",           " 1.2.3.4", "1.2.3.4 ",   "1.2.3", "1.2.3.256", "01.2.3.4",
        "1.2.3.4:80", "[::1]",    "fe80::1%lo", "::g",   "localhost", "0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:1"};
    struct ip_address ip;

    (void)state;
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        assert_int_equal(ip_address_parse(&ip, WRONG[i], strlen(WRONG[i])), -EINVAL);
    assert_int_equal(ip_address_parse(&ip, "1.2.3.4\0.5", 10), -EINVAL);
}

static void the_length_bounds_the_text(void **state)
{
    struct ip_address ip, expected = parse("1.2.3.4");

    (void)state;
    assert_int_equal(ip_address_parse(&ip, "1.2.3.456", 7), 0);
    assert_true(ip_address_equal(&ip, &expected));
}

static void expect_address(const char *text, bool v4, uint16_t port)
{
    struct address address;
    char out[ADDRESS_TEXT_BYTES];

    assert_int_equal(address_parse(&address, text), 0);
    assert_int_equal(ip_address_is_v4(&address.ip), v4);
    assert_int_equal(address.port, port);
    assert_string_equal(address_format(&address, out), text);
}

static void addresses_with_ports(void **state)
{
    (void)state;
    expect_address("1.2.3.4:80", true, 80);
    expect_address("0.0.0.0:0", true, 0);
    expect_address("255.255.255.255:65535", true, 65535);
    expect_address("[::1]:80", false, 80);
    expect_address("[::]:9000", false, 9000);
    expect_address("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", false, 65535);
}

static void what_is_no_address_with_port(void **state)
{
    static const char *const WRONG[] = {"",           "1.2.3.4",     "1.2.3.4:",   ":80",           "1.2.3.4:x",
                                        "1.2.3.4:-1", "1.2.3.4:+1",  "1.2.3.4: 1", "1.2.3.4:65536", "1.2.3.4:100000",
                                        "::1:80",     "[1.2.3.4]:1", "[::1]",      "[::1:80",       "::1]:80",
                                        "[]:80",      "host:80",     "1.2.3.4:80 "};
    struct address address;

    (void)state;
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        assert_int_equal(address_parse(&address, WRONG[i]), -EINVAL);
}

static void expect_through_kernel_form(const char *text, sa_family_t family, socklen_t length)
{
    struct address address, back;
    struct sockaddr_storage sockaddr;
    char out[ADDRESS_TEXT_BYTES];

    assert_int_equal(address_parse(&address, text), 0);
    assert_int_equal(address_to_sockaddr(&address, &sockaddr), length);
    assert_int_equal(sockaddr.ss_family, family);
    assert_int_equal(address_from_sockaddr(&back, (const struct sockaddr *)&sockaddr), 0);
    assert_string_equal(address_format(&back, out), text);
}

static void a_link_local_address_keeps_its_interface(void **state)
{
    static const char *const WRONG[] = {
        "[fe80::1%]:80",           "[fe80::1%no-such-one]:80", "[fe80::1%0]:80",         "[fe80::1%7x]:80", "[fe80::1%-1]:80",
        "[fe80::1%4294967297]:80", "[fe80::1%lo%lo]:80",       "[::ffff:1.2.3.4%lo]:80", "1.2.3.4%lo:80",   "fe80::1%lo:80"};
    struct address address;
    struct sockaddr_storage sockaddr;
    char out[ADDRESS_TEXT_BYTES];

    (void)state;
    if (if_nametoindex("lo") == 0)
        skip_because("this machine has no interface lo");
    expect_through_kernel_form("[fe80::1%lo]:8545", AF_INET6, sizeof(struct sockaddr_in6));
    assert_int_equal(address_parse(&address, "[fe80::1%lo]:8545"), 0);
    address_to_sockaddr(&address, &sockaddr);
    assert_int_equal(((struct sockaddr_in6 *)&sockaddr)->sin6_scope_id, if_nametoindex("lo"));
    assert_int_equal(address_parse(&address, "[fe80::1%2147483647]:1"), 0);
    assert_string_equal(address_format(&address, out), "[fe80::1%2147483647]:1");
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        assert_int_equal(address_parse(&address, WRONG[i]), -EINVAL);
}

static void the_kernels_form(void **state)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(8545), .sin_addr.s_addr = htonl(0x7f000001)};
    struct sockaddr local = {.sa_family = AF_UNIX};
    struct address address;
    char out[ADDRESS_TEXT_BYTES];

    (void)state;
    expect_through_kernel_form("127.0.0.1:8545", AF_INET, sizeof(struct sockaddr_in));
    expect_through_kernel_form("[2001:db8::1]:1", AF_INET6, sizeof(struct sockaddr_in6));
    assert_int_equal(address_from_sockaddr(&address, (const struct sockaddr *)&v4), 0);
    assert_string_equal(address_format(&address, out), "127.0.0.1:8545");
    assert_int_equal(address_from_sockaddr(&address, &local), -EAFNOSUPPORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_printed_as_they_are_written),
        cmocka_unit_test(a_mapped_address_is_the_ipv4_one),
        cmocka_unit_test(only_bare_addresses_are_addresses),
        cmocka_unit_test(the_length_bounds_the_text),
        cmocka_unit_test(addresses_with_ports),
        cmocka_unit_test(what_is_no_address_with_port),
        cmocka_unit_test(a_link_local_address_keeps_its_interface),
        cmocka_unit_test(the_kernels_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
