/* The engine's peers in its tests: plain sockets of the test's thread, which runs turns of the engine while it waits. */
#ifndef TESTS_SUPPORT_PEER_H
#define TESTS_SUPPORT_PEER_H

#include "support/engine_world.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* The address at which the engine listens. */
struct sockaddr_in peer_server_address(const struct engine_world *world);

/*
 * A connected socket, which the caller closes; the engine may not have accepted it yet. `receive_bytes`: its SO_RCVBUF, 0 for the
 * system's.
 */
int peer_connect(const struct engine_world *world, int receive_bytes);

/* The same, accepted by the engine, as the newest end. */
int peer_open(struct engine_world *world, int receive_bytes);

/* Reads exactly `length` bytes, running turns of the engine meanwhile; fails the test if they don't arrive. */
void peer_read(struct engine_world *world, int descriptor, uint8_t *bytes, size_t length);

/* Reads one frame and checks that it is whole and is `sequence`'s, as engine_world_append made it. */
void peer_read_frame(struct engine_world *world, int descriptor, uint64_t sequence, size_t payload_bytes);

/* Writes without running turns; the socket's buffer must have room for all bytes. */
void peer_write(int descriptor, const void *bytes, size_t length);

/* Reads the end of the stream, blocking: 0 for FIN, or -errno. */
int peer_end(int descriptor);

#endif
