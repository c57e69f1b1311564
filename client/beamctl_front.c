/* beamctl front: asks for the front and for the present answer, and shows both. */
#include "beamctl_front.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "beamctl.h"
#include "beamctl_json.h"
#include "beamctl_terminal.h"

enum { FRONT_TIMEOUT_MS = 30000, PRESENT_TIMEOUT_MS = 1000, DRAWING_ROWS = 20, BUSY_TURN_MS = 50 };

double front_rms_m(bool crlb_valid, double crlb_m2)
{
    return crlb_valid ? sqrt(crlb_m2) : NAN;
}

char front_mark_sign(const front_view *view, size_t k)
{
    return view->marks[k].name[0] ? (char)('1' + (int)k) : 'O';
}

static void take_front(front_view *view, const beamc_front *front, const char *cluster)
{
    *view = (front_view){.csi_sequence = front->csi_sequence,
                         .target_sequence = front->target_sequence,
                         .subband = front->subband,
                         .wsr_ideal_bps_hz = front->wsr_ideal_bps_hz,
                         .crlb_min_m2 = front->crlb_min_m2,
                         .solve_ns = front->solve_ns};
    snprintf(view->cluster, sizeof view->cluster, "%s", cluster);
    view->point_count =
        front->point_count < FRONT_POINTS_MAX ? front->point_count : FRONT_POINTS_MAX;
    for (size_t k = 0; k < view->point_count; k++) {
        view->points[k] = front->points[k];
    }
}

