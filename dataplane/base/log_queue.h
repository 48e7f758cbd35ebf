/* Messages on their way to the thread that writes them: a bounded ring of bytes that any thread fills and one empties, without locks. */
#ifndef DATAPLANE_BASE_LOG_QUEUE_H
#define DATAPLANE_BASE_LOG_QUEUE_H

#include "base/log_format.h"

/* Room for the lines that a site may log in one second (LOG_EVENT_LINES_PER_S), at their usual length. */
#define LOG_QUEUE_BYTES (128u << 10)
/* Records begin at multiples of this. */
#define LOG_RECORD_ALIGNMENT 16

/* A message in the ring. */
struct log_record {
    _Atomic uint32_t bytes; /* of the record, a multiple of the alignment; 0: not written yet */
    bool is_filler;         /* no message: the next record is at the ring's start */
    uint8_t level;          /* enum log_level */
    uint32_t dropped;       /* messages dropped just before this one */
    uint64_t time_ns;
    const char *module;
    char text[];
};

/* Begins zeroed. */
struct log_queue {
    _Alignas(64) _Atomic uint64_t reserved; /* bytes reserved by writers since the beginning */
    _Alignas(64) _Atomic uint64_t freed;    /* bytes given back by the reader since the beginning; they are zeroed again */
    _Atomic uint64_t dropped;               /* messages, since the beginning */
    _Atomic uint32_t unreported;            /* of the dropped messages: not yet reported in the log */
    _Alignas(LOG_RECORD_ALIGNMENT) uint8_t bytes[LOG_QUEUE_BYTES];
};

/* Adds a copy of the message, or counts it as dropped. Any thread. */
void log_queue_push(struct log_queue *queue, const struct log_message *message);

/* The oldest message, or NULL if there is none or it is not completely written. The reader's thread. */
struct log_record *log_queue_first(struct log_queue *queue);

/* Gives the oldest message back. The reader's thread. */
void log_queue_pop(struct log_queue *queue, struct log_record *record);

/* The number of dropped messages that are not yet reported, which then count as reported. Any thread. */
uint32_t log_queue_take_unreported(struct log_queue *queue);

#endif
