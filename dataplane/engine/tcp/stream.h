/*
 * The part of a connection's outgoing stream that was sent and is not acknowledged: which frames and control bytes lie at which sequence
 * numbers. There is no buffer: from the frame of the first unacknowledged byte on, the frames that follow are found in the log, and marks
 * say where control bytes lie between them, or frames were skipped. Keeps the connection's pinned frame in step.
 */
#ifndef DATAPLANE_ENGINE_TCP_STREAM_H
#define DATAPLANE_ENGINE_TCP_STREAM_H

#include "engine/tcp/internal.h"

/* A frame or control run of the stream. */
struct stream_item {
    uint32_t sequence; /* of its first byte */
    uint32_t end;      /* after its last byte */
    const uint8_t *bytes;
    uint64_t frame; /* its number, if it is one */
    bool is_control;
    unsigned mark; /* the first mark after the item's begin */
};

/* True if frame `frame`, of which nothing was sent yet, can be sent next: a mark is free if one is needed. */
bool stream_may_begin_frame(const struct tcp_engine *engine, const struct tcp_connection *connection, uint64_t frame);

/* Notes that the first byte of a frame of `length` bytes has the sequence number connection->nxt. */
void stream_begin_frame(struct tcp_engine *engine, struct tcp_connection *connection, uint64_t frame, uint32_t length);

/*
 * Keeps a copy of control bytes that are sent with the sequence number connection->nxt. 0; -ENOBUFS if no mark is free: then an
 * acknowledgement must come first; or -ENOMEM.
 */
int stream_keep_control(struct tcp_engine *engine, struct tcp_connection *connection, const uint8_t *bytes, uint32_t length);

/* Lets go of what lies before connection->una, which has advanced. */
void stream_advance(struct tcp_engine *engine, struct tcp_connection *connection);

/* Finds the item with the byte at `sequence`, which lies between una and what was sent (but for the FIN). */
void stream_find(const struct tcp_engine *engine, const struct tcp_connection *connection, uint32_t sequence,
                 struct stream_item *item);

/* Lets go of everything: the connection ends. */
void stream_release(struct tcp_engine *engine, struct tcp_connection *connection);

/* The sequence number after the last byte that was sent, without the FIN. */
static inline uint32_t stream_end(const struct tcp_connection *connection)
{
    return connection->nxt - connection->fin_sent;
}

#endif
