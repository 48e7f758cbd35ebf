/* flashbuilder: publishes generated or recorded flashblocks at a steady pace to any number of relays. */
#include "common/builder.h"
#include "common/command_line.h"
#include "common/flashblock_generator.h"
#include "flashbuilder/recording.h"
#include "flashrelay/clock.h"
#include "flashrelay/random.h"
#include "flashrelay/ws.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define LOOK_INTERVAL_NS (100 * NS_PER_MS) /* a sleeping builder checks this often whether it was asked to end */
#define IDLE_PATIENCE_NS (5 * NS_PER_S)    /* at the end, for relays to take what was published */
#define MAX_RELAYS       1024

struct flashbuilder_settings {
    struct address listen;
    uint64_t size, interval_ns, per_block, count, burst, wait_for, seed;
    const char *replay;
    bool same_ids, binary;
    double drop, duplicate, skip_index;
};

struct paced_publisher {
    const struct flashbuilder_settings *settings;
    struct builder *builder;
    struct flashblock_generator *generator; /* NULL if `recording` is sent instead */
    struct recording recording;
    struct random random;
    uint64_t made, sent, dropped, repeated, refused;
    const char *text; /* the message that is sent next */
    size_t length;
};

static volatile sig_atomic_t stop_requests;

static void on_signal(int number)
{
    (void)number;
    stop_requests++;
}

static bool happens(struct paced_publisher *publisher, double share)
{
    return share > 0 && (double)(random_next(&publisher->random) >> 11) * 0x1p-53 < share;
}

static void prepare_next(struct paced_publisher *publisher)
{
    const struct flashbuilder_settings *settings = publisher->settings;

    if (!publisher->generator) {
        const struct recorded_line *line = recording_next(&publisher->recording, settings->same_ids);

        publisher->text = line->text;
        publisher->length = line->length;
        return;
    }
    if (happens(publisher, settings->skip_index))
        flashblock_generator_skip_index(publisher->generator);
    const struct flashblock *flashblock = flashblock_generator_next(publisher->generator);

    publisher->text = flashblock->text;
    publisher->length = flashblock->length;
}

static void publish_text(struct paced_publisher *publisher)
{
    uint8_t opcode = publisher->settings->binary ? WS_BINARY : WS_TEXT;

    if (builder_publish(publisher->builder, opcode, publisher->text, publisher->length) == 0)
        publisher->sent++;
    else
        publisher->refused++;
}

/* Publishes the prepared message with the configured faults, and prepares the next. */
static void publish_one(struct paced_publisher *publisher)
{
    publisher->made++;
    if (publisher->generator)
        flashblock_generator_stamp(publisher->generator, clock_realtime_ns());
    if (happens(publisher, publisher->settings->drop)) {
        publisher->dropped++;
    } else {
        publish_text(publisher);
        if (happens(publisher, publisher->settings->duplicate)) {
            publish_text(publisher);
            publisher->repeated++;
        }
    }
    prepare_next(publisher);
}

static bool is_finished(const struct paced_publisher *publisher)
{
    return stop_requests > 0 || (publisher->settings->count > 0 && publisher->made >= publisher->settings->count);
}

static void turn_until(struct paced_publisher *publisher, uint64_t due_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t look_ns = now_ns + LOOK_INTERVAL_NS;

    builder_turn(publisher->builder, due_ns < look_ns ? due_ns : look_ns);
}

static void publish_all(struct paced_publisher *publisher)
{
    const struct flashbuilder_settings *settings = publisher->settings;
    uint64_t due_ns;

    while (builder_relays(publisher->builder) < settings->wait_for && stop_requests == 0)
        turn_until(publisher, CLOCK_NEVER);
    due_ns = clock_monotonic_ns() + settings->interval_ns;
    while (!is_finished(publisher)) {
        if (clock_monotonic_ns() < due_ns) {
            turn_until(publisher, due_ns);
            continue;
        }
        for (uint64_t i = 0; i < settings->burst && !is_finished(publisher); i++)
            publish_one(publisher);
        due_ns += settings->interval_ns * settings->burst;
        builder_turn(publisher->builder, 0);
    }
}

/* Waits until the relays have taken what was published, then closes their connections; another signal ends the wait. */
static void finish(struct paced_publisher *publisher)
{
    uint64_t deadline_ns = clock_monotonic_ns() + IDLE_PATIENCE_NS;
    int before = stop_requests;

    while (!builder_is_idle(publisher->builder) && clock_monotonic_ns() < deadline_ns && stop_requests == before)
        turn_until(publisher, deadline_ns);
    builder_drain(publisher->builder);
    while (!builder_is_drained(publisher->builder) && stop_requests == before)
        turn_until(publisher, CLOCK_NEVER);
}

