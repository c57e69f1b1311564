/* From CSI to checked beams: the network's answer, the warm beams and the classical design, their
 * exact numbers in float64 as they would be sent (float32, at the antennas), and the best of them
 * by the merit of MATH 5. */
#ifndef BEAM_GPU_CHOICE_CUH
#define BEAM_GPU_CHOICE_CUH

#include "bound.cuh"
#include "load.cuh"
#include "merit.cuh"
#include "network.cuh"

/* Power of what is sent: rounding to float32 stays inside the budget. */
#define BEAM_GPU_INSIDE (1 - 1e-6)
enum { BEAM_GPU_SPLIT_EVALUATIONS = 12 };

/* Of work.vector in float32, rows of the subspace; destroys it. */
BEAM_HD_PART beam_gpu_numbers beam_gpu_search_numbers(const beam_team *t, const beam_gpu_problem *p)
{
    beam_gpu_numbers v;
    v.crlb = beam_gpu32_crlb(t, p);
    v.wsr = beam_gpu32_rates(t, p, &v.shortfall);
    v.merit = beam_gpu_merit(p, &v);
    return v;
}

/* The certificate of work.candidate: float64, full space, of the float32 beams themselves. */
BEAM_HD_PART beam_gpu_numbers beam_gpu_certify(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first);
    const beam_c32 *from = BEAM_WORK(p, beam_c32, candidate);
    beam_c64 *to = BEAM_WORK(p, beam_c64, vector);
    beam_gpu_numbers v;
    for (int l = 0; l < s->L; l++) {
        const double one = 1 / BEAM_CLUSTER(p, double, root_power)[l];
        BEAM_EACH(t, k, (first[l + 1] - first[l]) * s->N)
        {
            const int at = first[l] * s->N + k;
            to[at].re = one * (double)from[at].re;
            to[at].im = one * (double)from[at].im;
        }
    }
    beam_team_sync(t);
    v.crlb = beam_gpu64_crlb(t, p);
    v.wsr = beam_gpu64_rates(t, p, &v.shortfall);
    v.merit = beam_gpu_merit(p, &v);
    if (!(v.wsr < (double)INFINITY)) {
        v.merit = (double)INFINITY;
    }
    return v;
}

/* --- Candidates --------------------------------------------------------------------------------
 */

/* Stations of work.candidate that are over their budget, scaled down to it. */
BEAM_HD void beam_gpu_fit(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first);
    beam_c32 *rows = BEAM_WORK(p, beam_c32, candidate);
    for (int l = 0; l < s->L; l++) {
        const double root = BEAM_CLUSTER(p, double, root_power)[l];
        const int from = first[l] * s->N, count = (first[l + 1] - first[l]) * s->N;
        double power = 0;
        BEAM_EACH(t, k, count)
        {
            const beam_c32 x = rows[from + k];
            power += (double)x.re * (double)x.re + (double)x.im * (double)x.im;
        }
        power = beam_team_sum(t, power) / (root * root);
        const double fit = power > BEAM_GPU_INSIDE ? sqrt(BEAM_GPU_INSIDE / power) : 1;
        BEAM_EACH(t, k, count)
        {
            rows[from + k].re = (float)(fit * (double)rows[from + k].re);
            rows[from + k].im = (float)(fit * (double)rows[from + k].im);
        }
    }
    beam_team_sync(t);
}

/* Row d of the subspace at antenna n. */
BEAM_HD beam_c32 beam_gpu_lift(const beam_gpu_problem *p, int l, const beam_c32 *row, int n)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const beam_c32 *basis = BEAM_WORK(p, beam_c32, basis) + l * s->D * s->N + n;
    beam_c32 sum = {0, 0};
    if (s->D == s->N) {
        return row[n];
    }
    for (int d = 0; d < s->D; d++) {
        beam_gpu32_add_mul(&sum, row[d], basis[d * s->N]);
    }
    return sum;
}

/* Candidate rows from rows of the subspace, share of the beams and of the sensing rows (1, 1: the
 * rows of w; else of the classical design). */
BEAM_HD void beam_gpu_candidate_of_rows(const beam_team *t, const beam_gpu_problem *p,
                                        const beam_c32 *w)
{
    const beam_gpu_sizes *s = &p->plan->s;
    beam_c32 *to = BEAM_WORK(p, beam_c32, candidate);
    BEAM_EACH(t, k, s->rows * s->N)
    {
        const int row = beam_gpu_over(k, s->by_N);
        const int l = beam_gpu_row_station(p, row);
        const float root = (float)BEAM_CLUSTER(p, double, root_power)[l];
        to[k] = beam_gpu32_scale(root, beam_gpu_lift(p, l, w + row * s->D, k - row * s->N));
    }
    beam_team_sync(t);
    beam_gpu_fit(t, p);
}

