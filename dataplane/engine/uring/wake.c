/* Ending another engine's sleep: by a message from ring to ring where that works, else by an eventfd that every ring reads. */
#include "engine/base.h"
#include "engine/uring/uring.h"

#include <errno.h>
#include <unistd.h>

static void write_event(struct uring_engine *target)
{
    uint64_t one = 1;
    ssize_t written;

    /* The write would block only if the count were about to overflow (eventfd(2)); the ring sets it back to 0 by reading it. */
    do
        written = write(target->wake_event, &one, sizeof one);
    while (written < 0 && errno == EINTR);
}

static void send_message(struct uring_engine *target, struct uring_engine *from)
{
    struct io_uring_sqe *submission = uring_submission(from);

    io_uring_prep_msg_ring(submission, target->ring.ring_fd, 0, uring_tag_without_connection(URING_WOKEN, 0), 0);
    submission->flags |= IOSQE_CQE_SKIP_SUCCESS;
    submission->user_data = uring_tag_without_connection(URING_WAKE_FAILED, (uint64_t)(uintptr_t)target);
    io_uring_submit(&from->ring);
}

void uring_wake(struct waker *waker, struct waker *from)
{
    struct uring_engine *target = uring_of(engine_of_waker(waker));
    struct uring_engine *source = from && from->wake == uring_wake ? uring_of(engine_of_waker(from)) : NULL;

    if (source)
        uring_count_system_call(source);
    if (source && source->enabled && source->features.message_ring)
        send_message(target, source);
    else
        write_event(target);
}

void uring_wake_fallback(uint64_t detail)
{
    write_event((struct uring_engine *)(uintptr_t)detail);
}

void uring_wake_arm(struct uring_engine *engine)
{
    struct io_uring_sqe *submission = uring_submission(engine);

    io_uring_prep_read(submission, engine->wake_event, &engine->wake_count, sizeof engine->wake_count, 0);
    submission->user_data = uring_tag_without_connection(URING_WAKE_EVENT, 0);
}
