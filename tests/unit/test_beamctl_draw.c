/* What beamctl draws: axes, fronts in characters and as SVG, frames of top. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "beamctl_axis.h"
#include "beamctl_front.h"
#include "beamctl_json.h"
#include "beamctl_top.h"

static void check_axis(const axis *a, const double *values, size_t count)
{
    assert_true(isfinite(a->low) && isfinite(a->high) && a->low < a->high);
    assert_true(a->tick_count >= 2 && a->tick_count <= AXIS_TICKS_MAX);
    for (int k = 0; k < a->tick_count; k++) {
        const double place = axis_place(a, a->tick[k]);
        assert_true(place > -1e-6 && place < 1 + 1e-6);
        assert_true(k == 0 || a->tick[k] > a->tick[k - 1]);
        assert_true(fabs(strtod(a->label[k], NULL) - a->tick[k]) <=
                    1e-5 * (a->high - a->low) + 1e-5 * fabs(a->tick[k]));
    }
    for (size_t k = 0; k < count; k++) {
        if (isfinite(values[k])) {
            assert_true(axis_place(a, values[k]) > -1e-9 && axis_place(a, values[k]) < 1 + 1e-9);
        }
    }
}

static void axes_hold_their_values_with_round_ticks(void **state)
{
    (void)state;
    axis a;
    const double plain[] = {6, 18, NAN, 12, INFINITY};
    axis_fit(&a, plain, 5, false, 5);
    check_axis(&a, plain, 5);
    assert_string_equal(a.label[0], "5");
    assert_true(axis_place(&a, a.low) == 0 && fabs(axis_place(&a, a.high) - 1) < 1e-12);
    const double wide[] = {0.004, 90};
    axis_fit(&a, wide, 2, true, 6);
    check_axis(&a, wide, 2);
    assert_true(a.logarithmic);
    assert_true(fabs(axis_place(&a, 0.6) - 0.5) < 1e-9); /* the geometric mean is in the middle */
    axis_fit(&a, wide, 2, false, 6);
    assert_false(a.logarithmic);
    const double signs[] = {-3, 1000};
    axis_fit(&a, signs, 2, true, 6);
    check_axis(&a, signs, 2);
    assert_false(a.logarithmic);
}

/* From the least double to the largest, alone, twice, and none at all. */
static void axes_stand_degenerate_values(void **state)
{
    (void)state;
    static const double values[] = {0, 1, -1, 1e-300, 1e300, 5e-324, 1.0000000001, 1e15, -1e-9};
    axis a;
    for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
        for (int ticks = 2; ticks <= 10; ticks++) {
            const double twice[] = {values[k], values[k]};
            axis_fit(&a, twice, 2, true, ticks);
            check_axis(&a, twice, 2);
            for (size_t m = 0; m < sizeof values / sizeof values[0]; m++) {
                const double pair[] = {values[k], values[m]};
                axis_fit(&a, pair, 2, true, ticks);
                check_axis(&a, pair, 2);
            }
        }
    }
    axis_fit(&a, NULL, 0, true, 5);
    check_axis(&a, NULL, 0);
    const double none[] = {NAN, INFINITY, -INFINITY};
    axis_fit(&a, none, 3, true, 5);
    check_axis(&a, none, 3);
}

static front_view front_of(size_t points, double crlb_first, double crlb_last)
{
    front_view view = {.cluster = "a<b>&\"c", .point_count = points};
    for (size_t k = 0; k < points; k++) {
        const double t = points > 1 ? (double)k / (double)(points - 1) : 0;
        view.points[k] =
            (beamc_front_point){.tradeoff = t,
                                .wsr_worst_case_bps_hz = 18 - 12 * t,
                                .crlb_valid = true,
                                .crlb_m2 = crlb_first * pow(crlb_last / crlb_first, t)};
    }
    view.marks[0] = (front_mark){
        .tradeoff = 0.25, .wsr_worst_case_bps_hz = 14, .crlb_valid = true, .crlb_m2 = crlb_first};
    view.mark_count = 1;
    return view;
}

