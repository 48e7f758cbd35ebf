/*
 * Checks why subscribers are ended. When a shard gives the cause, it must agree with what the witness knows: no subscriber is cut off
 * wrongly. And whenever all threads sleep, no subscriber must be left that should have been cut off.
 */
#include "engine/sim/sim.h"
#include "shard/subscriber.h"
#include "sim/world.h"

#include <inttypes.h>
#include <string.h>

/* A subscriber that its shard ends, and the simulated client that it belongs to. */
struct suspect {
    const struct sim_world *world;
    struct client *client;
    const struct subscriber *subscriber;
    const struct connection *end;
    uint64_t told_ns; /* the shard knows everything that had happened by then: a time-out must have ended by then */
};

static struct channel *channel_of(const struct client *client)
{
    return client->line.world->plane.followed[client->channel].channel;
}

/* --- lagging --- */

/* How many frames published after `since` the subscriber has not taken, whether they were offered to it or not. */
static uint64_t lag_of(const struct client *client, const struct moment *since, const struct connection *end)
{
    const struct channel *channel = channel_of(client);
    uint64_t untaken = engine_next_untaken(end), from = since->head + 1;

    if (untaken == HOLDS_NONE)
        untaken = ((const struct subscriber *)end->owner)->cursor;
    if (untaken > from)
        from = untaken;
    return channel_count_frames(channel, channel_selection(channel, client->selection), from, channel_head(channel) + 1);
}

static void check_lagged(const struct suspect *suspect)
{
    const struct testimony *testimony = &suspect->client->testimony;
    uint64_t lag = lag_of(suspect->client, &testimony->refused_first, suspect->end);
    unsigned index = suspect->client->index;

    if (!suspect->end->blocked || !testimony->behind)
        fail(suspect->world, "subscriber %u is cut off as lagging and does not refuse bytes", index);
    if (lag <= suspect->world->plan.message_buffer_size)
        fail(suspect->world, "subscriber %u is cut off as lagging when it is %" PRIu64 " frames behind", index, lag);
    if (suspect->told_ns < testimony->refused_first.ns + SHARD_LAG_GRACE_NS)
        fail(suspect->world, "subscriber %u is cut off as lagging before its grace has ended", index);
}

/* --- the floor --- */

static bool holds_up(const struct connection *end, uint64_t floor)
{
    uint64_t untaken = engine_next_untaken(end);

    return (end->blocked && untaken != HOLDS_NONE && untaken < floor) || end->pinned_sequence < floor;
}

static void check_below_floor(const struct suspect *suspect)
{
    uint64_t floor = channel_floor(channel_of(suspect->client));

    if (!holds_up(suspect->end, floor))
        fail(suspect->world, "subscriber %u is cut off for the floor, %" PRIu64 ", and neither refuses nor pins what is below it",
             suspect->client->index, floor);
}

/* --- time-outs --- */

static void check_send_timeout(const struct suspect *suspect)
{
    const struct testimony *testimony = &suspect->client->testimony;
    uint64_t timeout_ns = suspect->world->plan.send_timeout_ns;
    unsigned index = suspect->client->index;

    if (!suspect->end->blocked || !testimony->behind || timeout_ns == 0)
        fail(suspect->world, "subscriber %u is cut off for taking nothing and does not refuse bytes", index);
    if (suspect->told_ns < testimony->moved_ns + timeout_ns)
        fail(suspect->world, "subscriber %u is cut off for taking nothing too early", index);
}

/* True if no bytes are on their way to the subscriber or from it, and it answers pings. */
static bool has_answered_everything(const struct suspect *suspect)
{
    const struct client *client = suspect->client;
    const struct sim_connection *own = (const struct sim_connection *)(const void *)client->line.connection;

    if (client->mute || client->close_sent || client->line.taken_bytes < client->line.said_bytes)
        return false;
    return suspect->end->extent_count == 0 && sim_connection_unread_bytes(&own->common) == 0 &&
           sim_connection_unread_bytes(suspect->end) == 0;
}

