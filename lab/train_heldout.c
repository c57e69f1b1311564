#include "lab/train_heldout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/hypervolume.h"
#include "lab/owned.h"
#include "lab/parallel.h"
#include "lab/progress.h"
#include "lab/statistics.h"
#include "model/robust.h"
#include "network/block.h"
#include "solver/solver_internal.h"

enum { POINTS = LAB_HELDOUT_POINTS };
static const double least_preference = 1e-3;

typedef struct entry {
    int family, index; /* of the draw */
    lab_frame frame;
    double front[POINTS][2]; /* reference: worst-case WSR, CRLB */
    double ratio, gap, loss; /* of the last evaluation */
} entry;

typedef struct worker {
    void *memory;
    beam_net_block *block;
    beam_robust robust;
    beam_complex *proj, *gram;
    double *x;
} worker;

struct lab_heldout {
    const lab_scenes *scenes;
    beam_net_arch arch;
    int threads, families, count;
    entry *entries;
    worker *workers;
    const beam_net_real *theta; /* during an evaluation */
    lab_progress progress;
};

/* --- References ------------------------------------------------------------------------------- */

static beam_code solve_front(entry *e, beam_solver *solver, const beam_dims *dims, beam_error *err)
{
    lab_design designs[POINTS] = {{.memory = NULL}};
    beam_design views[POINTS];
    double tradeoffs[POINTS];
    beam_result results[POINTS];
    beam_code code = BEAM_OK;
    for (int k = 0; k < POINTS && !code; k++) {
        code = lab_design_init(&designs[k], dims, beam_design_sensing_max(dims), err);
        views[k] = designs[k].design;
    }
    code =
        code ? code
             : beam_solver_front(solver, POINTS, false, tradeoffs, views, results, NULL, NULL, err);
    for (int k = 0; k < POINTS; k++) {
        if (!code) {
            e->front[k][0] = results[k].wsr_worst_case_bps_hz;
            e->front[k][1] = results[k].crlb_valid ? results[k].crlb_m2 : INFINITY;
        }
        lab_design_clear(&designs[k]);
    }
    return code;
}

static beam_code prepare_entry(void *arg, int index, int task, beam_error *err)
{
    (void)index;
    lab_heldout *self = arg;
    entry *e = &self->entries[task];
    lab_scene *scene = lab_scenes_held_out_scene(self->scenes, e->family, e->index, err);
    if (!scene) {
        return err->code;
    }
    lab_solver solver;
    beam_code code = lab_solver_create(&solver, &scene->scene, err);
    if (!code) {
        code = solve_front(e, solver.solver, &scene->scene.dims, err);
        code = code ? code : lab_frame_copy(&e->frame, solver.solver, err);
        lab_solver_clear(&solver);
    }
    lab_scene_destroy(&scene);
    lab_progress_step(&self->progress);
    return code;
}

/* --- Life ------------------------------------------------------------------------------------- */

static void raise(int *most, int value)
{
    *most = value > *most ? value : *most;
}

static beam_dims most_sizes(const lab_heldout *self)
{
    beam_dims most = {1, 1, 0, 1};
    for (int i = 0; i < self->count; i++) {
        const beam_problem *p = &self->entries[i].frame.problem;
        raise(&most.stations, p->L);
        raise(&most.antennas, p->N);
        raise(&most.users, p->U);
        raise(&most.targets, p->J);
    }
    return most;
}

static size_t carve_worker(worker *w, const beam_net_arch *arch, const beam_dims *most,
                           void *memory)
{
    const int r = beam_design_sensing_max(most), columns = most->users + 2 * most->targets;
    const int D = columns < most->antennas ? columns : most->antennas;
    const size_t rows = (size_t)(most->users + most->stations * r), n = 2u * (size_t)most->targets;
    beam_arena arena = {memory, 0};
    w->x = BEAM_TAKE(&arena, double, rows * 2u * (size_t)((D + 3) & ~3));
    w->proj = BEAM_TAKE(&arena, beam_complex, rows * n);
    w->gram = BEAM_TAKE(&arena, beam_complex, (size_t)most->stations * n * n);
    beam_robust_carve(&w->robust, &arena, most, D, r);
    void *block = BEAM_TAKE(&arena, unsigned char, beam_net_block_memsize(arch, most, false));
    if (memory) {
        w->block = beam_net_block_init(arch, most, false, block);
    }
    return arena.used;
}

