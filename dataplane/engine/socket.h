/* Functions on kernel sockets, shared by the engines that use them. */
#ifndef DATAPLANE_ENGINE_SOCKET_H
#define DATAPLANE_ENGINE_SOCKET_H

#include "flashrelay/engine.h"

/*
 * Opens a listening, non-blocking socket with SO_REUSEPORT, whose options accepted sockets inherit, and sets *port to its port. Returns
 * the descriptor or a negative errno.
 */
int socket_listen(const struct address *address, const struct engine_listen_options *options, uint16_t *port);

/* As engine_kind.check_address_is_free says: a plain bind without SO_REUSEPORT, closed again. */
int socket_check_address_is_free(void *shared, const struct address *address);

/*
 * Begins connecting, with TCP_NODELAY, without waiting: once the descriptor is writable, socket_connect_end returns the outcome. Returns
 * the descriptor or a negative errno.
 */
int socket_connect(const struct address *remote);

/* Ends connecting. 0, and the descriptor is in blocking mode, as accepted ones are; or the negative errno with which connecting failed. */
int socket_connect_end(int descriptor);

/*
 * Resets a connection at once and empties its queues, by dissolving it (connect(2), AF_UNSPEC): a close, even with SO_LINGER, would come
 * late, because a socket is freed only once no request names it.
 */
void socket_reset(int descriptor);

/* True if accept(2) failed for want of descriptors or memory: the queued connections wait. */
bool socket_is_out_of_files(int error);

/* True if accept(2) failed because of the connection that was to be accepted: that one is gone, and the next one can be accepted. */
bool socket_is_of_one_connection(int error);

#endif
