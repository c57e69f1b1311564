#include "load/verify.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beam/beam.h"

const double LOAD_VERIFY_TOLERANCE = 1e-6;
static const double POWER_TOLERANCE = 1e-9;

/* Scene, design and evaluator of one size. */
typedef struct judge {
    const load_options *options;
    load_shape shape;
    beam_dims dims;
    int sensing_max;
    beam_scene scene;
    beam_design design;
    beam_evaluator *evaluator;
    beam_quality quality;
    void *memory[3];
    double *wide; /* beams or sensing as pairs of doubles */
    beam_wire_arena answer, request;
    void *arena_memory[2];
    load_verdict *verdict;
} judge;

static void *take(size_t size)
{
    return aligned_alloc(64, (size + 63u) & ~(size_t)63u);
}

static void judge_destroy(judge *self)
{
    for (int k = 0; k < 3; k++) {
        free(self->memory[k]);
    }
    free(self->wide);
    free(self->arena_memory[0]);
    free(self->arena_memory[1]);
}

static bool judge_create(judge *self, const load_options *o, const load_shape *shape,
                         load_verdict *verdict)
{
    const size_t arena = beam_wire_arena_bytes(BEAM_WIRE_MAX_MESSAGE_BYTES);
    beam_error err;
    *self = (judge){.options = o, .shape = *shape, .verdict = verdict};
    self->dims = (beam_dims){shape->stations, shape->antennas, shape->users, shape->targets};
    self->sensing_max = beam_design_sensing_max(&self->dims);
    const size_t size[3] = {beam_scene_memsize(&self->dims),
                            beam_design_memsize(&self->dims, self->sensing_max),
                            beam_evaluator_memsize(&self->dims, self->sensing_max)};
    for (int k = 0; k < 3; k++) {
        self->memory[k] = take(size[k]);
    }
    const size_t vectors = (size_t)(shape->users + shape->stations * self->sensing_max);
    self->wide = calloc(2 * vectors * (size_t)shape->antennas, sizeof(double));
    self->arena_memory[0] = take(arena);
    self->arena_memory[1] = take(arena);
    if (!self->memory[0] || !self->memory[1] || !self->memory[2] || !self->wide ||
        !self->arena_memory[0] || !self->arena_memory[1] ||
        beam_scene_init(&self->scene, &self->dims, self->memory[0], size[0], &err) ||
        beam_design_init(&self->design, &self->dims, self->sensing_max, self->memory[1], size[1],
                         &err) ||
        beam_evaluator_init(&self->evaluator, &self->dims, self->sensing_max, self->memory[2],
                            size[2], &err)) {
        judge_destroy(self);
        return false;
    }
    beam_wire_arena_init(&self->answer, self->arena_memory[0], arena);
    beam_wire_arena_init(&self->request, self->arena_memory[1], arena);
    return true;
}

/* A request as it went out, laid out in the arena of requests. */
static const ProtobufCMessage *sent_message(judge *self, const load_pool *pool, uint64_t sequence,
                                            load_error *err)
{
    beam_wire_header header;
    beam_wire_error wire;
    ProtobufCMessage *message;
    const load_frame *frame = load_pool_frame(pool, sequence);
    if (sequence == 0) {
        load_fail(err, "an answer names sequence 0, which was never sent");
        return NULL;
    }
    if (beam_wire_unpack(&header, &message, &self->request, frame->bytes, frame->size, &wire) < 0) {
        load_fail(err, "%s: %s", wire.field, wire.text);
        return NULL;
    }
    return message;
}

static int load_stations(judge *self, const load_cluster *cluster, load_error *err)
{
    beam_wire_header header;
    beam_wire_error wire;
    ProtobufCMessage *message;
    if (beam_wire_unpack(&header, &message, &self->request, cluster->registration.bytes,
                         cluster->registration.size, &wire) < 0) {
        return load_fail(err, "%s: %s", wire.field, wire.text);
    }
    const Beamd__RegisterCluster *m = (const Beamd__RegisterCluster *)message;
    self->scene.snapshots = m->snapshots;
    for (size_t l = 0; l < m->n_stations; l++) {
        self->scene.station_position_m[2 * l] = m->stations[l]->x_m;
        self->scene.station_position_m[2 * l + 1] = m->stations[l]->y_m;
        self->scene.station_axis_rad[l] = m->stations[l]->axis_rad;
        self->scene.station_power_w[l] = m->stations[l]->power_w;
        self->scene.station_echo_noise_w[l] = m->stations[l]->echo_noise_w;
    }
    return 0;
}

