#include "model/problem.h"

#include <math.h>
#include <string.h>

#include "model/row.h"

/* Printing 12 digits and rounding must not leave the budget. */
static const double inside_budget = 1.0 - 1e-12;
/* Scaled radii below count as exact knowledge. A radius moves a rate by at most 4 eps bit/s/Hz
 * times the root of the power in budgets (noise is 1), while the roots of the secular equations
 * grow as 1/eps and would overflow. */
static const double least_radius = 1e-40;

static int reduced_dimension(const beam_dims *d)
{
    const int columns = d->users + 2 * d->targets;
    return columns < d->antennas ? columns : d->antennas;
}

void beam_problem_carve(beam_problem *p, beam_arena *arena, const beam_dims *max, int sensing_max,
                        bool reduce)
{
    memset(p, 0, sizeof *p);
    const size_t L = (size_t)max->stations, U = (size_t)max->users, J = (size_t)max->targets;
    const int D = reduce ? reduced_dimension(max) : max->antennas;
    const size_t stride = 2u * (size_t)beam_pad4(D);
    p->L = max->stations;
    p->N = max->antennas;
    p->J = max->targets;
    p->U = max->users;
    p->r = sensing_max;
    p->Np = beam_pad4(max->antennas);
    p->h = BEAM_TAKE(arena, double, L *U *stride);
    p->hnorm2 = BEAM_TAKE(arena, double, L *U);
    p->eps = BEAM_TAKE(arena, double, L *U);
    p->tx = BEAM_TAKE(arena, double, L * 2 * J * stride);
    p->basis_memory = reduce ? BEAM_TAKE(arena, double, L *(size_t)D * 2u * (size_t)p->Np) : NULL;
    p->spare = BEAM_TAKE(arena, double, 2u * (size_t)p->Np);
    beam_crlb_carve(&p->crlb, arena, max->stations, max->targets);
}

static void row_from_complex(int dp, int n, const beam_complex *from, double scale, double *row)
{
    memset(row, 0, 2u * (size_t)dp * sizeof *row);
    for (int i = 0; i < n; i++) {
        row[i] = scale * from[i].re;
        row[dp + i] = scale * from[i].im;
    }
}

/* a(p) and D a(p) of one station: a[n] = exp(i nu_n omega), nu_n = n - (N-1)/2, omega = pi
 * (u.e)/|u|. */
static void steering(const beam_scene *scene, int station, int target, beam_complex *a,
                     beam_complex *d)
{
    const double *b = scene->station_position_m + 2 * station;
    const double *t = scene->target_position_m + 2 * target;
    const double ux = t[0] - b[0], uy = t[1] - b[1];
    const double axis = scene->station_axis_rad[station];
    const double omega = M_PI * (ux * cos(axis) + uy * sin(axis)) / hypot(ux, uy);
    const int N = scene->dims.antennas;
    for (int n = 0; n < N; n++) {
        const double nu = (double)n - 0.5 * (double)(N - 1);
        a[n].re = cos(nu * omega);
        a[n].im = sin(nu * omega);
        d[n].re = nu * a[n].re;
        d[n].im = nu * a[n].im;
    }
}

/* Coordinates of a full-space row in the basis of a station (or the row itself). */
static void project(const beam_problem *p, int station, const double *full, double *row)
{
    memset(row, 0, (size_t)p->stride * sizeof *row);
    if (!p->basis) {
        memcpy(row, full, (size_t)p->stride * sizeof *row);
        return;
    }
    const double *basis = p->basis + (size_t)station * (size_t)p->D * 2u * (size_t)p->Np;
    for (int i = 0; i < p->D; i++) {
        beam_row_dot(p->Np, basis + (size_t)i * 2u * (size_t)p->Np, full, row + i, row + p->Dp + i);
    }
}

/* Adds the direction of `v` (destroyed) to the basis rows of a station: Gram-Schmidt, twice. A
 * vector that depends on the others to rounding leaves a zero row, which is harmless: every
 * projection on it is zero. */
static void extend_basis(const beam_problem *p, double *basis, int have, double *v)
{
    const int n = 2 * p->Np;
    double *row = basis + (size_t)have * (size_t)n;
    const double norm = sqrt(beam_row_norm2(n, v));
    memset(row, 0, (size_t)n * sizeof *row);
    if (!(norm > 0.0)) {
        return;
    }
    beam_row_scale(n, 1.0 / norm, v);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < have; i++) {
            double re, im;
            const double *b = basis + (size_t)i * (size_t)n;
            beam_row_dot(p->Np, b, v, &re, &im);
            beam_row_axpy(p->Np, -re, -im, b, v);
        }
    }
    const double rest = sqrt(beam_row_norm2(n, v));
    if (rest > 1e-14) {
        beam_row_add(n, 1.0 / rest, v, row);
        for (int i = 0; i < have; i++) { /* third pass: a small rest has lost orthogonality */
            double re, im;
            const double *b = basis + (size_t)i * (size_t)n;
            beam_row_dot(p->Np, b, row, &re, &im);
            beam_row_axpy(p->Np, -re, -im, b, row);
        }
        beam_row_scale(n, 1.0 / sqrt(beam_row_norm2(n, row)), row);
    }
}

