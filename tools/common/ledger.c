#include "common/ledger.h"

#include <stdlib.h>
#include <string.h>

void ledger_init(struct ledger *ledger)
{
    memset(ledger, 0, sizeof *ledger);
    pthread_mutex_init(&ledger->mutex, NULL);
}

void ledger_dispose(struct ledger *ledger)
{
    for (unsigned i = 0; i < LEDGER_ENTRIES; i++)
        free(ledger->entries[i].bytes);
    pthread_mutex_destroy(&ledger->mutex);
}

/* The entry of a message that is kept, or NULL. */
static struct ledger_entry *find(struct ledger *ledger, uint64_t sequence)
{
    struct ledger_entry *entry = &ledger->entries[sequence % LEDGER_ENTRIES];

    return sequence != 0 && entry->sequence == sequence ? entry : NULL;
}

uint64_t ledger_append(struct ledger *ledger, const void *bytes, size_t length, uint64_t offered_ns)
{
    uint8_t *copy = malloc(length + 1);
    struct ledger_entry *entry;
    uint8_t *old;

    if (!copy)
        return 0;
    memcpy(copy, bytes, length);
    pthread_mutex_lock(&ledger->mutex);
    entry = &ledger->entries[++ledger->head % LEDGER_ENTRIES];
    old = entry->bytes;
    *entry = (struct ledger_entry){.sequence = ledger->head, .bytes = copy, .length = length, .offered_ns = offered_ns};
    pthread_mutex_unlock(&ledger->mutex);
    free(old);
    return entry->sequence;
}

/* True if the entry's message holds `bytes` at `offset`. */
static bool holds(const struct ledger_entry *entry, size_t offset, const uint8_t *bytes, size_t length)
{
    return offset + length <= entry->length && memcmp(entry->bytes + offset, bytes, length) == 0;
}

/* The newest message that begins like `alike` (which may be NULL if `offset` is 0) and goes on with `bytes`; 0 if none does. */
static uint64_t recognise(struct ledger *ledger, const struct ledger_entry *alike, size_t offset, const uint8_t *bytes,
                          size_t length)
{
    uint64_t oldest = ledger->head > LEDGER_ENTRIES ? ledger->head - LEDGER_ENTRIES + 1 : 1;

    for (uint64_t sequence = ledger->head; sequence >= oldest; sequence--) {
        const struct ledger_entry *entry = find(ledger, sequence);

        if (!holds(entry, offset, bytes, length))
            continue;
        if (offset == 0 || holds(entry, 0, alike->bytes, offset))
            return sequence;
    }
    return 0;
}

static void count_message(struct ledger *ledger, struct ledger_cursor *cursor, struct ledger_entry *entry, uint64_t now_ns)
{
    struct ledger_tally *tally = &ledger->tally;

    if (cursor->guest)
        tally->guest_deliveries++;
    else
        tally->deliveries++;
    if (cursor->expected != 0 && entry->sequence < cursor->expected) {
        tally->repeated++;
        return;
    }
    if (cursor->expected != 0)
        tally->lost += entry->sequence - cursor->expected;
    cursor->expected = entry->sequence + 1;
    if (cursor->guest)
        return;
    entry->deliveries++;
    entry->last_ns = now_ns;
    histogram_record(&tally->latency_ns, now_ns > entry->offered_ns ? now_ns - entry->offered_ns : 0, 1);
}

static void check(struct ledger *ledger, struct ledger_cursor *cursor, const uint8_t *bytes, size_t length, bool last,
                  uint64_t now_ns)
{
    struct ledger_entry *entry;

    if (cursor->offset == 0)
        cursor->current = cursor->expected;
    entry = find(ledger, cursor->current);
    if ((cursor->offset == 0 || entry) && (!entry || !holds(entry, cursor->offset, bytes, length))) {
        cursor->current = recognise(ledger, entry, cursor->offset, bytes, length);
        entry = find(ledger, cursor->current);
    }
    cursor->offset += length;
    if (!last)
        return;
    if (entry && entry->length == cursor->offset)
        count_message(ledger, cursor, entry, now_ns);
    else
        ledger->tally.corrupt++;
    cursor->offset = 0;
}

void ledger_check(struct ledger *ledger, struct ledger_cursor *cursor, const uint8_t *bytes, size_t length, bool last,
                  uint64_t now_ns)
{
    pthread_mutex_lock(&ledger->mutex);
    check(ledger, cursor, bytes, length, last, now_ns);
    pthread_mutex_unlock(&ledger->mutex);
}

void ledger_settle(struct ledger *ledger, struct ledger_cursor *cursor, uint64_t sequence)
{
    if (cursor->expected != 0 && cursor->expected <= sequence)
        ledger->tally.lost += sequence + 1 - cursor->expected;
    cursor->expected = 0;
    cursor->offset = 0;
}

uint64_t ledger_head(struct ledger *ledger)
{
    uint64_t head;

    pthread_mutex_lock(&ledger->mutex);
    head = ledger->head;
    pthread_mutex_unlock(&ledger->mutex);
    return head;
}

bool ledger_find(struct ledger *ledger, uint64_t sequence, struct ledger_entry *out)
{
    struct ledger_entry *entry;

    pthread_mutex_lock(&ledger->mutex);
    entry = find(ledger, sequence);
    if (entry)
        *out = *entry;
    out->bytes = NULL; /* the bytes remain the ledger's */
    pthread_mutex_unlock(&ledger->mutex);
    return entry != NULL;
}

void ledger_take_latency(struct ledger *ledger, struct histogram *into)
{
    histogram_merge(into, &ledger->tally.latency_ns);
    memset(&ledger->tally.latency_ns, 0, sizeof ledger->tally.latency_ns);
}

const struct ledger_tally *ledger_tally_get(const struct ledger *ledger)
{
    return &ledger->tally;
}
