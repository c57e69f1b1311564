/* A request's answer: a Solution, or a SolutionSet where the cluster has several subbands or named
 * preferences; to whoever asked, and to the subscribers. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"
#include "state.h"

enum { LOW_ECHO_SNR_DB = 10 /* below it the CRLB is not attained */ };

/* Messages under construction, in the core's scratch. */
typedef struct messages {
    unsigned char *memory;
    size_t size, used;
} messages;

static size_t rounded(size_t bytes)
{
    return (bytes + 15u) & ~(size_t)15u;
}

static size_t solution_scratch(const beam_dims *d)
{
    const size_t U = (size_t)d->users, L = (size_t)d->stations, J = (size_t)d->targets;
    return rounded(sizeof(Beamd__Solution)) + rounded(sizeof(Beamd__Preference)) +
           rounded(U * sizeof(Beamd__UserAnswer)) + rounded(U * sizeof(void *)) +
           rounded(L * sizeof(Beamd__StationAnswer)) + rounded(L * sizeof(void *)) +
           rounded(J * sizeof(Beamd__TargetAnswer)) + rounded(J * sizeof(void *));
}

size_t beamd_core_answer_scratch(const beamd_cluster *c)
{
    const size_t problems = (size_t)c->subbands * BEAM_WIRE_MAX_PREFERENCES;
    return problems * (solution_scratch(&c->max) + sizeof(void *)) + 64;
}

static void *take(messages *m, size_t bytes)
{
    void *at = m->memory + m->used;
    m->used += rounded(bytes);
    assert(m->used <= m->size);
    return at;
}

static double row_power_w(const beam_complex *row, int antennas)
{
    double sum = 0;
    for (int n = 0; n < antennas; n++) {
        sum += row[n].re * row[n].re + row[n].im * row[n].im;
    }
    return sum;
}

static void put_users(messages *m, Beamd__Solution *s, const beamd_answer *a)
{
    Beamd__UserAnswer *users = take(m, (size_t)a->users * sizeof *users);
    s->users = take(m, (size_t)a->users * sizeof(void *));
    s->n_users = (size_t)a->users;
    for (int u = 0; u < a->users; u++) {
        Beamd__UserAnswer *user = &users[u];
        beamd__user_answer__init(user);
        user->user_id = a->user_id[u];
        user->station = (uint32_t)a->user_station[u];
        user->beam_power_w =
            row_power_w(a->out.design.beams + (size_t)u * (size_t)a->antennas, a->antennas);
        user->rate_nominal_bps_hz = log2(1 + a->quality.user_sinr_nominal[u]);
        user->rate_worst_case_bps_hz = a->quality.user_rate_worst_case_bps_hz[u];
        user->sinr_worst_case = a->quality.user_sinr_worst_case[u];
        user->min_rate_bps_hz = a->user_min_rate_bps_hz[u];
        user->below_floor = user->rate_worst_case_bps_hz < user->min_rate_bps_hz;
        s->users[u] = user;
    }
}

static void put_stations(messages *m, Beamd__Solution *s, const beamd_answer *a)
{
    const beam_design *design = &a->out.design;
    const size_t row = (size_t)a->antennas;
    Beamd__StationAnswer *stations = take(m, (size_t)a->stations * sizeof *stations);
    s->stations = take(m, (size_t)a->stations * sizeof(void *));
    s->n_stations = (size_t)a->stations;
    for (int l = 0; l < a->stations; l++) {
        Beamd__StationAnswer *station = &stations[l];
        beamd__station_answer__init(station);
        station->power_w = a->quality.station_power_w[l];
        for (int k = 0; k < design->sensing_count[l]; k++) {
            const size_t at = (size_t)l * (size_t)design->sensing_max + (size_t)k;
            station->sensing_power_w += row_power_w(design->sensing + at * row, a->antennas);
        }
        station->power_slack_w = a->station_power_w[l] - station->power_w;
        station->peak_antenna_power_w = a->quality.station_peak_antenna_w[l];
        station->sensing_columns = (uint32_t)design->sensing_count[l];
        s->stations[l] = station;
    }
}

