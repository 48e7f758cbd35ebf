/*
 * The whole way from the network to the log: the input is a script of what a builder or two do (answer the upgrade with
 * anything, send valid frames or any bytes, close, break off) while the log has room or not. The ingest must survive it,
 * publish only whole messages that were sent in valid frames or in the builder's own bytes, keep its counts, connect again,
 * and stop when it is told to.
 */
#include "flashrelay/log.h"
#include "support/fuzz_script.h"
#include "support/ingest_world.h"
#include "support/must.h"

#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

enum action { SEND_RAW, SEND_FRAME, SEND_PIECE, HOLD_LOG, LET_TIME_PASS, FINISH, BREAK_OFF, ACTIONS };

static void send_piece(struct mock_session *session, struct fuzz_script *script)
{
    uint8_t piece[3000], fill = fuzz_script_next(script);

    memset(piece, fill, sizeof piece);
    mock_session_send_frame(session, WS_BINARY, true, piece, sizeof piece);
}

static void act(struct ingest_world *world, struct fuzz_script *script)
{
    uint8_t action = fuzz_script_next(script);
    struct mock_builder *builder = &world->builders[(action / ACTIONS) % world->builder_count];
    struct mock_session *session = mock_builder_session(builder);
    const uint8_t *bytes;
    size_t length;

    if (action % ACTIONS == LET_TIME_PASS || !session) {
        ingest_world_run(world, (uint64_t)fuzz_script_next(script) * fuzz_script_next(script) * NS_PER_MS / 8);
        return;
    }
    switch (action % ACTIONS) {
    case SEND_RAW:
        bytes = fuzz_script_take(script, fuzz_script_next(script), &length);
        mock_session_send(session, bytes, length);
        break;
    case SEND_FRAME:
        action = fuzz_script_next(script);
        bytes = fuzz_script_take(script, fuzz_script_next(script), &length);
        mock_session_send_frame(session, action & 0x0f, (action & 0x80) != 0, bytes, length);
        break;
    case SEND_PIECE:
        send_piece(session, script);
        break;
    case HOLD_LOG:
        world->log_held = !world->log_held;
        break;
    case FINISH:
        engine_finish(builder->engine, session->connection);
        break;
    case BREAK_OFF:
        engine_abort(builder->engine, session->connection);
        break;
    }
}

static void check_counts(const struct ingest_world *world)
{
    uint64_t messages = 0, dropped = 0, too_big = 0, open = 0;

    for (unsigned i = 0; i < world->builder_count; i++) {
        const struct upstream_counters *counters = ingest_world_counters(world, i);

        messages += counter_read(&counters->messages);
        dropped += counter_read(&counters->duplicates) + counter_read(&counters->invalid);
        too_big += counter_read(&counters->too_big); /* some are refused at their header, and are not among `messages` */
        open += counter_read(&counters->connected);
        must(counter_read(&counters->connected) <= 1);
        must(counter_read(&counters->attempts) >= counter_read(&counters->successes) + counter_read(&counters->failures));
    }
    must(world->published_count <= messages - dropped && world->published_count + too_big >= messages - dropped);
    must((open == 0) == (ingest_down_since_ns(world->ingest) != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    struct fuzz_script script = {input, length};
    uint8_t flags = fuzz_script_next(&script);
    char answer[256] = "";
    struct ingest_world *world;

    log_configure(LOG_OFF, LOG_TEXT, STDERR_FILENO);
    world = ingest_world_open(
        &(struct ingest_world_options){.builders = 1 + (flags & 1),
                                       .arena_bytes = 8192,
                                       .ingest = {.decompress = (flags & 2) != 0, .max_message_bytes = 4000},
                                       .network = {.seed = flags, .segment_max_bytes = 1 + (flags & 0xf0u) * 8u}});
    if (flags & 4) {
        size_t answer_length;
        const uint8_t *bytes = fuzz_script_take(&script, sizeof answer - 1, &answer_length);

        memcpy(answer, bytes, answer_length);
        world->builders[0].answer = answer;
    }
    ingest_world_run(world, 20 * NS_PER_MS);
    world->builders[0].answer = NULL;
    while (script.length > 0 && world->builders[0].count + world->builders[1].count < MOCK_BUILDER_SESSIONS / 2)
        act(world, &script);
    world->log_held = false;
    ingest_world_run(world, 2 * NS_PER_S);
    check_counts(world);
    ingest_stop(world->ingest);
    ingest_world_run(world, 2 * NS_PER_S);
    must(ingest_is_stopped(world->ingest));
    ingest_world_close(world);
    return 0;
}
