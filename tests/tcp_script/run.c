#include "tcp_script/run.h"

#include "flashrelay/clock.h"
#include "tcp_script/stage.h"
#include "tcp_script/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long `*` waits. */
#define ANY_TIME_NS (300 * NS_PER_S)

struct run {
    const char *path;
    struct stage *stage;
    const struct script_step *step;
    struct trace trace;
    unsigned peer;
    uint64_t start_ns, base_ns; /* when the script began, and when the last step was */
    unsigned traced;            /* events of the stage that are in the trace */
};

__attribute__((format(printf, 2, 3))) static bool fail(struct run *run, const char *format, ...)
{
    va_list arguments;

    printf("%s:%u: ", run->path, run->step->line);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n  at %.6f; before that:\n", (double)(run->stage->now_ns - run->start_ns) / 1e9);
    trace_print(&run->trace);
    return false;
}

static bool fail_step(struct run *run, const char *instead)
{
    char text[TRACE_LINE_BYTES];

    return fail(run, "expected %s at +%.6f~+%.6f after %.6f, but %s", trace_format_step(run->step, text),
                (double)run->step->earliest_ns / 1e9, (double)run->step->latest_ns / 1e9,
                (double)(run->base_ns - run->start_ns) / 1e9, instead);
}

/* Lets time pass, and writes down what the engine does. */
static void pass_time(struct run *run, uint64_t until_ns)
{
    char text[TRACE_LINE_BYTES];

    stage_run(run->stage, until_ns);
    for (; run->traced < run->stage->event_count; run->traced++) {
        const struct stage_event *event = &run->stage->events[run->traced];

        trace_add(&run->trace, event->at_ns - run->start_ns, trace_format_event(event, text));
    }
}

static void forget(struct run *run, unsigned index)
{
    stage_forget(run->stage, index);
    run->traced--;
}

/* Fails if the engine has done something that no step has expected. */
static bool is_quiet(struct run *run)
{
    char text[TRACE_LINE_BYTES];

    if (run->stage->event_count == 0)
        return true;
    return fail(run, "the engine did what is not expected: %s", trace_format_event(&run->stage->events[0], text));
}

/* Waits until the time of an action, while nothing may happen. */
static bool wait_quietly(struct run *run)
{
    uint64_t at_ns = run->base_ns + run->step->earliest_ns;

    while (is_quiet(run)) {
        if (run->stage->now_ns >= at_ns) {
            run->base_ns = at_ns;
            return true;
        }
        pass_time(run, at_ns);
    }
    return false;
}

/* --- what the engine must do --- */

static bool is_packet(const struct stage_event *event)
{
    return event->kind == STEP_OUT || event->kind == STEP_ICMP_OUT;
}

/* The first packet, or the first call of the handler, that no step has expected. -1: none. */
static int find_event(const struct run *run, bool packet)
{
    for (unsigned i = 0; i < run->stage->event_count; i++)
        if (is_packet(&run->stage->events[i]) == packet)
            return (int)i;
    return -1;
}

/* Waits for a packet or a call of the handler. NULL, after saying so, if it does not come in time. */
static const struct stage_event *await_event(struct run *run, bool packet)
{
    uint64_t limit_ns = run->base_ns + (run->step->any_time ? ANY_TIME_NS : run->step->latest_ns);
    uint64_t earliest_ns = run->base_ns + (run->step->any_time ? 0 : run->step->earliest_ns);
    const struct stage_event *event;
    int index;

    while ((index = find_event(run, packet)) < 0 && run->stage->now_ns < limit_ns)
        pass_time(run, limit_ns);
    if (index < 0)
        pass_time(run, limit_ns);
    index = find_event(run, packet);
    if (index < 0) {
        fail_step(run, "nothing came");
        return NULL;
    }
    event = &run->stage->events[index];
    if (event->at_ns >= earliest_ns && event->at_ns <= limit_ns)
        return event;
    fail_step(run,
              event->at_ns < earliest_ns ? "this came earlier (the last line below)" : "this came later (the last line below)");
    return NULL;
}

static bool options_match(const struct script_segment *expected, const struct wire_packet *packet)
{
    const struct wire_packet_options *a = &expected->options, *b = &packet->options;

    if (expected->any_options || (!expected->has_options && (packet->flags & WIRE_SYN)))
        return true;
    return a->has_mss == b->has_mss && a->mss == b->mss && a->has_scale == b->has_scale && a->scale == b->scale &&
           a->has_sack_permitted == b->has_sack_permitted && a->has_timestamps == b->has_timestamps &&
           a->sack_count == b->sack_count;
}

static const char *compare(const struct script_segment *expected, const struct wire_packet *packet)
{
    if (packet->flags != expected->flags)
        return "the flags differ";
    if (packet->sequence != expected->sequence)
        return "the sequence number differs";
    if (packet->payload_bytes != expected->payload_bytes)
        return "the length differs";
    if (expected->has_acknowledgement && packet->acknowledgement != expected->acknowledgement)
        return "the acknowledgement differs";
    if (expected->has_window && packet->window != expected->window)
        return "the window differs";
    return options_match(expected, packet) ? NULL : "the options differ";
}

