#include "shard/routes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct access_app app = {.name = (char[]){"a"}, .key = (char[]){"key one"}, .connection_limit = 1};
static struct access_table *keyed, *open_to_all, *empty;

static int create_tables(void **state)
{
    (void)state;
    return access_table_create(&keyed, &app, 1, false) | access_table_create(&open_to_all, &app, 1, true) |
           access_table_create(&empty, NULL, 0, false);
}

static int destroy_tables(void **state)
{
    (void)state;
    access_table_destroy(keyed);
    access_table_destroy(open_to_all);
    access_table_destroy(empty);
    return 0;
}

static struct http_text text_of(const char *text)
{
    return (struct http_text){text, strlen(text)};
}

static void assert_route(const char *path, const struct access_table *table, enum route_kind expected)
{
    assert_int_equal(route_find(text_of(path), table).kind, expected);
}

static void without_keys_there_are_two_routes(void **state)
{
    const struct access_table *tables[] = {NULL, empty};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_route("/healthz", tables[i], ROUTE_HEALTH);
        assert_route("/ws", tables[i], ROUTE_SUBSCRIBE);
        assert_route("/ws/", tables[i], ROUTE_UNKNOWN);
        assert_route("/ws/key", tables[i], ROUTE_UNKNOWN);
        assert_route("/ws/key/filter", tables[i], ROUTE_UNKNOWN);
        assert_route("/", tables[i], ROUTE_UNKNOWN);
        assert_route("/w", tables[i], ROUTE_UNKNOWN);
        assert_route("/wss", tables[i], ROUTE_UNKNOWN);
        assert_route("/WS", tables[i], ROUTE_UNKNOWN);
        assert_route("/healthz/", tables[i], ROUTE_UNKNOWN);
        assert_route("", tables[i], ROUTE_UNKNOWN);
    }
}

static void with_keys_they_are_in_the_path(void **state)
{
    struct route route = route_find(text_of("/ws/key%20one"), keyed);

    (void)state;
    assert_int_equal(route.kind, ROUTE_KEY);
    assert_int_equal(route.key.length, strlen("key%20one"));
    assert_memory_equal(route.key.text, "key%20one", route.key.length);
    assert_route("/ws", keyed, ROUTE_UNKNOWN);
    assert_route("/ws/", keyed, ROUTE_UNKNOWN);
    assert_route("/ws/key/", keyed, ROUTE_UNKNOWN);
    assert_route("/ws/key/filter", keyed, ROUTE_FILTER);
    assert_route("/ws/key/filter/", keyed, ROUTE_UNKNOWN);
    assert_route("/ws/key/filters", keyed, ROUTE_UNKNOWN);
    assert_route("/ws//filter", keyed, ROUTE_UNKNOWN);
    assert_route("/healthz", keyed, ROUTE_HEALTH);
}

static void public_access_opens_ws_beside_the_keys(void **state)
{
    (void)state;
    assert_route("/ws", open_to_all, ROUTE_SUBSCRIBE);
    assert_route("/ws/key", open_to_all, ROUTE_KEY);
    assert_route("/ws/", open_to_all, ROUTE_UNKNOWN);
}

static void keys_are_percent_decoded(void **state)
{
    (void)state;
    assert_int_equal(route_find_app(keyed, text_of("key%20one")), 0);
    assert_int_equal(route_find_app(keyed, text_of("%6bey%20on%65")), 0);
    assert_int_equal(route_find_app(keyed, text_of("key one")), 0);
    assert_int_equal(route_find_app(keyed, text_of("key+one")), -ENOENT);
    assert_int_equal(route_find_app(keyed, text_of("key%2")), -ENOENT);
    assert_int_equal(route_find_app(keyed, text_of("key%zzone")), -ENOENT);
    assert_int_equal(route_find_app(keyed, text_of("key%20one%00")), -ENOENT);
    assert_int_equal(route_find_app(keyed, text_of("key%20oneX")), -ENOENT);
    assert_int_equal(route_find_app(empty, text_of("key%20one")), -ENOENT);
}

/* Returns the address from which a request with this header is taken to come; "-" if the header has no usable address. */
static const char *address_by_header(const char *name, const char *value, char text[ADDRESS_TEXT_BYTES])
{
    struct http_request request = {.header_count = 2};
    struct ip_address ip;

    request.headers[0] = (struct http_header){text_of(name), text_of(value)};
    request.headers[1] = (struct http_header){text_of("X-Forwarded-For"), text_of("9.9.9.9")};
    return route_client_address(&request, "x-forwarded-for", &ip) ? ip_address_format(&ip, text) : "-";
}

static void the_last_item_of_the_first_header_is_the_client(void **state)
{
    static const char *const cases[][2] = {
        {"1.2.3.4", "1.2.3.4"},
        {"1.2.3.4, 5.6.7.8", "5.6.7.8"},
        {"nonsense,\t2001:db8::1 ", "2001:db8::1"},
        {"1.2.3.4,", "-"},
        {"", "-"},
        {"1.2.3.4:80", "-"},
        {"[2001:db8::1]", "-"},
        {"1.2.3.4 5.6.7.8", "-"},
        {"5.6.7.8, localhost", "-"},
    };
    char text[ADDRESS_TEXT_BYTES];

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(address_by_header("X-FORWARDED-FOR", cases[i][0], text), cases[i][1]);
    assert_string_equal(address_by_header("Forwarded", "1.2.3.4", text), "9.9.9.9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_keys_there_are_two_routes),
        cmocka_unit_test(with_keys_they_are_in_the_path),
        cmocka_unit_test(public_access_opens_ws_beside_the_keys),
        cmocka_unit_test(keys_are_percent_decoded),
        cmocka_unit_test(the_last_item_of_the_first_header_is_the_client),
    };

    return cmocka_run_group_tests(tests, create_tables, destroy_tables);
}
