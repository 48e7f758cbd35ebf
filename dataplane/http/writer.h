/* Appends text to a buffer of fixed size and remembers whether all of it fitted. */
#ifndef DATAPLANE_HTTP_WRITER_H
#define DATAPLANE_HTTP_WRITER_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct http_writer {
    char *out;
    size_t capacity, length;
    bool is_full;
};

__attribute__((format(printf, 2, 3))) static inline void http_write(struct http_writer *writer, const char *format, ...)
{
    va_list arguments;
    int written;

    va_start(arguments, format);
    written = vsnprintf(writer->out + writer->length, writer->capacity - writer->length, format, arguments);
    va_end(arguments);
    if (written < 0 || (size_t)written >= writer->capacity - writer->length)
        writer->is_full = true;
    else
        writer->length += (size_t)written;
}

/* The length written, or -ENOSPC. */
static inline long http_writer_result(const struct http_writer *writer)
{
    return writer->is_full ? -ENOSPC : (long)writer->length;
}

#endif
