/* OpenSSL's server over memory: the caller moves the peer's records into `in`, and the server's out of `out`. */
#ifndef TESTS_SUPPORT_TLS_SERVER_H
#define TESTS_SUPPORT_TLS_SERVER_H

#include "support/authority.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct tls_server {
    SSL_CTX *context;
    SSL *ssl; /* of the current connection; NULL before the first */
    BIO *in, *out;
};

/* A server with a certificate of certificate_create, and a key of its own; it speaks http/1.1 only. */
void tls_server_init(struct tls_server *server, const struct authority *issuer, const char *alternative_names, bool expired);
void tls_server_dispose(struct tls_server *server);

/* Makes the server accept `protocol` only: a byte with its length, then its name (RFC 7301, 3.1). It must outlive the server. */
void tls_server_set_protocol(struct tls_server *server, char *protocol);

/* Begins a new connection; ends the one before. */
void tls_server_start(struct tls_server *server);

#endif