static int load_csi(judge *self, const load_cluster *cluster, uint64_t sequence, uint32_t subband,
                    load_error *err)
{
    const Beamd__CsiUpdate *m =
        (const Beamd__CsiUpdate *)sent_message(self, &cluster->csi, sequence, err);
    beam_wire_error wire;
    const uint32_t shape[3] = {(uint32_t)self->dims.stations, (uint32_t)self->dims.users,
                               (uint32_t)self->dims.antennas};
    if (!m) {
        return -1;
    }
    if (subband >= m->n_subbands) {
        return load_fail(err, "an answer is for subband %u of %zu", subband, m->n_subbands);
    }
    for (size_t u = 0; u < m->n_users; u++) {
        self->scene.user_station[u] = (int)m->users[u]->station;
        self->scene.user_weight[u] = m->users[u]->weight;
        self->scene.user_noise_w[u] = m->users[u]->noise_w;
        self->scene.user_min_rate_bps_hz[u] = m->users[u]->min_rate_bps_hz;
    }
    const Beamd__Subband *band = m->subbands[subband];
    memcpy(self->scene.error_radius, band->error_radius,
           band->n_error_radius * sizeof *band->error_radius);
    if (beam_wire_array_decode(band->channels, "channels", shape, 3, &self->scene.channel[0].re,
                               &wire) < 0) {
        return load_fail(err, "%s: %s", wire.field, wire.text);
    }
    return 0;
}

static int load_targets(judge *self, const load_cluster *cluster, uint64_t sequence,
                        load_error *err)
{
    const Beamd__TargetUpdate *m =
        (const Beamd__TargetUpdate *)sent_message(self, &cluster->targets, sequence, err);
    const int L = self->dims.stations, J = self->dims.targets;
    if (!m) {
        return -1;
    }
    for (int j = 0; j < J; j++) {
        double distance_m[BEAM_MAX_STATIONS];
        const Beamd__Target *t = m->targets[j];
        self->scene.target_position_m[2 * j] = t->x_m;
        self->scene.target_position_m[2 * j + 1] = t->y_m;
        for (int l = 0; l < L; l++) {
            distance_m[l] = hypot(t->x_m - self->scene.station_position_m[2 * l],
                                  t->y_m - self->scene.station_position_m[2 * l + 1]);
        }
        for (int l = 0; l < L; l++) {
            for (int r = 0; r < L; r++) {
                beam_complex *alpha = &self->scene.reflection[(l * J + j) * L + r];
                beam_wire_reflection(self->options->carrier_hz, t->rcs_m2, distance_m[l],
                                     distance_m[r], &alpha->re, &alpha->im);
            }
        }
    }
    return 0;
}

/* The beams of an answer. Users are those of the request, in its order. */
static int load_design(judge *self, const Beamd__Solution *s, load_error *err)
{
    const size_t N = (size_t)self->dims.antennas, L = (size_t)self->dims.stations;
    beam_wire_error wire;
    const uint32_t beams[2] = {(uint32_t)self->dims.users, (uint32_t)N};
    const uint32_t columns = s->sensing && s->sensing->n_shape == 3 ? s->sensing->shape[1] : 0;
    const uint32_t sensing[3] = {(uint32_t)L, columns, (uint32_t)N};
    if (s->n_users != (size_t)self->dims.users || s->n_stations != L ||
        columns > (uint32_t)self->sensing_max) {
        return load_fail(err, "an answer has %zu users, %zu stations and %u sensing columns",
                         s->n_users, s->n_stations, columns);
    }
    for (size_t u = 0; u < s->n_users; u++) {
        if (s->users[u]->user_id != u + 1) {
            return load_fail(err, "users[%zu] of an answer is user %" PRIu64, u,
                             s->users[u]->user_id);
        }
    }
    if (beam_wire_array_decode(s->beams, "beams", beams, 2, &self->design.beams[0].re, &wire) < 0 ||
        beam_wire_array_decode(s->sensing, "sensing", sensing, 3, self->wide, &wire) < 0) {
        return load_fail(err, "%s: %s", wire.field, wire.text);
    }
    for (size_t l = 0; l < L; l++) {
        if (s->stations[l]->sensing_columns > columns) {
            return load_fail(err, "stations[%zu].sensing_columns is beyond the array", l);
        }
        self->design.sensing_count[l] = (int)s->stations[l]->sensing_columns;
        memset(self->design.sensing + l * (size_t)self->sensing_max * N, 0,
               (size_t)self->sensing_max * N * sizeof(beam_complex));
        memcpy(self->design.sensing + l * (size_t)self->sensing_max * N,
               self->wide + 2 * l * columns * N, columns * N * sizeof(beam_complex));
    }
    return 0;
}

