/* The roles of bypass_bulk. Each returns the program's exit status; texts come from the command line. */
#ifndef PERF_BYPASS_BULK_STREAM_H
#define PERF_BYPASS_BULK_STREAM_H

/* Serves by the DPDK engine on a tap that it makes: "bulk0", "198.18.0.2/24", a port. Until SIGTERM. */
int stream_serve(const char *tap, const char *address, const char *port);

/* Serves by send(2), as Linux does by default. Until SIGTERM. */
int stream_serve_kernel(const char *port);

/* Receives for so many seconds, of which the first fifth is not counted; prints bits per second. */
int stream_receive(const char *address, const char *seconds);

#endif
