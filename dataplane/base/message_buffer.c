#include "base/message_buffer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Memory that stays touched for the next message: more than flashblocks need under stress (dataplane/WIRE.md, "Flashblocks in JSON"). */
#define KEPT_BYTES ((size_t)2 << 20)

int message_buffer_init(struct message_buffer *buffer, size_t capacity)
{
    void *bytes = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (bytes == MAP_FAILED)
        return -ENOMEM;
    *buffer = (struct message_buffer){.bytes = bytes, .capacity = capacity};
    return 0;
}

void message_buffer_dispose(struct message_buffer *buffer)
{
    if (buffer->bytes)
        munmap(buffer->bytes, buffer->capacity);
}

void message_buffer_append(struct message_buffer *buffer, const void *bytes, size_t length)
{
    assert(length <= buffer->capacity - buffer->length);
    if (length > 0)
        memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

void message_buffer_clear(struct message_buffer *buffer)
{
    if (buffer->length > KEPT_BYTES)
        madvise(buffer->bytes + KEPT_BYTES, buffer->length - KEPT_BYTES, MADV_DONTNEED);
    buffer->length = 0;
}
