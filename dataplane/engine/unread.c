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

/* Where the connection's is linked, or the list's end. */
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
    while (unread->connection != connection)
        unread = unread->next;
    *bytes = unread->bytes + unread->taken;
    return unread->length - unread->taken;
}

static void unlink_and_free(struct engine_unread **link)
{
    struct engine_unread *unread = *link;

    *link = unread->next;
    unread->connection->has_unread = false;
    free(unread);
}

bool unread_offer(struct engine *engine, struct connection *connection, uint64_t now_ns)
{
    const struct engine_options *options = &engine->options;
    struct engine_unread *unread = *find(engine, connection);
    size_t left;

    if (!connection->has_unread)
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
    if (connection->has_unread)
        unlink_and_free(find(engine, connection));
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
