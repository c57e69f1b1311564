/* A front of solutions (MATH 5): scan the trade-offs in both directions, warm-starting each from
 * its neighbour, then place the requested number of points where they gain hypervolume and solve
 * each from the best point at hand. */
#include <math.h>
#include <string.h>

#include "solver/solver_internal.h"

static const double forward_stages[] = {0.1, 0.03, 0.01};
static const double restart_stages[] = {1.0, 0.3, 0.1, 0.03, 0.01};
static const double final_stages[] = {0.03, 0.01};
enum { RESTART_EVERY = 3 }; /* scan points that are also tried from the classical design */
static const double final_tolerance = 0.1; /* of the option: every point of these is kept */

static double tradeoff_of(double f1, double f2)
{
    return atan2(f1 > 0.0 ? f1 : 0.0, f2 > 0.0 ? f2 : 0.0) / M_PI_2;
}

typedef struct front_context {
    beam_solver *s;
    beam_progress *progress;
    void *progress_arg;
    int done, total;
} front_context;

static void tick(front_context *c)
{
    c->done++;
    if (c->progress) {
        c->progress(c->progress_arg, c->done, c->total);
    }
}

/* Denser towards the ends, where a small turn of the ray moves far along the front. */
static double scan_tradeoff(int i)
{
    return 0.5 - 0.5 * cos(M_PI * (double)i / (double)(BEAM_FRONT_SCAN - 1));
}

/* Descends from `start` at scan trade-off i and keeps the result when it beats what the pool holds
 * there. */
static bool scan_point(front_context *c, int i, const double *start, const double *stages,
                       int count)
{
    beam_solver *s = c->s;
    const beam_preference u = beam_preference_from_tradeoff(scan_tradeoff(i));
    beam_result r = {0};
    beam_solver_set_preference(s, u);
    const beam_status status = beam_solver_descend(s, stages, count, s->options.max_iterations,
                                                   s->options.tolerance, start, &s->candidate, &r);
    if (status != BEAM_STATUS_NUMERIC &&
        (s->pool[i].wsr < 0.0 || beam_solver_point_merit(s, u, &s->candidate) <
                                     beam_solver_point_merit(s, u, &s->pool[i]))) {
        beam_solver_copy_point(s, &s->pool[i], &s->candidate);
    }
    tick(c);
    return status != BEAM_STATUS_TIME_LIMIT;
}

static void scan(front_context *c)
{
    beam_solver *s = c->s;
    const int last = BEAM_FRONT_SCAN - 1;
    for (int i = 0; i <= last; i++) {
        s->pool[i].wsr = -1.0; /* a point that is never found is still its neighbour's start */
        memcpy(s->pool[i].x, s->sensing, beam_solver_point_bytes(s));
    }
    if (s->have_rate_point) {
        beam_solver_copy_point(s, &s->pool[0], &s->rate_end);
    }
    memcpy(s->pool[last].x, s->sensing, beam_solver_point_bytes(s));
    (void)beam_solver_measure(s, &s->pool[last]);
    for (int i = 1; i <= last;
         i++) { /* the last too: the bare sensing end has no beams to grow from */
        if (!scan_point(c, i, s->pool[i - 1].x, forward_stages, 3)) {
            return;
        }
    }
    for (int i = 1; i < last; i += RESTART_EVERY) { /* other users may deserve a beam here */
        const double share = beam_solver_classical_point(
            s, beam_preference_from_tradeoff(scan_tradeoff(i)), &s->spare);
        memcpy(s->spare.x, s->unit, beam_solver_point_bytes(s));
        beam_classical_compose(&s->problem, s->spare.x, beam_solver_start_share(share), s->spare.x);
        if (!scan_point(c, i, s->spare.x, restart_stages, 5)) {
            return;
        }
    }
    for (int i = last - 1; i > 0; i--) {
        if (!scan_point(c, i, s->pool[i + 1].x, forward_stages, 3)) {
            return;
        }
    }
}

/* Losses of the scan points that were found. */
static int scan_losses(const beam_solver *s, double (*losses)[2])
{
    int count = 0;
    for (int i = 0; i < BEAM_FRONT_SCAN; i++) {
        if (s->pool[i].wsr >= 0.0) {
            losses[count][0] = beam_loss_rate(&s->ideal, s->pool[i].wsr);
            losses[count++][1] =
                beam_loss_sensing(&s->ideal, isfinite(s->pool[i].crlb), s->pool[i].crlb);
        }
    }
    return count;
}

/* In place: sorted by rising f1, without what is dominated or not finite; returns how many. */
static int prune(int count, double (*curve)[2])
{
    int sorted = 0, kept = 0;
    for (int i = 0; i < count; i++) {
        const double f1 = curve[i][0], f2 = curve[i][1];
        int at = sorted;
        if (!isfinite(f1) || !isfinite(f2)) {
            continue;
        }
        while (at > 0 && curve[at - 1][0] > f1) {
            at--;
        }
        memmove(curve + at + 1, curve + at, (size_t)(sorted - at) * sizeof *curve);
        curve[at][0] = f1;
        curve[at][1] = f2;
        sorted++;
    }
    for (int i = 0; i < sorted; i++) {
        if (kept == 0 || curve[i][1] < curve[kept - 1][1]) {
            curve[kept][0] = curve[i][0];
            curve[kept][1] = curve[i][1];
            kept++;
        }
    }
    return kept;
}

/* The part of a segment inside the box f1, f2 <= 1 in which points count: [from, to] of its
 * parameter. */
