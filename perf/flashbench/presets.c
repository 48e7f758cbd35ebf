#include "flashbench/presets.h"

#include <stddef.h>
#include <string.h>

#define FLOOR "floor=bare_loop"
#define RELAY "flashrelay"
/* The same relay under two labels, with options by which it does not cut off a subscriber that reads nothing. */
#define WITHOUT "without=flashrelay --client-send-timeout-ms 3600000 --message-buffer-size 1048576"
#define WITH    "with=flashrelay --client-send-timeout-ms 3600000 --message-buffer-size 1048576"

/* The last proxy is compared with each of the others, so flashrelay comes last; --against puts further proxies before it. */
static const struct preset presets[] = {
    {"floor",
     "whether bare_loop may be called the floor: CPU at 25 kB at most 0.9 of a send(2) loop",
     {"--proxy", "send=bare_loop --send", "--proxy", FLOOR}},
    {"epoll",
     "CPU per delivery on epoll, 25 kB, at most 1.05 of a send(2) loop; and against io_uring",
     {"--proxy", "send=bare_loop --send", "--proxy", "uring=flashrelay --engine uring", "--proxy",
      "epoll=flashrelay --engine epoll"}},
    {"cpu-1000",
     "CPU per delivery and last subscriber, 1,000 subscribers at 4, 25, 100 and 250 kB, against the floor",
     {"--proxy", FLOOR, "--proxy", RELAY, "--bytes", "4k,25k,100k,250k"}},
    {"cpu-5000",
     "CPU per delivery and last subscriber, 5,000 subscribers, 25 kB every 400 ms, against the floor",
     {"--proxy", FLOOR, "--proxy", RELAY, "--subscribers", "5000", "--interval", "400ms", "--duration", "6s"}},
    {"stalled-stay",
     "CPU and last subscriber with 100 more that read nothing and stay, against the relay and the floor without",
     {"--proxy", FLOOR, "--proxy", WITHOUT, "--proxy", WITH, "--stalled", "100", "--only", "with"}},
    {"stalled-return",
     "the same over 60 s with defaults, each of the 100 back 100 ms after it is cut off",
     {"--proxy", "without=flashrelay", "--proxy", "with=flashrelay", "--stalled", "100", "--reconnect", "100ms", "--duration",
      "60s", "--only", "with"}},
    {"memory",
     "memory per subscriber: 10,000 connected for 60 s, each replaced once, less the same relay for one subscriber",
     {"--proxy", "flashrelay --instance-connection-limit 10200", "--baseline", "flashrelay --instance-connection-limit 1",
      "--subscribers", "10000", "--interval", "400ms", "--duration", "60s", "--churn", "170"}},
    {"soak",
     "resident memory after 30 minutes of flashblocks and churn against after 5",
     {"--proxy", RELAY, "--bytes", "100k", "--duration", "30m", "--churn", "20"}},
    {"many",
     "18,000 subscribers, 1 kB every 400 ms, 60 s: every message at every subscriber",
     {"--proxy", RELAY, "--subscribers", "18000", "--bytes", "1k", "--interval", "400ms", "--duration", "60s"}},
    {"many-4k",
     "10,000 subscribers, 4 kB every 400 ms, 60 s: delivered without a disconnect",
     {"--proxy", RELAY, "--subscribers", "10000", "--bytes", "4k", "--interval", "400ms", "--duration", "60s"}},
    {"latency",
     "one subscriber, relay idle and polling, against two sockets and a loop that polls",
     {"--proxy", "forward=bare_loop --forward --busy-poll", "--proxy", "flashrelay --busy-poll --cpu-list 0", "--subscribers",
      "1", "--interval", "20ms"}},
    {"brotli",
     "brotli to 1,000, 100 kB: CPU of the whole relay per second",
     {"--proxy", "flashrelay --enable-compression", "--bytes", "100k"}},
    {"allocations",
     "what each thread of the relay allocates while 1,000 subscribers are served",
     {"--proxy", RELAY, "--scrape", "thread_allocated"}},
    {"bursts",
     "a hundred messages at once to 1,000 readers: none lost, nobody cut off",
     {"--proxy", RELAY, "--burst", "100", "--bytes", "1k", "--interval", "2s", "--duration", "20s"}},
    {"churn", "1,000 readers, 200 per second leave and return", {"--proxy", FLOOR, "--proxy", RELAY, "--churn", "200"}},
    {NULL, NULL, {NULL}},
};

const struct preset *preset_at(unsigned index)
{
    return &presets[index];
}

const struct preset *preset_find(const char *name)
{
    for (const struct preset *preset = presets; preset->name; preset++)
        if (strcmp(preset->name, name) == 0)
            return preset;
    return NULL;
}
