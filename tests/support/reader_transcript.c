#include "support/reader_transcript.h"

#include "support/splits.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MESSAGE_BYTES 600

/* A reader's events, in a form that can be compared. */
struct reader_transcript {
    uint8_t *bytes;
    size_t length;
    size_t message_start; /* where the pieces of the unfinished message begin; they count once it is finished */
};

static void transcript_init(struct reader_transcript *transcript, size_t stream_length)
{
    /* An event takes at least one byte of the stream; the transcript has its bytes and four more. */
    transcript->bytes = malloc(stream_length * 5 + 64);
    transcript->length = transcript->message_start = 0;
}

static void transcript_add(struct reader_transcript *transcript, const void *bytes, size_t length)
{
    if (length != 0)
        memcpy(transcript->bytes + transcript->length, bytes, length);
    transcript->length += length;
}

/* Adds a control frame before the unfinished message within which it arrived. */
static void transcript_insert(struct reader_transcript *transcript, const uint8_t head[4], const uint8_t *bytes, size_t length)
{
    uint8_t *at = transcript->bytes + transcript->message_start;
    size_t inserted = 4 + length;

    memmove(at + inserted, at, transcript->length - transcript->message_start);
    memcpy(at, head, 4);
    if (length != 0)
        memcpy(at + 4, bytes, length);
    transcript->message_start += inserted;
    transcript->length += inserted;
}

static void transcript_note(struct reader_transcript *transcript, const struct ws_event *event)
{
    uint8_t head[4] = {(uint8_t)event->kind, event->opcode, (uint8_t)(event->code >> 8), (uint8_t)event->code};

    if (event->kind == WS_EVENT_NONE)
        return;
    if (event->kind == WS_EVENT_DATA) {
        transcript_add(transcript, event->bytes, event->length);
        if (event->last) {
            transcript_add(transcript, head, sizeof head);
            transcript->message_start = transcript->length;
        }
        return;
    }
    if (event->kind == WS_EVENT_ERROR) { /* how much of a broken message is reported before depends on the splits */
        transcript->length = transcript->message_start;
        transcript_insert(transcript, head, (const uint8_t *)event->reason, strlen(event->reason));
        return;
    }
    transcript_insert(transcript, head, event->bytes, event->length);
}

/* Reads `stream` in pieces, each in memory of exactly its size, so that the address sanitizer sees reads beyond it. */
static void transcript_read(struct reader_transcript *transcript, enum ws_role role, const uint8_t *stream, size_t length,
                            split *next_piece, uint32_t *state)
{
    struct ws_reader reader;

    ws_reader_init(&reader, role, MAX_MESSAGE_BYTES);
    while (length != 0) {
        size_t piece = next_piece(state, length), done = 0;
        uint8_t *exact = malloc(piece);

        memcpy(exact, stream, piece);
        while (done < piece) {
            struct ws_event event;

            done += ws_read(&reader, exact + done, piece - done, &event);
            transcript_note(transcript, &event);
            if (event.kind == WS_EVENT_NONE && done != piece)
                abort();
        }
        free(exact);
        stream += piece;
        length -= piece;
    }
}

void reader_transcript_check_splits(enum ws_role role, const uint8_t *input, size_t length)
{
    uint32_t seed = length < 2 ? 1 : 1 + input[0] + ((uint32_t)input[1] << 8);
    size_t skip = length < 2 ? length : 2;
    struct reader_transcript transcripts[3];

    for (int i = 0; i < 3; i++) {
        transcript_init(&transcripts[i], length);
        transcript_read(&transcripts[i], role, input + skip, length - skip, splits[i], &seed);
    }
    for (int i = 1; i < 3; i++)
        if (transcripts[i].length != transcripts[0].length ||
            memcmp(transcripts[i].bytes, transcripts[0].bytes, transcripts[0].length) != 0)
            abort();
    for (int i = 0; i < 3; i++)
        free(transcripts[i].bytes);
}