/* Not inlined: gcc 12 takes the stream's pointer for the local variable's then. */
__attribute__((noinline)) static char *drawn(const front_view *view, int columns, int rows)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    if (columns > 0) {
        front_draw(out, view, columns, rows);
    } else {
        front_svg(out, view);
    }
    fclose(out);
    return text;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) {
        n++;
    }
    return n;
}

static void a_drawing_fits_and_marks_the_ends_and_the_present(void **state)
{
    (void)state;
    static const int sizes[][2] = {{80, 20}, {40, 8}, {200, 60}, {1, 1}, {100000, 100000}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const front_view view = front_of(33, 4, 0.01);
        char *text = drawn(&view, sizes[s][0], sizes[s][1]);
        const int widest = sizes[s][0] < 40 ? 40 : sizes[s][0];
        int lines = 0;
        size_t plot_lines = 0;
        for (char *line = text; *line; line = strchr(line, '\n') + 1) {
            const int length = (int)strcspn(line, "\n");
            const bool axis_title =
                strstr(line, "is better") && strstr(line, "is better") < line + length;
            assert_true(length <= widest || axis_title);
            assert_true(length == 0 || line[length - 1] != ' ');
            plot_lines += length > 11 && (line[11] == '|' || line[11] == '+');
            lines++;
        }
        assert_true(plot_lines >= 8 && plot_lines <= 61);
        const char *plot = strchr(text, '\n'), *end = strstr(text, "+-");
        char *body = strndup(plot, (size_t)(end - plot));
        assert_int_equal(count(body, "C"), 1);
        assert_int_equal(count(body, "S"), 1);
        assert_int_equal(count(body, "O"), 1);
        assert_true(count(body, "*") > 3);
        assert_true(strchr(body, 'C') < strchr(body, 'S')); /* the larger bound stands higher */
        assert_non_null(strstr(text, ", logarithmic"));
        free(body);
        free(text);
    }
}

