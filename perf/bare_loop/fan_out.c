/*
 * The fan-out loop. Frames lie in a short ring of buffers; each subscriber has the number of its next frame and how many bytes of it are
 * sent. A send that the socket refuses waits inside the kernel (io_uring polls for it), so the loop has no state for blocked subscribers.
 */
#include "bare_loop/bare_loop.h"

#include "flashrelay/http.h"
#include "flashrelay/ws.h"

#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SENDS_PER_ENTER   256
#define COMPLETIONS       65536
#define FRAMES            64 /* power of two; a subscriber that is further behind is cut off */
#define UPSTREAM_BYTES    (256u << 10)
#define MAX_MESSAGE_BYTES (32u << 20)

enum operation { ACCEPT, UPSTREAM, REQUEST, ANSWER, SEND };

struct frame {
    uint8_t *bytes;
    size_t length, capacity;
};

struct handshake {
    char request[HTTP_MAX_REQUEST_BYTES];
    size_t length;
    char answer[256];
};

struct loop_subscriber {
    int fd;
    uint32_t ready_index; /* in fan_out.ready */
    uint64_t next;        /* number of the frame that it gets next */
    size_t taken;         /* bytes of that frame that are sent */
    bool sending;
    struct handshake *handshake; /* NULL once upgraded */
};

struct fan_out {
    const struct bare_options *options;
    struct io_uring ring;
    int upstream, listener;
    uint32_t max_subscribers; /* the limit of descriptors */
    bool ended;
    uint8_t *received;
    struct ws_reader reader;
    struct frame frames[FRAMES];
    uint64_t head; /* the frame being filled; everything below is complete */
    struct loop_subscriber *subscribers;
    uint32_t *free_slots, free_count;
    uint32_t *ready, ready_count;
};

static struct io_uring_sqe *next_entry(struct fan_out *f, enum operation operation, uint32_t index)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&f->ring);

    if (!entry) {
        io_uring_submit(&f->ring);
        entry = io_uring_get_sqe(&f->ring);
    }
    io_uring_sqe_set_data64(entry, (uint64_t)operation << 32 | index);
    return entry;
}

static bool is_behind(const struct fan_out *f, const struct loop_subscriber *s)
{
    return s->next < f->head;
}

/* --- subscribers coming and going --- */

static void read_request(struct fan_out *f, uint32_t slot)
{
    struct loop_subscriber *s = &f->subscribers[slot];
    struct handshake *h = s->handshake;

    io_uring_prep_recv(next_entry(f, REQUEST, slot), s->fd, h->request + h->length, sizeof h->request - h->length, 0);
}

static void accept_more(struct fan_out *f)
{
    io_uring_prep_multishot_accept(next_entry(f, ACCEPT, 0), f->listener, NULL, NULL, SOCK_CLOEXEC);
}

static void add_subscriber(struct fan_out *f, int fd)
{
    if (f->free_count == 0)
        errx(1, "more than %u subscribers", f->max_subscribers);
    uint32_t slot = f->free_slots[--f->free_count];

    f->subscribers[slot] = (struct loop_subscriber){.fd = fd, .handshake = calloc(1, sizeof(struct handshake))};
    if (!f->subscribers[slot].handshake || io_uring_register_files_update(&f->ring, slot, &fd, 1) != 1)
        errx(1, "cannot register a subscriber");
    read_request(f, slot);
}

static void remove_subscriber(struct fan_out *f, uint32_t slot)
{
    struct loop_subscriber *s = &f->subscribers[slot];

    if (!s->handshake) {
        uint32_t last = f->ready[--f->ready_count];
        f->ready[s->ready_index] = last;
        f->subscribers[last].ready_index = s->ready_index;
    }
    free(s->handshake);
    io_uring_register_files_update(&f->ring, slot, &(int){-1}, 1);
    close(s->fd);
    f->free_slots[f->free_count++] = slot;
}

static void on_request(struct fan_out *f, uint32_t slot, int result)
{
    struct handshake *h = f->subscribers[slot].handshake;

    h->length += result > 0 ? (size_t)result : 0;
    long answer = result > 0 ? bare_answer_request(h->request, h->length, h->answer, sizeof h->answer) : -EBADMSG;
    if (answer < 0)
        remove_subscriber(f, slot);
    else if (answer == 0)
        read_request(f, slot);
    else
        io_uring_prep_send(next_entry(f, ANSWER, slot), f->subscribers[slot].fd, h->answer, (size_t)answer, MSG_NOSIGNAL);
}