static void build_basis(beam_problem *p, const beam_scene *scene)
{
    const size_t rowsize = 2u * (size_t)p->Np;
    beam_complex a[BEAM_MAX_ANTENNAS], d[BEAM_MAX_ANTENNAS];
    for (int l = 0; l < p->L; l++) {
        double *basis = p->basis + (size_t)l * (size_t)p->D * rowsize;
        int have = 0;
        for (int j = 0; j < p->J; j++) {
            steering(scene, l, j, a, d);
            row_from_complex(p->Np, p->N, a, 1.0, p->spare);
            extend_basis(p, basis, have++, p->spare);
            row_from_complex(p->Np, p->N, d, 1.0, p->spare);
            extend_basis(p, basis, have++, p->spare);
        }
        for (int u = 0; u < p->U; u++) {
            const beam_complex *h =
                scene->channel + ((size_t)l * (size_t)p->U + (size_t)u) * (size_t)p->N;
            row_from_complex(p->Np, p->N, h, p->sqrt_power[l] / sqrt(scene->user_noise_w[u]),
                             p->spare);
            extend_basis(p, basis, have++, p->spare);
        }
    }
}

static void sort_users(beam_problem *p, const beam_scene *scene)
{
    int k = 0, row = 0;
    p->cols_max = 0;
    for (int l = 0; l < p->L; l++) {
        p->user_first[l] = k;
        p->first[l] = row;
        for (int u = 0; u < p->U; u++) {
            if (scene->user_station[u] == l) {
                p->order[k] = u;
                p->own[k] = l;
                p->row_of[k] = row++;
                k++;
            }
        }
        p->K[l] = k - p->user_first[l];
        row += p->r;
        if (p->K[l] + p->r > p->cols_max) {
            p->cols_max = p->K[l] + p->r;
        }
    }
    p->user_first[p->L] = k;
    p->first[p->L] = row;
    p->rows = row;
}

beam_code beam_problem_load(beam_problem *p, const beam_scene *scene, bool reduce, beam_error *err)
{
    beam_code code = beam_scene_validate(scene, err);
    if (code) {
        return code;
    }
    p->U = scene->dims.users;
    p->D = reduce ? reduced_dimension(&scene->dims) : p->N;
    p->Dp = beam_pad4(p->D);
    p->stride = 2 * p->Dp;
    p->basis = reduce && p->D < p->N ? p->basis_memory : NULL;
    sort_users(p, scene);
    for (int l = 0; l < p->L; l++) {
        p->sqrt_power[l] = sqrt(scene->station_power_w[l]);
    }
    if (p->basis) {
        build_basis(p, scene);
    }
    for (int k = 0; k < p->U; k++) {
        const int u = p->order[k];
        p->weight[k] = scene->user_weight[u];
        p->min_rate[k] = scene->user_min_rate_bps_hz[u];
        p->sigma[k] = sqrt(scene->user_noise_w[u]);
        for (int l = 0; l < p->L; l++) {
            const size_t from = (size_t)l * (size_t)p->U + (size_t)u,
                         to = (size_t)l * (size_t)p->U + (size_t)k;
            const double scale = p->sqrt_power[l] / p->sigma[k];
            double *h = p->h + to * (size_t)p->stride;
            row_from_complex(p->Np, p->N, scene->channel + from * (size_t)p->N, scale, p->spare);
            project(p, l, p->spare, h);
            p->hnorm2[to] = beam_row_norm2(p->stride, h);
            const double eps = scene->error_radius[from] * scale;
            p->eps[to] = eps < least_radius ? 0.0 : eps;
        }
    }
    beam_complex a[BEAM_MAX_ANTENNAS], d[BEAM_MAX_ANTENNAS];
    for (int l = 0; l < p->L; l++) {
        for (int j = 0; j < p->J; j++) {
            double *row = p->tx + ((size_t)l * (size_t)p->J + (size_t)j) * 2u * (size_t)p->stride;
            steering(scene, l, j, a, d);
            row_from_complex(p->Np, p->N, a, 1.0, p->spare);
            project(p, l, p->spare, row);
            row_from_complex(p->Np, p->N, d, 1.0, p->spare);
            project(p, l, p->spare, row + p->stride);
        }
    }
    beam_crlb_load(&p->crlb, scene);
    return BEAM_OK;
}

void beam_problem_import_columns(const beam_problem *p, const beam_design *design, int station,
                                 int count, double *rows)
{
    double full[2 * BEAM_MAX_ANTENNAS];
    const beam_complex *b =
        design->sensing + (size_t)station * (size_t)design->sensing_max * (size_t)p->N;
    for (int i = 0; i < count; i++) {
        row_from_complex(p->Np, p->N, b + (size_t)i * (size_t)p->N, 1.0 / p->sqrt_power[station],
                         full);
        project(p, station, full, rows + (size_t)i * (size_t)p->stride);
    }
}

