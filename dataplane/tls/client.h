/*
 * TLS towards an upstream (RFC 8446, RFC 5246), sans-I/O: records in, records out, plain bytes on the other side. The
 * server's certificate is always verified, for the host's name (RFC 6125) or its IP address. Versions 1.2 and 1.3, ALPN
 * http/1.1 (RFC 7301). A context may serve many clients; all of them belong to one thread. After the handshake nothing is
 * allocated but what OpenSSL itself needs for a moment: 40 bytes for each record of TLS 1.3.
 */
#ifndef DATAPLANE_TLS_CLIENT_H
#define DATAPLANE_TLS_CLIENT_H

#include <stddef.h>
#include <stdint.h>

struct tls_client_context;

/*
 * Creates a context with the CA certificates of `ca_file` (PEM), or with the system's where it is NULL. 0, -ENOMEM, or -EINVAL where the file
 * cannot be read or holds no certificate; `error` then says why and names the file.
 */
int tls_client_context_create(struct tls_client_context **out, const char *ca_file, char *error, size_t error_bytes);
void tls_client_context_destroy(struct tls_client_context *context);

enum tls_result {
    TLS_DONE,
    TLS_MORE,   /* needs more records from the server */
    TLS_CLOSED, /* the server ended the stream (close_notify) */
    TLS_FAILED, /* see tls_client_error */
};

struct tls_client;

/* Creates the client of one connection to `host`: a name, or an IP address as text. 0 or -ENOMEM. */
int tls_client_create(struct tls_client **out, const struct tls_client_context *context, const char *host);
void tls_client_destroy(struct tls_client *client);

/* Takes records from the server: all `length` bytes. 0 or -ENOMEM. */
int tls_client_feed(struct tls_client *client, const uint8_t *bytes, size_t length);

/* Goes on with the handshake, which begins with the first call. */
enum tls_result tls_client_handshake(struct tls_client *client);

/* Decrypts into `out` of `capacity` bytes. TLS_DONE: *length is above 0, and another call may find more. */
enum tls_result tls_client_read(struct tls_client *client, uint8_t *out, size_t capacity, size_t *length);

/* Encrypts all of `bytes`. TLS_DONE or TLS_FAILED. */
enum tls_result tls_client_write(struct tls_client *client, const void *bytes, size_t length);

/* Tells the server that nothing more will be written (close_notify). */
void tls_client_close(struct tls_client *client);

/*
 * Points *bytes to the records for the server, to which every other call may add; returns their length in bytes, 0 if there are none. The
 * caller sends all of them, then calls tls_client_output_taken.
 */
size_t tls_client_output(struct tls_client *client, const uint8_t **bytes);
void tls_client_output_taken(struct tls_client *client);

/* After TLS_FAILED, a text for people: why the certificate was refused and for which host, or the protocol's reason. */
const char *tls_client_error(const struct tls_client *client);

#endif