static void take_marks(front_view *view, const beamc_answer *answer)
{
    for (size_t k = 0; k < answer->solution_count && view->mark_count < FRONT_MARKS_MAX; k++) {
        const beamc_solution *s = &answer->solutions[k];
        if (s->subband != view->subband) {
            continue;
        }
        front_mark *m = &view->marks[view->mark_count++];
        *m = (front_mark){.tradeoff = s->preference.tradeoff,
                          .wsr_worst_case_bps_hz = s->wsr_worst_case_bps_hz,
                          .crlb_valid = s->crlb_valid,
                          .crlb_m2 = s->crlb_m2,
                          .csi_sequence = s->csi_sequence};
        snprintf(m->name, sizeof m->name, "%s", s->preference_name ? s->preference_name : "");
    }
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The last answer comes to a new subscriber at once; a cluster without one stays unmarked. */
static beamc_code get_marks(beamc_client *client, const beamctl_settings *s, front_view *view,
                            beamc_error *err)
{
    const int wait_ms = s->timeout_ms < PRESENT_TIMEOUT_MS ? s->timeout_ms : PRESENT_TIMEOUT_MS;
    beamc_code code = beamc_subscribe(client, view->cluster, err);
    const int64_t until_ms = now_ms() + wait_ms;
    while (!code && view->mark_count == 0) {
        const int64_t left_ms = until_ms - now_ms();
        beamc_answer answer;
        if (left_ms < 0) {
            return BEAMC_OK;
        }
        code = beamc_receive(client, (int)left_ms, &answer, err);
        if (code == BEAMC_E_TIMEOUT) {
            return BEAMC_OK;
        }
        if (!code && answer.kind == BEAMC_ANSWER_PUBLISHED &&
            strcmp(answer.cluster, view->cluster) == 0) {
            take_marks(view, &answer);
            break;
        }
    }
    return code;
}

/* The daemon computes one front at a time, and none beside a best rate: busy means soon. */
static beamc_code get_front(beamc_client *client, const beamctl_settings *s, const char *cluster,
                            beamc_front *front, beamc_error *err)
{
    const int timeout_ms = s->has_timeout ? s->timeout_ms : FRONT_TIMEOUT_MS;
    const int64_t until_ms = now_ms() + timeout_ms;
    for (;;) {
        const int64_t left_ms = until_ms - now_ms();
        const beamc_code code = beamc_front_get(client, cluster, s->points, s->subband,
                                                left_ms > 0 ? (int)left_ms : 0, front, err);
        if (code != BEAMC_E_REFUSED || err->refusal != BEAMC_REFUSAL_BUSY || beamctl_stop ||
            now_ms() + BUSY_TURN_MS >= until_ms) {
            return code;
        }
        poll(NULL, 0, BUSY_TURN_MS);
    }
}

static json_t *point_json(double tradeoff, double wsr, bool crlb_valid, double crlb_m2)
{
    return json_pack("{s:o,s:s,s:o,s:o,s:o}", "tradeoff", beamctl_json_real(tradeoff), "words",
                     beamc_tradeoff_words(tradeoff), "wsr_worst_case_bps_hz",
                     beamctl_json_real(wsr), "crlb_m2",
                     crlb_valid ? beamctl_json_real(crlb_m2) : json_null(), "rms_m",
                     beamctl_json_real(front_rms_m(crlb_valid, crlb_m2)));
}

static void print_json(const front_view *view)
{
    json_t *points = json_array(), *marks = json_array();
    for (size_t k = 0; k < view->point_count; k++) {
        const beamc_front_point *p = &view->points[k];
        json_t *o = point_json(p->tradeoff, p->wsr_worst_case_bps_hz, p->crlb_valid, p->crlb_m2);
        json_object_set_new(o, "f1", beamctl_json_real(p->f1));
        json_object_set_new(o, "f2", beamctl_json_real(p->f2));
        json_array_append_new(points, o);
    }
    for (size_t k = 0; k < view->mark_count; k++) {
        const front_mark *m = &view->marks[k];
        json_t *o = point_json(m->tradeoff, m->wsr_worst_case_bps_hz, m->crlb_valid, m->crlb_m2);
        json_object_set_new(o, "name", beamctl_json_text(m->name));
        json_object_set_new(o, "csi_sequence", beamctl_json_count(m->csi_sequence));
        json_array_append_new(marks, o);
    }
    json_t *o = json_pack(
        "{s:o,s:o,s:o,s:i,s:o,s:o,s:o}", "cluster", beamctl_json_text(view->cluster),
        "csi_sequence", beamctl_json_count(view->csi_sequence), "target_sequence",
        beamctl_json_count(view->target_sequence), "subband", (int)view->subband,
        "wsr_ideal_bps_hz", beamctl_json_real(view->wsr_ideal_bps_hz), "crlb_min_m2",
        beamctl_json_real(view->crlb_min_m2), "solve_ns", beamctl_json_count(view->solve_ns));
    json_object_set_new(o, "points", points);
    json_object_set_new(o, "present", marks);
    beamctl_json_print(o);
}

static void print_point(const char *head, double tradeoff, double wsr, double rms_m)
{
    printf("%s tau %.3f, %-20s %9.4f bit/s/Hz  ", head, tradeoff, beamc_tradeoff_words(tradeoff),
           wsr);
    if (isfinite(rms_m)) {
        printf("rms %.4g m\n", rms_m);
    } else {
        puts("a target cannot be located");
    }
}

static void print_words(const front_view *view, bool table)
{
    int columns, rows;
    char head[48];
    terminal_size(&columns, &rows);
    printf("front of %s, subband %u: CSI %" PRIu64 ", targets %" PRIu64
           ", %zu trade-offs in %.1f ms\n",
           view->cluster, view->subband, view->csi_sequence, view->target_sequence,
           view->point_count, (double)view->solve_ns / 1e6);
    front_draw(stdout, view, columns, rows - 10 < DRAWING_ROWS ? rows - 10 : DRAWING_ROWS);
    const beamc_front_point *first = &view->points[0], *last = &view->points[view->point_count - 1];
    print_point("  C ", first->tradeoff, first->wsr_worst_case_bps_hz,
                front_rms_m(first->crlb_valid, first->crlb_m2));
    print_point("  S ", last->tradeoff, last->wsr_worst_case_bps_hz,
                front_rms_m(last->crlb_valid, last->crlb_m2));
    for (size_t k = 0; k < view->mark_count; k++) {
        const front_mark *m = &view->marks[k];
        snprintf(head, sizeof head, "  %c now%s%s:", front_mark_sign(view, k),
                 m->name[0] ? " " : "", m->name);
        print_point(head, m->tradeoff, m->wsr_worst_case_bps_hz,
                    front_rms_m(m->crlb_valid, m->crlb_m2));
    }
    if (view->mark_count == 0) {
        puts("  no answer yet: the present point is not marked");
    }
    for (size_t k = 0; table && k < view->point_count; k++) {
        const beamc_front_point *p = &view->points[k];
        snprintf(head, sizeof head, "%4zu", k);
        print_point(head, p->tradeoff, p->wsr_worst_case_bps_hz,
                    front_rms_m(p->crlb_valid, p->crlb_m2));
    }
}

static int write_svg(const front_view *view, const char *file)
{
    FILE *out = fopen(file, "we");
    if (!out) {
        return beamctl_failed("%s: %s", file, strerror(errno));
    }
    front_svg(out, view);
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        return beamctl_failed("%s: %s", file, strerror(errno));
    }
    return BEAMCTL_DONE;
}

static int show(const front_view *view, const beamctl_settings *s)
{
    if (view->point_count == 0) {
        return beamctl_failed("the daemon sent a front without points");
    }
    if (s->svg && strcmp(s->svg, "-") == 0) {
        front_svg(stdout, view);
        return BEAMCTL_DONE;
    }
    const int status = s->svg ? write_svg(view, s->svg) : BEAMCTL_DONE;
    if (status == BEAMCTL_DONE && s->json) {
        print_json(view);
    } else if (status == BEAMCTL_DONE) {
        print_words(view, s->table);
    }
    return status;
}

int beamctl_front(const beamctl_settings *s, int argc, char **argv)
{
    (void)argc;
    beamc_client *client;
    beamc_front front;
    beamc_error err;
    static front_view view;
    if (s->svg && strcmp(s->svg, "-") == 0 && s->json) {
        return beamctl_wrong_usage("--svg - and --json both want standard output");
    }
    beamc_code code = beamc_connect(&client, &s->connection, &err);
    if (!code) {
        code = get_front(client, s, argv[1], &front, &err);
    }
    if (!code) {
        take_front(&view, &front, argv[1]);
        code = get_marks(client, s, &view, &err);
    }
    beamc_close(&client);
    return code ? beamctl_fail(&err) : show(&view, s);
}
