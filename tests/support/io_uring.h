/* Whether tests can have rings at all. */
#ifndef TESTS_SUPPORT_IO_URING_H
#define TESTS_SUPPORT_IO_URING_H

/* Skips the running test where the system has no io_uring (qemu-user) or forbids it (a container). Call it before anything is opened. */
void need_io_uring(void);

#endif
