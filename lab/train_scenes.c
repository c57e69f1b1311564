#include "lab/train_scenes.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/owned.h"
#include "lab/train_families.h"
#include "lab/train_recorded.h"
#include "model/row.h"
#include "solver/solver_internal.h"

/* Seeds: one domain per purpose. */
enum { DOMAIN_GROUP = 1, DOMAIN_HELD_OUT = 2 };
enum { DRAWS = 100, HELD_OUT_GENERATED = 1000000 };

/* The communication end is only the unit of f1 here, and training varies it by 3 %. */
static const double rate_end_tolerance = 1e-4;
static const double least_rate_bps_hz = 0.01; /* a scene that serves nobody teaches nothing */

struct lab_scenes {
    lab_scenes_options options;
    char families_text[LAB_FAMILIES_TEXT];
    int family_count, family[LAB_FAMILY_MAX];
    double share[LAB_FAMILY_MAX]; /* sum 1 */
    lab_recorded *recorded;       /* instead of families */
    int groups;
    _Atomic(lab_group *) *group; /* [groups] NULL: not prepared */
    bool *busy;                  /* [groups] under lock */
    pthread_mutex_t lock;
    pthread_cond_t prepared;
};

/* --- One frame -------------------------------------------------------------------------------- */

static void frame_carve(lab_frame *f, beam_arena *arena, const beam_problem *p)
{
    const size_t L = (size_t)p->L, U = (size_t)p->U, J = (size_t)p->J, stride = (size_t)p->stride;
    const size_t links = L * J;
    f->problem.h = BEAM_TAKE(arena, double, L *U *stride);
    f->problem.hnorm2 = BEAM_TAKE(arena, double, L *U);
    f->problem.eps = BEAM_TAKE(arena, double, L *U);
    f->problem.tx = BEAM_TAKE(arena, double, L * 2 * J * stride);
    f->problem.crlb.kappa = BEAM_TAKE(arena, double, L);
    f->problem.crlb.g = BEAM_TAKE(arena, double, 2 * links);
    f->problem.crlb.tau_s = BEAM_TAKE(arena, double, links);
    f->problem.crlb.q = BEAM_TAKE(arena, double, 2 * links);
    f->problem.crlb.P0 = BEAM_TAKE(arena, double, 4 * links);
    f->problem.crlb.P2 = BEAM_TAKE(arena, double, 4 * links);
    f->problem.crlb.snr_gain = BEAM_TAKE(arena, double, links);
    f->problem.crlb.x0_guard = BEAM_TAKE(arena, double, L);
    f->problem.crlb.reflection = BEAM_TAKE(arena, beam_complex, links * L);
    f->unit = BEAM_TAKE(arena, double, (size_t)p->rows *stride);
}

static void copy(double *to, const double *from, size_t count)
{
    if (count > 0) {
        memcpy(to, from, count * sizeof *to);
    }
}

static void copy_constants(beam_crlb *to, const beam_crlb *from)
{
    const size_t L = (size_t)from->L, links = L * (size_t)from->J;
    copy(to->kappa, from->kappa, L);
    copy(to->g, from->g, 2 * links);
    copy(to->tau_s, from->tau_s, links);
    copy(to->q, from->q, 2 * links);
    copy(to->P0, from->P0, 4 * links);
    copy(to->P2, from->P2, 4 * links);
    copy(to->snr_gain, from->snr_gain, links);
    copy(to->x0_guard, from->x0_guard, L);
    memcpy(to->reflection, from->reflection, links * L * sizeof *to->reflection);
}

beam_code lab_frame_copy(lab_frame *frame, const beam_solver *solver, beam_error *err)
{
    const beam_problem *p = &solver->problem;
    const size_t L = (size_t)p->L, U = (size_t)p->U, stride = (size_t)p->stride;
    *frame = (lab_frame){.problem = *p, .ideal = solver->ideal};
    beam_arena count = {NULL, 0};
    frame_carve(frame, &count, p);
    frame->memory = aligned_alloc(64, (count.used + 63) & ~(size_t)63);
    if (!frame->memory) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    beam_arena arena = {frame->memory, 0};
    frame_carve(frame, &arena, p);
    /* nothing of the solver's memory may be left behind */
    frame->problem.basis = frame->problem.basis_memory = frame->problem.spare = NULL;
    frame->problem.crlb.rx = NULL;
    frame->problem.crlb.scratch = NULL;
    frame->problem.crlb.scratch_size = 0;
    copy(frame->problem.h, p->h, L * U * stride);
    copy(frame->problem.hnorm2, p->hnorm2, L * U);
    copy(frame->problem.eps, p->eps, L * U);
    copy(frame->problem.tx, p->tx, L * 2 * (size_t)p->J * stride);
    copy_constants(&frame->problem.crlb, &p->crlb);
    copy(frame->unit, solver->unit, (size_t)p->rows * stride);
    return BEAM_OK;
}