static beam_code create_workers(lab_heldout *self, beam_error *err)
{
    const beam_dims most = most_sizes(self);
    worker probe;
    const size_t size = (carve_worker(&probe, &self->arch, &most, NULL) + 63) & ~(size_t)63;
    self->workers = calloc((size_t)self->threads, sizeof *self->workers);
    for (int i = 0; self->workers && i < self->threads; i++) {
        void *memory = aligned_alloc(64, size);
        if (!memory) {
            return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        }
        memset(memory, 0, size);
        (void)carve_worker(&self->workers[i], &self->arch, &most, memory);
        self->workers[i].memory = memory;
    }
    return self->workers ? BEAM_OK : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
}

lab_heldout *lab_heldout_create(const lab_scenes *scenes, const beam_net_arch *arch, int first,
                                int others, int threads, beam_error *err)
{
    lab_heldout *self = calloc(1, sizeof *self);
    if (!self) {
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        return NULL;
    }
    self->scenes = scenes;
    self->arch = *arch;
    self->threads = threads;
    self->families = lab_scenes_families(scenes);
    self->entries = calloc((size_t)(first + self->families * others) + 1, sizeof *self->entries);
    beam_code code = self->entries ? BEAM_OK : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    for (int f = 0; !code && f < self->families; f++) {
        const int wanted = f == 0 ? first : others, there = lab_scenes_held_out(scenes, f);
        for (int i = 0; i < wanted && i < there; i++) {
            self->entries[self->count++] = (entry){.family = f, .index = i};
        }
    }
    if (!code) {
        lab_progress_start(&self->progress, "fronts of held-out scenes", self->count);
        code = lab_parallel_run(threads, self->count, prepare_entry, self, err);
        lab_progress_end(&self->progress);
    }
    code = code ? code : create_workers(self, err);
    if (code) {
        lab_heldout_destroy(&self);
    }
    return self;
}

void lab_heldout_destroy(lab_heldout **self)
{
    lab_heldout *s = *self;
    if (!s) {
        return;
    }
    for (int i = 0; s->entries && i < s->count; i++) {
        lab_frame_clear(&s->entries[i].frame);
    }
    for (int i = 0; s->workers && i < s->threads; i++) {
        free(s->workers[i].memory);
    }
    free(s->entries);
    free(s->workers);
    free(s);
    *self = NULL;
}

int lab_heldout_families(const lab_heldout *self)
{
    return self->families;
}

int lab_heldout_scenes(const lab_heldout *self)
{
    return self->count;
}

/* --- Evaluation ------------------------------------------------------------------------------- */

/* Exact worst-case WSR and CRLB of the point in w->x. */
static void measure(worker *w, lab_frame *frame, double out[2])
{
    beam_problem *p = &frame->problem;
    beam_robust_reset(&w->robust, p);
    out[0] = p->U > 0 ? beam_robust_exact(&w->robust, w->x) : 0.0;
    out[1] = 0.0;
    if (p->crlb.counted > 0) {
        beam_problem_sensing_gram(p, w->x, w->proj, w->gram);
        out[1] = beam_crlb_value(&p->crlb, w->gram, NULL, NULL);
    }
    if (!isfinite(out[0]) || isnan(out[1])) { /* nothing served, nothing located */
        out[0] = 0.0;
        out[1] = INFINITY;
    }
}

static double tradeoff_at(int k)
{
    return (double)k / (double)(POINTS - 1);
}

