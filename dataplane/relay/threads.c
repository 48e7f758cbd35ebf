/* The relay's threads: their names, cores, beginning and end. */
#include "relay/internal.h"

#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

/* How often a thread that is told to stop is woken until it has ended: a wake-up may come just before it goes to sleep. */
#define STOP_POLL_NS NS_PER_MS

int relay_core(const struct relay_options *options, unsigned index)
{
    return options->cpu_count > 0 ? options->cpu_list[index % options->cpu_count] : -1;
}

/* True if cpu_list gives thread `index` (0: ingest, then the shards) a core that none of the others has. */
static bool is_alone(const struct relay_options *options, unsigned index)
{
    int core = relay_core(options, index);

    for (unsigned other = 0; other <= options->shards; other++)
        if (other != index && relay_core(options, other) == core)
            return false;
    return core >= 0;
}

bool relay_is_one_loop(const struct relay_options *options)
{
    int core = relay_core(options, 0);

    return options->busy_poll && options->shards == 1 && core >= 0 && core == relay_core(options, 1);
}

bool relay_spins(const struct relay_options *options, unsigned index)
{
    return options->busy_poll && (is_alone(options, index) || relay_is_one_loop(options));
}

static void *run(void *context)
{
    struct relay_thread *thread = context;

    thread_register(thread->name);
    while (!atomic_load_explicit(&thread->stopping, memory_order_acquire))
        thread->turn(thread->object);
    thread_unregister();
    atomic_store_explicit(&thread->ended, true, memory_order_release);
    return NULL;
}

static int pin(pthread_attr_t *attributes, int core)
{
    size_t bytes = CPU_ALLOC_SIZE((size_t)core + 1);
    cpu_set_t *cores = CPU_ALLOC((size_t)core + 1);
    int error;

    if (!cores)
        return ENOMEM;
    CPU_ZERO_S(bytes, cores);
    CPU_SET_S((size_t)core, bytes, cores);
    error = pthread_attr_setaffinity_np(attributes, bytes, cores);
    CPU_FREE(cores);
    return error;
}

int relay_thread_start(struct relay_thread *thread)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);

    if (error == 0 && thread->core >= 0)
        error = pin(&attributes, thread->core);
    if (error == 0)
        error = pthread_create(&thread->thread, &attributes, run, thread);
    pthread_attr_destroy(&attributes);
    thread->started = error == 0;
    if (error != 0 && thread->core >= 0)
        log_line(LOG_ERROR, "relay", "cannot start thread %s on core %d: %s", thread->name, thread->core, strerror(error));
    else if (error != 0)
        log_line(LOG_ERROR, "relay", "cannot start thread %s: %s", thread->name, strerror(error));
    return -error;
}

static void stop(struct relay_thread *thread)
{
    const struct timespec pause = {.tv_nsec = STOP_POLL_NS};

    while (!atomic_load_explicit(&thread->ended, memory_order_acquire)) {
        waker_wake(thread->waker, NULL);
        nanosleep(&pause, NULL);
    }
    pthread_join(thread->thread, NULL);
    thread->started = false;
}

void relay_threads_stop(struct relay_thread *threads, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        atomic_store_explicit(&threads[i].stopping, true, memory_order_release);
    for (unsigned i = 0; i < count; i++)
        if (threads[i].started)
            stop(&threads[i]);
}
