#include "lab/statistics.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void lab_sort(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
}

double lab_quantile(const double *sorted, int count, double q)
{
    if (count <= 0) {
        return NAN;
    }
    const double at = q * (count - 1);
    const int below = (int)floor(at);
    const int above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

double lab_mean(const double *values, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) {
        sum += values[i];
    }
    return count > 0 ? sum / count : NAN;
}
