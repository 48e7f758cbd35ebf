/* flashcat: subscribes to a stream of flashblocks and prints them. */
#include "common/command_line.h"
#include "common/text.h"
#include "flashcat/stream.h"
#include "flashcat/summary.h"
#include "flashrelay/brotli_codec.h"
#include "flashrelay/clock.h"
#include "flashrelay/random.h"
#include "flashrelay/ws.h"
#include "flashrelay/ws_upgrade.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES        65536
#define MAX_ANSWER_BYTES  16384
#define MAX_REQUEST_BYTES 8192
#define MAX_MESSAGE_BYTES (64u << 20)
#define MAX_JSON_BYTES    (128u << 20)

struct subscription {
    const char *uri_text, *ca_file;
    uint64_t count, received;
    bool raw;
    struct ws_uri uri;
    struct stream stream;
    struct ws_reader reader;
    struct text message;
    struct random random;
    uint8_t *json; /* room for what is decompressed */
    bool over;
    int status;
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void end(struct subscription *subscription, int status)
{
    subscription->over = true;
    subscription->status = status;
}

static void complain(const char *message)
{
    fflush(stdout);
    fprintf(stderr, "flashcat: %s\n", message);
}

static void send_frame(struct subscription *subscription, uint8_t opcode, const void *payload, size_t length)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    uint64_t bits = random_next(&subscription->random);
    uint8_t mask[4];

    memcpy(mask, &bits, sizeof mask);
    if (!stream_write(&subscription->stream, frame, ws_write_control(frame, opcode, payload, length, mask)))
        end(subscription, 1);
}

/* The message as JSON, in its own bytes or decompressed. NULL if it is neither. */
static const char *message_json(struct subscription *subscription, size_t *length)
{
    const uint8_t *bytes = (const uint8_t *)subscription->message.bytes;

    *length = subscription->message.length;
    if (message_is_json(bytes, *length))
        return (const char *)bytes;
    if (!subscription->json)
        subscription->json = malloc(MAX_JSON_BYTES); /* touched only as far as it is used */
    if (!subscription->json ||
        brotli_decompress(bytes, subscription->message.length, subscription->json, MAX_JSON_BYTES, length) != 0)
        return NULL;
    return (const char *)subscription->json;
}

static void print_message(struct subscription *subscription)
{
    uint64_t now_ns = clock_realtime_ns();
    const char *error = "it is neither JSON nor brotli";
    struct summary summary;
    size_t length;
    const char *json = message_json(subscription, &length);

    if (json && subscription->raw) {
        fwrite(json, 1, length, stdout);
        putchar('\n');
    } else if (json && summary_read(&summary, json, length, &error)) {
        summary_print(&summary, now_ns, subscription->message.length, length);
    } else {
        fflush(stdout);
        fprintf(stderr, "flashcat: a message of %zu bytes is no flashblock: %s\n", subscription->message.length, error);
    }
    if (fflush(stdout) != 0)
        end(subscription, 1); /* nobody reads any more */
    if (++subscription->received == subscription->count)
        end(subscription, 0);
}

static void take_data(struct subscription *subscription, const struct ws_event *event)
{
    text_add(&subscription->message, (const char *)event->bytes, event->length);
    if (!event->last)
        return;
    print_message(subscription);
    text_clear(&subscription->message);
}

static void closed_by_peer(struct subscription *subscription, const struct ws_event *event)
{
    uint8_t code[2] = {(uint8_t)(event->code >> 8), (uint8_t)event->code};
    bool has_code = event->code != WS_CLOSE_NO_STATUS;

    fflush(stdout);
    fprintf(stderr, "flashcat: closed by the server with %u%s%.*s\n", event->code, event->length > 0 ? ": " : "",
            (int)event->length, (const char *)event->bytes);
    send_frame(subscription, WS_CLOSE, code, has_code ? sizeof code : 0);
    end(subscription, event->code == WS_CLOSE_NORMAL ? 0 : 1);
}

static void handle_event(struct subscription *subscription, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_EVENT_DATA:
        take_data(subscription, event);
        break;
    case WS_EVENT_PING:
        send_frame(subscription, WS_PONG, event->bytes, event->length);
        break;
    case WS_EVENT_CLOSE:
        closed_by_peer(subscription, event);
        break;
    case WS_EVENT_ERROR:
        complain(event->reason);
        end(subscription, 1);
        break;
    case WS_EVENT_NONE:
    case WS_EVENT_PONG:
        break;
    }
}

static void read_frames(struct subscription *subscription, uint8_t *bytes, size_t length)
{
    while (length > 0 && !subscription->over) {
        struct ws_event event;
        size_t taken = ws_read(&subscription->reader, bytes, length, &event);

        bytes += taken;
        length -= taken;
        handle_event(subscription, &event);
    }
}

