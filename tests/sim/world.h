/*
 * A whole data plane in a simulated world: builders and subscribers that behave as real ones do, well and badly, and checks after every
 * step. All from one seed.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "access/limits.h"
#include "flashrelay/admission.h"
#include "flashrelay/encoder.h"
#include "flashrelay/engine_sim.h"
#include "flashrelay/ingest.h"
#include "flashrelay/random.h"
#include "flashrelay/shard.h"
#include "flashrelay/ws_client.h"

#include <stdbool.h>
#include <stdint.h>

#define MAX_SHARDS   3
#define MAX_BUILDERS 3
#define MAX_CLIENTS  20
#define CLIENT_HOSTS 3
#define RELAY_PORT   8545
#define BUILDER_PORT 1111
#define MAX_CONTENTS 4096

/* What a seed draws before it begins. */
struct plan {
    uint64_t seed;
    struct sim_network_options network;
    unsigned shards, builders, clients;
    unsigned flashblocks;
    uint64_t interval_ns; /* between flashblocks, on average */
    uint32_t burst_permille;
    uint32_t payload_bytes; /* most, of one message */
    uint32_t
        grain_bytes; /* frames are of this size, times n, or a byte larger: so they often fit just, or just not; 0: any size */
    uint64_t max_message_bytes;
    bool compress;
    uint32_t brotli_permille; /* of the builders' messages */
    size_t arena_bytes;
    uint32_t entries;
    uint32_t message_buffer_size;
    uint64_t send_timeout_ns;
    bool client_ping;
    uint64_t ping_interval_ns, pong_timeout_ns;
    uint32_t instance_limit, ip_limit;
    bool limited; /* there are fewer places than may be wanted */
    uint32_t sends_per_turn;
    uint32_t client_fault_permille, builder_fault_permille; /* chance each time one acts */
    uint32_t hiccup_permille;                               /* chance a step that time passes although a thread could run */
    bool drain;                                             /* the run ends with a shutdown instead of everybody leaving */
};

void plan_draw(struct plan *plan, uint64_t seed);
void plan_print(const struct plan *plan);

/* One message's JSON (or whatever), as builders send it and as brotli of it. */
struct content {
    uint8_t *bytes;
    size_t length;
    uint8_t *brotli; /* NULL until it was needed */
    size_t brotli_length;
    bool sent;                  /* at least once, by somebody */
    bool shared;                /* all builders may send it; else one, several times */
    bool published;             /* at least once */
    uint64_t published_ns;      /* when last */
    const struct feed *brought; /* of what is not shared: by which connection last */
};

/* A frame of a channel as it was when it was published. */
struct published_frame {
    const struct content *content; /* NULL: a gap */
    uint8_t *payload;
    size_t length;
};

/* All that was published in one channel, by sequence number. */
struct record {
    struct channel *channel;
    struct published_frame *frames;
    size_t count, capacity; /* frames[sequence], the first unused */
};

/* One connection of a simulated peer, with what it wants to say and has not said yet. */
struct sim_line {
    enum sim_line_kind { LINE_CLIENT, LINE_FEED } kind;
    struct sim_world *world;
    struct engine *engine;
    struct connection *connection; /* NULL before and after */
    uint8_t *bytes;
    size_t length, capacity;
    uint64_t said_bytes;  /* ever */
    uint64_t taken_bytes; /* by the network */
    bool finish;          /* FIN after the rest */
};

void sim_line_dispose(struct sim_line *line);
void sim_line_say(struct sim_line *line, const void *bytes, size_t length);
void sim_line_finish(struct sim_line *line);
/* Says what there is to say, once the engine has room for it. */
void sim_line_flush(struct sim_line *line);
/* The other end of its connection, or NULL. */
struct connection *sim_line_other_end(const struct sim_line *line);
/* An engine with the handlers of simulated peers. */
struct engine *sim_line_engine_create(struct sim_world *world, struct ip_address ip, void *context);

/* A message that a builder sent on one connection. */
struct sent {
    struct content *content;
    bool brotli;
    uint64_t end; /* said_bytes after it */
};

/* One connection from the relay to a builder. */
struct feed {
    struct sim_line line;
    struct sim_builder *builder;
    struct feed *next;
    unsigned number;
    bool upgraded, close_sent, close_received, misbehaved, mute, stalled;
    char request[8192];
    size_t request_length;
    struct ws_reader reader;
    uint64_t next_ping, next_pong; /* payloads of our pings, and of the answers expected */
    struct sent *sent;
    size_t sent_count, sent_capacity;
    size_t next_sent; /* everything before it has surely been published or dropped */
};

