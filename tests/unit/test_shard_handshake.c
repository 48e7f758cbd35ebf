#include "flashrelay/http.h"
#include "shard/internal.h"
#include "support/ip.h"
#include "support/shard_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define GET(path) "GET " path " HTTP/1.1\r\n"
#define HOST      "Host: relay\r\n"

static const struct access_app app = {.name = (char[]){"app"}, .key = (char[]){"k/1"}, .connection_limit = UINT32_MAX};

/* --- requests and their answers --- */

struct request_case {
    const char *request;
    int status;
    const char *text;
};

static void assert_answers(struct shard_world *world, const struct request_case *cases, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct mock_client *client = mock_client_request(world, cases[i].request);

        if (!mock_client_was_answered(client, cases[i].status, cases[i].text))
            fail_msg("%s\nexpected %d with %s, got\n%s", cases[i].request, cases[i].status, cases[i].text, client->head);
        assert_true(client->closed);
        assert_int_equal(client->close_error, 0);
    }
    assert_int_equal(counter_read(&shard_world_counters(world)->new_connections), 0);
    assert_int_equal(counter_read(&shard_world_counters(world)->handshaking), 0);
}

static void what_is_no_subscription_is_answered_with_a_reason(void **state)
{
    static const struct request_case cases[] = {
        {GET("/") HOST "\r\n", 404, "{\"message\":\"Not found\"}"},
        {GET("/ws/") UPGRADE_HEADERS, 404, "Content-Type: application/json"},
        {GET("/ws/key") UPGRADE_HEADERS, 404, "message"},
        {GET("/healthz") HOST "\r\n", 200, "{\"status\":\"ok\"}"},
        {"POST /healthz HTTP/1.1\r\n" HOST "\r\n", 405, "Allow: GET,HEAD\r\n"},
        {"POST /ws HTTP/1.1\r\n" UPGRADE_HEADERS, 405, "Allow: GET\r\n"},
        {GET("/ws") HOST "\r\n", 400, "Connection header"},
        {GET("/ws") HOST "Connection: upgrade\r\n\r\n", 400, "Upgrade header"},
        {GET("/ws") HOST "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n", 426,
         "Sec-WebSocket-Version: 13\r\n"},
        {GET("/ws") HOST "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", 400,
         "Sec-WebSocket-Key"},
        {"nonsense\r\n\r\n", 400, "{\"message\":\"Bad request: "},
    };
    struct shard_world *world = shard_world_open((struct shard_world_options){0});

    (void)state;
    assert_answers(world, cases, sizeof cases / sizeof cases[0]);
    assert_int_equal(counter_read(&shard_world_counters(world)->bad_requests), 10);
    assert_int_equal(counter_read(&shard_world_counters(world)->health_requests), 1);
    shard_world_close(world);
}

static void head_of_health_has_no_body(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){0});
    struct mock_client *client = mock_client_request(world, "HEAD /healthz HTTP/1.1\r\n" HOST "\r\n");

    (void)state;
    assert_true(mock_client_was_answered(client, 200, "Content-Length: 15\r\n"));
    assert_memory_equal(client->head + client->head_bytes - 4, "\r\n\r\n", 4);
    shard_world_close(world);
}

static int ill(void *context, char *body, size_t capacity)
{
    snprintf(body, capacity, "{\"status\":\"%s\"}", (const char *)context);
    return 503;
}

static void health_is_what_control_says(void **state)
{
    static char text[] = "ill";
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = {.health = ill, .health_context = text}});

    (void)state;
    assert_true(mock_client_was_answered(mock_client_request(world, GET("/healthz") HOST "\r\n"), 503, "{\"status\":\"ill\"}"));
    shard_world_close(world);
}

