/*
 * Counts the connections of the instance, of each IP address and of each app, and decides whether one more may come. Sans-I/O,
 * one thread. Memory for as many addresses as the instance's limit is reserved at creation, but touched only as addresses come.
 */
#ifndef CONTROL_ACCESS_LIMITS_H
#define CONTROL_ACCESS_LIMITS_H

#include "flashrelay/access.h"
#include "flashrelay/admission.h"

struct limits;

struct limits_options {
    uint32_t instance_limit; /* 0: every connection is refused */
    uint32_t ip_limit;       /* 0: none */
    unsigned apps;           /* numbers of apps are below this (access_table_publish) */
    uint64_t seed;           /* of the hash of addresses */
};

/* 0 or -ENOMEM. */
int limits_create(struct limits **out, const struct limits_options *options);
void limits_destroy(struct limits *limits);

/* Lowers the limit of the instance, before the first connection. */
void limits_lower_instance_limit(struct limits *limits, uint32_t instance_limit);

/*
 * Takes a place for a connection from `ip` of `app`, the number of an app of `table` or ADMISSION_NO_APP (then `table` may be NULL).
 * Checks the limit of the instance, then that of the address, then that of the app, which is 0 if the table has no such app any more. A
 * refusal takes no place.
 */
enum admission_verdict limits_enter(struct limits *limits, const struct access_table *table, const struct ip_address *ip,
                                    uint16_t app);

/* Gives back a place that limits_enter granted to the same address and app. */
void limits_leave(struct limits *limits, const struct ip_address *ip, uint16_t app);

/* Places taken now. */
uint32_t limits_connections(const struct limits *limits);

/* Addresses that hold a place now; 0 where there is no limit per address. */
uint32_t limits_addresses(const struct limits *limits);

#endif
