#include "beam/quality.h"

#include <math.h>
#include <string.h>

#include "model/problem.h"
#include "model/robust.h"
#include "model/row.h"

struct beam_evaluator {
    beam_dims dims;
    int sensing_max, loaded;
    beam_problem problem;
    beam_robust robust;
    double *x, *grad;
    double *channel; /* [L][U] worst channels of the last run, rows of stride */
    int have_channels;
    beam_complex *proj, *gram, *T;
    int *user_station;
    double *power_w;
};

static void carve(beam_evaluator *e, beam_arena *arena, const beam_dims *d, int sensing_max)
{
    const size_t rows = (size_t)(d->users + d->stations * sensing_max);
    const size_t stride = 2u * (size_t)beam_pad4(d->antennas), n = 2u * (size_t)d->targets;
    beam_problem_carve(&e->problem, arena, d, sensing_max, false);
    beam_robust_carve(&e->robust, arena, d, d->antennas, sensing_max);
    e->x = BEAM_TAKE(arena, double, rows *stride);
    e->grad = BEAM_TAKE(arena, double, rows *stride);
    e->channel = BEAM_TAKE(arena, double, (size_t)(d->stations * d->users) * stride);
    e->proj = BEAM_TAKE(arena, beam_complex, rows * n);
    e->gram = BEAM_TAKE(arena, beam_complex, (size_t)d->stations * n * n);
    e->T = BEAM_TAKE(arena, beam_complex, (size_t)d->stations * n * n);
    e->user_station = BEAM_TAKE(arena, int, d->users);
    e->power_w = BEAM_TAKE(arena, double, d->stations);
}

static beam_code check_sizes(const beam_dims *dims, int sensing_max, beam_error *err)
{
    const beam_code code = beam_dims_check(dims, err);
    if (code) {
        return code;
    }
    if (sensing_max < 0 || sensing_max > 2 * BEAM_MAX_TARGETS) {
        return beam_fail(err, BEAM_E_LIMIT, "sensing_max",
                         "%d sensing columns per station; 0..%d are supported", sensing_max,
                         2 * BEAM_MAX_TARGETS);
    }
    return BEAM_OK;
}

size_t beam_evaluator_memsize(const beam_dims *dims, int sensing_max)
{
    beam_evaluator probe;
    beam_arena arena = {NULL, 0};
    if (check_sizes(dims, sensing_max, NULL)) {
        return 0;
    }
    (void)BEAM_TAKE(&arena, beam_evaluator, 1);
    carve(&probe, &arena, dims, sensing_max);
    return arena.used;
}

beam_code beam_evaluator_init(beam_evaluator **out, const beam_dims *dims, int sensing_max,
                              void *memory, size_t size, beam_error *err)
{
    const beam_code code = check_sizes(dims, sensing_max, err);
    if (code) {
        return code;
    }
    if (!memory || size < beam_evaluator_memsize(dims, sensing_max)) {
        return beam_fail(err, BEAM_E_INVALID, "memory", "%zu bytes given, %zu needed", size,
                         beam_evaluator_memsize(dims, sensing_max));
    }
    beam_arena arena = {memory, 0};
    beam_evaluator *e = BEAM_TAKE(&arena, beam_evaluator, 1);
    memset(e, 0, sizeof *e);
    e->dims = *dims;
    e->sensing_max = sensing_max;
    carve(e, &arena, dims, sensing_max);
    *out = e;
    return BEAM_OK;
}

beam_code beam_evaluator_load(beam_evaluator *self, const beam_scene *scene, beam_error *err)
{
    const beam_dims *a = &self->dims, *b = &scene->dims;
    if (a->stations != b->stations || a->antennas != b->antennas || a->targets != b->targets ||
        b->users > a->users) {
        return beam_fail(err, BEAM_E_INVALID, "dims",
                         "the scene has other sizes than the evaluator was made for");
    }
    const beam_code code = beam_problem_load(&self->problem, scene, false, err);
    if (code) {
        return code;
    }
    beam_robust_reset(&self->robust, &self->problem);
    memcpy(self->user_station, scene->user_station, (size_t)b->users * sizeof(int));
    memcpy(self->power_w, scene->station_power_w, (size_t)b->stations * sizeof(double));
    self->loaded = 1;
    self->have_channels = 0;
    return BEAM_OK;
}

