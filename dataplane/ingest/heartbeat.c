#include "ingest/heartbeat.h"

#include "flashrelay/ingest.h"

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void heartbeat_start(struct heartbeat *heartbeat, uint64_t interval_ns, uint64_t timeout_ns, uint64_t now_ns)
{
    *heartbeat = (struct heartbeat){
        .interval_ns = interval_ns,
        .timeout_ns = timeout_ns,
        .next_ping_ns = now_ns,
        .pong_deadline_ns = now_ns + later(INGEST_PONG_GRACE_NS, timeout_ns),
    };
}

/* Puts the deadline off where a ping that goes out late, or an interval longer than the time-out, would leave no time to answer. */
static void await_pong(struct heartbeat *heartbeat, uint64_t now_ns)
{
    if (heartbeat->awaiting)
        return;
    heartbeat->awaiting = true;
    heartbeat->pong_deadline_ns =
        later(heartbeat->pong_deadline_ns, now_ns + earlier(heartbeat->timeout_ns, heartbeat->interval_ns));
}

enum heartbeat_action heartbeat_poll(struct heartbeat *heartbeat, uint64_t now_ns)
{
    if (heartbeat->awaiting && now_ns >= heartbeat->pong_deadline_ns)
        return HEARTBEAT_DEAD;
    if (now_ns < heartbeat->next_ping_ns)
        return HEARTBEAT_NONE;
    heartbeat->next_ping_ns = now_ns + heartbeat->interval_ns;
    await_pong(heartbeat, now_ns);
    return HEARTBEAT_PING;
}

void heartbeat_pong(struct heartbeat *heartbeat, uint64_t now_ns)
{
    heartbeat->awaiting = heartbeat->was_extended = false;
    heartbeat->pong_deadline_ns = now_ns + heartbeat->timeout_ns;
}

void heartbeat_extend(struct heartbeat *heartbeat, uint64_t now_ns)
{
    heartbeat->pong_deadline_ns = later(heartbeat->pong_deadline_ns, now_ns + heartbeat->timeout_ns);
}

bool heartbeat_extend_once(struct heartbeat *heartbeat, uint64_t now_ns)
{
    if (heartbeat->was_extended)
        return false;
    heartbeat->was_extended = true;
    heartbeat->pong_deadline_ns = now_ns + heartbeat->timeout_ns;
    return true;
}

uint64_t heartbeat_deadline(const struct heartbeat *heartbeat)
{
    return heartbeat->awaiting ? earlier(heartbeat->next_ping_ns, heartbeat->pong_deadline_ns) : heartbeat->next_ping_ns;
}
