/* P. Wolfe, "Finding the nearest point in a polytope", Mathematical Programming 11 (1976), on the
 * Gram matrix alone. */
#include "solver/min_norm.h"

#include <math.h>
#include <string.h>

/* Relative to the terms of the product: a row counts as improving the point only beyond rounding.
 */
static const double improvement = 4e-16;
/* A pivot below this share of its diagonal: the row depends affinely on the corral. */
static const double dependent = 1e-15;

typedef struct corral {
    int n, size;
    const double *gram;
    double shift;                     /* scale of the bordering e e^T: the least squared row */
    int row[BEAM_MIN_NORM_MAX];       /* which rows are in it */
    double weight[BEAM_MIN_NORM_MAX]; /* their weights, positive, sum 1 */
    double affine[BEAM_MIN_NORM_MAX]; /* weights of the least-norm point of the affine hull */
    double factor[BEAM_MIN_NORM_MAX * BEAM_MIN_NORM_MAX];
} corral;

/* Cholesky factor of G_S + shift e e^T, which is positive definite exactly when the rows of S are
 * affinely independent. Returns the position of the first dependent row, or -1. */
static int corral_factor(corral *c)
{
    for (int i = 0; i < c->size; i++) {
        double *fi = c->factor + i * BEAM_MIN_NORM_MAX;
        const double *gi = c->gram + c->row[i] * c->n;
        for (int j = 0; j <= i; j++) {
            const double *fj = c->factor + j * BEAM_MIN_NORM_MAX;
            double sum = gi[c->row[j]] + c->shift;
            for (int k = 0; k < j; k++) {
                sum -= fi[k] * fj[k];
            }
            if (j < i) {
                fi[j] = sum / fj[j];
            } else {
                if (!(sum > dependent * (gi[c->row[i]] + c->shift))) {
                    return i;
                }
                fi[i] = sqrt(sum);
            }
        }
    }
    return -1;
}

/* (G_S + shift e e^T) y = e, affine = y / e^T y. */
static void corral_affine(corral *c)
{
    double *y = c->affine, total = 0.0;
    for (int i = 0; i < c->size; i++) {
        double sum = 1.0;
        for (int k = 0; k < i; k++) {
            sum -= c->factor[i * BEAM_MIN_NORM_MAX + k] * y[k];
        }
        y[i] = sum / c->factor[i * BEAM_MIN_NORM_MAX + i];
    }
    for (int i = c->size - 1; i >= 0; i--) {
        double sum = y[i];
        for (int k = i + 1; k < c->size; k++) {
            sum -= c->factor[k * BEAM_MIN_NORM_MAX + i] * y[k];
        }
        y[i] = sum / c->factor[i * BEAM_MIN_NORM_MAX + i];
        total += y[i];
    }
    for (int i = 0; i < c->size; i++) {
        y[i] /= total;
    }
}

static void corral_drop(corral *c, int at)
{
    for (int i = at; i + 1 < c->size; i++) {
        c->row[i] = c->row[i + 1];
        c->weight[i] = c->weight[i + 1];
        c->affine[i] = c->affine[i + 1];
    }
    c->size--;
}

/* From the current weights towards the affine minimiser as far as the simplex reaches; rows whose
 * weight vanishes leave. Returns 1 when the affine minimiser itself was reached. */
static int corral_step(corral *c)
{
    double theta = 1.0;
    int leaving = -1;
    for (int i = 0; i < c->size; i++) {
        if (c->affine[i] <= 0.0) {
            const double t = c->weight[i] / (c->weight[i] - c->affine[i]);
            if (leaving < 0 || t < theta) {
                theta = t;
                leaving = i;
            }
        }
    }
    for (int i = 0; i < c->size; i++) {
        c->weight[i] += theta * (c->affine[i] - c->weight[i]);
    }
    if (leaving < 0) {
        return 1;
    }
    c->weight[leaving] = 0.0;
    for (int i = c->size - 1; i >= 0; i--) {
        if (c->weight[i] <= 0.0 && c->size > 1) {
            corral_drop(c, i);
        }
    }
    return 0;
}

