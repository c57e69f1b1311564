#include "lab/front.h"

#include <math.h>
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
