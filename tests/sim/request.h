/* The requests of clients, and the answers that they may get. */
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

/* An address: below CLIENT_HOSTS, of a host that clients connect from; from CLIENT_HOSTS on, one that a proxy tells in its header. */
struct ip_address request_place(unsigned place);

/* The API key of an app. */
const char *request_key(unsigned app);

/* Draws the client's request, now and then a bad one, and sends it. */
void request_send(struct client *client);

/* True if the relay may answer the request with `status`. */
bool request_may_be_answered(const struct client *client, int status);

#endif
