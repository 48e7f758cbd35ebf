/* Multishot receives into one ring of buffers that all connections share. */
#include "engine/unread.h"
#include "engine/uring/uring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define BUFFER_GROUP 0
/* Most buffers that one connection may fill per turn: a sixteenth of them. */
#define BUFFERS_PER_TURN(buffers) ((buffers)->count / 16 > 1 ? (buffers)->count / 16 : 1)

static uint8_t *buffer_memory(const struct uring_buffers *buffers, uint16_t buffer)
{
    return buffers->memory + (size_t)buffer * buffers->bytes;
}

static void give_back(struct uring_buffers *buffers, uint16_t buffer)
{
    io_uring_buf_ring_add(buffers->ring, buffer_memory(buffers, buffer), buffers->bytes, buffer,
                          io_uring_buf_ring_mask(buffers->count), 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
}

static size_t ring_bytes(const struct uring_buffers *buffers)
{
    return buffers->count * sizeof(struct io_uring_buf);
}

static void *map(size_t length)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

int uring_buffers_open(struct uring_engine *engine)
{
    struct uring_buffers *buffers = &engine->buffers;
    struct io_uring_buf_reg registration = {.bgid = BUFFER_GROUP};
    int error = -ENOMEM;

    buffers->count = engine->base.options.receive_buffers;
    buffers->bytes = engine->base.options.receive_buffer_bytes;
    buffers->ring = map(ring_bytes(buffers));
    buffers->memory = map((size_t)buffers->count * buffers->bytes);
    buffers->kept = calloc(buffers->count, sizeof *buffers->kept);
    if (buffers->ring && buffers->memory && buffers->kept) {
        registration.ring_addr = (uint64_t)(uintptr_t)buffers->ring;
        registration.ring_entries = buffers->count;
        error = io_uring_register_buf_ring(&engine->ring, &registration, 0);
    }
    if (error != 0)
        return error;
    io_uring_buf_ring_init(buffers->ring);
    for (uint32_t i = 0; i < buffers->count; i++)
        give_back(buffers, (uint16_t)i);
    return 0;
}

/* To be called after the ring is closed: only that stops the kernel from using registered buffers. */
void uring_buffers_close(struct uring_engine *engine)
{
    struct uring_buffers *buffers = &engine->buffers;

    if (buffers->ring)
        munmap(buffers->ring, ring_bytes(buffers));
    if (buffers->memory)
        munmap(buffers->memory, (size_t)buffers->count * buffers->bytes);
    free(buffers->kept);
}

void uring_receive_arm(struct uring_engine *engine, struct uring_connection *connection)
{
    struct io_uring_sqe *submission;

    if (connection->base.dead || connection->receive_armed || connection->receive_paused || connection->receive_waits ||
        connection->peer_finished)
        return;
    submission = uring_submission(engine);
    io_uring_prep_recv_multishot(submission, connection->descriptor, NULL, 0, 0);
    submission->flags |= IOSQE_BUFFER_SELECT;
    submission->buf_group = BUFFER_GROUP;
    uring_tag(engine, connection, submission, URING_RECEIVE);
    connection->receive_armed = true;
    connection->receive_cancelled = false;
}

static size_t offer(struct uring_engine *engine, struct uring_connection *connection, uint8_t *bytes, size_t length)
{
    size_t consumed =
        uring_handler(engine)->received(engine->base.options.context, &connection->base, bytes, length, engine->now_ns);

    assert(consumed <= length);
    return consumed;
}

/* Reports the peer's FIN to the handler, once everything before it is consumed. */
static void offer_finish(struct uring_engine *engine, struct uring_connection *connection)
{
    uint8_t nothing = 0;

    if (!connection->peer_finished || connection->finish_delivered || connection->receive_paused)
        return;
    connection->finish_delivered = true;
    offer(engine, connection, &nothing, 0);
    uring_finish_proceed(engine, connection);
}

/* Keeps the part of a buffer that `received` did not consume, behind the buffers that are kept for the connection already. */
static void keep(struct uring_engine *engine, struct uring_connection *connection, uint16_t buffer, uint32_t offset,
                 uint32_t length)
{
    struct uring_buffers *buffers = &engine->buffers;

    buffers->kept[buffer] = (struct uring_buffer){.offset = offset, .length = length, .next = URING_NO_BUFFER};
    if (connection->first_buffer == URING_NO_BUFFER)
        connection->first_buffer = buffer;
    else
        buffers->kept[connection->last_buffer].next = buffer;
    connection->last_buffer = buffer;
    buffers->kept_count++;
}

static void drop_first_kept(struct uring_engine *engine, struct uring_connection *connection)
{
    struct uring_buffers *buffers = &engine->buffers;
    uint16_t buffer = connection->first_buffer;

    connection->first_buffer = buffers->kept[buffer].next;
    buffers->kept_count--;
    give_back(buffers, buffer);
}

int uring_receive_take_kept(struct uring_engine *engine, struct uring_connection *connection)
{
    int error = 0;

    while (connection->first_buffer != URING_NO_BUFFER && error == 0) {
        const struct uring_buffer *left = &engine->buffers.kept[connection->first_buffer];

        error = unread_keep(&engine->base, &connection->base,
                            buffer_memory(&engine->buffers, connection->first_buffer) + left->offset, left->length);
        if (error == 0)
            drop_first_kept(engine, connection);
    }
    return error;
}

void uring_receive_drop_kept(struct uring_engine *engine, struct uring_connection *connection)
{
    unread_drop(&engine->base, &connection->base);
    while (connection->first_buffer != URING_NO_BUFFER)
        drop_first_kept(engine, connection);
}

static void cancel_receive(struct uring_engine *engine, struct uring_connection *connection)
{
    if (!connection->receive_armed || connection->receive_cancelled)
        return;
    connection->receive_cancelled = true;
    uring_cancel(engine, connection, URING_RECEIVE);
}

void uring_receive_pause(struct uring_engine *engine, struct uring_connection *connection)
{
    connection->receive_paused = true;
    cancel_receive(engine, connection);
}

static void wait_in(struct queue *queue, struct uring_connection *connection)
{
    if (connection->receive_waits)
        return;
    connection->receive_waits = true;
    queue_append(queue, &connection->waiting);
}

/*
 * Without a bound, a peer that sends faster than the others would take every buffer before them. After its share of a turn a connection
 * stops receiving until no other connection waits for a buffer. By then the kernel may have filled all buffers for that connection, but it
 * can't do so a second time.
 */
static void count_share(struct uring_engine *engine, struct uring_connection *connection)
{
    if (connection->turn != engine->turn)
        connection->turn_buffers = 0;
    connection->turn = engine->turn;
    if (++connection->turn_buffers < BUFFERS_PER_TURN(&engine->buffers))
        return;
    cancel_receive(engine, connection);
    wait_in(&engine->buffers.over_share, connection);
}

/*
 * Keeps a buffer that arrived for a paused connection. Beyond its share of a turn its bytes are copied and its buffers given back, since
 * others may need them; without memory for the copy the buffers stay kept.
 */
static void keep_for_later(struct uring_engine *engine, struct uring_connection *connection, uint16_t buffer, uint32_t length)
{
    keep(engine, connection, buffer, 0, length);
    if (connection->turn_buffers > BUFFERS_PER_TURN(&engine->buffers))
        uring_receive_take_kept(engine, connection);
}

static void deliver(struct uring_engine *engine, struct uring_connection *connection, uint16_t buffer, uint32_t length)
{
    size_t consumed;

    counter_add(&engine->base.counters.receives, 1);
    counter_add(&engine->base.counters.bytes_received, length);
    count_share(engine, connection);
    if (connection->receive_paused) {
        keep_for_later(engine, connection, buffer, length);
        uring_receive_pause(engine, connection); /* again, since an earlier cancellation may have failed */
        return;
    }
    consumed = offer(engine, connection, buffer_memory(&engine->buffers, buffer), length);
    if (consumed == length || connection->base.dead) {
        give_back(&engine->buffers, buffer);
        return;
    }
    keep(engine, connection, buffer, (uint32_t)consumed, length - (uint32_t)consumed);
    uring_receive_pause(engine, connection);
}

/* The receive found no buffer: it waits. Buffers are given back as completions are handled, and when kept ones are consumed or dropped. */
static void wait_for_buffer(struct uring_engine *engine, struct uring_connection *connection)
{
    counter_add(&engine->base.counters.receive_starved, 1);
    wait_in(&engine->buffers.without_buffer, connection);
}

void uring_received(struct uring_engine *engine, struct uring_connection *connection, int result, unsigned flags)
{
    bool has_buffer = flags & IORING_CQE_F_BUFFER;
    uint16_t buffer = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);

    if (!(flags & IORING_CQE_F_MORE))
        connection->receive_armed = false;
    if (has_buffer && result > 0 && !connection->base.dead)
        deliver(engine, connection, buffer, (uint32_t)result);
    else if (has_buffer)
        give_back(&engine->buffers, buffer);
    if (connection->base.dead)
        return;
    if (result == 0) {
        connection->peer_finished = true;
        offer_finish(engine, connection);
    } else if (result == -ENOBUFS) {
        wait_for_buffer(engine, connection);
    } else if (result < 0 && result != -ECANCELED && result != -EINTR && result != -EAGAIN) {
        uring_fail(engine, connection, result);
    }
    uring_receive_arm(engine, connection);
}

