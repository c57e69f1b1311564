/* Cramer-Rao bound on the target positions: constants of a scene and the resolved model (MATH 3).
 */
#include "model/crlb.h"

#include <math.h>
#include <string.h>

static const double light_m_per_s = 299792458.0;
static const double pi = 3.14159265358979323846;

/* A 2x2 information matrix counts as singular when det <= this times its squared trace. */
static const double singular = 1e-14;

void beam_crlb_carve(beam_crlb *c, beam_arena *arena, int L, int J)
{
    const size_t links = (size_t)(L * J), square = (size_t)(4 * J * J);
    c->L = L;
    c->J = J;
    c->kappa = BEAM_TAKE(arena, double, L);
    c->g = BEAM_TAKE(arena, double, 2 * links);
    c->tau_s = BEAM_TAKE(arena, double, links);
    c->q = BEAM_TAKE(arena, double, 2 * links);
    c->P0 = BEAM_TAKE(arena, double, 4 * links);
    c->P2 = BEAM_TAKE(arena, double, 4 * links);
    c->snr_gain = BEAM_TAKE(arena, double, links);
    c->x0_guard = BEAM_TAKE(arena, double, L);
    c->reflection = BEAM_TAKE(arena, beam_complex, links * (size_t)L);
    c->rx = BEAM_TAKE(arena, beam_complex, (size_t)L * square);
    c->scratch_size = beam_crlb_coupled_scratch(L, J);
    c->scratch = BEAM_TAKE(arena, unsigned char, c->scratch_size);
}

/* g = grad omega, tau and its gradient for station l and target j; returns omega. */
static double load_direction(beam_crlb *c, const beam_scene *scene, int l, int j)
{
    const double *station = scene->station_position_m + 2 * l;
    const double *target = scene->target_position_m + 2 * j;
    const double ux = target[0] - station[0], uy = target[1] - station[1];
    const double ex = cos(scene->station_axis_rad[l]), ey = sin(scene->station_axis_rad[l]);
    const double r = hypot(ux, uy), nx = ux / r, ny = uy / r;
    const double along = nx * ex + ny * ey; /* cosine to the array axis */
    const int at = l * c->J + j;
    c->g[2 * at] = pi / r * (ex - nx * along);
    c->g[2 * at + 1] = pi / r * (ey - ny * along);
    c->tau_s[at] = r / light_m_per_s;
    c->q[2 * at] = nx / light_m_per_s;
    c->q[2 * at + 1] = ny / light_m_per_s;
    return pi * along;
}

/* rx_m[p][q] = t_p^H t_q for t = a(p_0), D a(p_0), ...: sums of nu^k exp(i nu (omega_j' -
 * omega_j)). */
static void load_receive_gram(beam_crlb *c, int m, const double *omega)
{
    const int J = c->J, n2 = 2 * J;
    beam_complex *rx = c->rx + (size_t)m * (size_t)(n2 * n2);
    for (int j = 0; j < J; j++) {
        for (int k = 0; k < J; k++) {
            double re[3] = {0}, im[3] = {0};
            for (int n = 0; n < c->N; n++) {
                const double nu = n - 0.5 * (c->N - 1), phase = nu * (omega[k] - omega[j]);
                const double cs = cos(phase), sn = sin(phase);
                re[0] += cs;
                im[0] += sn;
                re[1] += nu * cs;
                im[1] += nu * sn;
                re[2] += nu * nu * cs;
                im[2] += nu * nu * sn;
            }
            for (int p = 0; p < 2; p++) {
                for (int q = 0; q < 2; q++) {
                    rx[(2 * j + p) * n2 + 2 * k + q] = (beam_complex){re[p + q], im[p + q]};
                }
            }
        }
    }
}

