/* The table behind the configuration, for the files that make something of it: config.c parses and
 * checks, config_text.c writes the documented file, the manual page and values as text. */
#ifndef BEAMD_CONFIG_TABLE_H
#define BEAMD_CONFIG_TABLE_H

#include "config.h"

typedef enum beamd_config_type {
    BEAMD_CONFIG_STRING,
    BEAMD_CONFIG_INTEGER,
    BEAMD_CONFIG_REAL,
    BEAMD_CONFIG_WORD
} beamd_config_type;

typedef struct beamd_config_key {
    const char *name;
    beamd_config_type type;
    size_t offset;
    size_t size;          /* of the field; STRING and WORD: with its zero */
    const char *fallback; /* default, as it stands in a file */
    double low, high;     /* INTEGER and REAL: closed range */
    const char *words;    /* WORD: "a|b|c" */
    const char *unit;     /* "" when the value has none */
    bool reloadable;
    const char *doc; /* sentences; '\n' breaks a line of the documented file */
} beamd_config_key;

/* NULL beyond the last. */
const beamd_config_key *beamd_config_key_at(int index);

/* " (allowed: ...)" */
void beamd_config_range(const beamd_config_key *key, char *out, size_t size);

#endif
