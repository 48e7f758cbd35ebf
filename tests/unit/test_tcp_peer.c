#include "common/wire_packet.h"
#include "flashrelay/clock.h"
#include "support/must.h"
#include "support/tcp_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SERVER_INITIAL 0xfffffff0u /* so that the stream wraps */
#define PEER_INITIAL   500u
#define MSS            1000
#define SENT_PACKETS   16

/* The server is the test itself; it keeps what the peer sent. */
struct server {
    struct tcp_peer *peer;
    bool is_v6;
    struct wire_packet sent[SENT_PACKETS];
    uint8_t payloads[SENT_PACKETS][2048];
    unsigned sent_count;
    uint8_t stream[16384];
    size_t stream_bytes;
};

static uint64_t now_ns;

static void on_sent(void *context, const uint8_t *bytes, size_t length)
{
    struct server *server = context;
    struct wire_packet *packet = &server->sent[server->sent_count];

    assert_true(server->sent_count < SENT_PACKETS);
    assert_int_equal(wire_packet_parse(packet, bytes, length, NULL), WIRE_GOOD);
    memcpy(server->payloads[server->sent_count], packet->payload, packet->payload_bytes);
    packet->payload = server->payloads[server->sent_count++];
}

static void on_bytes(void *context, const uint8_t *bytes, size_t length)
{
    struct server *server = context;

    memcpy(server->stream + server->stream_bytes, bytes, length);
    server->stream_bytes += length;
}

static void set_addresses(struct address *peer, struct address *server, bool is_v6)
{
    must(address_parse(peer, is_v6 ? "[2001:db8::1]:4000" : "198.18.0.1:4000") == 0);
    must(address_parse(server, is_v6 ? "[2001:db8::2]:80" : "198.18.0.2:80") == 0);
}

/* A segment of the server, with what follows from the connection filled in. `sequence` counts from its SYN. */
static struct wire_packet from_server(struct server *server, uint8_t flags, uint32_t sequence, size_t payload_bytes)
{
    static uint8_t payload[4096];
    struct wire_packet packet = {.is_v6 = server->is_v6,
                                 .flags = flags,
                                 .sequence = SERVER_INITIAL + sequence,
                                 .acknowledgement = PEER_INITIAL + 1,
                                 .window = 32768,
                                 .payload = payload,
                                 .payload_bytes = payload_bytes};
    struct address to, from;

    set_addresses(&to, &from, server->is_v6);
    packet.source = from.ip;
    packet.source_port = from.port;
    packet.destination = to.ip;
    packet.destination_port = to.port;
    for (size_t i = 0; i < payload_bytes; i++)
        payload[i] = (uint8_t)((sequence + i) * 13);
    return packet;
}

static void give(struct server *server, const struct wire_packet *packet)
{
    uint8_t frame[WIRE_LONGEST_BYTES];
    size_t length = wire_packet_write(packet, frame);

    server->sent_count = 0;
    assert_true(tcp_peer_input(server->peer, frame, length, now_ns));
}

static void give_data(struct server *server, uint32_t sequence, size_t payload_bytes)
{
    struct wire_packet packet = from_server(server, WIRE_ACK, sequence, payload_bytes);

    give(server, &packet);
}

static struct tcp_peer_options usual_options(void)
{
    return (struct tcp_peer_options){
        .mss = MSS, .scale = 2, .permits_sack = true, .sends_dsack = true, .buffer_bytes = 10000, .ack_every = 1};
}

/* A peer that has sent its SYN. */
static struct server *open_server(struct tcp_peer_options options, bool is_v6)
{
    struct server *server = calloc(1, sizeof *server);

    if (!server)
        abort();
    now_ns = NS_PER_S;
    server->is_v6 = is_v6;
    set_addresses(&options.local, &options.remote, is_v6);
    options.initial_sequence = PEER_INITIAL;
    options.send = on_sent;
    options.on_bytes = on_bytes;
    options.context = server;
    must(tcp_peer_create(&server->peer, &options) == 0);
    tcp_peer_connect(server->peer, now_ns);
    return server;
}

