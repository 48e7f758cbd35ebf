#include "ingest/upstream.h"

#include "flashrelay/log.h"
#include "flashrelay/random.h"
#include "ingest/internal.h"

#include <string.h>

static bool append(struct upstream *upstream, const void *bytes, size_t length)
{
    if (engine_append_bytes(upstream->ingest->engine, upstream->connection, bytes, length))
        return false;
    engine_serve(upstream->ingest->engine, upstream->connection);
    return true;
}

/* What TLS has to say after our FIN is left unsaid. */
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
    struct connection *connection = upstream->connection;

    if (!upstream->tls)
        return append(upstream, bytes, length);
    /* What is encrypted must be sent, so there has to be room before. */
    return connection->extent_count < CONNECTION_EXTENTS && tls_client_write(upstream->tls, bytes, length) == TLS_DONE &&
           upstream_send_records(upstream);
}

/* From the kernel: nobody but us may know it beforehand (RFC 6455, 10.3). */
static void draw_mask(uint8_t mask[4])
{
    uint64_t drawn = random_system_seed();

    memcpy(mask, &drawn, 4);
}

bool upstream_send_control(struct upstream *upstream, uint8_t opcode, const void *payload, size_t length)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME], mask[4];

    draw_mask(mask);
    return upstream_send(upstream, frame, ws_write_control(frame, opcode, payload, length, mask));
}

bool upstream_send_close(struct upstream *upstream, uint16_t code, const char *reason)
{
    uint8_t frame[WS_MAX_CONTROL_FRAME], mask[4];

    if (code == WS_CLOSE_NO_STATUS)
        return upstream_send_control(upstream, WS_CLOSE, NULL, 0);
    draw_mask(mask);
    return upstream_send(upstream, frame, ws_write_close(frame, code, reason, mask));
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
