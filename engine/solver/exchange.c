/* Least-CRLB rows that one solver has computed, for other solvers of the same geometry. They are in
 * the coordinates of the transmit directions of each station, which come first in every basis, so
 * that they do not depend on the channels. */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/solver_internal.h"

/* In front of the rows: width, rows per station, then the geometry. */
enum { HEAD = 2 };

/* Coordinates of a row that can differ from 0. */
static size_t width_of(const beam_problem *p)
{
    return (size_t)(p->basis ? 2 * p->J : p->N);
}

static size_t key_size(const beam_dims *d)
{
    return HEAD + beam_solver_geometry_size(d) - (size_t)d->stations - 1;
}

/* Widths are at most N: a basis is used where 2J is smaller. */
static size_t doubles(const beam_dims *d)
{
    return key_size(d) +
           (size_t)d->stations * (size_t)beam_design_sensing_max(d) * 2u * (size_t)d->antennas;
}

size_t beam_solver_sensing_bytes(const beam_dims *dims)
{
    return beam_dims_check(dims, NULL) ? 0 : doubles(dims) * sizeof(double);
}

/* The loaded geometry without the layout of the users' rows. */
static void write_key(const beam_solver *s, double *to)
{
    const beam_problem *p = &s->problem;
    const size_t first = 4, after = first + 1 + (size_t)p->L; /* D and K of pack_geometry */
    *to++ = (double)width_of(p);
    *to++ = (double)p->r;
    memcpy(to, s->geometry, first * sizeof *to);
    memcpy(to + first, s->geometry + after,
           (beam_solver_geometry_size(&s->max) - after) * sizeof *to);
}

static const double *station_sensing(const beam_solver *s, int l)
{
    const beam_problem *p = &s->problem;
    return s->sensing + (size_t)(p->first[l] + p->K[l]) * (size_t)p->stride;
}

bool beam_solver_export_sensing(const beam_solver *self, double *buffer)
{
    const beam_problem *p = &self->problem;
    if (!self->loaded || !self->have_sensing_rows || self->sensing_moved) {
        return false;
    }
    const size_t width = width_of(p);
    write_key(self, buffer);
    double *to = buffer + key_size(&self->max);
    for (int l = 0; l < p->L; l++) {
        const double *row = station_sensing(self, l);
        for (int i = 0; i < p->r; i++, row += p->stride, to += 2 * width) {
            memcpy(to, row, width * sizeof *to);
            memcpy(to + width, row + p->Dp, width * sizeof *to);
        }
    }
    return true;
}

/* Row i of every station, as far as there are so many on both sides: of more rows than fit the
 * strongest come first. */
static void read_rows(beam_solver *s, const double *rows, int count)
{
    const beam_problem *p = &s->problem;
    const size_t width = width_of(p);
    memset(s->sensing, 0, beam_solver_point_bytes(s));
    for (int l = 0; l < p->L; l++) {
        double *to = s->sensing + (size_t)(p->first[l] + p->K[l]) * (size_t)p->stride;
        const double *from = rows + (size_t)l * (size_t)count * 2u * width;
        for (int i = 0; i < p->r && i < count; i++, to += p->stride, from += 2 * width) {
            memcpy(to, from, width * sizeof *to);
            memcpy(to + p->Dp, from + width, width * sizeof *to);
        }
    }
}

/* Power 1 in every station; false where there is none to scale. */
static bool scale_rows(beam_solver *s)
{
    const beam_problem *p = &s->problem;
    for (int l = 0; l < p->L; l++) {
        double *rows = s->sensing + (size_t)(p->first[l] + p->K[l]) * (size_t)p->stride;
        const int n = p->r * p->stride;
        const double power = beam_row_norm2(n, rows);
        if (!(power > 0.0) || !isfinite(power)) {
            return false;
        }
        beam_row_scale(n, 1.0 / sqrt(power), rows);
    }
    return true;
}

bool beam_solver_import_sensing(beam_solver *self, const double *buffer, bool even_if_moved)
{
    if (!self->loaded || (self->have_sensing_rows && !self->sensing_moved)) {
        return self->loaded;
    }
    double *key = self->geometry_new; /* not longer: L >= 1 */
    const size_t size = key_size(&self->max);
    write_key(self, key);
    const bool same = memcmp(key, buffer, size * sizeof *key) == 0;
    const int count = (int)buffer[1];
    if (!same && (!even_if_moved || buffer[0] != key[0] || count < 1 ||
                  count > beam_design_sensing_max(&self->max))) {
        return false;
    }
    self->have_classical = self->have_rate_point = false;
    beam_curve_reset(&self->curve);
    read_rows(self, buffer + size, count);
    self->have_sensing_rows = same || scale_rows(self);
    self->sensing_moved = !same;
    return self->have_sensing_rows;
}
