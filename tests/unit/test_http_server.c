/* The operators' HTTP server: which mount answers which path, and what is answered where no mount does. */
#include "http/server.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void write_context(FILE *out, const void *context)
{
    fprintf(out, "from %s", (const char *)context);
}

static const struct http_mount mounts[] = {
    {"/a", "text/a", write_context, "a"},
    {"/a/b", "text/b", write_context, "b"},
    {"/c/", "text/c", write_context, "c"},
};

static const struct http_mount everything = {"/", "text/root", write_context, "root"};

static struct http_server *server;

static void start(const struct http_mount *mounted, unsigned count)
{
    struct address address;

    assert_int_equal(address_parse(&address, "127.0.0.1:0"), 0);
    assert_int_equal(http_server_start(&server, &address, mounted, count), 0);
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(server);
    return 0;
}

/* Sends a request and returns the server's whole answer. */
static const char *ask(const char *method, const char *path)
{
    static char answer[1024];
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(http_server_port(server)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), length;
    char request[256];
    ssize_t got;

    assert_int_equal(connect(descriptor, (struct sockaddr *)&to, sizeof to), 0);
    length = snprintf(request, sizeof request, "%s %s HTTP/1.0\r\nHost: x\r\n\r\n", method, path);
    assert_int_equal(send(descriptor, request, (size_t)length, 0), length);
    got = recv(descriptor, answer, sizeof answer - 1, MSG_WAITALL);
    assert_true(got > 0);
    answer[got] = '\0';
    close(descriptor);
    return answer;
}

static void assert_answered(const char *method, const char *path, const char *status, const char *type, const char *body)
{
    const char *answer = ask(method, path), *end = strstr(answer, "\r\n\r\n");

    assert_non_null(strstr(answer, status));
    assert_true(!type || strstr(answer, type));
    assert_non_null(end);
    assert_string_equal(end + 4, body);
}

static void the_longest_prefix_answers(void **state)
{
    (void)state;
    start(mounts, sizeof mounts / sizeof mounts[0]);
    assert_answered("GET", "/a", " 200 ", "Content-Type: text/a\r\n", "from a");
    assert_answered("GET", "/a/x?y=/a/b", " 200 ", "Content-Type: text/a\r\n", "from a");
    assert_answered("GET", "/a/b", " 200 ", "Content-Type: text/b\r\n", "from b");
    assert_answered("GET", "/a/b/c", " 200 ", "Content-Type: text/b\r\n", "from b");
    assert_answered("GET", "/a/bc", " 200 ", "Content-Type: text/a\r\n", "from a");
    assert_answered("GET", "/c/x", " 200 ", "Content-Type: text/c\r\n", "from c");
    assert_answered("GET", "/ab", " 404 ", NULL, "nothing here\n");
    assert_answered("GET", "/", " 404 ", NULL, "nothing here\n");
}

static void a_mount_of_everything_leaves_health(void **state)
{
    (void)state;
    start(&everything, 1);
    assert_answered("GET", "/health", " 200 ", NULL, "OK");
    assert_answered("GET", "/healthy", " 200 ", "Content-Type: text/root\r\n", "from root");
    assert_answered("GET", "/", " 200 ", "Content-Type: text/root\r\n", "from root");
}

static void only_get_and_head_are_answered(void **state)
{
    (void)state;
    start(&everything, 1);
    assert_answered("HEAD", "/", " 200 ", "Content-Length: 9\r\n", "");
    assert_answered("DELETE", "/", " 405 ", NULL, "only GET and HEAD\n");
    assert_answered("POST", "/health", " 405 ", NULL, "only GET and HEAD\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_longest_prefix_answers, stop),
        cmocka_unit_test_teardown(a_mount_of_everything_leaves_health, stop),
        cmocka_unit_test_teardown(only_get_and_head_are_answered, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
