/* Cutting planes (18)-(20) of the lower level, with the drop rule. */
#include <string.h>

#include "model/row.h"
#include "solver/paper_internal.h"

void beam_paper_cuts_carve(beam_paper_cuts *c, beam_arena *arena, int max, int n)
{
    c->count = 0;
    c->max = max;
    c->n = n;
    c->normal = BEAM_TAKE(arena, double, (size_t)max *(size_t)n);
    c->offset = BEAM_TAKE(arena, double, max);
}

double beam_paper_cut_value(const beam_paper_cuts *c, int cut, const double *x)
{
    return beam_row_inner(c->n, c->normal + (ptrdiff_t)cut * c->n, x) + c->offset[cut];
}

static void remove_cut(beam_paper_cuts *c, int cut)
{
    for (int i = cut; i + 1 < c->count; i++) {
        memcpy(c->normal + (ptrdiff_t)i * c->n, c->normal + (ptrdiff_t)(i + 1) * c->n,
               (size_t)c->n * sizeof *c->normal);
        c->offset[i] = c->offset[i + 1];
    }
    c->count--;
}

void beam_paper_cuts_drop(beam_paper_cuts *c, const double *x)
{
    for (int i = c->count - 1; i >= 0; i--) {
        if (beam_paper_cut_value(c, i, x) < 0.0) {
            remove_cut(c, i);
        }
    }
}

void beam_paper_cuts_add(beam_paper_cuts *c, const double *x, double gap, const double *gradient,
                         double slack)
{
    if (c->max == 0) {
        return;
    }
    if (c->count == c->max) {
        remove_cut(c, 0);
    }
    memcpy(c->normal + (ptrdiff_t)c->count * c->n, gradient, (size_t)c->n * sizeof *gradient);
    c->offset[c->count] = gap - slack - beam_row_inner(c->n, gradient, x);
    c->count++;
}
