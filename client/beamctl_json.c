#include "beamctl_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *beamctl_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *beamctl_json_count(uint64_t value)
{
    if (value <= INT64_MAX) {
        return json_integer((json_int_t)value);
    }
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return json_string(text);
}

json_t *beamctl_json_text(const char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    if (value) {
        return value;
    }
    char *copy = strdup(text);
    for (char *at = copy; at && *at; at++) {
        *at = (unsigned char)*at < 0x80 ? *at : '?';
    }
    value = copy ? json_string(copy) : NULL;
    free(copy);
    return value;
}

json_t *beamctl_json_preference(const beamc_preference *p)
{
    return json_pack("{s:o,s:s,s:o,s:o}", "tradeoff", beamctl_json_real(p->tradeoff), "words",
                     beamc_tradeoff_words(p->tradeoff), "u1", beamctl_json_real(p->u1), "u2",
                     beamctl_json_real(p->u2));
}

void beamctl_json_print(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12));
    puts(text ? text : "{\"error\":\"no memory\"}");
    free(text);
    json_decref(object);
    fflush(stdout);
}