static void put_targets(messages *m, Beamd__Solution *s, const beamd_answer *a)
{
    Beamd__TargetAnswer *targets = take(m, (size_t)a->targets * sizeof *targets);
    s->targets = take(m, (size_t)a->targets * sizeof(void *));
    s->n_targets = (size_t)a->targets;
    for (int j = 0; j < a->targets; j++) {
        Beamd__TargetAnswer *target = &targets[j];
        beamd__target_answer__init(target);
        target->state = (Beamd__TargetState)a->quality.target_state[j];
        target->rms_bound_m = a->quality.target_rms_m[j];
        target->echo_snr_db = a->quality.target_echo_snr_db[j];
        target->low_echo_snr = target->echo_snr_db < LOW_ECHO_SNR_DB;
        s->targets[j] = target;
    }
}

static void put_quality(Beamd__Solution *s, const beamd_answer *a)
{
    const beam_quality *q = &a->quality;
    s->wsr_nominal_bps_hz = q->wsr_nominal_bps_hz;
    s->wsr_worst_case_bps_hz = q->wsr_worst_case_bps_hz;
    s->crlb_valid = q->crlb_valid;
    s->crlb_m2 = q->crlb_m2;
    s->wsr_ideal_bps_hz = a->ideal.wsr_ideal_bps_hz;
    s->crlb_min_m2 = a->ideal.crlb_min_m2;
    s->merit = a->merit;
    s->classical_merit = a->result.classical_merit;
    s->users_below_floor = (uint32_t)q->users_below_floor;
    s->shortfall_bps_hz = q->shortfall_bps_hz;
    s->method = (Beamd__Method)a->result.method;
    s->status = (Beamd__SolveStatus)a->result.status;
    s->warm = a->result.warm;
    s->iterations = (uint32_t)a->result.iterations;
}

/* Of beams that are held the CSI has aged since they were solved. */
static bool is_stale(const beamd_core *self, const beamd_answer *a, Beamd__Service service)
{
    const uint64_t limit_ns = (uint64_t)self->config->csi_age_limit_ms * 1000000u;
    const uint64_t held_ns = beamd_core_less(self->now_ns, a->csi_measured_ns);
    const uint64_t age_ns = service == BEAMD__SERVICE__SERVICE_HELD ? held_ns : a->csi_age_ns;
    return limit_ns > 0 && age_ns > limit_ns;
}

static Beamd__Solution *put_solution(messages *m, beamd_answer *a, Beamd__Service service,
                                     bool stale, bool late)
{
    Beamd__Solution *s = take(m, sizeof *s);
    beamd__solution__init(s);
    s->csi_sequence = a->csi_sequence;
    s->target_sequence = a->target_sequence;
    s->target_time_ns = a->target_time_ns;
    s->beams = &a->beams;
    s->sensing = &a->sensing;
    put_users(m, s, a);
    put_stations(m, s, a);
    put_targets(m, s, a);
    put_quality(s, a);
    s->preference = take(m, sizeof *s->preference);
    beamd__preference__init(s->preference);
    const beam_preference u = beam_preference_from_tradeoff(a->tradeoff);
    s->preference->u1 = u.u1;
    s->preference->u2 = u.u2;
    s->service = service;
    s->late = late;
    s->backend =
        service == BEAMD__SERVICE__SERVICE_HELD ? BEAMD__BACKEND__BACKEND_NONE : a->backend;
    s->subband = (uint32_t)a->subband;
    s->preference_name = beamd_core_text(a->preference_name);
    const uint64_t age_us = a->csi_age_ns / 1000u;
    s->csi_age_us = age_us < UINT32_MAX ? (uint32_t)age_us : UINT32_MAX;
    s->csi_stale = stale;
    s->error_growth = a->error_growth;
    s->ideal_stale = a->ideal_stale;
    return s;
}

/* Beams of a preference that went meanwhile are no answer for the one in its place, and those of
 * before a restart are a start only. */
static bool is_of(const beamd_answer *answer, const char *name)
{
    return answer->present && beamd_answer_of_this_life(answer) &&
           strcmp(answer->preference_name, name) == 0;
}

