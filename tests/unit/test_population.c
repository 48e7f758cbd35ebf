/* The population of simulated clients: a small sender sends frames by reference, and reads what the clients answer. */
#include "flashrelay/clock.h"
#include "population/population.h"

#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENTS      8
#define MSS          1000
#define FRAME_BYTES  3500 /* four segments */
#define FRAMES       3
#define SERVER_IP    0xc0000201
#define SERVER_PORT  9000
#define WINDOW       65536
#define RTT_NS       (20 * NS_PER_MS)
#define HEADER_BYTES (sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr))

static struct rte_mempool *pool;
static uint64_t now_ns;
static uint8_t log_bytes[FRAMES * FRAME_BYTES];

struct world {
    struct population *population;
    struct dpdk_burst burst;
};

/* What a client has answered, as the sender understands it. */
struct received_answer {
    uint32_t client, sequence, acknowledged, window, sack_count, sack_starts[3], sack_ends[3], payload_bytes;
    uint8_t flags;
};

static uint64_t now(void *context)
{
    (void)context;
    return now_ns;
}

static int start_eal(void **state)
{
    char *arguments[] = {"test_population",         "--no-huge", "-m", "64", "--no-pci", "--no-telemetry", "--no-shconf",
                         "--log-level=lib.*:error", NULL};

    (void)state;
    if (rte_eal_init((int)(sizeof arguments / sizeof *arguments) - 1, arguments) < 0)
        return -1;
    pool = rte_pktmbuf_pool_create("test", 8191, 0, 0, RTE_PKTMBUF_HEADROOM + 512, SOCKET_ID_ANY);
    return pool ? 0 : -1;
}

static int stop_eal(void **state)
{
    (void)state;
    rte_mempool_free(pool);
    return rte_eal_cleanup();
}

static const struct population_options usual = {
    .clients = CLIENTS,
    .seed = 7,
    .acks = 2,
    .window_bytes = WINDOW,
    .mss = MSS,
    .server_ip = SERVER_IP,
    .server_port = SERVER_PORT,
    .now = now,
};

static struct world create_world(const struct population_options *options)
{
    struct world world;

    assert_int_equal(population_create(&world.population, options), 0);
    world.burst = population_burst(world.population);
    for (size_t i = 0; i < sizeof log_bytes; i++)
        log_bytes[i] = (uint8_t)(i * 7 + i / 251);
    return world;
}

static struct world create_established(const struct population_options *options)
{
    struct world world = create_world(options);

    population_establish(world.population);
    for (uint32_t i = 0; i < FRAMES; i++)
        population_add_frame(world.population, log_bytes + (size_t)i * FRAME_BYTES, FRAME_BYTES);
    return world;
}

/* Destroys the world; all mbufs have come back. */
static void destroy_world(struct world *world)
{
    population_destroy(world->population);
    assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* --- the sender --- */

static void free_nothing(void *address, void *opaque)
{
    (void)address;
    (void)opaque;
}

static struct rte_mbuf_ext_shared_info *shared_info(void)
{
    static struct rte_mbuf_ext_shared_info info = {.free_cb = free_nothing};

    rte_mbuf_ext_refcnt_update(&info, 1);
    return &info;
}

static struct rte_mbuf *make_header(uint32_t client, uint32_t sequence, uint8_t flags, uint32_t payload_bytes)
{
    struct rte_mbuf *packet = rte_pktmbuf_alloc(pool);
    struct rte_ether_hdr *link;

    assert_non_null(packet);
    link = (struct rte_ether_hdr *)rte_pktmbuf_append(packet, HEADER_BYTES);
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(link + 1);
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
    *link = (struct rte_ether_hdr){.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4)};
    *ip = (struct rte_ipv4_hdr){
        .version_ihl = RTE_IPV4_VHL_DEF,
        .total_length = rte_cpu_to_be_16((uint16_t)(sizeof *ip + sizeof *tcp + payload_bytes)),
        .time_to_live = 64,
        .next_proto_id = IPPROTO_TCP,
        .src_addr = rte_cpu_to_be_32(SERVER_IP),
        .dst_addr = rte_cpu_to_be_32(population_client_ip(client)),
    };
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    *tcp = (struct rte_tcp_hdr){
        .src_port = RTE_BE16(SERVER_PORT),
        .dst_port = rte_cpu_to_be_16(population_client_port(client)),
        .sent_seq = rte_cpu_to_be_32(sequence),
        .data_off = sizeof *tcp / 4 << 4,
        .tcp_flags = flags,
        .rx_win = UINT16_MAX,
    };
    return packet;
}

