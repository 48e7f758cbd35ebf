/* flashcat: subscribes to a stream of flashblocks and prints them. */
#include "common/command_line.h"
#include "common/printable.h"
#include "common/text.h"
#include "flashcat/stream.h"
#include "flashcat/summary.h"
#include "flashrelay/brotli_codec.h"
#include "flashrelay/clock.h"
#include "flashrelay/random.h"
#include "flashrelay/ws_client.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES        65536
#define MAX_REQUEST_BYTES 8192
#define MAX_MESSAGE_BYTES (64u << 20)
#define MAX_JSON_BYTES    (128u << 20)

struct subscription {
    const char *uri_text, *ca_file;
    uint64_t count, received;
    bool raw, on_terminal; /* on_terminal: standard output is a terminal */
    struct ws_uri uri;
    struct stream stream;
    struct ws_client_options client_options;
    struct ws_client client;
    struct text message;
    struct random random;
    uint8_t *json; /* memory for a decompressed message */
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

/* Prints a line on standard error, escaped, as it may hold text of the server. */
static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void complain(const char *format, ...)
{
    struct text line = {0};
    va_list arguments;
    char *message;

    va_start(arguments, format);
    int length = vasprintf(&message, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    printable_add(&line, message, (size_t)length);
    fflush(stdout);
    fprintf(stderr, "flashcat: %s\n", line.bytes);
    text_dispose(&line);
    free(message);
}

static void send_pong(struct subscription *subscription, const struct ws_event *ping)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    size_t length = ws_client_write_control(&subscription->client, frame, WS_PONG, ping->bytes, ping->length);

    if (!stream_write(&subscription->stream, frame, length))
        end(subscription, 1);
}

/* Sends a close frame, unless one has been sent. Whether it arrives makes no difference. */
static void send_close(struct subscription *subscription, uint16_t code)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];
    size_t length = ws_client_write_close(&subscription->client, frame, code, NULL);

    if (length > 0)
        stream_write(&subscription->stream, frame, length);
}

/* The message as JSON: unchanged, or decompressed. NULL if it is neither JSON nor brotli. */
static const char *message_json(struct subscription *subscription, size_t *length)
{
    const uint8_t *bytes = (const uint8_t *)subscription->message.bytes;

    *length = subscription->message.length;
    if (message_is_json(bytes, *length))
        return (const char *)bytes;
    if (!subscription->json)
        subscription->json = malloc(MAX_JSON_BYTES); /* its pages take up memory only as far as they are used */
    if (!subscription->json ||
        brotli_decompress(bytes, subscription->message.length, subscription->json, MAX_JSON_BYTES, length) != 0)
        return NULL;
    return (const char *)subscription->json;
}

/* Prints the JSON unchanged, for programs that read it; escaped on a terminal, which it must not control. */
static void print_raw(const struct subscription *subscription, const char *json, size_t length)
{
    struct text line = {0};

    if (subscription->on_terminal) {
        printable_add(&line, json, length);
        json = line.bytes;
        length = line.length;
    }
    fwrite(json, 1, length, stdout);
    putchar('\n');
    text_dispose(&line);
}

static void print_message(struct subscription *subscription)
{
    uint64_t now_ns = clock_realtime_ns();
    const char *error = "it is neither JSON nor brotli";
    struct summary summary;
    size_t length;
    const char *json = message_json(subscription, &length);

    if (json && subscription->raw) {
        print_raw(subscription, json, length);
    } else if (json && summary_read(&summary, json, length, &error)) {
        summary_print(&summary, now_ns, subscription->message.length, length);
    } else {
        complain("a message of %zu bytes is no flashblock: %s", subscription->message.length, error);
    }
    if (fflush(stdout) != 0)
        end(subscription, 1); /* standard output has been closed */
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
    complain("closed by the server with %u%s%.*s", event->code, event->length > 0 ? ": " : "", (int)event->length,
             (const char *)event->bytes);
    send_close(subscription, event->code);
    end(subscription, event->code == WS_CLOSE_NORMAL ? 0 : 1);
}

static void handle_event(struct subscription *subscription, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_EVENT_DATA:
        take_data(subscription, event);
        break;
    case WS_EVENT_PING:
        send_pong(subscription, event);
        break;
    case WS_EVENT_CLOSE:
        closed_by_peer(subscription, event);
        break;
    case WS_EVENT_ERROR:
        complain("%s", event->reason);
        send_close(subscription, event->code);
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
        size_t taken = ws_client_read(&subscription->client, bytes, length, &event);

        bytes += taken;
        length -= taken;
        handle_event(subscription, &event);
    }
}