static void keys_are_checked_after_the_handshake(void **state)
{
    static const struct request_case cases[] = {
        {GET("/ws") UPGRADE_HEADERS, 404, "Not found"},
        {GET("/ws/wrong") HOST "\r\n", 400, "Connection header"},
        {GET("/ws/wrong") UPGRADE_HEADERS, 401, "{\"message\":\"Invalid API key\"}"},
        {GET("/ws/k%2") UPGRADE_HEADERS, 401, "{\"message\":\"Invalid API key\"}"},
        {GET("/ws/k%2F1/filter?addresses=0x1") UPGRADE_HEADERS, 501, "message"},
        {GET("/ws/k%2F1") UPGRADE_HEADERS, 429, "{\"message\":\"App limit exceeded\"}"},
    };
    counter app_connections[1] = {0};
    struct snapshot_slot access = {0};
    struct snapshot_group *snapshots;
    struct access_table *table;
    struct shard_world *world;

    (void)state;
    assert_int_equal(access_table_create(&table, &app, 1, false), 0);
    assert_int_equal(snapshot_group_create(&snapshots, 0), 0);
    assert_int_equal(access_table_publish(snapshots, &access, table, 1), 0);
    world = shard_world_open(
        (struct shard_world_options){.shard = {.access = &access, .app_connections = app_connections}, .with_admission = true});
    world->verdict = ADMISSION_REFUSED_APP;
    assert_answers(world, cases, sizeof cases / sizeof cases[0]);
    assert_int_equal(counter_read(&shard_world_counters(world)->unauthorized), 2);
    assert_int_equal(counter_read(&shard_world_counters(world)->app_limited), 1);
    assert_int_equal(counter_read(&app_connections[0]), 1); /* a valid key counts, though the app's limit refuses it */
    assert_int_equal(world->last_app, 0);
    shard_world_close(world);
    snapshot_publish(snapshots, &access, NULL);
    snapshot_group_destroy(snapshots);
}

static void any_path_is_the_subscription_where_asked_for(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = {.any_path = true}});

    (void)state;
    assert_true(mock_client_request(world, GET("/healthz?a=b") UPGRADE_HEADERS)->upgraded);
    assert_true(mock_client_request(world, GET("/") UPGRADE_HEADERS)->upgraded);
    shard_world_close(world);
}

static void a_query_is_ignored(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){0});

    (void)state;
    assert_true(mock_client_request(world, GET("/ws?token=1") UPGRADE_HEADERS)->upgraded);
    shard_world_close(world);
}

/* --- requests in pieces --- */

static void a_request_may_come_byte_by_byte(void **state)
{
    static const char request[] = GET("/ws") UPGRADE_HEADERS;
    struct shard_world *world = shard_world_open((struct shard_world_options){0});
    struct mock_client *client = mock_client_dial(world);

    (void)state;
    shard_world_run(world, NS_PER_MS);
    for (size_t i = 0; i < strlen(request); i++) {
        assert_false(client->upgraded);
        mock_client_say(world, client, request + i, 1);
        shard_world_run(world, NS_PER_MS);
    }
    assert_true(client->upgraded);
    shard_world_close(world);
}

/* Sends `length` bytes "x", each in a piece of its own. */
static void say_byte_by_byte(struct shard_world *world, struct mock_client *client, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        mock_client_say(world, client, "x", 1);
        shard_world_run(world, 10 * NS_PER_US);
    }
}

/* The first page of the request's buffer is unreadable while pieces come that do not end the head: reading it again crashes the test. */
static void a_piece_costs_no_look_at_the_pieces_before(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct shard_world *world = shard_world_open((struct shard_world_options){0});
    struct mock_client *client = mock_client_dial(world);
    void *head = world->shard->heads.memory;

    (void)state;
    if (2 * page > HTTP_MAX_REQUEST_BYTES)
        skip();
    shard_world_run(world, NS_PER_MS);
    mock_client_say(world, client, GET("/ws") "X: ", strlen(GET("/ws") "X: "));
    say_byte_by_byte(world, client, page);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(mprotect(head, page, PROT_NONE), 0);
    say_byte_by_byte(world, client, page / 2);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(mprotect(head, page, PROT_READ | PROT_WRITE), 0);
    assert_false(client->upgraded);
    mock_client_say(world, client, "\r\n" UPGRADE_HEADERS, strlen("\r\n" UPGRADE_HEADERS));
    shard_world_run(world, 10 * NS_PER_MS);
    assert_true(client->upgraded);
    shard_world_close(world);
}

