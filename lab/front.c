#include "lab/front.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lab/owned.h"

static int compare_points(const void *a, const void *b)
{
    const lab_front_point *p = a, *q = b;
    if (p->crlb_m2 != q->crlb_m2) {
        return p->crlb_m2 < q->crlb_m2 ? -1 : 1;
    }
    return (p->wsr_bps_hz < q->wsr_bps_hz) - (p->wsr_bps_hz > q->wsr_bps_hz);
}

int lab_front_prune(lab_front_point *points, int count)
{
    int finite = 0, kept = 0;
    for (int i = 0; i < count; i++) {
        if (isfinite(points[i].crlb_m2) && points[i].crlb_m2 > 0 &&
            isfinite(points[i].wsr_bps_hz)) {
            points[finite++] = points[i];
        }
    }
    qsort(points, (size_t)finite, sizeof *points, compare_points);
    for (int i = 0; i < finite; i++) {
        if (kept == 0 || points[i].wsr_bps_hz > points[kept - 1].wsr_bps_hz) {
            points[kept++] = points[i];
        }
    }
    return kept;
}

double lab_front_rate_at(const lab_front_point *points, int count, double crlb_m2)
{
    if (count == 0 || crlb_m2 < points[0].crlb_m2) {
        return 0;
    }
    int i = 0;
    while (i + 1 < count && points[i + 1].crlb_m2 <= crlb_m2) {
        i++;
    }
    if (i + 1 == count) {
        return points[i].wsr_bps_hz;
    }
    const double share =
        log(crlb_m2 / points[i].crlb_m2) / log(points[i + 1].crlb_m2 / points[i].crlb_m2);
    return points[i].wsr_bps_hz + share * (points[i + 1].wsr_bps_hz - points[i].wsr_bps_hz);
}

beam_code lab_front_evaluate(const lab_solution *solution, const beam_scene *scene,
                             lab_front_point *points, beam_error *err)
{
    int most = 1;
    for (int k = 0; k < solution->count; k++) {
        const int columns = solution->entries[k].beams.design.sensing_max;
        most = columns > most ? columns : most;
    }
    lab_evaluator evaluator;
    beam_code code = lab_evaluator_create(&evaluator, scene, most, err);
    for (int k = 0; !code && k < solution->count; k++) {
        beam_quality q;
        code = beam_evaluator_run(evaluator.evaluator, &solution->entries[k].beams.design, &q, err);
        if (!code) {
            points[k].wsr_bps_hz = q.wsr_worst_case_bps_hz;
            points[k].crlb_m2 = q.crlb_valid ? q.crlb_m2 : INFINITY;
        }
    }
    lab_evaluator_clear(&evaluator);
    return code;
}

typedef struct answer {
    double f1, f2, tradeoff;
    int index;
    bool pinned; /* an end */
} answer;

static int by_losses(const void *a, const void *b)
{
    const answer *p = a, *q = b;
    if (p->f1 != q->f1) {
        return p->f1 < q->f1 ? -1 : 1;
    }
    if (p->f2 != q->f2) {
        return p->f2 < q->f2 ? -1 : 1;
    }
    return (p->index > q->index) - (p->index < q->index);
}

static int by_tradeoff(const void *a, const void *b)
{
    const answer *p = a, *q = b;
    if (p->tradeoff != q->tradeoff) {
        return p->tradeoff < q->tradeoff ? -1 : 1;
    }
    return (p->index > q->index) - (p->index < q->index);
}

/* What answer i of a staircase adds to the area between its neighbours, in the box below (1,1). */
static double adds(const answer *stairs, int count, int i)
{
    const double right = i + 1 < count ? fmin(stairs[i + 1].f1, 1) : 1;
    const double above = i > 0 ? fmin(stairs[i - 1].f2, 1) : 1;
    return fmax(right - stairs[i].f1, 0) * fmax(above - stairs[i].f2, 0);
}

/* The staircase to the front of the array, what is dominated or not finite behind it. Ends stay in
 * the staircase's part whatever they are, at its end if they are no stairs. */
static int split(answer *all, int count, answer *scratch)
{
    int stairs = 0, others = 0;
    double least = INFINITY;
    for (int i = 0; i < count; i++) {
        const bool step = isfinite(all[i].f1) && all[i].f2 < least;
        if (step) {
            least = all[i].f2;
            all[stairs++] = all[i];
        } else {
            scratch[others++] = all[i];
        }
    }
    for (int i = 0; i < others; i++) {
        all[stairs + i] = scratch[i];
    }
    return stairs;
}

/* The `points` best to the front of the array. */
static void thin(answer *all, int count, int stairs, int points)
{
    int pinned = 0; /* ends that are no stairs */
    for (int i = stairs; i < count; i++) {
        if (all[i].pinned) {
            const answer end = all[i];
            all[i] = all[stairs + pinned];
            all[stairs + pinned++] = end;
        }
    }
    while (stairs + pinned > points) {
        int least = -1;
        for (int i = 0; i < stairs; i++) {
            if (!all[i].pinned && (least < 0 || adds(all, stairs, i) < adds(all, stairs, least))) {
                least = i;
            }
        }
        if (least < 0) {
            return; /* only ends are left */
        }
        const answer out = all[least];
        for (int i = least; i + 1 < stairs + pinned; i++) {
            all[i] = all[i + 1];
        }
        all[stairs + pinned - 1] = out;
        stairs--;
    }
}

beam_code lab_front_choose(const double (*losses)[2], const double *tradeoffs, int count,
                           int points, int *chosen, beam_error *err)
{
    answer *all = calloc(2 * (size_t)count, sizeof *all);
    if (!all) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    for (int i = 0; i < count; i++) {
        all[i] = (answer){losses[i][0], losses[i][1], tradeoffs[i], i, false};
    }
    qsort(all, (size_t)count, sizeof *all, by_tradeoff);
    all[0].pinned = all[count - 1].pinned = true;
    qsort(all, (size_t)count, sizeof *all, by_losses);
    thin(all, count, split(all, count, all + count), points);
    qsort(all, (size_t)points, sizeof *all, by_tradeoff);
    for (int k = 0; k < points; k++) {
        chosen[k] = all[k].index;
    }
    free(all);
    return BEAM_OK;
}
