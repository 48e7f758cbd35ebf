/* A buffer as large as the largest message: address space reserved once, memory touched as messages need it. One thread. */
#ifndef DATAPLANE_BASE_MESSAGE_BUFFER_H
#define DATAPLANE_BASE_MESSAGE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct message_buffer {
    uint8_t *bytes;
    size_t length, capacity;
};

/* Reserves address space for `capacity` bytes. 0 or -ENOMEM. message_buffer_dispose frees it; a zeroed struct is allowed there. */
int message_buffer_init(struct message_buffer *buffer, size_t capacity);
void message_buffer_dispose(struct message_buffer *buffer);

/* Adds a copy of `bytes`, which must fit. */
void message_buffer_append(struct message_buffer *buffer, const void *bytes, size_t length);

/* Empties the buffer; memory that an unusually large message touched is given back to the system. */
void message_buffer_clear(struct message_buffer *buffer);

#endif
