/* The WebSocket session of an open subscriber: what it sends is read here; control frames to it are placed between its frames. */
#ifndef DATAPLANE_SHARD_SESSION_H
#define DATAPLANE_SHARD_SESSION_H

#include "flashrelay/shard.h"
#include "shard/subscriber.h"

/* Reads what an open subscriber sent; all of it is consumed. */
void session_received(struct shard *shard, struct subscriber *subscriber, uint8_t *bytes, size_t length);

/* Ends the session with a close frame: `code` and `reason`, as ws_write_close has them. */
void session_close(struct shard *shard, struct subscriber *subscriber, enum disconnect_cause cause, uint16_t code,
                   const char *reason);

/* Ends the session at a shutdown: first sends the frames up to the head of the running, or last, fan-out round. */
void session_close_at_shutdown(struct shard *shard, struct subscriber *subscriber);

/* Sends a ping, and starts the time to the next. */
void session_ping(struct shard *shard, struct subscriber *subscriber);

/* Gives back the parser state of a frame or message that is half read, if there is one. */
void session_release_reader(struct shard *shard, struct subscriber *subscriber);

#endif
