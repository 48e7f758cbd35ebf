#include "access/admitter.h"

#include "flashrelay/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct admitter {
    struct admitter_options options;
    pthread_t thread;
    bool started;
    _Atomic bool stopping;
};

int admitter_create(struct admitter **out, const struct admitter_options *options)
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
    admission_queue_init(&options->admission->requests);
    options->admission->control_event = event;
    a->options = *options;
    *out = a;
    return 0;
}

static void answer(const struct admitter_options *options, struct admission_request *request)
{
    const struct access_table *table = access_table_current(options->access);

    if (request->kind == ADMISSION_ENTER)
        request->verdict = (uint8_t)limits_enter(options->limits, table, &request->ip, request->app);
    else
        limits_leave(options->limits, &request->ip, request->app);
    admission_answer(options->admission, request);
}

static void *run(void *context)
{
    struct admitter *admitter = context;
    const struct admitter_options *options = &admitter->options;
    struct admission_request *request, *next;
    eventfd_t count;

    thread_register("admission");
    while (!atomic_load(&admitter->stopping)) {
        snapshot_pass_turn(options->snapshots, options->reader);
        if (eventfd_read(options->admission->control_event, &count) < 0)
            continue; /* interrupted */
        for (request = admission_queue_take(&options->admission->requests); request; request = next) {
            next = request->next; /* once answered, the request is its shard's again */
            answer(options, request);
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
    eventfd_write(admitter->options.admission->control_event, 1);
    pthread_join(admitter->thread, NULL);
    admitter->started = false;
}

void admitter_destroy(struct admitter *admitter)
{
    admitter_stop(admitter);
    close(admitter->options.admission->control_event);
    free(admitter);
}
