#include "options/warnings.h"

#include "flashrelay/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void warnings_dispose(struct warnings *warnings)
{
    for (unsigned i = 0; i < warnings->count; i++)
        free(warnings->texts[i]);
    *warnings = (struct warnings){0};
}

void warnings_make_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void warnings_add(struct warnings *warnings, const char *format, ...)
{
    char text[WARNINGS_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    warnings_make_line(text);
    if (warnings->count < WARNINGS_KEPT)
        warnings->texts[warnings->count] = strdup(text);
    if (warnings->count < WARNINGS_KEPT && warnings->texts[warnings->count])
        warnings->count++;
    else
        warnings->more++;
}

void warnings_log(const struct warnings *warnings)
{
    for (unsigned i = 0; i < warnings->count; i++)
        log_line(LOG_WARN, "options", "%s", warnings->texts[i]);
    if (warnings->more > 0)
        log_line(LOG_WARN, "options", "%u more like these", warnings->more);
}

void warnings_print(FILE *out, const struct warnings *warnings)
{
    for (unsigned i = 0; i < warnings->count; i++)
        fprintf(out, "flashrelay: %s\n", warnings->texts[i]);
    if (warnings->more > 0)
        fprintf(out, "flashrelay: %u more like these\n", warnings->more);
}
