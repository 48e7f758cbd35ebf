/* A WebSocket echo server and client for public conformance suites to drive, built from the relay's own protocol and engine code. */
#include "session.h"

#include "common/command_line.h"
#include "flashrelay/clock.h"
#include "flashrelay/engine_kind.h"
#include "flashrelay/ws_uri.h"
#include "ingest/resolver.h"

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SESSIONS  64
#define CHECK_NS      (100 * NS_PER_MS)
#define BACKLOG       64
#define PORT_MAX      65535
#define NOTSENT_BYTES 65536

static volatile sig_atomic_t stop_requested;

static void request_stop(int signal_number)
{
    (void)signal_number;
    stop_requested = 1;
}

/* --- the engine's handler --- */

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct echo *echo = context;

    (void)peer;
    if (!echo_session_open(echo, connection, now_ns))
        engine_abort(echo->engine, connection);
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct echo *echo = context;

    if (error != 0)
        fprintf(stderr, "ws_echo: %s: %s\n", echo->client.uri->display, strerror(-error));
    else if (!echo_session_open(echo, connection, now_ns))
        engine_abort(echo->engine, connection);
    echo->connecting = false;
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    (void)context;
    return echo_session_received(connection->owner, bytes, length, now_ns);
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    (void)context;
    (void)progress;
    echo_session_progressed(connection->owner, now_ns);
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    (void)context;
    (void)error;
    (void)now_ns;
    if (connection->owner)
        echo_session_destroy(connection->owner);
}

static void on_woken(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
}

static const struct engine_handler handler = {
    .accepted = on_accepted,
    .connected = on_connected,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .woken = on_woken,
};

/* --- the loop --- */

static void abort_overdue(struct echo *echo, uint64_t now_ns)
{
    for (struct list_node *node = echo->sessions.next; node != &echo->sessions; node = node->next) {
        struct echo_session *session = LIST_ENTRY(node, struct echo_session, node);

        if (session->deadline_ns <= now_ns)
            engine_abort(echo->engine, session->connection);
    }
}

static void turn(struct echo *echo)
{
    uint64_t now_ns = engine_now(echo->engine);

    abort_overdue(echo, now_ns);
    engine_turn(echo->engine, now_ns + CHECK_NS);
}

/* Closes all sessions with 1001 and waits for their ends; the sessions' deadlines bound the wait. */
static void leave(struct echo *echo)
{
    engine_listen_stop(echo->engine);
    for (struct list_node *node = echo->sessions.next; node != &echo->sessions; node = node->next)
        echo_session_close(LIST_ENTRY(node, struct echo_session, node), WS_CLOSE_GOING_AWAY, engine_now(echo->engine));
    while (!list_is_empty(&echo->sessions))
        turn(echo);
}

static int serve(struct echo *echo, const struct address *address)
{
    struct engine_listen_options options = {.backlog = BACKLOG, .notsent_lowat_bytes = NOTSENT_BYTES};
    struct address bound = *address;
    char text[ADDRESS_TEXT_BYTES];
    int error = engine_listen(echo->engine, address, &options);

    if (error != 0) {
        fprintf(stderr, "ws_echo: can't listen on %s: %s\n", address_format(address, text), strerror(-error));
        return 1;
    }
    bound.port = engine_listen_port(echo->engine);
    printf("listening on %s\n", address_format(&bound, text));
    fflush(stdout);
    while (!stop_requested)
        turn(echo);
    leave(echo);
    return 0;
}

/* Runs as a client. Returns 0 if a server accepted the upgrade, once the connection has ended; else 1. */
static int join(struct echo *echo, const struct resolver_answer *server)
{
    for (unsigned i = 0; i < server->count && !echo->upgraded && !stop_requested; i++) {
        echo->connecting = true;
        if (!engine_connect(echo->engine, &server->addresses[i], NULL))
            break;
        while ((echo->connecting || !list_is_empty(&echo->sessions)) && !stop_requested)
            turn(echo);
    }
    leave(echo);
    return echo->upgraded ? 0 : 1;
}

/* --- the command line --- */

