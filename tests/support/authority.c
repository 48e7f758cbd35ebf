#include "support/authority.h"

#include "support/must.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void name_certificate(X509 *certificate, const char *name)
{
    X509_NAME *subject = X509_get_subject_name(certificate);

    must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0));
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    must(extension && X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

X509 *certificate_create(EVP_PKEY *key, const struct authority *issuer, const char *alternative_names, bool expired)
{
    static long serial = 1;
    X509 *certificate = X509_new();
    char name[32];

    must(certificate != NULL);
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
    must(X509_sign(certificate, issuer ? issuer->key : key, EVP_sha256()) > 0);
    return certificate;
}

void authority_init(struct authority *authority)
{
    authority->key = EVP_EC_gen("P-256");
    authority->certificate = certificate_create(authority->key, NULL, NULL, false);
}

void authority_dispose(struct authority *authority)
{
    EVP_PKEY_free(authority->key);
    X509_free(authority->certificate);
}

void authority_write_file(const struct authority *authority, char path[AUTHORITY_PATH_BYTES])
{
    FILE *file;

    strcpy(path, "/tmp/flashrelay-ca-XXXXXX");
    file = fdopen(mkstemp(path), "w");
    must(file && PEM_write_X509(file, authority->certificate));
    fclose(file);
}
