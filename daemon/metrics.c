#include "metrics.h"

#include <stddef.h>

#include "metrics_text.h"
#include "wire.h"

/* --- counting --- */

unsigned beamd_size_class(unsigned stations, unsigned antennas, unsigned users, unsigned subbands)
{
    const uint64_t numbers = (uint64_t)stations * antennas * users * subbands;
    unsigned size = 0;
    for (uint64_t most = 64; numbers > most && size + 1 < BEAMD_SIZE_CLASSES; most *= 4) {
        size++;
    }
    return size;
}

/* What lies beyond a list is counted as its first: none, or the full service. */
static unsigned within(unsigned value, unsigned count)
{
    return value < count ? value : 0;
}

void beamd_metrics_count_answer(beamd_metrics *self, const beamd_counted_answer *a)
{
    const unsigned service = within(a->service, BEAMD_SERVICE_KINDS);
    const unsigned backend = within(a->backend, BEAMD_BACKEND_KINDS);
    const unsigned size =
        a->size_class < BEAMD_SIZE_CLASSES ? a->size_class : BEAMD_SIZE_CLASSES - 1;
    uint64_t total_ns = 0;
    for (int s = 0; s < BEAMD_STAGE_TOTAL; s++) {
        beamd_histogram_add(&self->stage[s], a->stage_ns[s]);
        total_ns += a->stage_ns[s];
    }
    beamd_histogram_add(&self->stage[BEAMD_STAGE_TOTAL], total_ns);
    beamd_histogram_add(&self->total_by_class[size], total_ns);
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
    self->answers[within(service, BEAMD_SERVICE_KINDS)]++;
    self->unsolicited++;
}

