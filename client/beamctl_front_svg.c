/* The front as SVG: black on white, shapes and words instead of colours. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "beamctl_axis.h"
#include "beamctl_front.h"

enum { WIDTH = 760, HEIGHT = 540, LEFT = 80, RIGHT = 30, TOP = 60, BOTTOM = 120 };

typedef struct frame {
    axis x, y;
} frame;

static double at_x(const frame *f, double wsr)
{
    return LEFT + axis_place(&f->x, wsr) * (WIDTH - LEFT - RIGHT);
}

/* What has no bound stands on the upper edge, where a bound without limit would. */
static double at_y(const frame *f, double rms_m)
{
    const double place = isfinite(rms_m) ? axis_place(&f->y, rms_m) : 1;
    return HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM);
}

/* Text as XML takes it; control characters have no place there at all. */
static void escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e ? '?' : *text, out);
        }
    }
}

static void title(FILE *out, const char *what, double tradeoff, double wsr, double rms_m)
{
    fputs("<title>", out);
    escaped(out, what);
    fprintf(out, "tau %.4f, %s: %.5g bit/s/Hz, ", tradeoff, beamc_tradeoff_words(tradeoff), wsr);
    if (isfinite(rms_m)) {
        fprintf(out, "rms %.5g m</title>", rms_m);
    } else {
        fputs("no bound: a target cannot be located</title>", out);
    }
}

static void head(FILE *out, const front_view *view)
{
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n<title>Front of ",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    escaped(out, view->cluster);
    fprintf(out,
            "</title>\n<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n"
            "<text x=\"%d\" y=\"24\" font-size=\"16\">Rate against localisation: cluster ",
            WIDTH, HEIGHT, LEFT);
    escaped(out, view->cluster);
    fprintf(out,
            "</text>\n<text x=\"%d\" y=\"44\">subband %u, CSI %" PRIu64 ", targets %" PRIu64
            "; %zu trade-offs</text>\n",
            LEFT, view->subband, view->csi_sequence, view->target_sequence, view->point_count);
}

static void axes(FILE *out, const frame *f)
{
    const double right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
    fputs("<g stroke=\"#bbb\" stroke-width=\"0.7\">\n", out);
    for (int k = 0; k < f->x.tick_count; k++) {
        const double x = at_x(f, f->x.tick[k]);
        fprintf(out, "<line x1=\"%.2f\" y1=\"%d\" x2=\"%.2f\" y2=\"%.2f\"/>\n", x, TOP, x, bottom);
    }
    for (int k = 0; k < f->y.tick_count; k++) {
        const double y = at_y(f, f->y.tick[k]);
        fprintf(out, "<line x1=\"%d\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\"/>\n", LEFT, y, right, y);
    }
    fprintf(out,
            "</g>\n<rect x=\"%d\" y=\"%d\" width=\"%.2f\" height=\"%.2f\" fill=\"none\" "
            "stroke=\"black\"/>\n",
            LEFT, TOP, right - LEFT, bottom - TOP);
    for (int k = 0; k < f->x.tick_count; k++) {
        fprintf(out, "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\">%s</text>\n",
                at_x(f, f->x.tick[k]), bottom + 18, f->x.label[k]);
    }
    for (int k = 0; k < f->y.tick_count; k++) {
        fprintf(out, "<text x=\"%d\" y=\"%.2f\" text-anchor=\"end\">%s</text>\n", LEFT - 6,
                at_y(f, f->y.tick[k]) + 4, f->y.label[k]);
    }
    fprintf(out,
            "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\">worst-case weighted sum rate, "
            "bit/s/Hz (more is better)</text>\n",
            (LEFT + right) / 2, bottom + 40);
    fprintf(
        out,
        "<text transform=\"translate(20 %.2f) rotate(-90)\" text-anchor=\"middle\">rms position "
        "bound, m (less is better)%s</text>\n",
        (TOP + bottom) / 2, f->y.logarithmic ? ", logarithmic" : "");
}

