/* The work of ingest and encoder per message: its identity (hash), the memory of recent messages, brotli. */
#include "cbench/cbench.h"
#include "cbench/sample.h"

#include "flashrelay/brotli_codec.h"
#include "ingest/recent.h"

#include <stdlib.h>
#include <xxhash.h>

#define WINDOW_NS UINT64_C(10000000000)

CBENCH(hash_message, 4000, 25000, 250000)
{
    size_t length = (size_t)cbench_argument(bench);
    uint8_t *bytes = sample_flashblock(length);

    while (cbench_next(bench)) {
        XXH128_hash_t hash = XXH3_128bits(bytes, length);
        cbench_keep(hash.low64);
    }
    cbench_bytes_processed(bench, cbench_iterations(bench) * length);
    free(bytes);
}

/* One message from each of two upstreams: the first is remembered, the second found to be a copy; the memory is full. */
CBENCH(recent_two_upstreams)
{
    struct recent *recent;
    uint64_t now_ns = WINDOW_NS, behind_ns;
    uint64_t number = 0;

    if (recent_create(&recent, 4096, WINDOW_NS) != 0) {
        cbench_fail(bench, "no memory");
        return;
    }
    while (cbench_next(bench)) {
        number++;
        struct recent_identity identity = {number * UINT64_C(0x9e3779b97f4a7c15), ~number * UINT64_C(0xbf58476d1ce4e5b9)};
        bool first = recent_is_copy(recent, &identity, 1, now_ns, &behind_ns);

        recent_remember(recent, &identity, 1, now_ns);
        bool second = recent_is_copy(recent, &identity, 2, now_ns, &behind_ns);
        if (first || !second)
            cbench_fail(bench, "wrong about a copy");
        now_ns += WINDOW_NS / 8192;
    }
    recent_destroy(recent);
}

CBENCH(brotli_compress_message, 4000, 25000, 100000)
{
    size_t length = (size_t)cbench_argument(bench), capacity = brotli_compressed_limit(length), result = 0;
    uint8_t *bytes = sample_flashblock(length), *out = malloc(capacity);
    struct brotli_arena *arena = NULL;

    if (brotli_arena_create(&arena) != 0)
        cbench_fail(bench, "no memory");
    while (cbench_next(bench))
        if (brotli_arena_compress(arena, bytes, length, out, capacity, &result) != 0)
            cbench_fail(bench, "not compressed");
    cbench_bytes_processed(bench, cbench_iterations(bench) * length);
    cbench_counter(bench, "ratio", result > 0 ? (double)length / (double)result : 0, CBENCH_COUNTER_PLAIN);
    brotli_arena_destroy(arena);
    free(out);
    free(bytes);
}

CBENCH(brotli_decompress_message, 4000, 25000, 100000)
{
    size_t length = (size_t)cbench_argument(bench), capacity = brotli_compressed_limit(length), compressed = 0, result = 0;
    uint8_t *bytes = sample_flashblock(length), *packed = malloc(capacity);
    struct brotli_arena *arena = NULL;

    if (brotli_arena_create(&arena) != 0 || brotli_compress(bytes, length, packed, capacity, &compressed) != 0)
        cbench_fail(bench, "no memory");
    while (cbench_next(bench))
        if (brotli_arena_decompress(arena, packed, compressed, bytes, length, &result) != 0)
            cbench_fail(bench, "not decompressed");
    cbench_bytes_processed(bench, cbench_iterations(bench) * length);
    brotli_arena_destroy(arena);
    free(packed);
    free(bytes);
}
