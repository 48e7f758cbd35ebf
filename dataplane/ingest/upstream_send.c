#include "ingest/upstream.h"

#include "flashrelay/log.h"
#include "ingest/internal.h"

static bool append(struct upstream *upstream, const void *bytes, size_t length)
{
    if (engine_append_bytes(upstream->ingest->engine, upstream->connection, bytes, length) != 0)
        return false;
    engine_serve(upstream->ingest->engine, upstream->connection);
    return true;
}

/* Records that TLS has ready after engine_finish are not sent. */
bool upstream_send_records(struct upstream *upstream)
{
    const uint8_t *records;
    size_t length = tls_client_output(upstream->tls, &records);

    if (length == 0 || upstream->connection->finishing)
        return true;
    if (!append(upstream, records, length))
        return false;
    tls_client_output_taken(upstream->tls);
    return true;
}

bool upstream_send(struct upstream *upstream, const void *bytes, size_t length)
{
    if (!upstream->tls)
        return append(upstream, bytes, length);
    /* Bytes that are encrypted must be sent, so there has to be room for them before. */
    return engine_has_room(upstream->connection) && tls_client_write(upstream->tls, bytes, length) == TLS_DONE &&
           upstream_send_records(upstream);
}

bool upstream_send_control(struct upstream *upstream, uint8_t opcode, const void *payload, size_t length)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];

    return upstream_send(upstream, frame, ws_client_write_control(&upstream->client, frame, opcode, payload, length));
}

bool upstream_send_close(struct upstream *upstream, uint16_t code, const char *reason)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME];

    return upstream_send(upstream, frame, ws_client_write_close(&upstream->client, frame, code, reason));
}

void upstream_finish(struct upstream *upstream)
{
    if (upstream->connection->finishing)
        return;
    if (upstream->tls) {
        tls_client_close(upstream->tls);
        upstream_send_records(upstream);
    }
    engine_finish(upstream->ingest->engine, upstream->connection);
}
