/*
 * Google Benchmark driven from C: a benchmark is a C function.
 *
 *     CBENCH(hash_message, 1000, 25000)              // once with each argument; none: once, with argument 0
 *     {
 *         uint8_t *message = make_message((size_t)cbench_argument(bench));   // before the loop: not timed
 *         while (cbench_next(bench))
 *             cbench_keep(hash(message, ...));
 *         cbench_bytes_processed(bench, cbench_iterations(bench) * length);
 *         free(message);                             // after the loop: not timed
 *     }
 *
 * The loop must be left only by cbench_next returning false. The function is called several times to find out how many iterations
 * give a good measurement; it must free what it allocates.
 */
#ifndef PERF_CBENCH_CBENCH_H
#define PERF_CBENCH_CBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One measurement in progress. Each thread of a threaded benchmark has its own. */
struct cbench {
    uint64_t left; /* iterations of the current batch that are still to do */
    int64_t argument;
    void *state; /* benchmark::State */
};

typedef void cbench_function(struct cbench *bench);

/* What a counter's value means. */
enum cbench_counter_kind {
    CBENCH_COUNTER_PLAIN,         /* as given */
    CBENCH_COUNTER_RATE,          /* per second of measured time */
    CBENCH_COUNTER_PER_ITERATION, /* divided by the iterations */
};

/* Registers the benchmark, for `count` arguments and `threads` threads. Called by the macros below before main. */
void cbench_register(const char *name, cbench_function *function, const int64_t *arguments, size_t count, int threads);

/* Starts the timing on its first call and ends it on its last; see cbench_next. */
bool cbench_next_batch(struct cbench *bench);

/* True while there is an iteration to do. */
static inline bool cbench_next(struct cbench *bench)
{
    if (__builtin_expect(bench->left != 0, 1)) {
        bench->left--;
        return true;
    }
    return cbench_next_batch(bench);
}

/* The argument of this run. */
static inline int64_t cbench_argument(const struct cbench *bench)
{
    return bench->argument;
}

/* Iterations done; after the loop. */
uint64_t cbench_iterations(const struct cbench *bench);

/* Which thread this is, from 0. All threads wait for each other where the loop begins and ends. */
int cbench_thread(const struct cbench *bench);

/* Stops and restarts the timing inside the loop. Each costs some 100 ns: for long iterations only. */
void cbench_pause(struct cbench *bench);
void cbench_resume(struct cbench *bench);

/* Reports throughput: all bytes or items of all iterations; after the loop. */
void cbench_bytes_processed(struct cbench *bench, uint64_t bytes);
void cbench_items_processed(struct cbench *bench, uint64_t items);

/* Adds a named figure to the report; after the loop. */
void cbench_counter(struct cbench *bench, const char *name, double value, enum cbench_counter_kind kind);

/* Ends the benchmark with an error; the loop then ends at once. `why` is copied. */
void cbench_fail(struct cbench *bench, const char *why);

/* Keeps the compiler from removing the computation of `value`. */
#define cbench_keep(value) __asm__ volatile("" : : "g"(value) : "memory")

#define CBENCH_THREADED(name, threads, ...)                                                               \
    static void name(struct cbench *bench);                                                               \
    __attribute__((constructor)) static void name##_register(void)                                        \
    {                                                                                                     \
        static const int64_t arguments[] = {0, ##__VA_ARGS__};                                            \
        cbench_register(#name, name, arguments + 1, sizeof arguments / sizeof arguments[0] - 1, threads); \
    }                                                                                                     \
    static void name(struct cbench *bench)

#define CBENCH(name, ...) CBENCH_THREADED(name, 1, ##__VA_ARGS__)

#ifdef __cplusplus
}
#endif

#endif