static void on_answer(struct fan_out *f, uint32_t slot, int result)
{
    struct loop_subscriber *s = &f->subscribers[slot];

    if (result < 0) {
        remove_subscriber(f, slot);
        return;
    }
    free(s->handshake);
    s->handshake = NULL;
    s->next = f->head;
    s->ready_index = f->ready_count;
    f->ready[f->ready_count++] = slot;
}

/* --- sending --- */

static void send_next(struct fan_out *f, uint32_t slot)
{
    struct loop_subscriber *s = &f->subscribers[slot];
    const struct frame *frame = &f->frames[s->next % FRAMES];
    struct io_uring_sqe *entry = next_entry(f, SEND, slot);

    io_uring_prep_send(entry, (int)slot, frame->bytes + s->taken, frame->length - s->taken, MSG_NOSIGNAL);
    io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
    s->sending = true;
}

static void on_sent(struct fan_out *f, uint32_t slot, int result)
{
    struct loop_subscriber *s = &f->subscribers[slot];

    s->sending = false;
    if (result < 0 || f->head - s->next >= FRAMES) {
        remove_subscriber(f, slot);
        return;
    }
    s->taken += (size_t)result;
    if (s->taken == f->frames[s->next % FRAMES].length) {
        s->taken = 0;
        s->next++;
    }
    if (is_behind(f, s))
        send_next(f, slot);
}

/* The same with send(2); bytes that the socket refuses are sent by io_uring. */
static void send_now(struct fan_out *f, uint32_t slot)
{
    struct loop_subscriber *s = &f->subscribers[slot];
    const struct frame *frame = &f->frames[s->next % FRAMES];
    ssize_t n = send(s->fd, frame->bytes, frame->length, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n == (ssize_t)frame->length)
        s->next++;
    else if (n >= 0 || errno == EAGAIN) {
        s->taken = n > 0 ? (size_t)n : 0;
        send_next(f, slot);
    } else
        remove_subscriber(f, slot);
}

static void fan_out_message(struct fan_out *f)
{
    f->head++;
    f->frames[f->head % FRAMES].length = 0;
    /* Backwards, because a removal moves the last entry of `ready` into the gap. */
    for (uint32_t i = f->ready_count; i-- > 0;) {
        uint32_t slot = f->ready[i];
        struct loop_subscriber *s = &f->subscribers[slot];

        if (s->sending && f->head - s->next >= FRAMES)
            shutdown(s->fd, SHUT_RDWR); /* its pending send ends with an error, so that on_sent removes it */
        else if (!s->sending && f->options->mode == BARE_SEND)
            send_now(f, slot);
        else if (!s->sending)
            send_next(f, slot);
    }
}

/* --- the upstream --- */

static void read_upstream(struct fan_out *f)
{
    io_uring_prep_recv(next_entry(f, UPSTREAM, 0), f->upstream, f->received, UPSTREAM_BYTES, 0);
}

static void reserve(struct frame *frame, size_t bytes)
{
    if (frame->length + bytes <= frame->capacity)
        return;
    frame->capacity = (frame->length + bytes) * 2;
    frame->bytes = realloc(frame->bytes, frame->capacity);
    if (!frame->bytes)
        err(1, "no memory for a message");
}

/* Collects a message behind room for the longest header, then moves it up to its actual header. */
static void gather(struct fan_out *f, const struct ws_event *event)
{
    struct frame *frame = &f->frames[f->head % FRAMES];

    if (frame->length == 0)
        frame->length = WS_MAX_HEADER_BYTES;
    reserve(frame, event->length);
    memcpy(frame->bytes + frame->length, event->bytes, event->length);
    frame->length += event->length;
    if (event->last) {
        uint8_t header[WS_MAX_HEADER_BYTES];
        size_t payload = frame->length - WS_MAX_HEADER_BYTES;
        size_t header_length = ws_write_header(header, WS_BINARY, payload, NULL);

        memmove(frame->bytes + header_length, frame->bytes + WS_MAX_HEADER_BYTES, payload);
        memcpy(frame->bytes, header, header_length);
        frame->length = header_length + payload;
        fan_out_message(f);
    }
}

