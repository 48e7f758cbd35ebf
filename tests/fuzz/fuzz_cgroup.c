/* The parsers of control groups' files: the first byte chooses the hierarchy, a NUL separates the list of groups from that of mounts. */
#include "machine/cgroup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void climb(struct cgroup_directory *directory)
{
    size_t length = strlen(directory->path);

    assert(directory->mount_point_length <= length);
    while (cgroup_ascend(directory)) {
        assert(strlen(directory->path) < length);
        length = strlen(directory->path);
    }
    assert(directory->mount_point_length <= length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const controllers[] = {NULL, "cpu", "memory"};
    struct cgroup_directory directory;
    char *text = calloc(1, size + 2);

    memcpy(text, data, size);
    if (cgroup_find(&directory, text + (size > 0), text + strlen(text) + 1, controllers[(uint8_t)text[0] % 3]) == 0)
        climb(&directory);
    cgroup_parse_bytes(text);
    cgroup_parse_quota(text, NULL);
    cgroup_parse_quota(text, text + strlen(text) + 1);
    free(text);
    return 0;
}