static void assert_too_large(struct shard_world *world, size_t piece_bytes)
{
    struct mock_client *client = mock_client_dial(world);
    char piece[4096];

    memset(piece, 'a', sizeof piece);
    shard_world_run(world, NS_PER_MS);
    mock_client_say(world, client, GET("/ws") "X: ", strlen(GET("/ws") "X: "));
    for (size_t sent = 0; sent < 9000 && !client->ended; sent += piece_bytes) {
        mock_client_say(world, client, piece, piece_bytes);
        shard_world_run(world, 2 * NS_PER_MS);
    }
    assert_true(mock_client_was_answered(client, 431, "8192"));
    assert_true(client->closed);
}

static void headers_have_a_limit(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){0});

    (void)state;
    assert_too_large(world, 4096);
    assert_too_large(world, 1000);
    assert_too_large(world, 7);
    shard_world_close(world);
}

static void a_handshake_has_five_seconds(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){0});
    struct mock_client *silent = mock_client_dial(world), *slow = mock_client_request(world, GET("/ws"));

    (void)state;
    shard_world_run(world, SHARD_HANDSHAKE_TIMEOUT_NS - 100 * NS_PER_MS);
    assert_false(silent->ended || slow->ended);
    assert_int_equal(counter_read(&shard_world_counters(world)->handshaking), 2);
    shard_world_run(world, 200 * NS_PER_MS);
    assert_true(mock_client_was_answered(silent, 408, "message"));
    assert_true(mock_client_was_answered(slow, 408, "message"));
    assert_int_equal(counter_read(&shard_world_counters(world)->handshake_timeouts), 2);
    assert_int_equal(counter_read(&shard_world_counters(world)->handshaking), 0);
    shard_world_close(world);
}

static void a_peer_that_leaves_in_the_handshake_leaves_nothing(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.with_admission = true});
    struct mock_client *client = mock_client_request(world, GET("/ws"));

    (void)state;
    engine_finish(world->outside, client->connection);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_true(client->closed);
    client = mock_client_request(world, GET("/ws"));
    engine_abort(world->outside, client->connection);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(counter_read(&shard_world_counters(world)->handshaking), 0);
    assert_int_equal(counter_read(&shard_world_counters(world)->closed_connections), 0);
    shard_world_close(world);
}

/* --- admission --- */

static void refusals_say_which_limit_and_take_no_place(void **state)
{
    static const struct {
        enum admission_verdict verdict;
        const char *body;
    } cases[] = {
        {ADMISSION_REFUSED_INSTANCE, "{\"message\":\"Global limit\"}"},
        {ADMISSION_REFUSED_IP, "{\"message\":\"IP limit exceeded\"}"},
        {ADMISSION_REFUSED_APP, "{\"message\":\"App limit exceeded\"}"},
    };
    struct shard_world *world = shard_world_open((struct shard_world_options){.with_admission = true});

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        world->verdict = cases[i].verdict;
        assert_true(mock_client_was_answered(mock_client_request(world, GET("/ws") UPGRADE_HEADERS), 429, cases[i].body));
    }
    assert_int_equal(world->places, 0);
    assert_int_equal(counter_read(&shard_world_counters(world)->global_limited), 1);
    assert_int_equal(counter_read(&shard_world_counters(world)->ip_limited), 1);
    assert_int_equal(counter_read(&shard_world_counters(world)->app_limited), 1);
    shard_world_close(world);
}

static void a_place_is_given_back_when_its_subscriber_goes(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.with_admission = true});
    struct mock_client *client = mock_client_subscribe(world);

    (void)state;
    assert_int_equal(world->places, 1);
    engine_abort(world->outside, client->connection);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(world->places, 0);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_PEER_VANISHED), 1);
    shard_world_close(world);
}

