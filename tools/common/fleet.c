#include "common/fleet_internal.h"

#include "common/process.h"
#include "flashrelay/ws_uri.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_CONNECTING           128
#define DEFAULT_RECEIVE_BUFFERS      1024
#define DEFAULT_RECEIVE_BUFFER_BYTES 32768
#define DEFAULT_MAX_MESSAGE_BYTES    (64u << 20)
#define SENDS_PER_TURN               256
/* The members with something due are scanned at most this often. */
#define SCAN_INTERVAL_NS (2 * NS_PER_MS)

static void fill_defaults(struct fleet_options *options)
{
    if (options->connecting_at_once == 0)
        options->connecting_at_once = DEFAULT_CONNECTING;
    if (options->receive_buffers == 0)
        options->receive_buffers = DEFAULT_RECEIVE_BUFFERS;
    if (options->receive_buffer_bytes == 0)
        options->receive_buffer_bytes = DEFAULT_RECEIVE_BUFFER_BYTES;
    if (options->max_message_bytes == 0)
        options->max_message_bytes = DEFAULT_MAX_MESSAGE_BYTES;
}

static int resolve(const struct ws_uri *uri, struct address *address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char port[8];
    int result;

    snprintf(port, sizeof port, "%u", uri->port);
    if (getaddrinfo(uri->host, port, &hints, &found) != 0)
        return -EHOSTUNREACH;
    result = address_from_sockaddr(address, found->ai_addr);
    freeaddrinfo(found);
    return result;
}

static int make_engine(struct fleet *fleet)
{
    struct engine_options options = {
        .handler = &fleet_engine_handler,
        .context = fleet,
        .max_connections = fleet->options.members,
        .receive_buffers = fleet->options.receive_buffers,
        .receive_buffer_bytes = fleet->options.receive_buffer_bytes,
        .sends_per_turn = SENDS_PER_TURN,
        .zerocopy = ENGINE_ZEROCOPY_OFF,
    };

    int result = engine_choose(&fleet->engines, "auto", &(struct engine_kind_options){.engines = 1});

    return result == 0 ? engine_choice_create_one(&fleet->engines, &fleet->engine, &options) : result;
}

int fleet_create(struct fleet **out, const struct fleet_options *options)
{
    struct fleet *fleet;
    int result;

    if (options->uri->tls)
        return -EPROTONOSUPPORT;
    fleet = calloc(1, sizeof *fleet);
    if (!fleet)
        return -ENOMEM;
    process_raise_descriptor_limit();
    fleet->options = *options;
    fill_defaults(&fleet->options);
    fleet->client_options = (struct ws_client_options){
        .uri = options->uri,
        .max_message_bytes = fleet->options.max_message_bytes,
        .next_random = fleet_next_random,
        .context = fleet,
    };
    fleet->next_scan_ns = CLOCK_NEVER;
    list_init(&fleet->queue);
    list_init(&fleet->timed);
    random_seed(&fleet->random, options->seed);
    fleet->members = calloc(options->members, sizeof *fleet->members);
    result = fleet->members ? resolve(options->uri, &fleet->address) : -ENOMEM;
    for (uint32_t i = 0; result == 0 && i < options->members; i++)
        list_init(&fleet->members[i].link);
    if (result == 0)
        result = make_engine(fleet);
    if (result != 0)
        fleet_destroy(fleet);
    else
        *out = fleet;
    return result;
}

void fleet_destroy(struct fleet *fleet)
{
    if (!fleet)
        return;
    engine_destroy(fleet->engine);
    engine_choice_close(&fleet->engines);
    for (uint32_t i = 0; fleet->members && i < fleet->options.members; i++) {
        fleet_member_free_head(&fleet->members[i]);
        text_dispose(&fleet->members[i].reason);
    }
    free(fleet->members);
    free(fleet);
}

uint32_t fleet_member_number(const struct fleet *fleet, const struct fleet_member *member)
{
    return (uint32_t)(member - fleet->members);
}

void fleet_member_set_due(struct fleet *fleet, struct fleet_member *member, uint64_t due_ns)
{
    member->due_ns = due_ns;
    list_remove(&member->link);
    if (due_ns == CLOCK_NEVER)
        return;
    list_append(&fleet->timed, &member->link);
    if (due_ns < fleet->next_scan_ns)
        fleet->next_scan_ns = due_ns;
}

static void enqueue(struct fleet *fleet, struct fleet_member *member)
{
    list_remove(&member->link);
    list_append(&fleet->queue, &member->link);
    member->state = FLEET_MEMBER_QUEUED;
}

void fleet_join(struct fleet *fleet, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        struct fleet_member *member = &fleet->members[i];

        member->leaving = false;
        if (member->state == FLEET_MEMBER_AWAY || member->state == FLEET_MEMBER_RETURNING)
            enqueue(fleet, member);
    }
}

void fleet_leave(struct fleet *fleet, uint32_t number, bool reset)
{
    struct fleet_member *member = &fleet->members[number];

    member->leaving = true;
    if (member->state == FLEET_MEMBER_QUEUED || member->state == FLEET_MEMBER_RETURNING) {
        list_remove(&member->link);
        member->state = FLEET_MEMBER_AWAY;
    } else if (member->state == FLEET_MEMBER_OPEN && !reset) {
        fleet_member_close(fleet, member, WS_CLOSE_NORMAL);
    } else if (member->state != FLEET_MEMBER_AWAY && (member->state != FLEET_MEMBER_CLOSING || reset)) {
        fleet_member_abort(fleet, member, 0);
    }
}

