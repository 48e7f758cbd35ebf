#include "flashcat/stream.h"

#include "common/connect.h"
#include "flashrelay/ws_uri.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Why a handshake failed: the certificate, or whatever OpenSSL says. */
static void explain_tls(SSL *tls, const struct ws_uri *uri, char error[STREAM_ERROR_BYTES])
{
    long verdict = tls ? SSL_get_verify_result(tls) : X509_V_OK;
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    if (verdict != X509_V_OK)
        reason = X509_verify_cert_error_string(verdict);
    snprintf(error, STREAM_ERROR_BYTES, "TLS with %s failed: %s", uri->host, reason ? reason : "connection ended");
}

/* The certificate must be for the host: a name (also sent as SNI) or an address. */
static bool expect_host(SSL *tls, const char *host)
{
    unsigned char bytes[16];

    if (inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), host) == 1;
    return SSL_set1_host(tls, host) == 1 && SSL_set_tlsext_host_name(tls, host) == 1;
}

static bool start_tls(struct stream *stream, const struct ws_uri *uri, const char *ca_file, char error[STREAM_ERROR_BYTES])
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *tls = NULL;
    bool trusts;

    stream->tls_context = context;
    trusts = context && (ca_file ? SSL_CTX_load_verify_file(context, ca_file) : SSL_CTX_set_default_verify_paths(context)) == 1;
    if (!trusts) {
        snprintf(error, STREAM_ERROR_BYTES, "cannot read certificates from %s", ca_file ? ca_file : "the system's store");
        return false;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    tls = SSL_new(context);
    stream->tls = tls;
    if (tls && expect_host(tls, uri->host) && SSL_set_fd(tls, stream->descriptor) == 1 && SSL_connect(tls) == 1)
        return true;
    explain_tls(tls, uri, error);
    return false;
}

bool stream_open(struct stream *stream, const struct ws_uri *uri, const char *ca_file, char error[STREAM_ERROR_BYTES])
{
    *stream = (struct stream){.descriptor = connect_to_host(uri, error, STREAM_ERROR_BYTES)};
    if (stream->descriptor < 0)
        return false;
    if (!uri->tls || start_tls(stream, uri, ca_file, error))
        return true;
    stream_close(stream);
    return false;
}

void stream_close(struct stream *stream)
{
    SSL_free(stream->tls);
    SSL_CTX_free(stream->tls_context);
    if (stream->descriptor >= 0)
        close(stream->descriptor);
    *stream = (struct stream){.descriptor = -1};
}

ssize_t stream_read(struct stream *stream, void *bytes, size_t capacity)
{
    ssize_t length;

    if (!stream->tls) {
        length = recv(stream->descriptor, bytes, capacity, 0);
        return length >= 0 ? length : -errno;
    }
    errno = 0;
    length = SSL_read(stream->tls, bytes, capacity > INT32_MAX ? INT32_MAX : (int)capacity);
    if (length > 0)
        return length;
    if (SSL_get_error(stream->tls, (int)length) == SSL_ERROR_ZERO_RETURN)
        return 0;
    return errno != 0 ? -errno : -EPROTO;
}

bool stream_write(struct stream *stream, const void *bytes, size_t length)
{
    const char *next = bytes;

    if (stream->tls)
        return SSL_write(stream->tls, bytes, (int)length) == (int)length;
    while (length > 0) {
        ssize_t sent = send(stream->descriptor, next, length, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        next += sent;
        length -= (size_t)sent;
    }
    return true;
}
