/* Direction (22): min over d of max_rows row^T d + |d|^2/2, through its dual, the least-norm point
 * of the rows' hull.
 *
 * Repair budget: a station at its budget is held by scaling, which to first order takes nothing
 * from a step along the sphere of constant power. So (22) gets the constraint dp_l^T d <= 0 there
 * instead of a row; where it binds, the rows are projected on its tangent. Power gradients of
 * different stations are orthogonal, which makes this exact. */
#include <math.h>
#include <string.h>

#include "solver/paper_internal.h"

beam_preference beam_paper_preference(int k, int count)
{
    return beam_preference_from_tradeoff(count > 1 ? (double)k / (double)(count - 1) : 0.5);
}

double beam_paper_cone(int k, int count, const double *q, double threshold, int *first, int *last)
{
    const beam_preference own = beam_paper_preference(k, count);
    double largest = -INFINITY;
    *first = *last = -1;
    for (int j = 0; j < count; j++) {
        const beam_preference other = beam_paper_preference(j, count);
        if (j == k) {
            continue;
        }
        const double value = (other.u1 - own.u1) * q[0] + (other.u2 - own.u2) * q[1];
        largest = fmax(largest, value);
        if (value >= threshold) {
            *first = *first < 0 ? j : *first;
            *last = j;
        }
    }
    return largest;
}

/* Rows projected on the tangent of the held budgets, in base coordinates. */
static void project_rows(const beam_paper_direction *d, int stations,
                         double row[][BEAM_PAPER_MAX_ROWS])
{
    for (int i = 0; i < d->rows; i++) {
        memcpy(row[i], d->row[i], sizeof row[i]);
        for (int l = 0; l < stations; l++) {
            const int b = 2 + l;
            if (!d->held[l] || !(d->gram[b][b] > 0.0)) {
                continue;
            }
            double along = 0.0;
            for (int c = 0; c < d->base; c++) {
                along += d->row[i][c] * d->gram[c][b];
            }
            row[i][b] -= along / d->gram[b][b];
        }
    }
}

static int solve_once(beam_paper_direction *d, int stations)
{
    double row[BEAM_PAPER_MAX_ROWS][BEAM_PAPER_MAX_ROWS], image[BEAM_PAPER_MAX_ROWS];
    double gram[BEAM_PAPER_MAX_ROWS * BEAM_PAPER_MAX_ROWS], lambda[BEAM_PAPER_MAX_ROWS];
    project_rows(d, stations, row);
    for (int i = 0; i < d->rows; i++) {
        for (int b = 0; b < d->base; b++) {
            image[b] = 0.0;
            for (int c = 0; c < d->base; c++) {
                image[b] += d->gram[b][c] * row[i][c];
            }
        }
        for (int j = 0; j < d->rows; j++) {
            double sum = 0.0;
            for (int b = 0; b < d->base; b++) {
                sum += row[j][b] * image[b];
            }
            gram[i * d->rows + j] = sum;
        }
    }
    beam_min_norm_result result;
    if (beam_min_norm(d->rows, gram, lambda, &result)) {
        return -1;
    }
    memset(d->combo, 0, sizeof d->combo);
    for (int i = 0; i < d->rows; i++) {
        for (int b = 0; b < d->base; b++) {
            d->combo[b] -= lambda[i] * row[i][b];
        }
    }
    for (int b = 0; b < d->base; b++) {
        d->slope[b] = 0.0;
        for (int c = 0; c < d->base; c++) {
            d->slope[b] += d->gram[b][c] * d->combo[c];
        }
    }
    d->norm2 = result.norm2;
    d->phi = -(result.norm2 - result.gap);
    return 0;
}

int beam_paper_direction_solve(beam_paper_direction *d, int stations)
{
    memset(d->held, 0, sizeof d->held);
    /* Active set over the stations: hold where d leaves the budget, release where the multiplier is
     * negative. */
    for (int round = 0; round < 2 * stations + 2; round++) {
        if (solve_once(d, stations)) {
            return -1;
        }
        bool changed = false;
        for (int l = 0; l < stations; l++) {
            const int b = 2 + l;
            if (d->bound[l] && !d->held[l] &&
                d->slope[b] > 1e-14 * sqrt(d->norm2 * d->gram[b][b])) {
                d->held[l] = changed = true;
            } else if (d->held[l] && d->combo[b] > 0.0 && round < stations + 1) {
                d->held[l] = false; /* combo_b = -mu_l */
                changed = true;
            }
        }
        if (!changed) {
            break;
        }
    }
    return 0;
}
