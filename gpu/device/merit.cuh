/* Exact numbers of a point and the merit of MATH 5 by which candidates are compared. */
#ifndef BEAM_GPU_MERIT_CUH
#define BEAM_GPU_MERIT_CUH

#include "plan.cuh"

/* Times the least CRLB: whether a target counts as located depends on rounding (engine). */
#define BEAM_GPU_BARELY_LOCATED 1e10

typedef struct beam_gpu_numbers {
    double wsr, shortfall, crlb, merit; /* merit: INFINITY where it is of no use */
} beam_gpu_numbers;

BEAM_HD double beam_gpu_merit(const beam_gpu_problem *p, const beam_gpu_numbers *v)
{
    const beam_gpu_request_head *head = beam_gpu_head(p);
    const double least = 1e-3, ideal = head->wsr_ideal_bps_hz, minimum = head->crlb_min_m2;
    double f1 = 0, f2 = 0, floor = 0;
    if (ideal != 0) {
        f1 = (ideal - v->wsr) / (0.5 * ideal);
    }
    if (minimum != 0) {
        f2 = v->crlb < (double)INFINITY ? log(v->crlb / minimum) / 1.3862943611198906188
                                        : (double)INFINITY;
    }
    if (v->shortfall > 0 && ideal > 0) {
        floor = 1e6 * v->shortfall / ideal;
    }
    const double m1 = f1 / (head->u1 > least ? head->u1 : least),
                 m2 = f2 / (head->u2 > least ? head->u2 : least);
    const double merit = (m1 > m2 ? m1 : m2) + 1e-3 * (f1 + f2) + floor;
    if (minimum > 0 && v->crlb > BEAM_GPU_BARELY_LOCATED * minimum) {
        return (double)INFINITY;
    }
    return merit == merit ? merit : (double)INFINITY;
}

#endif
