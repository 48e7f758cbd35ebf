#include "support/tls_server.h"

#include "support/must.h"

#include <string.h>

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
                           unsigned in_length, void *wanted)
{
    unsigned char *selected;
    unsigned length = (unsigned)strlen(wanted);

    (void)ssl;
    if (SSL_select_next_proto(&selected, out_length, wanted, length, in, in_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
}

void tls_server_init(struct tls_server *server, const struct authority *issuer, const char *alternative_names, bool expired)
{
    static char protocol[] = "\x08http/1.1";
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = certificate_create(key, issuer, alternative_names, expired);

    *server = (struct tls_server){.context = SSL_CTX_new(TLS_server_method())};
    must(SSL_CTX_use_certificate(server->context, certificate) && SSL_CTX_use_PrivateKey(server->context, key));
    tls_server_set_protocol(server, protocol);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void tls_server_dispose(struct tls_server *server)
{
    SSL_free(server->ssl);
    SSL_CTX_free(server->context);
}

void tls_server_set_protocol(struct tls_server *server, char *protocol)
{
    SSL_CTX_set_alpn_select_cb(server->context, select_protocol, protocol);
}

void tls_server_start(struct tls_server *server)
{
    SSL_free(server->ssl);
    server->ssl = SSL_new(server->context);
    server->in = BIO_new(BIO_s_mem());
    server->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(server->in, -1);
    BIO_set_mem_eof_return(server->out, -1);
    SSL_set_bio(server->ssl, server->in, server->out);
    SSL_set_accept_state(server->ssl);
}
