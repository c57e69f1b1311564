#include "ring/pack.h"

#include <math.h>
#include <string.h>

#define COMPLEX_BYTES (2 * sizeof(double))
/* Square-root watt: what is larger is no beam of ours, and its square still has a value. */
#define AMPLITUDE_MAX 1e100

/* --- Sizes: of dimensions inside the engine's limits, far from overflow --- */

static bool read_dims(const beamg_dims *from, beam_dims *to)
{
    *to = (beam_dims){from->stations, from->antennas, from->users, from->targets};
    return beam_dims_check(to, NULL) == BEAM_OK;
}

static uint64_t frame_bytes(const beam_dims *d)
{
    const uint64_t L = (uint64_t)d->stations, U = (uint64_t)d->users, J = (uint64_t)d->targets;
    return (5 * L + 3 * U + 2 * J + 2 * L * J * L) * sizeof(double) + U * sizeof(int32_t);
}

static uint64_t channel_count(const beam_dims *d)
{
    return (uint64_t)d->stations * (uint64_t)d->users * (uint64_t)d->antennas;
}

static uint64_t beams_bytes(const beam_dims *d)
{
    return (uint64_t)d->users * (uint64_t)d->antennas * COMPLEX_BYTES;
}

static uint64_t sensing_bytes(const beam_dims *d, uint64_t columns)
{
    return (uint64_t)d->stations * columns * (uint64_t)d->antennas * COMPLEX_BYTES;
}

static uint64_t warm_bytes(const beam_dims *d, uint64_t columns)
{
    return BEAMG_ALIGN + beams_bytes(d) + sensing_bytes(d, columns);
}

static uint64_t aligned(uint64_t at)
{
    return (at + BEAMG_ALIGN - 1) / BEAMG_ALIGN * BEAMG_ALIGN;
}

static uint64_t results_end(uint32_t problems)
{
    return aligned(aligned(sizeof(beamg_answer_head)) + problems * sizeof(beamg_result));
}

/* --- Writing --- */

/* 0: there is no room. */
static uint64_t take(uint64_t *used, uint64_t size, uint64_t bytes)
{
    const uint64_t at = aligned(*used);
    if (at > size || bytes > size - at) {
        return 0;
    }
    *used = at + bytes;
    return at;
}

static beam_code no_room(beam_error *err)
{
    return beam_fail(err, BEAM_E_LIMIT, NULL, "the batch is larger than a slot of the worker");
}

beam_code beamg_write_begin(beamg_writer *self, void *request, size_t request_bytes,
                            size_t answer_bytes, uint32_t frames, uint32_t scenes,
                            uint32_t problems, beam_error *err)
{
    *self = (beamg_writer){.base = request, .size = request_bytes, .answer_size = answer_bytes};
    if (problems < 1 || problems > BEAMG_PROBLEMS_MAX || scenes < 1 || scenes > problems ||
        frames < 1 || frames > scenes) {
        return beam_fail(err, BEAM_E_LIMIT, "problems", "%u of %u scenes and %u frames", problems,
                         scenes, frames);
    }
    self->used = sizeof self->head;
    self->answer_used = results_end(problems);
    self->head = (beamg_request_head){.magic = BEAMG_REQUEST_MAGIC,
                                      .version = BEAMG_VERSION,
                                      .frames = frames,
                                      .scenes = scenes,
                                      .problems = problems};
    beamg_request_head *head = &self->head;
    head->frame_at = take(&self->used, self->size, frames * sizeof(beamg_frame));
    head->scene_at = take(&self->used, self->size, scenes * sizeof(beamg_scene));
    head->problem_at = take(&self->used, self->size, problems * sizeof(beamg_problem));
    if (!head->frame_at || !head->scene_at || !head->problem_at ||
        self->answer_used > self->answer_size) {
        return no_room(err);
    }
    return BEAM_OK;
}

static unsigned char *put(unsigned char *to, const void *from, size_t bytes)
{
    if (bytes > 0) {
        memcpy(to, from, bytes);
    }
    return to + bytes;
}

static void write_arrays(unsigned char *to, const beam_scene *s)
{
    const size_t L = (size_t)s->dims.stations, U = (size_t)s->dims.users,
                 J = (size_t)s->dims.targets, one = sizeof(double);
    to = put(to, s->station_position_m, 2 * L * one);
    to = put(to, s->station_axis_rad, L * one);
    to = put(to, s->station_power_w, L * one);
    to = put(to, s->station_echo_noise_w, L * one);
    to = put(to, s->user_weight, U * one);
    to = put(to, s->user_noise_w, U * one);
    to = put(to, s->user_min_rate_bps_hz, U * one);
    to = put(to, s->target_position_m, 2 * J * one);
    to = put(to, s->reflection, L * J * L * COMPLEX_BYTES);
    (void)put(to, s->user_station, U * sizeof(int32_t));
}

