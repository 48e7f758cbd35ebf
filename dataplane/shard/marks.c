#include "shard/marks.h"

#include "shard/internal.h"

struct fanout_mark *marks_find(struct shard *shard, const struct shard_channel *channel)
{
    for (unsigned i = 0; i < shard->mark_count; i++)
        if (shard->marks[i].marks == channel->marks)
            return &shard->marks[i];
    struct fanout_mark *mark = &shard->marks[shard->mark_count++];
    *mark = (struct fanout_mark){.marks = channel->marks, .reader = channel->reader, .sequence = CHANNEL_MARK_NONE};
    return mark;
}

/* The lowest frame that this shard may still touch in the channels of one set of marks. */
static uint64_t lowest_of(const struct shard *shard, const struct fanout_mark *mark)
{
    uint64_t lowest = CHANNEL_MARK_NONE;

    for (unsigned i = 0; i < shard->options.channel_count; i++) {
        uint64_t own = shard->fanouts[i].mark == mark ? fanout_lowest(&shard->fanouts[i]) : CHANNEL_MARK_NONE;

        lowest = own < lowest ? own : lowest;
    }
    return lowest;
}

static void wake_publishers(struct shard *shard, const struct fanout_mark *mark)
{
    for (unsigned i = 0; i < shard->options.channel_count; i++)
        if (shard->fanouts[i].mark == mark && channel_is_waiting(shard->fanouts[i].channel) &&
            shard->options.channels[i].publisher)
            waker_wake(shard->options.channels[i].publisher, engine_waker(shard->engine));
}

void marks_publish(struct shard *shard)
{
    for (unsigned i = 0; i < shard->mark_count; i++) {
        struct fanout_mark *mark = &shard->marks[i];
        uint64_t lowest = lowest_of(shard, mark);

        if (lowest == mark->sequence)
            continue;
        mark->sequence = lowest;
        channel_mark_set(mark->marks, mark->reader, lowest);
        wake_publishers(shard, mark);
    }
}
