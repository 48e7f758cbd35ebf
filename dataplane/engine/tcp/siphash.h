/* SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"): a keyed hash that cannot be forged without the key. */
#ifndef DATAPLANE_ENGINE_TCP_SIPHASH_H
#define DATAPLANE_ENGINE_TCP_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t words[2];
};

/* The hash of `length` bytes. */
uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t length);

#endif