beam_code beamg_write_frame(beamg_writer *self, const beam_scene *scene, uint64_t key,
                            const double *rows, bool rows_moved, beam_error *err)
{
    const beam_dims *d = &scene->dims;
    if (self->frames == self->head.frames) {
        return beam_fail(err, BEAM_E_LIMIT, "frames", "more than announced");
    }
    beamg_frame frame = {.dims = {d->stations, d->antennas, d->users, d->targets},
                         .sensing = (int32_t)scene->sensing,
                         .skip_unidentifiable = scene->skip_unidentifiable,
                         .bandwidth_hz = scene->bandwidth_hz,
                         .snapshots = scene->snapshots,
                         .key = key,
                         .rows_moved = rows_moved};
    frame.at = take(&self->used, self->size, frame_bytes(d));
    if (frame.at && rows) {
        frame.rows_bytes = beam_solver_sensing_bytes(d);
        frame.rows_at = take(&self->used, self->size, frame.rows_bytes);
    }
    if (!frame.at || (rows && !frame.rows_at)) {
        return no_room(err);
    }
    write_arrays(self->base + frame.at, scene);
    if (rows) {
        memcpy(self->base + frame.rows_at, rows, frame.rows_bytes);
    }
    memcpy(self->base + self->head.frame_at + self->frames * sizeof frame, &frame, sizeof frame);
    self->frames++;
    return BEAM_OK;
}

beam_code beamg_write_scene(beamg_writer *self, uint32_t frame, const beam_scene *scene,
                            const beam_ideal *ideal, beam_error *err)
{
    const beam_dims *d = &scene->dims;
    if (self->scenes == self->head.scenes || frame >= self->frames) {
        return beam_fail(err, BEAM_E_LIMIT, "scenes", "more than announced, or of no frame");
    }
    beamg_dims of;
    memcpy(&of, self->base + self->head.frame_at + frame * sizeof(beamg_frame), sizeof of);
    if (of.stations != d->stations || of.antennas != d->antennas || of.users != d->users ||
        of.targets != d->targets) {
        return beam_fail(err, BEAM_E_INVALID, "dims", "other sizes than those of its frame");
    }
    const uint64_t channels = channel_count(d), radii = (uint64_t)d->stations * (uint64_t)d->users;
    beamg_scene head = {.frame = frame,
                        .wsr_ideal_bps_hz = ideal->wsr_ideal_bps_hz,
                        .crlb_min_m2 = ideal->crlb_min_m2};
    head.channel_at = take(&self->used, self->size, channels * COMPLEX_BYTES);
    head.radius_at = take(&self->used, self->size, radii * sizeof(double));
    if (!head.channel_at || !head.radius_at) {
        return no_room(err);
    }
    (void)put(self->base + head.channel_at, scene->channel, channels * COMPLEX_BYTES);
    (void)put(self->base + head.radius_at, scene->error_radius, radii * sizeof(double));
    memcpy(self->base + self->head.scene_at + self->scenes * sizeof head, &head, sizeof head);
    self->scenes++;
    return BEAM_OK;
}

static void write_warm(unsigned char *to, const beam_design *warm)
{
    int32_t count[BEAM_MAX_STATIONS] = {0};
    for (int l = 0; l < warm->dims.stations; l++) {
        count[l] = warm->sensing_count[l];
    }
    memcpy(to, count, sizeof count);
    to = put(to + BEAMG_ALIGN, warm->beams, beams_bytes(&warm->dims));
    (void)put(to, warm->sensing, sensing_bytes(&warm->dims, (uint64_t)warm->sensing_max));
}