void uring_receive_resume(struct engine *base, struct connection *connection)
{
    uring_connection_of(connection)->resume_wanted = true;
    uring_todo(uring_of(base), uring_connection_of(connection));
}

void uring_receive_offer_kept(struct uring_engine *engine, struct uring_connection *connection)
{
    connection->resume_wanted = false;
    if (connection->base.detaching || !unread_offer(&engine->base, &connection->base, engine->now_ns) || connection->base.dead)
        return;
    while (connection->first_buffer != URING_NO_BUFFER) {
        uint16_t buffer = connection->first_buffer;
        struct uring_buffer *left = &engine->buffers.kept[buffer];
        size_t consumed = offer(engine, connection, buffer_memory(&engine->buffers, buffer) + left->offset, left->length);

        if (connection->base.dead)
            return;
        left->offset += (uint32_t)consumed;
        left->length -= (uint32_t)consumed;
        if (left->length > 0)
            return;
        drop_first_kept(engine, connection);
    }
    connection->receive_paused = false;
    offer_finish(engine, connection);
    uring_receive_arm(engine, connection);
}

bool uring_receive_is_due(const struct uring_engine *engine)
{
    const struct uring_buffers *buffers = &engine->buffers;

    return (!queue_is_empty(&buffers->without_buffer) || !queue_is_empty(&buffers->over_share)) &&
           buffers->kept_count < buffers->count;
}

void uring_receive_restart_waiting(struct uring_engine *engine)
{
    struct uring_buffers *buffers = &engine->buffers;
    struct queue *queue = queue_is_empty(&buffers->without_buffer) ? &buffers->over_share : &buffers->without_buffer;
    struct queue_node *node;

    if (!uring_receive_is_due(engine))
        return;
    for (uint32_t left = buffers->count - buffers->kept_count; left > 0 && (node = queue_take(queue)); left--) {
        struct uring_connection *connection = QUEUE_ENTRY(node, struct uring_connection, waiting);

        connection->receive_waits = false;
        uring_receive_arm(engine, connection);
        uring_slot_release(engine, connection);
    }
}
