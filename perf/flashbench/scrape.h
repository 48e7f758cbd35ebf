/* A proxy's own metrics, read over HTTP: what its counters grew by within the measured time. */
#ifndef FLASHBENCH_SCRAPE_H
#define FLASHBENCH_SCRAPE_H

/* All samples at `address` ("127.0.0.1:9000") /metrics as "name{labels} value" lines, or NULL if there is no answer. Freed by the caller. */
char *scrape_counters(const char *address);

/* Lines "name{labels} difference" of what is in both and changed; NULL if either is. Freed by the caller. */
char *scrape_difference(const char *before, const char *after);

#endif