/* A connection that is open; what the peer sends from now on is kept from sent[0] on. */
static struct server *open_connected(struct tcp_peer_options options)
{
    struct server *server = open_server(options, false);
    struct wire_packet packet = from_server(server, WIRE_SYN | WIRE_ACK, 0, 0);

    packet.options = (struct wire_packet_options){.has_mss = true, .mss = 1460, .has_scale = true, .has_sack_permitted = true};
    give(server, &packet);
    assert_true(tcp_peer_status(server->peer)->is_connected);
    assert_int_equal(server->sent_count, 1);
    server->sent_count = 0;
    return server;
}

static void close_server(struct server *server)
{
    tcp_peer_destroy(server->peer);
    free(server);
}

/* Checks that the only violation is `what`. */
static void close_server_after(struct server *server, const char *what)
{
    const struct tcp_peer_status *status = tcp_peer_status(server->peer);

    if (what)
        assert_string_equal(status->violation, what);
    assert_int_equal(status->violations, what ? 1 : 0);
    close_server(server);
}

static uint32_t acknowledged(const struct server *server)
{
    assert_int_equal(server->sent_count, 1);
    return server->sent[0].acknowledgement - SERVER_INITIAL;
}

static void check_handshake(bool is_v6)
{
    struct server *server = open_server(usual_options(), is_v6);
    struct wire_packet packet = from_server(server, WIRE_SYN | WIRE_ACK, 0, 0);
    const struct wire_packet *syn = &server->sent[0];

    assert_int_equal(server->sent_count, 1);
    assert_int_equal(syn->flags, WIRE_SYN);
    assert_int_equal(syn->sequence, PEER_INITIAL);
    assert_int_equal(syn->window, 10000);
    assert_true(syn->options.has_mss && syn->options.has_scale && syn->options.has_sack_permitted &&
                !syn->options.has_timestamps);
    packet.options = (struct wire_packet_options){.has_mss = true, .mss = 1460};
    give(server, &packet);
    assert_int_equal(acknowledged(server), 1);
    assert_int_equal(server->sent[0].sequence, PEER_INITIAL + 1);
    assert_int_equal(server->sent[0].window, 10000 / 4);
    close_server_after(server, NULL);
}

static void a_handshake_is_completed(void **state)
{
    (void)state;
    check_handshake(false);
    check_handshake(true);
}

static void a_syn_is_repeated(void **state)
{
    struct server *server = open_server(usual_options(), false);

    (void)state;
    assert_int_equal(tcp_peer_next_ns(server->peer), 2 * NS_PER_S);
    now_ns = 2 * NS_PER_S;
    tcp_peer_tick(server->peer, now_ns);
    assert_int_equal(server->sent_count, 2);
    assert_int_equal(server->sent[1].flags, WIRE_SYN);
    assert_int_equal(tcp_peer_next_ns(server->peer), 4 * NS_PER_S);
    close_server(server);
}

static void a_refused_connection_is_reset(void **state)
{
    struct server *server = open_server(usual_options(), false);
    struct wire_packet packet = from_server(server, WIRE_RST | WIRE_ACK, 0, 0);

    (void)state;
    give(server, &packet);
    assert_true(tcp_peer_status(server->peer)->is_reset);
    assert_true(tcp_peer_next_ns(server->peer) == CLOCK_NEVER);
    close_server_after(server, NULL);
}

static void bytes_in_order_are_handed_over_and_acknowledged(void **state)
{
    struct server *server = open_connected(usual_options());

    (void)state;
    give_data(server, 1, 1000);
    assert_int_equal(acknowledged(server), 1001);
    give_data(server, 1001, 500);
    assert_int_equal(acknowledged(server), 1501);
    assert_int_equal(server->stream_bytes, 1500);
    for (size_t i = 0; i < 1500; i++)
        assert_int_equal(server->stream[i], (uint8_t)((i + 1) * 13));
    close_server_after(server, NULL);
}