beam_code beamg_write_problem(beamg_writer *self, uint32_t scene, double tradeoff,
                              const beam_design *warm, int layers, int refine, beamg_place *place,
                              beam_error *err)
{
    if (self->problems == self->head.problems || scene >= self->scenes) {
        return beam_fail(err, BEAM_E_LIMIT, "problems", "more than announced, or of no scene");
    }
    beamg_scene of;
    beamg_frame frame;
    memcpy(&of, self->base + self->head.scene_at + scene * sizeof of, sizeof of);
    memcpy(&frame, self->base + self->head.frame_at + of.frame * sizeof frame, sizeof frame);
    (void)read_dims(&frame.dims, &place->dims);
    const beam_dims *d = &place->dims;
    if (warm && (warm->dims.stations != d->stations || warm->dims.antennas != d->antennas ||
                 warm->dims.users != d->users)) {
        return beam_fail(err, BEAM_E_INVALID, "warm", "other sizes than those of its scene");
    }
    place->sensing_max = beam_design_sensing_max(d);
    beamg_problem problem = {.scene = scene,
                             .sensing_max = (uint32_t)place->sensing_max,
                             .layers = layers,
                             .refine = refine,
                             .tradeoff = tradeoff};
    const uint64_t columns = (uint64_t)place->sensing_max;
    place->at =
        take(&self->answer_used, self->answer_size, beams_bytes(d) + sensing_bytes(d, columns));
    problem.answer_at = place->at;
    if (warm) {
        problem.warm_max = (uint32_t)warm->sensing_max;
        problem.warm_at = take(&self->used, self->size, warm_bytes(d, problem.warm_max));
    }
    if (!place->at || (warm && !problem.warm_at)) {
        return no_room(err);
    }
    if (warm) {
        write_warm(self->base + problem.warm_at, warm);
    }
    memcpy(self->base + self->head.problem_at + self->problems * sizeof problem, &problem,
           sizeof problem);
    self->problems++;
    return BEAM_OK;
}

uint64_t beamg_write_end(beamg_writer *self, uint64_t deadline_ns)
{
    beamg_request_head *head = &self->head;
    if (self->frames != head->frames || self->scenes != head->scenes ||
        self->problems != head->problems) {
        return 0;
    }
    head->bytes = self->used;
    head->deadline_ns = deadline_ns;
    memcpy(self->base, head, sizeof *head);
    return self->used;
}

/* --- Reading, in the worker --- */

static bool inside(uint64_t at, uint64_t bytes, uint64_t size)
{
    return at % BEAMG_ALIGN == 0 && at >= sizeof(beamg_request_head) && at <= size &&
           bytes <= size - at;
}

static bool frame_good(const beamg_frame *f, uint64_t size)
{
    beam_dims d;
    return read_dims(&f->dims, &d) && f->sensing >= BEAM_SENSING_RESOLVED &&
           f->sensing <= BEAM_SENSING_BAND && inside(f->at, frame_bytes(&d), size) &&
           (f->rows_at == 0 || (f->rows_bytes == beam_solver_sensing_bytes(&d) &&
                                inside(f->rows_at, f->rows_bytes, size)));
}

static bool scene_good(const beamg_request *self, const beamg_scene *s, uint64_t size)
{
    beam_dims d;
    if (s->frame >= self->head.frames) {
        return false;
    }
    (void)read_dims(&self->frame[s->frame].dims, &d);
    return inside(s->channel_at, channel_count(&d) * COMPLEX_BYTES, size) &&
           inside(s->radius_at, (uint64_t)(d.stations * d.users) * sizeof(double), size);
}

static bool warm_good(const beamg_request *self, const beamg_problem *p, const beam_dims *d)
{
    if (p->warm_max > BEAM_MAX_ANTENNAS ||
        !inside(p->warm_at, warm_bytes(d, p->warm_max), self->head.bytes)) {
        return false;
    }
    const int32_t *count = (const int32_t *)(const void *)(self->base + p->warm_at);
    for (int l = 0; l < d->stations; l++) {
        if (count[l] < 0 || (uint32_t)count[l] > p->warm_max) {
            return false;
        }
    }
    return true;
}

static bool problem_good(const beamg_request *self, const beamg_problem *p, uint64_t answer_bytes)
{
    beam_dims d;
    if (p->scene >= self->head.scenes || p->sensing_max > BEAM_MAX_ANTENNAS) {
        return false;
    }
    (void)read_dims(&self->frame[self->scene[p->scene].frame].dims, &d);
    return p->answer_at >= results_end(self->head.problems) &&
           inside(p->answer_at, beams_bytes(&d) + sensing_bytes(&d, p->sensing_max),
                  answer_bytes) &&
           p->tradeoff >= 0 && p->tradeoff <= 1 && (p->warm_at == 0 || warm_good(self, p, &d));
}

