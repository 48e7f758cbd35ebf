#include "flashcat/summary.h"

#include "common/printable.h"
#include "flashrelay/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t integer_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_integer(value) ? json_integer_value(value) : -1;
}

bool summary_read(struct summary *summary, const char *json, size_t length, const char **error)
{
    static json_error_t problem;
    json_t *root = json_loadb(json, length, 0, &problem);
    const json_t *metadata = json_object_get(root, "metadata");
    const char *payload_id = json_string_value(json_object_get(root, "payload_id"));
    int64_t stamp = integer_of(metadata, "flashblock_timestamp");

    *error = root == NULL ? problem.text : "there is no payload_id";
    if (payload_id) {
        snprintf(summary->payload_id, sizeof summary->payload_id, "%s", payload_id);
        summary->index = integer_of(root, "index");
        summary->block_number = integer_of(metadata, "block_number");
        summary->transactions = json_array_size(json_object_get(json_object_get(root, "diff"), "transactions"));
        summary->timestamp_ns = stamp > 0 ? (uint64_t)stamp : 0;
    }
    json_decref(root);
    return payload_id != NULL;
}

static void print_time(uint64_t now_ns)
{
    time_t seconds = (time_t)(now_ns / NS_PER_S);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    printf("%02d:%02d:%02d.%03u", utc.tm_hour, utc.tm_min, utc.tm_sec, (unsigned)(now_ns / NS_PER_MS % 1000));
}

void summary_print(const struct summary *summary, uint64_t now_ns, size_t wire_bytes, size_t json_bytes)
{
    struct text payload_id = {0};

    print_time(now_ns);
    printable_add(&payload_id, summary->payload_id, strlen(summary->payload_id));
    printf("  %s  block %" PRId64 "  index %3" PRId64 "  %8zu bytes", payload_id.bytes ? payload_id.bytes : "",
           summary->block_number, summary->index, wire_bytes);
    if (wire_bytes != json_bytes)
        printf(" (%zu of JSON)", json_bytes);
    printf("  %4zu transactions", summary->transactions);
    /* A time stamp in the future says that the builder's clock differs: then no age is printed. */
    if (summary->timestamp_ns != 0 && summary->timestamp_ns <= now_ns)
        printf("  %9.3f ms", (double)(now_ns - summary->timestamp_ns) / (double)NS_PER_MS);
    putchar('\n');
    text_dispose(&payload_id);
}
