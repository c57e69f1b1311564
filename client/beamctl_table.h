/* The one table of commands and options: parsed, shown, completed and printed as a manual from
 * here. */
#ifndef BEAMCTL_TABLE_H
#define BEAMCTL_TABLE_H

#include <stdio.h>

typedef enum beamctl_option_id {
    OPTION_JSON = 256,
    OPTION_RUNTIME_DIR,
    OPTION_CONTROL,
    OPTION_BEAMS,
    OPTION_TELEMETRY,
    OPTION_CURVE_SERVER,
    OPTION_CURVE_SECRET,
    OPTION_CURVE_PUBLIC,
    OPTION_TIMEOUT,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_MAN,
    OPTION_COUNT,
    OPTION_NAME,
    OPTION_POINTS,
    OPTION_SUBBAND,
    OPTION_SVG,
    OPTION_TABLE,
    OPTION_ONCE,
    OPTION_BATCH,
    OPTION_INTERVAL,
    OPTION_SORT,
    OPTION_ROOT,
    OPTION_REAL_TIME,
    OPTION_OFFLINE
} beamctl_option_id;

typedef struct beamctl_option {
    const char *name, *word; /* word NULL: takes none */
    beamctl_option_id id;
    const char *command; /* the one that takes it, NULL: all */
    const char *help;
} beamctl_option;

enum { BEAMCTL_OPTION_ROWS = 25 };
extern const beamctl_option BEAMCTL_OPTIONS[BEAMCTL_OPTION_ROWS];

/* Of one command, or of all with NULL. */
void beamctl_print_usage(FILE *out, const char *command);
/* A page for man(1), in roff. */
void beamctl_print_manual(FILE *out, const char *version);

#endif
