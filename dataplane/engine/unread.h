/*
 * Received bytes that an engine keeps outside of its own buffers: what an attached connection brought along, or what a handler left of
 * what was read from its socket. Rare, so a list is enough; connection->has_unread says whether to look.
 */
#ifndef DATAPLANE_ENGINE_UNREAD_H
#define DATAPLANE_ENGINE_UNREAD_H

#include "flashrelay/engine.h"

/* Keeps a copy of `length` bytes, behind what is kept of the connection already. 0 or -ENOMEM. */
int unread_keep(struct engine *engine, struct connection *connection, const uint8_t *bytes, size_t length);

/* What is kept of the connection: its length, 0 if nothing; *bytes is lent. */
size_t unread_peek(const struct engine *engine, const struct connection *connection, const uint8_t **bytes);

/* Offers what is kept to the handler; true once nothing is left. The connection may be dead afterwards. */
bool unread_offer(struct engine *engine, struct connection *connection, uint64_t now_ns);

/* Forgets what is kept of the connection; of all, whose connections are gone. */
void unread_drop(struct engine *engine, struct connection *connection);
void unread_drop_all(struct engine *engine);

#endif
