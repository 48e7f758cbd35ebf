/* What clients ask for, and what they are to be answered. */
#ifndef TESTS_SIM_REQUEST_H
#define TESTS_SIM_REQUEST_H

#include "flashrelay/address.h"
#include "sim/plan.h"

#define CLIENT_HOSTS       3
#define FORWARDED_HOSTS    5
#define PLACES             (CLIENT_HOSTS + FORWARDED_HOSTS)
#define FORWARDED_FOR      "X-Forwarded-For"
#define REQUEST_PATH_BYTES 7500

struct client;

/* The address of a host that clients connect from, or, from CLIENT_HOSTS on, that a proxy says it speaks for. */
struct ip_address request_place(unsigned place);

/* The API key of an app. */
const char *request_key(unsigned app);

/* Draws what the client asks for, and asks; well, or now and then badly. */
void request_send(struct client *client);

/* True if the relay may answer so. */
bool request_may_be_answered(const struct client *client, int status);

#endif