static void curve(FILE *out, const frame *f, const front_view *view)
{
    bool open = false;
    for (size_t k = 0; k < view->point_count; k++) {
        const beamc_front_point *p = &view->points[k];
        if (p->crlb_valid && isfinite(p->wsr_worst_case_bps_hz)) {
            fprintf(out, "%s%.2f,%.2f",
                    open ? " " : "<polyline fill=\"none\" stroke=\"black\" points=\"",
                    at_x(f, p->wsr_worst_case_bps_hz), at_y(f, front_rms_m(true, p->crlb_m2)));
            open = true;
        } else if (open) {
            fputs("\"/>\n", out);
            open = false;
        }
    }
    if (open) {
        fputs("\"/>\n", out);
    }
    for (size_t k = 0; k < view->point_count; k++) {
        const beamc_front_point *p = &view->points[k];
        const double rms_m = front_rms_m(p->crlb_valid, p->crlb_m2);
        if (isfinite(p->wsr_worst_case_bps_hz)) {
            fprintf(out,
                    "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"3.5\" fill=\"white\" stroke=\"black\"%s>",
                    at_x(f, p->wsr_worst_case_bps_hz), at_y(f, rms_m),
                    p->crlb_valid ? "" : " stroke-dasharray=\"2 1\"");
            title(out, "", p->tradeoff, p->wsr_worst_case_bps_hz, rms_m);
            fputs("</circle>\n", out);
        }
    }
}

/* Words in a white rim, towards the middle of the picture: readable where the curve passes. */
static void end_label(FILE *out, const frame *f, const beamc_front_point *p)
{
    if (!isfinite(p->wsr_worst_case_bps_hz)) {
        return;
    }
    const double x = at_x(f, p->wsr_worst_case_bps_hz),
                 y = at_y(f, front_rms_m(p->crlb_valid, p->crlb_m2));
    const bool to_left = x > (LEFT + WIDTH - RIGHT) / 2.0, below = y + 24 < HEIGHT - BOTTOM;
    fprintf(out,
            "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"%s\" paint-order=\"stroke\" "
            "stroke=\"white\" stroke-width=\"4\" fill=\"black\">tau %.3g, %s</text>\n",
            x + (to_left ? -10 : 10), y + (below ? 18 : -10), to_left ? "end" : "start",
            p->tradeoff, beamc_tradeoff_words(p->tradeoff));
}

/* A black diamond with its sign beside it; in words below the picture. */
static void mark(FILE *out, const frame *f, const front_view *view, size_t k)
{
    const front_mark *m = &view->marks[k];
    const double rms_m = front_rms_m(m->crlb_valid, m->crlb_m2);
    if (isfinite(m->wsr_worst_case_bps_hz)) {
        const double x = at_x(f, m->wsr_worst_case_bps_hz), y = at_y(f, rms_m);
        fprintf(out, "<path d=\"M%.2f %.2f l7 7 l-7 7 l-7 -7 z\" fill=\"black\">", x, y - 7);
        title(out, "now: ", m->tradeoff, m->wsr_worst_case_bps_hz, rms_m);
        fprintf(out, "</path>\n<text x=\"%.2f\" y=\"%.2f\" font-weight=\"bold\">%c</text>\n",
                x + 10 + 10 * (double)k, y - 8, front_mark_sign(view, k));
    }
    fprintf(out, "<text x=\"%d\" y=\"%d\">%c now%s", LEFT, HEIGHT - 58 + 16 * (int)k,
            front_mark_sign(view, k), m->name[0] ? ", " : "");
    escaped(out, m->name);
    fprintf(out, ": tau %.3f, %s; %.5g bit/s/Hz, ", m->tradeoff, beamc_tradeoff_words(m->tradeoff),
            m->wsr_worst_case_bps_hz);
    if (isfinite(rms_m)) {
        fprintf(out, "rms %.5g m</text>\n", rms_m);
    } else {
        fputs("a target cannot be located</text>\n", out);
    }
}

void front_svg(FILE *out, const front_view *view)
{
    double wsr[FRONT_POINTS_MAX + FRONT_MARKS_MAX], rms_m[FRONT_POINTS_MAX + FRONT_MARKS_MAX];
    size_t n = 0;
    frame f;
    for (size_t k = 0; k < view->point_count; k++, n++) {
        wsr[n] = view->points[k].wsr_worst_case_bps_hz;
        rms_m[n] = front_rms_m(view->points[k].crlb_valid, view->points[k].crlb_m2);
    }
    for (size_t k = 0; k < view->mark_count; k++, n++) {
        wsr[n] = view->marks[k].wsr_worst_case_bps_hz;
        rms_m[n] = front_rms_m(view->marks[k].crlb_valid, view->marks[k].crlb_m2);
    }
    axis_fit(&f.x, wsr, n, false, 7);
    axis_fit(&f.y, rms_m, n, true, 6);
    head(out, view);
    axes(out, &f);
    curve(out, &f, view);
    if (view->point_count > 1) {
        end_label(out, &f, &view->points[0]);
        end_label(out, &f, &view->points[view->point_count - 1]);
    }
    for (size_t k = 0; k < view->mark_count; k++) {
        mark(out, &f, view, k);
    }
    fputs("</svg>\n", out);
}
