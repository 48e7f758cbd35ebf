#include "flashrelay/thread.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>

#ifdef FLASHRELAY_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

struct slot {
    bool taken;
    char name[THREAD_NAME_BYTES];
    const uint64_t *allocated; /* the allocator's counter, in the thread's own memory: gone when the thread ends */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct slot slots[THREAD_REGISTRY_SLOTS];
static _Thread_local struct slot *own;

/* Where the allocator counts the calling thread's bytes, or NULL. */
static const uint64_t *allocation_counter(void)
{
#ifdef FLASHRELAY_JEMALLOC
    const uint64_t *counter;
    size_t length = sizeof counter;

    if (mallctl("thread.allocatedp", &counter, &length, NULL, 0) == 0)
        return counter;
#endif
    return NULL;
}

void thread_set_name(const char *name)
{
    char cut[THREAD_NAME_BYTES];

    snprintf(cut, sizeof cut, "%s", name);
    pthread_setname_np(pthread_self(), cut);
}

void thread_register(const char *name)
{
    const uint64_t *allocated = allocation_counter();

    thread_set_name(name);
    pthread_mutex_lock(&mutex);
    for (unsigned i = 0; i < THREAD_REGISTRY_SLOTS && !own; i++) {
        if (slots[i].taken)
            continue;
        own = &slots[i];
        own->taken = true;
        own->allocated = allocated;
        snprintf(own->name, sizeof own->name, "%s", name);
    }
    pthread_mutex_unlock(&mutex);
}

void thread_unregister(void)
{
    if (!own)
        return;
    pthread_mutex_lock(&mutex);
    own->taken = false;
    pthread_mutex_unlock(&mutex);
    own = NULL;
}

bool thread_allocated_bytes(unsigned slot, char name[THREAD_NAME_BYTES], uint64_t *bytes)
{
    bool known;

    assert(slot < THREAD_REGISTRY_SLOTS);
    pthread_mutex_lock(&mutex);
    known = slots[slot].taken && slots[slot].allocated;
    if (known) {
        *bytes = __atomic_load_n(slots[slot].allocated, __ATOMIC_RELAXED);
        snprintf(name, THREAD_NAME_BYTES, "%s", slots[slot].name);
    }
    pthread_mutex_unlock(&mutex);
    return known;
}