void beamd_metrics_count_batch(beamd_metrics *self, unsigned backend, unsigned problems,
                               uint64_t busy_ns, bool failed)
{
    const unsigned b = within(backend, BEAMD_BACKEND_KINDS);
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

/* --- what is counted, under which name --- */

#define FIELD(name) offsetof(beamd_metrics, name)

static uint64_t count_at(const beamd_metrics *self, size_t offset, unsigned k)
{
    return ((const uint64_t *)(const void *)((const char *)self + offset))[k];
}

static const struct {
    const char *name, *help;
    size_t offset;
} counters[] = {
    {"beamd_superseded_total", "CSI requests replaced by a newer one before their solve began.",
     FIELD(superseded)},
    {"beamd_deadlines_missed_total", "Answers sent after the deadline of their request.",
     FIELD(deadlines_missed)},
    {"beamd_unsolicited_total", "Answers that a target update or a new preference caused.",
     FIELD(unsolicited)},
    {"beamd_stale_csi_total", "Answers from CSI older than csi_age_limit_ms, marked so.",
     FIELD(stale_csi)},
    {"beamd_published_total", "Answers published.", FIELD(published)},
    {"beamd_repeats_total", "Last answers published again for a new subscriber.", FIELD(repeats)},
    {"beamd_shed_total",
     "Problems for which no thread had time: sent held, or checked without trying more.",
     FIELD(shed)},
    {"beamd_below_classical_total",
     "Problems whose answer was worse than the classical design (then replaced by it): a bug, must "
     "be 0.",
     FIELD(below_classical)},
    {"beamd_failed_jobs_total", "Solves that ended in an error.", FIELD(failed_jobs)},
    {"beamd_rescues_started_total",
     "Checks begun by the rescue thread because a solver thread was late.", FIELD(rescues_started)},
    {"beamd_rescues_used_total", "Of these, those whose answer was sent.", FIELD(rescues_used)},
    {"beamd_threads_lost_total", "Threads given up because they did not come back.",
     FIELD(threads_lost)},
    {"beamd_threads_replaced_total", "Threads started in place of lost ones.",
     FIELD(threads_replaced)},
    {"beamd_gpu_not_packed_total", "Batches for GPUs that fitted no slot: the CPU's.",
     FIELD(gpu_not_packed)},
    {"beamd_gpu_lost_problems_total", "Problems given to the CPU after a GPU's worker had them.",
     FIELD(gpu_lost_problems)},
    {"beamd_gpu_distrusted_total",
     "Batches whose answers were garbage or worse than the classical ones: their worker was ended.",
     FIELD(gpu_distrusted)},
    {"beamd_faults_injected_total", "Faults made on purpose, in a build for tests.", FIELD(faults)},
    {"beamd_refreshes_total", "Best rates computed in the background.", FIELD(refreshes)},
    {"beamd_refreshes_failed_total", "Background computations that ended in an error.",
     FIELD(refreshes_failed)},
    {"beamd_fronts_total", "Whole fronts computed.", FIELD(fronts)},
    {"beamd_fronts_failed_total", "Whole fronts that ended in an error.", FIELD(fronts_failed)},
    {"beamd_model_loads_total", "Models taken, that of the start included.", FIELD(model_loads)},
    {"beamd_model_refusals_total", "Models that were to be loaded and were refused.",
     FIELD(model_refusals)},
    {"beamd_config_reloads_total", "Configurations taken over after the start.",
     FIELD(config_reloads)},
    {"beamd_config_refusals_total", "Configurations refused after the start.",
     FIELD(config_refusals)},
    {"beamd_audited_total", "Changes made by operators.", FIELD(audited)},
    {"beamd_denied_total", "Requests beyond the role of their peer.", FIELD(denied)},
    {"beamd_frames_refused_total", "Messages of a wrong number of frames.", FIELD(frames_refused)},
    {"beamd_connections_accepted_total", "ZeroMQ connections accepted.",
     FIELD(connections_accepted)},
    {"beamd_connections_revoked_total", "ZeroMQ connections cut because their role was taken away.",
     FIELD(connections_revoked)},
    {"beamd_connections_oversubscribed_total",
     "ZeroMQ connections cut because of too many or too long subscriptions.",
     FIELD(connections_oversubscribed)},
    {"beamd_clock_steps_total", "Senders' clocks that were set, as far as their requests show it.",
     FIELD(clock_steps)},
    {"beamd_clock_peers_forgotten_total",
     "Senders whose clock estimate made way for that of another.", FIELD(clock_peers_forgotten)},
    {"beamd_state_written_total", "Snapshots of the state written.", FIELD(state_written)},
    {"beamd_state_write_failures_total", "Snapshots of the state that could not be written.",
     FIELD(state_write_failures)},
    {"beamd_state_restored_total", "Clusters restored at the start.", FIELD(state_restored)},
    {"beamd_state_damaged_total", "Snapshots set aside because they were damaged.",
     FIELD(state_damaged)},
    {"beamd_telemetry_sent_total", "Telemetry messages published.", FIELD(telemetry_sent)},
    {"beamd_telemetry_dropped_total", "Telemetry messages that could not be published.",
     FIELD(telemetry_dropped)},
    {"beamd_http_requests_total", "HTTP requests.", FIELD(http_requests)},
    {"beamd_http_refused_total", "HTTP connections refused or cut: too many, too slow, too long.",
     FIELD(http_refused)},
};

/* Counters with one label: an array beside a list of words, or the words of the schema. */
static const struct {
    const char *name, *label, *help;
    size_t offset;
    unsigned from, to;
    const ProtobufCEnumDescriptor *words;
    const char *prefix;
    const char *const *list;
} families[] = {
    {"beamd_errors_total", "code", "Errors answered by code.", FIELD(errors), 0, BEAMD_ERROR_CODES,
     &beamd__error_code__descriptor, "ERROR_", NULL},
    {"beamd_answers_total", "service", "Answers by the least service in them.", FIELD(answers), 0,
     BEAMD_SERVICE_KINDS, &beamd__service__descriptor, "SERVICE_", NULL},
    {"beamd_late_total", "service", "Answers sent after the deadline by their service.",
     FIELD(late), 0, BEAMD_SERVICE_KINDS, &beamd__service__descriptor, "SERVICE_", NULL},
    {"beamd_solutions_total", "method", "Problems by the method that won.", FIELD(solutions), 0,
     BEAMD_METHODS, &beamd__method__descriptor, "METHOD_", NULL},
    {"beamd_solve_status_total", "status", "Problems by the status of the solver.",
     FIELD(solve_status), 0, BEAMD_SOLVE_STATUSES, &beamd__solve_status__descriptor, "SOLVE_",
     NULL},
    {"beamd_batches_total", "backend", "Batches that came back.", FIELD(batches), 0,
     BEAMD_BACKEND_KINDS, &beamd__backend__descriptor, "BACKEND_", NULL},
    {"beamd_problems_total", "backend", "Problems in these batches.", FIELD(problems), 0,
     BEAMD_BACKEND_KINDS, &beamd__backend__descriptor, "BACKEND_", NULL},
    {"beamd_batch_failures_total", "backend",
     "Batches that the backend failed, those too slow or lost included.", FIELD(batch_failures), 0,
     BEAMD_BACKEND_KINDS, &beamd__backend__descriptor, "BACKEND_", NULL},
    {"beamd_backend_retries_total", "backend",
     "Batches given to a failing backend to see whether it works again.", FIELD(backend_retries), 0,
     BEAMD_BACKEND_KINDS, &beamd__backend__descriptor, "BACKEND_", NULL},
    {"beamd_network_fallbacks_total", "reason",
     "Problems left to the iterative solver although the network is configured, by reason.",
     FIELD(fallbacks), 1, BEAMD_FALLBACK_REASONS, NULL, NULL,
     (const char *const[]){NULL, "no_model", "sensing_model", "min_rates", "size", "memory",
                           "numeric", "health"}},
};

/* Counters that share a name and differ in a word. */
static const struct {
    const char *name, *label, *help; /* help NULL: of the family before */
    const char *word;
    size_t offset;
} pairs[] = {
    {"beamd_starts_total", "start", "Problems by the kind of start.", "warm", FIELD(warm)},
    {"beamd_starts_total", "start", NULL, "cold", FIELD(cold)},
    {"beamd_replaced_total", "by", "Problems where the backend's own answer lost the check.",
     "warm", FIELD(replaced_by_warm)},
    {"beamd_replaced_total", "by", NULL, "classical", FIELD(replaced_by_classical)},
    {"beamd_sends_dropped_total", "socket",
     "Messages not sent because the peer was gone or its queue full.", "reply",
     FIELD(replies_dropped)},
    {"beamd_sends_dropped_total", "socket", NULL, "beams", FIELD(publications_dropped)},
    {"beamd_connections_refused_total", "why", "ZeroMQ connections refused.", "limit",
     FIELD(connections_refused)},
    {"beamd_connections_refused_total", "why", NULL, "unauthorized",
     FIELD(connections_unauthorized)},
    {"beamd_connections_refused_total", "why", NULL, "handshake", FIELD(handshakes_failed)},
    {"beamd_connections_refused_total", "why", NULL, "descriptors",
     FIELD(connections_no_descriptor)},
};

static const char *backend_word(unsigned b, char out[BEAMD_WORD_BYTES])
{
    return beamd_text_word(&beamd__backend__descriptor, "BACKEND_", b, out);
}

static void put_counters(const beamd_metrics *self, beamd_text *t)
{
    char word[BEAMD_WORD_BYTES];
    beamd_text_head(t, "beamd_requests_total", "counter", "Messages received by type.");
    for (unsigned k = 0; k < BEAMD_REQUEST_TYPES; k++) {
        beamd_text_count(t, "beamd_requests_total", "type", beam_wire_type_name(k),
                         self->requests[k]);
    }
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        beamd_text_head(t, families[f].name, "counter", families[f].help);
        for (unsigned k = families[f].from; k < families[f].to; k++) {
            const char *text =
                families[f].list ? families[f].list[k]
                                 : beamd_text_word(families[f].words, families[f].prefix, k, word);
            if (text) {
                beamd_text_count(t, families[f].name, families[f].label, text,
                                 count_at(self, families[f].offset, k));
            }
        }
    }
    for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++) {
        if (pairs[p].help) {
            beamd_text_head(t, pairs[p].name, "counter", pairs[p].help);
        }
        beamd_text_count(t, pairs[p].name, pairs[p].label, pairs[p].word,
                         count_at(self, pairs[p].offset, 0));
    }
    for (size_t c = 0; c < sizeof counters / sizeof counters[0]; c++) {
        beamd_text_head(t, counters[c].name, "counter", counters[c].help);
        beamd_text_count(t, counters[c].name, NULL, NULL, count_at(self, counters[c].offset, 0));
    }
    static const char busy[] = "beamd_backend_busy_seconds_total";
    beamd_text_head(t, busy, "counter", "Time of threads in batches by backend, checks included.");
    for (unsigned b = 0; b < BEAMD_BACKEND_KINDS; b++) {
        beamd_text_number(t, busy, "backend", backend_word(b, word),
                          1e-9 * (double)self->backend_busy_ns[b]);
    }
}