static void a_picture_escapes_and_names_everything(void **state)
{
    (void)state;
    const front_view view = front_of(33, 4, 0.01);
    char *text = drawn(&view, 0, 0);
    assert_non_null(strstr(text, "cluster a&lt;b&gt;&amp;&quot;c</text>"));
    assert_null(strstr(text, "a<b"));
    assert_int_equal(count(text, "<circle "), 33);
    assert_int_equal(count(text, "</circle>"), 33);
    assert_int_equal(count(text, "<polyline "), 1);
    assert_int_equal(count(text, "<path "), 1);
    assert_non_null(strstr(text, "O now: tau 0.250, mostly communication; 14 bit/s/Hz, rms 2 m"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    free(text);
}

/* By a parser that is not ours. */
static void check_xml(const char *text)
{
    FILE *parser = popen(BEAM_PYTHON " -c 'import sys, xml.etree.ElementTree as t; "
                                     "t.parse(sys.stdin.buffer)'",
                         "w");
    assert_non_null(parser);
    fputs(text, parser);
    assert_int_equal(pclose(parser), 0);
}

static void a_picture_is_xml(void **state)
{
    (void)state;
    front_view view = front_of(33, 4, 0.01);
    strcpy(view.marks[0].name, "<&\x01>\xe9");
    view.points[3].crlb_valid = false;
    char *text = drawn(&view, 0, 0);
    check_xml(text);
    free(text);
    const front_view none = {.cluster = "c"};
    text = drawn(&none, 0, 0);
    check_xml(text);
    free(text);
}

static void what_is_not_finite_is_not_drawn(void **state)
{
    (void)state;
    front_view view = front_of(5, 4, 0.01);
    view.points[1].wsr_worst_case_bps_hz = (double)INFINITY;
    view.points[2].crlb_m2 = (double)NAN;
    view.points[3].crlb_valid = false;
    view.marks[0].crlb_m2 = (double)INFINITY;
    for (int columns = 0; columns <= 80; columns += 80) {
        char *text = drawn(&view, columns, 20);
        assert_null(strstr(text, "nan"));
        assert_null(strstr(text, "inf"));
        free(text);
    }
    const front_view none = {.cluster = "c"};
    for (int columns = 0; columns <= 80; columns += 80) {
        char *text = drawn(&none, columns, 20);
        assert_true(strlen(text) > 200);
        free(text);
    }
}

static void json_has_no_infinities_and_no_bytes_that_are_not_text(void **state)
{
    (void)state;
    json_t *list = json_array();
    const double odd[] = {NAN, INFINITY, -INFINITY};
    for (size_t k = 0; k < 3; k++) {
        json_array_append_new(list, beamctl_json_real(odd[k]));
    }
    json_array_append_new(list, beamctl_json_real(0.5));
    json_array_append_new(list, beamctl_json_count(UINT64_MAX));
    json_array_append_new(list, beamctl_json_count(7));
    json_array_append_new(list, beamctl_json_text("a\xff\"\xc3\xa9"));
    json_array_append_new(list, beamctl_json_text("\xc3\xa9"));
    json_array_append_new(list, beamctl_json_text(NULL));
    char *text = json_dumps(list, JSON_COMPACT);
    assert_string_equal(
        text, "[null,null,null,0.5,\"18446744073709551615\",7,\"a?\\\"??\",\"\xc3\xa9\",null]");
    free(text);
    json_decref(list);
}

/* --- frames of top --- */

static beamc_telemetry telemetry(uint64_t sequence, const beamc_cluster_status *clusters, size_t n)
{
    return (beamc_telemetry){.monotonic_ns = sequence * 500000000U,
                             .sequence = sequence,
                             .interval_s = 0.5,
                             .solutions = 50 * sequence,
                             .csi_received = 60 * sequence,
                             .clusters = clusters,
                             .cluster_count = n};
}

static top_memory memory; /* large */

static void rates_are_those_between_two_messages(void **state)
{
    (void)state;
    beamc_cluster_status clusters[2] = {{.id = "b", .solutions = 10}, {.id = "a", .solutions = 5}};
    memory = (top_memory){.filled = false};
    beamc_telemetry t = telemetry(1, clusters, 2);
    assert_true(top_elapsed_s(&memory, &t) <= 0); /* nothing to compare with */
    assert_true(isnan(top_cluster_rate(&memory, &t, 0)));
    top_remember(&memory, &t);
    clusters[0].solutions = 40;
    strcpy(clusters[1].id, "c"); /* a new one */
    t = telemetry(3, clusters, 2);
    assert_true(fabs(top_elapsed_s(&memory, &t) - 1) < 1e-12);
    assert_true(fabs(top_cluster_rate(&memory, &t, 0) - 30) < 1e-9);
    assert_true(isnan(top_cluster_rate(&memory, &t, 1)));
    clusters[0].solutions = 3; /* registered afresh */
    assert_true(isnan(top_cluster_rate(&memory, &t, 0)));
    t = telemetry(1, clusters, 2); /* another life of the daemon */
    assert_true(top_elapsed_s(&memory, &t) <= 0);
    t = telemetry(4, clusters, 2);
    t.solutions = 1;
    assert_true(top_elapsed_s(&memory, &t) <= 0);
}

static char *frame(const beamc_telemetry *t, top_sort sort, int rows)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    top_draw(out, t, &memory, sort, rows);
    fclose(out);
    return text;
}

/* As many clusters as a daemon can have: those that fit, and how many more. */
static void a_frame_has_no_more_rows_than_fit(void **state)
{
    (void)state;
    static beamc_cluster_status clusters[TOP_CLUSTERS_MAX];
    for (int k = 0; k < TOP_CLUSTERS_MAX; k++) {
        snprintf(clusters[k].id, sizeof clusters[k].id, "cluster-%04d", k);
        clusters[k].latency_p99_us = k;
    }
    const beamc_telemetry t = telemetry(2, clusters, TOP_CLUSTERS_MAX);
    memory = (top_memory){.filled = false};
    for (int rows = 1; rows < 60; rows++) {
        char *text = frame(&t, TOP_SORT_LATENCY, rows);
        const size_t lines = count(text, "\n");
        assert_true(lines <= (size_t)(rows < 12 ? 12 : rows));
        assert_true(rows < 14 || lines == (size_t)rows);
        char more[32];
        snprintf(more, sizeof more, "and %zu more\n", TOP_CLUSTERS_MAX - count(text, "\ncluster-"));
        assert_non_null(strstr(text, more));
        free(text);
    }
    char *all = frame(&t, TOP_SORT_LATENCY, 0);
    assert_int_equal(count(all, "\ncluster-"), TOP_CLUSTERS_MAX);
    assert_true(strstr(all, "cluster-1023") < strstr(all, "cluster-1022"));
    free(all);
}

/* The part that a narrow terminal shows has every number. */
static void a_frame_fits_eighty_columns(void **state)
{
    (void)state;
    beamc_cluster_status clusters[1] = {{.id = "a-cluster-with-a-long-name",
                                         .solutions = 1,
                                         .subbands = 275,
                                         .latency_p50_us = 99999,
                                         .latency_p99_us = 9999999,
                                         .deadlines_missed = UINT64_MAX,
                                         .solved = true,
                                         .wsr_worst_case_bps_hz = 999.1234,
                                         .crlb_valid = true,
                                         .crlb_m2 = 100,
                                         .age_s = 99.94}};
    const beamc_distribution stages[1] = {{"transit_estimate", 999999999, 1e5, 1e6, 1e7, 1e8}};
    const beamc_backend_status backends[1] = {{.backend = BEAMC_BACKEND_NETWORK,
                                               .health = "probing",
                                               .batches = 9999999999,
                                               .problems = 9999999999,
                                               .failures = 999999,
                                               .service_us = 1e6,
                                               .retry_s = 10}};
    beamc_telemetry t = telemetry(1, clusters, 1);
    memory = (top_memory){.filled = false};
    top_remember(&memory, &t);
    t = telemetry(2, clusters, 1);
    t.solutions += 4000000000;
    t.csi_received += 4000000000000;
    t.stages = stages;
    t.backends = backends;
    t.stage_count = t.backend_count = 1;
    char *text = frame(&t, TOP_SORT_ID, 0);
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        const int length = (int)strcspn(line, "\n");
        if (strncmp(line, "a-cluster", 9) == 0) {
            assert_true(length <= 80 + (int)strlen(" boblrbf"));
        } else if (strncmp(line, "per s", 5) != 0) { /* 8 000 000 000 000 a second are not */
            assert_true(length <= 84);
        }
    }
    assert_non_null(strstr(text, " 18.4E "));
    free(text);
}

