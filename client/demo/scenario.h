/* The paper's scenario (MATH 7) in motion: three stations of five antennas, one user each at 30
 * km/h, two targets. */
#ifndef BEAMDEMO_SCENARIO_H
#define BEAMDEMO_SCENARIO_H

#include <stdint.h>

enum { DEMO_L = 3, DEMO_N = 5, DEMO_U = 3, DEMO_J = 2 };

typedef struct demo_options {
    double seconds, rate_hz;
    double error_relative; /* eps = error_relative * sqrt(path loss * N) */
    double speed_m_s;      /* of the users */
    double tradeoff[2];    /* first and second half */
    uint64_t seed;
} demo_options;

typedef struct demo_user {
    double x_m, y_m, heading_rad;
} demo_user;

/* Everything that one CSI update and one target update say, and what the client needs to recompute
 * the answer. */
typedef struct demo_snapshot {
    double channels[DEMO_L][DEMO_U][DEMO_N][2];
    double error_radius[DEMO_L][DEMO_U];
    double target_m[DEMO_J][2];
} demo_snapshot;

typedef struct demo_scenario {
    demo_options options;
    double station_m[DEMO_L][2];
    double axis_rad[DEMO_L];
    double power_w, noise_w, echo_noise_w, snapshots, carrier_hz, rcs_m2;
    double step_s;
    double time_s;
    double correlation; /* of the fading from one update to the next, J0(2 pi f_D step) */
    double fading[DEMO_L][DEMO_U][DEMO_N][2]; /* CN(0,1) */
    demo_user users[DEMO_U];
    uint64_t random;
} demo_scenario;

void demo_scenario_init(demo_scenario *self, const demo_options *options);
/* One update interval on: users drive, channels fade, targets walk. */
void demo_scenario_step(demo_scenario *self);
void demo_scenario_snapshot(const demo_scenario *self, demo_snapshot *out);
/* |alpha| of one link, from the radar equation. */
double demo_reflection(const demo_scenario *self, const double *target_m, int tx, int rx);

#endif
