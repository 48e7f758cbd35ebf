#include "engine/dpdk/explain.h"

#include <stdarg.h>
#include <stdio.h>

int explain(char *error, size_t capacity, int result, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vsnprintf(error, capacity, format, values);
    va_end(values);
    return result;
}
