#include "cbench/sample.h"

#include "flashrelay/random.h"

#include <stdlib.h>
#include <string.h>

#define TRANSACTION_BYTES 400

/* Transactions of random hex digits, until the length is reached; not valid JSON at its end, which nothing here looks at. */
uint8_t *sample_flashblock(size_t length)
{
    static const char start[] = "{\"payload_id\":\"0x03997352d799c31a\",\"index\":4,\"diff\":{\"transactions\":[";
    uint8_t *bytes = malloc(length + 1);
    struct random random;

    if (bytes == NULL)
        abort();
    random_seed(&random, length);
    for (size_t i = 0; i < length; i++) {
        size_t at = i % TRANSACTION_BYTES;
        bytes[i] = (uint8_t)(i < sizeof(start) - 1 ? start[i]
                             : at < 5              ? "\",\"0x"[at]
                                                   : "0123456789abcdef"[random_next(&random) >> 60]);
    }
    return bytes;
}
