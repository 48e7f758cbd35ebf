#include "flashbench/member.h"

#include "flashrelay/brotli_codec.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST_HEADER 10 /* of a server's frame */

void crowd_member_begin(struct crowd_member *member, const struct messages *messages)
{
    member->state = CROWD_MEMBER_OPEN;
    member->close_code = 0;
    member->established = messages->head == 0;
    member->expected = messages->head == 0 ? 1 : 0;
    member->joined_at = 0;
    crowd_member_reset(member);
}

void crowd_member_reset(struct crowd_member *member)
{
    free(member->gathered);
    member->gathered = NULL;
    member->gathered_capacity = 0;
    member->message = NULL;
    member->position = 0;
    member->skip_left = 0;
    member->prefix_length = 0;
    member->packed = member->corrupt = member->whole = false;
}

size_t crowd_member_wants(const struct crowd_member *member, const struct crowd_member_rules *rules, size_t capacity)
{
    const struct bench_message *next = messages_find(rules->messages, member->expected);
    size_t beginning = LONGEST_HEADER + MESSAGE_PREFIX_BYTES;

    if (member->whole || !next || next->length <= rules->skip_above_bytes)
        return capacity;
    return beginning;
}

/* --- recognising and comparing --- */

static bool is_sampled(const struct crowd_member *member, const struct crowd_member_rules *rules)
{
    return (member->message->number + member->column) % rules->verify_every == 0;
}

/* Finds the message by its first bytes: MESSAGE_PREFIX_BYTES of them, or all if it has fewer. */
static void recognise(struct crowd_member *member, const struct crowd_member_rules *rules)
{
    size_t white = 0;

    while (white < member->prefix_length && member->prefix[white] <= ' ')
        white++;
    member->packed = white < member->prefix_length && member->prefix[white] != '{';
    member->message =
        messages_recognise(rules->messages, member->prefix, member->prefix_length, member->expected, member->packed);
    member->whole =
        member->packed || !member->message || member->message->length <= rules->skip_above_bytes || is_sampled(member, rules);
}

static void gather(struct crowd_member *member, const uint8_t *bytes, size_t length)
{
    if (member->position + length > member->gathered_capacity) {
        member->gathered_capacity = (member->position + length) * 2;
        member->gathered = realloc(member->gathered, member->gathered_capacity);
        if (!member->gathered)
            abort();
    }
    memcpy(member->gathered + member->position, bytes, length);
}

/* Compares a piece with the message that was sent, or keeps the piece if that message is not known yet. */
static void check(struct crowd_member *member, const uint8_t *bytes, size_t length)
{
    const struct bench_message *message = member->message;

    if (!message) {
        gather(member, bytes, length);
        return;
    }
    const uint8_t *sent = member->packed ? message->packed : message->bytes + message->header_length;
    size_t sent_length = member->packed ? message->packed_length : message->length;
    if (member->position + length > sent_length || memcmp(sent + member->position, bytes, length) != 0)
        member->corrupt = true;
}

/* Takes a piece of payload. The first bytes are collected until they identify the message. */
static void take_payload(struct crowd_member *member, const struct crowd_member_rules *rules, const uint8_t *bytes, size_t length,
                         bool last)
{
    while (member->prefix_length < MESSAGE_PREFIX_BYTES && length > 0) {
        member->prefix[member->prefix_length++] = *bytes++;
        length--;
    }
    if (member->position == 0 && member->prefix_length > 0 && (last || member->prefix_length == MESSAGE_PREFIX_BYTES)) {
        recognise(member, rules);
        check(member, member->prefix, member->prefix_length);
        member->position = member->prefix_length;
    }
    if (length > 0) {
        check(member, bytes, length);
        member->position += length;
    }
}

/* --- the end of a message --- */

/* Decompresses a brotli form not seen before. Its content must equal a message that was sent; the form is then kept with that message. */
static void unpack(struct crowd_member *member, const struct crowd_member_rules *rules)
{
    size_t capacity = 0, length;

    for (unsigned i = 0; i < MESSAGES_KEPT; i++)
        capacity = rules->messages->kept[i].length > capacity ? rules->messages->kept[i].length : capacity;
    uint8_t *text = malloc(capacity + 1);
    if (!text)
        abort();
    if (brotli_decompress(member->gathered, member->position, text, capacity, &length) == 0) {
        size_t prefix = length < MESSAGE_PREFIX_BYTES ? length : MESSAGE_PREFIX_BYTES;
        struct bench_message *message = messages_recognise(rules->messages, text, prefix, member->expected, false);
        if (message && message->length == length && memcmp(message->bytes + message->header_length, text, length) == 0) {
            free(message->packed);
            message->packed = member->gathered;
            message->packed_length = member->position;
            member->gathered = NULL;
            member->message = message;
        }
    }
    free(text);
}

