#include "demo/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beam/beam.h"

/* One kept answer. */
typedef struct kept {
    demo_snapshot snapshot;
    double beams[DEMO_U][DEMO_N][2];
    double sensing[DEMO_L][2 * DEMO_J][DEMO_N][2];
    int columns[DEMO_L];
    beam_ideal ideal;
    double tradeoff;
} kept;

struct demo_judge {
    const demo_scenario *scenario;
    beam_scene exact, nominal; /* with the error radii, and as if the estimates were exact */
    beam_design design;
    beam_evaluator *evaluator, *nominal_evaluator;
    beam_solver *solver;
    beam_quality quality;
    void *memory[6];
    kept kept[DEMO_KEPT];
    int count;
};

typedef enum nominal_kind {
    NOMINAL_ZF,
    NOMINAL_WMMSE,
    NOMINAL_OPTIMUM,
    NOMINAL_KINDS
} nominal_kind;
static const char *const NOMINAL_NAMES[NOMINAL_KINDS] = {"zero-forcing", "weighted MMSE",
                                                         "nominal optimum"};

static const beam_dims DIMS = {DEMO_L, DEMO_N, DEMO_U, DEMO_J};
/* The daemon stops within this of the converged merit; matters where nothing is to be gained
 * (radius 0). */
static const double MERIT_TOLERANCE = 0.02;
enum { SENSING_MAX = 2 * DEMO_J < DEMO_N ? 2 * DEMO_J : DEMO_N };

static void *take(demo_judge *self, int k, size_t size)
{
    const size_t rounded = (size + 63u) & ~(size_t)63u;
    self->memory[k] = aligned_alloc(64, rounded ? rounded : 64);
    return self->memory[k];
}

/* What does not change from update to update. */
static void scene_constants(beam_scene *scene, const demo_scenario *s)
{
    scene->snapshots = s->snapshots;
    for (int l = 0; l < DEMO_L; l++) {
        scene->station_position_m[2 * l] = s->station_m[l][0];
        scene->station_position_m[2 * l + 1] = s->station_m[l][1];
        scene->station_axis_rad[l] = s->axis_rad[l];
        scene->station_power_w[l] = s->power_w;
        scene->station_echo_noise_w[l] = s->echo_noise_w;
    }
    for (int u = 0; u < DEMO_U; u++) {
        scene->user_station[u] = u;
        scene->user_weight[u] = 1.0;
        scene->user_noise_w[u] = s->noise_w;
    }
}

demo_judge *demo_judge_create(const demo_scenario *scenario, const char **reason)
{
    demo_judge *self = calloc(1, sizeof *self);
    beam_error err;
    *reason = "no memory for the comparison";
    if (!self) {
        return NULL;
    }
    self->scenario = scenario;
    const size_t scene = beam_scene_memsize(&DIMS),
                 design = beam_design_memsize(&DIMS, SENSING_MAX);
    const size_t evaluator = beam_evaluator_memsize(&DIMS, SENSING_MAX),
                 solver = beam_solver_memsize(&DIMS);
    const bool made =
        take(self, 0, scene) && take(self, 1, scene) && take(self, 2, design) &&
        take(self, 3, evaluator) && take(self, 4, evaluator) && take(self, 5, solver) &&
        !beam_scene_init(&self->exact, &DIMS, self->memory[0], scene, &err) &&
        !beam_scene_init(&self->nominal, &DIMS, self->memory[1], scene, &err) &&
        !beam_design_init(&self->design, &DIMS, SENSING_MAX, self->memory[2], design, &err) &&
        !beam_evaluator_init(&self->evaluator, &DIMS, SENSING_MAX, self->memory[3], evaluator,
                             &err) &&
        !beam_evaluator_init(&self->nominal_evaluator, &DIMS, SENSING_MAX, self->memory[4],
                             evaluator, &err) &&
        !beam_solver_init(&self->solver, &DIMS, self->memory[5], solver, &err);
    if (!made) {
        *reason = "the engine cannot be set up for the comparison";
        demo_judge_destroy(&self);
        return NULL;
    }
    scene_constants(&self->exact, scenario);
    return self;
}

void demo_judge_destroy(demo_judge **self_p)
{
    demo_judge *self = *self_p;
    if (!self) {
        return;
    }
    for (size_t k = 0; k < sizeof self->memory / sizeof self->memory[0]; k++) {
        free(self->memory[k]);
    }
    free(self);
    *self_p = NULL;
}

