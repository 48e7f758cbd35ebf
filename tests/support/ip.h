/* Addresses in tests. */
#ifndef TESTS_SUPPORT_IP_H
#define TESTS_SUPPORT_IP_H

#include "flashrelay/address.h"

/* The address that `text` writes; aborts if it writes none. */
struct ip_address ip_of(const char *text);

#endif
