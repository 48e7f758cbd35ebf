/* The threads of the data plane: when each has something to do, and its turn. */
#include "shard/subscriber.h"
#include "sim/world.h"

unsigned plane_threads(const struct sim_world *world)
{
    return THREAD_SHARDS + world->plan.shards;
}

const char *plane_thread_name(unsigned thread)
{
    static const char *const names[] = {"ingest",  "control", "encoder", "shard 0", "shard 1", "shard 2",
                                        "shard 3", "shard 4", "shard 5", "shard 6", "shard 7"};

    return names[thread];
}

/* True if the thread is awake or was woken, or something happened that its engine waits for. */
static bool engine_is_runnable(const struct engine *engine)
{
    return !waker_is_sleeping(&engine->waker) || engine_sim_is_due(engine);
}

bool plane_thread_is_runnable(const struct sim_world *world, unsigned thread)
{
    const struct plane *plane = &world->plane;

    switch (thread) {
    case THREAD_INGEST:
        return engine_is_runnable(plane->ingest_engine);
    case THREAD_CONTROL:
        return !admission_queue_is_empty(&plane->admission.requests);
    case THREAD_ENCODER:
        return plane->encoder && !waker_is_sleeping(encoder_waker(plane->encoder));
    default:
        return engine_is_runnable(plane->shard_engines[thread - THREAD_SHARDS]);
    }
}

uint64_t plane_thread_deadline(const struct sim_world *world, unsigned thread)
{
    const struct plane *plane = &world->plane;

    if (thread == THREAD_INGEST)
        return ingest_next_deadline(plane->ingest);
    if (thread < THREAD_SHARDS)
        return CLOCK_NEVER;
    return shard_next_deadline(plane->shards[thread - THREAD_SHARDS]);
}

/* Decides what a subscriber follows, as requests can't ask for it yet. Control does it, to which the subscriber belongs meanwhile. */
static void choose_stream(struct admission_request *request)
{
    struct subscriber *subscriber = LIST_ENTRY(request, struct subscriber, request);
    const struct client *client = subscriber->connection ? witness_client_of(subscriber->connection) : NULL;

    if (!client)
        return;
    subscriber->channel = client->channel;
    subscriber->selection = client->selection;
}

static void turn_control(struct sim_world *world)
{
    struct plane *plane = &world->plane;
    const struct access_table *table = access_table_current(&plane->access);
    struct admission_request *next;

    for (struct admission_request *request = admission_queue_take(&plane->admission.requests); request; request = next) {
        next = request->next;
        if (request->kind == ADMISSION_ENTER) {
            choose_stream(request);
            request->verdict = (uint8_t)limits_enter(plane->limits, table, &request->ip, request->app);
        } else {
            limits_leave(plane->limits, &request->ip, request->app);
        }
        admission_answer(&plane->admission, request);
    }
}

static uint64_t tell_time(void *context)
{
    return sim_world_now(context);
}

/* Does as the encoder's thread does: announces its sleep, looks once more for work, and stays awake if there was some. */
static void turn_encoder(struct sim_world *world)
{
    struct waker *waker = encoder_waker(world->plane.encoder);

    waker_prepare_sleep(waker);
    if (encoder_turn(world->plane.encoder, tell_time, world))
        waker_end_sleep(waker);
}

void plane_thread_turn(struct sim_world *world, unsigned thread)
{
    switch (thread) {
    case THREAD_INGEST:
        ingest_turn(world->plane.ingest, CLOCK_NEVER);
        break;
    case THREAD_CONTROL:
        turn_control(world);
        break;
    case THREAD_ENCODER:
        turn_encoder(world);
        break;
    default:
        shard_turn(world->plane.shards[thread - THREAD_SHARDS], CLOCK_NEVER);
    }
}

void plane_note_look(const struct sim_thread *thread, uint64_t told_ns)
{
    if (thread->index >= THREAD_SHARDS)
        thread->world->plane.told_ns[thread->index - THREAD_SHARDS] = told_ns;
}
