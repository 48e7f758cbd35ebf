/* The TLS client against OpenSSL's server, in memory: what is accepted, what is refused and why, bytes both ways, the end. */
#include "tls/client.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct authority {
    EVP_PKEY *key;
    X509 *certificate;
};

struct server {
    SSL_CTX *context;
    SSL *ssl;
    BIO *in, *out;
};

struct fixture {
    struct authority authority;
    char ca_file[64];
    struct tls_client_context *context;
};

static void name_certificate(X509 *certificate, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(certificate);

    assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0), 1);
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* A certificate for `key`, signed by `issuer`, or by itself where that is NULL; valid for a day, or since two days no more. */
static X509 *make_certificate(EVP_PKEY *key, const struct authority *issuer, const char *alternative_names, bool expired)
{
    static long serial = 1;
    X509 *certificate = X509_new();
    char name[32];

    assert_non_null(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), expired ? -2 * 86400 : 86400);
    X509_set_pubkey(certificate, key);
    snprintf(name, sizeof name, "certificate %ld", serial);
    name_certificate(certificate, name);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer->certificate : certificate));
    add_extension(certificate, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (alternative_names)
        add_extension(certificate, NID_subject_alt_name, alternative_names);
    assert_true(X509_sign(certificate, issuer ? issuer->key : key, EVP_sha256()) > 0);
    return certificate;
}

static struct authority make_authority(void)
{
    struct authority authority = {.key = EVP_EC_gen("P-256")};

    assert_non_null(authority.key);
    authority.certificate = make_certificate(authority.key, NULL, NULL, false);
    return authority;
}

static void authority_free(struct authority *authority)
{
    EVP_PKEY_free(authority->key);
    X509_free(authority->certificate);
}

static void write_ca_file(struct fixture *f)
{
    FILE *file;

    strcpy(f->ca_file, "/tmp/flashrelay-ca-XXXXXX");
    file = fdopen(mkstemp(f->ca_file), "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, f->authority.certificate), 1);
    fclose(file);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char error[256];

    assert_non_null(f);
    f->authority = make_authority();
    write_ca_file(f);
    assert_int_equal(tls_client_context_create(&f->context, f->ca_file, error, sizeof error), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tls_client_context_destroy(f->context);
    unlink(f->ca_file);
    authority_free(&f->authority);
    free(f);
    return 0;
}

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
                           unsigned in_length, void *wanted)
{
    (void)ssl;
    if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_length, wanted, (unsigned)strlen(wanted), in, in_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static void server_init(struct server *server, const struct authority *issuer, const char *alternative_names, bool expired)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make_certificate(key, issuer, alternative_names, expired);

    server->context = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(server->context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server->context, key), 1);
    SSL_CTX_set_alpn_select_cb(server->context, select_protocol, (void *)(uintptr_t) "\x08http/1.1");
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void server_start(struct server *server)
{
    server->ssl = SSL_new(server->context);
    server->in = BIO_new(BIO_s_mem());
    server->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(server->in, -1);
    BIO_set_mem_eof_return(server->out, -1);
    SSL_set_bio(server->ssl, server->in, server->out);
    SSL_set_accept_state(server->ssl);
}

static void server_dispose(struct server *server)
{
    SSL_free(server->ssl);
    SSL_CTX_free(server->context);
}

/* Moves records both ways, one byte at a time towards the client if asked. */
static void exchange(struct tls_client *client, struct server *server, bool bytewise)
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

static enum tls_result handshake(struct tls_client *client, struct server *server, bool bytewise)
{
    enum tls_result result = TLS_MORE;

    for (int i = 0; i < 10 && (result = tls_client_handshake(client)) == TLS_MORE; i++)
        exchange(client, server, bytewise);
    exchange(client, server, false);
    return result;
}

static struct tls_client *connect_to(struct fixture *f, struct server *server, const char *host, enum tls_result expected)
{
    struct tls_client *client;

    server_start(server);
    assert_int_equal(tls_client_create(&client, f->context, host), 0);
    assert_int_equal(handshake(client, server, false), expected);
    return client;
}

static void assert_refused(struct fixture *f, struct server *server, const char *host, const char *why)
{
    struct tls_client *client = connect_to(f, server, host, TLS_FAILED);

    if (!strstr(tls_client_error(client), why))
        fail_msg("\"%s\" does not say \"%s\"", tls_client_error(client), why);
    assert_non_null(strstr(tls_client_error(client), host));
    tls_client_destroy(client);
    server_dispose(server);
}

static void test_a_good_name_is_accepted_and_sent(void **state)
{
    struct fixture *f = *state;
    struct server server;
    struct tls_client *client;
    const unsigned char *protocol;
    unsigned length;

    server_init(&server, &f->authority, "DNS:builder.example", false);
    client = connect_to(f, &server, "builder.example.", TLS_DONE);
    assert_string_equal(SSL_get_servername(server.ssl, TLSEXT_NAMETYPE_host_name), "builder.example");
    SSL_get0_alpn_selected(server.ssl, &protocol, &length);
    assert_int_equal(length, 8);
    assert_memory_equal(protocol, "http/1.1", 8);
    assert_int_equal(SSL_version(server.ssl), TLS1_3_VERSION);
    tls_client_destroy(client);
    server_dispose(&server);
}

static void test_an_address_is_verified_and_not_sent(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "::1"};
    struct fixture *f = *state;

    for (size_t i = 0; i < 2; i++) {
        struct server server;
        struct tls_client *client;

        server_init(&server, &f->authority, "IP:127.0.0.1,IP:::1", false);
        client = connect_to(f, &server, hosts[i], TLS_DONE);
        assert_null(SSL_get_servername(server.ssl, TLSEXT_NAMETYPE_host_name));
        tls_client_destroy(client);
        server_dispose(&server);
    }
}

