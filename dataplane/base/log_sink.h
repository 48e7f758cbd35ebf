/* Where lines go: a descriptor, a format and, once it is started, a thread that writes what is queued for it. */
#ifndef DATAPLANE_BASE_LOG_SINK_H
#define DATAPLANE_BASE_LOG_SINK_H

#include "base/log_queue.h"
#include "flashrelay/waker.h"

#include <pthread.h>
#include <semaphore.h>

struct log_sink {
    enum log_format format;
    int descriptor;
    const char *name;       /* of its thread */
    _Atomic bool is_queued; /* lines go to the queue; else the caller writes them */
    _Atomic bool stopping, ended;
    _Atomic uint64_t give_up_at_ns;
    _Atomic uint64_t unwritten; /* lines that the descriptor did not take, ever */
    pthread_t thread;
    struct waker waker;
    sem_t wakeup;
    struct log_queue queue;
};

/* Prepares a sink, zeroed or stopped, whose lines their callers write. */
void log_sink_init(struct log_sink *sink, enum log_format format, int descriptor);

/* Starts the thread. 0 or a negative errno. Not while others write. */
int log_sink_start(struct log_sink *sink);

/* Tells the thread to write what is queued and end; it gives up at that time. */
void log_sink_begin_stop(struct log_sink *sink, uint64_t give_up_at_ns);

/* Waits for the end, not much longer than until that time. What is logged afterwards the callers write, if the sink takes anything. */
void log_sink_finish_stop(struct log_sink *sink);

/* Any thread. */
void log_sink_write(struct log_sink *sink, const struct log_message *message);

/* Lines that were dropped or not taken so far. Any thread. */
uint64_t log_sink_dropped(const struct log_sink *sink);

#endif
