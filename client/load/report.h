/* Results for people and for programs. */
#ifndef BEAMLOAD_REPORT_H
#define BEAMLOAD_REPORT_H

#include <jansson.h>

#include "load/result.h"
#include "load/verify.h"

/* What was asked for: sizes, rates, deadline. */
json_t *load_report_setup_json(const load_options *options, const load_fleet *fleet);
void load_report_setup(const load_options *options, const load_fleet *fleet);

json_t *load_report_result_json(const load_result *result, const load_options *options);
/* echo: only what a ping has. */
void load_report_result(const load_result *result, const load_options *options, bool echo);

json_t *load_report_verdict_json(const load_verdict *verdict);
void load_report_verdict(const load_verdict *verdict);

/* "p50 p90 ..." of one histogram as a row, without a newline. */
void load_report_row(const char *name, const load_histogram *histogram);
json_t *load_report_histogram_json(const load_histogram *histogram);

/* Adds "ok" and, when false, "broken": the sentence; prints the object and lets it go. */
void load_report_print_json(json_t *object, bool ok, const load_error *err);

#endif