/* P0 = N V sum_m kappa_m |alpha|^2 g_m g_m^T, P2 = N (sum_m kappa_m |alpha|^2) g_l g_l^T. */
static void load_information(beam_crlb *c, int l, int j)
{
    const int at = l * c->J + j;
    double *P0 = c->P0 + 4 * at, *P2 = c->P2 + 4 * at;
    const double *gl = c->g + 2 * at;
    double total = 0;
    memset(P0, 0, 4 * sizeof *P0);
    for (int m = 0; m < c->L; m++) {
        const beam_complex alpha = c->reflection[at * c->L + m];
        const double k = c->kappa[m] * (alpha.re * alpha.re + alpha.im * alpha.im) * c->N;
        const double *gm = c->g + 2 * (m * c->J + j);
        total += k;
        P0[0] += c->V * k * gm[0] * gm[0];
        P0[1] += c->V * k * gm[0] * gm[1];
        P0[3] += c->V * k * gm[1] * gm[1];
    }
    P0[2] = P0[1];
    P2[0] = total * gl[0] * gl[0];
    P2[1] = P2[2] = total * gl[0] * gl[1];
    P2[3] = total * gl[1] * gl[1];
    c->snr_gain[at] = 0.5 * total;
}

/* Whether any waveform locates target j: the information of isotropic transmission, X0 = N, S = N
 * V, has rank 2. With a band the delays add kappa |alpha|^2 N X0 (2 pi B)^2/12 q q^T, q the
 * gradient of the delay of the link. */
static beam_target_state geometry_state(const beam_crlb *c, int j)
{
    const double w = 2 * pi * c->bandwidth_hz;
    const double delay = c->model == BEAM_SENSING_BAND ? w * w / 12 : 0;
    double xx = 0, xy = 0, yy = 0;
    for (int l = 0; l < c->L; l++) {
        const int at = l * c->J + j;
        const double *P0 = c->P0 + 4 * at, *P2 = c->P2 + 4 * at;
        xx += P0[0] + c->V * P2[0];
        xy += P0[1] + c->V * P2[1];
        yy += P0[3] + c->V * P2[3];
        for (int m = 0; m < c->L; m++) {
            const beam_complex alpha = c->reflection[at * c->L + m];
            const double k =
                delay * c->kappa[m] * (alpha.re * alpha.re + alpha.im * alpha.im) * c->N;
            const double qx = c->q[2 * at] + c->q[2 * (m * c->J + j)];
            const double qy = c->q[2 * at + 1] + c->q[2 * (m * c->J + j) + 1];
            xx += k * qx * qx;
            xy += k * qx * qy;
            yy += k * qy * qy;
        }
    }
    const double tr = xx + yy, det = xx * yy - xy * xy;
    return tr > 0 && det > singular * tr * tr ? BEAM_TARGET_OK
                                              : BEAM_TARGET_UNIDENTIFIABLE_GEOMETRY;
}

void beam_crlb_load(beam_crlb *c, const beam_scene *scene)
{
    const int L = c->L, J = c->J, N = scene->dims.antennas;
    c->N = N;
    c->model = scene->sensing;
    c->bandwidth_hz = scene->sensing == BEAM_SENSING_BAND ? scene->bandwidth_hz : 0;
    c->V = ((double)N * N - 1) / 12;
    c->skip_unidentifiable = scene->skip_unidentifiable;
    for (int l = 0; l < L; l++) {
        const double root = sqrt(scene->station_power_w[l]);
        double omega[BEAM_MAX_TARGETS];
        c->kappa[l] = 2 * scene->snapshots / scene->station_echo_noise_w[l];
        c->x0_guard[l] = 1e-12 * N;
        for (int j = 0; j < J; j++) {
            omega[j] = load_direction(c, scene, l, j);
        }
        for (int k = 0; k < J * L; k++) {
            const beam_complex alpha = scene->reflection[l * J * L + k];
            c->reflection[l * J * L + k] = (beam_complex){root * alpha.re, root * alpha.im};
        }
        if (c->model != BEAM_SENSING_RESOLVED) {
            load_receive_gram(c, l, omega);
        }
    }
    for (int l = 0; l < L; l++) {
        for (int j = 0; j < J; j++) {
            load_information(c, l, j);
        }
    }
    c->counted = 0;
    for (int j = 0; j < J; j++) {
        c->geometry[j] = geometry_state(c, j);
        c->counted += c->geometry[j] == BEAM_TARGET_OK || !c->skip_unidentifiable;
    }
}

