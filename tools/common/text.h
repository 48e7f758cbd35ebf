/* A growing text. Running out of memory ends the program, as the tools can do nothing without it. */
#ifndef TOOLS_COMMON_TEXT_H
#define TOOLS_COMMON_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
    char *bytes; /* terminated once anything was added */
    size_t length, capacity;
};

void text_dispose(struct text *text);

/* Empties it, keeping its memory. */
void text_clear(struct text *text);

void text_add(struct text *text, const char *bytes, size_t length);
void text_add_string(struct text *text, const char *string);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3), nonnull(2)));

/* Adds two hex digits per byte, without a prefix. */
void text_add_hex(struct text *text, const void *bytes, size_t length);

#endif