/* What there is for a problem of the active request, and how much was done for it. NULL: nothing.
 */
static beamd_answer *best_there_is(const beamd_cluster *c, int band, int preference,
                                   Beamd__Service *service)
{
    const int at = beamd_problem_index(band, preference);
    beamd_answer *last = c->last[at], *check = c->check[at];
    const char *name = c->named_count > 0 ? c->named[preference].name : "";
    if (beamd_bands_has(&c->failed, band)) {
        return NULL;
    }
    if (beamd_bands_has(&c->done, band) && is_of(last, name) && last->ticket == c->ticket) {
        *service = last->service;
        return last;
    }
    if (beamd_bands_has(&c->checked, band) && is_of(check, name) && check->ticket == c->ticket) {
        *service = check->service;
        return check;
    }
    *service = BEAMD__SERVICE__SERVICE_HELD;
    return is_of(last, name) ? last : NULL;
}

bool beamd_core_has_answer(const beamd_cluster *c)
{
    const int preferences = c->named_count > 0 ? c->named_count : 1;
    Beamd__Service service;
    for (int b = 0; b < c->subbands; b++) {
        const bool asked = beamd_bands_has(&c->active.bands, b) && !beamd_bands_has(&c->failed, b);
        for (int p = 0; p < preferences && asked; p++) {
            if (!best_there_is(c, b, p, &service)) {
                return false;
            }
        }
    }
    return true;
}

/* Never negative: the loop and the threads read the clock on different cores. */
static uint64_t between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

static void fill_latency(const beamd_cluster *c, uint64_t sent_ns, Beamd__Latency *latency)
{
    const beamd_request *r = &c->active;
    const uint64_t start_ns = c->start_ns ? c->start_ns : sent_ns; /* held: nothing was solved */
    const uint64_t end_ns = c->end_ns ? c->end_ns : sent_ns;
    const uint64_t checked_ns = c->checked_ns ? c->checked_ns : sent_ns;
    beamd__latency__init(latency);
    latency->received_monotonic_ns = r->received_ns;
    latency->received_to_queued_ns = between(r->received_ns, r->queued_ns);
    latency->queued_to_solve_ns = between(r->queued_ns, start_ns);
    latency->solve_ns = between(start_ns, end_ns);
    latency->solve_to_checked_ns = between(end_ns, checked_ns);
    latency->solve_to_sent_ns = between(end_ns, sent_ns);
    if (latency->solve_to_checked_ns > latency->solve_to_sent_ns) {
        latency->solve_to_checked_ns = latency->solve_to_sent_ns;
    }
    latency->has_sender_estimate = r->has_sender_estimate;
    latency->sender_offset_estimate_ns = r->sender_offset_ns;
    latency->transit_estimate_ns = r->transit_ns;
}

/* Beams that are held have had a part of their time already. */
static uint64_t valid_until_ns(const beamd_core *self, const beamd_request *request,
                               const beamd_answer *a, Beamd__Service service)
{
    const uint64_t valid_ns = (uint64_t)self->config->valid_ms * 1000000u;
    const uint64_t limit_ns = (uint64_t)self->config->csi_age_limit_ms * 1000000u;
    const bool held = service == BEAMD__SERVICE__SERVICE_HELD;
    const uint64_t until_ns = (held ? a->csi_measured_ns : request->received_ns) + valid_ns;
    const uint64_t stale_ns = a->csi_measured_ns + limit_ns;
    return limit_ns > 0 && stale_ns < until_ns ? stale_ns : until_ns;
}

static bool is_set(const beamd_cluster *c)
{
    return c->subbands > 1 || c->named_count > 0;
}