void lab_frame_clear(lab_frame *frame)
{
    free(frame->memory);
    *frame = (lab_frame){.memory = NULL};
}

/* --- One sample ------------------------------------------------------------------------------- */

static void sample_clear(lab_sample *sample)
{
    lab_frame_clear(&sample->frames[0]);
    lab_frame_clear(&sample->frames[1]);
    free(sample->turn);
    sample->turn = NULL;
}

/* Row i of `turn`: conj(b'_i^H b_k) over k, b the old basis and b' the new one. */
static beam_code make_turn(lab_sample *sample, const beam_problem *p, const double *old,
                           beam_error *err)
{
    const size_t size = (size_t)p->L * (size_t)p->D * (size_t)p->stride * sizeof(double);
    sample->turn = aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (!sample->turn) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    memset(sample->turn, 0, size);
    const size_t full = 2u * (size_t)p->Np;
    for (size_t l = 0; l < (size_t)p->L; l++) {
        const double *a = old + l * (size_t)p->D * full, *b = p->basis + l * (size_t)p->D * full;
        for (int i = 0; i < p->D; i++) {
            double *row = sample->turn + (l * (size_t)p->D + (size_t)i) * (size_t)p->stride;
            for (int k = 0; k < p->D; k++) {
                beam_row_dot(p->Np, a + (size_t)k * full, b + (size_t)i * full, row + k,
                             row + p->Dp + k);
            }
        }
    }
    return BEAM_OK;
}

void lab_sample_turn(const lab_sample *sample, const double *from, double *to)
{
    const beam_problem *p = &sample->frames[0].problem;
    const size_t stride = (size_t)p->stride;
    if (!sample->turn) {
        memcpy(to, from, (size_t)p->rows * stride * sizeof *to);
        return;
    }
    memset(to, 0, (size_t)p->rows * stride * sizeof *to);
    for (int l = 0; l < p->L; l++) {
        const double *turn = sample->turn + (size_t)(l * p->D) * stride;
        for (int row = p->first[l]; row < p->first[l + 1]; row++) {
            const double *x = from + (size_t)row * stride;
            double *y = to + (size_t)row * stride;
            for (int i = 0; i < p->D; i++) {
                beam_row_dot(p->Dp, turn + (size_t)i * stride, x, y + i, y + p->Dp + i);
            }
        }
    }
}

/* Can training use it? A scene may be admissible and still teach nothing. */
static bool worth(const beam_solver *s)
{
    for (int j = 0; j < s->problem.J; j++) {
        if (s->problem.crlb.geometry[j] != BEAM_TARGET_OK) {
            return false;
        }
    }
    return s->ideal.crlb_min_m2 > 0.0 && s->ideal.wsr_ideal_bps_hz >= least_rate_bps_hz;
}

static beam_code prepare_second(lab_sample *sample, beam_solver *s, const beam_scene *scene,
                                beam_error *err)
{
    const beam_problem *p = &s->problem;
    const size_t size = (size_t)p->L * (size_t)p->D * 2u * (size_t)p->Np * sizeof(double);
    double *old = NULL;
    if (p->basis) {
        old = malloc(size);
        if (!old) {
            return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        }
        memcpy(old, p->basis, size);
    }
    beam_code code = beam_solver_load(s, scene, err);
    code = code ? code : beam_solver_compute_sensing_end(s, err);
    code = code ? code : lab_frame_copy(&sample->frames[1], s, err);
    code = code || !old ? code : make_turn(sample, p, old, err);
    free(old);
    return code;
}

