/* Judges one answer: what is in it against what was sent. */
#include <math.h>
#include <string.h>

#include "sim/sim.h"

#define POWER_SLACK 1e-9
#define TRANSIT_MAX_NS UINT64_C(3600000000000) /* senders' clocks step by seconds */

static void judge_numbers(sim *s, const sim_agent *a, const Beamd__Solution *x)
{
    const double numbers[] = {x->wsr_nominal_bps_hz, x->wsr_worst_case_bps_hz, x->crlb_m2,
                              x->wsr_ideal_bps_hz,   x->crlb_min_m2,           x->shortfall_bps_hz,
                              x->error_growth};
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
        if (!isfinite(numbers[k])) {
            sim_fail(s, "%s: number %zu of an answer is not finite", a->id, k);
        }
    }
    if (isnan(x->merit) || isnan(x->classical_merit) || x->error_growth < 1) {
        sim_fail(s, "%s: a merit or growth that is none", a->id);
    }
    for (size_t u = 0; u < x->n_users; u++) {
        const Beamd__UserAnswer *user = x->users[u];
        if (!isfinite(user->beam_power_w) || !isfinite(user->rate_worst_case_bps_hz) ||
            !isfinite(user->rate_nominal_bps_hz)) {
            sim_fail(s, "%s: a user's number is not finite", a->id);
        }
    }
}

/* From the beams' own bytes, against the budgets of the registration. */
static void judge_power(sim *s, const sim_agent *a, const Beamd__Solution *x)
{
    const beam_dims *dims = &sim_kinds[a->kind].dims;
    const size_t N = (size_t)dims->antennas, L = (size_t)dims->stations;
    const uint32_t beams[2] = {(uint32_t)x->n_users, (uint32_t)N};
    double power_w[BEAM_MAX_STATIONS] = {0}, *v = s->judge.numbers;
    beam_wire_error err;
    if (beam_wire_array_decode(x->beams, "beams", beams, 2, v, &err) < 0) {
        sim_fail(s, "%s: %s %s", a->id, err.field, err.text);
    }
    for (size_t u = 0; u < x->n_users; u++) {
        if (x->users[u]->station >= L) {
            sim_fail(s, "%s: a user of no station", a->id);
        }
        for (size_t n = 0; n < 2 * N; n++) {
            power_w[x->users[u]->station] += v[2 * N * u + n] * v[2 * N * u + n];
        }
    }
    const uint32_t columns = x->sensing && x->sensing->n_shape == 3 ? x->sensing->shape[1] : 0;
    const uint32_t sensing[3] = {(uint32_t)L, columns, (uint32_t)N};
    if (columns > 4 * N || beam_wire_array_decode(x->sensing, "sensing", sensing, 3, v, &err) < 0) {
        sim_fail(s, "%s: the sensing beams cannot be read", a->id);
    }
    for (size_t l = 0; l < L; l++) {
        const double budget_w = sim_scene(a->kind, 0, 0)->station_power_w[l];
        for (size_t k = 0; k < 2 * N * columns; k++) {
            power_w[l] += v[2 * N * columns * l + k] * v[2 * N * columns * l + k];
        }
        if (!(power_w[l] <= budget_w * (1 + POWER_SLACK))) {
            sim_fail(s, "%s: station %zu sends %.12g W of %.12g", a->id, l, power_w[l], budget_w);
        }
        if (fabs(power_w[l] - x->stations[l]->power_w) > 1e-9 * budget_w) {
            sim_fail(s, "%s: station %zu is said to send %.12g W and sends %.12g", a->id, l,
                     x->stations[l]->power_w, power_w[l]);
        }
    }
}

/* The users are those that there were with the CSI that is named, as far as that is known. */
static void judge_csi(sim *s, const sim_agent *a, const Beamd__Solution *x)
{
    const sim_mirror *m = &a->mirror;
    const uint64_t known = m->ring_count < SIM_RING ? m->ring_count : SIM_RING;
    for (uint64_t k = 0; k < known; k++) {
        const uint64_t at = (m->ring_count - 1 - k) % SIM_RING;
        if (m->ring[at].sequence != x->csi_sequence) {
            continue;
        }
        unsigned mask = 0;
        for (size_t u = 0; u < x->n_users; u++) {
            mask |= 1u << (x->users[u]->user_id - 100) % 32;
        }
        if (mask != m->ring[at].mask && s->scenario->network.reordered <= 0 &&
            s->scenario->network.repeated <= 0 && s->scenario->network.gone <= 0) {
            sim_fail(s, "%s: users %x answered, CSI %llu had %x", a->id, mask,
                     (unsigned long long)x->csi_sequence, m->ring[at].mask);
        }
        return;
    }
    if (m->ring_count <= SIM_RING || x->csi_sequence > m->csi_sequence) {
        sim_fail(s, "%s: CSI %llu is named and was never sent", a->id,
                 (unsigned long long)x->csi_sequence);
    }
}

static int name_of(const char *name)
{
    int n = 0;
    while (n < SIM_NAMES && strcmp(name, sim_names[n]) != 0) {
        n++;
    }
    return n;
}

