/* beamctl, split by command. A command gets the settings and its words, its own name first, and
 * returns the exit status. Answers go to standard output, as words or as one JSON object a line; an
 * error is one line on standard error. */
#ifndef BEAMCTL_H
#define BEAMCTL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "beamc/beamc.h"

typedef enum beamctl_exit {
    BEAMCTL_DONE = 0,
    BEAMCTL_FAILED = 1,    /* the daemon refused, or something failed; doctor: something is bad */
    BEAMCTL_USAGE = 2,     /* wrong command line */
    BEAMCTL_NO_DAEMON = 3, /* nobody listens, or no answer in time */
    BEAMCTL_WARNINGS = 4   /* doctor: nothing is bad, something is worth a warning */
} beamctl_exit;

typedef struct beamctl_settings {
    beamc_options connection;
    int timeout_ms;
    bool has_timeout; /* --timeout was given */
    bool json;
    unsigned long count;      /* watch: stop after so many lines, 0: never */
    const char *name;         /* preference: of a named one, NULL: the unnamed one */
    unsigned points, subband; /* front */
    const char *svg;          /* front: file, "-" for standard output, NULL: none */
    bool table;               /* front: the points as well */
    unsigned long batch;      /* top: so many frames, one below the other; 0: a live screen */
    double interval_s;        /* top: least time between two frames */
    const char *sort;         /* top: key of the clusters, NULL: by id */
    const char *root;         /* doctor: before every path, NULL: this machine */
    bool real_time;           /* doctor: judge for the real-time profile */
    bool offline;             /* doctor: ask no daemon */
} beamctl_settings;

/* Set by SIGINT and SIGTERM. */
extern volatile sig_atomic_t beamctl_stop;

/* One line on standard error; the exit status that belongs to it. */
int beamctl_fail(const beamc_error *err);
__attribute__((format(printf, 1, 2))) int beamctl_wrong_usage(const char *format, ...);
/* As fail, for what is not the daemon's doing. */
__attribute__((format(printf, 1, 2))) int beamctl_failed(const char *format, ...);

int beamctl_status(const beamctl_settings *s, int argc, char **argv);
int beamctl_clusters(const beamctl_settings *s, int argc, char **argv);
int beamctl_preference(const beamctl_settings *s, int argc, char **argv);
int beamctl_front(const beamctl_settings *s, int argc, char **argv);
int beamctl_top(const beamctl_settings *s, int argc, char **argv);
int beamctl_watch(const beamctl_settings *s, int argc, char **argv);
int beamctl_model(const beamctl_settings *s, int argc, char **argv);
int beamctl_config(const beamctl_settings *s, int argc, char **argv);
int beamctl_log_level(const beamctl_settings *s, int argc, char **argv);
int beamctl_drain(const beamctl_settings *s, int argc, char **argv);
int beamctl_doctor(const beamctl_settings *s, int argc, char **argv);

#endif
