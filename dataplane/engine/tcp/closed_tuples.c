#include "engine/tcp/closed_tuples.h"

#include "engine/tcp/sequence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Twice the time that a segment may live in the network, as Linux has it. */
#define LIFE_TICKS TICKS_OF_MS(60000)

int closed_tuples_init(struct closed_tuples *closed)
{
    *closed = (struct closed_tuples){.ring = calloc(CLOSED_TUPLES, sizeof *closed->ring),
                                     .heads = calloc(CLOSED_TUPLES, sizeof *closed->heads),
                                     .next = calloc(CLOSED_TUPLES, sizeof *closed->next)};
    return closed->ring && closed->heads && closed->next ? 0 : -ENOMEM;
}

void closed_tuples_dispose(struct closed_tuples *closed)
{
    free(closed->ring);
    free(closed->heads);
    free(closed->next);
    *closed = (struct closed_tuples){0};
}

/* Peers choose their ports, but a chain has no more tuples than the ring, and only those of connections that were established. */
static uint16_t *chain_of(const struct closed_tuples *closed, const struct ip_address *remote, uint16_t port)
{
    uint32_t words[4], hash = port;

    memcpy(words, remote->bytes, sizeof words);
    for (unsigned i = 0; i < 4; i++)
        hash = (hash ^ words[i]) * 0x9e3779b1;
    return &closed->heads[hash >> (32 - 12)];
}

static void unlink_tuple(struct closed_tuples *closed, uint16_t number)
{
    const struct closed_tuple *tuple = &closed->ring[number];
    uint16_t *link = chain_of(closed, &tuple->remote, tuple->remote_port);

    while (*link != number + 1)
        link = &closed->next[*link - 1];
    *link = closed->next[number];
}

void closed_tuples_add(struct closed_tuples *closed, const struct closed_tuple *tuple)
{
    uint16_t number = (uint16_t)(closed->written % CLOSED_TUPLES);
    uint16_t *head = chain_of(closed, &tuple->remote, tuple->remote_port);

    if (closed->written >= CLOSED_TUPLES)
        unlink_tuple(closed, number);
    closed->written =
        closed->written < CLOSED_TUPLES ? closed->written + 1 : (closed->written + 1) % CLOSED_TUPLES + CLOSED_TUPLES;
    closed->ring[number] = *tuple;
    closed->ring[number].is_live = true;
    closed->next[number] = *head;
    *head = (uint16_t)(number + 1);
}

struct closed_tuple *closed_tuples_find(const struct closed_tuples *closed, const struct ip_address *remote, uint16_t remote_port,
                                        uint8_t local, uint32_t now)
{
    for (uint16_t link = *chain_of(closed, remote, remote_port); link != 0; link = closed->next[link - 1]) {
        struct closed_tuple *tuple = &closed->ring[link - 1];

        if (tuple->is_live && tuple->remote_port == remote_port && tuple->local == local &&
            ip_address_equal(&tuple->remote, remote))
            return now - tuple->closed_at < LIFE_TICKS ? tuple : NULL;
    }
    return NULL;
}