static int finite_array(const beam_complex *z, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(z[i].re) || !isfinite(z[i].im) || fabs(z[i].re) > 1e100 ||
            fabs(z[i].im) > 1e100) {
            return 0;
        }
    }
    return 1;
}

static beam_code check_design(const beam_evaluator *self, const beam_design *d, beam_error *err)
{
    const beam_problem *p = &self->problem;
    if (!self->loaded) {
        return beam_fail(err, BEAM_E_INVALID, "scene", "no scene is loaded");
    }
    if (d->dims.stations != p->L || d->dims.antennas != p->N || d->dims.users != p->U) {
        return beam_fail(err, BEAM_E_INVALID, "design.dims",
                         "the design has other sizes than the scene");
    }
    const size_t N = (size_t)p->N;
    if (!finite_array(d->beams, (size_t)p->U * N)) {
        return beam_fail(err, BEAM_E_INVALID, "design.beams", "a beam is not finite");
    }
    for (int l = 0; l < p->L; l++) {
        if (d->sensing_count[l] < 0 || d->sensing_count[l] > d->sensing_max ||
            d->sensing_count[l] > self->sensing_max) {
            return beam_fail(err, BEAM_E_INVALID, "design.sensing_count",
                             "station %d: %d columns; at most %d", l, d->sensing_count[l],
                             self->sensing_max);
        }
        if (!finite_array(d->sensing + (size_t)l * (size_t)d->sensing_max * N,
                          (size_t)d->sensing_count[l] * N)) {
            return beam_fail(err, BEAM_E_INVALID, "design.sensing",
                             "a sensing column of station %d is not finite", l);
        }
    }
    return BEAM_OK;
}

static void fill_users(beam_evaluator *self, beam_quality *q)
{
    const beam_problem *p = &self->problem;
    const beam_robust *rb = &self->robust;
    double nominal[BEAM_MAX_USERS];
    q->wsr_worst_case_bps_hz = beam_robust_exact(&self->robust, self->x);
    beam_robust_nominal(rb, self->x, nominal);
    for (int k = 0; k < p->U; k++) {
        const int u = p->order[k];
        const double watt = p->sigma[k] * p->sigma[k], rate = rb->rate[k];
        q->user_sinr_nominal[u] = nominal[k];
        q->wsr_nominal_bps_hz += p->weight[k] * log1p(nominal[k]) * M_LOG2E;
        q->user_sinr_worst_case[u] = rb->sinr[k];
        q->user_rate_worst_case_bps_hz[u] = rate;
        q->user_signal_w[u] = watt * rb->signal[k];
        q->user_own_cell_w[u] = watt * rb->own[k];
        for (int l = 0; l < p->L; l++) {
            q->user_cross_w[u][l] = watt * rb->cross[beam_robust_at(rb, l, k)];
        }
        if (rate < p->min_rate[k]) {
            q->users_below_floor++;
            q->shortfall_bps_hz += p->min_rate[k] - rate;
        }
    }
}

static void fill_targets(beam_evaluator *self, beam_quality *q)
{
    beam_problem *p = &self->problem;
    const int n = 2 * p->J;
    double each[BEAM_MAX_TARGETS];
    beam_problem_sensing_gram(p, self->x, self->proj, self->gram);
    const double crlb = beam_crlb_value(&p->crlb, self->gram, NULL, each);
    q->crlb_valid = isfinite(crlb) && p->crlb.counted > 0;
    q->crlb_m2 = q->crlb_valid ? crlb : 0.0;
    for (int j = 0; j < p->J; j++) {
        const bool located = isfinite(each[j]);
        double snr = 0.0;
        for (int l = 0; l < p->L; l++) {
            const int a = l * n * n + 2 * j * n + 2 * j; /* a^H R a */
            snr += p->crlb.snr_gain[l * p->J + j] * self->gram[a].re;
        }
        q->target_echo_snr_db[j] = snr > 1e-30 ? 10.0 * log10(snr) : -300.0;
        q->target_rms_m[j] = located ? sqrt(each[j]) : 0.0;
        q->target_state[j] = p->crlb.geometry[j] ? p->crlb.geometry[j]
                             : located           ? BEAM_TARGET_OK
                                                 : BEAM_TARGET_UNIDENTIFIABLE_DESIGN;
    }
}

