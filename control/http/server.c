#include "http/server.h"

#include "flashrelay/log.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_CONNECTIONS 32
#define TIMEOUT_S       10u
#define BACKLOG         32

struct metrics_server {
    struct MHD_Daemon *daemon;
    const struct metrics_sources *sources;
    uint16_t port;
};

static struct MHD_Response *constant_response(const char *text)
{
    return MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *metrics_response(const struct metrics_sources *sources)
{
    struct MHD_Response *response = NULL;
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (!out)
        return NULL;
    metrics_write(out, sources);
    if (fclose(out) == 0)
        response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    else
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    return response;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_length, void **state)
{
    struct metrics_server *server = context;
    unsigned status = MHD_HTTP_OK;
    struct MHD_Response *response;
    enum MHD_Result result;

    (void)version;
    (void)upload;
    (void)state;
    *upload_length = 0; /* nothing that is uploaded is of use */
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
        response = constant_response("only GET and HEAD\n");
    } else if (strcmp(path, "/health") == 0) {
        response = constant_response("OK");
    } else {
        response = metrics_response(server->sources);
    }
    if (!response)
        return MHD_NO;
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* A listening socket, so that errors are the kernel's own; the bound port is left in *port. */
static int listen_on(const struct address *address, uint16_t *port)
{
    struct sockaddr_storage storage;
    socklen_t length = address_to_sockaddr(address, &storage);
    int descriptor = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), reuse = 1, error;
    struct address bound;

    if (descriptor < 0)
        return -errno;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    if (bind(descriptor, (struct sockaddr *)&storage, length) < 0 || listen(descriptor, BACKLOG) < 0 ||
        getsockname(descriptor, (struct sockaddr *)&storage, &length) < 0) {
        error = -errno;
        close(descriptor);
        return error;
    }
    address_from_sockaddr(&bound, (struct sockaddr *)&storage);
    *port = bound.port;
    return descriptor;
}

int metrics_server_start(struct metrics_server **server, const struct address *address, const struct metrics_sources *sources)
{
    struct metrics_server *s = calloc(1, sizeof *s);
    int descriptor;

    if (!s)
        return -ENOMEM;
    s->sources = sources;
    descriptor = listen_on(address, &s->port);
    if (descriptor < 0) {
        free(s);
        return descriptor;
    }
    s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, answer, s,
                                 MHD_OPTION_LISTEN_SOCKET, descriptor, MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
                                 MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
    if (!s->daemon) {
        close(descriptor);
        free(s);
        return -ENOMEM;
    }
    *server = s;
    return 0;
}

void metrics_server_stop(struct metrics_server *server)
{
    MHD_stop_daemon(server->daemon);
    free(server);
}

uint16_t metrics_server_port(const struct metrics_server *server)
{
    return server->port;
}
