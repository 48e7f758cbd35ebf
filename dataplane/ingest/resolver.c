#include "ingest/resolver.h"

#include "flashrelay/thread.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum look_up_state { IDLE, RUNNING, ANSWERED };

/* Shared by its owner and the thread of a running look-up; freed by the last of them. */
struct resolver {
    pthread_mutex_t lock; /* guards the other members; held for moments only */
    struct resolver_answer answer;
    char host[256];
    uint16_t port;
    bool cancelled, orphaned;
    enum look_up_state state;
};

int resolver_create(struct resolver **out)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);

    if (!resolver)
        return -ENOMEM;
    pthread_mutex_init(&resolver->lock, NULL);
    *out = resolver;
    return 0;
}

static void resolver_free(struct resolver *resolver)
{
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

void resolver_destroy(struct resolver *resolver)
{
    bool running;

    if (!resolver)
        return;
    pthread_mutex_lock(&resolver->lock);
    running = resolver->state == RUNNING;
    resolver->orphaned = true;
    pthread_mutex_unlock(&resolver->lock);
    if (!running)
        resolver_free(resolver);
}

static void collect_addresses(struct resolver_answer *answer, const struct addrinfo *found, uint16_t port)
{
    for (; found && answer->count < RESOLVER_MAX_ADDRESSES; found = found->ai_next) {
        struct address *address = &answer->addresses[answer->count];

        if (address_from_sockaddr(address, found->ai_addr) == 0) {
            address->port = port;
            answer->count++;
        }
    }
    if (answer->count == 0)
        answer->error = "the name has no IPv4 or IPv6 address";
}

static void look_up(struct resolver_answer *answer, const char *host, uint16_t port)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(host, NULL, &hints, &found);

    memset(answer, 0, sizeof *answer);
    if (error != 0) {
        answer->error = gai_strerror(error);
        return;
    }
    collect_addresses(answer, found, port);
    freeaddrinfo(found);
}

/* `host` and `port` do not change while the state is RUNNING. */
static void *run_look_up(void *context)
{
    struct resolver *resolver = context;
    struct resolver_answer answer;
    bool orphaned;

    thread_set_name("resolver");
    look_up(&answer, resolver->host, resolver->port);
    pthread_mutex_lock(&resolver->lock);
    orphaned = resolver->orphaned;
    resolver->answer = answer;
    resolver->state = resolver->cancelled ? IDLE : ANSWERED;
    pthread_mutex_unlock(&resolver->lock);
    if (orphaned)
        resolver_free(resolver);
    return NULL;
}

static int start_thread(struct resolver *resolver)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error;

    if (pthread_attr_init(&attributes) != 0)
        return -EAGAIN;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    error = pthread_create(&thread, &attributes, run_look_up, resolver);
    pthread_attr_destroy(&attributes);
    return error != 0 ? -EAGAIN : 0;
}

int resolver_start(struct resolver *resolver, const char *host, uint16_t port)
{
    int error = -EBUSY;

    assert(strlen(host) < sizeof resolver->host);
    pthread_mutex_lock(&resolver->lock);
    if (resolver->state != RUNNING) {
        snprintf(resolver->host, sizeof resolver->host, "%s", host);
        resolver->port = port;
        resolver->cancelled = false;
        resolver->state = RUNNING;
        error = start_thread(resolver);
        if (error != 0)
            resolver->state = IDLE;
    }
    pthread_mutex_unlock(&resolver->lock);
    return error;
}

bool resolver_take(struct resolver *resolver, struct resolver_answer *answer)
{
    bool answered;

    pthread_mutex_lock(&resolver->lock);
    answered = resolver->state == ANSWERED;
    if (answered) {
        *answer = resolver->answer;
        resolver->state = IDLE;
    }
    pthread_mutex_unlock(&resolver->lock);
    return answered;
}

void resolver_cancel(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    resolver->cancelled = true;
    if (resolver->state == ANSWERED)
        resolver->state = IDLE;
    pthread_mutex_unlock(&resolver->lock);
}
