/* One iteration of mode paper: the active rows of (22), the update (23) and the backtracking (24).
 */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/paper_internal.h"

/* With repair feasible-step a constraint counts as active a little before it is met: a line search
 * that holds it would otherwise jam against it. Relative to the size of its terms. */
static const double near_active = 1e-3;
/* A station at its budget up to rounding. */
static const double at_budget = 1e-9;
static const int halvings = 40;

static bool has(const beam_paper *self, beam_repair repair)
{
    return (self->options.repairs & (unsigned)repair) != 0;
}

/* Inner products of the base vectors. */
static void fill_gram(beam_paper *self)
{
    const beam_paper_space *s = &self->space;
    beam_paper_direction *d = &self->direction;
    const int L = s->p->L, first_cut = 2 + L;
    d->base = first_cut + self->cuts.count;
    memset(d->gram, 0, sizeof d->gram);
    for (int a = 0; a < d->base; a++) {
        if (a >= 2 && a < first_cut) {
            d->gram[a][a] = beam_paper_power_norm2(s, self->x, a - 2);
            continue;
        }
        const double *va =
            a < 2 ? self->gradient[a] : self->cuts.normal + (ptrdiff_t)(a - first_cut) * s->n;
        for (int l = 0; l < L; l++) {
            d->gram[a][2 + l] = d->gram[2 + l][a] = beam_paper_power_dot(s, self->x, l, va);
        }
        for (int b = 0; b <= a; b++) {
            if (b < 2 || b >= first_cut) {
                const double *vb = b < 2 ? self->gradient[b]
                                         : self->cuts.normal + (ptrdiff_t)(b - first_cut) * s->n;
                /* the CRLB has no part in delta */
                d->gram[a][b] = d->gram[b][a] =
                    beam_row_inner(a == 1 || b == 1 ? s->gamma : s->n, va, vb);
            }
        }
    }
}

static double *new_row(beam_paper_direction *d)
{
    double *row = d->row[d->rows++];
    memset(row, 0, sizeof d->row[0]);
    return row;
}

static void add_cone_row(beam_paper *self, int j)
{
    const beam_preference own = beam_paper_preference(self->k, self->options.preferences);
    const beam_preference other = beam_paper_preference(j, self->options.preferences);
    double *row = new_row(&self->direction);
    row[0] = other.u1 - own.u1;
    row[1] = other.u2 - own.u2;
}

/* The two extreme ones of the active cone rows; returns how many were added. */
static int add_cone(beam_paper *self, const beam_paper_loss *loss, double threshold)
{
    int first, last;
    if (!self->counts[0] || !self->counts[1] || !isfinite(loss->q[1])) {
        return 0; /* one objective: its cone is the half-line */
    }
    beam_paper_cone(self->k, self->options.preferences, loss->q, threshold, &first, &last);
    if (first < 0) {
        return 0;
    }
    add_cone_row(self, first);
    if (last == first) {
        return 1;
    }
    add_cone_row(self, last);
    return 2;
}

int beam_paper_find_direction(beam_paper *self, const beam_paper_loss *loss, bool *feasibility)
{
    const beam_paper_space *s = &self->space;
    beam_paper_direction *d = &self->direction;
    const int L = s->p->L;
    const bool reach = has(self, BEAM_REPAIR_FEASIBLE_STEP);
    const double size = fmax(fabs(loss->q[0]), fabs(loss->q[1]));
    fill_gram(self);
    d->rows = 0;
    if (*feasibility && add_cone(self, loss, 1e-9 * size) == 0) {
        *feasibility = false;
    }
    if (!*feasibility) {
        for (int i = 0; i < 2; i++) {
            if (self->counts[i] && isfinite(loss->f[i])) {
                new_row(d)[i] = 1.0;
            }
        }
        add_cone(self, loss, reach ? -near_active * size : 0.0);
    }
    for (int l = 0; l < L; l++) {
        const double power = beam_paper_power(s, self->x, l);
        d->bound[l] = has(self, BEAM_REPAIR_BUDGET) && power >= 1.0 - at_budget;
        if (!has(self, BEAM_REPAIR_BUDGET) && power >= (reach ? 1.0 - near_active : 1.0)) {
            new_row(d)[2 + l] = 1.0;
        }
    }
    for (int c = 0; c < self->cuts.count; c++) {
        const double value = beam_paper_cut_value(&self->cuts, c, self->x);
        if (value >= (reach ? -near_active * fabs(self->cuts.offset[c]) : 0.0)) {
            new_row(d)[2 + L + c] = 1.0;
        }
    }
    if (d->rows == 0) { /* neither users nor targets that count: every point is optimal */
        memset(d->combo, 0, sizeof d->combo);
        memset(d->slope, 0, sizeof d->slope);
        d->norm2 = d->phi = 0.0;
        return 0;
    }
    return beam_paper_direction_solve(d, L);
}

