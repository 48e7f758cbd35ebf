/* A fuzzer's input as a script: the fuzzer reads from it, piece by piece, what to do. Behind its end every byte is 0. */
#ifndef TESTS_SUPPORT_FUZZ_SCRIPT_H
#define TESTS_SUPPORT_FUZZ_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

struct fuzz_script {
    const uint8_t *bytes;
    size_t length; /* bytes left */
};

/* The next byte, 0 behind the end. */
uint8_t fuzz_script_next(struct fuzz_script *script);

/* Takes up to `most` bytes; `*length` is how many. The bytes remain the input's. */
const uint8_t *fuzz_script_take(struct fuzz_script *script, size_t most, size_t *length);

#endif
