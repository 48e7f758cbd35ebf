#include "support/peer.h"

#include "flashrelay/ws.h"

#include <errno.h>
#include <sys/socket.h>

struct sockaddr_in peer_server_address(const struct engine_world *world)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(engine_listen_port(world->engine)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

int peer_connect(const struct engine_world *world, int receive_bytes)
{
    struct sockaddr_in address = peer_server_address(world);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(descriptor >= 0);
    if (receive_bytes != 0)
        assert_int_equal(setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes), 0);
    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    return descriptor;
}

int peer_open(struct engine_world *world, int receive_bytes)
{
    unsigned before = world->end_count;
    int descriptor = peer_connect(world, receive_bytes);

    ENGINE_WORLD_UNTIL(world, world->end_count == before + 1);
    return descriptor;
}

void peer_read(struct engine_world *world, int descriptor, uint8_t *bytes, size_t length)
{
    uint64_t limit_ns = clock_monotonic_ns() + 20 * NS_PER_S;

    while (length > 0) {
        ssize_t got = recv(descriptor, bytes, length, MSG_DONTWAIT);

        assert_true(got > 0 || (got < 0 && errno == EAGAIN && clock_monotonic_ns() < limit_ns));
        if (got > 0) {
            bytes += got;
            length -= (size_t)got;
        } else {
            engine_world_turn(world);
        }
    }
}

void peer_read_frame(struct engine_world *world, int descriptor, uint64_t sequence, size_t payload_bytes)
{
    static uint8_t frame[ENGINE_WORLD_ARENA];
    size_t header_bytes = payload_bytes > 65535 ? 10 : payload_bytes > 125 ? 4 : 2;

    peer_read(world, descriptor, frame, header_bytes + payload_bytes);
    assert_int_equal(frame[0], 0x80 | WS_BINARY);
    for (size_t i = 0; i < payload_bytes; i++)
        assert_int_equal(frame[header_bytes + i], (uint8_t)sequence);
}

void peer_write(int descriptor, const void *bytes, size_t length)
{
    assert_int_equal(send(descriptor, bytes, length, MSG_NOSIGNAL), length);
}

int peer_end(int descriptor)
{
    uint8_t byte;
    ssize_t got = recv(descriptor, &byte, 1, 0);

    return got < 0 ? -errno : (int)got;
}