/* step = sum combo_b base_b */
static void assemble(beam_paper *self)
{
    const beam_paper_space *s = &self->space;
    const beam_paper_direction *d = &self->direction;
    memset(self->step, 0, (size_t)s->n * sizeof *self->step);
    beam_row_add(s->n, d->combo[0], self->gradient[0], self->step);
    beam_row_add(s->gamma, d->combo[1], self->gradient[1], self->step);
    for (int l = 0; l < s->p->L; l++) {
        if (d->combo[2 + l] != 0.0) {
            beam_paper_power_add(s, self->x, l, d->combo[2 + l], self->step);
        }
    }
    for (int c = 0; c < self->cuts.count; c++) {
        const double k = d->combo[2 + s->p->L + c];
        if (k != 0.0) {
            beam_row_add(s->n, k, self->cuts.normal + (ptrdiff_t)c * s->n, self->step);
        }
    }
}

static void move(beam_paper *self, double eta)
{
    const beam_paper_space *s = &self->space;
    memcpy(self->trial, self->x, (size_t)s->n * sizeof *self->x);
    beam_row_add(s->n, eta, self->step, self->trial);
    for (int l = 0; l < s->p->L && has(self, BEAM_REPAIR_BUDGET); l++) {
        const double power = beam_paper_power(s, self->trial, l);
        if (power > 1.0) {
            beam_paper_scale_power(s, self->trial, l, power);
        }
    }
}

static double largest_cone(const beam_paper *self, const double *q)
{
    int first, last;
    return beam_paper_cone(self->k, self->options.preferences, q, 0.0, &first, &last);
}

/* Repair feasible-step: no constraint that held is broken, none that did not gets worse. */
static bool holds_constraints(const beam_paper *self, const beam_paper_loss *now,
                              const beam_paper_loss *next, bool feasibility)
{
    const beam_paper_space *s = &self->space;
    for (int l = 0; l < s->p->L; l++) {
        const double bound = fmax(1.0, beam_paper_power(s, self->x, l));
        if (beam_paper_power(s, self->trial, l) > bound + 1e-12) {
            return false;
        }
    }
    if (!feasibility && self->options.preferences > 1 && self->counts[0] && self->counts[1] &&
        isfinite(now->q[1])) {
        if (!(largest_cone(self, next->q) <= fmax(0.0, largest_cone(self, now->q)))) {
            return false;
        }
    }
    for (int c = 0; c < self->cuts.count; c++) {
        const double bound = fmax(0.0, beam_paper_cut_value(&self->cuts, c, self->x));
        if (beam_paper_cut_value(&self->cuts, c, self->trial) >
            bound + 1e-12 * fabs(self->cuts.offset[c])) {
            return false;
        }
    }
    return true;
}

/* (24) for both objectives; in the feasibility phase for the cone rows in the direction problem
 * instead. */
static bool sufficient(const beam_paper *self, const beam_paper_loss *now,
                       const beam_paper_loss *next, double eta, bool feasibility)
{
    const beam_paper_direction *d = &self->direction;
    const double share = self->options.armijo * eta;
    if (isnan(next->f[0]) || isnan(next->f[1])) {
        return false;
    }
    if (feasibility) {
        const beam_preference own = beam_paper_preference(self->k, self->options.preferences);
        int edge[2];
        const double size = fmax(fabs(now->q[0]), fabs(now->q[1]));
        beam_paper_cone(self->k, self->options.preferences, now->q, 1e-9 * size, &edge[0],
                        &edge[1]);
        for (int i = 0; i < 2; i++) {
            const beam_preference other = beam_paper_preference(edge[i], self->options.preferences);
            const double a = other.u1 - own.u1, b = other.u2 - own.u2;
            const double change = a * (next->q[0] - now->q[0]) + b * (next->q[1] - now->q[1]);
            if (!(change <= share * (a * d->slope[0] + b * d->slope[1]))) {
                return false;
            }
        }
        return true;
    }
    for (int i = 0; i < 2; i++) {
        if (self->counts[i] && isfinite(now->f[i]) &&
            !(next->f[i] <= now->f[i] + share * d->slope[i])) {
            return false;
        }
    }
    return true;
}

double beam_paper_take_step(beam_paper *self, const beam_paper_loss *now, bool feasibility)
{
    assemble(self);
    double eta = 1.0;
    for (int i = 0; i <= halvings; i++, eta *= 0.5) {
        move(self, eta);
        const beam_paper_loss next = beam_paper_loss_at(self, self->trial);
        if (sufficient(self, now, &next, eta, feasibility) &&
            (!has(self, BEAM_REPAIR_FEASIBLE_STEP) ||
             holds_constraints(self, now, &next, feasibility))) {
            double *x = self->x;
            self->x = self->trial;
            self->trial = x;
            return eta;
        }
    }
    return 0.0;
}
