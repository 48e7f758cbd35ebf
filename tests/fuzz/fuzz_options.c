/* The parser of the command line: arguments separated by newlines. Any arguments give options, or one line that says what is wrong. */
#include "options/options.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGUMENTS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *rest = text, *arguments[MAX_ARGUMENTS + 1] = {NULL}, *none[] = {NULL};
    static const struct machine machine = {.processors = 4, .quota_millis = 2500, .memory_limit_bytes = 100 << 20};
    struct options_sources sources = {.arguments = arguments, .environment = none, .machine = &machine};
    struct warnings warnings = {0};
    char error[OPTIONS_ERROR_BYTES] = "";
    struct options options;

    memcpy(text, data, size);
    text[size] = '\0';
    for (unsigned i = 0; i < MAX_ARGUMENTS && rest; i++)
        arguments[i] = strsep(&rest, "\n");
    switch (options_read(&options, &sources, &warnings, error)) {
    case OPTIONS_RUN:
        assert(options.upstreams.count && options.shards);
        assert(options.log_memory_bytes >= (options.enable_compression ? 4 : 2) * options.max_message_bytes);
        break;
    case OPTIONS_BAD:
        assert(*error && !strchr(error, '\n'));
        break;
    case OPTIONS_HELP:
    case OPTIONS_VERSION:
        break;
    }
    options_dispose(&options);
    warnings_dispose(&warnings);
    free(text);
    return 0;
}