/* Fills both scenes and loads them. */
static bool judge_load(demo_judge *self, const demo_snapshot *s)
{
    beam_scene *scene = &self->exact;
    beam_error err;
    memcpy(scene->channel, s->channels, sizeof s->channels);
    memcpy(scene->error_radius, s->error_radius, sizeof s->error_radius);
    memcpy(scene->target_position_m, s->target_m, sizeof s->target_m);
    for (int l = 0; l < DEMO_L; l++) {
        for (int j = 0; j < DEMO_J; j++) {
            for (int m = 0; m < DEMO_L; m++) { /* the resolved model does not see the phase */
                scene->reflection[(l * DEMO_J + j) * DEMO_L + m] =
                    (beam_complex){demo_reflection(self->scenario, s->target_m[j], l, m), 0.0};
            }
        }
    }
    if (beam_scene_copy(&self->nominal, scene, &err)) {
        return false;
    }
    memset(self->nominal.error_radius, 0, sizeof s->error_radius);
    return !beam_evaluator_load(self->evaluator, scene, &err) &&
           !beam_evaluator_load(self->nominal_evaluator, &self->nominal, &err);
}

static void design_from_kept(beam_design *design, const kept *k)
{
    memset(design->sensing, 0, sizeof(beam_complex) * DEMO_L * SENSING_MAX * DEMO_N);
    memcpy(design->beams, k->beams, sizeof k->beams);
    for (int l = 0; l < DEMO_L; l++) {
        design->sensing_count[l] = k->columns[l];
        memcpy(design->sensing + (size_t)l * SENSING_MAX * DEMO_N, k->sensing[l],
               sizeof(beam_complex) * (size_t)k->columns[l] * DEMO_N);
    }
}

/* False when the answer is not for this scenario. */
static bool kept_from_answer(kept *k, const demo_snapshot *snapshot, const beamc_solution *s)
{
    if (s->station_count != DEMO_L || s->user_count != DEMO_U || s->antennas != DEMO_N) {
        return false;
    }
    memset(k, 0, sizeof *k);
    k->snapshot = *snapshot;
    for (int u = 0; u < DEMO_U; u++) { /* the answer may name the users in another order */
        const uint64_t id = s->users[u].id;
        if (id < 1 || id > DEMO_U) {
            return false;
        }
        memcpy(k->beams[id - 1], s->beams + (size_t)u * DEMO_N * 2, sizeof k->beams[0]);
    }
    for (int l = 0; l < DEMO_L; l++) {
        if (s->stations[l].sensing_columns > SENSING_MAX) {
            return false;
        }
        k->columns[l] = (int)s->stations[l].sensing_columns;
        memcpy(k->sensing[l], s->sensing + (size_t)l * s->sensing_max * DEMO_N * 2,
               sizeof(double) * 2 * (size_t)k->columns[l] * DEMO_N);
    }
    k->ideal = (beam_ideal){s->wsr_ideal_bps_hz, s->crlb_min_m2};
    k->tradeoff = s->preference.tradeoff;
    return true;
}

static double relative(double claimed, double own)
{
    return fabs(claimed - own) / fmax(fabs(own), 1e-300);
}

double demo_judge_claims(demo_judge *self, const demo_snapshot *snapshot, const beamc_solution *s)
{
    kept k;
    beam_error err;
    if (!kept_from_answer(&k, snapshot, s) || !judge_load(self, snapshot)) {
        return -1.0;
    }
    design_from_kept(&self->design, &k);
    if (beam_evaluator_run(self->evaluator, &self->design, &self->quality, &err)) {
        return -1.0;
    }
    const beam_quality *q = &self->quality;
    double worst = relative(s->wsr_worst_case_bps_hz, q->wsr_worst_case_bps_hz);
    worst = fmax(worst, relative(s->wsr_nominal_bps_hz, q->wsr_nominal_bps_hz));
    worst = fmax(worst, q->power_excess);
    if (s->crlb_valid != q->crlb_valid) {
        return -1.0;
    }
    return q->crlb_valid ? fmax(worst, relative(s->crlb_m2, q->crlb_m2)) : worst;
}

