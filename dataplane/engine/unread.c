#include "engine/unread.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct engine_unread {
    struct engine_unread *next;
    struct connection *connection;
    size_t taken, length;
    uint8_t bytes[];
};

/* The link to the connection's element, or the link at the list's end if it has none. */
static struct engine_unread **find(struct engine *engine, const struct connection *connection)
{
    struct engine_unread **link = &engine->unread;

    while (*link && (*link)->connection != connection)
        link = &(*link)->next;
    return link;
}

int unread_keep(struct engine *engine, struct connection *connection, const uint8_t *bytes, size_t length)
{
    struct engine_unread **link = find(engine, connection);
    size_t before = *link ? (*link)->length : 0;
    struct engine_unread *unread = realloc(*link, sizeof *unread + before + length);

    if (!unread)
        return -ENOMEM;
    if (!*link)
        *unread = (struct engine_unread){.connection = connection};
    memcpy(unread->bytes + before, bytes, length);
    unread->length = before + length;
    *link = unread;
    connection->has_unread = true;
    return 0;
}

size_t unread_peek(const struct engine *engine, const struct connection *connection, const uint8_t **bytes)
{
    const struct engine_unread *unread = engine->unread;

    if (!connection->has_unread)
        return 0;
    while (unread && unread->connection != connection)
        unread = unread->next;
    if (!unread)
        return 0;
    *bytes = unread->bytes + unread->taken;
    return unread->length - unread->taken;
}

bool unread_offer(struct engine *engine, struct connection *connection, uint64_t now_ns)
{
    const struct engine_options *options = &engine->options;
    struct engine_unread *unread = connection->has_unread ? *find(engine, connection) : NULL;
    size_t left;

    if (!unread)
        return true;
    left = unread->length - unread->taken;
    size_t consumed = options->handler->received(options->context, connection, unread->bytes + unread->taken, left, now_ns);
    assert(consumed <= left);
    if (connection->dead || consumed == left) {
        unread_drop(engine, connection);
        return true;
    }
    unread->taken += consumed;
    return false;
}

void unread_drop(struct engine *engine, struct connection *connection)
{
    struct engine_unread **link, *unread;

    if (!connection->has_unread)
        return;
    link = find(engine, connection);
    unread = *link;
    if (!unread)
        return;
    *link = unread->next;
    connection->has_unread = false;
    free(unread);
}

void unread_drop_all(struct engine *engine)
{
    struct engine_unread *unread = engine->unread;

    while (unread) {
        struct engine_unread *next = unread->next;

        free(unread);
        unread = next;
    }
    engine->unread = NULL;
}
