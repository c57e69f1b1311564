/* The lower level of Algorithm 1: K_GD gradient steps on the augmented Lagrangian of the linearised
 * worst-case problem (15), the map phi(gamma) (16), its gap g (17) and the gradient of g by a
 * reverse sweep over the steps.
 *
 * Per link, with delta in its units and radius e: constraint c = |delta|^2 - e^2 <= 0 (repair ball)
 * or, as printed, c = |delta| + zeta^2 - e = 0. Step k, m_k = max(0, y_k + rho c_k) or y_k + rho
 * c_k: delta_{k+1} = delta_k - rate (dW~/ddelta + m_k dc/ddelta),   zeta_{k+1} = zeta_k - (rate/e)
 * m_k 2 zeta_k, y_{k+1} = y_k + rho c_{k+1} (ball: its positive part). The text gives neither step
 * size nor penalty nor start of zeta. Here zeta_0^2 = e, so that c = 0 at delta = 0; sizes in
 * linearise(). All depend on gamma_bar alone, so that phi is affine in gamma for K_GD = 1 (Theorem
 * 1). */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/paper_internal.h"

/* First step as a share of the radius: one step goes all the way, many share it. In the ball form
 * 0.5 and the penalty 0.25 damp the alternation of step and multiplier best (both eigenvalues of
 * the linearised iteration have modulus 0.71): on the golden fronts 20 steps find 99 % of the true
 * loss. The slack form, whose zeta step is unstable beyond m rate/e = 1, needs smaller steps and
 * finds less. */
static const double share_one = 1.0, share_many = 0.5, share_slack = 0.15, penalty = 0.25;

void beam_paper_lower_carve(beam_paper_lower *w, beam_arena *arena, const beam_paper_space *s,
                            int steps)
{
    const size_t links = (size_t)(s->p->L * s->p->U), path = (size_t)steps + 1;
    w->steps = steps;
    w->gamma_bar = BEAM_TAKE(arena, double, s->gamma);
    w->rate = BEAM_TAKE(arena, double, links);
    w->rho = BEAM_TAKE(arena, double, links);
    w->path = BEAM_TAKE(arena, double, path *(size_t)s->delta);
    w->zeta = BEAM_TAKE(arena, double, path *links);
    w->y = BEAM_TAKE(arena, double, path *links);
    w->gradient = BEAM_TAKE(arena, double, s->delta);
    w->image = BEAM_TAKE(arena, double, s->delta);
    w->adjoint = BEAM_TAKE(arena, double, s->delta);
    w->pull = BEAM_TAKE(arena, double, s->delta);
    w->along = BEAM_TAKE(arena, double, s->gamma);
    w->cross = BEAM_TAKE(arena, double, s->gamma);
    w->step_cross = BEAM_TAKE(arena, double, s->gamma);
    w->link_adjoint = BEAM_TAKE(arena, double, 2 * links);
}

/* rate = t e/G and rho = penalty G/e (ball: G/e^3), G the larger gradient norm at delta = 0 and one
 * radius down the slope: at a null of the beams the gradient at 0 says nothing about the slope
 * inside the ball. Without repair units one rate serves all links, the least, and rho = 1/e^2
 * (ball: 1/e^4). */
void beam_paper_lower_linearise(beam_paper_lower *w, beam_paper_rate *r, const beam_paper_space *s,
                                const double *gamma)
{
    const int links = s->p->L * s->p->U, stride = s->p->stride;
    const double share = w->steps == 1 ? share_one : (w->ball ? share_many : share_slack);
    memcpy(w->gamma_bar, gamma, (size_t)s->gamma * sizeof *gamma);
    beam_paper_rate_value(r, s, gamma, NULL);
    beam_paper_rate_gradient(r, s, gamma, NULL, w->gradient);
    double least = INFINITY;
    for (int i = 0; i < links; i++) {
        const double *g = w->gradient + (ptrdiff_t)i * stride, e = s->radius[i];
        const double norm = sqrt(beam_row_norm2(stride, g));
        w->rate[i] = norm; /* the norm for now */
        memset(w->pull + (ptrdiff_t)i * stride, 0, (size_t)stride * sizeof *g);
        if (norm > 0.0) {
            beam_row_add(stride, -e / norm, g, w->pull + (ptrdiff_t)i * stride);
        }
    }
    if (w->steps > 1) {
        beam_paper_rate_value(r, s, gamma, w->pull);
        beam_paper_rate_gradient(r, s, gamma, NULL, w->gradient);
    }
    for (int i = 0; i < links; i++) {
        const double e = s->radius[i];
        const double probe = sqrt(beam_row_norm2(stride, w->gradient + (ptrdiff_t)i * stride));
        const double norm = fmax(w->rate[i], probe);
        const double scale = w->ball ? 1.0 / (e * e) : 1.0;
        w->rate[i] = w->rho[i] = 0.0;
        if (norm > 0.0 && e > 0.0) {
            w->rate[i] = share * e / norm;
            w->rho[i] = (w->normalised ? penalty * norm / e : 1.0 / (e * e)) * scale;
            const double stable =
                w->ball ? e * e / 8.0 : e * e / 2.0; /* against the curvature of rho c^2/2 */
            least = fmin(least, w->steps > 1 ? fmin(w->rate[i], stable) : w->rate[i]);
        }
    }
    for (int i = 0; i < links && !w->normalised; i++) {
        w->rate[i] = w->rate[i] > 0.0 ? least : 0.0;
    }
}

