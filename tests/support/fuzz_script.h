/* A fuzzer's input as a script: what is to happen is read off it piece by piece; behind its end all is zero. */
#ifndef TESTS_SUPPORT_FUZZ_SCRIPT_H
#define TESTS_SUPPORT_FUZZ_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

struct fuzz_script {
    const uint8_t *bytes;
    size_t length; /* what is left */
};

/* The next byte, 0 behind the end. */
uint8_t fuzz_script_next(struct fuzz_script *script);

/* Up to `most` bytes, `*length` of them; they stay the input's. */
const uint8_t *fuzz_script_take(struct fuzz_script *script, size_t most, size_t *length);

#endif
