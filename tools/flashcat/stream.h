/* A blocking byte stream to a WebSocket server, with or without TLS. */
#ifndef TOOLS_FLASHCAT_STREAM_H
#define TOOLS_FLASHCAT_STREAM_H

#include "flashrelay/ws_uri.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stream {
    int descriptor;
    void *tls_context, *tls; /* OpenSSL's, NULL without TLS */
};

#define STREAM_ERROR_BYTES 512

/* Connects to the URI's host, trying every address. `ca_file`: roots to trust instead of the system's, or NULL. False, with the reason
 * in `error`, if that fails. */
bool stream_open(struct stream *stream, const struct ws_uri *uri, const char *ca_file, char error[STREAM_ERROR_BYTES]);
void stream_close(struct stream *stream);

/* Reads what there is: the number of bytes, 0 at the end, or a negative errno (-EINTR after a signal). */
ssize_t stream_read(struct stream *stream, void *bytes, size_t capacity);

/* Writes all. False if the connection is gone. */
bool stream_write(struct stream *stream, const void *bytes, size_t length);

#endif