/* rows <- sqrt(share) RZF beams, sqrt(1 - share) least-CRLB rows. */
BEAM_HD void beam_gpu_compose(const beam_team *t, const beam_gpu_problem *p, double share,
                              beam_c32 *rows)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), *user = BEAM_CLUSTER(p, int, user_first);
    const beam_c32 *unit = BEAM_WORK(p, beam_c32, unit), *vectors = BEAM_WORK(p, beam_c32, vectors);
    const float beam = (float)sqrt(share), sensing = (float)sqrt(1 - share);
    BEAM_EACH(t, k, s->rows * s->D)
    {
        const int row = beam_gpu_over(k, s->by_D), d = k - row * s->D;
        const int l = beam_gpu_row_station(p, row);
        const int u = user[l] + row - first[l], q = s->U + 2 * s->J + u - user[l + 1];
        rows[k] = u < user[l + 1] ? beam_gpu32_scale(beam, unit[u * s->D + d])
                                  : beam_gpu32_scale(sensing, vectors[(l * s->Q + q) * s->D + d]);
    }
    beam_team_sync(t);
}

/* Beams in an answer's order into work.candidate; false where they are not finite. */
BEAM_HD int beam_gpu_given_candidate(const beam_team *t, const beam_gpu_problem *p,
                                     const beam_c32 *from)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), *user = BEAM_CLUSTER(p, int, user_first),
              *order = BEAM_CLUSTER(p, int, order);
    beam_c32 *to = BEAM_WORK(p, beam_c32, candidate);
    int broken = 0;
    BEAM_EACH(t, k, s->rows * s->N)
    {
        const int row = beam_gpu_over(k, s->by_N);
        const int l = beam_gpu_row_station(p, row);
        const int u = user[l] + row - first[l];
        const int at = u < user[l + 1] ? order[u] : s->U + l * s->r + u - user[l + 1];
        const beam_c32 x = from[at * s->N + k - row * s->N];
        broken |= !(fabsf(x.re) < 1e15f && fabsf(x.im) < 1e15f);
        to[k] = x;
    }
    if (beam_team_any(t, broken)) {
        return 0;
    }
    beam_gpu_fit(t, p);
    return 1;
}

BEAM_HD const beam_c32 *beam_gpu_warm_beams(const beam_gpu_problem *p)
{
    return (const beam_c32 *)(const void *)(p->request + p->plan->request.warm);
}
BEAM_HD int beam_gpu_warm_candidate(const beam_team *t, const beam_gpu_problem *p)
{
    return beam_gpu_given_candidate(t, p, beam_gpu_warm_beams(p));
}

/* Its rows in the subspace, where the layers start. */
BEAM_HD void beam_gpu_warm_start(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const beam_c32 *from = BEAM_WORK(p, beam_c32, candidate),
                   *basis = BEAM_WORK(p, beam_c32, basis);
    beam_c32 *w = BEAM_WORK(p, beam_c32, w);
    BEAM_EACH(t, k, s->rows * s->D)
    {
        const int row = beam_gpu_over(k, s->by_D), d = k - row * s->D;
        const int l = beam_gpu_row_station(p, row);
        const float one = (float)(1 / BEAM_CLUSTER(p, double, root_power)[l]);
        beam_c32 sum = from[row * s->N + (s->D == s->N ? d : 0)];
        if (s->D < s->N) {
            sum = beam_gpu32_dot(s->N, basis + (l * s->D + d) * s->N, from + row * s->N);
        }
        w[k] = beam_gpu32_scale(one, sum);
    }
    beam_team_sync(t);
}

/* --- The classical share (engine: beam_classical_split, in float32) -----------------------------
 */

typedef struct beam_gpu_split {
    double best, angle;
    int evaluations;
} beam_gpu_split;

/* sin^2(pi angle / 2): its series, to 1e-11, instead of a general sine. */
BEAM_HD double beam_gpu_share_of(double angle)
{
    const double x = 1.57079632679489661923 * angle, x2 = x * x;
    double sum = -1.0 / 1307674368000.0;
    if (angle >= 1) {
        return 1;
    }
    sum = sum * x2 + 1.0 / 6227020800.0;
    sum = sum * x2 - 1.0 / 39916800.0;
    sum = sum * x2 + 1.0 / 362880.0;
    sum = sum * x2 - 1.0 / 5040.0;
    sum = sum * x2 + 1.0 / 120.0;
    sum = sum * x2 - 1.0 / 6.0;
    sum = x * (sum * x2 + 1);
    return sum * sum;
}

