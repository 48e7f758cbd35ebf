/* The parser of WebSocket URIs: an accepted URI makes a request that the relay accepts, and is shown without query and user information. */
#include "flashrelay/http.h"
#include "flashrelay/ws_client.h"
#include "flashrelay/ws_upgrade.h"
#include "flashrelay/ws_uri.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

static uint64_t draw(void *context)
{
    (void)context;
    return 123;
}

static void check_request(const struct ws_uri *uri)
{
    static char out[2 * HTTP_MAX_REQUEST_BYTES];
    const struct ws_client_options options = {.uri = uri, .next_random = draw};
    struct ws_client client;
    struct http_request request;
    const char *error;
    size_t consumed;
    long length;

    ws_client_start(&client, &options, NULL);
    length = ws_client_write_request(&client, out, sizeof out);
    if (length < 0 || length > HTTP_MAX_REQUEST_BYTES)
        return; /* the request is too long for the relay */
    if (http_request_parse(&request, out, (size_t)length, &consumed, &error) != HTTP_PARSE_DONE || consumed != (size_t)length ||
        ws_upgrade_check(&request) != WS_UPGRADE_OK)
        abort();
}

/* Checks that there is no '@' before the path, and no query at all. */
static void check_shown(const char *shown)
{
    const char *authority = strstr(shown, "://") + 3;

    if (memchr(authority, '@', strcspn(authority, "/")) || strchr(shown, '?'))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    char *text = malloc(length + 1);
    const char *error;
    struct ws_uri uri;

    memcpy(text, input, length);
    text[length] = 0;
    if (ws_uri_parse(&uri, text, &error) == 0) {
        if (error || uri.host[0] == 0 || uri.port == 0)
            abort();
        check_request(&uri);
        check_shown(uri.display);
        check_shown(uri.identity);
        ws_uri_dispose(&uri);
    } else if (error == 0) {
        abort();
    }
    free(text);
    return 0;
}
