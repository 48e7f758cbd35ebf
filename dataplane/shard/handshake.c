#include "shard/handshake.h"

#include "flashrelay/http.h"
#include "flashrelay/ws_upgrade.h"
#include "shard/internal.h"
#include "shard/routes.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Longest answer: our headers and a body of at most HEALTH_BODY_BYTES. */
#define ANSWER_BYTES      2048
#define HEALTH_BODY_BYTES 1024

/* --- answering --- */

static void send_answer(struct shard *shard, struct subscriber *subscriber, const struct http_answer *answer)
{
    char bytes[ANSWER_BYTES];
    long length = http_write_answer(bytes, sizeof bytes, answer);

    assert(length > 0);
    subscriber_finish(shard, subscriber, bytes, (size_t)length, SUBSCRIBER_DROP_PENDING);
}

static void refuse(struct shard *shard, struct subscriber *subscriber, int status, const char *body, const char *extra_headers)
{
    const struct http_answer answer = {
        .status = status, .content_type = "application/json", .extra_headers = extra_headers, .body = body};

    send_answer(shard, subscriber, &answer);
}

/* Refuses a request that is itself at fault, and counts it. */
static void reject(struct shard *shard, struct subscriber *subscriber, int status, const char *body, const char *extra_headers)
{
    counter_add(&shard->counters.bad_requests, 1);
    refuse(shard, subscriber, status, body, extra_headers);
}

/* `error` is what the parser found wrong: a static text without quotes, so that it needs no escaping here. */
static void reject_unreadable(struct shard *shard, struct subscriber *subscriber, const char *error)
{
    char body[256];

    snprintf(body, sizeof body, "{\"message\":\"Bad request: %s\"}", error);
    reject(shard, subscriber, 400, body, NULL);
}

static void reject_too_large(struct shard *shard, struct subscriber *subscriber)
{
    reject(shard, subscriber, 431, "{\"message\":\"Request headers are larger than 8192 bytes or more than 64\"}", NULL);
}

