#include "http/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_S 10u
#define BACKLOG   32

struct http_server {
    struct MHD_Daemon *daemon;
    const struct http_mount *mounts;
    unsigned mount_count;
    uint16_t port;
};

/* True if `path` is `prefix` or below it. */
static bool is_below(const char *path, const char *prefix)
{
    size_t length = strlen(prefix);

    if (strncmp(path, prefix, length) != 0)
        return false;
    return path[length] == '\0' || path[length] == '/' || prefix[length - 1] == '/';
}

static const struct http_mount *find_mount(const struct http_server *server, const char *path)
{
    const struct http_mount *found = NULL;

    for (unsigned i = 0; i < server->mount_count; i++) {
        const struct http_mount *mount = &server->mounts[i];

        if (is_below(path, mount->prefix) && (!found || strlen(mount->prefix) > strlen(found->prefix)))
            found = mount;
    }
    return found;
}

static struct MHD_Response *constant_response(const char *text)
{
    return MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *mounted_response(const struct http_mount *mount)
{
    struct MHD_Response *response = NULL;
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (!out)
        return NULL;
    mount->write(out, mount->context);
    if (fclose(out) == 0)
        response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    else
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, mount->content_type);
    return response;
}

/* The answer to a request and its status, or NULL without memory. */
static struct MHD_Response *answer_to(const struct http_server *server, const char *method, const char *path, unsigned *status)
{
    const struct http_mount *mount = find_mount(server, path);

    *status = MHD_HTTP_METHOD_NOT_ALLOWED;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return constant_response("only GET and HEAD\n");
    *status = MHD_HTTP_OK;
    if (strcmp(path, "/health") == 0)
        return constant_response("OK");
    if (mount)
        return mounted_response(mount);
    *status = MHD_HTTP_NOT_FOUND;
    return constant_response("nothing here\n");
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *upload, size_t *upload_length, void **state)
{
    struct MHD_Response *response;
    enum MHD_Result result;
    unsigned status;

    (void)version;
    (void)upload;
    (void)state;
    *upload_length = 0; /* uploaded bytes are dropped */
    response = answer_to(context, method, path, &status);
    if (!response)
        return MHD_NO;
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* Makes the listening socket here instead of in libmicrohttpd, to return the kernel's error; leaves the bound port in *port. */
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

int http_server_start(struct http_server **server, const struct address *address, const struct http_mount *mounts, unsigned count)
{
    struct http_server *s = calloc(1, sizeof *s);
    int descriptor;

    if (!s)
        return -ENOMEM;
    s->mounts = mounts;
    s->mount_count = count;
    descriptor = listen_on(address, &s->port);
    if (descriptor < 0) {
        free(s);
        return descriptor;
    }
    s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, on_request, s,
                                 MHD_OPTION_LISTEN_SOCKET, descriptor, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)HTTP_SERVER_MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
    if (!s->daemon) {
        close(descriptor);
        free(s);
        return -ENOMEM;
    }
    *server = s;
    return 0;
}

void http_server_stop(struct http_server *server)
{
    MHD_stop_daemon(server->daemon);
    free(server);
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}
