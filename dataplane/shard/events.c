/* Handles the engine's events of a shard's connections. */
#include "shard/handshake.h"
#include "shard/internal.h"
#include "shard/lag.h"
#include "shard/session.h"

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct shard *shard = context;

    shard->now_ns = now_ns;
    subscriber_accept(shard, connection, peer);
}

/* The peer has sent FIN. It may still read, but a subscriber that can't answer pings and closes is not kept. */
static void handle_peer_end(struct shard *shard, struct subscriber *subscriber)
{
    if (subscriber->state == SUBSCRIBER_CLOSING)
        return;
    subscriber_set_cause(shard, subscriber, DISCONNECT_PEER_VANISHED);
    subscriber_finish(shard, subscriber, NULL, 0, SUBSCRIBER_DROP_PENDING);
}

static size_t receive(struct shard *shard, struct subscriber *subscriber, uint8_t *bytes, size_t length)
{
    switch ((enum subscriber_state)subscriber->state) {
    case SUBSCRIBER_HANDSHAKE:
        return handshake_received(shard, subscriber, bytes, length);
    case SUBSCRIBER_ADMITTING:
        return 0;
    case SUBSCRIBER_OPEN:
        if (!subscriber->upgrade_sent)
            return 0;
        session_received(shard, subscriber, bytes, length);
        return length;
    case SUBSCRIBER_CLOSING:
    case SUBSCRIBER_LEAVING:
        break;
    }
    return length;
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct shard *shard = context;
    struct subscriber *subscriber = connection->owner;
    size_t consumed;

    shard->now_ns = now_ns;
    if (!subscriber)
        return length;
    if (length == 0) {
        handle_peer_end(shard, subscriber);
        return 0;
    }
    consumed = receive(shard, subscriber, bytes, length);
    if (subscriber->state == SUBSCRIBER_CLOSING)
        return length;
    subscriber->receive_paused = consumed < length;
    return consumed;
}

/* Notes when the 101 answer has been sent whole; what the peer sends is read from then on. */
static void note_upgrade_sent(struct shard *shard, struct subscriber *subscriber)
{
    const struct connection *connection = subscriber->connection;

    if (engine_is_control_next(connection))
        return;
    subscriber->upgrade_sent = true;
    if (subscriber->receive_paused)
        engine_receive_resume(shard->engine, subscriber->connection);
    subscriber->receive_paused = false;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    struct shard *shard = context;
    struct subscriber *subscriber = connection->owner;

    shard->now_ns = now_ns;
    if (!subscriber || !subscriber->was_open)
        return;
    fanout_progressed(shard_fanout_of(shard, subscriber), subscriber, progress, now_ns);
    if (subscriber->state != SUBSCRIBER_OPEN)
        return;
    if (!subscriber->upgrade_sent)
        note_upgrade_sent(shard, subscriber);
    lag_progressed(shard, subscriber, progress);
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct shard *shard = context;

    (void)error;
    shard->now_ns = now_ns;
    if (connection->owner)
        subscriber_closed(shard, connection->owner);
}

static void on_woken(void *context, uint64_t now_ns)
{
    struct shard *shard = context;

    shard->now_ns = now_ns;
}

const struct engine_handler shard_engine_handler = {
    .accepted = on_accepted,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .woken = on_woken,
};