static void fill_powers(const beam_evaluator *self, const beam_design *d, beam_quality *q)
{
    const int N = self->problem.N;
    for (int l = 0; l < d->dims.stations; l++) {
        double antenna[BEAM_MAX_ANTENNAS] = {0.0}, total = 0.0;
        for (int u = 0; u < d->dims.users; u++) {
            for (int n = 0; n < N && self->user_station[u] == l; n++) {
                const beam_complex v = d->beams[(size_t)u * (size_t)N + (size_t)n];
                antenna[n] += v.re * v.re + v.im * v.im;
            }
        }
        for (int i = 0; i < d->sensing_count[l]; i++) {
            for (int n = 0; n < N; n++) {
                const size_t row = (size_t)l * (size_t)d->sensing_max + (size_t)i;
                const beam_complex v = d->sensing[row * (size_t)N + (size_t)n];
                antenna[n] += v.re * v.re + v.im * v.im;
            }
        }
        for (int n = 0; n < N; n++) {
            total += antenna[n];
            q->station_peak_antenna_w[l] = fmax(q->station_peak_antenna_w[l], antenna[n]);
        }
        q->station_power_w[l] = total;
        q->power_excess = fmax(q->power_excess, total / self->power_w[l] - 1.0);
    }
}

static int quality_finite(const beam_quality *q)
{
    return isfinite(q->wsr_nominal_bps_hz) && isfinite(q->wsr_worst_case_bps_hz) &&
           isfinite(q->crlb_m2) && isfinite(q->power_excess);
}

beam_code beam_evaluator_run(beam_evaluator *self, const beam_design *design, beam_quality *quality,
                             beam_error *err)
{
    const beam_problem *p = &self->problem;
    const beam_code code = check_design(self, design, err);
    memset(quality, 0, sizeof *quality);
    if (code) {
        return code;
    }
    beam_problem_import(p, design, self->x);
    fill_users(self, quality);
    fill_targets(self, quality);
    fill_powers(self, design, quality);
    for (int l = 0; l < p->L; l++) {
        for (int u = 0; u < p->U; u++) {
            const size_t at = beam_robust_at(&self->robust, l, u) * (size_t)p->stride;
            beam_robust_channel(&self->robust, l, u, self->channel + at);
        }
    }
    self->have_channels = 1;
    if (!quality_finite(quality)) {
        return beam_fail(err, BEAM_E_NUMERIC, "design", "the design has no finite quality");
    }
    return BEAM_OK;
}

/* Gradient rows (scaled point) -> design layout: d/dw = d/dx / sqrt(P). */
static beam_code export_gradient(const beam_evaluator *self, beam_design *out, beam_error *err)
{
    const beam_problem *p = &self->problem;
    if (out->dims.stations != p->L || out->dims.antennas != p->N || out->dims.users != p->U ||
        out->sensing_max < p->r) {
        return beam_fail(err, BEAM_E_INVALID, "gradient.dims",
                         "the gradient has other sizes than the scene");
    }
    for (int l = 0; l < p->L; l++) {
        const double scale = 1.0 / p->sqrt_power[l];
        for (int i = p->first[l]; i < p->first[l + 1]; i++) {
            const int k = i - p->first[l];
            const size_t N = (size_t)p->N;
            const double *row = self->grad + (size_t)i * (size_t)p->stride;
            beam_complex *to =
                k < p->K[l]
                    ? out->beams + (size_t)p->order[p->user_first[l] + k] * N
                    : out->sensing +
                          ((size_t)l * (size_t)out->sensing_max + (size_t)(k - p->K[l])) * N;
            for (int n = 0; n < p->N; n++) {
                to[n].re = scale * row[n];
                to[n].im = scale * row[p->Dp + n];
            }
        }
        out->sensing_count[l] = p->r;
    }
    return BEAM_OK;
}

