#include "beamctl_axis.h"

#include <math.h>
#include <stdio.h>

static const double LOGARITHMIC_FROM = 10; /* ratio of largest to least */

static void add_tick(axis *self, double value)
{
    const double slack = 1e-9 * (self->high - self->low);
    if (self->tick_count < AXIS_TICKS_MAX && value >= self->low - slack &&
        value <= self->high + slack) {
        snprintf(self->label[self->tick_count], AXIS_LABEL_BYTES, "%.6g",
                 fabs(value) < slack ? 0.0 : value);
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

/* Decades, and 2 and 5 between them where there are few. */
static void logarithmic_ticks(axis *self, int ticks)
{
    static const double parts[] = {1, 2, 5};
    const double first = floor(log10(self->low)), last = ceil(log10(self->high));
    const int each = last - first <= ticks / 2.0 ? 3 : 1;
    const double stride = fmax(1, ceil((last - first) / ticks));
    for (double k = first; k <= last + 0.5; k += stride) {
        for (int part = 0; part < each; part++) {
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
    self->logarithmic = may_be_logarithmic && low > 0 && high / low > LOGARITHMIC_FROM;
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