static void a_subscriber_that_leaves_before_the_answer_keeps_no_place(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.with_admission = true});
    struct mock_client *client;

    (void)state;
    world->admission_is_silent = true;
    client = mock_client_request(world, GET("/ws") UPGRADE_HEADERS);
    assert_int_equal(client->head_bytes, 0);
    engine_abort(world->outside, client->connection);
    shard_world_run(world, 10 * NS_PER_MS);
    world->admission_is_silent = false;
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(world->places, 0);
    assert_int_equal(counter_read(&shard_world_counters(world)->new_connections), 0);
    shard_world_close(world);
}

static void when_control_is_silent_the_handshake_ends(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.with_admission = true});
    struct mock_client *client;

    (void)state;
    world->admission_is_silent = true;
    client = mock_client_request(world, GET("/ws") UPGRADE_HEADERS);
    shard_world_run(world, SHARD_HANDSHAKE_TIMEOUT_NS);
    assert_true(mock_client_was_answered(client, 503, "message"));
    world->admission_is_silent = false;
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(world->places, 0);
    shard_world_close(world);
}

/* The request arrives in time, and the thread gets no processor time until its time is over: control can't have answered yet. */
static void control_has_its_time_though_the_request_was_read_late(void **state)
{
    static const char request[] = GET("/ws") UPGRADE_HEADERS;
    struct shard_world *world = shard_world_open((struct shard_world_options){.with_admission = true});
    struct mock_client *client = mock_client_dial(world);

    (void)state;
    shard_world_run(world, NS_PER_MS);
    mock_client_say(world, client, request, strlen(request));
    engine_turn(world->outside, 0);
    sim_network_advance(world->network, sim_network_now(world->network) + SHARD_HANDSHAKE_TIMEOUT_NS);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_true(client->upgraded);
    assert_int_equal(counter_read(&shard_world_counters(world)->handshake_timeouts), 0);
    shard_world_close(world);
}

static void what_is_said_before_the_answer_is_heard_after_it(void **state)
{
    static const char request[] = GET("/ws") UPGRADE_HEADERS;
    static const uint8_t ping[] = {0x89, 0x82, 0, 0, 0, 0, 'h', 'i'};
    struct shard_world *world = shard_world_open((struct shard_world_options){.with_admission = true});
    struct mock_client *client = mock_client_dial(world);
    char bytes[512];

    (void)state;
    world->admission_is_silent = true;
    shard_world_run(world, NS_PER_MS);
    memcpy(bytes, request, sizeof request - 1);
    memcpy(bytes + sizeof request - 1, ping, sizeof ping);
    mock_client_say(world, client, bytes, sizeof request - 1 + sizeof ping);
    shard_world_run(world, 10 * NS_PER_MS);
    mock_client_say(world, client, ping, sizeof ping);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(client->pongs, 0);
    world->admission_is_silent = false;
    shard_world_run(world, 10 * NS_PER_MS);
    assert_true(client->upgraded);
    assert_int_equal(client->pongs, 2);
    assert_string_equal(client->last_pong, "hi");
    shard_world_close(world);
}

static void the_address_is_the_headers_or_the_sockets(void **state)
{
    struct ip_address forwarded = ip_of("1.2.3.4"), peer = ip_of("10.0.0.2");
    struct shard_world *world =
        shard_world_open((struct shard_world_options){.shard = {.ip_header = "X-Forwarded-For"}, .with_admission = true});

    (void)state;
    mock_client_request(world, GET("/ws") "X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\n" UPGRADE_HEADERS);
    assert_true(ip_address_equal(&world->last_ip, &forwarded));
    mock_client_request(world, GET("/ws") "X-Forwarded-For: 1.2.3.4, unknown\r\n" UPGRADE_HEADERS);
    assert_true(ip_address_equal(&world->last_ip, &peer));
    shard_world_close(world);
}

