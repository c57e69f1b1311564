#include "lab/hypervolume.h"

#include <math.h>
#include <stdlib.h>

lab_point lab_point_scaled(double wsr_ideal_bps_hz, double crlb_min_m2, double wsr_bps_hz,
                           double crlb_m2)
{
    return (lab_point){.f1 = (wsr_ideal_bps_hz - wsr_bps_hz) / (0.5 * wsr_ideal_bps_hz),
                       .f2 = log(crlb_m2 / crlb_min_m2) / log(4)};
}

static int compare_points(const void *a, const void *b)
{
    const lab_point *p = a, *q = b;
    if (p->f1 != q->f1) {
        return p->f1 < q->f1 ? -1 : 1;
    }
    return (p->f2 > q->f2) - (p->f2 < q->f2);
}

int lab_points_prune(lab_point *points, int count, double low)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        const lab_point p = {fmax(points[i].f1, low), fmax(points[i].f2, low)};
        if (isfinite(points[i].f1) && isfinite(points[i].f2) && p.f1 < 1 && p.f2 < 1) {
            points[kept++] = p;
        }
    }
    qsort(points, (size_t)kept, sizeof *points, compare_points);
    int front = 0;
    for (int i = 0; i < kept; i++) {
        if (front == 0 || points[i].f2 < points[front - 1].f2) {
            points[front++] = points[i];
        }
    }
    return front;
}

double lab_points_area(const lab_point *points, int count)
{
    double area = 0, ceiling = 1;
    for (int i = 0; i < count; i++) {
        area += (1 - points[i].f1) * (ceiling - points[i].f2);
        ceiling = points[i].f2;
    }
    return area;
}

/* best[i]: largest area of the points chosen so far, the last of them being i. */
double lab_points_best_subset(const lab_point *points, int count, int k)
{
    if (count <= 0 || k <= 0) {
        return 0;
    }
    double *best = malloc(2 * (size_t)count * sizeof *best);
    if (!best) {
        return -1;
    }
    double *next = best + count, *const memory = best;
    double most = 0;
    for (int i = 0; i < count; i++) {
        best[i] = (1 - points[i].f1) * (1 - points[i].f2);
        most = fmax(most, best[i]);
    }
    for (int chosen = 2; chosen <= k && chosen <= count; chosen++) {
        for (int i = 0; i < count; i++) {
            next[i] = -INFINITY;
            for (int j = 0; j < i; j++) {
                next[i] =
                    fmax(next[i], best[j] + (1 - points[i].f1) * (points[j].f2 - points[i].f2));
            }
            most = fmax(most, next[i]);
        }
        double *const swap = best;
        best = next;
        next = swap;
    }
    free(memory);
    return most;
}

static int scale_all(const double (*points)[2], int count, const lab_reference *reference,
                     lab_point *out, double low)
{
    for (int i = 0; i < count; i++) {
        out[i] = lab_point_scaled(reference->wsr_ideal_bps_hz, reference->crlb_min_m2, points[i][0],
                                  points[i][1]);
    }
    return lab_points_prune(out, count, low);
}

beam_code lab_hypervolume_compute(const double (*points)[2], int count,
                                  const lab_reference *reference, int same_count,
                                  lab_hypervolume *out, beam_error *err)
{
    const int most = count > reference->count ? count : reference->count;
    lab_point *scaled = malloc(((size_t)most + 1) * sizeof *scaled);
    if (!scaled) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    *out = (lab_hypervolume){.min_f1 = NAN, .min_f2 = NAN};
    for (int i = 0; i < count; i++) {
        const lab_point p = lab_point_scaled(reference->wsr_ideal_bps_hz, reference->crlb_min_m2,
                                             points[i][0], points[i][1]);
        out->min_f1 = fmin(out->min_f1, p.f1);
        out->min_f2 = fmin(out->min_f2, p.f2);
    }
    int kept = scale_all(points, count, reference, scaled, 0);
    out->hv_box = lab_points_area(scaled, kept);
    kept = scale_all(points, count, reference, scaled, LAB_HYPERVOLUME_LOW);
    out->hv = lab_points_area(scaled, kept);
    kept = scale_all((const double(*)[2])reference->front, reference->count, reference, scaled,
                     LAB_HYPERVOLUME_LOW);
    out->hv_reference = lab_points_area(scaled, kept);
    out->hv_reference_same_count = lab_points_best_subset(scaled, kept, same_count);
    free(scaled);
    if (out->hv_reference_same_count < 0) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    out->ratio = out->hv_reference > 0 ? out->hv / out->hv_reference : 0;
    out->ratio_same_count =
        out->hv_reference_same_count > 0 ? out->hv / out->hv_reference_same_count : 0;
    return BEAM_OK;
}