static void compare(double *worst, double claimed, double own, double scale)
{
    const double difference = fabs(claimed - own) / fmax(fabs(scale), 1e-300);
    *worst = difference <= *worst ? *worst : difference; /* a NaN is the worst */
}

/* MATH 5 with the answer's own normalising values. */
static void compare_merit(load_verdict *v, const Beamd__Solution *s, const beam_quality *q)
{
    const beam_ideal ideal = {s->wsr_ideal_bps_hz, s->crlb_min_m2};
    if (!s->preference || isinf(s->merit)) {
        return;
    }
    const beam_preference u = {s->preference->u1, s->preference->u2};
    const double f1 = beam_loss_rate(&ideal, q->wsr_worst_case_bps_hz);
    const double f2 = beam_loss_sensing(&ideal, q->crlb_valid, q->crlb_m2);
    const double merit = beam_merit(&ideal, u, f1, f2);
    compare(&v->merit, s->merit, merit, fmax(1, fabs(merit)));
}

static void compare_all(judge *self, const Beamd__Solution *s)
{
    load_verdict *v = self->verdict;
    const beam_quality *q = &self->quality;
    compare(&v->wsr_worst_case, s->wsr_worst_case_bps_hz, q->wsr_worst_case_bps_hz,
            q->wsr_worst_case_bps_hz);
    compare(&v->wsr_nominal, s->wsr_nominal_bps_hz, q->wsr_nominal_bps_hz, q->wsr_nominal_bps_hz);
    for (size_t u = 0; u < s->n_users; u++) {
        /* of the sum: a single user's rate may be as good as zero */
        compare(&v->user_rate, s->users[u]->rate_worst_case_bps_hz,
                q->user_rate_worst_case_bps_hz[u], fmax(1e-3, q->user_rate_worst_case_bps_hz[u]));
    }
    for (size_t l = 0; l < s->n_stations; l++) {
        compare(&v->power, s->stations[l]->power_w, q->station_power_w[l],
                self->scene.station_power_w[l]);
    }
    if (q->crlb_valid) {
        compare(&v->crlb, s->crlb_m2, q->crlb_m2, q->crlb_m2);
    }
    compare_merit(v, s, q);
    v->power_excess = fmax(v->power_excess, q->power_excess);
    v->solutions++;
}

/* `asked`: the request's. Frames come back in turn, so CSI that was never sent, or long ago, would
 * be found as well. Newer CSI than was asked for is no fault: a rescue takes the latest. */
static int judge_sequences(const load_cluster *cluster, const Beamd__Solution *s, uint64_t asked,
                           load_error *err)
{
    if (s->csi_sequence > cluster->csi_ring.sequence) {
        return load_fail(err, "an answer names CSI %" PRIu64 ", which was never sent",
                         s->csi_sequence);
    }
    if (s->csi_sequence < asked && s->service != BEAMD__SERVICE__SERVICE_HELD) {
        return load_fail(err,
                         "an answer to CSI %" PRIu64 " that is not held is made from CSI %" PRIu64,
                         asked, s->csi_sequence);
    }
    if (s->target_sequence > cluster->target_ring.sequence) {
        return load_fail(err, "an answer names targets %" PRIu64 ", which were never sent",
                         s->target_sequence);
    }
    return 0;
}