static void test_another_name_or_address_is_refused(void **state)
{
    struct fixture *f = *state;
    struct server server;

    server_init(&server, &f->authority, "DNS:other.example", false);
    assert_refused(f, &server, "builder.example", "ostname mismatch");
    server_init(&server, &f->authority, "DNS:127.0.0.1,IP:127.0.0.2", false);
    assert_refused(f, &server, "127.0.0.1", "IP address mismatch");
    server_init(&server, &f->authority, "DNS:build*.example", false);
    assert_refused(f, &server, "builder.example", "ostname mismatch");
}

static void test_an_unknown_authority_is_refused(void **state)
{
    struct fixture *f = *state;
    struct authority stranger = make_authority();
    struct server server;

    server_init(&server, &stranger, "DNS:builder.example", false);
    assert_refused(f, &server, "builder.example", "unable to get local issuer certificate");
    authority_free(&stranger);
}

static void test_an_expired_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    struct server server;

    server_init(&server, &f->authority, "DNS:builder.example", true);
    assert_refused(f, &server, "builder.example", "has expired");
}

static void test_old_versions_and_other_protocols_are_refused(void **state)
{
    struct fixture *f = *state;
    struct server server;

    server_init(&server, &f->authority, "DNS:builder.example", false);
    SSL_CTX_set_security_level(server.context, 0);
    SSL_CTX_set_min_proto_version(server.context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(server.context, TLS1_1_VERSION);
    assert_refused(f, &server, "builder.example", "alert protocol version");
    server_init(&server, &f->authority, "DNS:builder.example", false);
    SSL_CTX_set_alpn_select_cb(server.context, select_protocol, (void *)(uintptr_t) "\x02h2");
    assert_refused(f, &server, "builder.example", "no application protocol");
}

static void test_what_is_no_tls_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_client *client;

    assert_int_equal(tls_client_create(&client, f->context, "builder.example"), 0);
    assert_int_equal(tls_client_handshake(client), TLS_MORE);
    assert_int_equal(tls_client_feed(client, (const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\n", 28), 0);
    assert_int_equal(tls_client_handshake(client), TLS_FAILED);
    assert_non_null(strstr(tls_client_error(client), "builder.example"));
    tls_client_destroy(client);
}

/* 100,000 bytes each way: several records, none of which fits the reader's buffer. */
static void check_bytes_both_ways(struct tls_client *client, struct server *server)
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

static void test_bytes_go_both_ways_until_each_end(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture *f = *state;

    for (size_t i = 0; i < 2; i++) {
        struct server server;
        struct tls_client *client;
        uint8_t byte;
        size_t got;

        server_init(&server, &f->authority, "DNS:builder.example", false);
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
        server_dispose(&server);
    }
}

static void test_a_handshake_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    struct server server;
    struct tls_client *client;

    server_init(&server, &f->authority, "DNS:builder.example", false);
    server_start(&server);
    assert_int_equal(tls_client_create(&client, f->context, "builder.example"), 0);
    assert_int_equal(handshake(client, &server, true), TLS_DONE);
    tls_client_destroy(client);
    server_dispose(&server);
}

static void test_a_record_that_was_changed_is_refused(void **state)
{
    struct fixture *f = *state;
    struct server server;
    struct tls_client *client;
    uint8_t record[256], byte;
    size_t got;
    int length;

    server_init(&server, &f->authority, "DNS:builder.example", false);
    client = connect_to(f, &server, "builder.example", TLS_DONE);
    assert_int_equal(SSL_write_ex(server.ssl, "hello", 5, &got), 1);
    length = BIO_read(server.out, record, sizeof record);
    assert_true(length > 0);
    record[length - 1] ^= 1;
    assert_int_equal(tls_client_feed(client, record, (size_t)length), 0);
    assert_int_equal(tls_client_read(client, &byte, 1, &got), TLS_FAILED);
    tls_client_destroy(client);
    server_dispose(&server);
}

static void test_a_bad_ca_file_is_named(void **state)
{
    struct fixture *f = *state;
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
        cmocka_unit_test(test_a_good_name_is_accepted_and_sent),
        cmocka_unit_test(test_an_address_is_verified_and_not_sent),
        cmocka_unit_test(test_another_name_or_address_is_refused),
        cmocka_unit_test(test_an_unknown_authority_is_refused),
        cmocka_unit_test(test_an_expired_certificate_is_refused),
        cmocka_unit_test(test_old_versions_and_other_protocols_are_refused),
        cmocka_unit_test(test_what_is_no_tls_is_refused),
        cmocka_unit_test(test_bytes_go_both_ways_until_each_end),
        cmocka_unit_test(test_a_handshake_byte_by_byte),
        cmocka_unit_test(test_a_record_that_was_changed_is_refused),
        cmocka_unit_test(test_a_bad_ca_file_is_named),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
