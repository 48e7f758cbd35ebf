/* Messages on their way to the thread that writes them: a bounded ring of bytes that any thread fills and one empties, without locks. */
#ifndef DATAPLANE_BASE_LOG_QUEUE_H
#define DATAPLANE_BASE_LOG_QUEUE_H

#include "base/log_format.h"

/* A second of the most that sites may say, at the usual length of a line. */
#define LOG_QUEUE_BYTES (128u << 10)
/* Where records begin. */
#define LOG_RECORD_ALIGNMENT 16

/* A message in the ring. */
struct log_record {
    _Atomic uint32_t bytes; /* of the record, a multiple of the alignment; 0: not written yet */
    bool is_filler;         /* nothing: the next record begins at the ring's start */
    uint8_t level;          /* enum log_level */
    uint32_t dropped;       /* messages that found no room just before */
    uint64_t time_ns;
    const char *module;
    char text[];
};

/* Begins zeroed. */
struct log_queue {
    _Alignas(64) _Atomic uint64_t reserved; /* bytes that writers have taken, ever */
    _Alignas(64) _Atomic uint64_t freed;    /* bytes that the reader has given back, ever; zeroed again */
    _Atomic uint64_t dropped;               /* messages, ever */
    _Atomic uint32_t unsaid;                /* of them, not yet in a record or taken */
    _Alignas(LOG_RECORD_ALIGNMENT) uint8_t bytes[LOG_QUEUE_BYTES];
};

/* Adds a copy of the message, or counts it as dropped. Any thread. */
void log_queue_push(struct log_queue *queue, const struct log_message *message);

/* The oldest message that is complete, or NULL. The reader's thread. */
struct log_record *log_queue_first(struct log_queue *queue);

/* Gives the oldest message back. The reader's thread. */
void log_queue_pop(struct log_queue *queue, struct log_record *record);

/* How many were dropped after the last message that was pushed; they count as said. Any thread. */
uint32_t log_queue_take_unsaid(struct log_queue *queue);

#endif