void demo_judge_keep(demo_judge *self, const demo_snapshot *snapshot,
                     const beamc_solution *solution)
{
    if (kept_from_answer(&self->kept[self->count % DEMO_KEPT], snapshot, solution)) {
        self->count++;
    }
}

/* A design that believes the estimate: made on the scene without error radii. */
static bool nominal_design(demo_judge *self, nominal_kind kind, double tradeoff)
{
    beam_error err;
    beam_result result;
    if (kind == NOMINAL_OPTIMUM) {
        return !beam_solver_solve(self->solver, tradeoff, NULL, &self->design, &result, &err);
    }
    return !beam_solver_classical(self->solver,
                                  kind == NOMINAL_ZF ? BEAM_CLASSICAL_ZF : BEAM_CLASSICAL_WMMSE,
                                  BEAM_SENSING_LEAST_CRLB, tradeoff, &self->design, &result, &err);
}

/* The one with the same CRLB as the daemon's, so that rates can be compared: bisection over its own
 * trade-off, along which the CRLB falls. Where it cannot reach that bound the nearest end is left.
 */
static bool matched_design(demo_judge *self, nominal_kind kind, double crlb_m2)
{
    beam_error err;
    double low = 0.0, high = 1.0;
    for (int step = 0; step < 12; step++) {
        const double middle = 0.5 * (low + high);
        if (!nominal_design(self, kind, middle) ||
            beam_evaluator_run(self->nominal_evaluator, &self->design, &self->quality, &err)) {
            return false;
        }
        const double own = self->quality.crlb_valid ? self->quality.crlb_m2 : INFINITY;
        if (fabs(own - crlb_m2) <= 2e-3 * crlb_m2) {
            return true;
        }
        if (own > crlb_m2) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return true;
}

typedef struct verdict {
    double promised;  /* WSR at the estimate */
    double delivered; /* at the worst admissible error, bit/s/Hz */
    double users[DEMO_U];
    double crlb_m2; /* INFINITY if some target is not located */
    double merit;
    double error_share; /* largest |error| / radius of the worst channels used */
} verdict;

/* The worst channels are taken out and the SINR formula is applied to them again, so that the
 * number does not rest on the dual that found them. */
static bool judge_design(demo_judge *self, const kept *k, verdict *v)
{
    beam_error err;
    beam_complex worst[DEMO_L * DEMO_U * DEMO_N];
    double sinr[DEMO_U];
    if (beam_evaluator_run(self->evaluator, &self->design, &self->quality, &err) ||
        beam_evaluator_worst_channels(self->evaluator, worst, &err) ||
        beam_evaluator_at_channels(self->evaluator, &self->design, worst, sinr, &v->delivered,
                                   &err)) {
        return false;
    }
    v->promised = self->quality.wsr_nominal_bps_hz;
    v->crlb_m2 = self->quality.crlb_valid ? self->quality.crlb_m2 : INFINITY;
    v->error_share = 0.0;
    for (int l = 0; l < DEMO_L; l++) {
        for (int u = 0; u < DEMO_U; u++) {
            double e2 = 0.0;
            for (int n = 0; n < DEMO_N; n++) {
                const beam_complex x = worst[(l * DEMO_U + u) * DEMO_N + n];
                const double *h = k->snapshot.channels[l][u][n];
                e2 += (x.re - h[0]) * (x.re - h[0]) + (x.im - h[1]) * (x.im - h[1]);
            }
            if (k->snapshot.error_radius[l][u] > 0.0) {
                v->error_share = fmax(v->error_share, sqrt(e2) / k->snapshot.error_radius[l][u]);
            }
        }
    }
    for (int u = 0; u < DEMO_U; u++) {
        v->users[u] = log2(1.0 + sinr[u]);
    }
    v->merit =
        beam_merit(&k->ideal, beam_preference_from_tradeoff(k->tradeoff),
                   beam_loss_rate(&k->ideal, v->delivered),
                   beam_loss_sensing(&k->ideal, self->quality.crlb_valid, self->quality.crlb_m2));
    return true;
}

/* All designs on one kept answer: the daemon's (last), then nominal ones at its CRLB. The nominal
 * scene has its own ideal rate. */
static bool judge_all(demo_judge *self, const kept *k, verdict verdicts[NOMINAL_KINDS + 1])
{
    beam_error err;
    if (!judge_load(self, &k->snapshot)) {
        return false;
    }
    design_from_kept(&self->design, k);
    if (!judge_design(self, k, &verdicts[NOMINAL_KINDS]) ||
        beam_solver_load(self->solver, &self->nominal, &err) ||
        beam_solver_set_ideal(self->solver, &k->ideal, &err) ||
        beam_solver_compute_rate_end(self->solver, &err)) {
        return false;
    }
    for (int kind = 0; kind < NOMINAL_KINDS; kind++) {
        if (!matched_design(self, (nominal_kind)kind, verdicts[NOMINAL_KINDS].crlb_m2) ||
            !judge_design(self, k, &verdicts[kind])) {
            return false;
        }
    }
    return true;
}

static void print_row(const char *name, const verdict *v)
{
    printf("  %-18s %9.3f %11.3f %7.1f%%   ", name, v->promised, v->delivered,
           100.0 * (v->promised - v->delivered) / fmax(v->promised, 1e-12));
    for (int u = 0; u < DEMO_U; u++) {
        printf(" %6.3f", v->users[u]);
    }
    printf("   %9.4f %8.3f\n", sqrt(v->crlb_m2), v->merit);
}

static const char HEADING[] =
    "  design               at the   at the worst             worst-case rate of    rms bound\n"
    "                      estimate     error      lost      user 1  user 2  user 3      m     "
    "merit\n";

bool demo_judge_print(demo_judge *self)
{
    const int kept_count = self->count < DEMO_KEPT ? self->count : DEMO_KEPT;
    verdict last[NOMINAL_KINDS + 1], mean[NOMINAL_KINDS + 1];
    int best = 0;
    double share = 0.0;
    memset(mean, 0, sizeof mean);
    if (kept_count == 0) {
        printf("no answer was kept to compare\n");
        return false;
    }
    for (int k = 0; k < kept_count; k++) {
        const kept *one = &self->kept[(self->count - kept_count + k) % DEMO_KEPT];
        if (!judge_all(self, one, last)) {
            printf("the comparison cannot be computed\n");
            return false;
        }
        double least = INFINITY;
        for (int d = 0; d <= NOMINAL_KINDS; d++) {
            mean[d].promised += last[d].promised / kept_count;
            mean[d].delivered += last[d].delivered / kept_count;
            mean[d].crlb_m2 += last[d].crlb_m2 / kept_count;
            mean[d].merit += last[d].merit / kept_count;
            for (int u = 0; u < DEMO_U; u++) {
                mean[d].users[u] += last[d].users[u] / kept_count;
            }
            least = d < NOMINAL_KINDS ? fmin(least, last[d].merit) : least;
            share = fmax(share, last[d].error_share);
        }
        best += last[NOMINAL_KINDS].merit <= least + 1e-9;
    }
    const kept *final = &self->kept[(self->count - 1) % DEMO_KEPT];
    printf("\nIf the channels are as wrong as they may be (relative radius %.2f), recomputed by "
           "this client\n\n",
           self->scenario->options.error_relative);
    for (int table = 0; table < 2; table++) {
        const verdict *v = table ? mean : last;
        if (table) {
            printf("\nMean over %d updates of the run\n", kept_count);
        } else {
            printf("Last update, trade-off %.2f (%s); bit/s/Hz\n", final->tradeoff,
                   beamc_tradeoff_words(final->tradeoff));
        }
        fputs(HEADING, stdout);
        for (int kind = 0; kind < NOMINAL_KINDS; kind++) {
            print_row(NOMINAL_NAMES[kind], &v[kind]);
        }
        print_row("beamd, robust", &v[NOMINAL_KINDS]);
    }
    printf("\nThe first three believe the estimate; they were given the daemon's position bound. "
           "Whoever codes at\n"
           "the rate of the first column loses blocks when the channel carries the second. The "
           "errors used reach\n"
           "%.6f of their radius. Merit is what the preference asks to minimise, at the worst "
           "error: beamd's\n"
           "design has the least in %d of %d updates.\n",
           share, best, kept_count);
    bool least_mean = true;
    for (int kind = 0; kind < NOMINAL_KINDS; kind++) {
        least_mean = least_mean && mean[NOMINAL_KINDS].merit <= mean[kind].merit + MERIT_TOLERANCE;
    }
    return share <= 1.0 + 1e-9 && least_mean;
}