static void acks_wait_for_the_nth_segment_or_the_delay(void **state)
{
    struct tcp_peer_options options = usual_options();
    struct server *server;

    (void)state;
    options.ack_every = 3;
    options.ack_delay_ns = 40 * NS_PER_MS;
    server = open_connected(options);
    give_data(server, 1, 100);
    give_data(server, 101, 100);
    assert_int_equal(server->sent_count, 0);
    give_data(server, 201, 100);
    assert_int_equal(acknowledged(server), 301);
    give_data(server, 301, 100);
    assert_int_equal(tcp_peer_next_ns(server->peer), now_ns + 40 * NS_PER_MS);
    tcp_peer_tick(server->peer, now_ns + 40 * NS_PER_MS);
    assert_int_equal(acknowledged(server), 401);
    assert_true(tcp_peer_next_ns(server->peer) == CLOCK_NEVER);
    close_server_after(server, NULL);
}

static void check_sack(const struct server *server, unsigned index, uint32_t left, uint32_t right)
{
    assert_int_equal(server->sent[0].options.sacks[index].left - SERVER_INITIAL, left);
    assert_int_equal(server->sent[0].options.sacks[index].right - SERVER_INITIAL, right);
}

static void holes_are_reported_the_latest_block_first(void **state)
{
    struct server *server = open_connected(usual_options());

    (void)state;
    give_data(server, 101, 100);
    give_data(server, 501, 100);
    give_data(server, 301, 100);
    assert_int_equal(acknowledged(server), 1);
    assert_int_equal(server->sent[0].options.sack_count, 3);
    check_sack(server, 0, 301, 401);
    check_sack(server, 1, 501, 601);
    check_sack(server, 2, 101, 201);
    give_data(server, 201, 100);
    assert_int_equal(server->sent[0].options.sack_count, 2);
    check_sack(server, 0, 101, 401);
    give_data(server, 1, 100);
    assert_int_equal(acknowledged(server), 401);
    assert_int_equal(server->sent[0].options.sack_count, 1);
    give_data(server, 401, 100);
    assert_int_equal(acknowledged(server), 601);
    assert_int_equal(server->stream_bytes, 600);
    for (size_t i = 0; i < 600; i++)
        assert_int_equal(server->stream[i], (uint8_t)((i + 1) * 13));
    close_server_after(server, NULL);
}

static void what_comes_twice_is_reported_and_counted(void **state)
{
    struct server *server = open_connected(usual_options());

    (void)state;
    give_data(server, 1, 100);
    give_data(server, 51, 50);
    assert_int_equal(acknowledged(server), 101);
    assert_int_equal(server->sent[0].options.sack_count, 1);
    check_sack(server, 0, 51, 101);
    give_data(server, 301, 100);
    assert_int_equal(server->sent[0].options.sack_count, 1);
    give_data(server, 301, 100);
    assert_int_equal(server->sent[0].options.sack_count, 2);
    check_sack(server, 0, 301, 401);
    check_sack(server, 1, 301, 401);
    assert_int_equal(tcp_peer_status(server->peer)->duplicate_bytes, 150);
    close_server_after(server, NULL);
}

static void written_bytes_are_sent_again_until_they_are_acknowledged(void **state)
{
    struct server *server = open_connected(usual_options());
    struct wire_packet packet = from_server(server, WIRE_ACK, 1, 0);

    (void)state;
    assert_int_equal(tcp_peer_write(server->peer, "hello", 5, now_ns), 5);
    assert_int_equal(server->sent_count, 1);
    assert_memory_equal(server->sent[0].payload, "hello", 5);
    assert_int_equal(tcp_peer_next_ns(server->peer), now_ns + 200 * NS_PER_MS);
    tcp_peer_tick(server->peer, now_ns + 200 * NS_PER_MS);
    assert_int_equal(server->sent_count, 2);
    assert_int_equal(server->sent[1].sequence, PEER_INITIAL + 1);
    assert_int_equal(tcp_peer_next_ns(server->peer), now_ns + 600 * NS_PER_MS);
    packet.acknowledgement += 5;
    give(server, &packet);
    assert_true(tcp_peer_next_ns(server->peer) == CLOCK_NEVER);
    assert_int_equal(tcp_peer_status(server->peer)->acknowledged_bytes, 5);
    close_server_after(server, NULL);
}