static void clip(const double *a, const double *b, double *from, double *to)
{
    *from = 0.0;
    *to = 1.0;
    if (a[1] > 1.0) {
        *from = b[1] < 1.0 ? (a[1] - 1.0) / (a[1] - b[1]) : 1.0;
    }
    if (b[0] > 1.0) {
        *to = a[0] < 1.0 ? (1.0 - a[0]) / (b[0] - a[0]) : 0.0;
    }
    *to = *to > *from ? *to : *from;
}

/* Where a segment starts to count, and its share of the integral of sqrt(|df1 df2|). */
static double measure(const double (*curve)[2], int i, double *low)
{
    double to;
    clip(curve[i], curve[i + 1], low, &to);
    return (to - *low) * sqrt((curve[i + 1][0] - curve[i][0]) * (curve[i][1] - curve[i + 1][1]));
}

void beam_front_place(int count, double (*losses)[2], int points, double *tradeoffs)
{
    const int n = prune(count, losses);
    double total = 0.0, low = 0.0, before = 0.0;
    for (int i = 0; i + 1 < n; i++) {
        total += measure(losses, i, &low);
    }
    tradeoffs[0] = 0.0;
    tradeoffs[points - 1] = 1.0;
    int seg = 0;
    for (int k = 1; k < points - 1; k++) {
        const double want = total * (double)k / (double)(points - 1);
        if (!(total > 0.0)) {
            tradeoffs[k] = (double)k / (double)(points - 1);
            continue;
        }
        while (seg + 2 < n && before + measure(losses, seg, &low) < want) {
            before += measure(losses, seg++, &low);
        }
        (void)measure(losses, seg, &low);
        const double *a = losses[seg], *b = losses[seg + 1];
        const double dx = sqrt((b[0] - a[0]) * (a[1] - b[1]));
        const double t = low + (dx > 0.0 ? (want - before) / dx : 0.0);
        tradeoffs[k] = tradeoff_of(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]));
    }
}

/* Best start at a preference among the last answer and the pool. */
static const beam_point *best_start(const beam_solver *s, beam_preference u, const beam_point *last)
{
    const beam_point *best = last;
    double merit = last ? beam_solver_point_merit(s, u, last) : INFINITY;
    for (int i = 0; i < BEAM_FRONT_SCAN; i++) {
        if (s->pool[i].wsr < 0.0) {
            continue;
        }
        const double m = beam_solver_point_merit(s, u, &s->pool[i]);
        if (m < merit || !best) {
            merit = m;
            best = &s->pool[i];
        }
    }
    return best;
}

static void final_point(front_context *c, double tradeoff, bool have_last, beam_design *design,
                        beam_result *result)
{
    beam_solver *s = c->s;
    const beam_preference u = beam_preference_from_tradeoff(tradeoff);
    memset(result, 0, sizeof *result);
    beam_solver_set_preference(s, u);
    (void)beam_solver_classical_point(s, u, &s->spare);
    beam_solver_fill_result(s, u, &s->spare, result);
    result->classical_merit = result->merit;
    const beam_point *start = best_start(s, u, have_last ? &s->answer : NULL);
    result->status = beam_solver_descend(s, final_stages, 2, s->options.max_iterations,
                                         final_tolerance * s->options.tolerance, start->x,
                                         &s->candidate, result);
    result->method = BEAM_METHOD_BOBLRBF;
    if (result->status == BEAM_STATUS_NUMERIC ||
        beam_solver_point_merit(s, u, start) < beam_solver_point_merit(s, u, &s->candidate)) {
        beam_solver_copy_point(s, &s->candidate, start);
    }
    if (beam_solver_point_merit(s, u, &s->spare) < beam_solver_point_merit(s, u, &s->candidate)) {
        beam_solver_copy_point(s, &s->candidate, &s->spare);
        result->method = BEAM_METHOD_CLASSICAL;
    }
    beam_solver_copy_point(s, &s->answer, &s->candidate);
    result->warm = true;
    beam_solver_fill_result(s, u, &s->answer, result);
    beam_problem_export(&s->problem, s->answer.x, design);
    tick(c);
}

beam_code beam_solver_front(beam_solver *self, int points, bool keep_ideal, double *tradeoffs,
                            beam_design *designs, beam_result *results, beam_progress *progress,
                            void *progress_arg, beam_error *err)
{
    if (points < 2) {
        return beam_fail(err, BEAM_E_INVALID, "points", "%d points do not make a front; at least 2",
                         points);
    }
    const beam_ideal given = self->ideal;
    for (int k = 0; self->loaded && k < points; k++) {
        const beam_code refused = beam_solver_check_design(self, &designs[k], "designs", err);
        if (refused) {
            return refused;
        }
    }
    if (keep_ideal && !(self->have_ideal_rate && self->have_ideal_sensing)) {
        return beam_fail(err, BEAM_E_INVALID, "ideal",
                         "compute or set the ideal values before keeping them");
    }
    beam_code code = beam_solver_compute_rate_end(self, err);
    code = code ? code : beam_solver_compute_sensing_end(self, err);
    if (keep_ideal) {
        self->ideal = given;
    }
    if (code) {
        return code;
    }
    front_context c = {self, progress, progress_arg, 0,
                       points + 2 * BEAM_FRONT_SCAN - 3 + (BEAM_FRONT_SCAN - 3) / RESTART_EVERY +
                           1};
    double losses[BEAM_FRONT_SCAN][2];
    scan(&c);
    beam_front_place(scan_losses(self, losses), losses, points, tradeoffs);
    for (int k = 0; k < points; k++) {
        final_point(&c, tradeoffs[k], k > 0, &designs[k], &results[k]);
    }
    return BEAM_OK;
}
