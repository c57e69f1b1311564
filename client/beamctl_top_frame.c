/* What a frame of beamctl top says. */
#include "beamctl_top.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "beamctl_status.h"

static const struct {
    const char *word;
    char key;
} SORTS[TOP_SORTS] = {{"id", 'i'},  {"rate", 'r'}, {"latency", 'l'}, {"missed", 'm'},
                      {"wsr", 'w'}, {"rms", 'b'},  {"age", 'a'}};

const char *top_sort_text(top_sort sort)
{
    return SORTS[sort].word;
}

bool top_sort_parse(const char *text, top_sort *out)
{
    for (int k = 0; k < TOP_SORTS; k++) {
        if (strcmp(SORTS[k].word, text) == 0) {
            *out = (top_sort)k;
            return true;
        }
    }
    return false;
}

top_sort top_sort_of_key(char key)
{
    int k = 0;
    while (k < TOP_SORTS && SORTS[k].key != key) {
        k++;
    }
    return (top_sort)k;
}

static top_counts counts_of(const beamc_telemetry *t)
{
    return (top_counts){t->csi_received, t->solutions, t->reduced,    t->checked,
                        t->held,         t->late,      t->superseded, t->errors};
}

static int by_id(const void *a, const void *b)
{
    return strcmp(a, b); /* the id is the first member */
}

void top_remember(top_memory *self, const beamc_telemetry *t)
{
    self->filled = true;
    self->monotonic_ns = t->monotonic_ns;
    self->sequence = t->sequence;
    self->counts = counts_of(t);
    self->cluster_count = t->cluster_count < TOP_CLUSTERS_MAX ? t->cluster_count : TOP_CLUSTERS_MAX;
    for (size_t k = 0; k < self->cluster_count; k++) {
        memcpy(self->clusters[k].id, t->clusters[k].id, sizeof self->clusters[k].id);
        self->clusters[k].solutions = t->clusters[k].solutions;
    }
    qsort(self->clusters, self->cluster_count, sizeof self->clusters[0], by_id);
    self->backend_count = t->backend_count < TOP_BACKENDS_MAX ? t->backend_count : TOP_BACKENDS_MAX;
    for (size_t k = 0; k < self->backend_count; k++) {
        self->backends[k].backend = t->backends[k].backend;
        self->backends[k].problems = t->backends[k].problems;
    }
}

double top_elapsed_s(const top_memory *self, const beamc_telemetry *t)
{
    const bool same_life = self->filled && t->monotonic_ns > self->monotonic_ns &&
                           t->sequence > self->sequence && t->solutions >= self->counts.solutions &&
                           t->csi_received >= self->counts.csi_received;
    return same_life ? (double)(t->monotonic_ns - self->monotonic_ns) * 1e-9 : 0;
}

static double rate(uint64_t now, uint64_t before, double elapsed_s)
{
    return elapsed_s > 0 && now >= before ? (double)(now - before) / elapsed_s : NAN;
}

double top_cluster_rate(const top_memory *self, const beamc_telemetry *t, size_t cluster)
{
    const beamc_cluster_status *c = &t->clusters[cluster];
    for (size_t low = 0, high = self->cluster_count; low < high;) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(c->id, self->clusters[middle].id);
        if (order == 0) {
            return rate(c->solutions, self->clusters[middle].solutions, top_elapsed_s(self, t));
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NAN;
}

static double backend_rate(const top_memory *self, const beamc_telemetry *t, size_t backend)
{
    for (size_t k = 0; k < self->backend_count; k++) {
        if (self->backends[k].backend == t->backends[backend].backend) {
            return rate(t->backends[backend].problems, self->backends[k].problems,
                        top_elapsed_s(self, t));
        }
    }
    return NAN;
}

typedef struct ranked {
    size_t cluster;
    double key; /* largest first, NAN last */
    const char *id;
} ranked;

static int by_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (isnan(x->key) != isnan(y->key)) {
        return isnan(x->key) ? 1 : -1;
    }
    if (x->key > y->key || x->key < y->key) {
        return x->key > y->key ? -1 : 1;
    }
    return strcmp(x->id, y->id);
}