static bool tables_good(const beamg_request *self, uint64_t answer_bytes)
{
    const beamg_request_head *h = &self->head;
    for (uint32_t i = 0; i < h->frames; i++) {
        if (!frame_good(&self->frame[i], h->bytes)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < h->scenes; i++) {
        if (!scene_good(self, &self->scene[i], h->bytes)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < h->problems; i++) {
        if (!problem_good(self, &self->problem[i], answer_bytes)) {
            return false;
        }
    }
    return true;
}

beam_code beamg_request_open(beamg_request *self, const void *request, size_t bytes,
                             size_t answer_bytes, beam_error *err)
{
    *self = (beamg_request){.base = request};
    beamg_request_head *h = &self->head;
    if (bytes < sizeof *h) {
        return beam_fail(err, BEAM_E_INVALID, "bytes", "%zu are no batch", bytes);
    }
    memcpy(h, request, sizeof *h);
    const bool counts = h->problems >= 1 && h->problems <= BEAMG_PROBLEMS_MAX && h->scenes >= 1 &&
                        h->scenes <= h->problems && h->frames >= 1 && h->frames <= h->scenes;
    if (h->magic != BEAMG_REQUEST_MAGIC || h->version != BEAMG_VERSION || h->bytes > bytes ||
        !counts || !inside(h->frame_at, h->frames * sizeof(beamg_frame), h->bytes) ||
        !inside(h->scene_at, h->scenes * sizeof(beamg_scene), h->bytes) ||
        !inside(h->problem_at, h->problems * sizeof(beamg_problem), h->bytes)) {
        return beam_fail(err, BEAM_E_INVALID, NULL, "the head is none of version %d",
                         BEAMG_VERSION);
    }
    self->frame = (const beamg_frame *)(const void *)(self->base + h->frame_at);
    self->scene = (const beamg_scene *)(const void *)(self->base + h->scene_at);
    self->problem = (const beamg_problem *)(const void *)(self->base + h->problem_at);
    if (!tables_good(self, answer_bytes)) {
        return beam_fail(err, BEAM_E_INVALID, NULL, "an entry points outside the batch");
    }
    return BEAM_OK;
}

static void *next(const unsigned char **at, size_t bytes)
{
    /* a beam_scene has no const members; nobody writes through this view */
    union {
        const void *from;
        void *to;
    } cast = {.from = *at};
    *at += bytes;
    return cast.to;
}

void beamg_request_scene(const beamg_request *self, uint32_t scene, beam_scene *out)
{
    const beamg_scene *s = &self->scene[scene];
    const beamg_frame *f = &self->frame[s->frame];
    *out = (beam_scene){.user_antennas = 1,
                        .sensing = (beam_sensing_model)f->sensing,
                        .bandwidth_hz = f->bandwidth_hz,
                        .snapshots = f->snapshots,
                        .skip_unidentifiable = f->skip_unidentifiable != 0};
    (void)read_dims(&f->dims, &out->dims);
    const size_t L = (size_t)out->dims.stations, U = (size_t)out->dims.users,
                 J = (size_t)out->dims.targets, one = sizeof(double);
    const unsigned char *at = self->base + f->at;
    out->station_position_m = next(&at, 2 * L * one);
    out->station_axis_rad = next(&at, L * one);
    out->station_power_w = next(&at, L * one);
    out->station_echo_noise_w = next(&at, L * one);
    out->user_weight = next(&at, U * one);
    out->user_noise_w = next(&at, U * one);
    out->user_min_rate_bps_hz = next(&at, U * one);
    out->target_position_m = next(&at, 2 * J * one);
    out->reflection = next(&at, L * J * L * COMPLEX_BYTES);
    out->user_station = next(&at, U * sizeof(int32_t));
    at = self->base + s->channel_at;
    out->channel = next(&at, 0);
    at = self->base + s->radius_at;
    out->error_radius = next(&at, 0);
}

beam_ideal beamg_request_ideal(const beamg_request *self, uint32_t scene)
{
    const beamg_scene *s = &self->scene[scene];
    return (beam_ideal){.wsr_ideal_bps_hz = s->wsr_ideal_bps_hz, .crlb_min_m2 = s->crlb_min_m2};
}

const void *beamg_request_frame(const beamg_request *self, uint32_t frame, size_t *bytes)
{
    const beamg_frame *f = &self->frame[frame];
    beam_dims d;
    (void)read_dims(&f->dims, &d);
    *bytes = (size_t)frame_bytes(&d);
    return self->base + f->at;
}

const double *beamg_request_rows(const beamg_request *self, uint32_t frame, bool *moved)
{
    const beamg_frame *f = &self->frame[frame];
    *moved = f->rows_moved != 0;
    return f->rows_at ? (const double *)(const void *)(self->base + f->rows_at) : NULL;
}

bool beamg_request_warm(const beamg_request *self, uint32_t problem, beam_design *out)
{
    const beamg_problem *p = &self->problem[problem];
    if (p->warm_at == 0) {
        return false;
    }
    *out = (beam_design){.sensing_max = (int)p->warm_max};
    (void)read_dims(&self->frame[self->scene[p->scene].frame].dims, &out->dims);
    const unsigned char *at = self->base + p->warm_at;
    out->sensing_count = next(&at, BEAMG_ALIGN);
    out->beams = next(&at, beams_bytes(&out->dims));
    out->sensing = next(&at, 0);
    return true;
}

void beamg_answer_begin(beamg_answer_out *self, const beamg_request *request, void *answer)
{
    *self = (beamg_answer_out){.base = answer, .request = request};
}

void beamg_answer_design(const beamg_answer_out *self, uint32_t problem, int *counts,
                         beam_design *out)
{
    const beamg_problem *p = &self->request->problem[problem];
    *out = (beam_design){.sensing_max = (int)p->sensing_max, .sensing_count = counts};
    (void)read_dims(&self->request->frame[self->request->scene[p->scene].frame].dims, &out->dims);
    unsigned char *at = self->base + p->answer_at;
    out->beams = (beam_complex *)(void *)at;
    out->sensing = (beam_complex *)(void *)(at + beams_bytes(&out->dims));
}

static void put_design(unsigned char *to, const beam_design *design, uint64_t columns)
{
    const beam_dims *d = &design->dims;
    const size_t row = (size_t)d->antennas * COMPLEX_BYTES;
    const bool there = (const void *)design->beams == (const void *)to;
    to = there ? to + beams_bytes(d) : put(to, design->beams, beams_bytes(d));
    for (size_t l = 0; l < (size_t)d->stations; l++) {
        const size_t used = (size_t)design->sensing_count[l] * row;
        const beam_complex *from =
            design->sensing + l * (size_t)design->sensing_max * (size_t)d->antennas;
        if (!there) {
            (void)put(to, from, used);
        }
        memset(to + used, 0, columns * row - used);
        to += columns * row;
    }
}

void beamg_answer_put(beamg_answer_out *self, uint32_t problem, beam_code code,
                      const beam_design *design, const beam_result *result, double network_merit)
{
    const beamg_problem *p = &self->request->problem[problem];
    beamg_result out = {.code = (int32_t)code, .network_merit = network_merit};
    for (int l = 0; code == BEAM_OK && l < design->dims.stations; l++) {
        out.sensing_count[l] = design->sensing_count[l];
        if (design->sensing_count[l] > (int)p->sensing_max) {
            out.code = BEAM_E_LIMIT;
        }
    }
    if (out.code == BEAM_OK) {
        out.status = (int32_t)result->status;
        out.method = (int32_t)result->method;
        out.iterations = result->iterations;
        out.evaluations = result->evaluations;
        out.crlb_valid = result->crlb_valid;
        out.classical_is_bound = result->classical_is_bound;
        out.warm = result->warm;
        out.merit = result->merit;
        out.f1 = result->f1;
        out.f2 = result->f2;
        out.wsr_worst_case_bps_hz = result->wsr_worst_case_bps_hz;
        out.crlb_m2 = result->crlb_m2;
        out.classical_merit = result->classical_merit;
        put_design(self->base + p->answer_at, design, p->sensing_max);
    }
    memcpy(self->base + aligned(sizeof(beamg_answer_head)) + problem * sizeof out, &out,
           sizeof out);
}

void beamg_answer_end(beamg_answer_out *self, uint64_t ticket, uint32_t generation,
                      uint64_t start_ns, uint64_t end_ns)
{
    const beamg_answer_head head = {.magic = BEAMG_ANSWER_MAGIC,
                                    .version = BEAMG_VERSION,
                                    .ticket = ticket,
                                    .problems = self->request->head.problems,
                                    .generation = generation,
                                    .start_ns = start_ns,
                                    .end_ns = end_ns};
    memcpy(self->base, &head, sizeof head);
}

/* --- Reading, in the daemon --- */

beam_code beamg_answer_open(beamg_answer_head *head, const void *answer, uint64_t ticket,
                            uint32_t problems, beam_error *err)
{
    memcpy(head, answer, sizeof *head);
    if (head->magic != BEAMG_ANSWER_MAGIC || head->version != BEAMG_VERSION ||
        head->ticket != ticket || head->problems != problems || head->end_ns < head->start_ns) {
        return beam_fail(err, BEAM_E_INVALID, "head", "not the answer of this batch");
    }
    return BEAM_OK;
}

static bool result_good(const beamg_result *r, const beamg_place *place, const beam_design *out)
{
    const int most = place->sensing_max < out->sensing_max ? place->sensing_max : out->sensing_max;
    for (int l = 0; l < place->dims.stations; l++) {
        if (r->sensing_count[l] < 0 || r->sensing_count[l] > most) {
            return false;
        }
    }
    return r->status >= BEAM_STATUS_CONVERGED && r->status <= BEAM_STATUS_NUMERIC &&
           r->method >= BEAM_METHOD_BOBLRBF && r->method <= BEAM_METHOD_NETWORK &&
           r->iterations >= 0 && r->evaluations >= 0 && isfinite(r->merit) &&
           isfinite(r->wsr_worst_case_bps_hz) && isfinite(r->crlb_m2) && !isnan(r->f1) &&
           !isnan(r->f2) && !isnan(r->classical_merit);
}

/* What was copied is what is looked at. */
static bool take_numbers(beam_complex *to, const unsigned char *from, size_t count)
{
    bool good = true;
    if (count > 0) {
        memcpy(to, from, count * COMPLEX_BYTES);
    }
    for (size_t i = 0; i < count; i++) {
        good = good && fabs(to[i].re) < AMPLITUDE_MAX && fabs(to[i].im) < AMPLITUDE_MAX;
    }
    return good;
}

static bool take_design(const unsigned char *from, const beamg_result *r, const beamg_place *place,
                        beam_design *out)
{
    const size_t N = (size_t)place->dims.antennas;
    bool good = take_numbers(out->beams, from, (size_t)place->dims.users * N);
    from += beams_bytes(&place->dims);
    for (size_t l = 0; l < (size_t)place->dims.stations; l++) {
        out->sensing_count[l] = r->sensing_count[l];
        good = take_numbers(out->sensing + l * (size_t)out->sensing_max * N,
                            from + l * (size_t)place->sensing_max * N * COMPLEX_BYTES,
                            (size_t)r->sensing_count[l] * N) &&
               good;
    }
    return good;
}

beam_code beamg_answer_take(const void *answer, uint32_t problem, const beamg_place *place,
                            beam_design *out, beam_result *result, double *network_merit,
                            beam_error *err)
{
    const unsigned char *base = answer;
    beamg_result r;
    memcpy(&r, base + aligned(sizeof(beamg_answer_head)) + problem * sizeof r, sizeof r);
    if (r.code < BEAM_OK || r.code > BEAM_E_NUMERIC) {
        return beam_fail(err, BEAM_E_INVALID, "code", "%d is none", (int)r.code);
    }
    if (r.code != BEAM_OK) {
        /* BEAM_E_INVALID is kept for what cannot be believed */
        return beam_fail(err, r.code == BEAM_E_INVALID ? BEAM_E_UNSUPPORTED : (beam_code)r.code,
                         NULL, "the worker has no beams for this problem");
    }
    if (out->dims.stations != place->dims.stations || out->dims.antennas != place->dims.antennas ||
        out->dims.users != place->dims.users || !result_good(&r, place, out)) {
        return beam_fail(err, BEAM_E_INVALID, "result", "a number is outside its range");
    }
    if (!take_design(base + place->at, &r, place, out)) {
        return beam_fail(err, BEAM_E_INVALID, "beams", "a value is not finite");
    }
    *result = (beam_result){.status = (beam_status)r.status,
                            .method = (beam_method)r.method,
                            .warm = r.warm != 0,
                            .iterations = r.iterations,
                            .evaluations = r.evaluations,
                            .merit = r.merit,
                            .f1 = r.f1,
                            .f2 = r.f2,
                            .wsr_worst_case_bps_hz = r.wsr_worst_case_bps_hz,
                            .crlb_valid = r.crlb_valid != 0,
                            .crlb_m2 = r.crlb_m2,
                            .classical_merit = r.classical_merit,
                            .classical_is_bound = r.classical_is_bound != 0};
    *network_merit = r.network_merit;
    return BEAM_OK;
}