void fleet_behave(struct fleet *fleet, uint32_t number, const struct fleet_behaviour *behaviour)
{
    struct fleet_member *member = &fleet->members[number];

    member->behaviour = *behaviour;
    member->read_ns = clock_monotonic_ns();
    if (member->state == FLEET_MEMBER_OPEN)
        fleet_member_set_due(fleet, member, member->read_ns); /* to resume reading, if it had paused */
}

void fleet_member_ended(struct fleet *fleet, struct fleet_member *member, uint64_t now_ns)
{
    struct fleet_end end = {
        .was_open = member->was_open,
        .error = member->error,
        .status = member->status,
        .close_code = member->close_code,
        .reason = member->reason.bytes,
        .reason_length = member->reason.length,
    };

    if (member->was_open)
        fleet->figures.open--;
    else
        fleet->figures.connecting--;
    fleet->figures.ended += member->was_open;
    fleet->figures.refused += !member->was_open && member->status != 0;
    fleet->figures.failed += !member->was_open && member->status == 0;
    fleet_member_free_head(member);
    member->connection = NULL;
    member->state = FLEET_MEMBER_AWAY;
    fleet_member_set_due(fleet, member, CLOCK_NEVER);
    if (member->behaviour.returns && !member->leaving) {
        member->state = FLEET_MEMBER_RETURNING;
        fleet_member_set_due(fleet, member, now_ns + member->behaviour.return_after_ns);
    }
    if (fleet->options.handler->ended)
        fleet->options.handler->ended(fleet->options.context, fleet_member_number(fleet, member), &end, now_ns);
}

static void begin_connecting(struct fleet *fleet, struct fleet_member *member, uint64_t now_ns)
{
    struct address address = fleet->address;

    list_remove(&member->link);
    text_dispose(&member->reason);
    member->error = 0;
    member->status = 0;
    member->close_code = 0;
    member->was_open = false;
    if (fleet->options.addresses > 1)
        address.ip.bytes[15] = (uint8_t)(1 + fleet_member_number(fleet, member) % fleet->options.addresses);
    fleet->figures.connecting++;
    member->state = FLEET_MEMBER_CONNECTING;
    member->connection = engine_connect(fleet->engine, &address, member);
    if (member->connection) {
        fleet_member_set_due(fleet, member, now_ns + FLEET_HANDSHAKE_TIMEOUT_NS);
    } else {
        member->error = -ENOBUFS;
        fleet_member_ended(fleet, member, now_ns);
    }
}

static void fleet_member_due(struct fleet *fleet, struct fleet_member *member, uint64_t now_ns)
{
    if (member->state == FLEET_MEMBER_RETURNING)
        enqueue(fleet, member);
    else if (member->state == FLEET_MEMBER_OPEN)
        fleet_member_open_due(fleet, member, now_ns);
    else
        fleet_member_abort(fleet, member, member->state == FLEET_MEMBER_CLOSING ? 0 : -ETIMEDOUT);
}

/* Performs all actions that are due, and determines when the next one is. */
static void scan_timed(struct fleet *fleet, uint64_t now_ns)
{
    uint64_t next_ns = CLOCK_NEVER;
    struct list_node *next;

    fleet->next_scan_ns = CLOCK_NEVER;
    for (struct list_node *node = fleet->timed.next; node != &fleet->timed; node = next) {
        struct fleet_member *member = LIST_ENTRY(node, struct fleet_member, link);

        next = node->next; /* a member that was due leaves the list, or moves to its end */
        if (member->due_ns <= now_ns)
            fleet_member_due(fleet, member, now_ns);
        else if (member->due_ns < next_ns)
            next_ns = member->due_ns;
    }
    if (next_ns < fleet->next_scan_ns)
        fleet->next_scan_ns = next_ns;
    if (fleet->next_scan_ns < now_ns + SCAN_INTERVAL_NS)
        fleet->next_scan_ns = now_ns + SCAN_INTERVAL_NS;
}

void fleet_turn(struct fleet *fleet, uint64_t deadline_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    struct list_node *first;

    if (now_ns >= fleet->next_scan_ns)
        scan_timed(fleet, now_ns);
    while (fleet->figures.connecting < fleet->options.connecting_at_once && (first = list_first(&fleet->queue)))
        begin_connecting(fleet, LIST_ENTRY(first, struct fleet_member, link), now_ns);
    if (fleet->next_scan_ns < deadline_ns)
        deadline_ns = fleet->next_scan_ns;
    if (deadline_ns != 0)
        engine_prepare_sleep(fleet->engine);
    engine_turn(fleet->engine, deadline_ns);
}

const struct fleet_figures *fleet_figures_get(const struct fleet *fleet)
{
    return &fleet->figures;
}

bool fleet_is_open(const struct fleet *fleet, uint32_t member)
{
    return fleet->members[member].state == FLEET_MEMBER_OPEN;
}