/* Everything of the answer but its latency. Returns how many solutions it has. */
static size_t build(beamd_core *self, beamd_cluster *c, messages *m, bool late,
                    Beamd__SolutionSet *set)
{
    const int preferences = c->named_count > 0 ? c->named_count : 1;
    uint64_t until_ns = UINT64_MAX; /* the first of all */
    beamd__solution_set__init(set);
    set->solutions = take(m, (size_t)c->subbands * (size_t)preferences * sizeof(void *));
    for (int b = 0; b < c->subbands; b++) {
        for (int p = 0; p < preferences && beamd_bands_has(&c->active.bands, b); p++) {
            Beamd__Service service = BEAMD__SERVICE__SERVICE_FULL;
            beamd_answer *a = best_there_is(c, b, p, &service);
            if (a) {
                const uint64_t at_ns = valid_until_ns(self, &c->active, a, service);
                set->solutions[set->n_solutions++] =
                    put_solution(m, a, service, is_stale(self, a, service), late);
                until_ns = at_ns < until_ns ? at_ns : until_ns;
                set->service = service > set->service ? service : set->service;
            }
        }
    }
    set->sender_time_ns = c->active.sender_time_ns;
    set->csi_sequence = c->active.sequence;
    set->target_sequence = c->target_sequence;
    set->target_time_ns = c->target_time_ns;
    set->valid_until_monotonic_ns = until_ns;
    set->late = late;
    return set->n_solutions;
}

static int pack(beamd_cluster *c, Beamd__SolutionSet *set, Beamd__Latency *latency,
                beam_wire_error *err)
{
    size_t bytes = 0;
    int packed;
    c->frame_bytes = 0;
    if (is_set(c)) {
        set->latency = latency;
        packed = beam_wire_pack(BEAM_WIRE_SOLUTION_SET, c->id, c->active.sequence, &set->base,
                                c->frame, c->frame_capacity - 2, &bytes, err);
    } else {
        Beamd__Solution *s = set->solutions[0];
        s->sender_time_ns = set->sender_time_ns;
        s->valid_until_monotonic_ns = set->valid_until_monotonic_ns;
        s->latency = latency;
        packed = beam_wire_pack(BEAM_WIRE_SOLUTION, c->id, c->active.sequence, &s->base, c->frame,
                                c->frame_capacity - 2, &bytes, err);
    }
    c->frame_bytes = packed < 0 ? 0 : bytes;
    return packed;
}

