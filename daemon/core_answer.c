/* A finished job becomes a Solution: to whoever asked, and to the subscribers. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

enum { LOW_ECHO_SNR_DB = 10 /* below it the CRLB is not attained */ };

typedef struct answer {
    Beamd__Solution solution;
    Beamd__Latency latency;
    Beamd__Preference preference;
    Beamd__ComplexArray beams, sensing;
    uint32_t beams_shape[2], sensing_shape[3];
    Beamd__UserAnswer user[BEAM_MAX_USERS], *user_at[BEAM_MAX_USERS];
    Beamd__StationAnswer station[BEAM_MAX_STATIONS], *station_at[BEAM_MAX_STATIONS];
    Beamd__TargetAnswer target[BEAM_MAX_TARGETS], *target_at[BEAM_MAX_TARGETS];
} answer;

static double row_power_w(const beam_complex *row, int antennas)
{
    double sum = 0;
    for (int n = 0; n < antennas; n++) {
        sum += row[n].re * row[n].re + row[n].im * row[n].im;
    }
    return sum;
}

static void put_arrays(answer *a, const beamd_solve_job *job)
{
    const beam_dims *dims = &job->view.scene.dims;
    beamd__complex_array__init(&a->beams);
    beamd__complex_array__init(&a->sensing);
    a->beams_shape[0] = (uint32_t)dims->users;
    a->beams_shape[1] = (uint32_t)dims->antennas;
    a->sensing_shape[0] = (uint32_t)dims->stations;
    a->sensing_shape[1] = (uint32_t)job->sensing_columns;
    a->sensing_shape[2] = (uint32_t)dims->antennas;
    a->beams.element = a->sensing.element = job->element;
    a->beams.order = a->sensing.order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    a->beams.n_shape = 2;
    a->beams.shape = a->beams_shape;
    a->beams.data = (ProtobufCBinaryData){job->beam_size, job->beam_bytes};
    a->sensing.n_shape = 3;
    a->sensing.shape = a->sensing_shape;
    a->sensing.data = (ProtobufCBinaryData){job->sensing_size, job->sensing_bytes};
    a->solution.beams = &a->beams;
    a->solution.sensing = &a->sensing;
}

static void put_users(answer *a, const beamd_solve_job *job)
{
    const beam_scene *scene = &job->view.scene;
    const int antennas = scene->dims.antennas;
    for (int u = 0; u < scene->dims.users; u++) {
        Beamd__UserAnswer *user = &a->user[u];
        beamd__user_answer__init(user);
        user->user_id = job->view.user_id[u];
        user->station = (uint32_t)scene->user_station[u];
        user->beam_power_w =
            row_power_w(job->out.design.beams + (size_t)u * (size_t)antennas, antennas);
        user->rate_nominal_bps_hz = log2(1 + job->quality.user_sinr_nominal[u]);
        user->rate_worst_case_bps_hz = job->quality.user_rate_worst_case_bps_hz[u];
        user->sinr_worst_case = job->quality.user_sinr_worst_case[u];
        user->min_rate_bps_hz = scene->user_min_rate_bps_hz[u];
        user->below_floor = user->rate_worst_case_bps_hz < user->min_rate_bps_hz;
        a->user_at[u] = user;
    }
    a->solution.n_users = (size_t)scene->dims.users;
    a->solution.users = a->user_at;
}

static void put_stations(answer *a, const beamd_solve_job *job)
{
    const beam_scene *scene = &job->view.scene;
    const beam_design *design = &job->out.design;
    const size_t row = (size_t)scene->dims.antennas;
    for (int l = 0; l < scene->dims.stations; l++) {
        Beamd__StationAnswer *station = &a->station[l];
        beamd__station_answer__init(station);
        station->power_w = job->quality.station_power_w[l];
        for (int k = 0; k < design->sensing_count[l]; k++) {
            const size_t at = (size_t)l * (size_t)design->sensing_max + (size_t)k;
            station->sensing_power_w += row_power_w(design->sensing + at * row, (int)row);
        }
        station->power_slack_w = scene->station_power_w[l] - station->power_w;
        station->peak_antenna_power_w = job->quality.station_peak_antenna_w[l];
        station->sensing_columns = (uint32_t)design->sensing_count[l];
        a->station_at[l] = station;
    }
    a->solution.n_stations = (size_t)scene->dims.stations;
    a->solution.stations = a->station_at;
}

static void put_targets(answer *a, const beamd_solve_job *job)
{
    const int targets = job->view.scene.dims.targets;
    for (int j = 0; j < targets; j++) {
        Beamd__TargetAnswer *target = &a->target[j];
        beamd__target_answer__init(target);
        target->state = (Beamd__TargetState)job->quality.target_state[j];
        target->rms_bound_m = job->quality.target_rms_m[j];
        target->echo_snr_db = job->quality.target_echo_snr_db[j];
        target->low_echo_snr = target->echo_snr_db < LOW_ECHO_SNR_DB;
        a->target_at[j] = target;
    }
    a->solution.n_targets = (size_t)targets;
    a->solution.targets = a->target_at;
}

static void put_quality(Beamd__Solution *s, const beamd_solve_job *job)
{
    const beam_quality *q = &job->quality;
    s->wsr_nominal_bps_hz = q->wsr_nominal_bps_hz;
    s->wsr_worst_case_bps_hz = q->wsr_worst_case_bps_hz;
    s->crlb_valid = q->crlb_valid;
    s->crlb_m2 = q->crlb_m2;
    s->wsr_ideal_bps_hz = job->ideal.wsr_ideal_bps_hz;
    s->crlb_min_m2 = job->ideal.crlb_min_m2;
    s->merit = job->merit;
    s->classical_merit = job->result.classical_merit;
    s->users_below_floor = (uint32_t)q->users_below_floor;
    s->shortfall_bps_hz = q->shortfall_bps_hz;
    s->method = (Beamd__Method)job->result.method;
    s->status = (Beamd__SolveStatus)job->result.status;
    s->warm = job->result.warm;
    s->iterations = (uint32_t)job->result.iterations;
}