/* --- backends --- */

static const char *const healths[BEAMD_HEALTHS] = {"good", "failing", "probing"};

/* name{backend="...",health="..."} value */
static void put_health(beamd_text *t, const char *name, unsigned backend, unsigned health,
                       uint64_t value)
{
    char word[BEAMD_WORD_BYTES];
    beamd_text_put(t, name);
    beamd_text_put(t, "{");
    beamd_text_label(t, "backend", backend_word(backend, word));
    beamd_text_label(t, ",health", healths[health]);
    beamd_text_put(t, "} ");
    beamd_text_put_count(t, value);
    beamd_text_put(t, "\n");
}

static void put_backends(const beamd_metrics *self, const beamd_gauges *g, beamd_text *t)
{
    char word[BEAMD_WORD_BYTES];
    static const char changes[] = "beamd_backend_transitions_total";
    beamd_text_head(t, changes, "counter", "Changes of a backend's health, by what it became.");
    for (unsigned b = 0; b < BEAMD_BACKEND_KINDS; b++) {
        for (unsigned h = 0; h < BEAMD_HEALTHS && g->backend[b].present; h++) {
            put_health(t, changes, b, h, self->backend_transitions[b][h]);
        }
    }
    static const char health[] = "beamd_backend_health";
    beamd_text_head(t, health, "gauge", "1 for the health that the backend has, else 0.");
    for (unsigned b = 0; b < BEAMD_BACKEND_KINDS; b++) {
        for (unsigned h = 0; h < BEAMD_HEALTHS && g->backend[b].present; h++) {
            put_health(t, health, b, h, g->backend[b].health == h);
        }
    }
    static const char service[] = "beamd_backend_problem_seconds";
    beamd_text_head(t, service, "gauge", "Measured mean time of one problem; 0: not known yet.");
    for (unsigned b = 0; b < BEAMD_BACKEND_KINDS; b++) {
        if (g->backend[b].present) {
            beamd_text_number(t, service, "backend", backend_word(b, word),
                              g->backend[b].service_s);
        }
    }
    static const char retry[] = "beamd_backend_retry_seconds";
    beamd_text_head(t, retry, "gauge", "Time until a failing backend is tried again.");
    for (unsigned b = 0; b < BEAMD_BACKEND_KINDS; b++) {
        if (g->backend[b].present) {
            beamd_text_number(t, retry, "backend", backend_word(b, word), g->backend[b].retry_s);
        }
    }
}

