/* Checks that a reader of WebSocket frames reports the same events, however the stream is split. */
#ifndef TESTS_SUPPORT_READER_TRANSCRIPT_H
#define TESTS_SUPPORT_READER_TRANSCRIPT_H

#include "flashrelay/ws.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Reads a stream whole, byte by byte and split at random, and aborts unless all three give the same events. The first two bytes of
 * `input` seed the splits, the rest is the stream. `role` is the reader's.
 */
void reader_transcript_check_splits(enum ws_role role, const uint8_t *input, size_t length);

#endif
