/* A server's reader of frames: no stream breaks it, and however the stream is split, the events are the same. */
#include "support/reader_transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    reader_transcript_check_splits(WS_SERVER, input, length);
    return 0;
}