static int look_up(const char *host, uint16_t port, struct resolver_answer *answer)
{
    const struct timespec pause = {.tv_nsec = (long)RESOLVER_POLL_NS};
    struct resolver *resolver;
    int error = resolver_create(&resolver);

    if (error != 0)
        return error;
    error = resolver_start(resolver, host, port);
    while (error == 0 && !resolver_take(resolver, answer))
        nanosleep(&pause, NULL);
    resolver_destroy(resolver);
    return error;
}

static void find_host(const struct command_line *line, const char *host, uint16_t port, struct resolver_answer *answer)
{
    int error = look_up(host, port, answer);

    if (error != 0 || answer->count == 0)
        command_line_fail(line, "%s: %s", host, error != 0 ? strerror(-error) : answer->error);
}

static struct address parse_host_and_port(const struct command_line *line, const char *text)
{
    struct resolver_answer answer;
    struct address address;
    const char *colon = strrchr(text, ':');
    char host[256], *port_end;
    unsigned long port;

    if (address_parse(&address, text) == 0)
        return address;
    port = colon ? strtoul(colon + 1, &port_end, 10) : 0;
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof host || colon[1] == '\0' || *port_end != '\0' ||
        port > PORT_MAX)
        command_line_fail(line, "%s: expected HOST:PORT", text);
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    find_host(line, host, (uint16_t)port, &answer);
    return answer.addresses[0];
}

static uint64_t draw(void *context)
{
    return random_next(context);
}

static void parse_uri(const struct command_line *line, const char *text, struct ws_uri *uri)
{
    const char *error;
    int result = ws_uri_parse(uri, text, &error);

    if (result != 0)
        command_line_fail(line, "--connect: %s", result == -EINVAL ? error : strerror(-result));
    if (uri->tls)
        command_line_fail(line, "--connect: expected a ws:// URI; this program speaks no TLS");
}

static int run(struct echo *echo, const struct command_line *line, const char *listen_on, const char *connect_to)
{
    static struct ws_uri uri;
    struct resolver_answer server;
    int status;

    if (!connect_to) {
        struct address address = parse_host_and_port(line, listen_on);

        return serve(echo, &address);
    }
    parse_uri(line, connect_to, &uri);
    find_host(line, uri.host, uri.port, &server);
    echo->client = (struct ws_client_options){
        .uri = &uri, .max_message_bytes = ECHO_MAX_MESSAGE_BYTES, .next_random = draw, .context = &echo->random};
    status = join(echo, &server);
    ws_uri_dispose(&uri);
    return status;
}

int main(int argc, char **argv)
{
    static struct echo echo;
    const char *connect_to = NULL, *listen_on = NULL;
    const struct command_option options[] = {
        {.name = "--connect",
         .argument = "URI",
         .help = "be a client of URI and echo what it sends",
         .kind = OPTION_TEXT,
         .value = &connect_to},
    };
    const struct command_line line = {
        .program = "ws_echo",
        .usage = "HOST:PORT | --connect URI",
        .summary = "Echoes every WebSocket message, text as text and binary as binary, up to 16 MiB.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = &listen_on,
        .operands_maximum = 1,
    };
    struct engine_options engine_options = {
        .handler = &handler,
        .context = &echo,
        .max_connections = MAX_SESSIONS,
        .receive_buffers = 256,
        .receive_buffer_bytes = 16384,
        .sends_per_turn = 64,
        .zerocopy = ENGINE_ZEROCOPY_OFF,
    };
    struct engine_choice engines;
    int status;

    command_line_parse(&line, argc, argv);
    if ((!listen_on) == (!connect_to))
        command_line_fail(&line, "expected either HOST:PORT or --connect URI");
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = request_stop}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = request_stop}, NULL);
    list_init(&echo.sessions);
    random_seed(&echo.random, random_system_seed());
    if (engine_choose(&engines, "auto", &(struct engine_kind_options){.engines = 1}) != 0 ||
        engine_choice_create_one(&engines, &echo.engine, &engine_options) != 0)
        errx(EXIT_FAILURE, "no engine: %s", engines.reason);
    status = run(&echo, &line, listen_on, connect_to);
    engine_destroy(echo.engine);
    engine_choice_close(&engines);
    outlets_destroy(echo.unused_outlets);
    return status;
}
