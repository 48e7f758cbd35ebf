#include "flashbench/builder.h"

#include "common/flashblock_generator.h"
#include "flashrelay/clock.h"
#include "flashrelay/http.h"
#include "flashrelay/ws.h"
#include "flashrelay/ws_upgrade.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_CONNECTIONS       8
#define FLASHBLOCKS_PER_BLOCK 10
#define RECEIVE_BUFFER_BYTES  4096

struct upstream_connection {
    int fd; /* -1: free */
    bool upgraded;
    uint64_t next; /* number of the message to send */
    size_t taken;  /* bytes of its frame that are sent */
    size_t request_length;
    char request[HTTP_MAX_REQUEST_BYTES];
    struct ws_reader reader;
};

struct bench_builder {
    int listener;
    struct messages *messages;
    struct flashblock_generator *generator;
    bool prepared;
    struct upstream_connection connections[MAX_CONNECTIONS];
};

int bench_builder_create(struct bench_builder **out, const struct bench_builder_options *options)
{
    const struct flashblock_generator_options generator = {
        .seed = options->seed, .size_bytes = options->message_bytes, .per_block = FLASHBLOCKS_PER_BLOCK, .first_block_number = 1};
    struct bench_builder *builder = calloc(1, sizeof *builder);
    struct sockaddr_storage address;
    socklen_t length = address_to_sockaddr(&options->listen, &address);

    if (!builder)
        return -ENOMEM;
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++)
        builder->connections[i].fd = -1;
    builder->messages = options->messages;
    builder->listener = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(builder->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    setsockopt(builder->listener, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (builder->listener < 0 || bind(builder->listener, (struct sockaddr *)&address, length) != 0 ||
        listen(builder->listener, MAX_CONNECTIONS) != 0) {
        int error = errno;
        bench_builder_destroy(builder);
        return -error;
    }
    if (flashblock_generator_create(&builder->generator, &generator) != 0) {
        bench_builder_destroy(builder);
        return -ENOMEM;
    }
    *out = builder;
    return 0;
}

void bench_builder_destroy(struct bench_builder *builder)
{
    if (!builder)
        return;
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++)
        if (builder->connections[i].fd >= 0)
            close(builder->connections[i].fd);
    if (builder->listener >= 0)
        close(builder->listener);
    flashblock_generator_destroy(builder->generator);
    free(builder);
}

uint16_t bench_builder_port(const struct bench_builder *builder)
{
    struct sockaddr_storage sockaddr;
    struct address address = {0};
    socklen_t length = sizeof sockaddr;

    if (getsockname(builder->listener, (struct sockaddr *)&sockaddr, &length) == 0)
        address_from_sockaddr(&address, (struct sockaddr *)&sockaddr);
    return address.port;
}

unsigned bench_builder_connections(const struct bench_builder *builder)
{
    unsigned count = 0;

    for (unsigned i = 0; i < MAX_CONNECTIONS; i++)
        count += builder->connections[i].fd >= 0 && builder->connections[i].upgraded;
    return count;
}

/* --- sending --- */

void bench_builder_prepare(struct bench_builder *builder, uint64_t now_ns)
{
    if (builder->prepared)
        return;
    struct bench_message *message = messages_next(builder->messages, now_ns);
    const struct flashblock *flashblock = flashblock_generator_next(builder->generator);
    uint8_t header[WS_MAX_HEADER_BYTES];

    message->header_length = (uint8_t)ws_write_header(header, WS_TEXT, flashblock->length, NULL);
    message->length = flashblock->length;
    if (message->capacity < message->header_length + message->length) {
        free(message->bytes);
        message->capacity = WS_MAX_HEADER_BYTES + message->length + message->length / 8;
        message->bytes = malloc(message->capacity);
        if (!message->bytes)
            abort();
    }
    memcpy(message->bytes, header, message->header_length);
    memcpy(message->bytes + message->header_length, flashblock->text, flashblock->length);
    builder->prepared = true;
}

static void drop(struct upstream_connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
}