/* Does an interval of angles hold a share that can still win? */
BEAM_HD int beam_gpu_overlaps(const beam_gpu_alive *alive, double low, double high)
{
    const double rounding = 1e-6;
    return (high >= 1 || beam_gpu_share_of(high) >= alive->low - rounding) &&
           (low <= 0 || beam_gpu_share_of(low) <= alive->high + rounding);
}

BEAM_HD_PART double beam_gpu_try(const beam_team *t, const beam_gpu_problem *p, beam_gpu_split *s,
                                 double angle)
{
    beam_gpu_compose(t, p, beam_gpu_share_of(angle), BEAM_WORK(p, beam_c32, vector));
    const beam_gpu_numbers v = beam_gpu_search_numbers(t, p);
    s->evaluations++;
    if (v.merit < s->best) {
        s->best = v.merit;
        s->angle = angle;
    }
    return v.merit;
}

/* A coarse grid, then golden sections around its best point. One call of beam_gpu_try: it is all
 * of the worst case, and would be there as often as it is written.
 *
 * A grid point is left out when neither interval beside it can win: were it the best one, the
 * golden sections would stay in these two. They end when what is left between them cannot win. So
 * whatever beats the other candidates in the whole search is found, at the same share. */
BEAM_HD_PART beam_gpu_split beam_gpu_classical_share(const beam_team *t, const beam_gpu_problem *p,
                                                     const beam_gpu_alive *alive)
{
    const double golden = 0.61803398874989484820;
    beam_gpu_split s = {(double)INFINITY, 0, 0};
    double low = 0, high = 1, a = 0, b = 0, fa = 0, fb = 0, angle = 0;
    int at_a = 0;
    for (int k = 0; k < BEAM_GPU_SPLIT_EVALUATIONS; k++) {
        double merit = (double)INFINITY;
        if (k < 5 ? beam_gpu_overlaps(alive, angle - 0.25, angle + 0.25)
                  : beam_gpu_overlaps(alive, low, high)) {
            merit = beam_gpu_try(t, p, &s, angle);
        } else if (k >= 5) {
            break;
        }
        if (k < 4) {
            angle = 0.25 * (k + 1);
        } else if (k == 4) {
            low = s.angle > 0.25 ? s.angle - 0.25 : 0;
            high = s.angle < 0.75 ? s.angle + 0.25 : 1;
            angle = a = high - golden * (high - low);
            b = low + golden * (high - low);
        } else if (k == 5) {
            fa = merit;
            angle = b;
        } else {
            fa = at_a ? merit : fa;
            fb = at_a ? fb : merit;
            at_a = fa <= fb;
            if (at_a) {
                high = b;
                b = a;
                fb = fa;
                angle = a = high - golden * (high - low);
            } else {
                low = a;
                a = b;
                fa = fb;
                angle = b = low + golden * (high - low);
            }
        }
    }
    return s;
}

/* --- The answer --------------------------------------------------------------------------------
 */

/* Certifies work.candidate and takes it where it is better than what is in the answer. */
BEAM_HD_PART void beam_gpu_consider(const beam_team *t, const beam_gpu_problem *p, int which)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *first = BEAM_CLUSTER(p, int, first), *user = BEAM_CLUSTER(p, int, user_first),
              *order = BEAM_CLUSTER(p, int, order);
    beam_gpu_answer_head *head = (beam_gpu_answer_head *)(void *)p->answer;
    double *rate = (double *)(void *)(p->answer + p->plan->answer.rate);
    beam_c32 *to = (beam_c32 *)(void *)(p->answer + p->plan->answer.beams);
    const beam_gpu_numbers v = beam_gpu_certify(t, p);
    const int last = which == BEAM_GPU_CLASSICAL && head->chosen < 0 && v.wsr < (double)INFINITY;
    const int better = v.merit < head->merit || last; /* a classical rate is better than nothing */
    beam_team_sync(t);
    if (t->lane == 0) {
        head->candidate_merit[which] = v.merit;
        if (better) {
            head->wsr_bps_hz = v.wsr;
            head->crlb_m2 = v.crlb;
            head->shortfall_bps_hz = v.shortfall;
            head->merit = v.merit;
            head->chosen = which;
        }
    }
    BEAM_EACH(t, k, better ? s->rows * s->N : 0)
    {
        const int row = beam_gpu_over(k, s->by_N);
        const int l = beam_gpu_row_station(p, row);
        const int u = user[l] + row - first[l];
        const int at = u < user[l + 1] ? order[u] : s->U + l * s->r + u - user[l + 1];
        to[at * s->N + k - row * s->N] = BEAM_WORK(p, beam_c32, candidate)[k];
    }
    BEAM_EACH(t, u, better ? s->U : 0)
    {
        rate[order[u]] = BEAM_WORK(p, double, rate)[u];
    }
    beam_team_sync(t);
}