/* *useful: whether training can use it; otherwise the sample is clear. */
static beam_code prepare_sample(lab_sample *sample, lab_scene *const scenes[2], bool *useful,
                                beam_error *err)
{
    lab_solver solver;
    *sample = (lab_sample){.turn = NULL};
    *useful = false;
    beam_code code = lab_solver_create(&solver, &scenes[0]->scene, err);
    if (code) {
        return code;
    }
    beam_solver *s = solver.solver;
    beam_solver_options options = beam_solver_options_default();
    options.tolerance = rate_end_tolerance;
    beam_solver_set_options(s, &options);
    code = beam_solver_compute_sensing_end(s, err);
    code = code ? code : beam_solver_compute_rate_end(s, err);
    if (!code && worth(s)) {
        code = lab_frame_copy(&sample->frames[0], s, err);
        code = code ? code : prepare_second(sample, s, &scenes[1]->scene, err);
        *useful = !code && worth(s);
    }
    if (!*useful) {
        sample_clear(sample);
    }
    lab_solver_clear(&solver);
    return code;
}

/* --- The pool --------------------------------------------------------------------------------- */

static beam_code parse_families(lab_scenes *self, const char *text, beam_error *err)
{
    double total = 0;
    if (strlen(text) >= sizeof self->families_text) {
        return beam_fail(err, BEAM_E_LIMIT, "families", "longer than %d characters",
                         LAB_FAMILIES_TEXT - 1);
    }
    memcpy(self->families_text, text, strlen(text) + 1);
    char part_text[LAB_FAMILIES_TEXT], *rest = part_text, *part;
    memcpy(part_text, text, strlen(text) + 1);
    while ((part = strsep(&rest, ",")) != NULL) {
        char *colon = strchr(part, ':'), *end = NULL;
        const double share = colon ? strtod(colon + 1, &end) : 1;
        if (colon) {
            *colon = '\0';
        }
        const int family = lab_family_find(part);
        if (family < 0) {
            return beam_fail(err, BEAM_E_INVALID, "families",
                             "\"%.60s\" is no family; there are paper and sizes", part);
        }
        if ((end && *end != '\0') || (colon && end == colon + 1) || !(share > 0) ||
            !isfinite(share) || self->family_count == LAB_FAMILY_MAX) {
            return beam_fail(err, BEAM_E_INVALID, "families",
                             "must be names with positive shares, like paper:60,sizes:40");
        }
        self->family[self->family_count] = family;
        self->share[self->family_count++] = share;
        total += share;
    }
    for (int i = 0; i < self->family_count; i++) {
        self->share[i] /= total;
    }
    return BEAM_OK;
}

lab_scenes *lab_scenes_create(const lab_scenes_options *options, beam_error *err)
{
    lab_scenes *self = calloc(1, sizeof *self);
    if (!self) {
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->prepared, NULL);
    self->options = *options;
    self->options.families = self->options.folder = NULL; /* the caller's */
    beam_code code = BEAM_OK;
    if (options->folder) {
        self->recorded = lab_recorded_read(options->folder, options->held_out, err);
        code = self->recorded ? BEAM_OK : err->code;
        self->groups = self->recorded ? lab_recorded_groups(self->recorded) : 0;
    } else {
        code = parse_families(self, options->families, err);
        self->groups = options->groups;
    }
    if (!code) {
        self->group = calloc((size_t)self->groups, sizeof *self->group);
        self->busy = calloc((size_t)self->groups, sizeof *self->busy);
        if (!self->group || !self->busy) {
            code = beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        }
    }
    if (code) {
        lab_scenes_destroy(&self);
    }
    return self;
}

static void group_destroy(lab_group *group)
{
    for (int k = 0; group && k < BEAM_LANES; k++) {
        sample_clear(&group->samples[k]);
    }
    free(group);
}

void lab_scenes_destroy(lab_scenes **self)
{
    lab_scenes *s = *self;
    if (!s) {
        return;
    }
    for (int i = 0; s->group && i < s->groups; i++) {
        group_destroy(atomic_load(&s->group[i]));
    }
    free(s->group);
    free(s->busy);
    lab_recorded_destroy(&s->recorded);
    pthread_cond_destroy(&s->prepared);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *self = NULL;
}

int lab_scenes_groups(const lab_scenes *self)
{
    return self->groups;
}

beam_dims lab_scenes_most(const lab_scenes *self)
{
    return self->recorded ? lab_recorded_most(self->recorded) : lab_family_most();
}

