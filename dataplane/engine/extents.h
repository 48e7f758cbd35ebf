/*
 * A connection's outgoing stream: appending to it, walking it in contiguous runs of bytes, and letting go of what the peer has.
 * Keeps connection->held_sequence and the thread's holds in step. Shared by all engines; called on the engine's thread.
 */
#ifndef DATAPLANE_ENGINE_EXTENTS_H
#define DATAPLANE_ENGINE_EXTENTS_H

#include "flashrelay/engine.h"

#include <sys/uio.h>

/* Prepares a new connection's empty stream. */
void extents_init(struct connection *connection);

/* As engine_append_frames, engine_append_bytes, engine_drop_unbegun, engine_next_untaken and engine_copy_unbegun_control say. */
int extents_append_frames(struct engine *engine, struct connection *connection, uint16_t channel, uint64_t from, uint64_t to);
int extents_append_bytes(struct engine *engine, struct connection *connection, const void *bytes, size_t length);
void extents_drop_unbegun(struct engine *engine, struct connection *connection, uint64_t *resume_from);
uint64_t extents_next_untaken(const struct connection *connection);
size_t extents_copy_unbegun_control(const struct connection *connection, uint8_t copy[CONTROL_RUN_BYTES]);

/*
 * Sets *bytes to the next contiguous bytes to send, all of extents[0], and returns how many there are, at most `limit_bytes`. They stay
 * where they are until they are taken. Extents without any byte (gaps only) are dropped on the way; returns 0 if nothing is left, and then
 * extent_count is 0.
 */
size_t extents_next_run(struct engine *engine, struct connection *connection, size_t limit_bytes, const uint8_t **bytes);

/*
 * The peer took the first `taken_bytes` of what extents_next_run returned: lets go of what is complete and says in `*progress` what
 * that was.
 */
void extents_take(struct engine *engine, struct connection *connection, size_t taken_bytes, struct engine_progress *progress);

/*
 * Sets the lowest frame that is taken and still read (HOLDS_NONE: no frame is): a zero-copy send pins its frames until its notification.
 */
void extents_pin(struct engine *engine, struct connection *connection, uint64_t sequence);

/*
 * As extents_next_run, for an engine that sends several runs at once: fills `runs` with the next runs in order, of any extents, at most
 * `capacity` runs and `limit_bytes` together. Returns how many runs there are, 0 if nothing is left.
 */
unsigned extents_next_runs(struct engine *engine, struct connection *connection, size_t limit_bytes, struct iovec *runs,
                           unsigned capacity);

/* The peer took the first `taken_bytes` of the runs that extents_next_runs returned; `*progress` sums up all of them. */
void extents_take_runs(struct engine *engine, struct connection *connection, const struct iovec *runs, size_t taken_bytes,
                       struct engine_progress *progress);

/* The first part of the stream that is not taken whole. */
struct stream_piece {
    const uint8_t *bytes; /* of the whole frame, or of the whole control run */
    uint32_t length;
    uint32_t taken_bytes; /* of it */
    bool is_frame;
    uint64_t sequence; /* of the frame */
};

/* Describes the next frame or control run; false if nothing is left. For an engine that cuts frames into segments by itself. */
bool extents_next_piece(struct engine *engine, struct connection *connection, struct stream_piece *piece);

/* Lets go of all extents; frames that are pinned stay pinned. */
void extents_release(struct engine *engine, struct connection *connection);

/* Describes the stream in `handoff`, which lends its bytes. No send may be outstanding. */
void extents_hand_off(const struct connection *connection, struct engine_handoff *handoff);

/* Fills an empty stream with what `handoff` describes. 0 or -ENOMEM, and the stream is empty. */
int extents_take_over(struct engine *engine, struct connection *connection, const struct engine_handoff *handoff);

#endif