static bool any_named(const sim_mirror *m)
{
    bool any = false;
    for (int n = 1; n < SIM_NAMES; n++) {
        any = any || m->named[n];
    }
    return any;
}

/* Held beams are the last ones that there are, and nothing better was there. */
static void judge_held(sim *s, const sim_agent *a, const sim_record *r, const Beamd__Solution *x,
                       int name)
{
    const sim_mirror *m = &a->mirror;
    const bool unsure = name == 0 && m->unsure[x->subband];
    if (x->csi_sequence != m->solved[x->subband][name] && !unsure) {
        sim_fail(s, "%s: subband %u holds CSI %llu, the last beams were for %llu", a->id,
                 x->subband, (unsigned long long)x->csi_sequence,
                 (unsigned long long)m->solved[x->subband][name]);
    }
    if (r->type != 0 && m->checked_for[x->subband] == r->sequence &&
        m->failed_for[x->subband] != r->sequence) {
        sim_fail(s, "%s: beams are held where checked ones are there", a->id);
    }
    if (x->backend != BEAMD__BACKEND__BACKEND_NONE) {
        sim_fail(s, "%s: held beams of a backend", a->id);
    }
}

static void judge_service(sim *s, const sim_agent *a, const sim_record *r, const Beamd__Solution *x,
                          int name)
{
    switch (x->service) {
    case BEAMD__SERVICE__SERVICE_HELD:
        judge_held(s, a, r, x, name);
        s->judge.seen |= SEEN_HELD;
        break;
    case BEAMD__SERVICE__SERVICE_FULL:
    case BEAMD__SERVICE__SERVICE_REDUCED:
    case BEAMD__SERVICE__SERVICE_CHECKED:
        if (x->csi_sequence < r->sequence && r->type != 0) {
            sim_fail(s, "%s: request %llu is answered with service %d from CSI %llu", a->id,
                     (unsigned long long)r->sequence, (int)x->service,
                     (unsigned long long)x->csi_sequence);
        }
        break;
    default:
        sim_fail(s, "%s: service %d", a->id, (int)x->service);
    }
}

static void judge_solution(sim *s, const sim_agent *a, const sim_record *r,
                           const Beamd__Solution *x)
{
    const sim_kind_info *info = &sim_kinds[a->kind];
    const int name = name_of(x->preference_name);
    if (x->subband >= (uint32_t)info->subbands || x->n_stations != (size_t)info->dims.stations ||
        x->n_targets != (size_t)info->dims.targets || x->n_users > (size_t)info->dims.users) {
        sim_fail(s, "%s: an answer of other sizes", a->id);
    }
    if (name == SIM_NAMES || (name > 0 ? !a->mirror.named[name] : any_named(&a->mirror))) {
        sim_fail(s, "%s: an answer for preference \"%s\"", a->id, x->preference_name);
    }
    judge_numbers(s, a, x);
    judge_power(s, a, x);
    judge_csi(s, a, x);
    judge_service(s, a, r, x, name);
    if (x->backend == BEAMD__BACKEND__BACKEND_GPU) {
        s->judge.counts.gpu_problems++;
        s->judge.seen |= SEEN_GPU;
    }
    s->judge.counts.problems++;
    s->judge.counts.service[(unsigned)x->service % BEAMD_SERVICES]++;
}

static void judge_latency(sim *s, const sim_agent *a, const sim_record *r, const Beamd__Latency *l)
{
    const uint64_t most_ns = s->now_ns - s->start_ns;
    const uint64_t all_ns =
        l->received_to_queued_ns + l->queued_to_solve_ns + l->solve_ns + l->solve_to_sent_ns;
    if (r->type != 0 && l->received_monotonic_ns != r->received_ns) {
        sim_fail(s, "%s: received at another time than it was", a->id);
    }
    if (l->received_to_queued_ns > most_ns || l->queued_to_solve_ns > most_ns ||
        l->solve_ns > most_ns || l->solve_to_sent_ns > most_ns ||
        l->solve_to_checked_ns > l->solve_to_sent_ns || l->transit_estimate_ns > TRANSIT_MAX_NS ||
        all_ns > most_ns) {
        sim_fail(s, "%s: a stage of %.3g s", a->id, 1e-9 * (double)all_ns);
    }
}

/* Late as said, and not beyond all measure. */
static void judge_time(sim *s, const sim_agent *a, const sim_record *r, bool late)
{
    const uint64_t waits = 1 + BEAMD_PENDING_MAX;
    const uint64_t most_ns =
        waits * (s->deadline_max_ns + s->hang_max_ns) + 2 * s->hold_up_max_ns + 1000000000u;
    if (r->type == 0) {
        return;
    }
    if (late != (s->now_ns > r->deadline_ns)) {
        sim_fail(s, "%s: request %llu is %smarked late, %.3f ms after its deadline", a->id,
                 (unsigned long long)r->sequence, late ? "" : "not ",
                 1e-6 * ((double)s->now_ns - (double)r->deadline_ns));
    }
    if (s->now_ns - r->received_ns > most_ns) {
        sim_fail(s, "%s: request %llu was answered after %.3g s", a->id,
                 (unsigned long long)r->sequence, 1e-9 * (double)(s->now_ns - r->received_ns));
    }
    s->judge.counts.late += late;
    s->judge.seen |= late ? SEEN_LATE : 0;
}

