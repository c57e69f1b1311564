/* The metrics: every counter is shown under its own name, the text is the format that Prometheus
 * reads (also by promtool, where it is installed: see tests/telemetry.cmake), and the calls that
 * count do so. With the argument --page the page goes to standard output instead. */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "metrics.h"
#include "wire.h"

enum { CLUSTERS = 64, PAGE_BYTES = 1 << 20 };

static beamd_metrics metrics;
static beamd_gauges gauges;
static beamd_cluster_gauge clusters[CLUSTERS];
static char names[CLUSTERS][BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
static char page[PAGE_BYTES + 1];

static size_t render(size_t size)
{
    beamd_text text = {page, size, 0};
    beamd_metrics_render(&metrics, &gauges, &text);
    beamd_metrics_render_clusters(clusters, CLUSTERS, &text);
    if (text.used < size) {
        page[text.used] = 0;
    }
    return text.used;
}

/* A daemon that has done everything once. */
static int fill(void **state)
{
    (void)state;
    memset(&metrics, 0, sizeof metrics);
    gauges = (beamd_gauges){.uptime_s = 12.5,
                            .clusters = CLUSTERS,
                            .clusters_max = 1024,
                            .workers = 2,
                            .cluster_bytes = 123456789,
                            .log_suppressed = 3,
                            .model_name = "a \"quoted\\ name\nin two lines",
                            .model_kind = "mlp",
                            .model_sha256 = "0123",
                            .connections = 4,
                            .connections_max = 4096,
                            .state_age_s = 0.75,
                            .state_bytes = 4096,
                            .zmq_counted = true,
                            .zmq_allocations = 77,
                            .zmq_allocated_bytes = 7777,
                            .gpus = 2};
    for (unsigned k = 0; k < 2; k++) {
        gauges.gpu[k] = (beamd_gpu_gauge){.device = 3 * k,
                                          .in_flight = 1 + k,
                                          .start_s = 1.25,
                                          .respawn_s = 0.5,
                                          .state = k ? BEAMD_GPU_READY : BEAMD_GPU_BACKING_OFF,
                                          .counts = {.starts = 7, .answered = 5 + k}};
        gauges.gpu[k].counts.lost[BEAMD_GPU_LOSS_HANG] = 11 * k;
    }
    for (unsigned b = 0; b < BEAMD_BACKEND_KINDS; b++) {
        gauges.backend[b] = (beamd_backend_gauge){true, b % BEAMD_HEALTHS, 1e-4 * b, 0.5 * b};
    }
    for (unsigned k = 0; k < CLUSTERS; k++) {
        snprintf(names[k], sizeof names[k], "site-%02u.%.*s", k, (int)(k % 50),
                 "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz");
        clusters[k] = (beamd_cluster_gauge){.cluster = names[k],
                                            .solved = k % 8 != 7,
                                            .crlb_valid = k % 3 != 0,
                                            .tradeoff = k / 64.0,
                                            .wsr_worst_case_bps_hz = 10 * sin(k) + 11,
                                            .wsr_ideal_bps_hz = 23.456789 + k,
                                            .crlb_m2 = 1e-3 / (k + 1),
                                            .crlb_min_m2 = 1e-4 / 3,
                                            .age_s = 0.001 * k,
                                            .power_slack_w = k % 2 ? 1.0 / 3 : -1e-17,
                                            .users = k,
                                            .subbands = 1,
                                            .csi_age_s = 0.002,
                                            .solutions = 1000 + k};
    }
    for (unsigned k = 0; k < 3000; k++) {
        const beamd_counted_answer a = {.stage_ns = {1000 * k, 20000, 300000 + k, 40000, 5000},
                                        .size_class = k % 9,
                                        .backend = k % 6,
                                        .service = k % 5,
                                        .late = k % 10 == 0,
                                        .has_transit = k % 2,
                                        .transit_estimate_ns = 100 * k};
        beamd_metrics_count_answer(&metrics, &a);
        beamd_metrics_count_batch(&metrics, k % 6, 1 + k % 300, 1000000, k % 100 == 0);
    }
    return 0;
}

/* --- the format --- */

typedef struct family {
    char name[128], type[16];
    size_t samples;
} family;

static family families[256];
static size_t family_count;

static bool ends_in(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void check_name(const char *name)
{
    assert_int_equal(strncmp(name, "beamd_", 6), 0);
    for (const char *c = name; *c; c++) {
        assert_true(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
    }
    static const char *const wrong[] = {
        "_ns",     "_us",  "_ms", "_w", "_s", "_milliseconds", "_count", "_seconds_total_total",
        "_bucket", "_sum", "_kib"};
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        assert_false(ends_in(name, wrong[k]));
    }
}

/* "# HELP name text" and then "# TYPE name type", each name once. */
static void check_head(const char *line, bool *helped)
{
    if (strncmp(line, "# HELP ", 7) == 0) {
        assert_false(*helped);
        family *f = &families[family_count];
        assert_int_equal(sscanf(line + 7, "%127s", f->name), 1);
        assert_true(strlen(line) > 7 + strlen(f->name) + 3);
        for (size_t k = 0; k < family_count; k++) {
            assert_string_not_equal(families[k].name, f->name);
        }
        check_name(f->name);
        f->samples = 0;
        *helped = true;
        return;
    }
    assert_true(*helped);
    family *f = &families[family_count++];
    char name[128];
    assert_int_equal(sscanf(line, "# TYPE %127s %15s", name, f->type), 2);
    assert_string_equal(name, f->name);
    assert_int_equal(strcmp(f->type, "counter") == 0, ends_in(name, "_total"));
    assert_true(strcmp(f->type, "counter") == 0 || strcmp(f->type, "gauge") == 0 ||
                strcmp(f->type, "histogram") == 0);
    *helped = false;
}

/* name or name{label="value",...}: returns the length. */
static size_t check_series(const char *line, const family *f)
{
    size_t n = strcspn(line, "{ ");
    const size_t base = strlen(f->name);
    assert_int_equal(strncmp(line, f->name, base), 0);
    char suffix[16] = "";
    snprintf(suffix, sizeof suffix, "%.*s", (int)(n - base), line + base);
    if (strcmp(f->type, "histogram") == 0) {
        assert_true(strcmp(suffix, "_bucket") == 0 || strcmp(suffix, "_sum") == 0 ||
                    strcmp(suffix, "_count") == 0);
    } else {
        assert_string_equal(suffix, "");
    }
    if (line[n] == ' ') {
        return n;
    }
    do {
        n++;
        const size_t label = strspn(line + n, "abcdefghijklmnopqrstuvwxyz0123456789_");
        assert_true(label > 0);
        n += label;
        assert_int_equal(strncmp(line + n, "=\"", 2), 0);
        for (n += 2; line[n] != '"'; n++) {
            assert_true(line[n] != 0);
            n += line[n] == '\\';
        }
        n++;
    } while (line[n] == ',');
    assert_int_equal(line[n], '}');
    return n + 1;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void the_page_is_well_formed(void **state)
{
    (void)state;
    assert_true(render(PAGE_BYTES) < PAGE_BYTES);
    static char copy[PAGE_BYTES + 1];
    static const char *series[20000];
    size_t series_count = 0;
    memcpy(copy, page, sizeof copy);
    family_count = 0;
    bool helped = false;
    assert_int_equal(copy[strlen(copy) - 1], '\n');
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
        if (line[0] == '#') {
            check_head(line, &helped);
            continue;
        }
        assert_true(!helped && family_count > 0);
        family *f = &families[family_count - 1];
        const size_t n = check_series(line, f);
        assert_int_equal(line[n], ' ');
        char *end;
        const double value = strtod(line + n + 1, &end);
        assert_true(*end == 0 && end != line + n + 1 && !isnan(value));
        assert_true(value >= 0 || strcmp(f->type, "gauge") == 0);
        line[n] = 0;
        series[series_count++] = line;
        f->samples++;
    }
    for (size_t k = 0; k < family_count; k++) {
        assert_true(families[k].samples > 0);
    }
    qsort(series, series_count, sizeof series[0], by_text);
    for (size_t k = 1; k < series_count; k++) {
        assert_string_not_equal(series[k - 1], series[k]);
    }
    print_message("%zu bytes, %zu metrics, %zu series\n", strlen(page), family_count, series_count);
    assert_true(series_count > 1500);
}

static double sample(const char *name)
{
    const size_t n = strlen(name);
    for (const char *line = page; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, n) == 0 && line[n] == ' ') {
            return strtod(line + n + 1, NULL);
        }
    }
    fail_msg("no sample %s", name);
    return 0;
}