static void check_pong_timeout(const struct suspect *suspect)
{
    const struct testimony *testimony = &suspect->client->testimony;
    uint64_t heard_ns = testimony->pong_ns > 0 ? testimony->pong_ns : testimony->opened_ns;

    if (!suspect->world->plan.client_ping || suspect->told_ns < heard_ns + suspect->world->plan.pong_timeout_ns)
        fail(suspect->world, "subscriber %u is cut off for want of a pong too early", suspect->client->index);
    if (has_answered_everything(suspect))
        fail(suspect->world, "subscriber %u is cut off for want of a pong and was not asked for one", suspect->client->index);
}

/* --- all causes --- */

static void expect(const struct suspect *suspect, bool is_true, const char *fault)
{
    if (!is_true)
        fail(suspect->world, "subscriber %u %s, says its shard, and it did not", suspect->client->index, fault);
}

static void check_cause(const struct suspect *suspect, enum disconnect_cause cause)
{
    const struct client *client = suspect->client;

    switch (cause) {
    case DISCONNECT_LAGGED:
        check_lagged(suspect);
        break;
    case DISCONNECT_LOG_FLOOR:
        check_below_floor(suspect);
        break;
    case DISCONNECT_SEND_TIMEOUT:
        check_send_timeout(suspect);
        break;
    case DISCONNECT_PONG_TIMEOUT:
        check_pong_timeout(suspect);
        break;
    case DISCONNECT_PEER_CLOSED:
        expect(suspect, client->close_sent, "closed");
        break;
    case DISCONNECT_PEER_VANISHED:
        expect(suspect, client->left || client->line.finish, "ended");
        break;
    case DISCONNECT_PROTOCOL_ERROR:
        expect(suspect, client->misbehaved, "broke the protocol");
        break;
    case DISCONNECT_FLOOD:
        expect(suspect, client->flooded, "flooded");
        break;
    case DISCONNECT_SHUTDOWN:
        if (!suspect->world->draining)
            fail(suspect->world, "a shard shuts down and was not told to");
        break;
    case DISCONNECT_CAUSES:
        break;
    }
}

static uint64_t told_time(const struct sim_world *world, const struct client *client, const struct subscriber *subscriber)
{
    uint64_t turn_ns = world->plane.told_ns[subscriber->request.shard], reported_ns = client->testimony.reported_ns;

    return turn_ns > reported_ns ? turn_ns : reported_ns;
}

/* --- giving a cause: the linker puts check_given_cause in the place of subscriber_set_cause, see tests/sim/rules.mk --- */

void give_cause(struct shard *shard, struct subscriber *subscriber,
                enum disconnect_cause cause) __asm__("__real_subscriber_set_cause");
void check_given_cause(struct shard *shard, struct subscriber *subscriber,
                       enum disconnect_cause cause) __asm__("__wrap_subscriber_set_cause");

void check_given_cause(struct shard *shard, struct subscriber *subscriber, enum disconnect_cause cause)
{
    bool is_first = subscriber->was_open && subscriber->cause == DISCONNECT_CAUSES;
    struct client *client = is_first ? witness_client_of(subscriber->connection) : NULL;

    if (client) {
        const struct sim_world *world = client->line.world;
        struct suspect suspect = {.world = world,
                                  .client = client,
                                  .subscriber = subscriber,
                                  .end = subscriber->connection,
                                  .told_ns = told_time(world, client, subscriber)};

        trace(world, "client %u: its shard ends it: %s", client->index, disconnect_cause_name(cause));
        sim_thread_begin_check();
        check_cause(&suspect, cause);
        sim_thread_end_check();
        client->cause = cause;
    }
    give_cause(shard, subscriber, cause);
}

/* --- handshakes --- */

void time_handshake_out(struct shard *shard, struct subscriber *subscriber) __asm__("__real_handshake_time_out");
void check_handshake_time_out(struct shard *shard, struct subscriber *subscriber) __asm__("__wrap_handshake_time_out");