/* Sends until all offered messages are sent or the proxy takes no more. True if bytes are left. */
static bool flush_connection(struct bench_builder *builder, struct upstream_connection *connection)
{
    while (connection->next <= builder->messages->head) {
        const struct bench_message *message = messages_find(builder->messages, connection->next);
        if (!message) { /* overwritten: the proxy is hundreds of messages behind */
            drop(connection);
            return false;
        }
        size_t length = message->header_length + message->length;
        ssize_t n =
            send(connection->fd, message->bytes + connection->taken, length - connection->taken, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0) {
            drop(connection);
            return false;
        }
        connection->taken += (size_t)n;
        if (connection->taken == length) {
            connection->taken = 0;
            connection->next++;
        }
    }
    return false;
}

bool bench_builder_flush(struct bench_builder *builder)
{
    bool left = false;

    for (unsigned i = 0; i < MAX_CONNECTIONS; i++) {
        struct upstream_connection *connection = &builder->connections[i];
        if (connection->fd >= 0 && connection->upgraded)
            left |= flush_connection(builder, connection);
    }
    return left;
}

void bench_builder_offer(struct bench_builder *builder, uint64_t due_ns, uint32_t owed, bool measured)
{
    bool behind = bench_builder_flush(builder);
    uint64_t now_ns = clock_monotonic_ns();

    bench_builder_prepare(builder, now_ns);
    messages_offer(builder->messages, behind ? due_ns : clock_monotonic_ns(), owed, measured);
    builder->prepared = false;
    bench_builder_flush(builder);
}

/* --- the proxy's connections: accepting and reading --- */

static void accept_connections(struct bench_builder *builder)
{
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++) {
        struct upstream_connection *connection = &builder->connections[i];
        if (connection->fd >= 0)
            continue;
        memset(connection, 0, sizeof *connection);
        connection->fd = accept4(builder->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection->fd < 0)
            return;
    }
}

static bool answer_upgrade(struct bench_builder *builder, struct upstream_connection *connection)
{
    struct http_request request;
    char accept[WS_ACCEPT_TEXT_BYTES], answer[256];
    const char *error;
    size_t consumed;
    enum http_parse_result result =
        http_request_parse(&request, connection->request, connection->request_length, &consumed, &error);

    if (result == HTTP_PARSE_INCOMPLETE)
        return true;
    if (result != HTTP_PARSE_DONE || ws_upgrade_check(&request) != WS_UPGRADE_OK)
        return false;
    ws_accept_key(http_find_header(request.headers, request.header_count, "Sec-WebSocket-Key")->value, accept);
    size_t length = ws_write_upgrade_answer(answer, sizeof answer, accept);
    ws_reader_init(&connection->reader, WS_SERVER, RECEIVE_BUFFER_BYTES);
    connection->next = builder->messages->head + 1;
    connection->upgraded = true;
    return write(connection->fd, answer, length) == (ssize_t)length;
}

/* A pong may be sent only between frames. While a frame is half sent, a ping stays unanswered, and the proxy pings again. */
static bool take_frames(struct upstream_connection *connection, uint8_t *bytes, size_t length)
{
    struct ws_event event;

    for (size_t at = 0; at < length;) {
        at += ws_read(&connection->reader, bytes + at, length - at, &event);
        if (event.kind == WS_EVENT_CLOSE || event.kind == WS_EVENT_ERROR)
            return false;
        if (event.kind == WS_EVENT_PING && connection->taken == 0) {
            uint8_t pong[WS_MAX_CONTROL_FRAME];
            size_t pong_length = ws_write_control(pong, WS_PONG, event.bytes, event.length, NULL);
            if (send(connection->fd, pong, pong_length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)pong_length)
                return false;
        }
    }
    return true;
}

static bool receive(struct bench_builder *builder, struct upstream_connection *connection)
{
    uint8_t bytes[RECEIVE_BUFFER_BYTES];
    ssize_t n = recv(connection->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN;
    if (n == 0)
        return false;
    if (connection->upgraded)
        return take_frames(connection, bytes, (size_t)n);
    if (connection->request_length + (size_t)n > sizeof connection->request)
        return false;
    memcpy(connection->request + connection->request_length, bytes, (size_t)n);
    connection->request_length += (size_t)n;
    return answer_upgrade(builder, connection);
}

void bench_builder_serve(struct bench_builder *builder)
{
    accept_connections(builder);
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++)
        if (builder->connections[i].fd >= 0 && !receive(builder, &builder->connections[i]))
            drop(&builder->connections[i]);
}
