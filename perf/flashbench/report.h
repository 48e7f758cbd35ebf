/* The result of a measurement as a table, as JSON and as an HTML page. */
#ifndef PERF_FLASHBENCH_REPORT_H
#define PERF_FLASHBENCH_REPORT_H

#include "common/text.h"
#include "flashbench/measurement.h"

#include <stdio.h>

/* One table per point: a column per proxy, and the last proxy's ratio to each of the others. */
void report_table(const struct bench_measurement *measurement, FILE *out);

/* The beginning of every JSON result. The number is raised when the names of the members change. */
#define REPORT_JSON_BEGINNING "{\"flashbench\":2,"

/* The figures of the table and the distributions, as one JSON document (RFC 8259). */
void report_json(const struct bench_measurement *measurement, struct text *out);

/* A self-contained page that compares the runs of `count` such documents. They may be of any
 * origin: nothing in them can become markup. */
void report_html(const struct text *documents, size_t count, struct text *out);

#endif