/* Moves to the least-norm point of the corral's hull; each round drops a row, so it ends. */
static void corral_settle(corral *c)
{
    for (;;) {
        const int bad = corral_factor(c);
        if (bad >= 0) {
            /* Affinely dependent up to rounding: the row adds nothing. Its weight is what the
             * others lose. */
            const double weight = c->weight[bad];
            corral_drop(c, bad);
            for (int i = 0; i < c->size; i++) {
                c->weight[i] /= 1.0 - weight < 1.0 && weight < 1.0 ? 1.0 - weight : 1.0;
            }
            continue;
        }
        corral_affine(c);
        if (corral_step(c)) {
            return;
        }
    }
}

/* products[i] = (G lambda)_i; returns the row with the least, and the size of the terms in its sum.
 */
static int least_product(const corral *c, double *products, double *norm2, double *terms)
{
    int least = 0;
    *norm2 = 0.0;
    *terms = 0.0;
    for (int i = 0; i < c->n; i++) {
        double size = 0.0;
        products[i] = 0.0;
        for (int k = 0; k < c->size; k++) {
            const double term = c->gram[i * c->n + c->row[k]] * c->weight[k];
            products[i] += term;
            size += fabs(term);
        }
        if (i == 0 || products[i] < products[least]) {
            least = i;
            *terms = size;
        }
    }
    for (int k = 0; k < c->size; k++) {
        *norm2 += c->weight[k] * products[c->row[k]];
    }
    return least;
}

static int in_corral(const corral *c, int row)
{
    for (int i = 0; i < c->size; i++) {
        if (c->row[i] == row) {
            return 1;
        }
    }
    return 0;
}

static void publish(const corral *c, double *lambda)
{
    memset(lambda, 0, (size_t)c->n * sizeof *lambda);
    double total = 0.0;
    for (int i = 0; i < c->size; i++) {
        total += c->weight[i];
    }
    for (int i = 0; i < c->size; i++) {
        lambda[c->row[i]] = c->weight[i] / total;
    }
}

int beam_min_norm(int n, const double *gram, double *lambda, beam_min_norm_result *result)
{
    if (n < 1 || n > BEAM_MIN_NORM_MAX) {
        return -1;
    }
    corral c = {.n = n, .gram = gram, .size = 1, .weight = {1.0}};
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            if (!isfinite(gram[i * n + j])) {
                return -1;
            }
        }
        c.row[0] = gram[i * n + i] < gram[c.row[0] * n + c.row[0]] ? i : c.row[0];
    }
    /* Cholesky does not mind rows of very different length, but a large border would swallow the
     * short ones. */
    c.shift = gram[c.row[0] * n + c.row[0]];
    double products[BEAM_MIN_NORM_MAX], norm2 = 0.0, best = INFINITY, terms = 0.0;
    int least = c.row[0], entered = 0;
    publish(&c, lambda);
    *result = (beam_min_norm_result){0};
    /* The norm falls strictly while the arithmetic resolves it; 8n rounds are far more than Wolfe's
     * method takes. */
    for (int round = 0; round < 8 * BEAM_MIN_NORM_MAX; round++) {
        least = least_product(&c, products, &norm2, &terms);
        if (norm2 < best) {
            best = norm2;
            publish(&c, lambda);
            result->norm2 = fmax(norm2, 0.0);
            result->gap = fmax(norm2 - products[least], 0.0);
        } else {
            break; /* rounding level */
        }
        if (norm2 - products[least] <= improvement * (terms + norm2) || in_corral(&c, least) ||
            c.size == BEAM_MIN_NORM_MAX) {
            break;
        }
        c.row[c.size] = least;
        c.weight[c.size] = 0.0;
        c.size++;
        entered++;
        corral_settle(&c);
    }
    result->iterations = entered;
    return 0;
}