/* --- limits of the shard itself --- */

static void without_slots_accepting_waits(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = {.max_subscribers = 2}});
    struct mock_client *first = mock_client_subscribe(world), *third;

    (void)state;
    mock_client_subscribe(world);
    third = mock_client_request(world, GET("/ws") UPGRADE_HEADERS);
    shard_world_run(world, NS_PER_S);
    assert_false(third->upgraded || third->closed);
    engine_abort(world->outside, first->connection);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_true(third->upgraded);
    shard_world_close(world);
}

/* All clients have one address: a connection beyond its limit takes the place of the oldest one whose request is not complete. */
static void an_address_with_too_many_handshakes_loses_the_oldest(void **state)
{
    enum { TOO_MANY = 100, ALL = SHARD_MAX_HANDSHAKES_PER_ADDRESS + TOO_MANY };
    struct shard_world *world = shard_world_open((struct shard_world_options){0});

    (void)state;
    for (unsigned i = 0; i < ALL; i++) {
        mock_client_dial(world);
        shard_world_run(world, NS_PER_MS / 2); /* so that the clients arrive in order */
    }
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(counter_read(&shard_world_counters(world)->handshaking), SHARD_MAX_HANDSHAKES_PER_ADDRESS);
    assert_int_equal(counter_read(&shard_world_counters(world)->handshakes_evicted), TOO_MANY);
    for (unsigned i = 0; i < ALL; i++)
        assert_int_equal(world->clients[i].closed, i < TOO_MANY);
    for (unsigned i = TOO_MANY; i < ALL; i++)
        mock_client_say(world, &world->clients[i], GET("/ws") UPGRADE_HEADERS, strlen(GET("/ws") UPGRADE_HEADERS));
    shard_world_run(world, 100 * NS_PER_MS);
    for (unsigned i = TOO_MANY; i < ALL; i++)
        assert_true(world->clients[i].upgraded);
    assert_int_equal(counter_read(&shard_world_counters(world)->handshaking), 0);
    shard_world_close(world);
}

/* Several hundred handshakes time out at the same moment; a turn ends a part of them, and the next one follows without sleep. */
static void expiries_are_spread_over_turns(void **state)
{
    enum { SILENT = 500 };
    struct shard_world *world = shard_world_open((struct shard_world_options){0});
    const counter *timeouts = &shard_world_counters(world)->handshake_timeouts;
    unsigned turns = 0;

    (void)state;
    for (unsigned i = 0; i < SILENT; i++)
        mock_client_dial(world);
    shard_world_run(world, 100 * NS_PER_MS);
    sim_network_advance(world->network, sim_network_now(world->network) + 2 * SHARD_HANDSHAKE_TIMEOUT_NS);
    for (uint64_t before = 0; counter_read(timeouts) < SILENT; turns++) {
        assert_true(shard_next_deadline(world->shard) <= sim_network_now(world->network));
        shard_turn(world->shard, CLOCK_NEVER);
        assert_in_range(counter_read(timeouts) - before, 1, 256);
        before = counter_read(timeouts);
    }
    assert_true(turns >= 2);
    shard_world_close(world);
}

/* Makes a client that is refused and does not close its side. */
static void add_lingering(struct shard_world *world)
{
    static const char request[] = "GET /nothing HTTP/1.1\r\nHost: relay\r\n\r\n";
    struct mock_client *client = mock_client_dial(world);

    client->lingers = true;
    shard_world_run(world, NS_PER_MS);
    mock_client_say(world, client, request, sizeof request - 1);
    shard_world_run(world, NS_PER_MS);
    assert_true(mock_client_was_answered(client, 404, "message"));
}

/* A refused connection that lingers takes no slot from a new connection. */
static void the_refused_make_room(void **state)
{
    struct shard_options shard = {.max_subscribers = 4};
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = shard});
    struct mock_client *last;

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        add_lingering(world);
    last = mock_client_request(world, GET("/healthz") "Host: relay\r\n\r\n");
    shard_world_run(world, 100 * NS_PER_MS); /* far less than a refused connection may linger */
    assert_true(mock_client_was_answered(last, 200, "ok"));
    shard_world_close(world);
}

