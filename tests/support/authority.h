/* A certificate authority that is made at run time, and certificates that it signs. */
#ifndef TESTS_SUPPORT_AUTHORITY_H
#define TESTS_SUPPORT_AUTHORITY_H

#include <openssl/x509.h>
#include <stdbool.h>

enum { AUTHORITY_PATH_BYTES = 64 };

struct authority {
    EVP_PKEY *key;
    X509 *certificate;
};

/* Makes a key and a self-signed certificate. */
void authority_init(struct authority *authority);
void authority_dispose(struct authority *authority);

/*
 * A certificate for `key`, signed by `issuer`, or self-signed if that is NULL; the caller frees it. It has been valid for three days, and is
 * valid for one more day, or expired two days ago if `expired`. `alternative_names` are in OpenSSL's form ("DNS:builder.example,IP:127.0.0.1"), NULL
 * for none.
 */
X509 *certificate_create(EVP_PKEY *key, const struct authority *issuer, const char *alternative_names, bool expired);

/* Writes the authority's certificate (PEM) to a new file and puts its name into `path`; the caller unlinks it. */
void authority_write_file(const struct authority *authority, char path[AUTHORITY_PATH_BYTES]);

#endif