static void no_more_is_sent_than_the_window_allows(void **state)
{
    struct server *server = open_connected(usual_options());
    struct wire_packet packet = from_server(server, WIRE_ACK, 1, 0);
    char bytes[3000] = {0};

    (void)state;
    packet.window = 1500;
    give(server, &packet);
    assert_int_equal(tcp_peer_write(server->peer, bytes, sizeof bytes, now_ns), sizeof bytes);
    assert_int_equal(server->sent_count, 2);
    assert_int_equal(server->sent[0].payload_bytes, 1460);
    assert_int_equal(server->sent[1].payload_bytes, 40);
    packet.acknowledgement += 1500;
    give(server, &packet);
    assert_int_equal(server->sent_count, 2);
    close_server_after(server, NULL);
}

static void a_window_closes_as_bytes_arrive_and_is_announced_when_it_opens(void **state)
{
    struct server *server = open_connected(usual_options());

    (void)state;
    tcp_peer_set_window(server->peer, 0, false);
    assert_int_equal(server->sent_count, 0);
    give_data(server, 1, 1000);
    assert_int_equal(server->sent[0].window, 9000 / 4);
    tcp_peer_set_window(server->peer, 0, true);
    assert_int_equal(server->sent[1].window, 0);
    give_data(server, 1001, 100);
    assert_int_equal(acknowledged(server), 1001);
    tcp_peer_set_window(server->peer, 4000, false);
    assert_int_equal(server->sent[1].window, 1000);
    close_server_after(server, NULL);
}

static void both_sides_finish(void **state)
{
    struct server *server = open_connected(usual_options());
    struct wire_packet packet = from_server(server, WIRE_ACK | WIRE_FIN, 1, 100);

    (void)state;
    tcp_peer_finish(server->peer, now_ns);
    assert_int_equal(server->sent[0].flags, WIRE_ACK | WIRE_FIN);
    packet.acknowledgement += 1;
    give(server, &packet);
    assert_int_equal(acknowledged(server), 102);
    assert_true(tcp_peer_status(server->peer)->has_finished);
    assert_true(tcp_peer_status(server->peer)->other_has_finished);
    close_server_after(server, NULL);
}

static void only_the_expected_reset_ends_the_connection(void **state)
{
    struct server *server = open_connected(usual_options());
    struct wire_packet packet = from_server(server, WIRE_RST, 50, 0);

    (void)state;
    give(server, &packet);
    assert_int_equal(acknowledged(server), 1);
    assert_false(tcp_peer_status(server->peer)->is_reset);
    packet = from_server(server, WIRE_RST, 1, 0);
    give(server, &packet);
    assert_true(tcp_peer_status(server->peer)->is_reset);
    close_server_after(server, NULL);
}

static void who_vanished_answers_nothing(void **state)
{
    struct server *server = open_connected(usual_options());

    (void)state;
    tcp_peer_vanish(server->peer);
    give_data(server, 1, 100);
    assert_int_equal(server->sent_count, 0);
    close_server(server);
}

static void a_flipped_bit_is_no_violation(void **state)
{
    struct server *server = open_connected(usual_options());
    struct wire_packet packet = from_server(server, WIRE_ACK, 1, 100);
    uint8_t frame[WIRE_LONGEST_BYTES];
    size_t length = wire_packet_write(&packet, frame);

    (void)state;
    frame[60] ^= 4;
    tcp_peer_input(server->peer, frame, length, now_ns);
    assert_int_equal(tcp_peer_status(server->peer)->corrupt, 1);
    assert_int_equal(server->sent_count, 0);
    close_server_after(server, NULL);
}

/* Gives a frame whose byte `at` was changed, with zeros behind it; the checksum of IPv4 is mended. */
static void give_changed(struct server *server, size_t at, uint8_t value, size_t more_bytes)
{
    struct wire_packet packet = from_server(server, WIRE_ACK, 1, 0);
    uint8_t frame[WIRE_LONGEST_BYTES];
    size_t length = wire_packet_write(&packet, frame) + more_bytes;

    memset(frame + length - more_bytes, 0, more_bytes);
    frame[at] = value;
    wire_packet_store16(frame + 24, 0);
    wire_packet_store16(frame + 24, wire_packet_fold(wire_packet_sum(0, frame + 14, 20)));
    tcp_peer_input(server->peer, frame, length, now_ns);
}

