#include "population/huge_memory.h"
#include "population/internal.h"

#include <rte_cycles.h>
#include <rte_lcore.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_IP            UINT32_C(0x0a000001) /* 10.0.0.1 */
#define FIRST_PORT          32768
#define CLIENTS_PER_ADDRESS 16

/* That may be handed out and not freed yet: the transmit ring is full of those that the server turned round as its answers. */
#define PACKETS       (4 * TRANSMIT_RING_ENTRIES - 1)
#define PACKET_CACHE  256
#define SACK_NUMBERS  UINT16_MAX
#define MAX_WINDOW    ((uint32_t)UINT16_MAX << WINDOW_SCALE)
#define RECORDS_LEAST 64
#define MAX_RTT_MS    60000

/* --- life --- */

static bool options_are_valid(const struct population_options *options)
{
    return options->clients >= 1 && options->clients <= POPULATION_MAX_CLIENTS && options->loss >= 0 && options->loss <= 1 &&
           (uint64_t)options->dead + options->stalled <= options->clients && options->window_bytes <= MAX_WINDOW &&
           options->stalled_bytes <= MAX_WINDOW && options->acks <= UINT8_MAX && options->mss > 0 && options->now &&
           options->rtt_ns / NS_PER_MS < MAX_RTT_MS;
}

static int number_pool_init(struct number_pool *pool, uint32_t last)
{
    pool->free = malloc(last * sizeof *pool->free);
    if (!pool->free)
        return -ENOMEM;
    for (uint32_t number = last; number > 0; number--)
        number_pool_give(pool, number);
    return 0;
}

static struct rte_mempool *create_packets(void)
{
    static unsigned created;
    char name[RTE_MEMPOOL_NAMESIZE];

    snprintf(name, sizeof name, "population%u", created++);
    return rte_pktmbuf_pool_create(name, PACKETS, PACKET_CACHE, 0, RTE_PKTMBUF_HEADROOM + 512, (int)rte_socket_id());
}

static int allocate(struct population *population)
{
    const struct population_options *options = &population->options;
    uint32_t records = options->stalled + (options->loss > 0 ? options->clients : 0) + RECORDS_LEAST;

    population->clients = huge_memory_map(options->clients * sizeof *population->clients);
    population->records = calloc(records + (size_t)1, sizeof *population->records);
    population->sacks = calloc(SACK_NUMBERS + (size_t)1, sizeof *population->sacks);
    population->packets = create_packets();
    if (!population->clients || !population->records || !population->sacks || !population->packets)
        return -ENOMEM;
    if (number_pool_init(&population->free_records, records) != 0 || number_pool_init(&population->free_sacks, SACK_NUMBERS) != 0)
        return -ENOMEM;
    if (frames_init(&population->frames) != 0 || delay_line_init(&population->line) != 0)
        return -ENOMEM;
    return transmit_ring_init(&population->ring);
}

int population_create(struct population **out, const struct population_options *options)
{
    struct population *population;
    int error;

    if (!options_are_valid(options))
        return -EINVAL;
    population = calloc(1, sizeof *population);
    if (!population)
        return -ENOMEM;
    population->options = *options;
    population->loss_threshold = options->loss >= 1 ? UINT64_MAX : (uint64_t)(options->loss * 0x1p64);
    population->until_verified = POPULATION_VERIFY_EVERY;
    population->burst_client = CLIENT_NONE;
    population->request_bytes = (uint32_t)strlen(population_request);
    random_seed(&population->random, options->seed);
    error = allocate(population);
    if (error != 0) {
        population_destroy(population);
        return error;
    }
    *out = population;
    return 0;
}

void population_destroy(struct population *population)
{
    if (!population)
        return;
    transmit_ring_dispose(&population->ring);
    delay_line_dispose(&population->line);
    frames_dispose(&population->frames);
    free(population->free_sacks.free);
    free(population->free_records.free);
    rte_mempool_free(population->packets);
    free(population->sacks);
    free(population->records);
    huge_memory_unmap(population->clients, population->options.clients * sizeof *population->clients);
    free(population);
}

/* --- clients --- */

uint32_t population_client_ip(uint32_t client)
{
    return FIRST_IP + client / CLIENTS_PER_ADDRESS;
}

uint16_t population_client_port(uint32_t client)
{
    return (uint16_t)(FIRST_PORT + client % CLIENTS_PER_ADDRESS);
}