static bool expect_one(struct run *run, const struct script_segment *segment)
{
    const struct stage_event *event = await_event(run, true);
    char text[TRACE_LINE_BYTES], came[2 * TRACE_LINE_BYTES];
    const char *difference = NULL;

    if (!event)
        return false;
    if (event->error)
        difference = "it is badly built";
    else if (event->kind != STEP_OUT)
        difference = "it is no TCP";
    else if (event->peer != run->peer)
        difference = "it is for another peer";
    else
        difference = compare(segment, &event->packet);
    if (difference) {
        snprintf(came, sizeof came, "this came: %s (%s)", trace_format_event(event, text), difference);
        return fail_step(run, came);
    }
    if (event->at_ns > run->base_ns)
        run->base_ns = event->at_ns;
    forget(run, (unsigned)(event - run->stage->events));
    return true;
}

/* A step with `cut` stands for several segments; only the last has the flags PSH and FIN. */
static bool expect_segment(struct run *run)
{
    const struct script_segment *whole = &run->step->segment;
    struct script_segment piece = *whole;
    uint64_t base_ns = run->base_ns;

    if (whole->cut_bytes == 0)
        return expect_one(run, whole);
    for (uint32_t done = 0; done < whole->payload_bytes; done += piece.payload_bytes) {
        uint32_t left = whole->payload_bytes - done;

        piece.sequence = whole->sequence + done;
        piece.payload_bytes = left < whole->cut_bytes ? left : whole->cut_bytes;
        piece.flags = piece.payload_bytes < left ? whole->flags & (uint8_t) ~(WIRE_PSH | WIRE_FIN) : whole->flags;
        run->base_ns = base_ns;
        if (!expect_one(run, &piece))
            return false;
    }
    return true;
}

/* A call of the handler, or an ICMP message. */
static bool expect_plain(struct run *run, uint64_t number)
{
    const struct stage_event *event = await_event(run, run->step->kind == STEP_ICMP_OUT);
    char text[TRACE_LINE_BYTES], came[2 * TRACE_LINE_BYTES];

    if (!event)
        return false;
    if (event->kind != run->step->kind || event->number != number || event->peer != run->peer || event->error) {
        snprintf(came, sizeof came, "this came: %s", trace_format_event(event, text));
        return fail_step(run, came);
    }
    if (event->at_ns > run->base_ns)
        run->base_ns = event->at_ns;
    forget(run, (unsigned)(event - run->stage->events));
    return true;
}

/* --- what the engine is given --- */

static void send_segment(struct run *run)
{
    uint8_t payload[WIRE_LONGEST_BYTES], frame[WIRE_LONGEST_BYTES];
    struct wire_packet packet = stage_packet(run->stage, run->peer, &run->step->segment, payload);
    size_t length = wire_packet_write(&packet, frame);

    if (run->step->segment.is_damaged)
        frame[WIRE_ETHERNET_BYTES + (packet.is_v6 ? 40 : 20) + 16] ^= 1;
    stage_push(run->stage, frame, length);
}

/* An echo request: an ICMP message whose data is not a packet quoted. */
static size_t write_echo(const struct run *run, uint8_t *frame)
{
    struct script_segment segment = {.sequence = 1, .payload_bytes = run->step->icmp.value};
    uint8_t payload[WIRE_LONGEST_BYTES];
    struct wire_packet packet = stage_packet(run->stage, 0, &segment, payload);
    size_t segment_bytes = 8 + (size_t)run->step->icmp.value;
    size_t headers = WIRE_ETHERNET_BYTES + (packet.is_v6 ? 40 : 20), length = headers + segment_bytes;
    uint8_t *ip = frame + WIRE_ETHERNET_BYTES, *icmp = frame + headers;
    uint32_t sum = 0;

    wire_packet_write(&packet, frame); /* for its headers of Ethernet and IP */
    memset(icmp, 0, 8);
    icmp[0] = packet.is_v6 ? 128 : 8;
    memcpy(icmp + 8, payload, run->step->icmp.value);
    if (packet.is_v6) {
        wire_packet_store16(ip + 4, (uint16_t)segment_bytes);
        ip[6] = WIRE_ICMPV6;
        sum = wire_packet_pseudo_sum(ip, true, WIRE_ICMPV6, segment_bytes);
    } else {
        wire_packet_store16(ip + 2, (uint16_t)(20 + segment_bytes));
        ip[9] = WIRE_ICMP;
        wire_packet_store16(ip + 10, 0);
        wire_packet_store16(ip + 10, wire_packet_fold(wire_packet_sum(0, ip, 20)));
    }
    wire_packet_store16(icmp + 2, wire_packet_fold(wire_packet_sum(sum, icmp, segment_bytes)));
    return length < WIRE_SHORTEST_BYTES ? WIRE_SHORTEST_BYTES : length;
}

