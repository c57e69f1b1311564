/* Prometheus text, piece by piece: what metrics.c and metrics_clusters.c share. Nothing here
 * allocates; printf is used for fractions only. */
#ifndef BEAMD_METRICS_TEXT_H
#define BEAMD_METRICS_TEXT_H

#include <protobuf-c/protobuf-c.h>

#include "metrics.h"

void beamd_text_put(beamd_text *t, const char *text);
void beamd_text_put_count(beamd_text *t, uint64_t value);
/* All digits; whole numbers without a point; "NaN", "+Inf" and "-Inf" as the format wants them. */
void beamd_text_put_number(beamd_text *t, double value);
/* HELP and TYPE. */
void beamd_text_head(beamd_text *t, const char *name, const char *type, const char *help);
/* name="value", escaped; `name` may begin with a comma. */
void beamd_text_label(beamd_text *t, const char *name, const char *value);
/* name value, or name{label="word"} value; and the end of the line. */
void beamd_text_count(beamd_text *t, const char *name, const char *label, const char *word,
                      uint64_t value);
void beamd_text_number(beamd_text *t, const char *name, const char *label, const char *word,
                       double value);
/* Buckets, sum and count of one series; label NULL: it has none. */
void beamd_text_histogram(beamd_text *t, const char *name, const char *label, const char *word,
                          const beamd_histogram_head *head);

/* Everything of the GPUs: metrics_gpu.c. */
void beamd_text_gpus(const beamd_gauges *gauges, beamd_text *t);

/* ERROR_NOT_READY -> not_ready: the words of the schema, so that they cannot drift apart. NULL
 * beyond the last. */
enum { BEAMD_WORD_BYTES = 48 };
const char *beamd_text_word(const ProtobufCEnumDescriptor *words, const char *prefix, unsigned k,
                            char out[BEAMD_WORD_BYTES]);

#endif
