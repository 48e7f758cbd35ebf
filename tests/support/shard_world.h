/* A shard and its subscribers on the simulated network: the fixture of the shard's tests. */
#ifndef TESTS_SUPPORT_SHARD_WORLD_H
#define TESTS_SUPPORT_SHARD_WORLD_H

#include "flashrelay/admission.h"
#include "flashrelay/channel.h"
#include "flashrelay/engine_sim.h"
#include "flashrelay/shard.h"
#include "support/mock_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHARD_WORLD_PORT = 8545, SHARD_WORLD_CLIENTS = 2048, SHARD_WORLD_ENTRIES = 1024, SHARD_WORLD_WINDOW_BYTES = 16384 };

struct shard_world {
    struct sim_network *network;
    struct channel_marks *marks;
    struct channel *channel;
    struct shard *shard;
    struct engine *engine; /* the shard's */
    struct waker *waker;
    struct engine *outside; /* the clients' */
    struct admission admission;
    struct admission_queue answers;
    bool admission_is_silent;
    enum admission_verdict verdict;
    int places; /* taken: entered minus left */
    struct ip_address last_ip;
    uint16_t last_app;
    uint64_t sequence;
    uint32_t sizes[4096]; /* payload bytes, by sequence */
    struct mock_client clients[SHARD_WORLD_CLIENTS];
    unsigned client_count;
};

/* A world's options: the shard's, and those of its surroundings. */
struct shard_world_options {
    struct shard_options shard;
    bool with_admission;
    size_t arena_bytes; /* 0: 1 MiB */
    uint32_t window_bytes, sends_per_turn;
    bool jitter;
    uint32_t short_send_permille, late_send_permille, zerocopy_permille;
};

/* Makes a world; a failure fails the test. */
struct shard_world *shard_world_open(struct shard_world_options options);
void shard_world_close(struct shard_world *world);

/* Does everything that is due now: turns of the shard and its clients, and the answers of admission, unless `admission_is_silent`. */
void shard_world_settle(struct shard_world *world);

/* Runs the world for `duration_ns` of virtual time. */
void shard_world_run(struct shard_world *world, uint64_t duration_ns);

/* Publishes a message of `size` bytes with the next sequence number. Returns what channel_append returns. */
int shard_world_try_publish(struct shard_world *world, uint32_t size);

/* The same; a failure fails the test. */
void shard_world_publish(struct shard_world *world, uint32_t size);

/* The byte at `offset` of the published message `sequence`. */
uint8_t shard_world_byte(uint64_t sequence, uint64_t offset);

const struct shard_counters *shard_world_counters(const struct shard_world *world);

/* How many subscribers the shard has ended for this cause. */
uint64_t shard_world_disconnects(const struct shard_world *world, enum disconnect_cause cause);

#endif
