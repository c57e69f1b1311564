/* The table of options; options.c reads it, nothing else. */
#ifndef BEAMLOAD_OPTIONS_TABLE_H
#define BEAMLOAD_OPTIONS_TABLE_H

#include "load/options.h"

typedef enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_INTEGER,
    OPTION_NUMBER,
    OPTION_DURATION, /* seconds as double; "5ms", "200us", "3s", "2min" */
    OPTION_WORD,     /* index into `words` plus `first_word` */
    OPTION_TRADEOFFS,
    OPTION_SPEED /* km/h on the command line, m/s inside */
} option_kind;

typedef struct option_row {
    const char *name;
    option_kind kind;
    size_t offset;
    double low, high;
    unsigned commands;
    const char *words; /* OPTION_WORD: "a|b" */
    const char *value; /* what --help calls it */
    const char *doc;
} option_row;

extern const option_row LOAD_OPTION_ROWS[];
extern const int LOAD_OPTION_ROW_COUNT;

#endif
