#include "common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `length` more and a terminator. */
static char *reserve(struct text *text, size_t length)
{
    if (text->length + length + 1 > text->capacity) {
        text->capacity = (text->length + length + 1) * 2;
        text->bytes = realloc(text->bytes, text->capacity);
        if (!text->bytes) {
            fputs("out of memory\n", stderr);
            exit(1);
        }
    }
    return text->bytes + text->length;
}

static void commit(struct text *text, size_t length)
{
    text->length += length;
    text->bytes[text->length] = '\0';
}

void text_dispose(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}

void text_clear(struct text *text)
{
    text->length = 0;
}

void text_add(struct text *text, const char *bytes, size_t length)
{
    memcpy(reserve(text, length), bytes, length);
    commit(text, length);
}

void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_format(struct text *text, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    va_start(arguments, format);
    vsnprintf(reserve(text, (size_t)length), (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
}

void text_add_hex(struct text *text, const void *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;
    char *to = reserve(text, 2 * length);

    for (size_t i = 0; i < length; i++) {
        *to++ = digits[from[i] >> 4];
        *to++ = digits[from[i] & 15];
    }
    commit(text, 2 * length);
}
