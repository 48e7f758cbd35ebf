/*
 * The points at which threads meet: functions of the data plane in whose place the linker puts those below (see tests/sim/rules.mk). Before
 * each of them a thread may be interrupted, so that over a run threads affect each other in nearly every possible order.
 */
#include "flashrelay/admission.h"
#include "flashrelay/channel.h"
#include "flashrelay/engine.h"
#include "sim/world.h"

/* Declares the function itself, and the function in its place. */
#define INTERPOSE(type, name, ...)                          \
    type real_##name(__VA_ARGS__) __asm__("__real_" #name); \
    type point_##name(__VA_ARGS__) __asm__("__wrap_" #name);

INTERPOSE(uint64_t, channel_head, const struct channel *channel)
INTERPOSE(uint64_t, channel_floor, const struct channel *channel)
INTERPOSE(bool, channel_is_waiting, const struct channel *channel)
INTERPOSE(uint64_t, channel_reader_join, struct channel *channel, unsigned reader)
INTERPOSE(void, channel_mark_set, struct channel_marks *marks, unsigned reader, uint64_t sequence)
INTERPOSE(int, channel_append, struct channel *channel, uint64_t sequence, uint8_t opcode, const void *payload, size_t length,
          uint64_t ingest_ns)
INTERPOSE(int, channel_append_gap, struct channel *channel, uint64_t sequence)
INTERPOSE(void, waker_wake, struct waker *waker, struct waker *from)
INTERPOSE(void, waker_prepare_sleep, struct waker *waker)
INTERPOSE(void, admission_ask, struct admission *admission, struct admission_request *request)
INTERPOSE(void, admission_answer, struct admission *admission, struct admission_request *request)
INTERPOSE(struct admission_request *, admission_queue_take, struct admission_queue *queue)
INTERPOSE(bool, admission_queue_is_empty, const struct admission_queue *queue)
INTERPOSE(uint64_t, engine_now, struct engine *engine)
INTERPOSE(void, engine_set_selection, struct engine *engine, struct connection *connection, uint16_t selection)
INTERPOSE(void, engine_finish, struct engine *engine, struct connection *connection)
INTERPOSE(uint64_t, engine_turn, struct engine *engine, uint64_t deadline_ns)

/* --- the log --- */

uint64_t point_channel_head(const struct channel *channel)
{
    sim_thread_point();
    return real_channel_head(channel);
}

uint64_t point_channel_floor(const struct channel *channel)
{
    sim_thread_point();
    return real_channel_floor(channel);
}

bool point_channel_is_waiting(const struct channel *channel)
{
    sim_thread_point();
    return real_channel_is_waiting(channel);
}

uint64_t point_channel_reader_join(struct channel *channel, unsigned reader)
{
    sim_thread_point();
    return real_channel_reader_join(channel, reader);
}

void point_channel_mark_set(struct channel_marks *marks, unsigned reader, uint64_t sequence)
{
    sim_thread_point();
    real_channel_mark_set(marks, reader, sequence);
}

/* What was published is recorded before any thread can act upon it. */
int point_channel_append(struct channel *channel, uint64_t sequence, uint8_t opcode, const void *payload, size_t length,
                         uint64_t ingest_ns)
{
    int error;

    sim_thread_point();
    error = real_channel_append(channel, sequence, opcode, payload, length, ingest_ns);
    if (error == 0)
        record_published(sim_thread_running()->world, channel);
    return error;
}

int point_channel_append_gap(struct channel *channel, uint64_t sequence)
{
    int error;

    sim_thread_point();
    error = real_channel_append_gap(channel, sequence);
    if (error == 0)
        record_published(sim_thread_running()->world, channel);
    return error;
}

/* --- other threads --- */

void point_waker_wake(struct waker *waker, struct waker *from)
{
    sim_thread_point();
    real_waker_wake(waker, from);
}

void point_waker_prepare_sleep(struct waker *waker)
{
    sim_thread_point();
    real_waker_prepare_sleep(waker);
}

void point_admission_ask(struct admission *admission, struct admission_request *request)
{
    sim_thread_point();
    real_admission_ask(admission, request);
}

void point_admission_answer(struct admission *admission, struct admission_request *request)
{
    sim_thread_point();
    real_admission_answer(admission, request);
}

struct admission_request *point_admission_queue_take(struct admission_queue *queue)
{
    sim_thread_point();
    return real_admission_queue_take(queue);
}

bool point_admission_queue_is_empty(const struct admission_queue *queue)
{
    sim_thread_point();
    return real_admission_queue_is_empty(queue);
}

/* --- the engine --- */

/* Called when a subscriber opens. */
void point_engine_set_selection(struct engine *engine, struct connection *connection, uint16_t selection)
{
    witness_note_open(connection);
    real_engine_set_selection(engine, connection, selection);
}

/* Called when the relay, or a simulated peer, ends a connection in order. */
void point_engine_finish(struct engine *engine, struct connection *connection)
{
    if (sim_thread_running() && !connection->finishing)
        witness_note_finish(connection);
    real_engine_finish(engine, connection);
}

uint64_t point_engine_now(struct engine *engine)
{
    sim_thread_point();
    return real_engine_now(engine);
}

uint64_t point_engine_turn(struct engine *engine, uint64_t deadline_ns)
{
    uint64_t told_ns;

    sim_thread_point();
    told_ns = real_engine_turn(engine, deadline_ns);
    if (sim_thread_running())
        plane_note_look(sim_thread_running(), told_ns);
    return told_ns;
}