beam_code beam_evaluator_gradient(beam_evaluator *self, const beam_design *design,
                                  beam_design *grad_wsr, beam_design *grad_crlb, beam_error *err)
{
    beam_problem *p = &self->problem;
    beam_code code = check_design(self, design, err);
    if (code) {
        return code;
    }
    const size_t bytes = (size_t)p->rows * (size_t)p->stride * sizeof(double);
    beam_problem_import(p, design, self->grad);
    if (!self->have_channels ||
        memcmp(self->grad, self->x, bytes) != 0) { /* not the design of the last run */
        memcpy(self->x, self->grad, bytes);
        self->have_channels = 0;
    }
    if (grad_wsr) {
        memset(self->grad, 0, bytes);
        if (!self->have_channels) {
            (void)beam_robust_exact(&self->robust, self->x);
        }
        beam_robust_exact_gradient(&self->robust, self->x, p->weight, self->grad);
        code = export_gradient(self, grad_wsr, err);
    }
    if (!code && grad_crlb) {
        memset(self->grad, 0, bytes);
        beam_problem_sensing_gram(p, self->x, self->proj, self->gram);
        if (!isfinite(beam_crlb_value(&p->crlb, self->gram, self->T, NULL))) {
            return beam_fail(err, BEAM_E_NUMERIC, "design",
                             "the CRLB is not finite: some target is not identifiable");
        }
        beam_problem_sensing_pull(p, self->proj, self->T, 1.0, self->grad);
        code = export_gradient(self, grad_crlb, err);
    }
    return code;
}

beam_code beam_evaluator_worst_channels(const beam_evaluator *self, beam_complex *channels,
                                        beam_error *err)
{
    const beam_problem *p = &self->problem;
    if (!self->have_channels) {
        return beam_fail(err, BEAM_E_INVALID, "evaluator", "run a design first");
    }
    for (int l = 0; l < p->L; l++) {
        for (int k = 0; k < p->U; k++) {
            const double *row =
                self->channel + beam_robust_at(&self->robust, l, k) * (size_t)p->stride;
            const double scale = p->sigma[k] / p->sqrt_power[l];
            beam_complex *to =
                channels + ((size_t)l * (size_t)p->U + (size_t)p->order[k]) * (size_t)p->N;
            for (int n = 0; n < p->N; n++) {
                to[n].re = scale * row[n];
                to[n].im = scale * row[p->Dp + n];
            }
        }
    }
    return BEAM_OK;
}

beam_code beam_evaluator_at_channels(beam_evaluator *self, const beam_design *design,
                                     const beam_complex *channels, double *sinr, double *wsr_bps_hz,
                                     beam_error *err)
{
    const beam_problem *p = &self->problem;
    const beam_code code = check_design(self, design, err);
    if (code) {
        return code;
    }
    beam_problem_import(p, design, self->grad);
    double wsr = 0.0, row[2 * BEAM_MAX_ANTENNAS];
    for (int k = 0; k < p->U; k++) {
        double signal = 0.0, den = 1.0;
        for (int l = 0; l < p->L; l++) {
            const beam_complex *h =
                channels + ((size_t)l * (size_t)p->U + (size_t)p->order[k]) * (size_t)p->N;
            const double scale = p->sqrt_power[l] / p->sigma[k];
            memset(row, 0, (size_t)p->stride * sizeof *row);
            for (int n = 0; n < p->N; n++) {
                row[n] = scale * h[n].re;
                row[p->Dp + n] = scale * h[n].im;
            }
            for (int i = p->first[l]; i < p->first[l + 1]; i++) {
                double re, im;
                beam_row_dot(p->Dp, row, self->grad + (size_t)i * (size_t)p->stride, &re, &im);
                *(i == p->row_of[k] ? &signal : &den) += re * re + im * im;
            }
        }
        wsr += p->weight[k] * log1p(signal / den) * M_LOG2E;
        if (sinr) {
            sinr[p->order[k]] = signal / den;
        }
    }
    if (!isfinite(wsr)) {
        return beam_fail(err, BEAM_E_NUMERIC, "channels",
                         "the rate at these channels is not finite");
    }
    if (wsr_bps_hz) {
        *wsr_bps_hz = wsr;
    }
    return BEAM_OK;
}
