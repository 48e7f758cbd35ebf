/*
 * The client's side of a connection: whatever a server answers and sends, the client ends in an orderly state, with an error that is fit for
 * a log, and with the same result however the stream is split.
 */
#include "flashrelay/ws_client.h"
#include "support/splits.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

enum { MAX_MESSAGE_BYTES = 600 };

/* The result of reading a stream. An unfinished message does not count, as the splits decide how much of it was reported. */
struct outcome {
    enum ws_client_state state;
    struct ws_client_answer answer;
    size_t answer_bytes, message_bytes, unfinished_bytes;
    unsigned messages, controls;
    uint16_t code; /* of a close or an error */
};

/* The key of RFC 6455, 1.3, to which the corpus has the answer; masks do not matter. */
static uint64_t draw(void *context)
{
    static const char KEY[] = "the sample nonce";
    unsigned *drawn = context;
    uint64_t half;

    memcpy(&half, &KEY[*drawn % 2 * sizeof half], sizeof half);
    (*drawn)++;
    return half;
}

static void count_event(struct outcome *outcome, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_DATA:
        outcome->unfinished_bytes += event->length;
        if (!event->last)
            break;
        outcome->messages++;
        outcome->message_bytes += outcome->unfinished_bytes;
        outcome->unfinished_bytes = 0;
        break;
    case WS_EVENT_PING:
    case WS_EVENT_PONG:
        outcome->controls++;
        break;
    case WS_EVENT_CLOSE:
    case WS_EVENT_ERROR:
        outcome->code = event->code;
        break;
    }
}

/* Checks that the client may report `event` in the state `before`, and that `after` is the state that follows. */
static void check_event(enum ws_client_state before, enum ws_client_state after, const struct ws_event *event)
{
    bool ends = event->kind == WS_EVENT_CLOSE || event->kind == WS_EVENT_ERROR;

    if (before == WS_CLIENT_CLOSED && event->kind != WS_EVENT_NONE)
        abort();
    if (before == WS_CLIENT_CLOSING && event->kind != WS_EVENT_NONE && !ends)
        abort();
    if (after != (ends ? WS_CLIENT_CLOSED : before))
        abort();
}

static size_t take(struct ws_client *client, struct outcome *outcome, uint8_t *bytes, size_t length)
{
    enum ws_client_state before = client->state;
    struct ws_event event;
    size_t taken;

    if (before == WS_CLIENT_UPGRADING) {
        taken = ws_client_read_answer(client, bytes, length, &outcome->answer);
        outcome->answer_bytes += taken;
        if (client->state == WS_CLIENT_UPGRADING && taken < length)
            abort();
        return taken;
    }
    if (before == WS_CLIENT_REFUSED)
        return length;
    taken = ws_client_read(client, bytes, length, &event);
    check_event(before, client->state, &event);
    count_event(outcome, &event);
    if (event.kind == WS_EVENT_NONE && taken < length)
        abort();
    return taken;
}

/* Reads the stream in pieces, each in memory of exactly its size; from byte `close_at` on, the client has closed. */
static struct outcome run(const uint8_t *input, size_t length, split *next_piece, size_t close_at)
{
    unsigned drawn = 0;
    const struct ws_client_options options = {.max_message_bytes = MAX_MESSAGE_BYTES, .next_random = draw, .context = &drawn};
    uint8_t *head = malloc(WS_CLIENT_HEAD_BYTES), frame[WS_MAX_CONTROL_FRAME];
    uint32_t random = 1 + (uint32_t)length;
    struct outcome outcome = {.code = 0};
    struct ws_client client;

    ws_client_start(&client, &options, head);
    for (size_t at = 0; at < length;) {
        size_t piece = next_piece(&random, length - at), done = 0;
        uint8_t *exact = malloc(piece);

        if (at >= close_at && client.state >= WS_CLIENT_OPEN && !client.close_written &&
            ws_client_write_close(&client, frame, WS_CLOSE_NORMAL, NULL) == 0)
            abort();
        memcpy(exact, input + at, piece);
        while (done < piece)
            done += take(&client, &outcome, exact + done, piece - done);
        free(exact);
        at += piece;
    }
    free(head);
    outcome.state = client.state;
    return outcome;
}

static void check_error(const struct outcome *outcome)
{
    if ((outcome->state == WS_CLIENT_REFUSED) != (outcome->answer.error[0] != '\0'))
        abort();
    for (const char *c = outcome->answer.error; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            abort();
}

/* True if the answer is no HTTP. The splits decide when the client notices: at the first piece, at an empty line, or at too many bytes. */
static bool is_no_answer(const struct outcome *outcome)
{
    return outcome->state == WS_CLIENT_UPGRADING || (outcome->state == WS_CLIENT_REFUSED && outcome->answer.status == 0);
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    if (is_no_answer(a) && is_no_answer(b))
        return;
    if (a->state != b->state || a->answer.status != b->answer.status || strcmp(a->answer.error, b->answer.error) != 0 ||
        a->answer_bytes != b->answer_bytes || a->messages != b->messages || a->message_bytes != b->message_bytes ||
        a->controls != b->controls || a->code != b->code)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    struct outcome whole = run(input, length, splits[0], SIZE_MAX);

    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        struct outcome outcome = run(input, length, splits[i], SIZE_MAX);

        check_error(&outcome);
        check_same(&whole, &outcome);
        run(input, length, splits[i], length / 2);
    }
    return 0;
}