/* Silent connections keep all descriptors but those below which they are short; each further one takes the place of the oldest. */
static void for_want_of_descriptors_the_oldest_handshake_gives_way(void **state)
{
    enum { DESCRIPTORS = 8, SHORT_BELOW = 4, CLIENTS = 20 };
    struct descriptor_budget budget = {.left = DESCRIPTORS, .short_below = SHORT_BELOW};
    struct shard_world *world = shard_world_open((struct shard_world_options){0});
    struct mock_client *last;

    (void)state;
    world->engine->options.descriptors = &budget;
    for (unsigned i = 0; i < CLIENTS; i++) {
        mock_client_dial(world);
        shard_world_run(world, NS_PER_MS);
    }
    assert_int_equal(budget.left, SHORT_BELOW);
    assert_int_equal(counter_read(&shard_world_counters(world)->handshakes_evicted), CLIENTS - (DESCRIPTORS - SHORT_BELOW));
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(world->clients[i].closed, i < CLIENTS - (DESCRIPTORS - SHORT_BELOW));
    last = mock_client_request(world, GET("/healthz") "Host: relay\r\n\r\n");
    assert_true(mock_client_was_answered(last, 200, "ok"));
    shard_world_close(world);
}

/* A refused connection that lingers gives way before a handshake does. */
static void for_want_of_descriptors_a_refused_connection_gives_way_first(void **state)
{
    struct descriptor_budget budget = {.left = 5, .short_below = 2};
    struct shard_world *world = shard_world_open((struct shard_world_options){0});
    struct mock_client *silent;

    (void)state;
    world->engine->options.descriptors = &budget;
    silent = mock_client_dial(world);
    shard_world_run(world, NS_PER_MS);
    for (unsigned i = 0; i < 8; i++)
        add_lingering(world);
    assert_int_equal(budget.left, 2);
    assert_false(silent->closed);
    assert_int_equal(counter_read(&shard_world_counters(world)->handshakes_evicted), 0);
    shard_world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_subscription_is_answered_with_a_reason),
        cmocka_unit_test(head_of_health_has_no_body),
        cmocka_unit_test(health_is_what_control_says),
        cmocka_unit_test(keys_are_checked_after_the_handshake),
        cmocka_unit_test(any_path_is_the_subscription_where_asked_for),
        cmocka_unit_test(a_query_is_ignored),
        cmocka_unit_test(a_request_may_come_byte_by_byte),
        cmocka_unit_test(a_piece_costs_no_look_at_the_pieces_before),
        cmocka_unit_test(headers_have_a_limit),
        cmocka_unit_test(a_handshake_has_five_seconds),
        cmocka_unit_test(a_peer_that_leaves_in_the_handshake_leaves_nothing),
        cmocka_unit_test(refusals_say_which_limit_and_take_no_place),
        cmocka_unit_test(a_place_is_given_back_when_its_subscriber_goes),
        cmocka_unit_test(a_subscriber_that_leaves_before_the_answer_keeps_no_place),
        cmocka_unit_test(when_control_is_silent_the_handshake_ends),
        cmocka_unit_test(control_has_its_time_though_the_request_was_read_late),
        cmocka_unit_test(what_is_said_before_the_answer_is_heard_after_it),
        cmocka_unit_test(the_address_is_the_headers_or_the_sockets),
        cmocka_unit_test(without_slots_accepting_waits),
        cmocka_unit_test(an_address_with_too_many_handshakes_loses_the_oldest),
        cmocka_unit_test(expiries_are_spread_over_turns),
        cmocka_unit_test(the_refused_make_room),
        cmocka_unit_test(for_want_of_descriptors_the_oldest_handshake_gives_way),
        cmocka_unit_test(for_want_of_descriptors_a_refused_connection_gives_way_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