/* c at delta' and zeta. */
static double constraint(const beam_paper_lower *w, const beam_paper_space *s, int link,
                         const double *delta, double zeta)
{
    const double norm2 = beam_row_norm2(s->p->stride, delta), e = s->radius[link];
    return w->ball ? norm2 - e * e : sqrt(norm2) + zeta * zeta - e;
}

/* dc/ddelta = factor * delta. */
static double slope_factor(const beam_paper_lower *w, double norm2)
{
    return w->ball ? 2.0 : (norm2 > 0.0 ? 1.0 / sqrt(norm2) : 0.0);
}

static double effective(const beam_paper_lower *w, double y, double rho, double c)
{
    const double m = y + rho * c;
    return w->ball ? fmax(m, 0.0) : m;
}

static void step_link(beam_paper_lower *w, const beam_paper_space *s, int k, int link)
{
    const int stride = s->p->stride, links = s->p->L * s->p->U;
    const ptrdiff_t at = (ptrdiff_t)k * s->delta + (ptrdiff_t)link * stride;
    const double *d = w->path + at, *g = w->gradient + (ptrdiff_t)link * stride;
    double *next = w->path + at + s->delta;
    const ptrdiff_t i = (ptrdiff_t)k * links + link;
    const double zeta = w->zeta[i], y = w->y[i], rho = w->rho[link], rate = w->rate[link];
    memcpy(next, d, (size_t)stride * sizeof *d);
    if (rate == 0.0) { /* radius 0 or no influence: delta' stays 0 */
        w->zeta[i + links] = zeta;
        w->y[i + links] = y;
        return;
    }
    const double m = effective(w, y, rho, constraint(w, s, link, d, zeta));
    beam_row_add(stride, -rate, g, next);
    beam_row_add(stride, -rate * m * slope_factor(w, beam_row_norm2(stride, d)), d, next);
    w->zeta[i + links] = zeta - rate / s->radius[link] * m * 2.0 * zeta;
    w->y[i + links] = effective(w, y, rho, constraint(w, s, link, next, w->zeta[i + links]));
}

const double *beam_paper_lower_map(beam_paper_lower *w, beam_paper_rate *r,
                                   const beam_paper_space *s, const double *gamma)
{
    const int links = s->p->L * s->p->U;
    bool away = false;
    for (int i = 0; i < s->gamma; i++) {
        w->along[i] = gamma[i] - w->gamma_bar[i];
        away = away || w->along[i] != 0.0;
    }
    memset(w->path, 0, (size_t)s->delta * sizeof *w->path);
    for (int i = 0; i < links; i++) {
        w->zeta[i] = sqrt(s->radius[i]);
        w->y[i] = 0.0;
    }
    for (int k = 0; k < w->steps; k++) {
        beam_paper_rate_value(r, s, w->gamma_bar, w->path + (ptrdiff_t)k * s->delta);
        beam_paper_rate_gradient(r, s, w->gamma_bar, NULL, w->gradient);
        if (away) { /* d/ddelta' of the linear term */
            beam_paper_rate_hessian(r, s, w->gamma_bar, w->along, NULL, NULL, w->image);
            beam_row_add(s->delta, 1.0, w->image, w->gradient);
        }
        for (int i = 0; i < links; i++) {
            step_link(w, s, k, i);
        }
    }
    return w->path + (ptrdiff_t)w->steps * s->delta;
}