static void answer_ping(struct fan_out *f, const struct ws_event *event)
{
    uint8_t pong[WS_MAX_CONTROL_FRAME];
    const uint8_t mask[4] = {0};
    size_t length = ws_write_control(pong, WS_PONG, event->bytes, event->length, mask);

    f->ended |= write(f->upstream, pong, length) != (ssize_t)length;
}

static void on_upstream(struct fan_out *f, int result)
{
    struct ws_event event = {.kind = WS_EVENT_NONE};
    size_t at = 0, length = result > 0 ? (size_t)result : 0;

    f->ended |= result <= 0;
    while (at < length && !f->ended) {
        at += ws_read(&f->reader, f->received + at, length - at, &event);
        if (event.kind == WS_EVENT_DATA)
            gather(f, &event);
        else if (event.kind == WS_EVENT_PING)
            answer_ping(f, &event);
        else
            f->ended |= event.kind == WS_EVENT_CLOSE || event.kind == WS_EVENT_ERROR;
    }
    if (!f->ended)
        read_upstream(f);
}

/* --- the loop --- */

static void dispatch(struct fan_out *f, const struct io_uring_cqe *completion)
{
    uint32_t slot = (uint32_t)completion->user_data;
    bool more = completion->flags & IORING_CQE_F_MORE;

    switch ((enum operation)(completion->user_data >> 32)) {
    case ACCEPT:
        if (completion->res >= 0)
            add_subscriber(f, completion->res);
        if (!more)
            accept_more(f);
        break;
    case UPSTREAM:
        on_upstream(f, completion->res);
        break;
    case REQUEST:
        on_request(f, slot, completion->res);
        break;
    case ANSWER:
        on_answer(f, slot, completion->res);
        break;
    case SEND:
        on_sent(f, slot, completion->res);
        break;
    }
}

static void prepare(struct fan_out *f)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETIONS,
    };
    f->max_subscribers = (uint32_t)sysconf(_SC_OPEN_MAX);
    int error = io_uring_queue_init_params(SENDS_PER_ENTER, &f->ring, &parameters);

    if (error == 0)
        error = io_uring_register_files_sparse(&f->ring, f->max_subscribers);
    if (error < 0)
        errx(1, "io_uring: %s", strerror(-error));
    f->subscribers = calloc(f->max_subscribers, sizeof *f->subscribers);
    f->free_slots = calloc(f->max_subscribers, sizeof *f->free_slots);
    f->ready = calloc(f->max_subscribers, sizeof *f->ready);
    f->received = malloc(UPSTREAM_BYTES);
    if (!f->subscribers || !f->free_slots || !f->ready || !f->received)
        err(1, "no memory");
    while (f->free_count < f->max_subscribers) {
        f->free_slots[f->free_count] = f->max_subscribers - 1 - f->free_count;
        f->free_count++;
    }
    ws_reader_init(&f->reader, WS_CLIENT, MAX_MESSAGE_BYTES);
}

static void dispose(struct fan_out *f)
{
    io_uring_queue_exit(&f->ring);
    for (unsigned i = 0; i < FRAMES; i++)
        free(f->frames[i].bytes);
    free(f->received);
    free(f->ready);
    free(f->free_slots);
    free(f->subscribers);
}

int bare_fan_out(const struct bare_options *options, int upstream, int listener)
{
    struct fan_out f = {.options = options, .upstream = upstream, .listener = listener};
    struct io_uring_cqe *next;

    prepare(&f);
    accept_more(&f);
    read_upstream(&f);
    while (!f.ended) {
        if (options->busy_poll)
            io_uring_submit_and_get_events(&f.ring);
        else
            io_uring_submit_and_wait(&f.ring, 1);
        while (!f.ended && io_uring_peek_cqe(&f.ring, &next) == 0) {
            struct io_uring_cqe completion = {.user_data = next->user_data, .res = next->res, .flags = next->flags};

            io_uring_cqe_seen(&f.ring, next);
            dispatch(&f, &completion);
        }
    }
    dispose(&f);
    return 0;
}
