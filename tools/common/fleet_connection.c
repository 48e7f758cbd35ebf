/* A member's connection: the upgrade, reading, closing. */
#include "common/fleet_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define MAX_REQUEST_BYTES 4096
/* A slow reader reads once per this interval, at most its rate times the time since it last read. */
#define SLOW_READ_INTERVAL_NS (100 * NS_PER_MS)

uint64_t fleet_next_random(void *context)
{
    struct fleet *fleet = context;

    return random_next(&fleet->random);
}

void fleet_member_free_head(struct fleet_member *member)
{
    free(member->head);
    member->head = NULL;
}

static void send_frame(struct fleet *fleet, struct fleet_member *member, const uint8_t *frame, size_t length)
{
    if (engine_append_bytes(fleet->engine, member->connection, frame, length) == 0)
        engine_serve(fleet->engine, member->connection);
}

void fleet_member_close(struct fleet *fleet, struct fleet_member *member, uint16_t code)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];

    assert(member->state == FLEET_MEMBER_OPEN);
    send_frame(fleet, member, frame, ws_client_write_close(&member->client, frame, code, NULL));
    member->state = FLEET_MEMBER_CLOSING;
    engine_finish(fleet->engine, member->connection);
    engine_receive_resume(fleet->engine, member->connection); /* bytes that the member has not read are dropped now */
    fleet_member_set_due(fleet, member, clock_monotonic_ns() + FLEET_CLOSE_TIMEOUT_NS);
}

void fleet_member_abort(struct fleet *fleet, struct fleet_member *member, int error)
{
    if (member->error == 0)
        member->error = error;
    member->state = FLEET_MEMBER_CLOSING;
    fleet_member_set_due(fleet, member, CLOCK_NEVER);
    engine_abort(fleet->engine, member->connection);
}

static void fleet_member_opened(struct fleet *fleet, struct fleet_member *member, uint64_t now_ns)
{
    const struct fleet_behaviour *behaviour = &member->behaviour;

    fleet_member_free_head(member);
    member->state = FLEET_MEMBER_OPEN;
    member->was_open = true;
    member->read_ns = now_ns;
    member->leave_ns = CLOCK_NEVER;
    if (behaviour->stay_ns != 0)
        member->leave_ns = now_ns + behaviour->stay_ns / 2 + random_below(&fleet->random, behaviour->stay_ns);
    fleet_member_set_due(fleet, member, member->leave_ns);
    fleet->figures.connecting--;
    fleet->figures.open++;
    fleet->figures.opened++;
    if (fleet->options.handler->opened)
        fleet->options.handler->opened(fleet->options.context, fleet_member_number(fleet, member), now_ns);
}

static void fleet_member_refused(struct fleet *fleet, struct fleet_member *member, int status, const char *reason)
{
    member->status = status;
    text_add_string(&member->reason, reason);
    fleet_member_abort(fleet, member, -EPROTO);
}

/* Takes the bytes that belong to the upgrade's answer; returns how many. */
static size_t take_answer(struct fleet *fleet, struct fleet_member *member, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct ws_client_answer answer;
    size_t taken = ws_client_read_answer(&member->client, bytes, length, &answer);

    if (member->client.state == WS_CLIENT_OPEN)
        fleet_member_opened(fleet, member, now_ns);
    else if (member->client.state == WS_CLIENT_REFUSED)
        fleet_member_refused(fleet, member, answer.status, answer.error);
    return member->state == FLEET_MEMBER_OPEN ? taken : length;
}

static void peer_closed(struct fleet *fleet, struct fleet_member *member, const struct ws_event *event)
{
    member->close_code = event->code;
    text_add(&member->reason, (const char *)event->bytes, event->length);
    if (member->state == FLEET_MEMBER_OPEN)
        fleet_member_close(fleet, member, event->code);
}

static void answer_ping(struct fleet *fleet, struct fleet_member *member, const struct ws_event *ping)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];

    send_frame(fleet, member, frame, ws_client_write_control(&member->client, frame, WS_PONG, ping->bytes, ping->length));
}

static void peer_failed(struct fleet *fleet, struct fleet_member *member, const struct ws_event *event)
{
    if (member->state != FLEET_MEMBER_OPEN)
        return;
    text_add_string(&member->reason, event->reason);
    member->error = -EPROTO;
    member->close_code = event->code;
    fleet_member_close(fleet, member, event->code);
}

