/* The front in plain characters. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "beamctl_axis.h"
#include "beamctl_front.h"

enum { COLUMNS_LEAST = 40, COLUMNS_MOST = 160, ROWS_LEAST = 8, ROWS_MOST = 60, LABEL = 10 };

typedef struct canvas {
    char cell[ROWS_MOST][COLUMNS_MOST + 1];
    int columns, rows; /* of the plot itself */
    axis x, y;
} canvas;

static int round_place(double place, int cells)
{
    const double at = place * (cells - 1);
    return at <= 0 ? 0 : at >= cells - 1 ? cells - 1 : (int)lround(at);
}

static void put(canvas *c, double wsr, double rms_m, char sign)
{
    if (isfinite(wsr)) {
        /* What has no bound stands on the upper edge, where a bound without limit would. */
        const double y = isfinite(rms_m) ? axis_place(&c->y, rms_m) : 1;
        c->cell[c->rows - 1 - round_place(y, c->rows)]
               [round_place(axis_place(&c->x, wsr), c->columns)] = sign;
    }
}

/* Dots between two neighbours, straight in the axes' scales. */
static void join(canvas *c, const beamc_front_point *a, const beamc_front_point *b)
{
    if (!a->crlb_valid || !b->crlb_valid || !isfinite(a->wsr_worst_case_bps_hz) ||
        !isfinite(b->wsr_worst_case_bps_hz)) {
        return;
    }
    const double x0 = axis_place(&c->x, a->wsr_worst_case_bps_hz),
                 x1 = axis_place(&c->x, b->wsr_worst_case_bps_hz),
                 y0 = axis_place(&c->y, front_rms_m(true, a->crlb_m2)),
                 y1 = axis_place(&c->y, front_rms_m(true, b->crlb_m2));
    const int steps = 2 * (c->columns + c->rows);
    for (int k = 0; k <= steps; k++) {
        const double t = (double)k / steps;
        c->cell[c->rows - 1 - round_place(y0 + t * (y1 - y0), c->rows)]
               [round_place(x0 + t * (x1 - x0), c->columns)] = '.';
    }
}

static void fill(canvas *c, const front_view *view)
{
    for (int r = 0; r < c->rows; r++) {
        memset(c->cell[r], ' ', (size_t)c->columns);
    }
    const beamc_front_point *p = view->points;
    for (size_t k = 1; k < view->point_count; k++) {
        join(c, &p[k - 1], &p[k]);
    }
    for (size_t k = 0; k < view->point_count; k++) {
        put(c, p[k].wsr_worst_case_bps_hz, front_rms_m(p[k].crlb_valid, p[k].crlb_m2),
            !p[k].crlb_valid             ? '^'
            : k == 0                     ? 'C'
            : k + 1 == view->point_count ? 'S'
                                         : '*');
    }
    for (size_t k = view->mark_count; k-- > 0;) {
        const front_mark *m = &view->marks[k];
        put(c, m->wsr_worst_case_bps_hz, front_rms_m(m->crlb_valid, m->crlb_m2),
            front_mark_sign(view, k));
    }
}

static void fit(canvas *c, const front_view *view)
{
    double wsr[FRONT_POINTS_MAX + FRONT_MARKS_MAX], rms_m[FRONT_POINTS_MAX + FRONT_MARKS_MAX];
    size_t n = 0;
    for (size_t k = 0; k < view->point_count; k++, n++) {
        wsr[n] = view->points[k].wsr_worst_case_bps_hz;
        rms_m[n] = front_rms_m(view->points[k].crlb_valid, view->points[k].crlb_m2);
    }
    for (size_t k = 0; k < view->mark_count; k++, n++) {
        wsr[n] = view->marks[k].wsr_worst_case_bps_hz;
        rms_m[n] = front_rms_m(view->marks[k].crlb_valid, view->marks[k].crlb_m2);
    }
    const int x_ticks = c->columns / 12 > 8 ? 8 : c->columns / 12;
    axis_fit(&c->x, wsr, n, false, x_ticks < 2 ? 2 : x_ticks);
    axis_fit(&c->y, rms_m, n, true, c->rows / 4 > 6 ? 6 : c->rows / 4 < 2 ? 2 : c->rows / 4);
}

static void print_rows(FILE *out, const canvas *c)
{
    for (int r = 0; r < c->rows; r++) {
        const char *label = "";
        char edge = '|';
        for (int k = 0; k < c->y.tick_count; k++) {
            if (c->rows - 1 - round_place(axis_place(&c->y, c->y.tick[k]), c->rows) == r) {
                label = c->y.label[k];
                edge = '+';
            }
        }
        int used = c->columns; /* no blanks at the end of a line */
        while (used > 0 && c->cell[r][used - 1] == ' ') {
            used--;
        }
        fprintf(out, "%*s %c%.*s\n", LABEL, label, edge, used, c->cell[r]);
    }
}

static void print_x_axis(FILE *out, const canvas *c)
{
    char line[COLUMNS_MOST + 1], labels[COLUMNS_MOST + AXIS_LABEL_BYTES + 1];
    memset(line, '-', (size_t)c->columns);
    memset(labels, ' ', sizeof labels);
    int free_from = 0, end = 0;
    for (int k = 0; k < c->x.tick_count; k++) {
        const int at = round_place(axis_place(&c->x, c->x.tick[k]), c->columns);
        const int length = (int)strlen(c->x.label[k]);
        int from = at - length / 2;
        from = from < 0 ? 0 : from;
        line[at] = '+';
        if (from >= free_from && from + length <= c->columns + AXIS_LABEL_BYTES / 2) {
            memcpy(labels + from, c->x.label[k], (size_t)length);
            end = from + length;
            free_from = end + 1;
        }
    }
    fprintf(out, "%*s +%.*s\n", LABEL, "", c->columns, line);
    fprintf(out, "%*s  %.*s\n", LABEL, "", end, labels);
    fprintf(out, "%*s  worst-case weighted sum rate, bit/s/Hz (more is better)\n", LABEL, "");
}

void front_draw(FILE *out, const front_view *view, int columns, int rows)
{
    static canvas c; /* larger than a stack frame should be */
    columns = columns < COLUMNS_LEAST ? COLUMNS_LEAST : columns;
    c.columns = columns - LABEL - 6 > COLUMNS_MOST ? COLUMNS_MOST : columns - LABEL - 6;
    c.rows = rows < ROWS_LEAST ? ROWS_LEAST : rows > ROWS_MOST ? ROWS_MOST : rows;
    fit(&c, view);
    fill(&c, view);
    fprintf(out, "rms position bound, m (less is better)%s\n",
            c.y.logarithmic ? ", logarithmic" : "");
    print_rows(out, &c);
    print_x_axis(out, &c);
}