static void count_delivery(struct crowd_member *member, const struct crowd_member_rules *rules, const struct arrival *arrival)
{
    struct message_totals *totals = &rules->messages->totals;
    struct bench_message *message = member->message;
    uint64_t number = message->number;

    if (!member->established) {
        member->established = true;
        member->expected = number;
        member->joined_at = rules->messages->head;
        messages_owe(rules->messages, number, 1);
    }
    if (!message->open && number <= member->joined_at && number >= member->expected) {
        member->expected = number + 1;
        return;
    }
    if (number < member->expected && message->arrivals[member->column].read == 0)
        totals->reordered += message->measured;
    if (number >= member->expected)
        member->expected = number + 1;
    totals->verified_whole += member->whole && message->measured;
    messages_arrived(rules->messages, message, member->column, arrival);
}

static void finish_message(struct crowd_member *member, const struct crowd_member_rules *rules, const struct arrival *arrival)
{
    if (!member->message && member->packed && member->position > 0)
        unpack(member, rules);
    const struct bench_message *message = member->message;
    if (message && member->position != (member->packed ? message->packed_length : message->length))
        member->corrupt = true;
    if (!message || member->corrupt)
        rules->messages->totals.corrupt++;
    else
        count_delivery(member, rules, arrival);
    crowd_member_reset(member);
}

/* --- the stream --- */

/* Has the rest of the current frame dropped unread, if its beginning has identified the message and it is not compared whole. */
static void skip_rest(struct crowd_member *member)
{
    if (member->message && !member->whole && member->client.reader.frame_left > 1)
        member->skip_left = member->client.reader.frame_left;
}

static enum crowd_member_outcome take_event(struct crowd_member *member, const struct crowd_member_rules *rules,
                                            const struct ws_event *event, const struct arrival *arrival)
{
    switch (event->kind) {
    case WS_EVENT_DATA:
        take_payload(member, rules, event->bytes, event->length, event->last);
        if (event->last)
            finish_message(member, rules, arrival);
        return CROWD_MEMBER_WANTS_MORE;
    case WS_EVENT_PING:
        return CROWD_MEMBER_WANTS_PONG;
    case WS_EVENT_CLOSE:
        member->close_code = event->code;
        return CROWD_MEMBER_ENDED;
    case WS_EVENT_ERROR:
        member->close_code = 0;
        return CROWD_MEMBER_ENDED;
    case WS_EVENT_NONE:
    case WS_EVENT_PONG:
        break;
    }
    return CROWD_MEMBER_WANTS_MORE;
}

size_t crowd_member_take(struct crowd_member *member, const struct crowd_member_rules *rules, uint8_t *bytes, size_t length,
                         const struct arrival *arrival, struct ws_event *event, enum crowd_member_outcome *outcome)
{
    size_t taken = 0;

    *outcome = CROWD_MEMBER_WANTS_MORE;
    while (taken < length && *outcome == CROWD_MEMBER_WANTS_MORE) {
        taken += ws_client_read(&member->client, bytes + taken, length - taken, event);
        *outcome = take_event(member, rules, event, arrival);
    }
    skip_rest(member);
    return taken;
}

/* The frame's last byte was dropped with the others: the frame reader is given a space instead, so that it sees the end of the frame. */
void crowd_member_skipped(struct crowd_member *member, const struct crowd_member_rules *rules, size_t length,
                          const struct arrival *arrival)
{
    uint8_t stand_in = ' ';
    struct ws_event event;

    member->skip_left -= length;
    member->position += length;
    if (member->skip_left > 0)
        return;
    member->client.reader.frame_left = 1;
    ws_client_read(&member->client, &stand_in, 1, &event);
    if (event.kind == WS_EVENT_DATA && event.last)
        finish_message(member, rules, arrival);
}