static void append_payload(struct rte_mbuf *packet, const uint8_t *payload, uint32_t bytes)
{
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);

    assert_non_null(mbuf);
    rte_pktmbuf_attach_extbuf(mbuf, (void *)(uintptr_t)payload, (rte_iova_t)(uintptr_t)payload, (uint16_t)bytes, shared_info());
    mbuf->data_len = (uint16_t)bytes;
    mbuf->pkt_len = bytes;
    assert_int_equal(rte_pktmbuf_chain(packet, mbuf), 0);
}

/* Writes the TCP checksum of a packet of one or two mbufs. */
static void finish_packet(struct rte_mbuf *packet)
{
    struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(packet, struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
    uint32_t skipped = sizeof(struct rte_ether_hdr) + sizeof *ip;
    uint16_t sum = 0;

    assert_int_equal(rte_raw_cksum_mbuf(packet, skipped, packet->pkt_len - skipped, &sum), 0);
    uint32_t total = sum + (uint32_t)rte_ipv4_phdr_cksum(ip, 0);
    tcp->cksum = (uint16_t) ~(total + (total >> 16));
}

static void transmit(const struct world *world, struct rte_mbuf *packet)
{
    assert_int_equal(world->burst.transmit(world->burst.context, &packet, 1), 1);
}

/* Sends `length` bytes of the stream of frames, from `offset` on, to an established client. */
static void send_stream(const struct world *world, uint32_t client, uint32_t offset, uint32_t length, uint8_t flags)
{
    struct rte_mbuf *packet =
        make_header(client, population_server_sequence(world->population, client) + offset, RTE_TCP_ACK_FLAG | flags, length);

    append_payload(packet, log_bytes + offset, length);
    finish_packet(packet);
    transmit(world, packet);
}

/* Sends a whole frame in segments that end with PSH. */
static void send_frame(const struct world *world, uint32_t client, uint32_t frame)
{
    for (uint32_t offset = 0; offset < FRAME_BYTES; offset += MSS) {
        uint32_t left = FRAME_BYTES - offset;

        send_stream(world, client, frame * FRAME_BYTES + offset, left < MSS ? left : MSS, left <= MSS ? RTE_TCP_PSH_FLAG : 0);
    }
}

static void read_options(struct received_answer *answer, const uint8_t *option, const uint8_t *end)
{
    while (option < end && *option != 0) {
        if (*option == 5) {
            answer->sack_count = (option[1] - 2u) / 8;
            for (uint32_t i = 0; i < answer->sack_count; i++) {
                memcpy(&answer->sack_starts[i], option + 2 + 8 * i, 4);
                memcpy(&answer->sack_ends[i], option + 6 + 8 * i, 4);
                answer->sack_starts[i] = rte_be_to_cpu_32(answer->sack_starts[i]);
                answer->sack_ends[i] = rte_be_to_cpu_32(answer->sack_ends[i]);
            }
        }
        option += *option == 1 ? 1 : option[1];
    }
}

/* Takes the next answer. Its checksums are right. False if there is none. */
static bool take_answer(const struct world *world, struct received_answer *answer)
{
    struct rte_mbuf *packet;

    if (world->burst.receive(world->burst.context, &packet, 1) == 0)
        return false;
    const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(packet, struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
    const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);
    const uint8_t *payload = (const uint8_t *)tcp + (tcp->data_off >> 4) * 4;
    assert_int_equal(rte_ipv4_udptcp_cksum(ip, tcp), 0);
    assert_int_equal(rte_be_to_cpu_32(ip->dst_addr), SERVER_IP);
    assert_int_equal(rte_be_to_cpu_16(tcp->dst_port), SERVER_PORT);
    *answer = (struct received_answer){
        .client = (rte_be_to_cpu_32(ip->src_addr) - population_client_ip(0)) * 16u + rte_be_to_cpu_16(tcp->src_port) -
                  population_client_port(0),
        .sequence = rte_be_to_cpu_32(tcp->sent_seq),
        .acknowledged = rte_be_to_cpu_32(tcp->recv_ack),
        .window = (uint32_t)rte_be_to_cpu_16(tcp->rx_win) << 7,
        .payload_bytes = packet->pkt_len - (uint32_t)(payload - rte_pktmbuf_mtod(packet, uint8_t *)),
        .flags = tcp->tcp_flags,
    };
    read_options(answer, (const uint8_t *)(tcp + 1), payload);
    rte_pktmbuf_free(packet);
    return true;
}

/* Takes an acknowledgement of `client`, which has received the first `offset` bytes of the stream. */
static struct received_answer assert_acknowledged(const struct world *world, uint32_t client, uint32_t offset)
{
    struct received_answer answer;

    assert_true(take_answer(world, &answer));
    assert_int_equal(answer.client, client);
    assert_int_equal(answer.flags, RTE_TCP_ACK_FLAG);
    assert_int_equal(answer.acknowledged - population_server_sequence(world->population, client), offset);
    return answer;
}

static void assert_no_answer(const struct world *world)
{
    struct received_answer answer;

    assert_false(take_answer(world, &answer));
}

static uint32_t drain_answers(const struct world *world)
{
    struct received_answer answer;
    uint32_t count = 0;

    while (take_answer(world, &answer))
        count++;
    return count;
}

/* --- tests --- */

static void every_second_segment_and_the_last_is_acknowledged(void **state)
{
    struct world world = create_established(&usual);

    (void)state;
    for (uint32_t client = 0; client < CLIENTS; client++)
        send_frame(&world, client, 0);
    for (uint32_t client = 0; client < CLIENTS; client++) {
        struct received_answer answer = assert_acknowledged(&world, client, 2 * MSS);

        assert_int_equal(answer.window, WINDOW);
        assert_int_equal(answer.sequence, population_client_sequence(world.population, client));
        assert_acknowledged(&world, client, FRAME_BYTES);
    }
    assert_no_answer(&world);
    assert_int_equal(population_figures(world.population)->frames_completed, CLIENTS);
    assert_int_equal(population_faults(world.population), 0);
    destroy_world(&world);
}

static void the_end_of_a_frame_is_acknowledged(void **state)
{
    struct population_options options = usual;

    (void)state;
    options.acks = 3;
    struct world world = create_established(&options);
    send_frame(&world, 0, 0);
    assert_acknowledged(&world, 0, 3 * MSS);
    assert_acknowledged(&world, 0, FRAME_BYTES);
    assert_no_answer(&world);
    destroy_world(&world);
}

static void what_comes_again_is_acknowledged_at_once(void **state)
{
    struct world world = create_established(&usual);

    (void)state;
    send_stream(&world, 0, 0, MSS, 0);
    send_stream(&world, 0, MSS, MSS, 0);
    assert_acknowledged(&world, 0, 2 * MSS);
    send_stream(&world, 0, MSS, MSS, 0);
    assert_acknowledged(&world, 0, 2 * MSS);
    assert_int_equal(population_figures(world.population)->duplicates, 1);
    destroy_world(&world);
}

static void a_burst_is_acknowledged_once_if_so_configured(void **state)
{
    struct population_options options = usual;
    struct rte_mbuf *packets[6];

    (void)state;
    options.acks = POPULATION_ACK_PER_BURST;
    struct world world = create_established(&options);
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t client = i / 3, offset = i % 3 * MSS;

        packets[i] = make_header(client, population_server_sequence(world.population, client) + offset, RTE_TCP_ACK_FLAG, MSS);
        append_payload(packets[i], log_bytes + offset, MSS);
    }
    assert_int_equal(world.burst.transmit(world.burst.context, packets, 6), 6);
    assert_acknowledged(&world, 0, 3 * MSS);
    assert_acknowledged(&world, 1, 3 * MSS);
    assert_no_answer(&world);
    destroy_world(&world);
}