static void histograms_add_up(void **state)
{
    (void)state;
    render(PAGE_BYTES);
    static const char *const of[] = {"beamd_stage_seconds%s{stage=\"total\"%s}",
                                     "beamd_stage_seconds%s{stage=\"check\"%s}",
                                     "beamd_class_seconds%s{class=\"4096\"%s}",
                                     "beamd_backend_seconds%s{backend=\"none\"%s}",
                                     "beamd_service_seconds%s{service=\"held\"%s}",
                                     "beamd_late_seconds%s{%s}",
                                     "beamd_transit_estimate_seconds%s{%s}"};
    static const double counts[] = {3000, 3000, 333, 1000, 600, 300, 1500};
    for (size_t k = 0; k < sizeof of / sizeof of[0]; k++) {
        const bool bare = strstr(of[k], "{%s") != NULL;
        char name[160], le[32];
        double before = 0;
        for (int octave = 0; octave <= 27; octave++) {
            snprintf(le, sizeof le, "%sle=\"%.9g\"", bare ? "" : ",", 1e-6 * pow(2, octave));
            if (octave == 27) {
                snprintf(le, sizeof le, "%sle=\"+Inf\"", bare ? "" : ",");
            }
            snprintf(name, sizeof name, of[k], "_bucket", le);
            const double now = sample(name);
            assert_true(now >= before);
            before = now;
        }
        snprintf(name, sizeof name, of[k], "_count", "");
        if (bare) {
            *strchr(name, '{') = 0;
        }
        assert_true(sample(name) == before && before == counts[k]);
    }
    /* stage by stage, the sums are the total's */
    double sum = 0;
    static const char *const stages[] = {"decode", "queue", "solve", "check", "send"};
    for (int s = 0; s < 5; s++) {
        char name[96];
        snprintf(name, sizeof name, "beamd_stage_seconds_sum{stage=\"%s\"}", stages[s]);
        sum += sample(name);
    }
    assert_true(fabs(sum - sample("beamd_stage_seconds_sum{stage=\"total\"}")) < 1e-9);
}