/* A number that looks random: the finalizer of MurmurHash3. */
static uint32_t mix(const struct population *population, uint32_t client, uint32_t purpose)
{
    uint64_t value = population->options.seed + ((uint64_t)purpose << 32 | client);

    value = (value ^ value >> 33) * UINT64_C(0xff51afd7ed558ccd);
    value = (value ^ value >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return (uint32_t)(value ^ value >> 33);
}

uint32_t population_server_sequence(const struct population *population, uint32_t client)
{
    return mix(population, client, 1);
}

uint32_t population_client_sequence(const struct population *population, uint32_t client)
{
    return mix(population, client, 2);
}

uint32_t population_expected_sequence(const struct population *population, uint32_t client)
{
    return population->clients[client].expected;
}

uint32_t population_client_of(const struct population *population, uint32_t ip, uint16_t port)
{
    uint64_t address = ip - FIRST_IP, offset = (uint32_t)port - FIRST_PORT;
    uint64_t number = address * CLIENTS_PER_ADDRESS + offset;

    return offset < CLIENTS_PER_ADDRESS && number < population->options.clients ? (uint32_t)number : CLIENT_NONE;
}

/* Reads the clock: what is answered from now on arrives a round trip later. Returns the time in us, modulo 2^32. */
static uint32_t read_clock(struct population *population)
{
    uint64_t now_ns = population->options.now(population->options.context);

    population->due_us = (uint32_t)((now_ns + population->options.rtt_ns) / NS_PER_US);
    return (uint32_t)(now_ns / NS_PER_US);
}

void population_add_frame(struct population *population, const uint8_t *bytes, uint32_t length)
{
    frames_add(&population->frames, bytes, length);
}

void population_establish(struct population *population)
{
    for (uint32_t i = 0; i < population->options.clients; i++) {
        population->clients[i] = (struct client){
            .expected = population_server_sequence(population, i),
            .frame = population->frames.count,
            .has_place = true,
        };
        client_open(population, i);
    }
}

void population_connect(struct population *population, uint32_t first, uint32_t count)
{
    read_clock(population);
    for (uint32_t number = first; number < first + count && number < population->options.clients; number++) {
        struct client *client = &population->clients[number];

        if (client->state == CLIENT_REQUESTING) {
            client_answer(population, number, ANSWER_REQUEST);
        } else if (client->state < CLIENT_REQUESTING) {
            client->state = CLIENT_CONNECTING;
            client_answer(population, number, ANSWER_SYN);
        }
    }
}

/* --- bursts --- */

static uint16_t transmit(void *context, struct rte_mbuf **packets, uint16_t count)
{
    struct population *population = context;
    uint64_t begun = rte_rdtsc();

    for (uint16_t i = 0; i < count; i++)
        transmit_ring_add(&population->ring, packets[i]);
    uint64_t added = rte_rdtsc();
    population->figures.ring_cycles += added - begun;
    read_clock(population);
    for (uint16_t i = 0; i < count; i++)
        client_take_packet(population, packets[i]);
    client_end_burst(population);
    population->figures.client_cycles += rte_rdtsc() - added;
    return count;
}

static void count_answer(struct population *population, const struct answer *answer)
{
    population->figures.acks += answer->kind == ANSWER_ACK;
    if (answer->sack_blocks) {
        population->figures.sacks++;
        number_pool_give(&population->free_sacks, answer->sack_blocks);
    }
}

/* Hands out the oldest answers that have arrived at `now_us`. Returns how many. */
static uint16_t receive_answers(struct population *population, uint32_t now_us, struct rte_mbuf **packets, uint16_t count)
{
    uint16_t received = 0;

    while (received < count) {
        const struct answer *answer = delay_line_oldest(&population->line);

        if (!answer || (int32_t)(now_us - answer->due_us) < 0)
            break;
        struct rte_mbuf *packet = rte_pktmbuf_alloc(population->packets);
        if (!packet)
            break;
        answer_write(population, answer, packet);
        count_answer(population, answer);
        delay_line_remove_oldest(&population->line);
        packets[received++] = packet;
    }
    return received;
}

static uint16_t receive_flood(struct population *population, struct rte_mbuf **packets, uint16_t count)
{
    uint64_t due = flood_due(population, population->options.now(population->options.context));
    uint16_t received = 0;

    while (received < count && received < due) {
        struct rte_mbuf *packet = rte_pktmbuf_alloc(population->packets);

        if (!packet)
            break;
        flood_write(population, packet);
        packets[received++] = packet;
    }
    return received;
}

/* A flood takes at most half of the room, so that answers come through as they would among its packets. */
static uint16_t receive(void *context, struct rte_mbuf **packets, uint16_t count)
{
    struct population *population = context;
    uint64_t begun = rte_rdtsc();
    uint32_t now_us = read_clock(population);
    uint16_t received = 0;

    if (population->options.syns_per_s > 0)
        received = receive_flood(population, packets, count / 2);
    received += receive_answers(population, now_us, packets + received, count - received);
    population->figures.client_cycles += rte_rdtsc() - begun;
    return received;
}

struct dpdk_burst population_burst(struct population *population)
{
    return (struct dpdk_burst){.transmit = transmit, .receive = receive, .context = population};
}

void population_reclaim(struct population *population)
{
    transmit_ring_clean(&population->ring);
}

uint64_t population_next_arrival_ns(const struct population *population)
{
    const struct answer *answer = delay_line_oldest(&population->line);
    uint64_t now_us;

    if (!answer)
        return CLOCK_NEVER;
    now_us = population->options.now(population->options.context) / NS_PER_US;
    int32_t left_us = (int32_t)(answer->due_us - (uint32_t)now_us);
    return (now_us + (uint64_t)RTE_MAX(left_us, 0)) * NS_PER_US;
}

/* --- figures --- */

size_t population_memory_bytes(const struct population *population)
{
    return population->options.clients * sizeof *population->clients + delay_line_bytes(&population->line);
}

const struct population_figures *population_figures(const struct population *population)
{
    return &population->figures;
}

uint64_t population_faults(const struct population *population)
{
    const struct population_figures *figures = &population->figures;

    return figures->misplaced + figures->corrupt + figures->beyond_window + figures->unknown + figures->refused;
}
