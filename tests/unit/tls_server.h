/* For tests: a certificate authority made on the spot, and OpenSSL's server over memory. */
#ifndef TESTS_UNIT_TLS_SERVER_H
#define TESTS_UNIT_TLS_SERVER_H

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct authority {
    EVP_PKEY *key;
    X509 *certificate;
};

struct tls_server {
    SSL_CTX *context;
    SSL *ssl; /* of the current connection */
    BIO *in, *out;
};

static inline void tls_must(bool succeeded)
{
    if (!succeeded)
        abort();
}

static inline void name_certificate(X509 *certificate, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(certificate);

    tls_must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0));
}

static inline void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    tls_must(extension && X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

/* A certificate for `key`, signed by `issuer`, or by itself where that is NULL; valid for a day, or since two days no more. */
static inline X509 *make_certificate(EVP_PKEY *key, const struct authority *issuer, const char *alternative_names, bool expired)
{
    static long serial = 1;
    X509 *certificate = X509_new();
    char name[32];

    tls_must(certificate != NULL);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), expired ? -2 * 86400 : 86400);
    X509_set_pubkey(certificate, key);
    snprintf(name, sizeof name, "certificate %ld", serial);
    name_certificate(certificate, name);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer->certificate : certificate));
    add_extension(certificate, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (alternative_names)
        add_extension(certificate, NID_subject_alt_name, alternative_names);
    tls_must(X509_sign(certificate, issuer ? issuer->key : key, EVP_sha256()) > 0);
    return certificate;
}

static inline struct authority make_authority(void)
{
    struct authority authority = {.key = EVP_EC_gen("P-256")};

    authority.certificate = make_certificate(authority.key, NULL, NULL, false);
    return authority;
}

static inline void authority_free(struct authority *authority)
{
    EVP_PKEY_free(authority->key);
    X509_free(authority->certificate);
}

/* Writes the authority's certificate to a new file; `path` becomes its name, to be unlinked. */
static inline void write_ca_file(const struct authority *authority, char path[64])
{
    FILE *file;

    strcpy(path, "/tmp/flashrelay-ca-XXXXXX");
    file = fdopen(mkstemp(path), "w");
    tls_must(file && PEM_write_X509(file, authority->certificate));
    fclose(file);
}

static inline int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
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

/* A server with a certificate as above; it speaks http/1.1 only. */
static inline void tls_server_init(struct tls_server *server, const struct authority *issuer, const char *alternative_names,
                                   bool expired)
{
    static char protocol[] = "\x08http/1.1";
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make_certificate(key, issuer, alternative_names, expired);

    *server = (struct tls_server){.context = SSL_CTX_new(TLS_server_method())};
    tls_must(SSL_CTX_use_certificate(server->context, certificate) && SSL_CTX_use_PrivateKey(server->context, key));
    SSL_CTX_set_alpn_select_cb(server->context, select_protocol, protocol);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* Begins a new connection. */
static inline void tls_server_start(struct tls_server *server)
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

static inline void tls_server_dispose(struct tls_server *server)
{
    SSL_free(server->ssl);
    SSL_CTX_free(server->context);
}

#endif
