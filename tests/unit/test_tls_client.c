/* The TLS client against OpenSSL's server, in memory: what is accepted, what is refused and why, bytes both ways, the end. */
#include "support/tls_server.h"
#include "tls/client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct tls_trust {
    struct authority authority;
    char ca_file[AUTHORITY_PATH_BYTES];
    struct tls_client_context *context;
};

static int set_up(void **state)
{
    struct tls_trust *f = calloc(1, sizeof *f);
    char error[256];

    assert_non_null(f);
    authority_init(&f->authority);
    authority_write_file(&f->authority, f->ca_file);
    assert_int_equal(tls_client_context_create(&f->context, f->ca_file, error, sizeof error), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct tls_trust *f = *state;

    tls_client_context_destroy(f->context);
    unlink(f->ca_file);
    authority_dispose(&f->authority);
    free(f);
    return 0;
}

/* Moves records both ways, towards the client one byte at a time if `bytewise`. */
static void exchange(struct tls_client *client, struct tls_server *server, bool bytewise)
{
    const uint8_t *bytes;
    uint8_t buffer[4096];
    size_t length = tls_client_output(client, &bytes);
    int got;

    if (length > 0)
        assert_int_equal(BIO_write(server->in, bytes, (int)length), length);
    tls_client_output_taken(client);
    if (!SSL_is_init_finished(server->ssl))
        SSL_do_handshake(server->ssl);
    while ((got = BIO_read(server->out, buffer, bytewise ? 1 : (int)sizeof buffer)) > 0) {
        assert_int_equal(tls_client_feed(client, buffer, (size_t)got), 0);
        if (bytewise && !SSL_is_init_finished(server->ssl))
            tls_client_handshake(client);
    }
}

static enum tls_result handshake(struct tls_client *client, struct tls_server *server, bool bytewise)
{
    enum tls_result result = TLS_MORE;

    for (int i = 0; i < 10 && (result = tls_client_handshake(client)) == TLS_MORE; i++)
        exchange(client, server, bytewise);
    exchange(client, server, false);
    return result;
}

static struct tls_client *connect_to(struct tls_trust *f, struct tls_server *server, const char *host, enum tls_result expected)
{
    struct tls_client *client;

    tls_server_start(server);
    assert_int_equal(tls_client_create(&client, f->context, host), 0);
    assert_int_equal(handshake(client, server, false), expected);
    return client;
}

static void assert_refused(struct tls_trust *f, struct tls_server *server, const char *host, const char *why)
{
    struct tls_client *client = connect_to(f, server, host, TLS_FAILED);

    if (!strstr(tls_client_error(client), why))
        fail_msg("\"%s\" does not say \"%s\"", tls_client_error(client), why);
    assert_non_null(strstr(tls_client_error(client), host));
    tls_client_destroy(client);
    tls_server_dispose(server);
}

static void a_good_name_is_accepted_and_sent(void **state)
{
    struct tls_trust *f = *state;
    struct tls_server server;
    struct tls_client *client;
    const unsigned char *protocol;
    unsigned length;

    tls_server_init(&server, &f->authority, "DNS:builder.example", false);
    client = connect_to(f, &server, "builder.example.", TLS_DONE);
    assert_string_equal(SSL_get_servername(server.ssl, TLSEXT_NAMETYPE_host_name), "builder.example");
    SSL_get0_alpn_selected(server.ssl, &protocol, &length);
    assert_int_equal(length, 8);
    assert_memory_equal(protocol, "http/1.1", 8);
    assert_int_equal(SSL_version(server.ssl), TLS1_3_VERSION);
    tls_client_destroy(client);
    tls_server_dispose(&server);
}

static void an_address_is_verified_and_not_sent(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "::1"};
    struct tls_trust *f = *state;

    for (size_t i = 0; i < 2; i++) {
        struct tls_server server;
        struct tls_client *client;

        tls_server_init(&server, &f->authority, "IP:127.0.0.1,IP:::1", false);
        client = connect_to(f, &server, hosts[i], TLS_DONE);
        assert_null(SSL_get_servername(server.ssl, TLSEXT_NAMETYPE_host_name));
        tls_client_destroy(client);
        tls_server_dispose(&server);
    }
}