static double rank_key(const beamc_telemetry *t, const top_memory *before, top_sort sort, size_t k)
{
    const beamc_cluster_status *c = &t->clusters[k];
    switch (sort) {
    case TOP_SORT_RATE:
        return top_cluster_rate(before, t, k);
    case TOP_SORT_LATENCY:
        return c->latency_p99_us;
    case TOP_SORT_MISSED:
        return (double)c->deadlines_missed;
    case TOP_SORT_WSR:
        return c->solved ? -c->wsr_worst_case_bps_hz : NAN;
    case TOP_SORT_RMS:
        return !c->solved ? NAN : c->crlb_valid ? c->crlb_m2 : INFINITY;
    case TOP_SORT_AGE:
        return c->solved ? c->age_s : NAN;
    default:
        return 0;
    }
}

/* NULL without clusters, or without memory. */
static ranked *rank(const beamc_telemetry *t, const top_memory *before, top_sort sort)
{
    ranked *list = t->cluster_count ? calloc(t->cluster_count, sizeof *list) : NULL;
    for (size_t k = 0; list && k < t->cluster_count; k++) {
        list[k] = (ranked){k, rank_key(t, before, sort, k), t->clusters[k].id};
    }
    if (list) {
        qsort(list, t->cluster_count, sizeof *list, by_rank);
    }
    return list;
}

/* A number in a column, "-" where there is none. */
static void cell(FILE *out, int width, int digits, double value)
{
    if (isfinite(value)) {
        fprintf(out, " %*.*f", width, digits, value);
    } else {
        fprintf(out, " %*s", width, "-");
    }
}

/* Up to seven digits as they are, then three or four and a unit. */
static void count_cell(FILE *out, int width, uint64_t count)
{
    double scaled = (double)count;
    const char *unit = "kMGTPE";
    if (count < 10000000) {
        fprintf(out, " %*" PRIu64, width, count);
        return;
    }
    for (scaled /= 1e3; scaled >= 999.95; scaled /= 1e3) {
        unit++;
    }
    fprintf(out, " %*.1f%c", width - 1, scaled, *unit);
}

static void draw_head(FILE *out, const beamc_telemetry *t, const top_memory *before)
{
    const long up_s = (long)fmin(fmax(t->uptime_s, 0), 1e9);
    fprintf(
        out,
        "beamd %s, up %ld:%02ld:%02ld, %u workers, %u solving, %u waiting; times: last %.3g s%s\n",
        t->draining ? "DRAINING" : "serving", up_s / 3600, up_s / 60 % 60, up_s % 60, t->workers,
        t->solving, t->queue_depth, t->interval_s,
        before->filled && top_elapsed_s(before, t) <= 0 ? "; restarted" : "");
}

static void draw_rates(FILE *out, const beamc_telemetry *t, const top_memory *before)
{
    const top_counts n = counts_of(t), *b = &before->counts;
    const double s = top_elapsed_s(before, t);
    const uint64_t full_now = n.solutions - n.reduced - n.checked - n.held,
                   full_before = b->solutions - b->reduced - b->checked - b->held;
    const struct {
        const char *word;
        uint64_t now, before;
    } rows[] = {{"CSI", n.csi_received, b->csi_received},
                {"answers", n.solutions, b->solutions},
                {"full", full_now, full_before},
                {"reduced", n.reduced, b->reduced},
                {"checked", n.checked, b->checked},
                {"held", n.held, b->held},
                {"late", n.late, b->late},
                {"replaced", n.superseded, b->superseded},
                {"errors", n.errors, b->errors}};
    enum { ROWS = sizeof rows / sizeof rows[0] };
    static const int width[ROWS] = {7, 7, 7, 7, 7, 7, 7, 8, 7}; /* fits 80 columns */
    fprintf(out, "%-5s", "");
    for (int k = 0; k < ROWS; k++) {
        fprintf(out, " %*s", width[k], rows[k].word);
    }
    fprintf(out, "\n%-5s", "per s");
    for (int k = 0; k < ROWS; k++) {
        cell(out, width[k], 1, rate(rows[k].now, rows[k].before, s));
    }
    fprintf(out, "\n%-5s", "total");
    for (int k = 0; k < ROWS; k++) {
        count_cell(out, width[k], rows[k].now);
    }
    fputc('\n', out);
}

