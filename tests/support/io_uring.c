#include "support/io_uring.h"

#include <errno.h>
#include <liburing.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

void need_io_uring(void)
{
    struct io_uring ring;
    int result = io_uring_queue_init(1, &ring, 0);

    if (result == -ENOSYS || result == -EPERM) {
        print_message("no io_uring here: %s\n", strerror(-result));
        skip();
    }
    assert_int_equal(result, 0);
    io_uring_queue_exit(&ring);
}
