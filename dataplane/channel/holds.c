#include "flashrelay/holds.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int holds_init(struct holds *holds, uint32_t window)
{
    assert(window != 0 && (window & (window - 1)) == 0);
    *holds = (struct holds){.mask = window - 1, .lowest = HOLDS_NONE};
    holds->counts = calloc(window, sizeof *holds->counts);
    return holds->counts ? 0 : -ENOMEM;
}

void holds_dispose(struct holds *holds)
{
    free(holds->counts);
    holds->counts = NULL;
}

void holds_add(struct holds *holds, uint64_t sequence)
{
    if (holds->total++ == 0) {
        holds->lowest = sequence;
        holds->highest = sequence;
    }
    if (sequence < holds->lowest)
        holds->lowest = sequence;
    if (sequence > holds->highest)
        holds->highest = sequence;
    assert(holds->highest - holds->lowest <= holds->mask);
    holds->counts[sequence & holds->mask]++;
}

void holds_remove(struct holds *holds, uint64_t sequence)
{
    uint32_t *count = &holds->counts[sequence & holds->mask];

    assert(holds->total > 0 && *count > 0);
    (*count)--;
    if (--holds->total == 0) {
        holds->lowest = HOLDS_NONE;
        return;
    }
    while (holds->counts[holds->lowest & holds->mask] == 0)
        holds->lowest++;
}

uint64_t holds_lowest(const struct holds *holds)
{
    return holds->lowest;
}
