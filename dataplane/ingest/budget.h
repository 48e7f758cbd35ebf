/*
 * Bounds on the work that one upstream causes. Per turn of the ingest: frames, and bytes that are decompressed, so that other upstreams,
 * pings and time-outs get their turn in between. Per second: messages, so that no flood of tiny messages runs through the entries of the log
 * faster than subscribers can read them. Bytes beyond the budget wait in the engine, and then in the network.
 */
#ifndef DATAPLANE_INGEST_BUDGET_H
#define DATAPLANE_INGEST_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget {
    uint32_t frames_left; /* in this turn: pieces of messages, pings and the like */
    size_t unpacked_bytes_left;
    uint32_t messages_left; /* until more are given at `refill_ns` */
    uint64_t refill_ns;
};

/* Begins with INGEST_MESSAGES_AT_ONCE messages, the most that can be saved up. */
void budget_init(struct budget *budget);

/* Grants the frames and bytes of a turn, and the messages that are due by `now_ns`. */
void budget_begin_turn(struct budget *budget, uint64_t now_ns);

void budget_spend_frame(struct budget *budget);
/* Spends one whole message, and the bytes that were decompressed for it. */
void budget_spend_message(struct budget *budget, size_t unpacked_bytes);

/* True if nothing more is to be read from the upstream in this turn. */
bool budget_is_spent(const struct budget *budget);

/* When a spent budget lets reading go on; 0: with the next turn, at once. */
uint64_t budget_deadline(const struct budget *budget);

#endif