static void answers_arrive_after_the_round_trip(void **state)
{
    struct population_options options = usual;

    (void)state;
    options.rtt_ns = RTT_NS;
    struct world world = create_established(&options);
    assert_true(population_next_arrival_ns(world.population) == CLOCK_NEVER);
    send_frame(&world, 0, 0);
    assert_int_equal(population_next_arrival_ns(world.population), now_ns + RTT_NS);
    now_ns += RTT_NS - NS_PER_US;
    assert_no_answer(&world);
    now_ns += NS_PER_US;
    assert_int_equal(drain_answers(&world), 2);
    destroy_world(&world);
}

static void a_payload_that_is_not_the_logs_is_a_fault(void **state)
{
    struct world world = create_established(&usual);
    struct rte_mbuf *packet = make_header(0, population_server_sequence(world.population, 0), RTE_TCP_ACK_FLAG, MSS);
    static uint8_t copy[MSS];

    (void)state;
    memcpy(copy, log_bytes, MSS);
    append_payload(packet, copy, MSS);
    transmit(&world, packet);
    assert_int_equal(population_figures(world.population)->misplaced, 1);
    /* The bytes of the log, but not those that are due. */
    packet = make_header(1, population_server_sequence(world.population, 1), RTE_TCP_ACK_FLAG, MSS);
    append_payload(packet, log_bytes + 1, MSS);
    transmit(&world, packet);
    assert_int_equal(population_figures(world.population)->misplaced, 2);
    destroy_world(&world);
}

