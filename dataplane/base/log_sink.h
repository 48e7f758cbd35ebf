/* A sink of log lines: a descriptor, a format and, once started, a thread that writes the queued lines. */
#ifndef DATAPLANE_BASE_LOG_SINK_H
#define DATAPLANE_BASE_LOG_SINK_H

#include "base/log_queue.h"
#include "flashrelay/waker.h"

#include <pthread.h>
#include <semaphore.h>

struct log_sink {
    enum log_format format;
    int descriptor;
    const char *name;         /* of its thread */
    _Atomic bool is_queued;   /* lines go to the queue; else the caller writes them */
    _Atomic unsigned pushing; /* threads that are just adding a line to the queue */
    _Atomic bool stopping, ended;
    _Atomic uint64_t give_up_at_ns;
    _Atomic uint64_t unwritten; /* lines that the descriptor did not take, ever */
    pthread_t thread;
    struct waker waker;
    sem_t wakeup;
    struct log_queue queue;
};

/* Prepares a zeroed or stopped sink. Until log_sink_start each caller writes its lines itself. */
void log_sink_init(struct log_sink *sink, enum log_format format, int descriptor);

/* Starts the thread. 0 or a negative errno. Not while other threads write lines. */
int log_sink_start(struct log_sink *sink);

/* In a forked child, which does not have the thread: callers write their lines from now on. */
void log_sink_forget_thread(struct log_sink *sink);

/* Tells the thread to write the queued lines and end; from `give_up_at_ns` (monotonic) on it does not wait for its descriptor. */
void log_sink_begin_stop(struct log_sink *sink, uint64_t give_up_at_ns);

/* Waits for the thread's end, little longer than until `give_up_at_ns`. Callers then write their lines, unless the thread still hangs. */
void log_sink_finish_stop(struct log_sink *sink);

/* Queues the message, or writes it where no thread was started. Any thread. */
void log_sink_write(struct log_sink *sink, const struct log_message *message);

/* Lines that found no room in the queue or that the descriptor did not take, so far. Any thread. */
uint64_t log_sink_dropped(const struct log_sink *sink);

#endif