static void draw_stages(FILE *out, const beamc_telemetry *t)
{
    fprintf(out, "\n%-17s %9s %10s %10s %10s %10s\n", "stage, us", "count", "p50", "p99", "p99.9",
            "max");
    for (size_t k = 0; k < t->stage_count; k++) {
        const beamc_distribution *d = &t->stages[k];
        const double none = d->count ? 0 : NAN; /* no percentile of nothing */
        fprintf(out, "%-17s %9" PRIu64, d->stage, d->count);
        cell(out, 10, 1, d->p50_us + none);
        cell(out, 10, 1, d->p99_us + none);
        cell(out, 10, 1, d->p999_us + none);
        cell(out, 10, 1, d->max_us + none);
        fputc('\n', out);
    }
}

static void draw_backends(FILE *out, const beamc_telemetry *t, const top_memory *before)
{
    fprintf(out, "\n%-9s %-8s %11s %10s %10s %9s %11s\n", "backend", "health", "problems/s",
            "batches", "failures", "us each", "retry in s");
    for (size_t k = 0; k < t->backend_count; k++) {
        const beamc_backend_status *b = &t->backends[k];
        fprintf(out, "%-9s %-8s", beamc_backend_text(b->backend), b->health);
        cell(out, 11, 1, backend_rate(before, t, k));
        fprintf(out, " %10" PRIu64 " %10" PRIu64, b->batches, b->failures);
        cell(out, 9, 1, b->problems ? b->service_us : NAN);
        cell(out, 11, 1, strcmp(b->health, "good") == 0 ? NAN : b->retry_s);
        fputc('\n', out);
    }
}

static void draw_cluster(FILE *out, const beamc_telemetry *t, const top_memory *before, size_t k)
{
    const beamc_cluster_status *c = &t->clusters[k];
    fprintf(out, "%-12.12s %3u %5.3f", c->id, c->subbands ? c->subbands : 1,
            c->preference.tradeoff);
    cell(out, 7, 1, top_cluster_rate(before, t, k));
    cell(out, 7, 0, c->latency_p50_us);
    cell(out, 7, 0, c->latency_p99_us);
    count_cell(out, 7, c->deadlines_missed);
    cell(out, 8, 4, c->solved ? c->wsr_worst_case_bps_hz : NAN);
    cell(out, 7, 4, c->solved && c->crlb_valid ? sqrt(c->crlb_m2) : NAN);
    cell(out, 5, 1, c->solved ? c->age_s : NAN);
    fprintf(out, " %s\n", c->solved ? beamc_method_text(c->method) : "no answer yet");
}

void top_draw(FILE *out, const beamc_telemetry *t, const top_memory *before, top_sort sort,
              int rows)
{
    draw_head(out, t, before);
    draw_rates(out, t, before);
    draw_stages(out, t);
    draw_backends(out, t, before);
    fprintf(out, "\n%-12s %3s %5s %7s %7s %7s %7s %8s %7s %5s %s\n", "cluster", "sub", "tau",
            "answ/s", "p50 us", "p99 us", "missed", "rate", "rms m", "age s", "method");
    ranked *list = rank(t, before, sort);
    const int used = 8 + (int)t->stage_count + (int)t->backend_count + 2;
    const size_t room = rows <= 0 ? t->cluster_count : rows > used + 1 ? (size_t)(rows - used) : 1;
    const size_t shown = !list ? 0 : t->cluster_count <= room ? t->cluster_count : room - 1;
    for (size_t k = 0; k < shown; k++) {
        draw_cluster(out, t, before, list[k].cluster);
    }
    if (shown < t->cluster_count) {
        fprintf(out, "and %zu more\n", t->cluster_count - shown);
    }
    free(list);
}