/* What station l sends towards one target: X0 = a^H R a, z = X1/X0, S = b^H R b with b = D a - z a.
 */
struct beam_lighting {
    double X0, S, zr, zi;
    bool lit;
};

static inline struct beam_lighting lighting(const beam_complex *block, int n2, double guard)
{
    struct beam_lighting v = {.X0 = block[0].re};
    v.lit = v.X0 > guard;
    if (v.lit) {
        const double scale = 1 / v.X0;
        v.zr = block[1].re * scale;
        v.zi = block[1].im * scale;
        /* a difference of like numbers where R is close to rank one: not below zero */
        v.S = fmax(block[n2 + 1].re - v.X0 * (v.zr * v.zr + v.zi * v.zi), 0);
    }
    return v;
}

/* Bound of target j; with T the 2x2 diagonal blocks of all stations: r0 a a^H + r2 b b^H. */
static double resolved_target(const beam_crlb *c, const beam_complex *gram, beam_complex *T, int j)
{
    const int L = c->L, n2 = 2 * c->J;
    const size_t block = (size_t)(2 * j * (n2 + 1)), square = (size_t)(n2 * n2);
    struct beam_lighting light[BEAM_MAX_STATIONS];
    double xx = 0, xy = 0, yy = 0;
    for (int l = 0; l < L; l++) {
        const double *P0 = c->P0 + 4 * (l * c->J + j), *P2 = c->P2 + 4 * (l * c->J + j);
        light[l] = lighting(gram + (size_t)l * square + block, n2, c->x0_guard[l]);
        xx += light[l].X0 * P0[0] + light[l].S * P2[0];
        xy += light[l].X0 * P0[1] + light[l].S * P2[1];
        yy += light[l].X0 * P0[3] + light[l].S * P2[3];
    }
    const double tr = xx + yy, det = xx * yy - xy * xy;
    if (tr <= 0 || det <= singular * tr * tr) {
        return INFINITY;
    }
    if (T) {
        /* W = J^-2; the square of det may overflow */
        const double i00 = yy / det, i01 = -xy / det, i11 = xx / det;
        const double w00 = i00 * i00 + i01 * i01, w01 = i01 * (i00 + i11),
                     w11 = i11 * i11 + i01 * i01;
        for (int l = 0; l < L; l++) {
            const double *P0 = c->P0 + 4 * (l * c->J + j), *P2 = c->P2 + 4 * (l * c->J + j);
            const double r0 = w00 * P0[0] + 2 * w01 * P0[1] + w11 * P0[3];
            const double r2 = light[l].lit ? w00 * P2[0] + 2 * w01 * P2[1] + w11 * P2[3] : 0;
            const double zr = light[l].zr, zi = light[l].zi;
            beam_complex *t = T + (size_t)l * square + block;
            t[0].re = r0 + r2 * (zr * zr + zi * zi);
            t[1] = (beam_complex){-r2 * zr, -r2 * zi};
            t[n2] = (beam_complex){-r2 * zr, r2 * zi};
            t[n2 + 1].re = r2;
        }
    }
    return tr / det;
}

double beam_crlb_value(beam_crlb *c, const beam_complex *gram, beam_complex *T, double *target_crlb)
{
    if (c->model != BEAM_SENSING_RESOLVED) {
        return beam_crlb_coupled_value(c, gram, T, target_crlb);
    }
    const size_t all = (size_t)(4 * c->L * c->J * c->J);
    double sum = 0;
    if (T) {
        memset(T, 0, all * sizeof *T);
    }
    for (int j = 0; j < c->J; j++) {
        const bool located = c->geometry[j] == BEAM_TARGET_OK;
        const double bound = located ? resolved_target(c, gram, T, j) : INFINITY;
        if (located || !c->skip_unidentifiable) {
            sum += bound;
        }
        if (target_crlb) {
            target_crlb[j] = bound;
        }
    }
    if (T && isinf(sum)) {
        memset(T, 0, all * sizeof *T);
    }
    return sum;
}