static void sorts_have_words_and_keys(void **state)
{
    (void)state;
    top_sort sort;
    for (int k = 0; k < TOP_SORTS; k++) {
        assert_true(top_sort_parse(top_sort_text((top_sort)k), &sort) && sort == (top_sort)k);
    }
    assert_false(top_sort_parse("", &sort) || top_sort_parse("ID", &sort));
    assert_int_equal(top_sort_of_key('r'), TOP_SORT_RATE);
    assert_int_equal(top_sort_of_key('q'), TOP_SORTS);
    assert_int_equal(top_sort_of_key(0), TOP_SORTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes_hold_their_values_with_round_ticks),
        cmocka_unit_test(axes_stand_degenerate_values),
        cmocka_unit_test(a_drawing_fits_and_marks_the_ends_and_the_present),
        cmocka_unit_test(a_picture_escapes_and_names_everything),
        cmocka_unit_test(a_picture_is_xml),
        cmocka_unit_test(what_is_not_finite_is_not_drawn),
        cmocka_unit_test(json_has_no_infinities_and_no_bytes_that_are_not_text),
        cmocka_unit_test(rates_are_those_between_two_messages),
        cmocka_unit_test(a_frame_has_no_more_rows_than_fit),
        cmocka_unit_test(a_frame_fits_eighty_columns),
        cmocka_unit_test(sorts_have_words_and_keys),
    };
    return cmocka_run_group_tests_name("beamctl's drawings", tests, NULL, NULL);
}
