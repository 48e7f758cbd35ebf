/* Checks of conditions without which a test cannot go on, for code that does not use cmocka: the fuzzers use it, too. */
#ifndef TESTS_SUPPORT_MUST_H
#define TESTS_SUPPORT_MUST_H

#include <stdbool.h>

/* Aborts the program unless `succeeded`. */
void must(bool succeeded);

#endif