static int judge_solution(judge *self, const load_cluster *cluster, const Beamd__Solution *s,
                          uint64_t asked, load_error *err)
{
    beam_error engine;
    beam_wire_arena_reset(&self->request);
    if (judge_sequences(cluster, s, asked, err) < 0 || load_stations(self, cluster, err) < 0 ||
        load_csi(self, cluster, s->csi_sequence, s->subband, err) < 0 ||
        load_targets(self, cluster, s->target_sequence, err) < 0 || load_design(self, s, err) < 0) {
        return -1;
    }
    if (beam_evaluator_load(self->evaluator, &self->scene, &engine) ||
        beam_evaluator_run(self->evaluator, &self->design, &self->quality, &engine)) {
        return load_fail(err, "%s: %s", engine.field, engine.text);
    }
    if ((s->crlb_valid != 0) != self->quality.crlb_valid) {
        return load_fail(err, "crlb_valid is %d, its beams say otherwise", s->crlb_valid != 0);
    }
    compare_all(self, s);
    return 0;
}

static int judge_sample(judge *self, const load_sample *sample, load_error *err)
{
    beam_wire_header header;
    beam_wire_error wire;
    ProtobufCMessage *message;
    beam_wire_arena_reset(&self->answer);
    if (beam_wire_unpack(&header, &message, &self->answer, sample->frame, sample->bytes, &wire) <
        0) {
        return load_fail(err, "%s: %s", wire.field, wire.text);
    }
    if (header.type == BEAM_WIRE_SOLUTION) {
        return judge_solution(self, sample->cluster, (const Beamd__Solution *)message,
                              header.sequence, err);
    }
    const Beamd__SolutionSet *set = (const Beamd__SolutionSet *)message;
    const size_t preferences =
        self->options->preference_count ? (size_t)self->options->preference_count : 1;
    if (set->n_solutions != (size_t)self->shape.subbands * preferences) {
        return load_fail(err, "a set of %zu solutions for %d subbands and %zu preferences",
                         set->n_solutions, self->shape.subbands, preferences);
    }
    for (size_t k = 0; k < set->n_solutions; k++) {
        const Beamd__Solution *s = set->solutions[k];
        if (s->subband != k / preferences) {
            return load_fail(err, "solutions[%zu] of a set is of subband %u", k, s->subband);
        }
        if (judge_solution(self, sample->cluster, s, header.sequence, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int load_verify(const load_options *o, const load_samples *samples, load_verdict *v,
                load_error *err)
{
    *v = (load_verdict){.left_out = samples->left_out};
    for (int k = 0; k < o->shape_count; k++) {
        judge one;
        load_error wrong;
        if (!judge_create(&one, o, &o->shapes[k], v)) {
            return load_fail(err, "no memory to recompute answers");
        }
        for (size_t i = 0; i < samples->count; i++) {
            if (samples->kept[i].cluster->shape != &o->shapes[k]) {
                continue;
            }
            v->answers++;
            if (judge_sample(&one, &samples->kept[i], &wrong) < 0 && v->wrong++ == 0) {
                snprintf(v->first_wrong, sizeof v->first_wrong, "%.250s", wrong.text);
            }
        }
        judge_destroy(&one);
    }
    const double differences[] = {v->wsr_worst_case, v->wsr_nominal, v->user_rate,
                                  v->crlb,           v->merit,       v->power};
    for (size_t k = 0; k < sizeof differences / sizeof differences[0]; k++) {
        v->worst = differences[k] <= v->worst ? v->worst : differences[k];
    }
    return 0;
}

bool load_verdict_good(const load_verdict *v, load_error *err)
{
    if (v->wrong > 0) {
        load_fail(err, "%" PRIu64 " answers cannot be right: %s", v->wrong, v->first_wrong);
        return false;
    }
    if (!(v->worst <= LOAD_VERIFY_TOLERANCE)) {
        load_fail(err, "an answer claims numbers that are not those of its beams (%.2e)", v->worst);
        return false;
    }
    if (!(v->power_excess <= POWER_TOLERANCE)) {
        load_fail(err, "an answer exceeds a station's budget by %.2e", v->power_excess);
        return false;
    }
    return true;
}