static void another_name_or_address_is_refused(void **state)
{
    struct tls_trust *f = *state;
    struct tls_server server;

    tls_server_init(&server, &f->authority, "DNS:other.example", false);
    assert_refused(f, &server, "builder.example", "ostname mismatch");
    tls_server_init(&server, &f->authority, "DNS:127.0.0.1,IP:127.0.0.2", false);
    assert_refused(f, &server, "127.0.0.1", "IP address mismatch");
    tls_server_init(&server, &f->authority, "DNS:build*.example", false);
    assert_refused(f, &server, "builder.example", "ostname mismatch");
}

static void an_unknown_authority_is_refused(void **state)
{
    struct tls_trust *f = *state;
    struct authority stranger;
    struct tls_server server;

    authority_init(&stranger);
    tls_server_init(&server, &stranger, "DNS:builder.example", false);
    assert_refused(f, &server, "builder.example", "unable to get local issuer certificate");
    authority_dispose(&stranger);
}

static void an_expired_certificate_is_refused(void **state)
{
    struct tls_trust *f = *state;
    struct tls_server server;

    tls_server_init(&server, &f->authority, "DNS:builder.example", true);
    assert_refused(f, &server, "builder.example", "has expired");
}

static void old_versions_and_other_protocols_are_refused(void **state)
{
    struct tls_trust *f = *state;
    char other_protocol[] = "\x02h2";
    struct tls_server server;

    tls_server_init(&server, &f->authority, "DNS:builder.example", false);
    SSL_CTX_set_security_level(server.context, 0);
    SSL_CTX_set_min_proto_version(server.context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(server.context, TLS1_1_VERSION);
    assert_refused(f, &server, "builder.example", "alert protocol version");
    tls_server_init(&server, &f->authority, "DNS:builder.example", false);
    tls_server_set_protocol(&server, other_protocol);
    assert_refused(f, &server, "builder.example", "no application protocol");
}

static void what_is_no_tls_is_refused(void **state)
{
    struct tls_trust *f = *state;
    struct tls_client *client;

    assert_int_equal(tls_client_create(&client, f->context, "builder.example"), 0);
    assert_int_equal(tls_client_handshake(client), TLS_MORE);
    assert_int_equal(tls_client_feed(client, (const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\n", 28), 0);
    assert_int_equal(tls_client_handshake(client), TLS_FAILED);
    assert_non_null(strstr(tls_client_error(client), "builder.example"));
    tls_client_destroy(client);
}

/* 100,000 bytes each way: several records, none of which fits the reader's buffer. */
static void check_bytes_both_ways(struct tls_client *client, struct tls_server *server)
{
    enum { LENGTH = 100000 };
    uint8_t *sent = malloc(LENGTH), *received = malloc(LENGTH + 1000);
    size_t total = 0, got;

    for (size_t i = 0; i < LENGTH; i++)
        sent[i] = (uint8_t)(i * 31 >> 3);
    assert_int_equal(tls_client_write(client, sent, LENGTH), TLS_DONE);
    exchange(client, server, false);
    while (total < LENGTH && SSL_read_ex(server->ssl, received + total, LENGTH - total, &got))
        total += got;
    assert_int_equal(total, LENGTH);
    assert_memory_equal(sent, received, LENGTH);

    assert_int_equal(SSL_write_ex(server->ssl, sent, LENGTH, &got), 1);
    exchange(client, server, false);
    memset(received, 0, LENGTH);
    for (total = 0; total < LENGTH && tls_client_read(client, received + total, 1000, &got) == TLS_DONE; total += got)
        assert_true(got > 0 && total + got <= LENGTH);
    assert_int_equal(total, LENGTH);
    assert_memory_equal(sent, received, LENGTH);
    free(sent);
    free(received);
}

static void bytes_go_both_ways_until_each_end(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_trust *f = *state;

    for (size_t i = 0; i < 2; i++) {
        struct tls_server server;
        struct tls_client *client;
        uint8_t byte;
        size_t got;

        tls_server_init(&server, &f->authority, "DNS:builder.example", false);
        SSL_CTX_set_max_proto_version(server.context, versions[i]);
        client = connect_to(f, &server, "builder.example", TLS_DONE);
        check_bytes_both_ways(client, &server);
        assert_int_equal(tls_client_read(client, &byte, 1, &got), TLS_MORE);
        tls_client_close(client);
        exchange(client, &server, false);
        assert_int_equal(SSL_read_ex(server.ssl, &byte, 1, &got), 0);
        assert_int_equal(SSL_get_shutdown(server.ssl), SSL_RECEIVED_SHUTDOWN);
        SSL_shutdown(server.ssl);
        exchange(client, &server, false);
        assert_int_equal(tls_client_read(client, &byte, 1, &got), TLS_CLOSED);
        tls_client_destroy(client);
        tls_server_dispose(&server);
    }
}

static void a_handshake_byte_by_byte(void **state)
{
    struct tls_trust *f = *state;
    struct tls_server server;
    struct tls_client *client;

    tls_server_init(&server, &f->authority, "DNS:builder.example", false);
    tls_server_start(&server);
    assert_int_equal(tls_client_create(&client, f->context, "builder.example"), 0);
    assert_int_equal(handshake(client, &server, true), TLS_DONE);
    tls_client_destroy(client);
    tls_server_dispose(&server);
}

static void a_record_that_was_changed_is_refused(void **state)
{
    struct tls_trust *f = *state;
    struct tls_server server;
    struct tls_client *client;
    uint8_t record[256], byte;
    size_t got;
    int length;

    tls_server_init(&server, &f->authority, "DNS:builder.example", false);
    client = connect_to(f, &server, "builder.example", TLS_DONE);
    assert_int_equal(SSL_write_ex(server.ssl, "hello", 5, &got), 1);
    length = BIO_read(server.out, record, sizeof record);
    assert_true(length > 0);
    record[length - 1] ^= 1;
    assert_int_equal(tls_client_feed(client, record, (size_t)length), 0);
    assert_int_equal(tls_client_read(client, &byte, 1, &got), TLS_FAILED);
    tls_client_destroy(client);
    tls_server_dispose(&server);
}

static void a_bad_ca_file_is_named(void **state)
{
    struct tls_trust *f = *state;
    struct tls_client_context *context;
    char error[256], empty[] = "/tmp/flashrelay-ca-XXXXXX";

    (void)f;
    assert_int_equal(tls_client_context_create(&context, "/nonexistent/ca.pem", error, sizeof error), -EINVAL);
    assert_non_null(strstr(error, "/nonexistent/ca.pem"));
    assert_non_null(strstr(error, "No such file"));
    close(mkstemp(empty));
    assert_int_equal(tls_client_context_create(&context, empty, error, sizeof error), -EINVAL);
    assert_non_null(strstr(error, empty));
    unlink(empty);
    assert_int_equal(tls_client_context_create(&context, NULL, error, sizeof error), 0);
    tls_client_context_destroy(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_name_is_accepted_and_sent),
        cmocka_unit_test(an_address_is_verified_and_not_sent),
        cmocka_unit_test(another_name_or_address_is_refused),
        cmocka_unit_test(an_unknown_authority_is_refused),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(old_versions_and_other_protocols_are_refused),
        cmocka_unit_test(what_is_no_tls_is_refused),
        cmocka_unit_test(bytes_go_both_ways_until_each_end),
        cmocka_unit_test(a_handshake_byte_by_byte),
        cmocka_unit_test(a_record_that_was_changed_is_refused),
        cmocka_unit_test(a_bad_ca_file_is_named),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
