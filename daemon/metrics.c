#include "metrics.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire.h"

__attribute__((format(printf, 2, 3))) static void put(beamd_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const size_t room = t->used < t->size ? t->size - t->used : 0;
    const int n = vsnprintf(room ? t->out + t->used : NULL, room, format, args);
    va_end(args);
    t->used += n > 0 ? (size_t)n : 0;
}

static void head(beamd_text *t, const char *name, const char *type, const char *help)
{
    put(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counter(beamd_text *t, const char *name, uint64_t value, const char *help)
{
    head(t, name, "counter", help);
    put(t, "%s %" PRIu64 "\n", name, value);
}

static void gauge(beamd_text *t, const char *name, double value, const char *help)
{
    head(t, name, "gauge", help);
    put(t, "%s %.17g\n", name, value);
}

/* ERROR_NOT_READY -> not_ready: the words of the schema, so that they cannot drift apart. */
static void put_enum(beamd_text *t, const char *name, const char *label,
                     const ProtobufCEnumDescriptor *words, const char *prefix,
                     const uint64_t *values, int count)
{
    for (int k = 0; k < count; k++) {
        const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(words, k);
        if (!value) {
            continue;
        }
        char word[48];
        size_t n = 0;
        const char *from = value->name;
        for (const char *p = prefix; *p && *from == *p; p++) {
            from++;
        }
        for (; *from && n + 1 < sizeof word; from++) {
            word[n++] = (char)tolower((unsigned char)*from);
        }
        word[n] = 0;
        put(t, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, word, values[k]);
    }
}

/* A label's value: backslash, quote and newline are escaped. */
static void put_label(beamd_text *t, const char *name, const char *value)
{
    put(t, "%s=\"", name);
    for (const char *at = value; *at; at++) {
        if (*at == '\n') {
            put(t, "\\n");
        } else {
            put(t, "%s%c", *at == '\\' || *at == '"' ? "\\" : "", *at);
        }
    }
    put(t, "\"");
}

static void put_network(const beamd_metrics *self, const beamd_gauges *g, beamd_text *t)
{
    static const char *const reasons[BEAMD_FALLBACK_REASONS] = {
        NULL, "no_model", "sensing_model", "min_rates", "size", "memory", "numeric", "health"};
    head(t, "beamd_network_fallbacks_total", "counter",
         "Solutions of the iterative solver although the network is configured, by reason.");
    for (int k = 1; k < BEAMD_FALLBACK_REASONS; k++) {
        put(t, "beamd_network_fallbacks_total{reason=\"%s\"} %" PRIu64 "\n", reasons[k],
            self->fallbacks[k]);
    }
    counter(t, "beamd_model_loads_total", self->model_loads,
            "Models taken, that of the start included.");
    counter(t, "beamd_model_refusals_total", self->model_refusals,
            "Models that were to be loaded and were refused.");
    head(t, "beamd_model_info", "gauge", "1 for the model in use; no sample: none is loaded.");
    if (g->model_name) {
        put(t, "beamd_model_info{");
        put_label(t, "name", g->model_name);
        put_label(t, ",kind", g->model_kind);
        put_label(t, ",sha256", g->model_sha256);
        put(t, "} 1\n");
    }
}

static void put_stages(const beamd_metrics *self, beamd_text *t)
{
    static const char *const names[BEAMD_STAGES] = {"decode", "queue", "solve",
                                                    "check",  "send",  "total"};
    head(t, "beamd_stage_seconds", "histogram",
         "Time of answered CSI requests by stage, receipt to sending.");
    for (int s = 0; s < BEAMD_STAGES; s++) {
        const beamd_histogram_fine *h = &self->stage[s];
        for (int octave = 0; octave < BEAMD_HISTOGRAM_OCTAVES; octave++) {
            put(t, "beamd_stage_seconds_bucket{stage=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", names[s],
                1e-6 * (double)(UINT64_C(1) << octave), beamd_histogram_below(h, octave));
        }
        put(t, "beamd_stage_seconds_bucket{stage=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", names[s],
            h->head.count);
        put(t, "beamd_stage_seconds_sum{stage=\"%s\"} %.9f\n", names[s],
            1e-9 * (double)h->head.sum_ns);
        put(t, "beamd_stage_seconds_count{stage=\"%s\"} %" PRIu64 "\n", names[s], h->head.count);
    }
}

static void put_families(const beamd_metrics *self, beamd_text *t)
{
    head(t, "beamd_requests_total", "counter", "Messages received by type.");
    for (unsigned k = 0; k < BEAMD_REQUEST_TYPES; k++) {
        put(t, "beamd_requests_total{type=\"%s\"} %" PRIu64 "\n", beam_wire_type_name(k),
            self->requests[k]);
    }
    head(t, "beamd_errors_total", "counter", "Errors answered by code.");
    put_enum(t, "beamd_errors_total", "code", &beamd__error_code__descriptor, "ERROR_",
             self->errors, BEAMD_ERROR_CODES);
    head(t, "beamd_solutions_total", "counter", "Solutions by the method that won.");
    put_enum(t, "beamd_solutions_total", "method", &beamd__method__descriptor, "METHOD_",
             self->solutions, BEAMD_METHODS);
    head(t, "beamd_solve_status_total", "counter", "Solutions by the status of the solver.");
    put_enum(t, "beamd_solve_status_total", "status", &beamd__solve_status__descriptor, "SOLVE_",
             self->solve_status, BEAMD_SOLVE_STATUSES);
    head(t, "beamd_starts_total", "counter", "Solutions by the kind of start.");
    put(t, "beamd_starts_total{start=\"warm\"} %" PRIu64 "\n", self->warm);
    put(t, "beamd_starts_total{start=\"cold\"} %" PRIu64 "\n", self->cold);
    head(t, "beamd_sends_dropped_total", "counter",
         "Messages not sent because the peer was gone or its queue full.");
    put(t, "beamd_sends_dropped_total{socket=\"reply\"} %" PRIu64 "\n", self->replies_dropped);
    put(t, "beamd_sends_dropped_total{socket=\"beams\"} %" PRIu64 "\n", self->publications_dropped);
}

unsigned beamd_size_class(unsigned stations, unsigned antennas, unsigned users, unsigned subbands)
{
    const uint64_t numbers = (uint64_t)stations * antennas * users * subbands;
    unsigned class = 0;
    for (uint64_t most = 64; numbers > most && class + 1 < BEAMD_SIZE_CLASSES; most *= 4) {
        class ++;
    }
    return class;
}

void beamd_metrics_count_answer(beamd_metrics *self, const beamd_counted_answer *a)
{
    const unsigned service = a->service < BEAMD_SERVICE_KINDS ? a->service : 0;
    const unsigned backend = a->backend < BEAMD_BACKEND_KINDS ? a->backend : 0;
    const unsigned class =
        a->size_class < BEAMD_SIZE_CLASSES ? a->size_class : BEAMD_SIZE_CLASSES - 1;
    uint64_t total_ns = 0;
    for (int s = 0; s < BEAMD_STAGE_TOTAL; s++) {
        beamd_histogram_add(&self->stage[s], a->stage_ns[s]);
        total_ns += a->stage_ns[s];
    }
    beamd_histogram_add(&self->stage[BEAMD_STAGE_TOTAL], total_ns);
    beamd_histogram_add(&self->total_by_class[class], total_ns);
    beamd_histogram_add(&self->total_by_backend[backend], total_ns);
    beamd_histogram_add(&self->total_by_service[service], total_ns);
    self->answers[service]++;
    if (a->late) {
        self->late[service]++;
        self->deadlines_missed++;
        beamd_histogram_add(&self->total_late, total_ns);
    }
    if (a->has_transit) {
        beamd_histogram_add(&self->transit_estimate, a->transit_estimate_ns);
    }
}

void beamd_metrics_count_unsolicited(beamd_metrics *self, unsigned service)
{
    self->answers[service < BEAMD_SERVICE_KINDS ? service : 0]++;
    self->unsolicited++;
}

void beamd_metrics_count_batch(beamd_metrics *self, unsigned backend, unsigned problems,
                               uint64_t busy_ns, bool failed)
{
    const unsigned b = backend < BEAMD_BACKEND_KINDS ? backend : 0;
    self->batches[b]++;
    self->problems[b] += problems;
    self->batch_failures[b] += failed;
    self->backend_busy_ns[b] += busy_ns;
    unsigned size = 0;
    while (size + 1 < BEAMD_BATCH_SIZES && problems > 1u << size) {
        size++;
    }
    self->batch_sizes[size]++;
}

void beamd_metrics_render(const beamd_metrics *self, const beamd_gauges *g, beamd_text *t)
{
    put_families(self, t);
    counter(t, "beamd_superseded_total", self->superseded,
            "CSI requests replaced by a newer one before their solve began.");
    counter(t, "beamd_deadlines_missed_total", self->deadlines_missed,
            "Solutions sent after the deadline of their request.");
    counter(t, "beamd_unsolicited_total", self->unsolicited,
            "Solutions that a target update or a new preference caused.");
    counter(t, "beamd_published_total", self->published, "Solutions published.");
    counter(t, "beamd_repeats_total", self->repeats,
            "Last solutions published again for a new subscriber.");
    counter(
        t, "beamd_below_classical_total", self->below_classical,
        "Solver answers worse than the classical design (then replaced by it): a bug, must be 0.");
    counter(t, "beamd_failed_jobs_total", self->failed_jobs, "Solves that ended in an error.");
    counter(t, "beamd_refreshes_total", self->refreshes, "Best rates computed in the background.");
    counter(t, "beamd_refreshes_failed_total", self->refreshes_failed,
            "Background computations that ended in an error.");
    counter(t, "beamd_frames_refused_total", self->frames_refused,
            "Messages of a wrong number of frames.");
    counter(t, "beamd_http_requests_total", self->http_requests, "HTTP requests.");
    counter(t, "beamd_http_refused_total", self->http_refused,
            "HTTP connections refused or cut: too many, too slow, too long.");
    counter(t, "beamd_log_suppressed_total", g->log_suppressed, "Log lines held back.");
    gauge(t, "beamd_uptime_seconds", g->uptime_s, "Time since the start.");
    gauge(t, "beamd_draining", g->draining, "1 while the daemon is stopping.");
    gauge(t, "beamd_clusters", g->clusters, "Clusters registered.");
    gauge(t, "beamd_clusters_max", g->clusters_max, "Limit of registrations.");
    gauge(t, "beamd_cluster_memory_bytes", (double)g->cluster_bytes, "Memory of all clusters.");
    gauge(t, "beamd_queue_depth", g->ready, "Clusters waiting for a solver thread.");
    gauge(t, "beamd_solving", g->solving, "Solver threads at work.");
    gauge(t, "beamd_refreshing", g->refreshing, "Background threads at work.");
    gauge(t, "beamd_workers", g->workers, "Solver threads.");
    put_network(self, g, t);
    put_stages(self, t);
}

typedef double read_gauge(const beamd_cluster_gauge *c);

static double get_tradeoff(const beamd_cluster_gauge *c)
{
    return c->tradeoff;
}
static double get_wsr(const beamd_cluster_gauge *c)
{
    return c->wsr_worst_case_bps_hz;
}
static double get_wsr_ideal(const beamd_cluster_gauge *c)
{
    return c->wsr_ideal_bps_hz;
}
static double get_crlb(const beamd_cluster_gauge *c)
{
    return c->crlb_m2;
}
static double get_crlb_min(const beamd_cluster_gauge *c)
{
    return c->crlb_min_m2;
}
static double get_age(const beamd_cluster_gauge *c)
{
    return c->age_s;
}
static double get_solutions(const beamd_cluster_gauge *c)
{
    return (double)c->solutions;
}
static double get_superseded(const beamd_cluster_gauge *c)
{
    return (double)c->superseded;
}
static double get_missed(const beamd_cluster_gauge *c)
{
    return (double)c->deadlines_missed;
}

void beamd_metrics_render_clusters(const beamd_cluster_gauge *clusters, size_t count, beamd_text *t)
{
    static const struct {
        const char *name, *type, *help;
        read_gauge *get;
        bool solved_only, crlb_only;
    } rows[] = {
        {"beamd_cluster_tradeoff", "gauge", "Preference: 0 communication only, 1 sensing only.",
         get_tradeoff, false, false},
        {"beamd_cluster_wsr_worst_case_bps_hz", "gauge",
         "Exact worst-case weighted sum rate of the last solution.", get_wsr, true, false},
        {"beamd_cluster_wsr_ideal_bps_hz", "gauge", "Best rate known, the zero of the rate loss.",
         get_wsr_ideal, true, false},
        {"beamd_cluster_crlb_m2", "gauge", "Cramer-Rao bound of the last solution.", get_crlb, true,
         true},
        {"beamd_cluster_crlb_min_m2", "gauge", "Least bound of these budgets and targets.",
         get_crlb_min, true, false},
        {"beamd_cluster_age_seconds", "gauge", "Time since the last solution.", get_age, true,
         false},
        {"beamd_cluster_solutions_total", "counter", "Solutions of the cluster.", get_solutions,
         false, false},
        {"beamd_cluster_superseded_total", "counter", "CSI requests replaced before their solve.",
         get_superseded, false, false},
        {"beamd_cluster_deadlines_missed_total", "counter", "Solutions sent late.", get_missed,
         false, false},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        head(t, rows[r].name, rows[r].type, rows[r].help);
        for (size_t k = 0; k < count; k++) {
            const beamd_cluster_gauge *c = &clusters[k];
            if ((rows[r].solved_only && !c->solved) || (rows[r].crlb_only && !c->crlb_valid)) {
                continue;
            }
            /* admissible ids need no escaping in a label */
            put(t, "%s{cluster=\"%s\"} %.17g\n", rows[r].name, c->cluster, rows[r].get(c));
        }
    }
}