static json_t *rates_json(const beamc_telemetry *t, const top_memory *before)
{
    const double s = top_elapsed_s(before, t);
    const top_counts n = counts_of(t), *b = &before->counts;
    if (s <= 0) {
        return json_null();
    }
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "elapsed_s", beamctl_json_real(s),
                     "csi_received", beamctl_json_real(rate(n.csi_received, b->csi_received, s)),
                     "solutions", beamctl_json_real(rate(n.solutions, b->solutions, s)), "reduced",
                     beamctl_json_real(rate(n.reduced, b->reduced, s)), "checked",
                     beamctl_json_real(rate(n.checked, b->checked, s)), "held",
                     beamctl_json_real(rate(n.held, b->held, s)), "late",
                     beamctl_json_real(rate(n.late, b->late, s)), "superseded",
                     beamctl_json_real(rate(n.superseded, b->superseded, s)), "errors",
                     beamctl_json_real(rate(n.errors, b->errors, s)));
}

static json_t *stages_json(const beamc_telemetry *t)
{
    json_t *list = json_array();
    for (size_t k = 0; k < t->stage_count; k++) {
        const beamc_distribution *d = &t->stages[k];
        json_array_append_new(
            list,
            json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "stage", beamctl_json_text(d->stage), "count",
                      beamctl_json_count(d->count), "p50_us", beamctl_json_real(d->p50_us),
                      "p99_us", beamctl_json_real(d->p99_us), "p999_us",
                      beamctl_json_real(d->p999_us), "max_us", beamctl_json_real(d->max_us)));
    }
    return list;
}

static json_t *backends_json(const beamc_telemetry *t, const top_memory *before)
{
    json_t *list = json_array();
    for (size_t k = 0; k < t->backend_count; k++) {
        const beamc_backend_status *b = &t->backends[k];
        json_array_append_new(
            list,
            json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "backend",
                      beamc_backend_text(b->backend), "health", beamctl_json_text(b->health),
                      "batches", beamctl_json_count(b->batches), "problems",
                      beamctl_json_count(b->problems), "failures", beamctl_json_count(b->failures),
                      "problems_per_s", beamctl_json_real(backend_rate(before, t, k)), "service_us",
                      beamctl_json_real(b->service_us), "retry_s", beamctl_json_real(b->retry_s)));
    }
    return list;
}

static json_t *clusters_json(const beamc_telemetry *t, const top_memory *before, top_sort sort)
{
    json_t *list = json_array();
    ranked *order = rank(t, before, sort);
    for (size_t k = 0; order && k < t->cluster_count; k++) {
        json_t *o = beamctl_json_cluster(&t->clusters[order[k].cluster]);
        json_object_set_new(o, "solutions_per_s",
                            beamctl_json_real(top_cluster_rate(before, t, order[k].cluster)));
        json_array_append_new(list, o);
    }
    free(order);
    return list;
}

json_t *top_json(const beamc_telemetry *t, const top_memory *before, top_sort sort)
{
    json_t *o = json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:b,s:i,s:i,s:i}", "sequence", beamctl_json_count(t->sequence),
        "monotonic_ns", beamctl_json_count(t->monotonic_ns), "unix_ns",
        beamctl_json_count(t->unix_ns), "interval_s", beamctl_json_real(t->interval_s), "uptime_s",
        beamctl_json_real(t->uptime_s), "draining", (int)t->draining, "queue_depth",
        (int)t->queue_depth, "solving", (int)t->solving, "workers", (int)t->workers);
    json_object_set_new(o, "csi_received", beamctl_json_count(t->csi_received));
    json_object_set_new(o, "solutions", beamctl_json_count(t->solutions));
    json_object_set_new(o, "reduced", beamctl_json_count(t->reduced));
    json_object_set_new(o, "checked", beamctl_json_count(t->checked));
    json_object_set_new(o, "held", beamctl_json_count(t->held));
    json_object_set_new(o, "late", beamctl_json_count(t->late));
    json_object_set_new(o, "superseded", beamctl_json_count(t->superseded));
    json_object_set_new(o, "errors", beamctl_json_count(t->errors));
    json_object_set_new(o, "rates", rates_json(t, before));
    json_object_set_new(o, "stages", stages_json(t));
    json_object_set_new(o, "backends", backends_json(t, before));
    json_object_set_new(o, "clusters", clusters_json(t, before, sort));
    return o;
}