/* Sends a piece of the stream of frames as a copy behind the headers, in which `change` is added to the first byte. */
static void send_copy(const struct world *world, uint32_t offset, uint32_t length, uint8_t change)
{
    struct rte_mbuf *packet =
        make_header(0, population_server_sequence(world->population, 0) + offset, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, length);
    char *copy = rte_pktmbuf_append(packet, (uint16_t)length);

    assert_non_null(copy);
    memcpy(copy, log_bytes + offset, length);
    copy[0] = (char)(copy[0] + change);
    finish_packet(packet);
    transmit(world, packet);
}

static void a_short_piece_may_be_a_copy(void **state)
{
    struct world world = create_established(&usual);

    (void)state;
    send_stream(&world, 0, 0, MSS, 0);
    send_stream(&world, 0, MSS, MSS, 0);
    send_stream(&world, 0, 2 * MSS, MSS, 0);
    send_copy(&world, FRAME_BYTES - 40, 40, 0); /* behind a gap */
    send_stream(&world, 0, 3 * MSS, FRAME_BYTES - 40 - 3 * MSS, 0);
    assert_int_equal(population_figures(world.population)->frames_completed, 1);
    assert_int_equal(population_figures(world.population)->control_bytes, 0);
    assert_int_equal(population_faults(world.population), 0);
    destroy_world(&world);
}

static void a_wrong_copy_within_a_frame_is_a_fault(void **state)
{
    struct world world = create_established(&usual);

    (void)state;
    send_stream(&world, 0, 0, MSS, 0);
    send_copy(&world, MSS, 40, 1);
    assert_int_equal(population_figures(world.population)->misplaced, 1);
    destroy_world(&world);
}

static void a_frame_that_is_left_out_is_counted(void **state)
{
    struct world world = create_established(&usual);
    struct rte_mbuf *packet;

    (void)state;
    send_frame(&world, 0, 0);
    packet = make_header(0, population_server_sequence(world.population, 0) + FRAME_BYTES, RTE_TCP_ACK_FLAG, MSS);
    append_payload(packet, log_bytes + (size_t)2 * FRAME_BYTES, MSS);
    transmit(&world, packet);
    assert_int_equal(population_figures(world.population)->skipped_frames, 1);
    assert_int_equal(population_faults(world.population), 0);
    destroy_world(&world);
}

static void bytes_overwritten_in_the_log_are_found(void **state)
{
    struct population_options options = usual;

    (void)state;
    options.clients = POPULATION_VERIFY_EVERY;
    struct world world = create_established(&options);
    for (uint32_t client = 0; client < POPULATION_VERIFY_EVERY; client++) {
        if (client == POPULATION_VERIFY_EVERY - 1)
            log_bytes[FRAME_BYTES - 1] ^= 1;
        send_stream(&world, client, 0, MSS, 0);
    }
    assert_int_equal(population_figures(world.population)->verified, 1);
    assert_int_equal(population_figures(world.population)->corrupt, 1);
    drain_answers(&world);
    destroy_world(&world);
}