static void send(beamd_core *self, beamd_cluster *c)
{
    const beamd_request *request = &c->active;
    if (request->identity_bytes > 0 &&
        !self->act.reply(self->act.arg, BEAMD_CHANNEL_CSI, request->identity,
                         request->identity_bytes, c->frame, c->frame_bytes)) {
        self->metrics.replies_dropped++;
        BEAMD_LOG(BEAMD_LOG_INFO, "event=reply_dropped type=Solution cluster=%s", c->id);
    }
    unsigned char topic[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    const size_t topic_bytes = beam_wire_topic(c->id, topic);
    if (self->act.publish(self->act.arg, topic, topic_bytes, c->frame, c->frame_bytes)) {
        self->metrics.published++;
    } else {
        self->metrics.publications_dropped++;
    }
}

static void count_solutions(beamd_core *self, const Beamd__SolutionSet *set)
{
    beamd_metrics *m = &self->metrics;
    static_assert(BEAMD_METHODS == BEAM_METHOD_NETWORK + 1, "a method without a counter");
    for (size_t k = 0; k < set->n_solutions; k++) {
        const Beamd__Solution *s = set->solutions[k];
        m->solutions[(unsigned)s->method % BEAMD_METHODS]++;
        m->solve_status[(unsigned)s->status % BEAMD_SOLVE_STATUSES]++;
        m->warm += s->warm != 0;
        m->cold += s->warm == 0;
        m->shed += s->service >= BEAMD__SERVICE__SERVICE_CHECKED;
        m->stale_csi += s->csi_stale != 0;
        const bool network = s->backend == BEAMD__BACKEND__BACKEND_NETWORK;
        m->replaced_by_warm += network && s->method == BEAMD__METHOD__METHOD_WARM;
        m->replaced_by_classical += network && s->method == BEAMD__METHOD__METHOD_CLASSICAL;
    }
}

/* The backend of the least service in it. */
static Beamd__Backend least_backend(const Beamd__SolutionSet *set)
{
    for (size_t k = 0; k < set->n_solutions; k++) {
        if (set->solutions[k]->service == set->service) {
            return set->solutions[k]->backend;
        }
    }
    return BEAMD__BACKEND__BACKEND_NONE;
}

static void count_request(beamd_core *self, beamd_cluster *c, const Beamd__SolutionSet *set,
                          const Beamd__Latency *l)
{
    const uint64_t total_ns =
        l->received_to_queued_ns + l->queued_to_solve_ns + l->solve_ns + l->solve_to_sent_ns;
    c->solutions++;
    c->by_service[(unsigned)set->service % BEAMD_SERVICES]++;
    c->last_sent_ns = l->received_monotonic_ns + total_ns;
    self->solutions_sent++;
    if (c->active.identity_bytes == 0) { /* nobody waited: no latency to speak of */
        beamd_metrics_count_unsolicited(&self->metrics, set->service);
        return;
    }
    const beamd_counted_answer counted = {
        .stage_ns = {l->received_to_queued_ns, l->queued_to_solve_ns, l->solve_ns,
                     l->solve_to_checked_ns, l->solve_to_sent_ns - l->solve_to_checked_ns},
        .size_class = beamd_size_class((unsigned)c->max.stations, (unsigned)c->max.antennas,
                                       (unsigned)c->max.users, (unsigned)c->subbands),
        .backend = least_backend(set),
        .service = set->service,
        .late = set->late != 0,
        .has_transit = l->has_sender_estimate != 0,
        .transit_estimate_ns = l->transit_estimate_ns};
    beamd_metrics_count_answer(&self->metrics, &counted);
    beamd_histogram_add(&c->latency, total_ns);
    c->deadlines_missed += set->late != 0;
}

/* Packing a wide answer takes a millisecond: whether it is late is asked again afterwards, and then
 * it says so. */
static int pack_in_time(beamd_core *self, beamd_cluster *c, Beamd__SolutionSet *set,
                        Beamd__Latency *latency, beam_wire_error *err)
{
    const int packed = pack(c, set, latency, err);
    if (packed < 0 || set->late || self->act.clock_ns(self->act.arg) <= c->active.deadline_ns) {
        return packed;
    }
    set->late = true;
    for (size_t k = 0; k < set->n_solutions; k++) {
        set->solutions[k]->late = true;
    }
    return pack(c, set, latency, err);
}

static bool rescued(const beamd_cluster *c)
{
    return !beamd_bands_within(&c->checked, &c->done);
}

static bool all_held(const Beamd__SolutionSet *set)
{
    size_t held = 0;
    for (size_t k = 0; k < set->n_solutions; k++) {
        held += set->solutions[k]->service == BEAMD__SERVICE__SERVICE_HELD;
    }
    return held == set->n_solutions;
}

bool beamd_core_answer(beamd_core *self, beamd_cluster *c)
{
    messages m = {self->scratch, self->scratch_bytes, 0};
    Beamd__SolutionSet set;
    Beamd__Latency latency;
    const uint64_t sent_ns = self->act.clock_ns(self->act.arg);
    if (build(self, c, &m, sent_ns > c->active.deadline_ns, &set) == 0) {
        return false;
    }
    if (c->active.identity_bytes == 0 && all_held(&set)) {
        return true; /* nobody asked, and nothing is new */
    }
    fill_latency(c, sent_ns, &latency);
    beam_wire_error err;
    if (pack_in_time(self, c, &set, &latency, &err) < 0) {
        self->metrics.failed_jobs++;
        BEAMD_LOG(BEAMD_LOG_ERR, "event=pack_failed type=Solution cluster=%s why=\"%s\"", c->id,
                  err.text);
        beamd_core_refuse_request(self, c, &c->active, &err);
        return true; /* answered */
    }
    send(self, c);
    const double took_ns = (double)between(sent_ns, self->act.clock_ns(self->act.arg));
    c->answer_ns += (took_ns - c->answer_ns) / 8;
    if (2 * c->answer_ns > (double)self->send_most_ns) {
        self->send_most_ns = (uint64_t)(2 * c->answer_ns) + 1;
    }
    self->metrics.rescues_used += set.service == BEAMD__SERVICE__SERVICE_CHECKED && rescued(c);
    count_solutions(self, &set);
    count_request(self, c, &set, &latency);
    return true;
}
