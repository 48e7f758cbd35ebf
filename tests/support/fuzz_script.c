#include "support/fuzz_script.h"

uint8_t fuzz_script_next(struct fuzz_script *script)
{
    if (script->length == 0)
        return 0;
    script->length--;
    return *script->bytes++;
}

const uint8_t *fuzz_script_take(struct fuzz_script *script, size_t most, size_t *length)
{
    const uint8_t *bytes = script->bytes;

    *length = most < script->length ? most : script->length;
    script->bytes += *length;
    script->length -= *length;
    return bytes;
}
