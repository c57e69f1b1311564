/* BOBLRBF, default mode (MATH 5): the life of a solver. The exact lower level in its smoothed dual,
 * smooth Tchebycheff scalarisation per preference, quasi-Newton with the smoothing annealed,
 * retraction for the budgets: descend.c, solve.c, front.c; the ends of the front and the classical
 * designs: ends.c. */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/solver_internal.h"

beam_solver_options beam_solver_options_default(void)
{
    const beam_solver_options o = {.max_iterations = 1000,
                                   .explore_every = 8,
                                   .tolerance = 1e-5,
                                   .expired = NULL,
                                   .expired_arg = NULL};
    return o;
}

static int largest_dimension(const beam_dims *d)
{
    const int columns = d->users + 2 * d->targets;
    return columns < d->antennas ? columns : d->antennas;
}

size_t beam_solver_geometry_size(const beam_dims *d)
{
    const size_t L = (size_t)d->stations, J = (size_t)d->targets;
    return 5 + 6 * L + 2 * J + 2 * L * J * L;
}

static void carve(beam_solver *s, beam_arena *arena, const beam_dims *d)
{
    const int r = beam_design_sensing_max(d), D = largest_dimension(d);
    const size_t rows = (size_t)(d->users + d->stations * r), stride = 2u * (size_t)beam_pad4(D);
    const size_t point = rows * stride, n = point + (size_t)beam_pad4(d->stations);
    beam_problem_carve(&s->problem, arena, d, r, true);
    beam_robust_carve(&s->robust, arena, d, D, r);
    beam_objective_carve(&s->objective, arena, d, D, r);
    beam_lbfgs_carve(&s->lbfgs, arena, (int)n);
    beam_classical_carve(&s->classical, arena, d->users, D);
    beam_least_crlb_carve(&s->least, arena, d->stations, d->targets, D);
    beam_curve_carve(&s->curve, arena, d);
    beam_curvature_carve(&s->curvature, arena, d->stations, D);
    s->y = BEAM_TAKE(arena, double, n);
    s->geometry = BEAM_TAKE(arena, double, beam_solver_geometry_size(d));
    s->geometry_new =
        BEAM_TAKE(arena, double, beam_solver_geometry_size(d) + 2); /* exchange.c's key */
    s->sensing = BEAM_TAKE(arena, double, point);
    s->unit = BEAM_TAKE(arena, double, point);
    s->rate_end.x = BEAM_TAKE(arena, double, point);
    s->candidate.x = BEAM_TAKE(arena, double, point);
    s->answer.x = BEAM_TAKE(arena, double, point);
    s->spare.x = BEAM_TAKE(arena, double, point);
    for (int i = 0; i < BEAM_FRONT_SCAN; i++) {
        s->pool[i].x = BEAM_TAKE(arena, double, point);
    }
}

size_t beam_solver_memsize(const beam_dims *dims)
{
    beam_solver probe;
    beam_arena arena = {NULL, 0};
    if (beam_dims_check(dims, NULL)) {
        return 0;
    }
    (void)BEAM_TAKE(&arena, beam_solver, 1);
    carve(&probe, &arena, dims);
    return arena.used;
}

beam_code beam_solver_init(beam_solver **out, const beam_dims *dims, void *memory, size_t size,
                           beam_error *err)
{
    const beam_code code = beam_dims_check(dims, err);
    if (code) {
        return code;
    }
    if (!memory || size < beam_solver_memsize(dims)) {
        return beam_fail(err, BEAM_E_INVALID, "memory", "%zu bytes given, %zu needed", size,
                         beam_solver_memsize(dims));
    }
    beam_arena arena = {memory, 0};
    beam_solver *s = BEAM_TAKE(&arena, beam_solver, 1);
    memset(memory, 0, size);
    s->max = *dims;
    s->options = beam_solver_options_default();
    carve(s, &arena, dims);
    *out = s;
    return BEAM_OK;
}

void beam_solver_set_options(beam_solver *self, const beam_solver_options *options)
{
    self->options = *options;
}

size_t beam_solver_point_bytes(const beam_solver *s)
{
    return (size_t)s->problem.rows * (size_t)s->problem.stride * sizeof(double);
}