/* Checks that no handshake is given up before its time after the acceptance is over. Notes the status of the answer. */
void check_handshake_time_out(struct shard *shard, struct subscriber *subscriber)
{
    struct client *client = witness_client_of(subscriber->connection);

    if (client) {
        const struct sim_world *world = client->line.world;
        bool is_asking = subscriber->state == SUBSCRIBER_HANDSHAKE;
        if (world->plane.told_ns[subscriber->request.shard] < client->testimony.accepted_ns + SHARD_HANDSHAKE_TIMEOUT_NS)
            fail(world, "client %u's handshake is given up too early", client->index);
        client->timed_out_status = is_asking ? 408 : 503;
    }
    time_handshake_out(shard, subscriber);
}

/* --- closing --- */

void abort_subscriber(struct shard *shard, struct subscriber *subscriber) __asm__("__real_subscriber_abort");
void check_abort(struct shard *shard, struct subscriber *subscriber) __asm__("__wrap_subscriber_abort");

/* Checks that a connection that is being closed is not aborted before its time to close is over, unless it holds a frame below the floor. */
void check_abort(struct shard *shard, struct subscriber *subscriber)
{
    const struct client *client = subscriber->state == SUBSCRIBER_CLOSING ? witness_client_of(subscriber->connection) : NULL;

    if (client && !subscriber->connection->dead) {
        const struct sim_world *world = client->line.world;
        uint64_t told_ns = world->plane.told_ns[subscriber->request.shard];
        sim_thread_begin_check();
        if (told_ns < client->testimony.finished_ns + SHARD_CLOSE_TIMEOUT_NS &&
            subscriber->connection->held_sequence >= channel_floor(channel_of(client)))
            fail(world, "client %u's connection is aborted before its time to close has ended", client->index);
        sim_thread_end_check();
    }
    abort_subscriber(shard, subscriber);
}

/* No connection may end without a reason: a cause given by the relay, the client's own leaving, or the network. */
void check_ending(const struct client *client, int error)
{
    const struct sim_world *world = client->line.world;

    if (client->state == CLIENT_OPEN && client->cause == DISCONNECT_CAUSES && !client->left &&
        world->plan.network.reset_permille_per_s == 0)
        fail(world, "subscriber %u was ended without a cause (%s)", client->index, error != 0 ? strerror(-error) : "in order");
}

/* --- when all threads sleep --- */

static void check_is_not_late(const struct sim_world *world, const struct client *client, const struct connection *end)
{
    const struct testimony *testimony = &client->testimony;
    uint64_t now_ns = sim_world_now(world), timeout_ns = world->plan.send_timeout_ns;

    if (!end->blocked || !testimony->behind)
        return;
    if (lag_of(client, &testimony->refused_latest, end) > world->plan.message_buffer_size &&
        now_ns >= testimony->refused_latest.ns + SHARD_LAG_GRACE_NS)
        fail(world, "subscriber %u is %" PRIu64 " frames behind and not cut off", client->index,
             lag_of(client, &testimony->refused_latest, end));
    if (timeout_ns > 0 && now_ns >= testimony->reported_ns + timeout_ns)
        fail(world, "subscriber %u has taken nothing for too long and is not cut off", client->index);
}

static void check_ends_in_time(const struct sim_world *world, struct client *client, const struct connection *end)
{
    if (!end || !end->finishing || end->dead)
        client->ending_since_ns = 0;
    else if (client->ending_since_ns == 0)
        client->ending_since_ns = sim_world_now(world);
    else if (sim_world_now(world) > client->ending_since_ns + SHARD_CLOSE_TIMEOUT_NS)
        fail(world, "client %u's connection is being ended for too long", client->index);
}

void check_nobody_is_overdue(struct sim_world *world)
{
    for (unsigned i = 0; i < world->plan.clients; i++) {
        struct client *client = &world->clients[i];
        const struct connection *end = sim_line_other_end(&client->line);

        check_ends_in_time(world, client, end);
        if (client->state != CLIENT_OPEN || !end || end->dead || end->finishing)
            continue;
        check_is_not_late(world, client, end);
        if (holds_up(end, channel_floor(channel_of(client))))
            fail(world, "subscriber %u keeps what is below the floor, %" PRIu64 ", and is not cut off", i,
                 channel_floor(channel_of(client)));
    }
}
