/* Base64 with padding (RFC 4648, 4). */
#ifndef DATAPLANE_HTTP_BASE64_H
#define DATAPLANE_HTTP_BASE64_H

#include <stddef.h>

/* Characters that `length` bytes become, without terminator. */
#define BASE64_LENGTH(length) (((length) + 2) / 3 * 4)

/* Writes BASE64_LENGTH(length) characters and a terminator. */
void base64_encode(char *out, const void *bytes, size_t length);

#endif