/* What came after the head of a refusal, as far as it came with it: the server's own words. */
static void print_refusal(const struct ws_upgrade_answer *answer, const char *body, size_t length)
{
    fprintf(stderr, "flashcat: refused: %s", answer->error);
    if (length > 0)
        fprintf(stderr, ": %.*s", (int)length, body);
    fputc('\n', stderr);
}

/* Reads the answer to the upgrade; what follows it belongs to the stream. */
static bool read_answer(struct subscription *subscription, const uint8_t key[16])
{
    static char bytes[MAX_ANSWER_BYTES];
    size_t length = 0, consumed = 0;
    struct ws_upgrade_answer answer = {0};

    for (;;) {
        ssize_t got = stream_read(&subscription->stream, bytes + length, sizeof bytes - length);

        if (got <= 0) {
            complain(stopped ? "stopped" : "the connection ended before an answer came");
            return false;
        }
        length += (size_t)got;
        switch (ws_upgrade_answer_parse(&answer, bytes, length, key, &consumed)) {
        case HTTP_PARSE_INCOMPLETE:
            continue;
        case HTTP_PARSE_DONE:
            if (answer.status == 101 && answer.error[0] == '\0') {
                ws_reader_init(&subscription->reader, WS_CLIENT, MAX_MESSAGE_BYTES);
                read_frames(subscription, (uint8_t *)bytes + consumed, length - consumed);
                return true;
            }
            got = stream_read(&subscription->stream, bytes + length, sizeof bytes - length);
            length += got > 0 ? (size_t)got : 0;
            break;
        case HTTP_PARSE_BAD:
        case HTTP_PARSE_TOO_LARGE:
            consumed = length;
            break;
        }
        print_refusal(&answer, bytes + consumed, length - consumed);
        return false;
    }
}

static bool upgrade(struct subscription *subscription)
{
    char error[STREAM_ERROR_BYTES], request[MAX_REQUEST_BYTES];
    uint64_t words[2] = {random_next(&subscription->random), random_next(&subscription->random)};
    uint8_t key[16];
    long length;

    memcpy(key, words, sizeof key);
    if (!stream_open(&subscription->stream, &subscription->uri, subscription->ca_file, error)) {
        complain(error);
        return false;
    }
    length = ws_write_upgrade_request(request, sizeof request, &subscription->uri, key);
    if (length < 0 || !stream_write(&subscription->stream, request, (size_t)length)) {
        complain(length < 0 ? "the URI is too long" : "the connection ended");
        return false;
    }
    return read_answer(subscription, key);
}

static void read_stream(struct subscription *subscription)
{
    static uint8_t bytes[READ_BYTES];

    while (!subscription->over && !stopped) {
        ssize_t length = stream_read(&subscription->stream, bytes, sizeof bytes);

        if (length > 0) {
            read_frames(subscription, bytes, (size_t)length);
        } else if (length != -EINTR) {
            complain(length == 0 ? "the connection ended without a close frame" : strerror((int)-length));
            end(subscription, 1);
        }
    }
}

static void read_command_line(struct subscription *subscription, int argc, char **argv)
{
    const struct command_option options[] = {
        {"--count", "N", "end after N flashblocks (0: never)", OPTION_NUMBER, &subscription->count, 0, 0},
        {"--raw", NULL, "print the JSON, one flashblock a line, e.g. for jq", OPTION_SWITCH, &subscription->raw, 0, 0},
        {"--ca", "FILE", "trust these certificates (PEM) instead of the system's", OPTION_TEXT, &subscription->ca_file, 0, 0},
    };
    const struct command_line line = {
        .program = "flashcat",
        .usage = "[OPTION]... URI",
        .summary = "Subscribes to flashblocks at a ws:// or wss:// URI, JSON or brotli, and prints a line for each:\n"
                   "time (UTC), payload_id, block, index, bytes, transactions, and its age if it has a time stamp.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = &subscription->uri_text,
        .operands_minimum = 1,
        .operands_maximum = 1,
    };
    const char *error;

    command_line_parse(&line, argc, argv);
    if (ws_uri_parse(&subscription->uri, subscription->uri_text, &error) != 0)
        command_line_fail(&line, "URI: %s", error); /* not the URI itself, which may hold a key */
}

int main(int argc, char **argv)
{
    struct subscription subscription = {.stream.descriptor = -1, .status = 1};
    struct sigaction action = {.sa_handler = on_signal};
    uint8_t normal[2] = {WS_CLOSE_NORMAL >> 8, WS_CLOSE_NORMAL & 0xff};

    read_command_line(&subscription, argc, argv);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    random_seed(&subscription.random, random_system_seed());
    if (upgrade(&subscription)) {
        read_stream(&subscription);
        if (stopped && !subscription.over)
            end(&subscription, 0);
        if (subscription.status == 0)
            send_frame(&subscription, WS_CLOSE, normal, sizeof normal);
    }
    stream_close(&subscription.stream);
    ws_uri_dispose(&subscription.uri);
    text_dispose(&subscription.message);
    free(subscription.json);
    return subscription.status;
}