static void a_wrong_checksum_is_found(void **state)
{
    struct population_options options = usual;

    (void)state;
    options.clients = 2 * POPULATION_VERIFY_EVERY;
    struct world world = create_established(&options);
    for (uint32_t client = 0; client < 2 * POPULATION_VERIFY_EVERY; client++) {
        struct rte_mbuf *packet =
            make_header(client, population_server_sequence(world.population, client), RTE_TCP_ACK_FLAG, MSS);

        append_payload(packet, log_bytes, MSS);
        if (client < POPULATION_VERIFY_EVERY)
            finish_packet(packet);
        transmit(&world, packet);
        assert_int_equal(population_figures(world.population)->corrupt, client == 2 * POPULATION_VERIFY_EVERY - 1);
    }
    assert_int_equal(population_figures(world.population)->verified, 2);
    drain_answers(&world);
    destroy_world(&world);
}

static void a_gap_is_reported_until_it_is_filled(void **state)
{
    struct population_options options = usual;
    struct received_answer answer;

    (void)state;
    options.acks = 1;
    struct world world = create_established(&options);
    uint32_t first = population_server_sequence(world.population, 3);
    send_stream(&world, 3, 0, MSS, 0);
    send_stream(&world, 3, 2 * MSS, MSS, 0);
    send_stream(&world, 3, FRAME_BYTES, MSS, 0);
    assert_acknowledged(&world, 3, MSS);
    answer = assert_acknowledged(&world, 3, MSS);
    assert_int_equal(answer.sack_count, 1);
    assert_int_equal(answer.sack_starts[0], first + 2 * MSS);
    assert_int_equal(answer.sack_ends[0], first + 3 * MSS);
    answer = assert_acknowledged(&world, 3, MSS);
    assert_int_equal(answer.sack_count, 2);
    assert_int_equal(answer.sack_starts[0], first + FRAME_BYTES);
    assert_int_equal(answer.sack_starts[1], first + 2 * MSS);

    send_stream(&world, 3, MSS, MSS, 0); /* the first gap */
    answer = assert_acknowledged(&world, 3, 3 * MSS);
    assert_int_equal(answer.sack_count, 1);
    send_stream(&world, 3, 3 * MSS, FRAME_BYTES - 3 * MSS, RTE_TCP_PSH_FLAG); /* the second */
    answer = assert_acknowledged(&world, 3, FRAME_BYTES + MSS);
    assert_int_equal(answer.sack_count, 0);
    send_stream(&world, 3, 0, MSS, 0); /* once more */
    assert_acknowledged(&world, 3, FRAME_BYTES + MSS);
    assert_int_equal(population_figures(world.population)->duplicates, 1);
    assert_int_equal(population_figures(world.population)->out_of_order, 2);
    assert_int_equal(population_faults(world.population), 0);
    destroy_world(&world);
}

static void gaps_are_reported_as_often_as_there_are_segments(void **state)
{
    struct world world = create_established(&usual);

    (void)state;
    for (unsigned i = 0; i < 2 * UINT16_MAX; i++) {
        send_stream(&world, 0, MSS, MSS, 0);
        assert_int_equal(assert_acknowledged(&world, 0, 0).sack_count, 1);
    }
    destroy_world(&world);
}

static void a_misplaced_payload_behind_a_gap_is_a_fault(void **state)
{
    struct world world = create_established(&usual);
    struct rte_mbuf *packet = make_header(0, population_server_sequence(world.population, 0) + 2 * MSS, RTE_TCP_ACK_FLAG, MSS);

    (void)state;
    append_payload(packet, log_bytes + MSS, MSS);
    transmit(&world, packet);
    assert_int_equal(population_figures(world.population)->misplaced, 1);
    drain_answers(&world);
    destroy_world(&world);
}

/* Sends all frames to a client, again and again from what it has acknowledged. */
static void send_until_received(const struct world *world, uint32_t client)
{
    uint32_t first = population_server_sequence(world->population, client), end = first + sizeof log_bytes;

    for (unsigned round = 0; population_expected_sequence(world->population, client) != end; round++) {
        uint32_t offset = population_expected_sequence(world->population, client) - first;

        assert_true(round < 1000);
        while (offset < sizeof log_bytes) {
            uint32_t step = MSS - offset % FRAME_BYTES % MSS, left = FRAME_BYTES - offset % FRAME_BYTES;

            step = step < left ? step : left;
            send_stream(world, client, offset, step, step == left ? RTE_TCP_PSH_FLAG : 0);
            offset += step;
        }
        drain_answers(world);
    }
}