BEAM_HD void beam_gpu_clear_answer(const beam_team *t, const beam_gpu_problem *p)
{
    beam_gpu_answer_head *head = (beam_gpu_answer_head *)(void *)p->answer;
    if (t->lane == 0) {
        head->wsr_bps_hz = head->crlb_m2 = head->shortfall_bps_hz = head->share = 0;
        head->search_merit = (double)INFINITY;
        head->merit = (double)INFINITY;
        for (int k = 0; k < BEAM_GPU_CANDIDATES; k++) {
            head->candidate_merit[k] = (double)INFINITY;
        }
        head->chosen = -1;
        head->refined = head->evaluations = head->reserved = 0;
        head->classical_is_bound = head->classical_evaluations = 0;
    }
    beam_team_sync(t);
}

/* The layers from where the request says; leaves the point in work.w and, scaled and at the
 * antennas, in work.candidate. */
BEAM_HD_PART void beam_gpu_run_network(const beam_team *t, const beam_gpu_problem *p, int warm)
{
    const beam_gpu_request_head *head = beam_gpu_head(p);
    if (warm) {
        beam_gpu_warm_start(t, p);
    } else {
        beam_gpu_compose(t, p, head->start_share, BEAM_WORK(p, beam_c32, w));
    }
    beam_gpu_layers(t, p, head->from, head->to);
    beam_gpu_candidate_of_rows(t, p, BEAM_WORK(p, beam_c32, w));
}

/* The classical design at its best share into work.candidate; false where a bound says that no
 * share reaches the merit of the candidates before it: then the bound is in the answer. */
BEAM_HD_PART int beam_gpu_run_classical(const beam_team *t, const beam_gpu_problem *p)
{
    beam_gpu_answer_head *head = (beam_gpu_answer_head *)(void *)p->answer;
    const double target = head->merit;
    beam_gpu_alive alive = {0, 1, (double)INFINITY};
    if (target < (double)INFINITY && !(beam_gpu_head(p)->candidates & BEAM_GPU_SEARCH_ALL)) {
        alive = beam_gpu_alive_shares(t, p, target);
    }
    if (alive.low > alive.high) {
        if (t->lane == 0) {
            head->candidate_merit[BEAM_GPU_CLASSICAL] = alive.bound;
            head->classical_is_bound = 1;
        }
        beam_team_sync(t);
        return 0;
    }
    const beam_gpu_split split = beam_gpu_classical_share(t, p, &alive);
    const double share = beam_gpu_share_of(split.angle);
    beam_gpu_compose(t, p, share, BEAM_WORK(p, beam_c32, w));
    beam_gpu_candidate_of_rows(t, p, BEAM_WORK(p, beam_c32, w));
    if (t->lane == 0) {
        head->share = share;
        head->search_merit = split.best;
        head->classical_evaluations = split.evaluations;
    }
    return 1;
}

/* One problem, all of it. */
BEAM_HD_PART void beam_gpu_answer_problem(const beam_team *t, const beam_gpu_problem *p)
{
    const beam_gpu_request_head *head = beam_gpu_head(p);
    beam_gpu_clear_answer(t, p);
    beam_gpu_reduce(t, p);
    beam_gpu_rzf(t, p);
    const int warm = head->warm && beam_gpu_warm_candidate(t, p);
    for (int which = 0; which < BEAM_GPU_CANDIDATES; which++) { /* one copy of the certificate */
        if (!(head->candidates & 1 << which) || (which == BEAM_GPU_WARM && !warm)) {
            continue;
        }
        if (which == BEAM_GPU_NETWORK && !p->network) {
            beam_gpu_run_network(t, p, warm);
        } else if (which != BEAM_GPU_CLASSICAL) {
            const beam_c32 *given = which == BEAM_GPU_WARM ? beam_gpu_warm_beams(p) : p->network;
            if (!beam_gpu_given_candidate(t, p, given)) {
                continue;
            }
        } else if (!beam_gpu_run_classical(t, p)) {
            continue;
        }
        beam_gpu_consider(t, p, which);
    }
}

#endif