void beam_problem_import(const beam_problem *p, const beam_design *design, double *x)
{
    memset(x, 0, (size_t)p->rows * (size_t)p->stride * sizeof *x);
    double full[2 * BEAM_MAX_ANTENNAS];
    for (int l = 0; l < p->L; l++) {
        const double scale = 1.0 / p->sqrt_power[l];
        double *row = x + (size_t)p->first[l] * (size_t)p->stride;
        for (int k = p->user_first[l]; k < p->user_first[l + 1]; k++, row += p->stride) {
            row_from_complex(p->Np, p->N, design->beams + (size_t)p->order[k] * (size_t)p->N, scale,
                             full);
            project(p, l, full, row);
        }
        const int count = design->sensing_count[l];
        beam_problem_import_columns(p, design, l, count < p->r ? count : p->r, row);
    }
}

static void lift(const beam_problem *p, int station, double scale, const double *row,
                 beam_complex *out)
{
    double full[2 * BEAM_MAX_ANTENNAS];
    const double *v = row;
    if (p->basis) {
        const double *basis = p->basis + (size_t)station * (size_t)p->D * 2u * (size_t)p->Np;
        memset(full, 0, 2u * (size_t)p->Np * sizeof *full);
        for (int i = 0; i < p->D; i++) {
            beam_row_axpy(p->Np, row[i], row[p->Dp + i], basis + (size_t)i * 2u * (size_t)p->Np,
                          full);
        }
        v = full;
    }
    for (int n = 0; n < p->N; n++) {
        out[n].re = scale * v[n];
        out[n].im = scale * v[p->Np + n];
    }
}

double beam_problem_power(const beam_problem *p, const double *x, int station)
{
    const int rows = p->first[station + 1] - p->first[station];
    return beam_row_norm2(rows * p->stride, x + (size_t)p->first[station] * (size_t)p->stride);
}

void beam_problem_export(const beam_problem *p, const double *x, beam_design *design)
{
    for (int l = 0; l < p->L; l++) {
        const double power = beam_problem_power(p, x, l);
        const double fit = power > inside_budget ? sqrt(inside_budget / power) : 1.0;
        const double scale = p->sqrt_power[l] * fit;
        const double *row = x + (size_t)p->first[l] * (size_t)p->stride;
        for (int k = p->user_first[l]; k < p->user_first[l + 1]; k++, row += p->stride) {
            lift(p, l, scale, row, design->beams + (size_t)p->order[k] * (size_t)p->N);
        }
        beam_complex *b = design->sensing + (size_t)l * (size_t)design->sensing_max * (size_t)p->N;
        design->sensing_count[l] = p->r;
        for (int i = 0; i < p->r; i++, row += p->stride) {
            lift(p, l, scale, row, b + (size_t)i * (size_t)p->N);
        }
    }
}

void beam_problem_sensing_gram(const beam_problem *p, const double *x, beam_complex *proj,
                               beam_complex *gram)
{
    const int n = 2 * p->J;
    for (int l = 0; l < p->L; l++) {
        beam_complex *S = gram + (size_t)l * (size_t)(n * n);
        const double *tx = p->tx + (size_t)l * (size_t)n * (size_t)p->stride;
        memset(S, 0, (size_t)(n * n) * sizeof *S);
        for (int i = p->first[l]; i < p->first[l + 1]; i++) {
            beam_complex *z = proj + (size_t)i * (size_t)n;
            for (int q = 0; q < n; q++) {
                beam_row_dot(p->Dp, tx + (size_t)q * (size_t)p->stride,
                             x + (size_t)i * (size_t)p->stride, &z[q].re, &z[q].im);
            }
            for (int a = 0; a < n; a++) {
                for (int b = a; b < n; b++) {
                    S[a * n + b].re += z[a].re * z[b].re + z[a].im * z[b].im;
                    S[a * n + b].im += z[a].im * z[b].re - z[a].re * z[b].im;
                }
            }
        }
        for (int a = 0; a < n; a++) {
            for (int b = 0; b < a; b++) {
                S[a * n + b].re = S[b * n + a].re;
                S[a * n + b].im = -S[b * n + a].im;
            }
        }
    }
}

void beam_problem_sensing_pull(const beam_problem *p, const beam_complex *proj,
                               const beam_complex *T, double scale, double *g)
{
    const int n = 2 * p->J;
    for (int l = 0; l < p->L; l++) {
        const beam_complex *Tl = T + (size_t)l * (size_t)(n * n);
        const double *tx = p->tx + (size_t)l * (size_t)n * (size_t)p->stride;
        for (int i = p->first[l]; i < p->first[l + 1]; i++) {
            const beam_complex *z = proj + (size_t)i * (size_t)n;
            for (int a = 0; a < n; a++) {
                double re = 0.0, im = 0.0;
                for (int b = 0; b < n; b++) {
                    const beam_complex t = Tl[a * n + b];
                    re += t.re * z[b].re - t.im * z[b].im;
                    im += t.re * z[b].im + t.im * z[b].re;
                }
                beam_row_axpy(p->Dp, -2.0 * scale * re, -2.0 * scale * im,
                              tx + (size_t)a * (size_t)p->stride,
                              g + (size_t)i * (size_t)p->stride);
            }
        }
    }
}