/* --- distributions --- */

static void put_batches(const beamd_metrics *self, beamd_text *t)
{
    beamd_text_head(t, "beamd_batch_problems", "histogram", "Problems in a batch.");
    uint64_t below = 0, problems = 0;
    for (unsigned b = 0; b < BEAMD_BACKEND_KINDS; b++) {
        problems += self->problems[b];
    }
    for (unsigned size = 0; size < BEAMD_BATCH_SIZES; size++) {
        below += self->batch_sizes[size];
        beamd_text_put(t, "beamd_batch_problems_bucket{le=\"");
        beamd_text_put_count(t, UINT64_C(1) << size);
        beamd_text_put(t, "\"} ");
        beamd_text_put_count(t, below);
        beamd_text_put(t, "\n");
    }
    beamd_text_count(t, "beamd_batch_problems_bucket", "le", "+Inf", below);
    beamd_text_count(t, "beamd_batch_problems_sum", NULL, NULL, problems);
    beamd_text_count(t, "beamd_batch_problems_count", NULL, NULL, below);
}

static void put_durations(const beamd_metrics *self, beamd_text *t)
{
    static const char *const stages[BEAMD_STAGES] = {"decode", "queue", "solve",
                                                     "check",  "send",  "total"};
    static const char *const classes[BEAMD_SIZE_CLASSES] = {"64",    "256",   "1024",   "4096",
                                                            "16384", "65536", "262144", "larger"};
    char word[BEAMD_WORD_BYTES];
    beamd_text_head(t, "beamd_stage_seconds", "histogram",
                    "Time of answered CSI requests by stage, receipt to sending.");
    for (unsigned s = 0; s < BEAMD_STAGES; s++) {
        beamd_text_histogram(t, "beamd_stage_seconds", "stage", stages[s], &self->stage[s].head);
    }
    beamd_text_head(
        t, "beamd_class_seconds", "histogram",
        "Receipt to sending by size of the cluster: complex numbers in its CSI, at most.");
    for (unsigned c = 0; c < BEAMD_SIZE_CLASSES; c++) {
        beamd_text_histogram(t, "beamd_class_seconds", "class", classes[c],
                             &self->total_by_class[c].head);
    }
    beamd_text_head(t, "beamd_backend_seconds", "histogram", "Receipt to sending by backend.");
    for (unsigned b = 0; b < BEAMD_BACKEND_KINDS; b++) {
        beamd_text_histogram(t, "beamd_backend_seconds", "backend", backend_word(b, word),
                             &self->total_by_backend[b].head);
    }
    beamd_text_head(t, "beamd_service_seconds", "histogram", "Receipt to sending by service.");
    for (unsigned s = 0; s < BEAMD_SERVICE_KINDS; s++) {
        beamd_text_histogram(t, "beamd_service_seconds", "service",
                             beamd_text_word(&beamd__service__descriptor, "SERVICE_", s, word),
                             &self->total_by_service[s].head);
    }
    beamd_text_head(t, "beamd_late_seconds", "histogram",
                    "Receipt to sending of answers sent after their deadline.");
    beamd_text_histogram(t, "beamd_late_seconds", NULL, NULL, &self->total_late.head);
    beamd_text_head(t, "beamd_transit_estimate_seconds", "histogram",
                    "Estimate: what a request took on its way here beyond the fastest of its "
                    "sender lately.");
    beamd_text_histogram(t, "beamd_transit_estimate_seconds", NULL, NULL,
                         &self->transit_estimate.head);
}

