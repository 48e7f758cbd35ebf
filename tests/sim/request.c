#include "sim/request.h"

#include "sim/world.h"

#include <stdio.h>
#include <string.h>

#define LONG_KEY_BYTES 7000

static const char *const app_keys[MAX_APPS] = {"first-key", "second/key with signs", "third"};
static const char *const encoded_keys[MAX_APPS] = {"first%2dkey", "second%2Fkey%20with%20signs", "third"};

/* Requests that do not subscribe, and the status of the answer; 0: none. */
static const struct {
    const char *text;
    int status;
} bad_requests[] = {
    {"GET /nowhere HTTP/1.1\r\nHost: relay\r\n\r\n", 404},  {"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n", 200},
    {"POST /healthz HTTP/1.1\r\nHost: relay\r\n\r\n", 405}, {"\r\nwhat is this?\r\n\r\n", 400},
    {"GET /ws HTTP/1.1\r\nHost: relay\r\nUpgrade: web", 0}, /* never ends */
};

struct ip_address request_place(unsigned place)
{
    if (place < CLIENT_HOSTS)
        return (struct ip_address){{[10] = 0xff, [11] = 0xff, 10, 2, 0, (uint8_t)(place + 1)}};
    return (struct ip_address){{[10] = 0xff, [11] = 0xff, 203, 0, 113, (uint8_t)(place - CLIENT_HOSTS + 1)}};
}

const char *request_key(unsigned app)
{
    return app_keys[app];
}

static const struct access_plan *access_of(const struct client *client)
{
    return &client->line.world->plan.access;
}

/* --- the client's address --- */

/* Draws the header that a proxy adds. Of several addresses the last one counts; a text that is no address does not count. */
static void draw_forwarded(struct client *client, char *header, size_t capacity)
{
    unsigned host = (unsigned)random_below(&client->random, FORWARDED_HOSTS);

    header[0] = '\0';
    client->place = client->index % CLIENT_HOSTS;
    if (!access_of(client)->is_forwarded)
        return;
    switch (random_below(&client->random, 6)) {
    case 0:
        return;
    case 1:
        snprintf(header, capacity, FORWARDED_FOR ": unknown\r\n");
        return;
    case 2:
        snprintf(header, capacity, FORWARDED_FOR ": 192.0.2.1, 203.0.113.%u\r\n", host + 1);
        break;
    default:
        snprintf(header, capacity, FORWARDED_FOR ": 203.0.113.%u\r\n", host + 1);
    }
    client->place = CLIENT_HOSTS + host;
}

/* --- the request --- */

static void draw_wrong_path(struct client *client, char *path, size_t capacity)
{
    client->expected_status = 401;
    switch (random_below(&client->random, 4)) {
    case 0:
        snprintf(path, capacity, "/ws/%sx", encoded_keys[0]);
        break;
    case 1:
        snprintf(path, capacity, "/ws/%.*s", (int)strlen(encoded_keys[0]) - 1, encoded_keys[0]);
        break;
    case 2:
        snprintf(path, capacity, "/ws/%0*d", LONG_KEY_BYTES, 0);
        break;
    default:
        snprintf(path, capacity, "/ws/%s/filter", encoded_keys[0]);
        client->expected_status = 501;
    }
}

static void draw_path(struct client *client, char *path, size_t capacity)
{
    const struct access_plan *access = access_of(client);
    bool may_err = client->line.world->phase == PHASE_FLOW;

    client->expected_status = 101;
    client->app = ADMISSION_NO_APP;
    snprintf(path, capacity, "/ws");
    if (access->apps == 0)
        return;
    if (access->is_public ? random_below(&client->random, 2) == 0 : may_err && random_below(&client->random, 16) == 0) {
        client->expected_status = access->is_public ? 101 : 404;
    } else if (may_err && random_below(&client->random, 8) == 0) {
        draw_wrong_path(client, path, capacity);
    } else {
        client->app = (uint16_t)random_below(&client->random, access->apps);
        snprintf(path, capacity, "/ws/%s", encoded_keys[client->app]);
    }
}

/* Sends a good request. The header that a proxy adds goes before the empty line at its end. */
static void ask_well(struct client *client)
{
    char header[64], text[2 * REQUEST_PATH_BYTES];
    size_t length;

    draw_path(client, client->path, sizeof client->path);
    draw_forwarded(client, header, sizeof header);
    length = (size_t)ws_client_write_request(&client->ws, text, sizeof text) - strlen("\r\n");
    sim_line_say(&client->line, text, length);
    sim_line_say(&client->line, header, strlen(header));
    sim_line_say(&client->line, "\r\n", strlen("\r\n"));
}

static void ask_badly(struct client *client)
{
    size_t which = random_below(&client->random, sizeof bad_requests / sizeof bad_requests[0]);

    client->expected_status = bad_requests[which].status;
    sim_line_say(&client->line, bad_requests[which].text, strlen(bad_requests[which].text));
    trace(client->line.world, "client %u: asks badly, expects %d", client->index, client->expected_status);
}

void request_send(struct client *client)
{
    const struct sim_world *world = client->line.world;

    ws_client_start(&client->ws, &client->ws_options, client->head);
    client->channel = (uint8_t)random_below(&client->random, world->plane.followed_count);
    client->selection = (uint16_t)random_below(&client->random, access_of(client)->selections + 1u);
    if (world->phase == PHASE_FLOW && chance(&client->random, world->plan.client.fault_permille / 4))
        ask_badly(client);
    else
        ask_well(client);
}

/* --- the answer --- */

bool request_may_be_answered(const struct client *client, int status)
{
    if (status == client->expected_status)
        return true;
    switch (status) {
    case 429:
        return client->expected_status == 101 && access_of(client)->has_limits;
    case 408:
    case 503:
        return client->timed_out_status == status;
    default:
        return false;
    }
}
