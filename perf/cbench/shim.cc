// Google Benchmark behind cbench.h: the only C++ of the project.
#include "cbench/cbench.h"

#include <benchmark/benchmark.h>

static benchmark::State *state_of(const struct cbench *bench)
{
    return static_cast<benchmark::State *>(bench->state);
}

void cbench_register(const char *name, cbench_function *function, const int64_t *arguments, size_t count, int threads)
{
    auto *registered = benchmark::RegisterBenchmark(name, [function, count](benchmark::State &state) {
        struct cbench bench = {0, count > 0 ? state.range(0) : 0, &state};
        function(&bench);
    });
    for (size_t i = 0; i < count; i++)
        registered->Arg(arguments[i]);
    if (threads > 1)
        registered->Threads(threads)->UseRealTime();
}

bool cbench_next_batch(struct cbench *bench)
{
    benchmark::State *state = state_of(bench);
    benchmark::IterationCount iterations = state->max_iterations;

    if (!state->KeepRunningBatch(iterations))
        return false;
    bench->left = static_cast<uint64_t>(iterations) - 1;
    return true;
}

uint64_t cbench_iterations(const struct cbench *bench)
{
    return static_cast<uint64_t>(state_of(bench)->iterations());
}

int cbench_thread(const struct cbench *bench)
{
    return state_of(bench)->thread_index();
}

void cbench_pause(struct cbench *bench)
{
    state_of(bench)->PauseTiming();
}

void cbench_resume(struct cbench *bench)
{
    state_of(bench)->ResumeTiming();
}

void cbench_bytes_processed(struct cbench *bench, uint64_t bytes)
{
    state_of(bench)->SetBytesProcessed(static_cast<int64_t>(bytes));
}

void cbench_items_processed(struct cbench *bench, uint64_t items)
{
    state_of(bench)->SetItemsProcessed(static_cast<int64_t>(items));
}

void cbench_counter(struct cbench *bench, const char *name, double value, enum cbench_counter_kind kind)
{
    benchmark::Counter::Flags flags = benchmark::Counter::kDefaults;

    if (kind == CBENCH_COUNTER_RATE)
        flags = benchmark::Counter::kIsRate;
    else if (kind == CBENCH_COUNTER_PER_ITERATION)
        flags = benchmark::Counter::kAvgIterations;
    state_of(bench)->counters[name] = benchmark::Counter(value, flags);
}

void cbench_fail(struct cbench *bench, const char *why)
{
    bench->left = 0;
    state_of(bench)->SkipWithError(why);
}

BENCHMARK_MAIN();
