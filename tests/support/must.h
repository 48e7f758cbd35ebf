/* How code that knows no test framework checks what a test can't go on without: the fuzzers use it, too. */
#ifndef TESTS_SUPPORT_MUST_H
#define TESTS_SUPPORT_MUST_H

#include <stdbool.h>

/* Aborts the program unless `succeeded`. */
void must(bool succeeded);

#endif
