#include "front.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"

struct beam_gpu_front {
    int scenes, points, round;
    beam_gpu_front_scene *scene;
    beam_gpu_front_point *point; /* [scenes][points] */
    beam_design *kept, *came;    /* [scenes][points]: of the points, of the answers */
    beam_gpu_request *request;   /* [scenes * points], of beam_gpu_front_run */
    beam_gpu_answer *answer;
    unsigned char *memory;
};

void beam_gpu_front_tradeoffs(int points, double *tradeoffs)
{
    for (int i = 0; i < points; i++) {
        tradeoffs[i] = 0.5 - 0.5 * cos(M_PI * i / (points - 1));
    }
    tradeoffs[points - 1] = 1; /* whatever the cosine rounds to */
}

/* Bytes of one design, a multiple of its alignment. */
static size_t design_bytes(const beam_dims *dims)
{
    return (beam_design_memsize(dims, beam_design_sensing_max(dims)) + 63u) & ~(size_t)63u;
}

static bool place_designs(beam_gpu_front *f)
{
    size_t bytes = 0;
    const size_t points = (size_t)f->points;
    for (int c = 0; c < f->scenes; c++) {
        bytes += 2 * points * design_bytes(&f->scene[c].scene->dims);
    }
    f->memory = aligned_alloc(64, bytes);
    unsigned char *at = f->memory;
    for (int k = 0; f->memory && k < 2 * f->scenes * f->points; k++) {
        const int i = k / 2;
        const beam_dims *dims = &f->scene[i / f->points].scene->dims;
        beam_design *design = (k % 2 ? f->came : f->kept) + i;
        beam_error inner;
        if (beam_design_init(design, dims, beam_design_sensing_max(dims), at, design_bytes(dims),
                             &inner)) {
            return false;
        }
        at += design_bytes(dims);
    }
    return f->memory != NULL;
}

beam_gpu_code beam_gpu_front_create(beam_gpu_front **out, int scenes,
                                    const beam_gpu_front_scene *scene, int points,
                                    const double *tradeoffs, beam_gpu_error *err)
{
    const size_t all = (size_t)(scenes > 0 ? scenes : 0) * (size_t)(points > 0 ? points : 0);
    bool inside = true;
    *out = NULL;
    for (int i = 0; i < points; i++) {
        inside = inside && tradeoffs[i] >= 0 && tradeoffs[i] <= 1;
    }
    if (all == 0 || !inside) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID,
                             "front: %d scenes, %d trade-offs, which are to be between 0 and 1",
                             scenes, points);
    }
    beam_gpu_front *f = calloc(1, sizeof *f);
    if (f) {
        f->scenes = scenes;
        f->points = points;
        f->scene = calloc((size_t)scenes, sizeof *f->scene);
        f->point = calloc(all, sizeof *f->point);
        f->kept = calloc(all, sizeof *f->kept);
        f->came = calloc(all, sizeof *f->came);
        f->request = calloc(all, sizeof *f->request);
        f->answer = calloc(all, sizeof *f->answer);
    }
    if (!f || !f->scene || !f->point || !f->kept || !f->came || !f->request || !f->answer) {
        beam_gpu_front_destroy(f);
        return beam_gpu_fail(err, BEAM_GPU_E_MEMORY, "front: no host memory");
    }
    memcpy(f->scene, scene, (size_t)scenes * sizeof *scene);
    if (!place_designs(f)) {
        beam_gpu_front_destroy(f);
        return beam_gpu_fail(err, BEAM_GPU_E_MEMORY, "front: no host memory for %zu designs", all);
    }
    for (size_t i = 0; i < all; i++) {
        f->point[i].tradeoff = tradeoffs[i % (size_t)points];
        f->point[i].merit = INFINITY;
        f->point[i].design = &f->kept[i];
    }
    *out = f;
    return BEAM_GPU_OK;
}

void beam_gpu_front_destroy(beam_gpu_front *self)
{
    if (self) {
        free(self->scene);
        free(self->point);
        free(self->kept);
        free(self->came);
        free(self->request);
        free(self->answer);
        free(self->memory);
        free(self);
    }
}

/* --- A round -----------------------------------------------------------------------------------
 */

/* Which point of the scene point p starts from. */
static int start_of(const beam_gpu_front *f, const beam_gpu_front_point *point, int p)
{
    const int turn = f->round % 3, at = turn == 1 ? p + 1 : turn == 2 ? p - 1 : p;
    return at >= 0 && at < f->points && point[at].found ? at : p;
}