static bool reject_bad_upgrade(struct shard *shard, struct subscriber *subscriber, const struct http_request *request)
{
    switch (ws_upgrade_check(request)) {
    case WS_UPGRADE_OK:
        return false;
    case WS_UPGRADE_BAD_METHOD:
        reject(shard, subscriber, 405, "{\"message\":\"Method not allowed: expected GET\"}", "Allow: GET\r\n");
        break;
    case WS_UPGRADE_BAD_CONNECTION:
        reject(shard, subscriber, 400, "{\"message\":\"Connection header did not include 'upgrade'\"}", NULL);
        break;
    case WS_UPGRADE_BAD_UPGRADE:
        reject(shard, subscriber, 400, "{\"message\":\"Upgrade header did not include 'websocket'\"}", NULL);
        break;
    case WS_UPGRADE_BAD_VERSION:
        reject(shard, subscriber, 426, "{\"message\":\"Sec-WebSocket-Version header was not 13\"}",
               "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
        break;
    case WS_UPGRADE_NO_KEY:
        reject(shard, subscriber, 400, "{\"message\":\"Sec-WebSocket-Key header is missing or there are several\"}", NULL);
        break;
    }
    return true;
}

static bool method_is(const struct http_request *request, const char *method)
{
    return request->method.length == strlen(method) && memcmp(request->method.text, method, request->method.length) == 0;
}

static void answer_health(struct shard *shard, struct subscriber *subscriber, const struct http_request *request)
{
    char body[HEALTH_BODY_BYTES] = "{\"status\":\"ok\"}";
    struct http_answer answer = {.status = 200, .content_type = "application/json", .body = body};

    answer.head_only = method_is(request, "HEAD");
    if (!answer.head_only && !method_is(request, "GET")) {
        reject(shard, subscriber, 405, "{\"message\":\"Method not allowed: expected GET or HEAD\"}", "Allow: GET,HEAD\r\n");
        return;
    }
    counter_add(&shard->counters.health_requests, 1);
    if (shard->options.health)
        answer.status = shard->options.health(shard->options.health_context, body, sizeof body);
    send_answer(shard, subscriber, &answer);
}

void handshake_refuse(struct shard *shard, struct subscriber *subscriber)
{
    struct shard_counters *counters = &shard->counters;

    assert(subscriber->request.verdict != ADMISSION_ADMITTED);
    switch ((enum admission_verdict)subscriber->request.verdict) {
    case ADMISSION_ADMITTED:
        break;
    case ADMISSION_REFUSED_INSTANCE:
        counter_add(&counters->global_limited, 1);
        refuse(shard, subscriber, 429, "{\"message\":\"Global limit\"}", NULL);
        break;
    case ADMISSION_REFUSED_IP:
        counter_add(&counters->ip_limited, 1);
        refuse(shard, subscriber, 429, "{\"message\":\"IP limit exceeded\"}", NULL);
        break;
    case ADMISSION_REFUSED_APP:
        counter_add(&counters->app_limited, 1);
        refuse(shard, subscriber, 429, "{\"message\":\"App limit exceeded\"}", NULL);
        break;
    }
}

void handshake_time_out(struct shard *shard, struct subscriber *subscriber)
{
    counter_add(&shard->counters.handshake_timeouts, 1);
    if (subscriber->state == SUBSCRIBER_HANDSHAKE)
        refuse(shard, subscriber, 408, "{\"message\":\"No request within 5 seconds\"}", NULL);
    else
        refuse(shard, subscriber, 503, "{\"message\":\"Limits could not be checked within 5 seconds\"}", NULL);
}

/* --- acting on a request --- */

/* Appends the upgrade answer without engine_serve, so that it waits on the connection until control has admitted the subscriber. */
static void ask_admission(struct shard *shard, struct subscriber *subscriber, const struct http_request *request)
{
    const struct http_header *key = http_find_header(request->headers, request->header_count, "sec-websocket-key");
    char accept[WS_ACCEPT_TEXT_BYTES], bytes[CONTROL_RUN_BYTES];

    ws_accept_key(key->value, accept);
    if (engine_append_bytes(shard->engine, subscriber->connection, bytes, ws_write_upgrade_answer(bytes, sizeof bytes, accept)) !=
        0) {
        subscriber_abort(shard, subscriber);
        return;
    }
    if (!shard->options.admission) {
        subscriber_open(shard, subscriber);
        return;
    }
    subscriber_begin_admission(shard, subscriber);
    if (shard->options.ip_header)
        route_client_address(request, shard->options.ip_header, &subscriber->request.ip);
    admission_ask(shard->options.admission, &subscriber->request);
}

/* True if the route has no key, or an app's key. Otherwise answers 401. */
static bool check_key(struct shard *shard, struct subscriber *subscriber, const struct access_table *table,
                      const struct route *route)
{
    int app;

    if (route->kind != ROUTE_KEY)
        return true;
    app = route_find_app(table, route->key);
    if (app < 0) {
        counter_add(&shard->counters.unauthorized, 1);
        refuse(shard, subscriber, 401, "{\"message\":\"Invalid API key\"}", NULL);
        return false;
    }
    subscriber->request.app = (uint16_t)app;
    if (shard->options.app_connections)
        counter_add(&shard->options.app_connections[app], 1);
    return true;
}

static void route_request(struct shard *shard, struct subscriber *subscriber, const struct http_request *request)
{
    const struct access_table *table = access_table_current(shard->options.access);
    struct route route = {.kind = ROUTE_SUBSCRIBE};

    if (!shard->options.any_path)
        route = route_find(request->path, table);
    switch (route.kind) {
    case ROUTE_UNKNOWN:
        reject(shard, subscriber, 404, "{\"message\":\"Not found\"}", NULL);
        break;
    case ROUTE_HEALTH:
        answer_health(shard, subscriber, request);
        break;
    case ROUTE_FILTER:
        reject(shard, subscriber, 501, "{\"message\":\"Filtered subscriptions are not implemented yet\"}", NULL);
        break;
    case ROUTE_SUBSCRIBE:
    case ROUTE_KEY:
        if (!reject_bad_upgrade(shard, subscriber, request) && check_key(shard, subscriber, table, &route))
            ask_admission(shard, subscriber, request);
        break;
    }
}

/* --- reading --- */

void handshake_release_head(struct shard *shard, struct subscriber *subscriber)
{
    if (subscriber->head)
        slab_give(&shard->heads, subscriber->head);
    subscriber->head = NULL;
    subscriber->head_bytes = 0;
}

/* Parses what there is of a request; returns the length of its head once it is complete and acted upon, else 0. */
static size_t parse(struct shard *shard, struct subscriber *subscriber, const char *bytes, size_t length)
{
    struct http_request request;
    const char *error;
    size_t head_bytes = 0;

    switch (http_request_parse(&request, bytes, length, &head_bytes, &error)) {
    case HTTP_PARSE_INCOMPLETE:
        break;
    case HTTP_PARSE_DONE:
        route_request(shard, subscriber, &request);
        return head_bytes;
    case HTTP_PARSE_BAD:
        reject_unreadable(shard, subscriber, error);
        break;
    case HTTP_PARSE_TOO_LARGE:
        reject_too_large(shard, subscriber);
        break;
    }
    return 0;
}

/* Keeps the beginning of a request until the rest comes; returns how many bytes it took. */
static size_t keep(struct subscriber *subscriber, const uint8_t *bytes, size_t length)
{
    size_t room = HTTP_MAX_REQUEST_BYTES - subscriber->head_bytes;
    size_t kept = length < room ? length : room;

    memcpy(subscriber->head + subscriber->head_bytes, bytes, kept);
    subscriber->head_bytes = (uint16_t)(subscriber->head_bytes + kept);
    return kept;
}

/* Handles the first bytes of a request. Most often they are the whole request, which is then parsed without being copied. */
static size_t receive_first(struct shard *shard, struct subscriber *subscriber, const uint8_t *bytes, size_t length)
{
    size_t head_bytes = parse(shard, subscriber, (const char *)bytes, length);

    if (head_bytes > 0)
        return head_bytes;
    if (subscriber->state != SUBSCRIBER_HANDSHAKE)
        return length;
    subscriber->head = slab_take(&shard->heads);
    if (!subscriber->head)
        refuse(shard, subscriber, 503, "{\"message\":\"Too many handshakes at once\"}", NULL);
    else if (keep(subscriber, bytes, length) < length)
        reject_too_large(shard, subscriber);
    return length;
}

/* Handles further bytes of a request. Only these are searched for the head's end; all is parsed once it was found or the buffer is full. */
static size_t receive_more(struct shard *shard, struct subscriber *subscriber, const uint8_t *bytes, size_t length)
{
    size_t before = subscriber->head_bytes;
    size_t kept = keep(subscriber, bytes, length);
    size_t head_bytes;

    if (subscriber->head_bytes < HTTP_MAX_REQUEST_BYTES &&
        http_head_find_end(subscriber->head, subscriber->head_bytes, before) == 0)
        return length;
    head_bytes = parse(shard, subscriber, subscriber->head, subscriber->head_bytes);
    if (head_bytes > 0)
        return head_bytes - before;
    if (subscriber->state == SUBSCRIBER_HANDSHAKE && kept < length)
        reject_too_large(shard, subscriber);
    return length;
}

size_t handshake_received(struct shard *shard, struct subscriber *subscriber, const uint8_t *bytes, size_t length)
{
    size_t consumed =
        subscriber->head ? receive_more(shard, subscriber, bytes, length) : receive_first(shard, subscriber, bytes, length);

    if (subscriber->state == SUBSCRIBER_ADMITTING)
        handshake_release_head(shard, subscriber);
    return consumed;
}