static lab_random stream(const lab_scenes *self, int domain, int family, int index)
{
    /* splitmix inside lab_random_seed mixes every step */
    lab_random a = lab_random_seed(self->options.seed);
    lab_random b = lab_random_seed(lab_random_bits(&a) + (uint64_t)domain);
    lab_random c = lab_random_seed(lab_random_bits(&b) + (uint64_t)family);
    return lab_random_seed(lab_random_bits(&c) + (uint64_t)index);
}

static beam_code draw_frames(const lab_scenes *self, int index, int lane,
                             const lab_family_shape *shape, lab_random *random,
                             lab_scene *scenes[2], beam_error *err)
{
    return self->recorded ? lab_recorded_frames(self->recorded, index, lane, random, scenes, err)
                          : lab_family_draw(shape, false, random, scenes, err);
}

static beam_code fill_group(const lab_scenes *self, int index, lab_group *group, beam_error *err)
{
    lab_random random = stream(self, DOMAIN_GROUP, 0, index);
    lab_family_shape shape = {.stations = 0};
    if (!self->recorded) {
        int which = 0;
        double left = lab_random_uniform(&random);
        while (which < self->family_count - 1 && (left -= self->share[which]) >= 0) {
            which++;
        }
        shape = lab_family_draw_shape(self->family[which], &random);
    }
    const int draws = self->recorded ? 1 : DRAWS; /* files stay as they are */
    for (int lane = 0; lane < BEAM_LANES; lane++) {
        bool useful = false;
        for (int draw = 0; draw < draws && !useful; draw++) {
            lab_scene *scenes[2] = {NULL, NULL};
            lab_random own = lab_random_seed(lab_random_bits(&random));
            beam_code code = draw_frames(self, index, lane, &shape, &own, scenes, err);
            code = code ? code : prepare_sample(&group->samples[lane], scenes, &useful, err);
            lab_scene_destroy(&scenes[0]);
            lab_scene_destroy(&scenes[1]);
            if (code) {
                return code;
            }
        }
        if (!useful) {
            return beam_fail(err, BEAM_E_INVALID, "scenes",
                             "group %d: %d scenes in a row locate no target or serve nobody", index,
                             draws);
        }
    }
    group->shape = beam_net_shape_of(&group->samples[0].frames[0].problem);
    return BEAM_OK;
}

lab_group *lab_scenes_group(lab_scenes *self, int index, beam_error *err)
{
    lab_group *group = atomic_load(&self->group[index]);
    if (group) {
        return group;
    }
    pthread_mutex_lock(&self->lock);
    while (self->busy[index]) {
        pthread_cond_wait(&self->prepared, &self->lock);
    }
    group = atomic_load(&self->group[index]);
    self->busy[index] = !group;
    pthread_mutex_unlock(&self->lock);
    if (group) {
        return group;
    }
    group = calloc(1, sizeof *group);
    beam_code code = group ? fill_group(self, index, group, err)
                           : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    if (code) {
        group_destroy(group);
        group = NULL;
    }
    pthread_mutex_lock(&self->lock);
    atomic_store(&self->group[index], group);
    self->busy[index] = false;
    pthread_cond_broadcast(&self->prepared);
    pthread_mutex_unlock(&self->lock);
    return group;
}

/* --- Held-out scenes -------------------------------------------------------------------------- */

int lab_scenes_families(const lab_scenes *self)
{
    return self->recorded ? 1 : self->family_count;
}

const char *lab_scenes_family_name(const lab_scenes *self, int family)
{
    return self->recorded ? "recorded" : lab_family_name(self->family[family]);
}

int lab_scenes_held_out(const lab_scenes *self, int family)
{
    (void)family;
    return self->recorded ? lab_recorded_held_out(self->recorded) : HELD_OUT_GENERATED;
}

lab_scene *lab_scenes_held_out_scene(const lab_scenes *self, int family, int index, beam_error *err)
{
    if (self->recorded) {
        return lab_recorded_held_out_scene(self->recorded, index, err);
    }
    lab_random random = stream(self, DOMAIN_HELD_OUT, self->family[family], index);
    const lab_family_shape shape = lab_family_draw_shape(self->family[family], &random);
    lab_scene *scenes[2] = {NULL, NULL};
    if (lab_family_draw(&shape, true, &random, scenes, err)) {
        return NULL;
    }
    lab_scene_destroy(&scenes[1]);
    return scenes[0];
}