void beam_gpu_front_requests(beam_gpu_front *self, int refine, beam_gpu_request *requests,
                             beam_gpu_answer *answers)
{
    for (int i = 0; i < self->scenes * self->points; i++) {
        const beam_gpu_front_scene *scene = &self->scene[i / self->points];
        const beam_gpu_front_point *point = self->point + i / self->points * self->points;
        const int start = start_of(self, point, i % self->points);
        const bool warm = self->round > 0 && point[start].found;
        requests[i] = (beam_gpu_request){
            .cluster = scene->cluster,
            .scene = scene->scene,
            .ideal = scene->ideal,
            .tradeoff = point[i % self->points].tradeoff,
            .warm = warm ? point[start].design : NULL,
            .candidates = warm ? 1 << BEAM_GPU_CHOICE_WARM : 0,
            .refine = refine,
        };
        answers[i] = (beam_gpu_answer){.out = &self->came[i]};
    }
}

/* Numbers of an answer at a trade-off of its scene; merit INFINITY where it is of no use. */
static beam_gpu_front_point judge(const beam_ideal *ideal, double tradeoff,
                                  const beam_gpu_answer *answer)
{
    beam_gpu_front_point p = {
        .tradeoff = tradeoff,
        .wsr_worst_case_bps_hz = answer->wsr_worst_case_bps_hz,
        .shortfall_bps_hz = answer->shortfall_bps_hz,
        .crlb_m2 = answer->crlb_m2,
        .merit = INFINITY,
    };
    if (answer->choice == BEAM_GPU_CHOICE_NONE || !isfinite(answer->merit)) {
        return p;
    }
    p.f1 = beam_loss_rate(ideal, answer->wsr_worst_case_bps_hz);
    p.f2 = beam_loss_sensing(ideal, isfinite(answer->crlb_m2), answer->crlb_m2);
    p.merit = beam_merit(ideal, beam_preference_from_tradeoff(tradeoff), p.f1, p.f2);
    if (answer->shortfall_bps_hz > 0 && ideal->wsr_ideal_bps_hz > 0) {
        p.merit += 1e6 * answer->shortfall_bps_hz / ideal->wsr_ideal_bps_hz;
    }
    p.found = isfinite(p.merit);
    return p;
}

/* The best of a scene's answers at point p, where it is better than what the point has. */
static void improve(beam_gpu_front *f, int scene, int p, const beam_gpu_answer *answers)
{
    const int first = scene * f->points;
    beam_gpu_front_point *point = &f->point[first + p];
    int best = -1;
    for (int q = 0; q < f->points; q++) {
        beam_gpu_front_point v =
            judge(&f->scene[scene].ideal, point->tradeoff, answers + first + q);
        if (v.found && v.merit < point->merit) {
            v.design = point->design;
            *point = v;
            best = q;
        }
    }
    if (best >= 0) { /* same sizes: it cannot fail */
        beam_error inner;
        (void)beam_design_copy(point->design, answers[first + best].out, &inner);
    }
}

/* Points that miss more of the minimum rates dominate nobody. Of equal ones the first counts. */
static void mark_dominated(beam_gpu_front *f, beam_gpu_front_point *point)
{
    for (int p = 0; p < f->points; p++) {
        point[p].dominated = false;
        for (int q = 0; q < f->points && point[p].found; q++) {
            const beam_gpu_front_point *a = &point[p], *b = &point[q];
            if (b->found && b->shortfall_bps_hz <= a->shortfall_bps_hz && b->f1 <= a->f1 &&
                b->f2 <= a->f2 && (b->f1 < a->f1 || b->f2 < a->f2 || q < p)) {
                point[p].dominated = true;
            }
        }
    }
}

void beam_gpu_front_take(beam_gpu_front *self, const beam_gpu_answer *answers)
{
    for (int c = 0; c < self->scenes; c++) {
        for (int p = 0; p < self->points; p++) {
            improve(self, c, p, answers);
        }
        mark_dominated(self, self->point + c * self->points);
    }
    self->round++;
}

const beam_gpu_front_point *beam_gpu_front_points(const beam_gpu_front *self, int scene)
{
    return self->point + scene * self->points;
}

beam_gpu_code beam_gpu_front_run(beam_gpu_front *self, int rounds, int refine, int most,
                                 beam_gpu_front_answer *answer, void *arg, beam_gpu_error *err)
{
    const int all = self->scenes * self->points;
    if (rounds < 0 || most < 1) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "front: %d rounds, batches of %d", rounds,
                             most);
    }
    for (int round = 0; round < rounds; round++) {
        beam_gpu_front_requests(self, refine, self->request, self->answer);
        for (int at = 0; at < all; at += most) {
            const int count = all - at < most ? all - at : most;
            const beam_gpu_code code =
                answer(arg, count, self->request + at, self->answer + at, err);
            if (code) {
                return code;
            }
        }
        beam_gpu_front_take(self, self->answer);
    }
    return BEAM_GPU_OK;
}