static void what_is_lost_is_taken_when_it_comes_again(void **state)
{
    struct population_options options = usual;

    (void)state;
    options.loss = 0.3;
    struct world world = create_established(&options);
    for (uint32_t client = 0; client < CLIENTS; client++)
        send_until_received(&world, client);
    const struct population_figures *figures = population_figures(world.population);
    assert_int_equal(figures->frames_completed, CLIENTS * FRAMES);
    assert_true(figures->lost > 0 && figures->sacks > 0 && figures->duplicates > 0);
    assert_int_equal(population_faults(world.population), 0);
    destroy_world(&world);
}

/* Takes SYNs in a burst that has room for two, of which a flood gets half. Turns each round, as the answer is. Returns how many. */
static uint16_t take_syns(const struct world *world)
{
    struct rte_mbuf *packets[2];
    uint16_t count = world->burst.receive(world->burst.context, packets, 2);

    for (uint16_t i = 0; i < count; i++) {
        struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(packets[i], struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
        const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);

        assert_int_equal(tcp->tcp_flags, RTE_TCP_SYN_FLAG);
        assert_int_equal(rte_ipv4_udptcp_cksum(ip, tcp), 0);
        ip->dst_addr = ip->src_addr;
        transmit(world, packets[i]);
    }
    return count;
}

static void a_flood_comes_at_its_rate_and_is_not_answered(void **state)
{
    struct population_options options = usual;

    (void)state;
    options.syns_per_s = 1000;
    now_ns = 1000 * NS_PER_MS;
    struct world world = create_world(&options);
    assert_no_answer(&world); /* it begins now */
    now_ns += 10 * NS_PER_MS;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(take_syns(&world), 1);
    assert_int_equal(take_syns(&world), 0);
    assert_int_equal(population_figures(world.population)->syns_answered, 10);
    now_ns += 10000 * NS_PER_MS;
    assert_int_equal(take_syns(&world), 1);
    assert_int_equal(population_figures(world.population)->syns_dropped, 10000 - 4096);
    assert_int_equal(population_faults(world.population), 0);
    destroy_world(&world);
}

static void the_seed_decides_what_is_lost(void **state)
{
    struct population_options options = usual;
    struct population_figures figures[3];

    (void)state;
    options.loss = 0.3;
    for (unsigned i = 0; i < 3; i++) {
        options.seed = i < 2 ? 7 : 8;
        struct world world = create_established(&options);
        for (uint32_t client = 0; client < CLIENTS; client++)
            send_until_received(&world, client);
        figures[i] = *population_figures(world.population);
        destroy_world(&world);
    }
    assert_int_equal(figures[0].lost, figures[1].lost);
    assert_int_equal(figures[0].segments, figures[1].segments);
    assert_true(figures[0].lost != figures[2].lost || figures[0].segments != figures[2].segments);
}

static void a_stalled_client_closes_its_window(void **state)
{
    struct population_options options = usual;
    struct received_answer answer;

    (void)state;
    options.stalled = 1;
    options.stalled_bytes = 2048;
    struct world world = create_established(&options);
    send_stream(&world, 0, 0, MSS, 0);
    answer = assert_acknowledged(&world, 0, MSS);
    assert_int_equal(answer.window, (2048 - MSS) / 128 * 128);
    send_stream(&world, 0, MSS, MSS, 0);
    answer = assert_acknowledged(&world, 0, 2 * MSS);
    assert_int_equal(answer.window, 0);
    assert_int_equal(population_faults(world.population), 0);

    transmit(&world, make_header(0, population_server_sequence(world.population, 0) + 2 * MSS - 1, RTE_TCP_ACK_FLAG, 0));
    answer = assert_acknowledged(&world, 0, 2 * MSS); /* of the probe */
    assert_int_equal(answer.window, 0);
    send_stream(&world, 0, 2 * MSS, MSS, 0);
    assert_acknowledged(&world, 0, 2 * MSS);
    assert_int_equal(population_figures(world.population)->beyond_window, 1);
    destroy_world(&world);
}