/* A flashblock on its way to a builder. */
struct pending {
    struct content *content;
    uint64_t due_ns;
};

struct sim_builder {
    struct sim_world *world;
    unsigned index;
    struct engine *engine;
    struct random random;
    struct feed *feeds; /* all that ever were, the newest first */
    struct pending *pending;
    size_t pending_count, pending_capacity;
    uint64_t act_ns, unstall_ns;
    unsigned refusals; /* how many of the next upgrades are refused */
};

enum client_state { CLIENT_AWAY, CLIENT_CONNECTING, CLIENT_ASKING, CLIENT_OPEN, CLIENT_REFUSED, CLIENT_LEAVING };

struct client {
    struct sim_line line;
    unsigned index;
    struct random random;
    enum client_state state;
    uint64_t act_ns, unstall_ns;
    uint64_t opened_ns;

    /* Of the current connection. */
    int expected_status; /* of the answer; 0: none, we send half a request */
    struct ws_client_options ws_options;
    struct ws_client ws; /* not told of a close of ours, so that it reports all that comes behind it */
    uint8_t head[WS_CLIENT_HEAD_BYTES];
    uint8_t *message;
    size_t message_length;
    uint64_t first_from, first_to; /* the first frame has a sequence number between these */
    uint64_t first, received;      /* as assumed, and how many frames since; first 0: none yet */
    uint64_t next_ping, next_pong;
    uint64_t pings_received;
    bool misbehaved; /* broke the protocol on purpose */
    bool left;       /* began to leave by itself */
    bool disturbed;  /* was reset, or stalled, or does not answer pings: may be cut off */
    bool close_sent, close_received, mute;
    bool was_blocked; /* its socket refused bytes at some moment */

    /*
     * Since when it refuses bytes and has not taken all, as the lag policy may see it at the most, and must see it at the least: who took
     * all and was offered more within one turn may have been seen to keep up.
     */
    bool behind;
    struct refusal {
        uint64_t head, ns;
    } refused_first, refused_surely;
    bool may_have_kept_up;         /* and has not refused bytes since */
    uint64_t took_ns;              /* when it last took a byte */
    uint64_t taken_at;             /* changes when it took some */
    uint64_t offered_to;           /* the end of what it had been offered */
    bool may_be_cut_if_it_refuses; /* in this turn: it is far behind, and waits for its turn to be served */
    unsigned shard;                /* whose it is then */
    uint64_t finishing_since_ns;   /* when the relay began to end it; 0: it has not */
};

/* The data plane under test, and the threads that drive it. */
struct plane {
    struct channel_marks source_marks, target_marks;
    struct channel *source, *target; /* the same where nothing is compressed */
    struct ingest *ingest;
    struct engine *ingest_engine;
    struct ws_uri upstreams[MAX_BUILDERS];
    struct encoder *encoder;
    struct shard *shards[MAX_SHARDS];
    struct engine *shard_engines[MAX_SHARDS];
    struct waker *shard_wakers[MAX_SHARDS];
    struct admission admission;
    struct admission_queue answers[MAX_SHARDS];
    struct limits *limits;
    struct waker *ingest_wakes[MAX_SHARDS + 1], *encoder_wakes[MAX_SHARDS + 1];
    struct waker *spies[2]; /* of the source and the target: told of every publish at once */
};

/* How many of a shard's subscribers its next turn may cut off at most, by cause, added to those it has cut off already. */
struct verdicts {
    uint64_t lagged, log_floor, send_timeout;
};

enum phase { PHASE_FLOW, PHASE_CALM, PHASE_END };

struct sim_world {
    struct plan plan;
    struct random random;
    struct sim_network *network;
    struct plane plane;
    struct record source, target; /* the same frames where nothing is compressed: then only `source` is used */
    struct content **contents;
    size_t content_count;
    struct content *empty; /* the one empty message there can be */
    struct sim_builder builders[MAX_BUILDERS];
    struct engine *client_engines[CLIENT_HOSTS];
    struct client clients[MAX_CLIENTS];
    enum phase phase;
    uint64_t phase_end_ns, next_flashblock_ns, stop_ns;
    unsigned produced;
    uint64_t thread_paused_until[MAX_SHARDS + 3];
    uint64_t steps, steps_at_this_time;
    uint64_t delivered; /* messages, to all subscribers */
    struct verdicts expected[MAX_SHARDS];
    bool draining;
};

/* What happened in all seeds so far: a run in which something never happened proves little. */
struct totals {
    uint64_t seeds, steps, published, delivered, duplicates, refusals, wraps, disconnects[DISCONNECT_CAUSES];
    uint64_t limited, bad_requests, handshake_timeouts, upstream_errors, compressed;
};

