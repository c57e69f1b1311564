/* Exact numbers of a design: every number that leaves the system is made here (MATH 2 and 3). */
#ifndef BEAM_QUALITY_H
#define BEAM_QUALITY_H

#include "beam/design.h"
#include "beam/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum beam_target_state {
    BEAM_TARGET_OK = 0,
    BEAM_TARGET_UNIDENTIFIABLE_GEOMETRY =
        1, /* no waveform can locate it: one station, one antenna, or all on one line */
    BEAM_TARGET_UNIDENTIFIABLE_DESIGN = 2 /* this design does not light it (well enough) */
} beam_target_state;

/* "target is not identifiable because ..." as a constant English sentence. */
const char *beam_target_state_text(beam_target_state state);

typedef struct beam_quality {
    double wsr_nominal_bps_hz;    /* (7) at the estimates */
    double wsr_worst_case_bps_hz; /* (7) at the exact worst case of (11) */
    bool crlb_valid;     /* false: some target that counts is not identifiable; crlb_m2 is then 0 */
    double crlb_m2;      /* sum over targets of tr J_j^-1 (10) */
    double power_excess; /* max over stations of max(0, power/budget - 1) */
    int users_below_floor;   /* users whose worst-case rate is under their minimum */
    double shortfall_bps_hz; /* sum over those users of minimum - rate */
    double user_sinr_nominal[BEAM_MAX_USERS];
    double user_sinr_worst_case[BEAM_MAX_USERS];
    double user_rate_worst_case_bps_hz[BEAM_MAX_USERS];
    double
        target_rms_m[BEAM_MAX_TARGETS]; /* sqrt(tr of the target's block of J^-1); 0 if not valid */
    double target_echo_snr_db[BEAM_MAX_TARGETS]; /* after integration; under 10 dB the CRLB is
                                                    optimistic */
    beam_target_state target_state[BEAM_MAX_TARGETS];
    double station_power_w[BEAM_MAX_STATIONS];
    double station_peak_antenna_w[BEAM_MAX_STATIONS];
    /* terms of the worst-case SINR = signal / (noise + own + sum of cross), watt */
    double user_signal_w[BEAM_MAX_USERS];
    double user_own_cell_w[BEAM_MAX_USERS];
    double user_cross_w[BEAM_MAX_USERS][BEAM_MAX_STATIONS];
} beam_quality;

/* Scaled losses, preference and merit: MATH 5. The trade-off tau in [0,1]: 0 communication only, 1
 * sensing only; the preference vector is u = (sin(pi tau/2), cos(pi tau/2)) in the (f1, f2) plane.
 */
typedef struct beam_ideal {
    double wsr_ideal_bps_hz; /* best known worst-case WSR of the scene; 0 without users */
    double crlb_min_m2; /* least CRLB of geometry and budgets; 0 when no target can be located */
} beam_ideal;

typedef struct beam_preference {
    double u1, u2;
} beam_preference;

beam_preference beam_preference_from_tradeoff(double tradeoff);
double beam_tradeoff_from_preference(beam_preference preference);
double beam_loss_rate(const beam_ideal *ideal, double wsr_worst_case_bps_hz); /* f1 */
/* f2; INFINITY when !crlb_valid and crlb_min_m2 > 0; 0 when no target can be located at all. */
double beam_loss_sensing(const beam_ideal *ideal, bool crlb_valid, double crlb_m2);
double beam_merit(const beam_ideal *ideal, beam_preference preference, double f1, double f2);

/* Evaluates designs of one scene in the full antenna space. Opaque; one thread at a time. */
typedef struct beam_evaluator beam_evaluator;

/* Memory for scenes of exactly these sizes and designs of up to sensing_max columns per station. */
size_t beam_evaluator_memsize(const beam_dims *dims, int sensing_max);
beam_code beam_evaluator_init(beam_evaluator **out, const beam_dims *dims, int sensing_max,
                              void *memory, size_t size, beam_error *err);

/* Validates and reads the scene (copied: the scene may change afterwards). */
beam_code beam_evaluator_load(beam_evaluator *self, const beam_scene *scene, beam_error *err);

/* Exact numbers of one design. BEAM_E_INVALID when the design is not finite or has other sizes. */
beam_code beam_evaluator_run(beam_evaluator *self, const beam_design *design, beam_quality *quality,
                             beam_error *err);

/* Danskin gradient of the exact worst-case WSR and gradient of the CRLB, both d/dRe + i d/dIm with
 * respect to beams and sensing columns, laid out as designs (either may be NULL). Where a
 * worst-case channel is not unique the WSR gradient is one element of the generalised gradient. */
beam_code beam_evaluator_gradient(beam_evaluator *self, const beam_design *design,
                                  beam_design *grad_wsr, beam_design *grad_crlb, beam_error *err);

/* After beam_evaluator_run: worst-case channels [L][U][N] of that design, in the units of the
 * scene. */
beam_code beam_evaluator_worst_channels(const beam_evaluator *self, beam_complex *channels,
                                        beam_error *err);

/* (SINR (5), WSR (7)) of a design at given true channels [L][U][N], e.g. samples of the error ball.
 * sinr: [U] or NULL. */
beam_code beam_evaluator_at_channels(beam_evaluator *self, const beam_design *design,
                                     const beam_complex *channels, double *sinr, double *wsr_bps_hz,
                                     beam_error *err);

#ifdef __cplusplus
}
#endif
#endif
