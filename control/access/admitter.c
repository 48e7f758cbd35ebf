#include "access/admitter.h"

#include "flashrelay/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct admitter {
    struct admission *admission;
    struct limits *limits;
    pthread_t thread;
    bool started;
    _Atomic bool stopping;
};

int admitter_create(struct admitter **out, struct admission *admission, struct limits *limits)
{
    struct admitter *a = calloc(1, sizeof *a);
    int event = eventfd(0, EFD_CLOEXEC);

    if (!a || event < 0) {
        int error = a ? -errno : -ENOMEM;
        if (event >= 0)
            close(event);
        free(a);
        return error;
    }
    admission_queue_init(&admission->requests);
    admission->control_event = event;
    a->admission = admission;
    a->limits = limits;
    *out = a;
    return 0;
}

static void answer(struct admitter *admitter, struct admission_request *request)
{
    if (request->kind == ADMISSION_ENTER)
        request->verdict = (uint8_t)limits_enter(admitter->limits, &request->ip, request->app);
    else
        limits_leave(admitter->limits, &request->ip, request->app);
    admission_answer(admitter->admission, request);
}

static void *run(void *context)
{
    struct admitter *admitter = context;
    struct admission_request *request, *next;
    eventfd_t count;

    thread_register("admission");
    while (!atomic_load(&admitter->stopping)) {
        if (eventfd_read(admitter->admission->control_event, &count) < 0)
            continue; /* interrupted */
        for (request = admission_queue_take(&admitter->admission->requests); request; request = next) {
            next = request->next; /* once answered it is its shard's again */
            answer(admitter, request);
        }
    }
    thread_unregister();
    return NULL;
}

int admitter_start(struct admitter *admitter)
{
    int error = pthread_create(&admitter->thread, NULL, run, admitter);

    admitter->started = error == 0;
    return -error;
}

void admitter_stop(struct admitter *admitter)
{
    if (!admitter->started)
        return;
    atomic_store(&admitter->stopping, true);
    eventfd_write(admitter->admission->control_event, 1);
    pthread_join(admitter->thread, NULL);
    admitter->started = false;
}

void admitter_destroy(struct admitter *admitter)
{
    admitter_stop(admitter);
    close(admitter->admission->control_event);
    free(admitter);
}