static void read_settings(struct flashbuilder_settings *settings, struct paced_publisher *publisher, int argc, char **argv)
{
    const struct command_option options[] = {
        {"--listen-addr", "IP:PORT", "where relays connect (0.0.0.0:1111)", OPTION_ADDRESS, &settings->listen, 0, 0},
        {"--size", "BYTES", "of each flashblock, about (25k)", OPTION_BYTES, &settings->size, 1, FLASHBLOCK_MAX_BYTES},
        {"--interval", "TIME", "between flashblocks (200ms)", OPTION_DURATION, &settings->interval_ns, 1, 0},
        {"--flashblocks-per-block", "N", "index 0 included (10)", OPTION_NUMBER, &settings->per_block, 1, 10000},
        {"--replay", "FILE", "send recorded flashblocks instead, one JSON message per line, in a loop", OPTION_TEXT,
         &settings->replay, 0, 0},
        {"--same-ids", NULL, "keep the recorded payload ids in every pass", OPTION_SWITCH, &settings->same_ids, 0, 0},
        {"--count", "N", "end after so many flashblocks (0: never)", OPTION_NUMBER, &settings->count, 0, 0},
        {"--wait-for", "N", "begin when so many relays are connected (0)", OPTION_NUMBER, &settings->wait_for, 0, MAX_RELAYS},
        {"--binary", NULL, "send binary frames instead of text", OPTION_SWITCH, &settings->binary, 0, 0},
        {"--burst", "N", "publish N at once, N intervals apart (1)", OPTION_NUMBER, &settings->burst, 1, 100000},
        {"--drop", "SHARE", "leave out this share of the flashblocks (0)", OPTION_SHARE, &settings->drop, 0, 0},
        {"--duplicate", "SHARE", "send this share twice (0)", OPTION_SHARE, &settings->duplicate, 0, 0},
        {"--skip-index", "SHARE", "give this share an index one too high (0)", OPTION_SHARE, &settings->skip_index, 0, 0},
        {"--seed", "N", "of generated content and faults (1)", OPTION_NUMBER, &settings->seed, 0, 0},
    };
    const struct command_line line = {
        .program = "flashbuilder",
        .usage = "[OPTION]...",
        .summary = "Publishes flashblocks over WebSocket, on every path, to any number of relays.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    size_t bad_line;
    int result;

    command_line_parse(&line, argc, argv);
    if (!settings->replay)
        return;
    if (settings->skip_index > 0)
        command_line_fail(&line, "--skip-index: not with --replay, whose flashblocks keep their index");
    result = recording_load(&publisher->recording, settings->replay, &bad_line);
    if (result == -EBADMSG)
        command_line_fail(&line, "--replay: line %zu of '%s' is no flashblock: it has no payload_id of 16 hex digits", bad_line,
                          settings->replay);
    if (result == -ENODATA)
        command_line_fail(&line, "--replay: '%s' has no line that is not empty, expected one flashblock per line",
                          settings->replay);
    if (result != 0)
        command_line_fail(&line, "--replay: cannot read '%s': %s", settings->replay, strerror(-result));
}

static int start(struct paced_publisher *publisher)
{
    const struct flashbuilder_settings *settings = publisher->settings;
    struct flashblock_generator_options content = {
        .seed = settings->seed,
        .size_bytes = settings->size,
        .per_block = (unsigned)settings->per_block,
        .first_block_number = 1,
    };
    struct builder_options options = {
        .listen = settings->listen,
        .max_message_bytes = settings->replay ? publisher->recording.longest_bytes : settings->size + 4096,
        .max_relays = MAX_RELAYS,
    };
    char text[ADDRESS_TEXT_BYTES];
    int result = 0;

    random_seed(&publisher->random, settings->seed);
    if (!settings->replay)
        result = flashblock_generator_create(&publisher->generator, &content);
    if (result != 0) {
        fprintf(stderr, "flashbuilder: cannot generate flashblocks: %s\n", strerror(-result));
        return result;
    }
    result = builder_create(&publisher->builder, &options);
    if (result != 0) {
        fprintf(stderr, "flashbuilder: cannot listen on %s: %s\n", address_format(&settings->listen, text), strerror(-result));
        return result;
    }
    options.listen.port = builder_port(publisher->builder);
    printf("flashbuilder: listening on %s\n", address_format(&options.listen, text));
    fflush(stdout);
    prepare_next(publisher);
    return 0;
}

int main(int argc, char **argv)
{
    struct flashbuilder_settings settings = {
        .size = 25000,
        .interval_ns = 200 * NS_PER_MS,
        .per_block = 10,
        .burst = 1,
        .seed = 1,
    };
    struct paced_publisher publisher = {.settings = &settings};
    struct sigaction action = {.sa_handler = on_signal};
    int result;

    address_parse(&settings.listen, "0.0.0.0:1111");
    read_settings(&settings, &publisher, argc, argv);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    result = start(&publisher);
    if (result == 0) {
        publish_all(&publisher);
        finish(&publisher);
        printf("flashbuilder: %" PRIu64 " flashblocks sent, %" PRIu64 " left out, %" PRIu64 " sent twice\n",
               publisher.made - publisher.dropped, publisher.dropped, publisher.repeated);
    }
    if (publisher.refused > 0)
        fprintf(stderr, "flashbuilder: %" PRIu64 " messages found no room\n", publisher.refused);
    builder_destroy(publisher.builder);
    flashblock_generator_destroy(publisher.generator);
    recording_dispose(&publisher.recording);
    return result == 0 && publisher.refused == 0 ? 0 : 1;
}