static void judge_recovery(sim *s, const sim_agent *a, const sim_record *r, Beamd__Service service,
                           bool late)
{
    const sim_scenario *c = s->scenario;
    if (c->recover_s <= 0 || s->stress || s->stress_ended_ns == 0 || r->type == 0 ||
        r->received_ns < s->stress_ended_ns + sim_ns(c->recover_s)) {
        return;
    }
    if (service != BEAMD__SERVICE__SERVICE_FULL || late) {
        sim_fail(s, "%s: %.3f s after the overload request %llu still gets service %d%s", a->id,
                 1e-9 * (double)(r->received_ns - s->stress_ended_ns),
                 (unsigned long long)r->sequence, (int)service, late ? ", late" : "");
    }
}

/* What a GPU has lost costs no deadline. */
static void judge_saved(sim *s, const sim_agent *a, const sim_record *r, Beamd__Service service,
                        bool late)
{
    if (!r->in_time) {
        return;
    }
    if (late || service == BEAMD__SERVICE__SERVICE_HELD) {
        sim_fail(s, "%s: a GPU lost request %llu in time, and it gets service %d%s", a->id,
                 (unsigned long long)r->sequence, (int)service, late ? ", late" : "");
    }
    s->judge.counts.gpu_saved++;
    s->judge.counts.gpu_saved_by_check += service == BEAMD__SERVICE__SERVICE_CHECKED;
    s->judge.seen |= SEEN_GPU_SAVED;
}

/* Every subband that was asked for and every preference once, unless there is nothing to say. */
static void judge_completeness(sim *s, const sim_agent *a, const sim_record *r,
                               const Beamd__SolutionSet *set)
{
    const sim_mirror *m = &a->mirror;
    bool there[SIM_BANDS_MAX][SIM_NAMES] = {{false}};
    const bool named = any_named(m);
    for (size_t k = 0; k < set->n_solutions; k++) {
        const Beamd__Solution *x = set->solutions[k];
        bool *at = &there[x->subband][name_of(x->preference_name)];
        if (*at) {
            sim_fail(s, "%s: subband %u is there twice", a->id, x->subband);
        }
        *at = true;
    }
    for (int b = 0; b < sim_kinds[a->kind].subbands && r->type != 0; b++) {
        for (int n = 0; n < SIM_NAMES; n++) {
            const bool wanted = beamd_bands_has(&r->bands, b) && (n > 0 ? m->named[n] : !named);
            const bool solved = m->solved[b][n] != 0 && !(n == 0 && m->unsure[b]);
            if (wanted && !there[b][n] && solved && m->failed_for[b] != r->sequence) {
                sim_fail(s, "%s: subband %d, preference \"%s\" is missing from %llu", a->id, b,
                         sim_names[n], (unsigned long long)r->sequence);
            }
        }
    }
}

void sim_judge_answer(sim *s, sim_agent *a, const sim_record *r, unsigned type,
                      const ProtobufCMessage *message)
{
    static const unsigned seen[BEAMD_SERVICES] = {SEEN_FULL, SEEN_REDUCED, SEEN_CHECKED, SEEN_HELD};
    const bool is_set = type == BEAM_WIRE_SOLUTION_SET;
    const Beamd__SolutionSet *set = (const Beamd__SolutionSet *)message;
    const Beamd__Solution *one = (const Beamd__Solution *)message;
    if (!a->mirror.registered || r->incarnation != a->mirror.incarnation) {
        sim_fail(s, "an answer for %s, which is not registered so", a->id);
    }
    if (is_set != (sim_kinds[a->kind].subbands > 1 || any_named(&a->mirror))) {
        sim_fail(s, "%s: a solution in place of a set, or the other way round", a->id);
    }
    if (is_set && set->n_solutions == 0) {
        sim_fail(s, "%s: an empty set", a->id);
    }
    Beamd__Service service = BEAMD__SERVICE__SERVICE_FULL;
    const bool late = is_set ? set->late != 0 : one->late != 0;
    for (size_t k = 0; k < (is_set ? set->n_solutions : 1); k++) {
        const Beamd__Solution *x = is_set ? set->solutions[k] : one;
        judge_solution(s, a, r, x);
        service = x->service > service ? x->service : service;
        if ((x->late != 0) != late) {
            sim_fail(s, "%s: late and not late in one answer", a->id);
        }
    }
    if (is_set && set->service != service) {
        sim_fail(s, "%s: a set of service %d says %d", a->id, (int)service, (int)set->service);
    }
    judge_time(s, a, r, late);
    judge_latency(s, a, r, is_set ? set->latency : one->latency);
    judge_recovery(s, a, r, service, late);
    judge_saved(s, a, r, service, late);
    if (is_set) {
        judge_completeness(s, a, r, set);
        s->judge.seen |= SEEN_SET;
    }
    s->judge.seen |= seen[(unsigned)service % BEAMD_SERVICES];
}
