/* The client's own judgement of sampled answers: the engine's evaluator on the received beams and
 * on the CSI and targets that the answer names, exactly as they went over the wire. */
#ifndef BEAMLOAD_VERIFY_H
#define BEAMLOAD_VERIFY_H

#include "load/samples.h"

typedef struct load_verdict {
    uint64_t answers, solutions; /* recomputed */
    uint64_t left_out;           /* drawn, but not kept for want of memory */
    uint64_t wrong;              /* could not be recomputed, or contradict themselves */
    char first_wrong[256];
    /* largest relative differences between what answers claim and what their beams give */
    double wsr_worst_case, wsr_nominal, user_rate, crlb, merit, power;
    double power_excess; /* largest share by which a station is over its budget */
    double worst;        /* the largest of all differences */
} load_verdict;

/* Differences from rounding stay under this: beams in answers are evaluated as they are sent. */
extern const double LOAD_VERIFY_TOLERANCE;

/* -1: out of memory. Wrong answers are in the verdict. */
int load_verify(const load_options *options, const load_samples *samples, load_verdict *verdict,
                load_error *err);
/* No answer was wrong, none differs by more than the tolerance, none is over its budget. */
bool load_verdict_good(const load_verdict *verdict, load_error *err);

#endif
