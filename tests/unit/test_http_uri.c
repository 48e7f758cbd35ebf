/* WebSocket URIs: their parts, their faults, and that no secret is shown. */
#include "flashrelay/ws_uri.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct expected {
    const char *text, *host;
    uint16_t port;
    bool tls;
    const char *target, *authorization, *display, *identity;
};

static void expect(const struct expected *expected)
{
    struct ws_uri uri;
    const char *error;

    assert_int_equal(ws_uri_parse(&uri, expected->text, &error), 0);
    assert_null(error);
    assert_int_equal(uri.tls, expected->tls);
    assert_string_equal(uri.host, expected->host);
    assert_int_equal(uri.port, expected->port);
    assert_string_equal(uri.target, expected->target);
    if (!expected->authorization)
        assert_null(uri.authorization);
    else
        assert_string_equal(uri.authorization, expected->authorization);
    assert_string_equal(uri.display, expected->display);
    assert_string_equal(uri.identity, expected->identity);
    ws_uri_dispose(&uri);
    assert_null(uri.target);
}

static void parts_are_found(void **state)
{
    (void)state;
    expect(&(struct expected){"ws://h", "h", 80, false, "/", NULL, "ws://h:80/", "ws://h"});
    expect(&(struct expected){"WSS://H.example-1.org/", "H.example-1.org", 443, true, "/", NULL, "wss://H.example-1.org:443/",
                              "wss://H.example-1.org/"});
    expect(&(struct expected){"ws://1.2.3.4:65535/a/b%20c", "1.2.3.4", 65535, false, "/a/b%20c", NULL,
                              "ws://1.2.3.4:65535/a/b%20c", "ws://1.2.3.4:65535/a/b%20c"});
    expect(&(struct expected){"wss://[2001:db8::1]/x", "2001:db8::1", 443, true, "/x", NULL, "wss://[2001:db8::1]:443/x",
                              "wss://[2001:db8::1]/x"});
    expect(&(struct expected){"ws://[::1]:1", "::1", 1, false, "/", NULL, "ws://[::1]:1/", "ws://[::1]:1"});
}

static void the_query_is_asked_for_and_not_shown(void **state)
{
    (void)state;
    expect(&(struct expected){"ws://h/a?token=secret", "h", 80, false, "/a?token=secret", NULL, "ws://h:80/a", "ws://h/a"});
    expect(&(struct expected){"ws://h:1?secret", "h", 1, false, "/?secret", NULL, "ws://h:1/", "ws://h:1"});
    expect(&(struct expected){"ws://h/?", "h", 80, false, "/?", NULL, "ws://h:80/", "ws://h/"});
    expect(&(struct expected){"ws://h/?a=b@c/d?e:f", "h", 80, false, "/?a=b@c/d?e:f", NULL, "ws://h:80/", "ws://h/"});
}

