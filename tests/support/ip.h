/* Addresses in tests. */
#ifndef TESTS_SUPPORT_IP_H
#define TESTS_SUPPORT_IP_H

#include "flashrelay/address.h"

/* Parses an IP address; aborts if `text` is none. */
struct ip_address ip_of(const char *text);

#endif
