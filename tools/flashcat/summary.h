/* The line that flashcat prints for a flashblock. */
#ifndef TOOLS_FLASHCAT_SUMMARY_H
#define TOOLS_FLASHCAT_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct summary {
    char payload_id[64];
    int64_t index, block_number; /* -1: not there */
    size_t transactions;
    uint64_t timestamp_ns; /* metadata.flashblock_timestamp, 0: not there */
};

/* Reads the JSON of a flashblock. False if it is none, with the reason in *error (static, or valid until the next call). */
bool summary_read(struct summary *summary, const char *json, size_t length, const char **error);

/* Prints the line, with text from the network escaped. The message arrived at `now_ns` (since 1970): `wire_bytes` that hold `json_bytes` of JSON. */
void summary_print(const struct summary *summary, uint64_t now_ns, size_t wire_bytes, size_t json_bytes);

#endif