static void run_front(lab_heldout *self, worker *w, entry *e, double points[POINTS][2])
{
    lab_frame *f = &e->frame;
    const beam_net_shape shape = beam_net_shape_of(&f->problem);
    for (int first = 0; first < POINTS; first += BEAM_LANES) {
        const int used = POINTS - first < BEAM_LANES ? POINTS - first : BEAM_LANES;
        beam_net_block_begin(w->block, &shape);
        for (int k = 0; k < used; k++) {
            const double tradeoff = tradeoff_at(first + k);
            beam_net_block_scene(w->block, k, &f->problem, f->unit, &f->ideal);
            beam_net_block_preference(w->block, k, beam_preference_from_tradeoff(tradeoff));
            beam_classical_compose(&f->problem, f->unit, beam_net_start_share(tradeoff), w->x);
            beam_net_block_start(w->block, k, w->x);
        }
        beam_net_block_fill(w->block, used);
        beam_net_block_forward(w->block, self->theta, 0, self->arch.layers);
        for (int k = 0; k < used; k++) {
            beam_net_block_point(w->block, k, w->x);
            measure(w, f, points[first + k]);
        }
    }
}

/* max(w1 f1, w2 f2) at a point. A point that locates nothing counts as f2 = 20, so that means stay
 * finite. */
static double scalarised(const beam_ideal *ideal, double tradeoff, const double point[2])
{
    const beam_preference u = beam_preference_from_tradeoff(tradeoff);
    const double u1 = fmax(u.u1, least_preference), u2 = fmax(u.u2, least_preference);
    const double f2 = fmin(beam_loss_sensing(ideal, isfinite(point[1]), point[1]), 20.0);
    return fmax(u2 * beam_loss_rate(ideal, point[0]), u1 * f2) / (u1 + u2);
}

static beam_code evaluate_entry(void *arg, int index, int task, beam_error *err)
{
    lab_heldout *self = arg;
    entry *e = &self->entries[task];
    double points[POINTS][2];
    run_front(self, &self->workers[index], e, points);
    const lab_reference reference = {.wsr_ideal_bps_hz = e->frame.ideal.wsr_ideal_bps_hz,
                                     .crlb_min_m2 = e->frame.ideal.crlb_min_m2,
                                     .count = POINTS,
                                     .front = e->front};
    lab_hypervolume hv;
    const beam_code code =
        lab_hypervolume_compute((const double(*)[2])points, POINTS, &reference, POINTS, &hv, err);
    e->ratio = hv.ratio_same_count;
    e->gap = e->loss = 0.0;
    for (int k = 0; !code && k < POINTS; k++) {
        const double tradeoff = tradeoff_at(k),
                     own = scalarised(&e->frame.ideal, tradeoff, points[k]);
        double best = INFINITY;
        for (int j = 0; j < POINTS; j++) {
            best = fmin(best, scalarised(&e->frame.ideal, tradeoff, e->front[j]));
        }
        e->gap += (own - best) / POINTS;
        e->loss += own / POINTS;
    }
    return code;
}

beam_code lab_heldout_evaluate(lab_heldout *self, const beam_net_real *theta,
                               lab_heldout_score *scores, beam_error *err)
{
    self->theta = theta;
    double *ratios = malloc(((size_t)self->count + 1) * sizeof *ratios);
    beam_code code = ratios
                         ? lab_parallel_run(self->threads, self->count, evaluate_entry, self, err)
                         : beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    for (int f = 0; !code && f < self->families; f++) {
        lab_heldout_score *s = &scores[f];
        *s = (lab_heldout_score){.family = lab_scenes_family_name(self->scenes, f)};
        for (int i = 0; i < self->count; i++) {
            if (self->entries[i].family == f) {
                ratios[s->scenes++] = self->entries[i].ratio;
                s->gap += self->entries[i].gap;
                s->loss += self->entries[i].loss;
            }
        }
        lab_sort(ratios, s->scenes);
        s->median = lab_quantile(ratios, s->scenes, 0.5);
        s->least = lab_quantile(ratios, s->scenes, 0.0);
        s->p5 = lab_quantile(ratios, s->scenes, 0.05);
        s->gap = s->scenes > 0 ? s->gap / s->scenes : NAN;
        s->loss = s->scenes > 0 ? s->loss / s->scenes : NAN;
    }
    free(ratios);
    return code;
}