static void a_dead_client_answers_nothing(void **state)
{
    struct population_options options = usual;

    (void)state;
    options.dead = 1;
    struct world world = create_established(&options);
    send_frame(&world, 0, 0);
    assert_no_answer(&world);
    send_frame(&world, 1, 0);
    assert_int_equal(drain_answers(&world), 2);
    destroy_world(&world);
}

static void a_packet_that_the_card_cuts_counts_as_its_segments(void **state)
{
    struct population_options options = usual;

    (void)state;
    options.acks = 3;
    struct world world = create_established(&options);
    struct rte_mbuf *packet = make_header(2, population_server_sequence(world.population, 2), RTE_TCP_ACK_FLAG, 0);
    append_payload(packet, log_bytes, FRAME_BYTES);
    packet->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
    packet->tso_segsz = MSS;
    packet->l2_len = sizeof(struct rte_ether_hdr);
    packet->l3_len = sizeof(struct rte_ipv4_hdr);
    packet->l4_len = sizeof(struct rte_tcp_hdr);
    transmit(&world, packet);
    assert_acknowledged(&world, 2, 3 * MSS);
    assert_no_answer(&world); /* the fourth segment had no PSH */
    assert_int_equal(population_figures(world.population)->segments, 4);
    assert_int_equal(population_faults(world.population), 0);
    destroy_world(&world);
}

/* Answers the SYN of a client, and its request with `response`. */
static void accept_client(const struct world *world, uint32_t client, const char *response)
{
    struct received_answer answer, request;
    struct rte_mbuf *packet;
    char *payload;

    population_connect(world->population, client, 1);
    assert_true(take_answer(world, &answer));
    assert_int_equal(answer.flags, RTE_TCP_SYN_FLAG);
    assert_int_equal(answer.client, client);
    packet = make_header(client, UINT32_MAX, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, 0);
    rte_pktmbuf_mtod_offset(packet, struct rte_tcp_hdr *, HEADER_BYTES - sizeof(struct rte_tcp_hdr))->recv_ack =
        rte_cpu_to_be_32(answer.sequence + 1);
    transmit(world, packet);
    assert_true(take_answer(world, &answer));
    assert_int_equal(answer.acknowledged, 0);
    assert_int_equal(answer.payload_bytes, 0);
    assert_true(take_answer(world, &request));
    assert_int_equal(request.sequence, answer.sequence);
    assert_true(request.payload_bytes > 100);
    packet = make_header(client, 0, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, (uint32_t)strlen(response));
    payload = rte_pktmbuf_append(packet, (uint16_t)strlen(response));
    memcpy(payload, response, strlen(response));
    transmit(world, packet);
    assert_true(take_answer(world, &answer));
    assert_int_equal(answer.acknowledged, strlen(response));
    assert_int_equal(answer.sequence, request.sequence + request.payload_bytes);
}

static void a_client_connects_and_begins_where_it_is_sent(void **state)
{
    static const char accepted[] =
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    struct world world = create_world(&usual);
    struct rte_mbuf *packet;

    (void)state;
    for (uint32_t i = 0; i < FRAMES; i++)
        population_add_frame(world.population, log_bytes + (size_t)i * FRAME_BYTES, FRAME_BYTES);
    accept_client(&world, 5, accepted);
    assert_int_equal(population_figures(world.population)->open, 1);
    packet = make_header(5, sizeof accepted - 1, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, FRAME_BYTES);
    append_payload(packet, log_bytes + FRAME_BYTES, FRAME_BYTES);
    transmit(&world, packet);
    assert_int_equal(population_figures(world.population)->frames_completed, 1);
    assert_int_equal(population_faults(world.population), 0);
    drain_answers(&world);
    destroy_world(&world);
}