/* Adjoint of the multiplier update and of the penalty term of step k for one link: on entry adjoint
 * holds d/ddelta_{k+1} and (zeta, y) the adjoints of zeta_{k+1}, y_{k+1}; on return pull = -rate
 * d/ddelta_{k+1} (what multiplies the rate gradient) and adjoint, zeta, y those of step k but for
 * the Hessian of the rate. */
static void pull_link(beam_paper_lower *w, const beam_paper_space *s, int k, int link, double *az,
                      double *ay)
{
    const int stride = s->p->stride, links = s->p->L * s->p->U;
    const double *d = w->path + (ptrdiff_t)k * s->delta + (ptrdiff_t)link * stride,
                 *next = d + s->delta;
    double *a = w->adjoint + (ptrdiff_t)link * stride, *mu = w->pull + (ptrdiff_t)link * stride;
    const ptrdiff_t i = (ptrdiff_t)k * links + link;
    const double rho = w->rho[link], rate = w->rate[link], zeta = w->zeta[i],
                 zeta_next = w->zeta[i + links];
    memset(mu, 0, (size_t)stride * sizeof *mu);
    if (rate == 0.0) {
        memset(a, 0, (size_t)stride * sizeof *a);
        return;
    }
    if (w->ball && w->y[i + links] <= 0.0) {
        *ay = 0.0;
    } else { /* y_{k+1} = y_k + rho c(delta_{k+1}, zeta_{k+1}) */
        beam_row_add(stride, *ay * rho * slope_factor(w, beam_row_norm2(stride, next)), next, a);
        *az += w->ball ? 0.0 : *ay * rho * 2.0 * zeta_next;
    }
    beam_row_add(stride, -rate, a, mu);
    const double norm2 = beam_row_norm2(stride, d), factor = slope_factor(w, norm2);
    const double m = effective(w, w->y[i], rho, constraint(w, s, link, d, zeta));
    if (w->ball && m <= 0.0) {
        return;
    }
    const double along = beam_row_inner(stride, mu, d),
                 nu = w->ball ? 0.0 : -rate / s->radius[link] * *az;
    /* adjoint of m_k through both steps, then of the second derivative of c */
    const double am = factor * along + 2.0 * zeta * nu;
    beam_row_add(stride, m * factor, mu, a);
    if (!w->ball && norm2 > 0.0) {
        beam_row_add(stride, -m * factor * along / norm2, d, a);
    }
    beam_row_add(stride, am * rho * factor, d, a);
    if (!w->ball) {
        *az += 2.0 * m * nu + am * rho * 2.0 * zeta;
    }
    *ay += am;
}

/* cross = (dphi/dgamma)^T adjoint at gamma_bar. */
static void reverse(beam_paper_lower *w, beam_paper_rate *r, const beam_paper_space *s)
{
    const int links = s->p->L * s->p->U;
    double *az = w->link_adjoint, *ay = w->link_adjoint + links;
    memset(az, 0, 2u * (size_t)links * sizeof *az);
    memset(w->cross, 0, (size_t)s->gamma * sizeof *w->cross);
    for (int k = w->steps - 1; k >= 0; k--) {
        for (int i = 0; i < links; i++) {
            pull_link(w, s, k, i, &az[i], &ay[i]);
        }
        beam_paper_rate_value(r, s, w->gamma_bar, w->path + (ptrdiff_t)k * s->delta);
        beam_paper_rate_hessian(r, s, w->gamma_bar, NULL, w->pull, w->step_cross,
                                k > 0 ? w->image : NULL);
        beam_row_add(s->gamma, 1.0, w->step_cross, w->cross);
        if (k > 0) {
            beam_row_add(s->delta, 1.0, w->image, w->adjoint);
        }
    }
}

double beam_paper_lower_gap(beam_paper_lower *w, beam_paper_rate *r, const beam_paper_space *s,
                            const double *x, double *gradient)
{
    const double *phi = beam_paper_lower_map(w, r, s, x), *delta = x + s->gamma;
    for (int i = 0; i < s->delta; i++) {
        w->adjoint[i] = delta[i] - phi[i];
    }
    const double gap = beam_row_norm2(s->delta, w->adjoint);
    if (gradient) {
        for (int i = 0; i < s->delta; i++) {
            gradient[s->gamma + i] = 2.0 * w->adjoint[i];
        }
        reverse(w, r, s);
        for (int i = 0; i < s->gamma; i++) {
            gradient[i] = -2.0 * w->cross[i];
        }
    }
    return gap;
}