static void badly_built_frames_are_violations(void **state)
{
    struct server *server = open_connected(usual_options());

    (void)state;
    give_changed(server, 59, 1, 0);
    close_server_after(server, "the padding of the frame is not zero");
    server = open_connected(usual_options());
    give_changed(server, 20, 0, 0);
    close_server_after(server, "DF is not set");
    server = open_connected(usual_options());
    give_changed(server, 59, 0, 10);
    close_server_after(server, "the frame is longer than its packet");
}

static void data_that_was_not_asked_for_is_a_violation(void **state)
{
    struct server *server = open_connected(usual_options());

    (void)state;
    give_data(server, 1, 1001);
    close_server_after(server, "a segment is longer than the MSS offered");
    server = open_connected(usual_options());
    give_data(server, 9002, 1000);
    close_server_after(server, "data lies outside of the window offered");
    server = open_connected(usual_options());
    give_data(server, 0, 10);
    close_server_after(server, "data lies before the beginning of the stream");
}

static void bytes_that_change_are_a_violation(void **state)
{
    struct server *server = open_connected(usual_options());
    struct wire_packet packet;

    (void)state;
    give_data(server, 1, 100);
    packet = from_server(server, WIRE_ACK, 2, 100);
    packet.sequence--;
    give(server, &packet);
    close_server_after(server, "bytes that came again have changed");
}

static void data_behind_a_fin_is_a_violation(void **state)
{
    struct server *server = open_connected(usual_options());
    struct wire_packet packet = from_server(server, WIRE_ACK | WIRE_FIN, 1, 100);

    (void)state;
    give(server, &packet);
    give_data(server, 101, 10);
    close_server_after(server, "data follows the FIN");
}

static void what_acks_may_not_say_is_a_violation(void **state)
{
    struct server *server = open_connected(usual_options());
    struct wire_packet packet = from_server(server, WIRE_ACK, 1, 0);

    (void)state;
    packet.acknowledgement += 10;
    give(server, &packet);
    close_server_after(server, "what was not sent is acknowledged");
    server = open_connected(usual_options());
    tcp_peer_write(server->peer, "hello", 5, now_ns);
    packet = from_server(server, WIRE_ACK, 1, 0);
    packet.acknowledgement += 5;
    packet.window = 32762;
    give(server, &packet);
    assert_int_equal(tcp_peer_status(server->peer)->windows_taken_back, 1);
    close_server_after(server, NULL);
    server = open_connected(usual_options());
    packet = from_server(server, WIRE_ACK, 1, 0);
    packet.options.has_timestamps = true;
    give(server, &packet);
    close_server_after(server, "there are timestamps");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_is_completed),
        cmocka_unit_test(a_syn_is_repeated),
        cmocka_unit_test(a_refused_connection_is_reset),
        cmocka_unit_test(bytes_in_order_are_handed_over_and_acknowledged),
        cmocka_unit_test(acks_wait_for_the_nth_segment_or_the_delay),
        cmocka_unit_test(holes_are_reported_the_latest_block_first),
        cmocka_unit_test(what_comes_twice_is_reported_and_counted),
        cmocka_unit_test(written_bytes_are_sent_again_until_they_are_acknowledged),
        cmocka_unit_test(no_more_is_sent_than_the_window_allows),
        cmocka_unit_test(a_window_closes_as_bytes_arrive_and_is_announced_when_it_opens),
        cmocka_unit_test(both_sides_finish),
        cmocka_unit_test(only_the_expected_reset_ends_the_connection),
        cmocka_unit_test(who_vanished_answers_nothing),
        cmocka_unit_test(a_flipped_bit_is_no_violation),
        cmocka_unit_test(badly_built_frames_are_violations),
        cmocka_unit_test(data_that_was_not_asked_for_is_a_violation),
        cmocka_unit_test(bytes_that_change_are_a_violation),
        cmocka_unit_test(data_behind_a_fin_is_a_violation),
        cmocka_unit_test(what_acks_may_not_say_is_a_violation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
