#include "beamctl_axis.h"

#include <math.h>
#include <stdio.h>

static const double LOGARITHMIC_FROM = 10;           /* ratio of largest to least */
static const double LEAST = 1e-100, LARGEST = 1e100; /* of a logarithmic axis: powers stay exact */

static void add_tick(axis *self, double value)
{
    static const double slack = 1e-9;
    const double place = axis_place(self, value);
    if (self->tick_count < AXIS_TICKS_MAX && place >= -slack && place <= 1 + slack) {
        const bool zero = !self->logarithmic && fabs(value) < slack * (self->high - self->low);
        snprintf(self->label[self->tick_count], AXIS_LABEL_BYTES, "%.6g", zero ? 0.0 : value);
        self->tick[self->tick_count++] = value;
    }
}

/* The least of 1, 2, 5 times a power of ten that is not below `step`. */
static double round_step(double step)
{
    const double power = pow(10, floor(log10(step)));
    const double factor = step / power;
    return power * (factor <= 1 + 1e-9 ? 1 : factor <= 2 + 1e-9 ? 2 : factor <= 5 + 1e-9 ? 5 : 10);
}

static void linear_ticks(axis *self, int ticks)
{
    const double step = round_step((self->high - self->low) / ticks);
    const double first = floor(self->low / step), last = ceil(self->high / step);
    self->low = first * step;
    self->high = last * step;
    for (double k = first; k <= last + 0.5 && self->tick_count < AXIS_TICKS_MAX; k += 1) {
        add_tick(self, k * step);
    }
}

/* Powers of ten, some left out where there are many, 2 and 5 between them where there are few. */
static void logarithmic_ticks(axis *self, int ticks)
{
    static const double parts[] = {1, 2, 5};
    const double first = ceil(log10(self->low)), last = floor(log10(self->high));
    if (last - first > ticks / 2.0) {
        const double stride = ceil((last - first) / ticks);
        for (double k = first; k <= last; k += stride) {
            add_tick(self, pow(10, k));
        }
        return;
    }
    for (double k = first - 1; k <= last; k += 1) {
        for (int part = 0; part < 3; part++) {
            add_tick(self, parts[part] * pow(10, k));
        }
    }
}

void axis_fit(axis *self, const double *values, size_t count, bool may_be_logarithmic, int ticks)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t k = 0; k < count; k++) {
        if (isfinite(values[k])) {
            low = fmin(low, values[k]);
            high = fmax(high, values[k]);
        }
    }
    *self = (axis){.low = 0, .high = 1};
    if (low > high) {
        linear_ticks(self, ticks);
        return;
    }
    self->logarithmic =
        may_be_logarithmic && low > LEAST && high < LARGEST && high / low > LOGARITHMIC_FROM;
    if (self->logarithmic) {
        self->low = low / 1.1;
        self->high = high * 1.1;
        logarithmic_ticks(self, ticks);
        return;
    }
    /* Values that are one and the same still get a range that can be told apart in a double. */
    const double margin =
        fmax(0.03 * (high - low), fmax(1e-6 * fmax(fabs(low), fabs(high)), 1e-12));
    self->low = low >= 0 && low < margin ? 0 : low - margin;
    self->high = high + margin;
    linear_ticks(self, ticks);
}

double axis_place(const axis *self, double value)
{
    if (self->logarithmic) {
        return value > 0 ? log(value / self->low) / log(self->high / self->low) : -1;
    }
    return (value - self->low) / (self->high - self->low);
}
