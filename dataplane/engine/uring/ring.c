#include "engine/uring/uring.h"
#include "flashrelay/log.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Submissions that a turn may prepare besides its sends (receives, closes, polls) before one more system call is needed. */
#define OTHER_SUBMISSIONS 256
/*
 * Room for a burst of completions that peers cause; beyond it the kernel keeps completions aside, and multishot receives end and are armed
 * again. Newer kernels count rings as locked memory; its usual limit, 8 MiB, has to be enough for the rings of many threads.
 */
#define COMPLETION_ENTRIES 4096

static unsigned power_of_two(unsigned n)
{
    unsigned power = 1;

    while (power < n)
        power *= 2;
    return power;
}

int uring_ring_open(struct uring_engine *engine, unsigned setup_flags)
{
    struct io_uring_params params = {
        .flags = setup_flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = COMPLETION_ENTRIES,
    };
    int error =
        io_uring_queue_init_params(power_of_two(engine->base.options.sends_per_turn + OTHER_SUBMISSIONS), &engine->ring, &params);

    if (error != 0)
        return error;
    engine->wake_event = eventfd(0, EFD_CLOEXEC);
    if (engine->wake_event < 0) {
        error = -errno;
        io_uring_queue_exit(&engine->ring);
    }
    return error;
}

void uring_ring_close(struct uring_engine *engine)
{
    io_uring_queue_exit(&engine->ring);
    close(engine->wake_event);
}

void uring_ring_enable(struct uring_engine *engine)
{
    int error = compat_enable_ring(&engine->ring);

    if (error != 0)
        log_line(LOG_ERROR, "uring", "the ring can't be enabled: %s", strerror(-error));
    /* Saves the look-up of the ring's descriptor at each io_uring_enter. The registration is the thread's own: unsafe without single issuer. */
    if (engine->features.single_issuer)
        io_uring_register_ring_fd(&engine->ring);
    engine->enabled = true;
}

struct io_uring_sqe *uring_submission(struct uring_engine *engine)
{
    struct io_uring_sqe *submission;

    while (!(submission = io_uring_get_sqe(&engine->ring))) {
        uring_count_system_call(engine);
        io_uring_submit(&engine->ring);
    }
    return submission;
}

static uint64_t tag_of(const struct uring_engine *engine, const struct uring_connection *connection, unsigned operation)
{
    uint64_t slot = (uint64_t)(connection - uring_slot(engine, 0));

    return (uint64_t)operation << URING_OPERATION_SHIFT | (uint64_t)connection->generation << URING_GENERATION_SHIFT | slot;
}

uint64_t uring_tag_without_connection(enum uring_operation operation, uint64_t detail)
{
    return (uint64_t)operation << URING_OPERATION_SHIFT | detail;
}

void uring_tag(struct uring_engine *engine, struct uring_connection *connection, struct io_uring_sqe *submission,
               unsigned operation)
{
    submission->user_data = tag_of(engine, connection, operation);
    connection->operations++;
}

void uring_cancel(struct uring_engine *engine, struct uring_connection *connection, enum uring_operation operation)
{
    struct io_uring_sqe *submission = uring_submission(engine);

    io_uring_prep_cancel64(submission, tag_of(engine, connection, operation), 0);
    uring_tag(engine, connection, submission, URING_CANCEL);
}

struct uring_connection *uring_tagged(struct uring_engine *engine, uint64_t user_data)
{
    struct uring_connection *connection = uring_slot(engine, (uint32_t)user_data);

    return connection->generation == (user_data >> URING_GENERATION_SHIFT & URING_GENERATION_MASK) ? connection : NULL;
}
