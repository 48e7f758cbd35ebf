/* The end of a test in which a zero-copy send was expected and none was made. */
#ifndef TESTS_SUPPORT_ZEROCOPY_H
#define TESTS_SUPPORT_ZEROCOPY_H

#include <stdbool.h>

/*
 * Skips the test if the system is the reason: the kernel does not report zero-copy sends (uring_features.zerocopy_report), or the limit of
 * locked memory refuses what all tests that run at the same time may lock together. Else fails the test. The engines of the test must have
 * been destroyed, because what they have locked counts.
 */
_Noreturn void end_without_zerocopy(bool kernel_reports);

#endif