static void send_icmp(struct run *run)
{
    const struct script_icmp *icmp = &run->step->icmp;
    uint8_t quoted[WIRE_LONGEST_BYTES], frame[WIRE_LONGEST_BYTES] = {0}, payload[1000] = {0};
    struct wire_packet packet = stage_packet_back(run->stage, run->peer, icmp->sequence, payload);
    size_t length = wire_packet_write(&packet, quoted);

    if (icmp->kind == ICMP_ECHO)
        length = write_echo(run, frame);
    else if (icmp->kind == ICMP_TOO_BIG)
        length = wire_packet_write_too_big(frame, quoted, length, icmp->value);
    else
        length = wire_packet_write_icmp(frame, quoted, length, packet.is_v6 ? 1 : 3, (uint8_t)icmp->value, 0);
    stage_push(run->stage, frame, length);
}

/* Calls the engine for the connection of the present peer. */
static bool act(struct run *run, struct connection *connection)
{
    struct engine *engine = run->stage->engine;

    switch (run->step->kind) {
    case STEP_PUBLISH:
        return stage_publish(run->stage, run->peer, run->step->number) ||
               fail(run, "there is no connection, or no WebSocket frame has this length");
    case STEP_CONTROL:
        return stage_control(run->stage, run->peer, run->step->number) || fail(run, "there is no connection");
    case STEP_PAUSE_ACCEPTING:
    case STEP_RESUME_ACCEPTING:
        engine_accept_pause(engine, run->step->kind == STEP_PAUSE_ACCEPTING);
        return true;
    case STEP_STOP_LISTENING:
        engine_listen_stop(engine);
        return true;
    case STEP_PEER:
        run->peer = (unsigned)run->step->number;
        return true;
    default:
        break;
    }
    if (!connection)
        return fail(run, "there is no connection");
    if (run->step->kind == STEP_CONSUME)
        run->stage->peers[run->peer].consume = run->step->number;
    else if (run->step->kind == STEP_RESUME)
        engine_receive_resume(engine, connection);
    else if (run->step->kind == STEP_FINISH)
        engine_finish(engine, connection);
    else if (run->step->kind == STEP_ABORT)
        engine_abort(engine, connection);
    return true;
}

/* --- what must be so --- */

static bool check_state(struct run *run, const struct connection *connection)
{
    uint64_t open = counter_read(&run->stage->engine->counters.open_connections);

    switch (run->step->kind) {
    case STEP_BLOCKED:
        return (connection && connection->blocked) || fail(run, "expected a blocked connection");
    case STEP_NOT_BLOCKED:
        return (connection && !connection->blocked) || fail(run, "expected a connection that is not blocked");
    case STEP_HOLDS_NOTHING:
        return holds_lowest(&run->stage->holds) == HOLDS_NONE || fail(run, "expected that no frame is held");
    case STEP_OPEN:
    default:
        return open == run->step->number || fail(run, "expected %llu open connections, there are %llu",
                                                 (unsigned long long)run->step->number, (unsigned long long)open);
    }
}

static bool run_step(struct run *run)
{
    struct connection *connection = run->stage->peers[run->peer].connection;
    char text[TRACE_LINE_BYTES];

    switch (run->step->kind) {
    case STEP_OUT:
        return expect_segment(run);
    case STEP_ICMP_OUT:
        return expect_plain(run, run->step->icmp.value);
    case STEP_ACCEPTED:
    case STEP_RECEIVED:
    case STEP_RECEIVED_END:
    case STEP_CLOSED:
        return expect_plain(run, run->step->number);
    case STEP_NOTHING:
        return wait_quietly(run);
    case STEP_BLOCKED:
    case STEP_NOT_BLOCKED:
    case STEP_HOLDS_NOTHING:
    case STEP_OPEN:
        return wait_quietly(run) && check_state(run, connection);
    default:
        break;
    }
    if (!wait_quietly(run))
        return false;
    trace_add(&run->trace, run->stage->now_ns - run->start_ns, trace_format_step(run->step, text));
    if (run->step->kind == STEP_IN)
        send_segment(run);
    else if (run->step->kind == STEP_ICMP_IN)
        send_icmp(run);
    else if (!act(run, run->stage->peers[run->peer].connection))
        return false;
    pass_time(run, run->stage->now_ns);
    return true;
}

bool run_script(const struct script *script, const char *path)
{
    struct run *run = calloc(1, sizeof *run);
    bool succeeds = run != NULL;

    if (!run)
        return false;
    run->path = path;
    run->stage = stage_open(&script->settings);
    run->start_ns = run->base_ns = run->stage->now_ns;
    for (size_t i = 0; succeeds && i < script->count; i++) {
        run->step = &script->steps[i];
        succeeds = run_step(run);
    }
    succeeds = succeeds && is_quiet(run);
    stage_close(run->stage);
    free(run);
    return succeeds;
}
