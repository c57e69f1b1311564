/* What the command line says. One table holds every option: name, kind, range, the commands that
 * take it, and its sentence; parsing, checks and --help come from it. */
#ifndef BEAMLOAD_OPTIONS_H
#define BEAMLOAD_OPTIONS_H

#include <stdio.h>

#include "load/load.h"
#include "wire.h"

enum { LOAD_SHAPES_MAX = 8, LOAD_CLUSTERS_MAX = 1024, LOAD_PREFIX_BYTES = 32 };

/* Commands as bits, for the table. */
enum {
    LOAD_RUN = 1,
    LOAD_PING = 2,
    LOAD_OVERHEAD = 4,
    LOAD_CAPACITY = 8,
    LOAD_RECORD = 16,
    LOAD_REPLAY = 32,
    LOAD_PREFERENCE = 64,
    LOAD_RESTART = 128
};

/* Sizes of a cluster and the share of clusters that have them. */
typedef struct load_shape {
    int stations, antennas, users, targets, subbands;
    double share;
} load_shape;

typedef enum load_arrivals {
    LOAD_ARRIVALS_PERIODIC = 0, /* every cluster at its period, phases drawn */
    LOAD_ARRIVALS_POISSON = 1,
    LOAD_ARRIVALS_BURST = 2 /* `burst` clusters at the same instant, the instants Poisson */
} load_arrivals;

typedef struct load_options {
    unsigned command;
    /* where */
    const char *endpoint, *control_endpoint, *runtime_dir;
    const char *listen, *to;
    const char *server_key, *secret_key; /* CURVE; NULL: none */
    /* clusters */
    long long clusters;
    load_shape shapes[LOAD_SHAPES_MAX];
    int shape_count;
    long long stations, antennas, users, targets, subbands;
    const char *mix;
    const char *prefix;
    double speed_m_s, target_speed_m_s, error_relative, carrier_hz;
    double delay_spread_s, subband_hz;
    double tradeoff;
    double preferences[BEAM_WIRE_MAX_PREFERENCES];
    int preference_count;
    int csi_element, beam_element; /* Beamd__ElementType */
    long long beam_bits;
    long long seed;
    long long pool_frames;
    double step_s; /* between two prepared frames; 0: the period of a cluster */
    /* traffic */
    double rate_hz, total_rate_hz, target_rate_hz;
    int arrivals;
    long long burst;
    double seconds, warmup_s, wait_s, deadline_s;
    long long count;
    bool spin, spin_generator;
    /* judging */
    double verify_share;
    double on_time_percent, max_rate_hz, precision_percent;
    int service; /* Beamd__Service: the least that counts as on time in `capacity` */
    long long rounds;
    long long answer_bytes;
    long long watch_pid;
    bool json;
    /* replay, preference, restart */
    double replay_speed;
    long long changes;
    /* what is left of the command line */
    char *const *rest;
    int rest_count;
} load_options;

/* 0; 1: help was asked for and printed; -1: *err says what is wrong. */
int load_options_parse(load_options *self, int argc, char **argv, load_error *err);
void load_options_usage(FILE *out);

/* The word of an option that takes one of several. */
const char *load_service_text(int service);

#endif