static void answers_that_stand_in_the_clients_packets_exhaust_no_pool(void **state)
{
    enum { CONNECTING = 20000 };
    struct population_options options = usual;

    (void)state;
    options.clients = CONNECTING;
    struct world world = create_world(&options);
    population_connect(world.population, 0, CONNECTING);
    for (uint32_t i = 0; i < CONNECTING; i++) {
        struct rte_mbuf *packet;

        assert_int_equal(world.burst.receive(world.burst.context, &packet, 1), 1);
        const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(packet, struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
        assert_int_equal(rte_be_to_cpu_32(ip->src_addr), population_client_ip(i));
        /* What the packet says does not matter, only that the ring keeps it. */
        rte_pktmbuf_mtod_offset(packet, struct rte_ether_hdr *, 0)->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
        transmit(&world, packet);
    }
    assert_int_equal(population_figures(world.population)->foreign, CONNECTING);
    assert_int_equal(population_faults(world.population), 0);
    destroy_world(&world);
}

static void a_refusal_is_counted(void **state)
{
    struct world world = create_world(&usual);

    (void)state;
    accept_client(&world, 0, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(population_figures(world.population)->refused, 1);
    assert_int_equal(population_figures(world.population)->open, 0);
    destroy_world(&world);
}

static void a_client_answers_the_end_with_its_own(void **state)
{
    struct world world = create_established(&usual);
    struct received_answer answer;

    (void)state;
    send_stream(&world, 4, 0, MSS, RTE_TCP_PSH_FLAG);
    transmit(&world,
             make_header(4, population_server_sequence(world.population, 4) + MSS, RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG, 0));
    answer = assert_acknowledged(&world, 4, MSS);
    assert_int_equal(answer.sequence, population_client_sequence(world.population, 4));
    assert_true(take_answer(&world, &answer));
    assert_int_equal(answer.sequence, population_client_sequence(world.population, 4));
    assert_int_equal(answer.flags, RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG);
    assert_int_equal(answer.acknowledged, population_server_sequence(world.population, 4) + MSS + 1);
    transmit(&world, make_header(6, population_server_sequence(world.population, 6), RTE_TCP_RST_FLAG, 0));
    assert_no_answer(&world);
    assert_int_equal(population_figures(world.population)->ended, 2);
    assert_int_equal(population_figures(world.population)->open, CLIENTS - 2);
    destroy_world(&world);
}

static void packets_are_kept_until_their_descriptors_are_needed(void **state)
{
    struct world world = create_established(&usual);

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        send_stream(&world, 0, 0, MSS, 0); /* two descriptors */
        assert_int_equal(rte_mempool_in_use_count(pool), i < 2048 ? 2 * (i + 1) : 4096);
        drain_answers(&world);
    }
    population_reclaim(world.population);
    assert_int_equal(rte_mempool_in_use_count(pool), 0);
    destroy_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_second_segment_and_the_last_is_acknowledged),
        cmocka_unit_test(the_end_of_a_frame_is_acknowledged),
        cmocka_unit_test(what_comes_again_is_acknowledged_at_once),
        cmocka_unit_test(a_burst_is_acknowledged_once_if_so_configured),
        cmocka_unit_test(answers_arrive_after_the_round_trip),
        cmocka_unit_test(a_payload_that_is_not_the_logs_is_a_fault),
        cmocka_unit_test(a_short_piece_may_be_a_copy),
        cmocka_unit_test(a_wrong_copy_within_a_frame_is_a_fault),
        cmocka_unit_test(a_frame_that_is_left_out_is_counted),
        cmocka_unit_test(bytes_overwritten_in_the_log_are_found),
        cmocka_unit_test(a_wrong_checksum_is_found),
        cmocka_unit_test(a_gap_is_reported_until_it_is_filled),
        cmocka_unit_test(gaps_are_reported_as_often_as_there_are_segments),
        cmocka_unit_test(a_misplaced_payload_behind_a_gap_is_a_fault),
        cmocka_unit_test(what_is_lost_is_taken_when_it_comes_again),
        cmocka_unit_test(a_flood_comes_at_its_rate_and_is_not_answered),
        cmocka_unit_test(the_seed_decides_what_is_lost),
        cmocka_unit_test(a_stalled_client_closes_its_window),
        cmocka_unit_test(a_dead_client_answers_nothing),
        cmocka_unit_test(a_packet_that_the_card_cuts_counts_as_its_segments),
        cmocka_unit_test(a_client_connects_and_begins_where_it_is_sent),
        cmocka_unit_test(answers_that_stand_in_the_clients_packets_exhaust_no_pool),
        cmocka_unit_test(a_refusal_is_counted),
        cmocka_unit_test(a_client_answers_the_end_with_its_own),
        cmocka_unit_test(packets_are_kept_until_their_descriptors_are_needed),
    };

    return cmocka_run_group_tests(tests, start_eal, stop_eal);
}
