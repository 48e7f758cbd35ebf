/*
 * Received bytes that an engine keeps outside of its own buffers: bytes that an attached connection brought along, or bytes that a handler
 * did not consume. They are rare, so a list is enough; connection->has_unread says whether the connection may be in it.
 */
#ifndef DATAPLANE_ENGINE_UNREAD_H
#define DATAPLANE_ENGINE_UNREAD_H

#include "flashrelay/engine.h"

/* Keeps a copy of `length` bytes, behind the bytes that are kept of the connection already. 0 or -ENOMEM. */
int unread_keep(struct engine *engine, struct connection *connection, const uint8_t *bytes, size_t length);

/* Returns how many bytes are kept of the connection; if there are any, *bytes points to them, lent. */
size_t unread_peek(const struct engine *engine, const struct connection *connection, const uint8_t **bytes);

/* Offers the kept bytes to the handler; true if none are kept any more. The connection may be dead afterwards. */
bool unread_offer(struct engine *engine, struct connection *connection, uint64_t now_ns);

/* Frees the bytes that are kept of the connection; unread_drop_all: of all connections, which are gone by then. */
void unread_drop(struct engine *engine, struct connection *connection);
void unread_drop_all(struct engine *engine);

#endif
