/* Least-CRLB rows that one solver has computed, for other solvers of the same geometry. Where a
 * basis is in use the transmit directions of a station come first in it, and rows have nothing but
 * rounding beyond these 2J coordinates: they do not depend on the channels. */
#include <math.h>
#include <string.h>

#include "model/row.h"
#include "solver/solver_internal.h"

/* In front of the rows: */
enum { WIDTH = 0, ROWS = 1, REDUCED = 2, HEAD = 3 }; /* then the geometry */

/* Of the rounding of rows that were computed here. */
static const double power_slack = 1e-9;

static size_t key_size(const beam_dims *d)
{
    return HEAD + beam_solver_geometry_size(d) - (size_t)d->stations - 1;
}

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
    to[WIDTH] = (double)p->D;
    to[ROWS] = (double)p->r;
    to[REDUCED] = p->basis ? 1.0 : 0.0;
    to += HEAD;
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
    const size_t width = (size_t)p->D;
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
 * strongest come first. Of another width only the coordinates of the transmit directions. */
static void read_rows(beam_solver *s, const double *buffer, const double *rows)
{
    const beam_problem *p = &s->problem;
    const int count = (int)buffer[ROWS], width = (int)buffer[WIDTH];
    const size_t used = (size_t)(width == p->D ? width : 2 * p->J);
    memset(s->sensing, 0, beam_solver_point_bytes(s));
    for (int l = 0; l < p->L; l++) {
        double *to = s->sensing + (size_t)(p->first[l] + p->K[l]) * (size_t)p->stride;
        const double *from = rows + (size_t)(l * count) * 2u * (size_t)width;
        for (int i = 0; i < p->r && i < count; i++, to += p->stride, from += 2 * width) {
            memcpy(to, from, used * sizeof *to);
            memcpy(to + p->Dp, from + width, used * sizeof *to);
        }
    }
}

/* `moved`: power 1 in every station. False where a row is not finite, or there is no power to
 * scale, or more than there is. */
static bool accept_rows(beam_solver *s, bool moved)
{
    const beam_problem *p = &s->problem;
    for (int l = 0; l < p->L; l++) {
        double *rows = s->sensing + (size_t)(p->first[l] + p->K[l]) * (size_t)p->stride;
        const int n = p->r * p->stride;
        const double power = beam_row_norm2(n, rows);
        if (!isfinite(power) || (moved ? !(power > 0.0) : power > 1.0 + power_slack)) {
            return false;
        }
        if (moved) {
            beam_row_scale(n, 1.0 / sqrt(power), rows);
        }
    }
    return true;
}

/* Rows in coordinates that mean the same here. */
static bool layout_fits(const beam_problem *p, const double *buffer)
{
    const double width = buffer[WIDTH], rows = buffer[ROWS];
    const bool reduced = p->basis != NULL;
    return buffer[REDUCED] == (reduced ? 1.0 : 0.0) && rows >= 1.0 &&
           rows <= (double)(p->N < 2 * p->J ? p->N : 2 * p->J) && width <= (double)p->N &&
           (reduced ? width >= 2.0 * p->J : width == (double)p->N);
}

bool beam_solver_import_sensing(beam_solver *self, const double *buffer, bool even_if_moved)
{
    if (!self->loaded || (self->have_sensing_rows && !self->sensing_moved)) {
        return self->loaded;
    }
    double *key = self->geometry_new;
    const size_t size = key_size(&self->max);
    write_key(self, key);
    if (!layout_fits(&self->problem, buffer)) {
        return false;
    }
    const bool same = key[ROWS] == buffer[ROWS] &&
                      memcmp(key + HEAD, buffer + HEAD, (size - HEAD) * sizeof *key) == 0;
    if (!same && !even_if_moved) {
        return false;
    }
    self->have_classical = self->have_rate_point = false;
    beam_curve_reset(&self->curve);
    read_rows(self, buffer, buffer + size);
    self->have_sensing_rows = accept_rows(self, !same);
    self->sensing_moved = !same;
    return self->have_sensing_rows;
}