/* Each counter of the struct gets a number of its own, and all of them are on the page. */
static void nothing_that_is_counted_is_left_out(void **state)
{
    (void)state;
    uint64_t *const count = (uint64_t *)&metrics;
    const size_t counts = offsetof(beamd_metrics, stage) / sizeof(uint64_t);
    for (size_t k = 0; k < counts; k++) {
        count[k] = 7000000000 + 1000 * k;
    }
    render(PAGE_BYTES);
    size_t missing = 0;
    for (size_t k = 0; k < counts; k++) {
        char text[32];
        snprintf(text, sizeof text, " %llu\n", (unsigned long long)count[k]);
        const uint64_t *at = &count[k];
        const bool elsewhere = /* shown as seconds, summed over sizes, or not a reason */
            (at >= metrics.backend_busy_ns && at < metrics.backend_busy_ns + BEAMD_BACKEND_KINDS) ||
            (at > metrics.batch_sizes && at < metrics.batch_sizes + BEAMD_BATCH_SIZES) ||
            at == &metrics.fallbacks[0];
        if (!elsewhere && !strstr(page, text)) {
            print_message("counter %zu of the struct is not shown\n", k);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
    assert_true(fabs(sample("beamd_backend_busy_seconds_total{backend=\"solver\"}") -
                     1e-9 * (double)metrics.backend_busy_ns[2]) < 1e-9);
    uint64_t batches = 0;
    for (int k = 0; k < BEAMD_BATCH_SIZES; k++) {
        batches += metrics.batch_sizes[k];
    }
    assert_true(sample("beamd_batch_problems_count") == (double)batches);
}

/* Every metric has a line in a table of docs/metrics.md with its type and help, and every
 * line there is a metric. */
static void the_manual_has_every_metric(void **state)
{
    (void)state;
    static char manual[1 << 16];
    FILE *f = fopen(BEAM_DOCS "/metrics.md", "r");
    assert_non_null(f);
    const size_t bytes = fread(manual, 1, sizeof manual - 1, f);
    manual[bytes] = 0;
    fclose(f);
    render(PAGE_BYTES);
    size_t shown = 0, described = 0;
    for (const char *at = page; (at = strstr(at, "# HELP ")); at++) {
        char name[128], help[256], type[16], line[512];
        assert_int_equal(sscanf(at, "# HELP %127s %255[^\n]\n# TYPE %*s %15s", name, help, type),
                         3);
        snprintf(line, sizeof line, "| `%s` |", name);
        const char *row = strstr(manual, line);
        snprintf(line, sizeof line, "| %s | %s |\n", type, help);
        const char *rest = row ? strstr(row, line) : NULL;
        if (!rest || rest > strchr(row, '\n')) {
            fail_msg("docs/metrics.md: no line for %s ending in %s", name, line);
        }
        shown++;
    }
    for (const char *at = manual; (at = strstr(at, "\n| `beamd_")); at++) {
        described++;
    }
    assert_int_equal(shown, described);
}

/* A list of words that is shorter or longer than the schema's would count under wrong names. */
static void the_lists_are_those_of_the_schema(void **state)
{
    (void)state;
    assert_int_equal(BEAMD_ERROR_CODES, beamd__error_code__descriptor.n_values);
    assert_int_equal(BEAMD_METHODS, beamd__method__descriptor.n_values);
    assert_int_equal(BEAMD_SOLVE_STATUSES, beamd__solve_status__descriptor.n_values);
    assert_int_equal(BEAMD_BACKEND_KINDS, beamd__backend__descriptor.n_values);
    assert_int_equal(BEAMD_SERVICE_KINDS, beamd__service__descriptor.n_values);
    assert_string_not_equal(beam_wire_type_name(BEAMD_REQUEST_TYPES - 1), "unknown");
    assert_string_equal(beam_wire_type_name(BEAMD_REQUEST_TYPES), "unknown");
}

static void answers_are_counted_once_in_each_breakdown(void **state)
{
    (void)state;
    memset(&metrics, 0, sizeof metrics);
    beamd_counted_answer a = {.stage_ns = {1000, 2000, 3000, 4000, 5000},
                              .size_class = beamd_size_class(3, 8, 6, 1),
                              .backend = BEAMD__BACKEND__BACKEND_SOLVER,
                              .service = BEAMD__SERVICE__SERVICE_REDUCED};
    beamd_metrics_count_answer(&metrics, &a);
    assert_int_equal(metrics.answers[BEAMD__SERVICE__SERVICE_REDUCED], 1);
    assert_int_equal(metrics.deadlines_missed, 0);
    assert_int_equal(metrics.stage[BEAMD_STAGE_TOTAL].head.sum_ns, 15000);
    assert_int_equal(metrics.stage[BEAMD_STAGE_CHECK].head.sum_ns, 4000);
    assert_int_equal(metrics.total_by_class[1].head.max_ns, 15000);
    assert_int_equal(metrics.total_by_backend[BEAMD__BACKEND__BACKEND_SOLVER].head.count, 1);
    assert_int_equal(metrics.total_by_service[BEAMD__SERVICE__SERVICE_REDUCED].head.count, 1);
    assert_int_equal(metrics.total_late.head.count, 0);
    assert_int_equal(metrics.transit_estimate.head.count, 0);
    a.late = a.has_transit = true;
    a.size_class = a.backend = a.service = 1000; /* beyond every list: counted all the same */
    beamd_metrics_count_answer(&metrics, &a);
    assert_int_equal(metrics.late[0], 1);
    assert_int_equal(metrics.deadlines_missed, 1);
    assert_int_equal(metrics.total_by_class[BEAMD_SIZE_CLASSES - 1].head.count, 1);
    assert_int_equal(metrics.total_late.head.count, 1);
    assert_int_equal(metrics.transit_estimate.head.count, 1);
    beamd_metrics_count_unsolicited(&metrics, BEAMD__SERVICE__SERVICE_REDUCED);
    assert_int_equal(metrics.answers[BEAMD__SERVICE__SERVICE_REDUCED], 2);
    assert_int_equal(metrics.stage[BEAMD_STAGE_TOTAL].head.count, 2);
}

static void classes_and_sizes_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(beamd_size_class(1, 1, 1, 1), 0);
    assert_int_equal(beamd_size_class(4, 4, 4, 1), 0);
    assert_int_equal(beamd_size_class(5, 13, 1, 1), 1);
    assert_int_equal(beamd_size_class(4, 64, 16, 1), 3);
    assert_int_equal(beamd_size_class(4, 64, 16, 64), 6);
    assert_int_equal(beamd_size_class(16, 256, 128, 275), BEAMD_SIZE_CLASSES - 1);
    assert_int_equal(beamd_size_class(UINT32_MAX, 1, 1, UINT32_MAX), BEAMD_SIZE_CLASSES - 1);
    memset(&metrics, 0, sizeof metrics);
    static const struct {
        unsigned problems, size;
    } cases[] = {{0, 0}, {1, 0},   {2, 1},   {3, 2},   {4, 2},
                 {5, 3}, {128, 7}, {129, 8}, {256, 8}, {1000, 8}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const uint64_t before = metrics.batch_sizes[cases[k].size];
        beamd_metrics_count_batch(&metrics, 1, cases[k].problems, 5, k == 3);
        assert_int_equal(metrics.batch_sizes[cases[k].size], before + 1);
    }
    assert_int_equal(metrics.batches[1], 10);
    assert_int_equal(metrics.problems[1], 1528);
    assert_int_equal(metrics.batch_failures[1], 1);
    assert_int_equal(metrics.backend_busy_ns[1], 50);
}

/* A text that is too small holds its beginning, and the length is that of all. */
static void a_small_text_is_not_overrun(void **state)
{
    (void)state;
    const size_t all = render(PAGE_BYTES);
    static char whole[PAGE_BYTES];
    memcpy(whole, page, all);
    for (size_t size = 0; size < all; size += 997) {
        memset(page, '#', all + 1);
        assert_int_equal(render(size), all);
        assert_memory_equal(page, whole, size);
        assert_int_equal(page[size], '#');
    }
    beamd_text none = {NULL, 0, 0};
    beamd_metrics_render(&metrics, &gauges, &none);
    beamd_metrics_render_clusters(clusters, CLUSTERS, &none);
    assert_int_equal(none.used, all);
}

static void every_gpu_is_shown(void **state)
{
    (void)state;
    beamd_text text = {page, PAGE_BYTES, 0};
    beamd_metrics_render(&metrics, &gauges, &text);
    page[text.used] = 0;
    static const char *const lines[] = {"beamd_gpu_state{device=\"0\",state=\"backing-off\"} 1\n",
                                        "beamd_gpu_state{device=\"0\",state=\"ready\"} 0\n",
                                        "beamd_gpu_state{device=\"3\",state=\"ready\"} 1\n",
                                        "beamd_gpu_in_flight{device=\"3\"} 2\n",
                                        "beamd_gpu_respawn_seconds{device=\"0\"} 0.5\n",
                                        "beamd_gpu_starts_total{device=\"0\"} 7\n",
                                        "beamd_gpu_answered_total{device=\"3\"} 6\n",
                                        "beamd_gpu_lost_total{device=\"3\",reason=\"hang\"} 11\n",
                                        "beamd_gpu_lost_total{device=\"0\",reason=\"hang\"} 0\n"};
    for (size_t k = 0; k < sizeof lines / sizeof lines[0]; k++) {
        assert_non_null(strstr(page, lines[k]));
    }
}

static void what_is_not_known_is_not_shown(void **state)
{
    (void)state;
    gauges.model_name = NULL;
    gauges.zmq_counted = false;
    gauges.state_age_s = -1;
    gauges.backend[BEAMD__BACKEND__BACKEND_GPU].present = false;
    gauges.gpus = 0;
    beamd_text text = {page, PAGE_BYTES, 0};
    beamd_metrics_render(&metrics, &gauges, &text);
    beamd_metrics_render_clusters(clusters, 0, &text);
    page[text.used] = 0;
    assert_null(strstr(page, "model_info"));
    assert_null(strstr(page, "zmq_alloc"));
    assert_null(strstr(page, "state_age"));
    assert_null(strstr(page, "cluster=\""));
    assert_null(strstr(page, "backend_health{backend=\"gpu\""));
    assert_null(strstr(page, "beamd_gpu_state"));
    assert_non_null(
        strstr(page, "beamd_backend_health{backend=\"solver\",health=\"probing\"} 1\n"));
}

/* Said; the test is that it does not grow with more than the number of clusters. */
static void rendering_is_quick(void **state)
{
    (void)state;
    double best[2] = {INFINITY, INFINITY};
    for (int round = 0; round < 20; round++) {
        for (int half = 0; half < 2; half++) {
            struct timespec a, b;
            beamd_text text = {page, PAGE_BYTES, 0};
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
            if (half == 0) {
                beamd_metrics_render(&metrics, &gauges, &text);
            }
            beamd_metrics_render_clusters(clusters, half ? CLUSTERS / 2 : CLUSTERS, &text);
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
            best[half] = fmin(best[half], 1e6 * (double)(b.tv_sec - a.tv_sec) +
                                              1e-3 * (double)(b.tv_nsec - a.tv_nsec));
        }
    }
    struct timespec a, b;
    const beamd_counted_answer answer = {.stage_ns = {3000, 20000, 300000, 40000, 5000},
                                         .has_transit = true,
                                         .transit_estimate_ns = 30000};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    for (unsigned k = 0; k < 100000; k++) {
        beamd_metrics_count_answer(&metrics, &answer);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    print_message("counting an answer: %.0f ns\n",
                  1e-5 * (1e9 * (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec)));
    print_message("the page of %d clusters: %.0f us; %d of them alone: %.0f us\n", CLUSTERS,
                  best[0], CLUSTERS / 2, best[1]);
    assert_true(best[0] < 50000);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--page") == 0) {
        fill(NULL);
        const size_t bytes = render(PAGE_BYTES);
        return fwrite(page, 1, bytes, stdout) == bytes ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_page_is_well_formed, fill),
        cmocka_unit_test_setup(histograms_add_up, fill),
        cmocka_unit_test_setup(nothing_that_is_counted_is_left_out, fill),
        cmocka_unit_test_setup(the_manual_has_every_metric, fill),
        cmocka_unit_test(the_lists_are_those_of_the_schema),
        cmocka_unit_test(answers_are_counted_once_in_each_breakdown),
        cmocka_unit_test(classes_and_sizes_are_bounded),
        cmocka_unit_test_setup(a_small_text_is_not_overrun, fill),
        cmocka_unit_test_setup(every_gpu_is_shown, fill),
        cmocka_unit_test_setup(what_is_not_known_is_not_shown, fill),
        cmocka_unit_test_setup(rendering_is_quick, fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
