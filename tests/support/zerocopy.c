#include "support/zerocopy.h"

#include "support/skip.h"

#include <liburing.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

/* Several times the memory that a test locks. */
#define ENOUGH_BYTES ((size_t)64 << 20)

static bool may_lock_enough(void)
{
    void *memory = mmap(NULL, ENOUGH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct iovec buffer = {.iov_base = memory, .iov_len = ENOUGH_BYTES};
    struct io_uring ring;
    bool may = false;

    if (memory == MAP_FAILED)
        return false;
    if (io_uring_queue_init(1, &ring, 0) == 0) {
        may = io_uring_register_buffers(&ring, &buffer, 1) == 0;
        io_uring_queue_exit(&ring);
    }
    munmap(memory, ENOUGH_BYTES);
    return may;
}

_Noreturn void end_without_zerocopy(bool kernel_reports)
{
    if (!kernel_reports)
        skip_because("this kernel does not report zero-copy sends");
    if (!may_lock_enough())
        skip_because("the limit of locked memory is too low for zero-copy sends");
    fail_msg("no send was zero-copy, though the system allows it");
    abort(); /* fail_msg has jumped out of the test */
}
