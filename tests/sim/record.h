/* The messages that builders send, and the record of those that were published. */
#ifndef TESTS_SIM_RECORD_H
#define TESTS_SIM_RECORD_H

#include "flashrelay/channel.h"

#define MAX_CONTENTS 4096

struct sim_world;
struct client;

/* One message: its bytes, mostly JSON, and the brotli form of them. */
struct content {
    uint8_t *bytes;
    size_t length;
    uint8_t *brotli; /* NULL until it is needed */
    size_t brotli_length;
    bool sent;                  /* at least once, by any builder */
    bool shared;                /* all builders may send it; else one builder, perhaps several times */
    bool is_bomb;               /* always sent as brotli */
    bool is_too_big;            /* as JSON: it must not be published */
    bool published;             /* at least once */
    uint64_t published_ns;      /* when it was last published */
    const struct feed *brought; /* if not shared: the connection that brought it last */
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

struct content *content_create(struct sim_world *world, bool shared);
/* Creates a small message, which may be sent thousands of times. */
struct content *content_create_tiny(struct sim_world *world);
/* Creates a message that is small as brotli and, as JSON, of the largest size that is allowed; larger if `is_too_big`. */
struct content *content_create_bomb(struct sim_world *world, bool is_too_big);
void content_pack(struct content *content);
void contents_destroy(struct sim_world *world);

/* Records and checks what was published in the channel just now. */
void record_published(struct sim_world *world, const struct channel *channel);
void record_dispose(struct record *record);
/* The newest sequence number, 0 while empty. */
uint64_t record_head(const struct record *record);
/* The record of the channel that the subscriber follows. */
const struct record *record_of(const struct client *client);
/* Checks a whole message, in client->message, that reached a subscriber. */
void record_check_message(struct client *client, uint8_t opcode);
/* True if the subscriber has received everything up to the newest frame. */
bool record_is_complete(const struct client *client);

#endif
