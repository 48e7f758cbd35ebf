#include "flashbench/presets.h"

#include <stddef.h>
#include <string.h>

#define FLOOR "floor=bare_loop"
#define RELAY "flashrelay"

/* flashrelay is the last proxy, so that it is what is compared; --against puts others before it. */
static const struct preset presets[] = {
    {"floor",
     "whether bare_loop may be called the floor: its CPU against a send(2) loop at 25 kB, at most 0.9",
     {"--proxy", "send=bare_loop --send", "--proxy", FLOOR, "--bytes", "25k"}},
    {"cpu-1000",
     "CPU a delivery, 1,000 subscribers at 4, 25 and 250 kB",
     {"--proxy", FLOOR, "--proxy", RELAY, "--bytes", "4k,25k,250k"}},
    {"cpu-5000",
     "CPU a delivery and last subscriber, 5,000 subscribers, 25 kB every 400 ms",
     {"--proxy", FLOOR, "--proxy", RELAY, "--subscribers", "5000", "--interval", "400ms", "--duration", "6s"}},
    {"last-1000", "median time until the last of 1,000 has a flashblock of 25 kB", {"--proxy", FLOOR, "--proxy", RELAY}},
    {"stalled-stay",
     "1,000 readers, and 100 beside them that never read and stay; the floor has none of those (run floor apart)",
     {"--proxy", "flashrelay --client-send-timeout-ms 3600000 --message-buffer-size 1048576", "--stalled", "100"}},
    {"stalled-return",
     "the same over 60 s with defaults, each of the 100 back 100 ms after it is cut off",
     {"--proxy", RELAY, "--stalled", "100", "--reconnect", "100ms", "--duration", "60s", "--rounds", "1"}},
    {"memory",
     "memory a subscriber: 10,000 connected, 60 s, each of them replaced once",
     {"--proxy", "flashrelay --log-memory 67108864 --log-prefault", "--subscribers", "10000", "--interval", "400ms", "--duration",
      "60s", "--churn", "170", "--rounds", "1"}},
    {"soak",
     "30 minutes of flashblocks and churn",
     {"--proxy", RELAY, "--subscribers", "500", "--bytes", "100k", "--duration", "30m", "--churn", "20", "--rounds", "1"}},
    {"many",
     "18,000 subscribers, 1 kB every 400 ms, 60 s: every message at every subscriber",
     {"--proxy", RELAY, "--subscribers", "18000", "--bytes", "1k", "--interval", "400ms", "--duration", "60s", "--rounds", "1"}},
    {"many-4k",
     "10,000 subscribers, 4 kB every 400 ms: delivered without a disconnect",
     {"--proxy", RELAY, "--subscribers", "10000", "--bytes", "4k", "--interval", "400ms", "--duration", "60s", "--rounds", "1"}},
    {"latency",
     "last byte offered to last byte at one subscriber, relay idle and polling, against a two-socket loop that polls",
     {"--proxy", "forward=bare_loop --forward --busy-poll", "--proxy", "flashrelay --busy-poll", "--subscribers", "1", "--bytes",
      "25k", "--interval", "20ms"}},
    {"brotli",
     "brotli to 1,000, 100 kB: CPU of the whole relay a second",
     {"--proxy", "flashrelay --enable-compression", "--bytes", "100k"}},
    {"bursts",
     "a hundred messages at once to 1,000 readers every 2 s",
     {"--proxy", RELAY, "--burst", "100", "--bytes", "1k", "--interval", "2s", "--duration", "10s", "--rounds", "1"}},
    {"churn", "1,000 readers, 200 a second leave and return", {"--proxy", FLOOR, "--proxy", RELAY, "--churn", "200"}},
    {NULL, NULL, {NULL}},
};

const struct preset *preset_at(unsigned index)
{
    return &presets[index];
}

const struct preset *preset_find(const char *name)
{
    for (const struct preset *preset = presets; preset->name != NULL; preset++)
        if (strcmp(preset->name, name) == 0)
            return preset;
    return NULL;
}
