#include "ingest/publish.h"

#include "flashrelay/brotli_codec.h"
#include "flashrelay/histogram.h"
#include "flashrelay/log.h"
#include "flashrelay/random.h"
#include "flashrelay/ws.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

static void draw_secret(struct publisher *publisher)
{
    struct random random;

    static_assert(sizeof publisher->secret >= XXH3_SECRET_SIZE_MIN, "as long as the hash needs it");
    random_seed(&random, publisher->options->secret);
    for (size_t i = 0; i < sizeof publisher->secret; i += sizeof(uint64_t)) {
        uint64_t drawn = random_next(&random);

        memcpy(publisher->secret + i, &drawn, sizeof drawn);
    }
}

int publisher_init(struct publisher *publisher, const struct ingest_options *options, struct ingest_counters *counters)
{
    *publisher = (struct publisher){.options = options, .counters = counters};
    list_init(&publisher->waiting);
    draw_secret(publisher);
    if (recent_create(&publisher->recent, INGEST_RECENT_ENTRIES, INGEST_RECENT_NS) != 0 ||
        brotli_arena_create(&publisher->arena) != 0 || message_buffer_init(&publisher->json, options->max_message_bytes) != 0) {
        publisher_dispose(publisher);
        return -ENOMEM;
    }
    return 0;
}

void publisher_dispose(struct publisher *publisher)
{
    recent_destroy(publisher->recent);
    brotli_arena_destroy(publisher->arena);
    message_buffer_dispose(&publisher->json);
    *publisher = (struct publisher){0};
}

/* True if a brotli message has to be decompressed: its JSON is published, or is compared with the messages of other upstreams. */
static bool needs_json(const struct publisher *publisher, const struct message *message)
{
    return (publisher->options->decompress || publisher->options->upstream_count > 1) && message->length > 0 &&
           !message_is_json(message->bytes, message->length);
}

static void log_dropped(const struct message *message, const char *why)
{
    log_line(LOG_WARN, "ingest", "dropped a message of %zu bytes from %s: %s", message->length, message->name, why);
}

/*
 * Decompresses the message; false if it has to be dropped. The identity of a message that is not brotli is that of its own bytes. Where JSON
 * is published, such a message is passed on only if it is text, which readers of JSON can at least read.
 */
static bool unpack(struct publisher *publisher, struct message *message)
{
    int error = brotli_arena_decompress(publisher->arena, message->bytes, message->length, publisher->json.bytes,
                                        publisher->json.capacity, &publisher->json.length);

    message->unpacked = error == 0;
    if (error != 0)
        publisher->json.length = publisher->json.capacity; /* the most that was touched, for message_buffer_clear */
    message->unpacked_bytes = publisher->json.length;
    if (error == -EMSGSIZE) {
        counter_add(&message->counters->too_big, 1);
        log_dropped(message, "its JSON is larger than a message may be");
        return false;
    }
    if (error == 0 || !publisher->options->decompress || (message->text && error == -EBADMSG))
        return true;
    counter_add(&message->counters->invalid, 1);
    log_dropped(message, error == -ENOMEM ? "it can't be decompressed: no memory" : "it is neither JSON nor brotli");
    return false;
}

static void identify(const struct publisher *publisher, struct message *message)
{
    const uint8_t *bytes = message->unpacked ? publisher->json.bytes : message->bytes;
    size_t length = message->unpacked ? publisher->json.length : message->length;
    XXH128_hash_t hash = XXH3_128bits_withSecret(bytes, length, publisher->secret, sizeof publisher->secret);

    message->identity = (struct recent_identity){.low = hash.low64, .high = hash.high64};
}

/* Decompresses and identifies a message, once per message. False if it has to be dropped. */
static bool examine(struct publisher *publisher, struct message *message)
{
    message->examined = true;
    message->unpacked = false;
    if (needs_json(publisher, message) && !unpack(publisher, message))
        return false;
    identify(publisher, message);
    return true;
}

static bool is_copy(struct publisher *publisher, struct message *message)
{
    uint64_t behind_ns;

    if (!recent_is_copy(publisher->recent, &message->identity, message->connection, message->arrived_ns, &behind_ns))
        return false;
    counter_add(&message->counters->duplicates, 1);
    histogram_record(&message->counters->behind_ns, behind_ns, 1);
    return true;
}

static void wake_readers(struct publisher *publisher)
{
    for (unsigned i = 0; i < publisher->options->waker_count; i++)
        waker_wake(publisher->options->wakers[i], publisher->waker);
    counter_add(&publisher->counters->reader_wakeups, publisher->options->waker_count);
}

static int append(struct publisher *publisher, const struct message *message)
{
    bool as_json = message->unpacked && publisher->options->decompress;
    const uint8_t *bytes = as_json ? publisher->json.bytes : message->bytes;
    size_t length = as_json ? publisher->json.length : message->length;
    struct channel *channel = publisher->options->channel;
    uint64_t floor = channel_floor(channel);
    int error = channel_append(channel, channel_head(channel) + 1, WS_BINARY, bytes, length, message->arrived_ns);

    if (error == 0 || channel_floor(channel) > floor) /* readers that sleep must let go of frames below it */
        wake_readers(publisher);
    if (error == 0) {
        counter_add(&publisher->counters->published, 1);
        counter_add(&publisher->counters->published_bytes, length);
    }
    return error;
}

static void count_outcome(struct publisher *publisher, const struct message *message, int error)
{
    if (error != 0) {
        counter_add(&message->counters->too_big, 1);
        log_dropped(message, "the log can never hold it");
        return;
    }
    recent_remember(publisher->recent, &message->identity, message->connection, message->arrived_ns);
    if (publisher->options->upstream_count > 1)
        counter_add(&message->counters->published_first, 1);
}

/* True if the message is done, that is published or dropped; false if there is no room for it now. */
static bool try_publish(struct publisher *publisher, struct message *message)
{
    if ((message->examined || examine(publisher, message)) && !is_copy(publisher, message)) {
        int error = append(publisher, message);

        if (error == -ENOSPC)
            return false;
        count_outcome(publisher, message, error);
    }
    message_buffer_clear(&publisher->json);
    return true;
}

bool publisher_offer(struct publisher *publisher, struct message *message)
{
    message->examined = false;
    message->unpacked_bytes = 0;
    if (list_is_empty(&publisher->waiting) && try_publish(publisher, message))
        return true;
    counter_add(&publisher->counters->waited_for_room, 1);
    list_append(&publisher->waiting, &message->waiting_node);
    return false;
}

bool publisher_is_waiting(const struct publisher *publisher)
{
    return !list_is_empty(&publisher->waiting);
}

struct message *publisher_retry(struct publisher *publisher)
{
    struct list_node *first = list_first(&publisher->waiting);
    struct message *message;

    if (!first)
        return NULL;
    message = LIST_ENTRY(first, struct message, waiting_node);
    if (!try_publish(publisher, message))
        return NULL;
    list_remove(&message->waiting_node);
    return message;
}

void publisher_withdraw(struct message *message)
{
    list_remove(&message->waiting_node);
}