static void handle_event(struct fleet *fleet, struct fleet_member *member, const struct ws_event *event, uint64_t now_ns)
{
    switch (event->kind) {
    case WS_EVENT_DATA:
        fleet->options.handler->data(fleet->options.context, fleet_member_number(fleet, member), event, now_ns);
        break;
    case WS_EVENT_PING:
        answer_ping(fleet, member, event);
        break;
    case WS_EVENT_CLOSE:
        peer_closed(fleet, member, event);
        break;
    case WS_EVENT_ERROR:
        peer_failed(fleet, member, event);
        break;
    case WS_EVENT_NONE:
    case WS_EVENT_PONG:
        break;
    }
}

static void read_frames(struct fleet *fleet, struct fleet_member *member, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    fleet->figures.bytes += length;
    while (length > 0 && !member->connection->dead) {
        struct ws_event event;
        size_t taken = ws_client_read(&member->client, bytes, length, &event);

        bytes += taken;
        length -= taken;
        handle_event(fleet, member, &event, now_ns);
    }
}

/* How many of `length` bytes a member reads now. If the rate of a slow reader does not allow all, its next read is scheduled. */
static size_t allowance(struct fleet *fleet, struct fleet_member *member, size_t length, uint64_t now_ns)
{
    uint64_t rate = member->behaviour.bytes_per_second;
    uint64_t elapsed_ns = now_ns - member->read_ns;
    uint64_t allowed;

    if (member->behaviour.never_reads)
        return 0;
    if (rate == 0)
        return length;
    if (elapsed_ns > NS_PER_S)
        elapsed_ns = NS_PER_S; /* an allowance of more than a second is not saved up */
    allowed = rate * elapsed_ns / NS_PER_S;
    if (allowed > 0)
        member->read_ns = now_ns;
    if (allowed >= length)
        return length;
    fleet_member_set_due(fleet, member,
                         now_ns + SLOW_READ_INTERVAL_NS < member->leave_ns ? now_ns + SLOW_READ_INTERVAL_NS : member->leave_ns);
    return allowed;
}

void fleet_member_open_due(struct fleet *fleet, struct fleet_member *member, uint64_t now_ns)
{
    if (now_ns >= member->leave_ns) {
        fleet_member_close(fleet, member, WS_CLOSE_NORMAL);
        return;
    }
    fleet_member_set_due(fleet, member, member->leave_ns);
    engine_receive_resume(fleet->engine, member->connection);
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t turn_ns)
{
    struct fleet *fleet = context;
    struct fleet_member *member = connection->owner;
    uint64_t now_ns = clock_monotonic_ns(); /* a turn may take milliseconds: `turn_ns` would be too early for most members */
    size_t used = 0;

    (void)turn_ns;
    if (length == 0) { /* the peer has finished: nothing more will come */
        if (member->state != FLEET_MEMBER_CLOSING)
            fleet_member_abort(fleet, member, member->state == FLEET_MEMBER_OPEN ? 0 : -ECONNRESET);
        return 0;
    }
    if (member->state == FLEET_MEMBER_UPGRADING)
        used = take_answer(fleet, member, bytes, length, now_ns);
    if (member->state == FLEET_MEMBER_OPEN && used < length) {
        size_t allowed = allowance(fleet, member, length - used, now_ns);

        read_frames(fleet, member, bytes + used, allowed, now_ns);
        used += allowed;
    }
    if (member->state == FLEET_MEMBER_CLOSING && used < length && member->was_open) {
        read_frames(fleet, member, bytes + used, length - used, now_ns);
        used = length;
    }
    return used;
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct fleet *fleet = context;
    struct fleet_member *member = connection->owner;
    char request[MAX_REQUEST_BYTES];
    long length;

    if (error != 0) {
        member->error = error;
        fleet_member_ended(fleet, member, now_ns);
        return;
    }
    member->state = FLEET_MEMBER_UPGRADING;
    member->head = malloc(WS_CLIENT_HEAD_BYTES);
    if (!member->head) {
        fleet_member_abort(fleet, member, -ENOMEM);
        return;
    }
    ws_client_start(&member->client, &fleet->client_options, member->head);
    length = ws_client_write_request(&member->client, request, sizeof request);
    if (length < 0 || engine_append_bytes(fleet->engine, connection, request, (size_t)length) != 0)
        fleet_member_abort(fleet, member, -ENOBUFS);
    else
        engine_serve(fleet->engine, connection);
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct fleet_member *member = connection->owner;

    if (member->error == 0)
        member->error = error;
    fleet_member_ended(context, member, now_ns);
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    (void)context;
    (void)connection;
    (void)progress;
    (void)now_ns;
}

static void on_woken(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
}

const struct engine_handler fleet_engine_handler = {
    .connected = on_connected,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .woken = on_woken,
};
