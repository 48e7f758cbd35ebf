/* The client's half of the upgrade (RFC 6455, 4.1): writing its request and parsing the server's answers. Used by ws/client.c only. */
#ifndef DATAPLANE_WS_UPGRADE_CLIENT_H
#define DATAPLANE_WS_UPGRADE_CLIENT_H

#include "flashrelay/ws_client.h"

/* Writes the GET with upgrade headers. Length, or -ENOSPC. */
long ws_write_upgrade_request(char *out, size_t capacity, const struct ws_uri *uri, const uint8_t key[16]);

/*
 * Parses one head. DONE: *consumed is its length; answer->error is empty if the server agreed to the upgrade with `key`, or if
 * ws_answer_is_interim. BAD and TOO_LARGE set answer->error.
 */
enum http_parse_result ws_parse_upgrade_answer(struct ws_client_answer *answer, const char *bytes, size_t length,
                                               const uint8_t key[16], size_t *consumed);

/* True if another answer follows (RFC 9110, 15.2). */
bool ws_answer_is_interim(const struct ws_client_answer *answer);

/* Sets answer->error for an answer that has more than WS_CLIENT_HEAD_BYTES, or more headers than are read. */
void ws_answer_refuse_too_large(struct ws_client_answer *answer);

#endif