/* --- states --- */

static void put_gauge(beamd_text *t, const char *name, double value, const char *help)
{
    beamd_text_head(t, name, "gauge", help);
    beamd_text_number(t, name, NULL, NULL, value);
}

static void put_counter(beamd_text *t, const char *name, uint64_t value, const char *help)
{
    beamd_text_head(t, name, "counter", help);
    beamd_text_count(t, name, NULL, NULL, value);
}

static void put_model(const beamd_gauges *g, beamd_text *t)
{
    beamd_text_head(t, "beamd_build_info", "gauge", "1; the version is its label.");
    beamd_text_count(t, "beamd_build_info", "version", BEAMD_VERSION, 1);
    if (g->model_name) {
        beamd_text_head(t, "beamd_model_info", "gauge",
                        "1 for the model in use; absent: none is loaded.");
        beamd_text_put(t, "beamd_model_info{");
        beamd_text_label(t, "name", g->model_name);
        beamd_text_label(t, ",kind", g->model_kind);
        beamd_text_label(t, ",sha256", g->model_sha256);
        beamd_text_put(t, "} 1\n");
    }
}

static void put_gauges(const beamd_gauges *g, beamd_text *t)
{
    put_gauge(t, "beamd_uptime_seconds", g->uptime_s, "Time since the start.");
    put_gauge(t, "beamd_draining", g->draining, "1 while the daemon is stopping.");
    put_gauge(t, "beamd_clusters", g->clusters, "Clusters registered.");
    put_gauge(t, "beamd_clusters_max", g->clusters_max, "Limit of registrations.");
    put_gauge(t, "beamd_cluster_memory_bytes", (double)g->cluster_bytes, "Memory of all clusters.");
    put_gauge(t, "beamd_queue_depth", g->ready, "Clusters waiting for a solver thread.");
    put_gauge(t, "beamd_solving", g->solving, "Solver threads at work.");
    put_gauge(t, "beamd_refreshing", g->refreshing, "Background threads at work.");
    put_gauge(t, "beamd_workers", g->workers, "Solver threads.");
    put_gauge(t, "beamd_threads_lost", g->lost, "Lost threads that have not come back.");
    put_gauge(t, "beamd_connections", g->connections, "ZeroMQ connections open.");
    put_gauge(t, "beamd_connections_max", g->connections_max, "Limit of connections.");
    if (g->state_age_s >= 0) {
        put_gauge(t, "beamd_state_age_seconds", g->state_age_s,
                  "Time since the last snapshot of the state was written.");
        put_gauge(t, "beamd_state_bytes", (double)g->state_bytes, "Size of that snapshot.");
    }
    put_counter(t, "beamd_log_suppressed_total", g->log_suppressed, "Log lines held back.");
    if (g->zmq_counted) {
        put_counter(t, "beamd_zmq_allocations_total", g->zmq_allocations,
                    "Allocations inside libzmq.");
        put_counter(t, "beamd_zmq_allocated_bytes_total", g->zmq_allocated_bytes,
                    "Bytes of these.");
    }
}

void beamd_metrics_render(const beamd_metrics *self, const beamd_gauges *g, beamd_text *t)
{
    put_model(g, t);
    put_gauges(g, t);
    put_counters(self, t);
    put_backends(self, g, t);
    beamd_text_gpus(g, t);
    put_batches(self, t);
    put_durations(self, t);
}
