/* JSON that is valid whatever the numbers are. */
#ifndef BEAMCTL_JSON_H
#define BEAMCTL_JSON_H

#include <stdint.h>

#include <jansson.h>

#include "beamc/beamc.h"

/* null for what JSON has no number for: infinities and NaN. */
json_t *beamctl_json_real(double value);
/* JSON integers of most readers are signed: a number beyond them is written as text. */
json_t *beamctl_json_count(uint64_t value);
/* Bytes that are not UTF-8 become '?'; NULL becomes null. */
json_t *beamctl_json_text(const char *text);
/* {"tradeoff", "words", "u1", "u2"} */
json_t *beamctl_json_preference(const beamc_preference *preference);
/* One line on standard output; takes `object`. */
void beamctl_json_print(json_t *object);

#endif