/* Sensing rows per station. Resolved echoes see R_l through 4J real numbers (X0, X1, X2 per
 * target), the rates at their worst-case channels through one number per user: by the rank bound of
 * Barvinok and Pataki some optimal Q_l has rank^2 <= 4J + U + 1. The coupled models see the whole
 * Gram matrix: 2J. */
static int sensing_rows(const beam_scene *scene)
{
    const beam_dims *d = &scene->dims;
    const int most = beam_design_sensing_max(d),
              bound = (int)sqrt((double)(4 * d->targets + d->users + 1));
    return scene->sensing == BEAM_SENSING_RESOLVED && bound < most ? bound : most;
}

static double *append(double *to, const double *from, size_t n)
{
    memcpy(to, from, n * sizeof *to);
    return to + n;
}

/* Everything the least-CRLB rows depend on, and the layout of the rows. */
static void pack_geometry(const beam_problem *p, const beam_scene *scene, double *to)
{
    const size_t L = (size_t)scene->dims.stations, J = (size_t)scene->dims.targets;
    *to++ = (double)scene->sensing;
    *to++ = scene->sensing == BEAM_SENSING_BAND ? scene->bandwidth_hz : 0.0;
    *to++ = scene->snapshots;
    *to++ = scene->skip_unidentifiable ? 1.0 : 0.0;
    *to++ = (double)p->D;
    for (size_t l = 0; l < L; l++) {
        *to++ = (double)p->K[l];
    }
    to = append(to, scene->station_position_m, 2 * L);
    to = append(to, scene->station_axis_rad, L);
    to = append(to, scene->station_power_w, L);
    to = append(to, scene->station_echo_noise_w, L);
    to = append(to, scene->target_position_m, 2 * J);
    (void)append(to, (const double *)scene->reflection, 2 * L * J * L);
}

beam_code beam_solver_load(beam_solver *self, const beam_scene *scene, beam_error *err)
{
    const beam_dims *a = &self->max, *b = &scene->dims;
    if (a->stations != b->stations || a->antennas != b->antennas || a->targets != b->targets ||
        b->users > a->users) {
        return beam_fail(err, BEAM_E_INVALID, "dims",
                         "the scene has other sizes than the solver was made for");
    }
    const int rows = self->problem.r;
    beam_code code = beam_scene_validate(scene, err);
    if (!code) {
        self->problem.r = sensing_rows(scene);
        code = beam_problem_load(&self->problem, scene, true, err);
    }
    if (code) {
        self->problem.r = rows;
        return code;
    }
    beam_robust_reset(&self->robust, &self->problem);
    self->objective.p = &self->problem;
    self->objective.rb = &self->robust;
    self->has_floors = false;
    for (int u = 0; u < b->users; u++) {
        self->has_floors = self->has_floors || scene->user_min_rate_bps_hz[u] > 0.0;
    }
    const size_t bytes = beam_solver_geometry_size(b) * sizeof(double);
    pack_geometry(&self->problem, scene, self->geometry_new);
    if (!self->loaded || self->sensing_moved ||
        memcmp(self->geometry, self->geometry_new, bytes) != 0) {
        memcpy(self->geometry, self->geometry_new, bytes);
        self->have_sensing_rows = self->sensing_moved = false;
    }
    self->loaded = true;
    self->have_classical = self->have_rate_point = false;
    beam_curve_reset(&self->curve);
    return BEAM_OK;
}

beam_code beam_solver_set_ideal(beam_solver *self, const beam_ideal *ideal, beam_error *err)
{
    if (!(ideal->wsr_ideal_bps_hz >= 0.0) || !isfinite(ideal->wsr_ideal_bps_hz)) {
        return beam_fail(err, BEAM_E_INVALID, "wsr_ideal_bps_hz",
                         "must be finite and not negative");
    }
    if (!(ideal->crlb_min_m2 >= 0.0) || !isfinite(ideal->crlb_min_m2)) {
        return beam_fail(err, BEAM_E_INVALID, "crlb_min_m2", "must be finite and not negative");
    }
    self->ideal = *ideal;
    self->have_ideal_rate = self->have_ideal_sensing = true;
    return BEAM_OK;
}

beam_ideal beam_solver_ideal(const beam_solver *self)
{
    return self->ideal;
}
