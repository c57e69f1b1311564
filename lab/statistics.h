/* Spread of samples. */
#ifndef LAB_STATISTICS_H
#define LAB_STATISTICS_H

void lab_sort(double *values, int count);
/* Quantile of sorted values, linear between neighbours; NAN without values. */
double lab_quantile(const double *sorted, int count, double q);
double lab_mean(const double *values, int count);

#endif
