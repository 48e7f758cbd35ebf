/* .env files: any bytes give entries or an error with a line of the file. */
#include "options/dotenv.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const environment[] = {"HOME=/root", NULL};
    struct dotenv dotenv = {0};
    struct dotenv_error error = {0};
    int result = dotenv_parse(&dotenv, (const char *)data, size, environment, &error);

    assert(result == 0 || (result == -EINVAL && error.error && error.line >= 1 && error.line <= size + 1));
    for (unsigned i = 0; i < dotenv.count; i++)
        assert(dotenv_find(&dotenv, dotenv.entries[i].name));
    dotenv_dispose(&dotenv);
    return 0;
}