/* Prints a refusal with the text of its body: the bytes that came with the answer's head, or else those that come next. */
static void print_refusal(struct subscription *subscription, const struct ws_client_answer *answer, const char *body,
                          size_t length)
{
    static char more[READ_BYTES];
    ssize_t got = 0;

    if (answer->status != 0 && length == 0) {
        got = stream_read(&subscription->stream, more, sizeof more);
        body = more;
        length = got > 0 ? (size_t)got : 0;
    }
    if (answer->status == 0)
        length = 0;
    complain("refused: %s%s%.*s", answer->error, length > 0 ? ": " : "", (int)length, body);
}

/* Reads the answer to the upgrade, and as frames the bytes that came behind it. */
static bool read_answer(struct subscription *subscription)
{
    static uint8_t bytes[READ_BYTES];
    struct ws_client_answer answer = {0};
    size_t length = 0, taken = 0;

    while (subscription->client.state == WS_CLIENT_UPGRADING) {
        ssize_t got = stream_read(&subscription->stream, bytes, sizeof bytes);

        if (got <= 0) {
            complain("%s", stopped ? "stopped" : "the connection ended before an answer came");
            return false;
        }
        length = (size_t)got;
        taken = ws_client_read_answer(&subscription->client, bytes, length, &answer);
    }
    if (subscription->client.state == WS_CLIENT_REFUSED) {
        print_refusal(subscription, &answer, (const char *)bytes + taken, length - taken);
        return false;
    }
    read_frames(subscription, bytes + taken, length - taken);
    return true;
}

static uint64_t next_random(void *context)
{
    struct subscription *subscription = context;

    return random_next(&subscription->random);
}

static bool upgrade(struct subscription *subscription)
{
    static uint8_t head[WS_CLIENT_HEAD_BYTES];
    char error[STREAM_ERROR_BYTES], request[MAX_REQUEST_BYTES];
    long length;

    if (!stream_open(&subscription->stream, &subscription->uri, subscription->ca_file, error)) {
        complain("%s", error);
        return false;
    }
    subscription->client_options = (struct ws_client_options){
        .uri = &subscription->uri, .max_message_bytes = MAX_MESSAGE_BYTES, .next_random = next_random, .context = subscription};
    ws_client_start(&subscription->client, &subscription->client_options, head);
    length = ws_client_write_request(&subscription->client, request, sizeof request);
    if (length < 0 || !stream_write(&subscription->stream, request, (size_t)length)) {
        complain("%s", length < 0 ? "the URI is too long" : "the connection ended");
        return false;
    }
    return read_answer(subscription);
}

static void read_stream(struct subscription *subscription)
{
    static uint8_t bytes[READ_BYTES];

    while (!subscription->over && !stopped) {
        ssize_t length = stream_read(&subscription->stream, bytes, sizeof bytes);

        if (length > 0) {
            read_frames(subscription, bytes, (size_t)length);
        } else if (length != -EINTR) {
            complain("%s", length == 0 ? "the connection ended without a close frame" : strerror((int)-length));
            end(subscription, 1);
        }
    }
}

static void read_command_line(struct subscription *subscription, int argc, char **argv)
{
    const struct command_option options[] = {
        {"--count", "N", "end after N flashblocks (0: never)", OPTION_NUMBER, &subscription->count, 0, 0},
        {"--raw", NULL, "print the JSON, one flashblock per line, e.g. for jq; escaped only on a terminal", OPTION_SWITCH,
         &subscription->raw, 0, 0},
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
        command_line_fail(&line, "URI: %s", error); /* the URI is not printed: it may hold a key */
}

int main(int argc, char **argv)
{
    struct subscription subscription = {.stream.descriptor = -1, .status = 1};
    struct sigaction action = {.sa_handler = on_signal};

    read_command_line(&subscription, argc, argv);
    subscription.on_terminal = isatty(STDOUT_FILENO) == 1;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    random_seed(&subscription.random, random_system_seed());
    if (upgrade(&subscription)) {
        read_stream(&subscription);
        if (stopped && !subscription.over)
            end(&subscription, 0);
        if (subscription.status == 0)
            send_close(&subscription, WS_CLOSE_NORMAL);
    }
    stream_close(&subscription.stream);
    ws_uri_dispose(&subscription.uri);
    text_dispose(&subscription.message);
    free(subscription.json);
    return subscription.status;
}
