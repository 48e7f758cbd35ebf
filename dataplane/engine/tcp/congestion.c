#include "engine/tcp/congestion.h"

#include <math.h>

/* RFC 6928. */
#define INITIAL_SEGMENTS 10
/* RFC 6298 2.1, and its bounds as Linux has them: an ordinary delayed acknowledgement must not cause a time-out. */
#define INITIAL_TIMEOUT TICKS_OF_MS(1000)
#define MIN_TIMEOUT     TICKS_OF_MS(200)
#define MAX_TIMEOUT     TICKS_OF_MS(60000)
/* One round-trip time in so many is recorded for the metrics, as each delivery brings one. */
#define MEASUREMENTS_PER_RECORD 8
#define MAX_WINDOW              (1u << 30)
#define MAX_SEGMENTS            UINT16_MAX
/* RFC 9438, 5. */
#define CUBIC_BETA 0.7
#define CUBIC_C    0.4
/* The factor of Reno's growth that is as fair as CUBIC's decrease: 3 (1 - beta) / (1 + beta); RFC 9438, 4.3. */
#define RENO_ALPHA (3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA))

const uint16_t tcp_mss_classes[2][COOKIE_MSS_CLASSES] = {{536, 1220, 1300, 1360, 1400, 1440, 1460, 8960},
                                                         {516, 1200, 1280, 1340, 1380, 1420, 1440, 8940}};

uint8_t mss_class_of(uint16_t mss, uint16_t mtu, bool is_v6)
{
    uint32_t difference = is_v6 ? IPV6_BYTES - IPV4_BYTES : 0;
    uint32_t largest = mtu - IPV4_BYTES - TCP_BYTES;
    uint8_t class = COOKIE_MSS_CLASSES - 1;

    if (mss != 0 && mss + difference < largest)
        largest = mss + difference;
    if (mss == 0)
        largest = tcp_mss_classes[0][is_v6 ? 1 : 0]; /* RFC 9293, 3.7.1: 536, and 1,220 over IPv6 */
    while (class > 0 && tcp_mss_classes[0][class] > largest)
        class --;
    return class;
}

void congestion_init(struct tcp_connection *connection, const struct tcp_engine *engine)
{
    connection->cwnd = INITIAL_SEGMENTS * tcp_mss(connection);
    connection->ssthresh = MAX_WINDOW;
    connection->min_rtt = UINT32_MAX;
    connection->last_advance = engine->now;
}

/* --- round-trip times --- */

void congestion_measured(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t rtt)
{
    rtt = rtt > 0 ? rtt : 1;
    connection->backoff = 0; /* RFC 6298, 5.7: only a measurement ends the back-off */
    if (engine->measurements++ % MEASUREMENTS_PER_RECORD == 0) {
        histogram_record(&engine->counters.rtt_us, ((uint64_t)rtt << TICK_SHIFT) / NS_PER_US, 1);
        histogram_record(&engine->counters.cwnd_bytes, connection->cwnd, 1);
    }
    if (rtt < connection->min_rtt)
        connection->min_rtt = rtt;
    if (connection->srtt == 0) {
        connection->srtt = rtt;
        connection->rttvar = rtt / 2;
        return;
    }
    uint32_t difference = rtt > connection->srtt ? rtt - connection->srtt : connection->srtt - rtt;
    connection->rttvar += difference / 4 - connection->rttvar / 4;
    connection->srtt += rtt / 8 - connection->srtt / 8;
    connection->srtt = connection->srtt > 0 ? connection->srtt : 1;
}

uint32_t congestion_timeout(const struct tcp_connection *connection)
{
    uint64_t timeout = INITIAL_TIMEOUT;

    if (connection->srtt > 0)
        timeout = connection->srtt + (4 * connection->rttvar > MIN_TIMEOUT ? 4 * connection->rttvar : MIN_TIMEOUT);
    timeout <<= connection->backoff < 16 ? connection->backoff : 16;
    return timeout < MAX_TIMEOUT ? (uint32_t)timeout : MAX_TIMEOUT;
}

/* --- windows --- */

static double segments_of(const struct tcp_connection *connection, uint32_t bytes)
{
    return (double)bytes / tcp_mss(connection);
}

static uint16_t count_segments(const struct tcp_connection *connection)
{
    uint32_t segments = connection->cwnd / tcp_mss(connection);

    return (uint16_t)(segments < MAX_SEGMENTS ? segments : MAX_SEGMENTS);
}

static void begin_epoch(struct tcp_connection *connection, uint32_t now)
{
    connection->cubic_epoch = now;
    connection->cubic_start = count_segments(connection);
    if (connection->cubic_start == 0)
        connection->cubic_start = 1;
    if (connection->cubic_maximum < connection->cubic_start)
        connection->cubic_maximum = connection->cubic_start;
}

/* The window in segments that Reno would have (RFC 9438, 4.3): once it has reached the old maximum, it grows by a segment per round trip. */
static double reno_window(double start, double maximum, double round_trips)
{
    double until_maximum = (maximum - start) / RENO_ALPHA;

    return round_trips < until_maximum ? start + RENO_ALPHA * round_trips : maximum + round_trips - until_maximum;
}

/* The window in segments that CUBIC wants one round trip from now (RFC 9438, 4.2 and 4.3). */
static double cubic_target(const struct tcp_connection *connection, uint32_t now)
{
    double start = connection->cubic_start, maximum = connection->cubic_maximum;
    double since = (double)(now - connection->cubic_epoch) / TICKS_PER_S, rtt = (double)connection->srtt / TICKS_PER_S;
    double distance = since + rtt - cbrt((maximum - start) / CUBIC_C);
    double cubic = CUBIC_C * distance * distance * distance + maximum;
    double reno = rtt > 0 ? reno_window(start, maximum, since / rtt) : start;

    return cubic > reno ? cubic : reno;
}

static void avoid_congestion(struct tcp_connection *connection, uint32_t bytes, uint32_t now)
{
    double window = segments_of(connection, connection->cwnd), target;

    if (connection->cubic_start == 0)
        begin_epoch(connection, now);
    target = cubic_target(connection, now);
    target = target < 1.5 * window ? target : 1.5 * window;
    if (target > window)
        connection->cwnd += (uint32_t)((target - window) / window * bytes);
}

void congestion_grow(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t bytes)
{
    if (connection->cwnd < connection->ssthresh)
        connection->cwnd += bytes;
    else
        avoid_congestion(connection, bytes, engine->now);
    if (connection->cwnd > MAX_WINDOW)
        connection->cwnd = MAX_WINDOW;
}

void congestion_lost(struct tcp_connection *connection)
{
    uint16_t segments = count_segments(connection);
    uint32_t floor = 2 * tcp_mss(connection);

    /* RFC 9438, 4.7: a maximum below the last one means that others need room. */
    connection->cubic_maximum = segments < connection->cubic_maximum ? (uint16_t)(segments * (1 + CUBIC_BETA) / 2) : segments;
    connection->cubic_start = 0;
    connection->ssthresh = (uint32_t)(connection->cwnd * CUBIC_BETA);
    if (connection->ssthresh < floor)
        connection->ssthresh = floor;
}
