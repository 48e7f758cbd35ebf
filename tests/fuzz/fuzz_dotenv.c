/* The parser of .env files: any bytes give entries, and warnings about lines that are left out. */
#include "options/dotenv.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const environment[] = {"HOME=/root", NULL};
    struct dotenv dotenv = {0};
    struct warnings warnings = {0};

    assert(dotenv_parse(&dotenv, "file", (const char *)data, size, environment, &warnings) == 0);
    for (unsigned i = 0; i < warnings.count; i++)
        assert(strncmp(warnings.texts[i], "file", strlen("file")) == 0 && strstr(warnings.texts[i], "is left out: expected "));
    for (unsigned i = 0; i < dotenv.count; i++)
        assert(dotenv_find(&dotenv, dotenv.entries[i].name));
    warnings_dispose(&warnings);
    dotenv_dispose(&dotenv);
    return 0;
}
