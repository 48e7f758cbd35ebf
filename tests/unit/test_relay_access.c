/* A relay whose table of API keys is replaced again and again while clients connect: each request is checked with the current table. */
#include "access/admitter.h"
#include "flashrelay/clock.h"
#include "flashrelay/log.h"
#include "flashrelay/relay.h"

#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { SHARDS = 2, ADMITTER = SHARDS, READERS = SHARDS + 1, CLIENTS = 2, SWAPS = 500, CONNECTIONS = 100000, APPS = 2 };

static struct snapshot_group *snapshots;
static struct snapshot_slot access_slot;
static struct admission admission;
static struct limits *limits;
static struct admitter *admitter;
static struct relay *relay;
static struct ws_uri upstream;
static _Atomic bool stopping;

/* Publishes a table with the key "common", which every table has, and the key "k<number>", which no other has. */
static void publish(unsigned number)
{
    static char names[APPS][8] = {"common", "own"};
    char key[16];
    const struct access_app apps[APPS] = {{names[0], names[0], UINT32_MAX}, {names[1], key, UINT32_MAX}};
    struct access_table *table;

    snprintf(key, sizeof key, "k%u", number);
    assert_int_equal(access_table_create(&table, apps, APPS, false), 0);
    assert_int_equal(access_table_publish(snapshots, &access_slot, table, APPS), 0);
}

static void create_control(void)
{
    const struct limits_options options = {.instance_limit = CONNECTIONS, .apps = APPS, .seed = 1};
    struct admitter_options admitter_options = {
        .admission = &admission, .snapshots = snapshots, .reader = ADMITTER, .access = &access_slot};

    assert_int_equal(limits_create(&limits, &options), 0);
    admitter_options.limits = limits;
    assert_int_equal(admitter_create(&admitter, &admitter_options), 0);
}

static void create_relay(void)
{
    struct relay_options options = {
        .shards = SHARDS,
        .ingest = {.upstreams = &upstream,
                   .upstream_count = 1,
                   .max_message_bytes = 1 << 16,
                   .max_backoff_ns = NS_PER_S,
                   .ping_interval_ns = NS_PER_S,
                   .pong_timeout_ns = NS_PER_S},
        .shard = {.snapshots = snapshots, .access = &access_slot, .max_subscribers = CONNECTIONS, .message_buffer_size = 20},
        .admission = &admission,
        .apps = APPS,
        .log_memory_bytes = 1 << 20,
        .engine = "auto",
        .zerocopy = ENGINE_ZEROCOPY_OFF,
    };

    assert_int_equal(address_parse(&options.listen, "127.0.0.1:0"), 0);
    assert_int_equal(relay_create(&relay, &options), 0);
}

static int begin(void **state)
{
    const char *error;

    (void)state;
    log_configure(LOG_OFF, LOG_TEXT, STDERR_FILENO);
    assert_int_equal(ws_uri_parse(&upstream, "ws://127.0.0.1:1/", &error), 0);
    assert_int_equal(snapshot_group_create(&snapshots, READERS), 0);
    publish(0);
    create_control();
    create_relay();
    assert_int_equal(admitter_start(admitter), 0);
    return relay_start(relay);
}

static int end(void **state)
{
    (void)state;
    admitter_stop(admitter);
    relay_destroy(relay);
    admitter_destroy(admitter);
    limits_destroy(limits);
    snapshot_publish(snapshots, &access_slot, NULL);
    snapshot_group_destroy(snapshots);
    ws_uri_dispose(&upstream);
    return 0;
}

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(engine_listen_port(relay_shard_engine(relay, 0))),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct linger reset = {.l_onoff = 1}; /* leaves no port in TIME_WAIT */
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0 ? descriptor : -1;
}

/* Subscribes with this key; returns the status of the answer, 0 if there is none. */
static int subscribe(const char *key)
{
    char request[256], answer[64] = "";
    int descriptor = dial(), length, status = 0;

    length = snprintf(request, sizeof request,
                      "GET /ws/%s HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                      key);
    if (send(descriptor, request, (size_t)length, 0) == length && recv(descriptor, answer, sizeof answer - 1, MSG_WAITALL) > 0)
        sscanf(answer, "HTTP/1.1 %d", &status);
    close(descriptor);
    return status;
}

struct load {
    pthread_t thread;
    unsigned subscriptions, refused;
};

static void *subscribe_all_the_time(void *context)
{
    struct load *load = context;

    while (!atomic_load(&stopping)) {
        load->refused += subscribe("common") != 101;
        load->subscriptions++;
    }
    return NULL;
}

static void each_request_meets_the_table_of_its_time(void **state)
{
    struct load loads[CLIENTS] = {0};
    char key[16];

    (void)state;
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&loads[i].thread, NULL, subscribe_all_the_time, &loads[i]), 0);
    for (unsigned i = 1; i <= SWAPS; i++) {
        publish(i);
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(subscribe(key), 101);
        snprintf(key, sizeof key, "k%u", i - 1);
        assert_int_equal(subscribe(key), 401);
    }
    atomic_store(&stopping, true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(loads[i].thread, NULL);
        assert_true(loads[i].subscriptions > 0);
        assert_int_equal(loads[i].refused, 0);
    }
}

/* Every shard takes turns, whichever of them accepts the connections, so in the end only the newest table is left. */
static void what_was_replaced_is_freed_while_the_relay_runs(void **state)
{
    unsigned left = UINT32_MAX;

    (void)state;
    publish(SWAPS + 1);
    for (unsigned i = 0; i < 10000 && left > 0; i++) {
        subscribe("common");
        left = snapshot_reclaim(snapshots);
    }
    assert_int_equal(left, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_meets_the_table_of_its_time),
        cmocka_unit_test(what_was_replaced_is_freed_while_the_relay_runs),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