static void put_latency(beamd_core *self, answer *a, const beamd_cluster *c)
{
    const beamd_solve_job *job = &c->job;
    const uint64_t sent_ns = self->io.clock_ns(self->io.arg);
    beamd__latency__init(&a->latency);
    a->latency.received_monotonic_ns = job->request.received_ns;
    a->latency.received_to_queued_ns = job->request.queued_ns - job->request.received_ns;
    a->latency.queued_to_solve_ns = job->start_ns - job->request.queued_ns;
    a->latency.solve_ns = job->end_ns - job->start_ns;
    a->latency.solve_to_sent_ns = sent_ns - job->end_ns;
    a->solution.latency = &a->latency;
    a->solution.valid_until_monotonic_ns =
        job->request.received_ns + (uint64_t)self->config->valid_ms * 1000000u;
}

static void count(beamd_core *self, beamd_cluster *c, const Beamd__Latency *latency)
{
    const beamd_solve_job *job = &c->job;
    beamd_metrics *m = &self->metrics;
    const uint64_t total_ns = latency->received_to_queued_ns + latency->queued_to_solve_ns +
                              latency->solve_ns + latency->solve_to_sent_ns;
    c->solutions++;
    c->last_sent_ns = latency->received_monotonic_ns + total_ns;
    c->last_method = job->result.method;
    c->last_wsr_worst_case_bps_hz = job->quality.wsr_worst_case_bps_hz;
    c->last_crlb_valid = job->quality.crlb_valid;
    c->last_crlb_m2 = job->quality.crlb_m2;
    self->solutions_sent++;
    static_assert(BEAMD_METHODS == BEAM_METHOD_NETWORK + 1, "a method without a counter");
    m->solutions[job->result.method]++;
    m->solve_status[(unsigned)job->result.status % BEAMD_SOLVE_STATUSES]++;
    m->warm += job->result.warm;
    m->cold += !job->result.warm;
    if (job->request.identity_bytes == 0) {
        m->unsolicited++;
        return; /* nobody waited: no latency to speak of */
    }
    beamd_histogram_add(&m->stage[BEAMD_STAGE_DECODE], latency->received_to_queued_ns);
    beamd_histogram_add(&m->stage[BEAMD_STAGE_QUEUE], latency->queued_to_solve_ns);
    beamd_histogram_add(&m->stage[BEAMD_STAGE_SOLVE], latency->solve_ns);
    beamd_histogram_add(&m->stage[BEAMD_STAGE_SEND], latency->solve_to_sent_ns);
    beamd_histogram_add(&m->stage[BEAMD_STAGE_TOTAL], total_ns);
    beamd_histogram_add(&c->latency, total_ns);
    if (c->last_sent_ns > job->request.deadline_ns) {
        c->deadlines_missed++;
        m->deadlines_missed++;
    }
}

static void send(beamd_core *self, beamd_cluster *c)
{
    const beamd_request *request = &c->job.request;
    if (request->identity_bytes > 0 &&
        !self->io.reply(self->io.arg, BEAMD_CHANNEL_CSI, request->identity, request->identity_bytes,
                        c->frame, c->frame_bytes)) {
        self->metrics.replies_dropped++;
        BEAMD_LOG(BEAMD_LOG_INFO, "event=reply_dropped type=Solution cluster=%s", c->id);
    }
    unsigned char topic[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    const size_t topic_bytes = beam_wire_topic(c->id, topic);
    if (self->io.publish(self->io.arg, topic, topic_bytes, c->frame, c->frame_bytes)) {
        self->metrics.published++;
    } else {
        self->metrics.publications_dropped++;
    }
}

void beamd_core_answer(beamd_core *self, beamd_cluster *c)
{
    static answer a; /* 20 KiB, one thread */
    const beamd_solve_job *job = &c->job;
    beamd__solution__init(&a.solution);
    a.solution.sender_time_ns = job->request.sender_time_ns;
    a.solution.csi_sequence = job->csi_sequence;
    a.solution.target_sequence = job->target_sequence;
    a.solution.target_time_ns = job->target_time_ns;
    put_arrays(&a, job);
    put_users(&a, job);
    put_stations(&a, job);
    put_targets(&a, job);
    put_quality(&a.solution, job);
    const beam_preference u = beam_preference_from_tradeoff(job->tradeoff);
    beamd__preference__init(&a.preference);
    a.preference.u1 = u.u1;
    a.preference.u2 = u.u2;
    a.solution.preference = &a.preference;
    put_latency(self, &a, c);
    size_t bytes = 0;
    beam_wire_error err;
    if (beam_wire_pack(BEAM_WIRE_SOLUTION, c->id, job->request.sequence, &a.solution.base, c->frame,
                       c->frame_capacity - 2, &bytes, &err) < 0) {
        c->frame_bytes = 0;
        self->metrics.failed_jobs++;
        BEAMD_LOG(BEAMD_LOG_ERR, "event=pack_failed type=Solution cluster=%s why=\"%s\"", c->id,
                  err.text);
        beamd_core_refuse_request(self, c, &job->request, &err);
        return;
    }
    c->frame_bytes = bytes;
    send(self, c);
    count(self, c, &a.latency);
}
