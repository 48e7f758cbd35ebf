#include "ingest/budget.h"

#include "flashrelay/ingest.h"

/* The budget of messages is refilled in portions, so that a flood costs few wake-ups. */
#define REFILL_NS       (10 * NS_PER_MS)
#define REFILL_MESSAGES ((uint32_t)(INGEST_MESSAGES_PER_S * REFILL_NS / NS_PER_S))

void budget_init(struct budget *budget)
{
    *budget = (struct budget){.messages_left = INGEST_MESSAGES_AT_ONCE};
    budget_begin_turn(budget, 0);
}

static void give_messages(struct budget *budget, uint64_t now_ns)
{
    uint64_t messages;

    if (now_ns < budget->refill_ns)
        return;
    messages = budget->messages_left + (1 + (now_ns - budget->refill_ns) / REFILL_NS) * REFILL_MESSAGES;
    budget->messages_left = messages < INGEST_MESSAGES_AT_ONCE ? (uint32_t)messages : INGEST_MESSAGES_AT_ONCE;
    budget->refill_ns = now_ns + REFILL_NS;
}

void budget_begin_turn(struct budget *budget, uint64_t now_ns)
{
    budget->frames_left = INGEST_FRAMES_PER_TURN;
    budget->unpacked_bytes_left = INGEST_UNPACKED_BYTES_PER_TURN;
    give_messages(budget, now_ns);
}

void budget_spend_frame(struct budget *budget)
{
    budget->frames_left -= budget->frames_left > 0;
}

void budget_spend_message(struct budget *budget, size_t unpacked_bytes)
{
    budget->messages_left -= budget->messages_left > 0;
    budget->unpacked_bytes_left -= unpacked_bytes < budget->unpacked_bytes_left ? unpacked_bytes : budget->unpacked_bytes_left;
}

bool budget_is_spent(const struct budget *budget)
{
    return budget->frames_left == 0 || budget->unpacked_bytes_left == 0 || budget->messages_left == 0;
}

uint64_t budget_deadline(const struct budget *budget)
{
    return budget->messages_left == 0 ? budget->refill_ns : 0;
}
