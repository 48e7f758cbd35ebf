#include "tls/client.h"

#include "flashrelay/address.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_client_context {
    SSL_CTX *openssl;
};

struct tls_client {
    SSL *openssl;
    BIO *from_server, *to_server; /* owned by `openssl` */
    char host[256];
    char error[384];
};

/* The reason of the oldest error, which is the cause of the others; removes all of them from OpenSSL's queue. */
static const char *take_reason(void)
{
    unsigned long code = ERR_get_error();
    const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

    ERR_clear_error();
    return reason ? reason : "no reason given";
}

static bool load_roots(SSL_CTX *openssl, const char *ca_file)
{
    return ca_file ? SSL_CTX_load_verify_file(openssl, ca_file) : SSL_CTX_set_default_verify_paths(openssl);
}

static SSL_CTX *make_openssl_context(void)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL_CTX *openssl = SSL_CTX_new(TLS_client_method());

    if (!openssl)
        return NULL;
    SSL_CTX_set_verify(openssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(openssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* SSL_CTX_set_alpn_protos returns 0 for success, unlike the other functions. */
    if (!SSL_CTX_set_min_proto_version(openssl, TLS1_2_VERSION) ||
        SSL_CTX_set_alpn_protos(openssl, protocols, sizeof protocols - 1)) {
        SSL_CTX_free(openssl);
        return NULL;
    }
    return openssl;
}

int tls_client_context_create(struct tls_client_context **out, const char *ca_file, char *error, size_t error_bytes)
{
    struct tls_client_context *context = malloc(sizeof *context);

    ERR_clear_error();
    if (!context || !(context->openssl = make_openssl_context())) {
        snprintf(error, error_bytes, "no memory for TLS");
        free(context);
        return -ENOMEM;
    }
    if (!load_roots(context->openssl, ca_file)) {
        snprintf(error, error_bytes, "cannot load CA certificates from %s: %s (expected a PEM file)",
                 ca_file ? ca_file : "the system", take_reason());
        tls_client_context_destroy(context);
        return -EINVAL;
    }
    *out = context;
    return 0;
}

void tls_client_context_destroy(struct tls_client_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->openssl);
    free(context);
}

/* Sets the host for which the certificate must be. A name is also sent to the server (SNI, RFC 6066, 3); an address must not be sent. */
static bool expect_host(SSL *openssl, const char *host)
{
    struct ip_address ip;

    if (ip_address_parse(&ip, host, strlen(host)) == 0)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(openssl), host);
    SSL_set_hostflags(openssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(openssl, host) && SSL_set_tlsext_host_name(openssl, host);
}

/* Copies the host without the dot that ends a fully qualified name, which is in neither certificates nor SNI. */
static void copy_host(struct tls_client *client, const char *host)
{
    size_t length = strlen(host);

    assert(length < sizeof client->host);
    memcpy(client->host, host, length + 1);
    if (length > 1 && host[length - 1] == '.')
        client->host[length - 1] = 0;
}

int tls_client_create(struct tls_client **out, const struct tls_client_context *context, const char *host)
{
    struct tls_client *client = calloc(1, sizeof *client);

    if (!client)
        return -ENOMEM;
    copy_host(client, host);
    client->openssl = SSL_new(context->openssl);
    client->from_server = BIO_new(BIO_s_mem());
    client->to_server = BIO_new(BIO_s_mem());
    if (!client->openssl || !client->from_server || !client->to_server || !expect_host(client->openssl, client->host)) {
        BIO_free(client->from_server);
        BIO_free(client->to_server);
        SSL_free(client->openssl);
        free(client);
        return -ENOMEM;
    }
    /* An empty input is not the end of the stream. */
    BIO_set_mem_eof_return(client->from_server, -1);
    SSL_set_bio(client->openssl, client->from_server, client->to_server);
    SSL_set_connect_state(client->openssl);
    *out = client;
    return 0;
}

void tls_client_destroy(struct tls_client *client)
{
    if (!client)
        return;
    SSL_free(client->openssl);
    free(client);
}

int tls_client_feed(struct tls_client *client, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        int taken = BIO_write(client->from_server, bytes, length < INT_MAX ? (int)length : INT_MAX);

        if (taken <= 0)
            return -ENOMEM;
        bytes += taken;
        length -= (size_t)taken;
    }
    return 0;
}

static void describe_failure(struct tls_client *client)
{
    long verdict = SSL_get_verify_result(client->openssl);

    if (verdict == X509_V_OK) {
        snprintf(client->error, sizeof client->error, "TLS with %s failed: %s", client->host, take_reason());
        return;
    }
    ERR_clear_error();
    snprintf(client->error, sizeof client->error, "the certificate for %s was refused: %s", client->host,
             X509_verify_cert_error_string(verdict));
}

/* What the return value of the last SSL_ function means. */
static enum tls_result result_of(struct tls_client *client, int returned)
{
    switch (SSL_get_error(client->openssl, returned)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        describe_failure(client);
        return TLS_FAILED;
    }
}

enum tls_result tls_client_handshake(struct tls_client *client)
{
    ERR_clear_error();
    return result_of(client, SSL_do_handshake(client->openssl));
}

enum tls_result tls_client_read(struct tls_client *client, uint8_t *out, size_t capacity, size_t *length)
{
    ERR_clear_error();
    return result_of(client, SSL_read_ex(client->openssl, out, capacity, length));
}

enum tls_result tls_client_write(struct tls_client *client, const void *bytes, size_t length)
{
    size_t taken;

    ERR_clear_error();
    return result_of(client, SSL_write_ex(client->openssl, bytes, length, &taken));
}

void tls_client_close(struct tls_client *client)
{
    ERR_clear_error();
    SSL_shutdown(client->openssl);
    ERR_clear_error();
}

size_t tls_client_output(struct tls_client *client, const uint8_t **bytes)
{
    char *start = NULL;
    long length = BIO_get_mem_data(client->to_server, &start);

    *bytes = (const uint8_t *)start;
    return length > 0 ? (size_t)length : 0;
}

void tls_client_output_taken(struct tls_client *client)
{
    (void)BIO_reset(client->to_server);
}

const char *tls_client_error(const struct tls_client *client)
{
    return client->error;
}
