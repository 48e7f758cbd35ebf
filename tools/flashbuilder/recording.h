/* Recorded flashblocks, one JSON message per line, to be sent again and again. */
#ifndef TOOLS_FLASHBUILDER_RECORDING_H
#define TOOLS_FLASHBUILDER_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recorded_line {
    char *text;
    size_t length;
    char *payload_id; /* its 16 hex digits, in `text` */
    uint64_t original_id;
};

struct recording {
    struct recorded_line *lines;
    size_t count, next, longest_bytes;
    uint64_t pass; /* how often all lines were sent */
};

/* Reads the file. 0 or a negative errno; with -EBADMSG, *bad_line is the number of the line that holds no flashblock; -ENODATA: there is none. */
int recording_load(struct recording *recording, const char *path, size_t *bad_line);
void recording_dispose(struct recording *recording);

/* The next line, which the recording owns. From the second pass on, each pass has payload ids of its own, unless `same_ids`. */
const struct recorded_line *recording_next(struct recording *recording, bool same_ids);

#endif