/* Runs one seed to its end; does not return if something is wrong. Adds to `totals`. */
void sim_world_run(const struct plan *plan, struct totals *totals);

static inline uint64_t sim_world_now(const struct sim_world *world)
{
    return sim_network_now(world->network);
}

static inline bool chance(struct random *random, uint32_t permille)
{
    return random_below(random, 1000) < permille;
}

/* In [low, high]. */
static inline uint64_t between(struct random *random, uint64_t low, uint64_t high)
{
    return low + random_below(random, high - low + 1);
}

/* --- what is under test (plane.c) --- */

void plane_create(struct sim_world *world);
void plane_destroy(struct sim_world *world);
/* The threads: ingest, shards, encoder, control. */
unsigned plane_threads(const struct sim_world *world);
bool plane_thread_is_runnable(const struct sim_world *world, unsigned thread);
uint64_t plane_thread_deadline(const struct sim_world *world, unsigned thread);
void plane_thread_turn(struct sim_world *world, unsigned thread);
const char *plane_thread_name(unsigned thread);

/* --- builders (builder.c, feed.c) --- */

void sim_builder_create(struct sim_world *world, unsigned index);
void sim_builder_destroy(struct sim_builder *builder);
/* It got a flashblock to send at `due_ns`. */
void sim_builder_give(struct sim_builder *builder, struct content *content, uint64_t due_ns);
uint64_t sim_builder_deadline(const struct sim_builder *builder);
void sim_builder_act(struct sim_builder *builder);

void feed_accept(struct sim_builder *builder, struct connection *connection);
size_t feed_received(struct feed *feed, uint8_t *bytes, size_t length);
void feed_closed(struct feed *feed, int error);
/* Sends a message as the seed likes it: text or binary, whole or in pieces. */
void feed_send(struct feed *feed, struct content *content);
/* Does something bad. */
void feed_misbehave(struct feed *feed);
void feed_close(struct feed *feed, uint16_t code);
bool feed_is_open(const struct feed *feed);
void feed_destroy(struct feed *feed);

/* --- subscribers (client.c, client_acts.c) --- */

void client_create(struct sim_world *world, unsigned index);
void client_destroy(struct client *client);
uint64_t client_deadline(const struct client *client);
void client_act(struct client *client);
void client_connected(struct client *client, int error);
size_t client_received(struct client *client, uint8_t *bytes, size_t length);
void client_closed(struct client *client, int error);
void client_connect(struct client *client);
void client_leave(struct client *client, bool politely);
void client_stall(struct client *client, bool stalled);
void client_misbehave(struct client *client);
void client_send_close(struct client *client, uint16_t code);
void client_send_control(struct client *client, uint8_t opcode, const void *payload, size_t length);

/* --- contents and what was published (content.c, record.c) --- */

struct content *content_create(struct sim_world *world, bool shared);
void content_pack(struct content *content);
void contents_destroy(struct sim_world *world);

/* The spies' reports: a frame was published. */
void record_source(struct sim_world *world);
void record_target(struct sim_world *world);
void record_dispose(struct record *record);
/* What subscribers receive. */
const struct record *record_of_subscribers(const struct sim_world *world);
/* A whole message reached a subscriber. */
void record_check_message(struct client *client, uint8_t opcode);
/* True if the subscriber has got everything up to the newest frame. */
bool record_is_complete(const struct client *client);
/* The frame that a subscriber must get next, behind those of `sequence`. */
uint64_t record_next_frame(const struct record *record, uint64_t sequence);

/* --- checks (check.c) --- */

/* Before and after every turn of a thread. */
void check_before_turn(struct sim_world *world);
void check_step(struct sim_world *world);
/* When no thread has anything to do at this moment. */
void check_rest(struct sim_world *world);
/* When all is calm: everything arrived. */
void check_calm(struct sim_world *world);
/* When all have left. */
void check_end(struct sim_world *world);

/* Why the subscriber may have been ended by the relay; fails if there is no reason. */
void check_ending(struct client *client, int error);

/* --- the lag policy (lag_check.c) --- */

/* Notes who refuses bytes, and since when; after every turn. */
void lag_note(struct sim_world *world);
/* How many may be cut off in the shards' next turns; and that no more were. */
void lag_expect(struct sim_world *world);
void lag_check_cuts(const struct sim_world *world);
/* When all threads sleep: nobody is there who should have been cut off. */
void lag_check_rest(const struct sim_world *world);

/* --- telling (main.c) --- */

_Noreturn void fail(const struct sim_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trace(const struct sim_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern bool tracing;

#endif