static void user_information_becomes_basic_authorization(void **state)
{
    (void)state;
    expect(&(struct expected){"ws://Aladdin:open%20sesame@h/x", "h", 80, false, "/x",
                              "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "ws://h:80/x", "ws://h/x"});
    expect(&(struct expected){"ws://a@h", "h", 80, false, "/", "Basic YTo=", "ws://h:80/", "ws://h"});
    expect(&(struct expected){"ws://:b@h", "h", 80, false, "/", "Basic OmI=", "ws://h:80/", "ws://h"});
    expect(
        &(struct expected){"ws://a:b:c@d@[::1]:9", "::1", 9, false, "/", "Basic YTpiOmNAZA==", "ws://[::1]:9/", "ws://[::1]:9"});
    expect(&(struct expected){"ws://@h", "h", 80, false, "/", NULL, "ws://h:80/", "ws://h"});
}

static void the_key_of_a_chained_relay_is_not_shown(void **state)
{
    (void)state;
    expect(&(struct expected){"ws://h/ws/secret", "h", 80, false, "/ws/secret", NULL, "ws://h:80/ws/***", "ws://h/ws/***"});
    expect(&(struct expected){"ws://h/in/ws/secret/filter?topics=t", "h", 80, false, "/in/ws/secret/filter?topics=t", NULL,
                              "ws://h:80/in/ws/***/filter", "ws://h/in/ws/***/filter"});
    expect(&(struct expected){"ws://h/ws/", "h", 80, false, "/ws/", NULL, "ws://h:80/ws/", "ws://h/ws/"});
    expect(&(struct expected){"ws://h/ws", "h", 80, false, "/ws", NULL, "ws://h:80/ws", "ws://h/ws"});
}

static void expect_error(const char *text, const char *expected)
{
    struct ws_uri uri;
    const char *error;

    assert_int_equal(ws_uri_parse(&uri, text, &error), -EINVAL);
    assert_string_equal(error, expected);
    assert_null(uri.target);
    assert_null(uri.authorization);
    assert_null(uri.display);
    assert_null(uri.identity);
}

static void schemes(void **state)
{
    static const char *const WRONG[] = {"",      "h",   "h:80", "http://h", "https://h", "wsx://h",
                                        "ws:/h", "ws:", "ws",   "://h",     " ws://h"};

    (void)state;
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        expect_error(WRONG[i], "expected ws:// or wss://");
}

static void hosts(void **state)
{
    char text[300] = "ws://";

    (void)state;
    expect_error("ws://", "the host is missing");
    expect_error("ws:///x", "the host is missing");
    expect_error("ws://:80", "the host is missing");
    expect_error("ws://u:p@", "the host is missing");
    expect_error("ws://[]", "the host is missing");
    expect_error("ws://::1", "the host is missing");
    expect_error("ws://[::1", "an IPv6 address is not closed by ]");
    expect_error("ws://[::1]x", "expected :port or a path behind the IPv6 address");
    expect_error("ws://[1.2.3.4]", "the text in brackets is not an IPv6 address");
    expect_error("ws://[fe80::1%25lo]", "the text in brackets is not an IPv6 address");
    expect_error("ws://a%41", "the host name has a character other than letters, digits, '-', '.' and '_'");
    expect_error("ws://a,ws:/b", "the host name has a character other than letters, digits, '-', '.' and '_'");
    memset(text + 5, 'a', 256);
    expect_error(text, "the host name is too long");
}

static void ports(void **state)
{
    static const char *const WRONG[] = {"ws://h:",   "ws://h:/",  "ws://h:0",   "ws://h:65536", "ws://h:99999999999999999999",
                                        "ws://h:8o", "ws://h:-1", "ws://[::1]:"};

    (void)state;
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        expect_error(WRONG[i], "the port is not a number from 1 to 65535");
}

static void characters_are_checked(void **state)
{
    static const char *const WRONG[] = {"ws://h/a b", "ws://h/\r\nX: y", "ws://h/\xc3\xa9", "ws://h/ ", "ws://h/\x7f"};

    (void)state;
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++)
        expect_error(WRONG[i], "white space, control and non-ASCII characters must be percent-encoded");
    expect_error("ws://h/#f", "a fragment (#) is not allowed in a WebSocket URI; as part of a name or password write %23");
    expect_error("ws://u:p#q@h", "a fragment (#) is not allowed in a WebSocket URI; as part of a name or password write %23");
}

static void user_information(void **state)
{
    (void)state;
    expect_error("ws://u:50%@h", "a bad percent escape in the user information; a % of its own is written %25");
    expect_error("ws://%4:p@h", "a bad percent escape in the user information; a % of its own is written %25");
    expect_error("ws://u%3a:p@h", "the user name has a colon, which basic authentication can't transport");
    expect_error("ws://u:p%0a@h", "the user information has a control character");
    expect_error("ws://u%00:p@h", "the user information has a control character");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(the_query_is_asked_for_and_not_shown),
        cmocka_unit_test(user_information_becomes_basic_authorization),
        cmocka_unit_test(the_key_of_a_chained_relay_is_not_shown),
        cmocka_unit_test(schemes),
        cmocka_unit_test(hosts),
        cmocka_unit_test(ports),
        cmocka_unit_test(characters_are_checked),
        cmocka_unit_test(user_information),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
