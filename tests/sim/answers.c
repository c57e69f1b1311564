/* A pool of real designs and of spoilt ones, each judged by the real check (daemon/check.c) in the
 * memory of the task that asks for it. What comes of it depends on the scene, the normalising
 * values and the trade-off alone, so that it is kept and a day stays short. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"
#include "work.h"

enum { KEPT = 2048, ITERATIONS = 4 };

typedef struct kept_answer {
    uint64_t key; /* 0: free */
    bool good;    /* what the backend itself gave passed the check */
    beamd_answer *answer;
} kept_answer;

typedef struct kept_ends {
    uint64_t key;
    beam_ideal ideal;
} kept_ends;

typedef struct kept_rows {
    uint64_t key;
    double *rows;
} kept_rows;

static kept_answer answers[KEPT];
static kept_ends ends[KEPT];
static kept_rows rows[64];
static unsigned answers_kept, ends_kept;
static uint64_t hits, misses;

void sim_answers_counts(uint64_t *hit, uint64_t *miss)
{
    *hit = hits;
    *miss = misses;
}

void sim_answers_clear(void)
{
    for (unsigned k = 0; k < KEPT; k++) {
        beamd_answer_destroy(&answers[k].answer);
        answers[k] = (kept_answer){0};
        ends[k] = (kept_ends){0};
    }
    for (unsigned k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        free(rows[k].rows);
        rows[k] = (kept_rows){0};
    }
    answers_kept = ends_kept = 0;
    hits = misses = 0;
}

/* Eight bytes at a time. */
uint64_t sim_answer_hash(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    while (count > 0) {
        uint64_t word = 0;
        const size_t n = count < sizeof word ? count : sizeof word;
        memcpy(&word, at, n);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
        at += n;
        count -= n;
    }
    return hash;
}

static uint64_t geometry_hash(const beam_scene *s)
{
    const size_t L = (size_t)s->dims.stations, J = (size_t)s->dims.targets;
    uint64_t h = sim_answer_hash(99, &s->dims.stations, sizeof s->dims.stations);
    h = sim_answer_hash(h, &s->dims.antennas, sizeof s->dims.antennas);
    h = sim_answer_hash(h, &s->sensing, sizeof s->sensing);
    h = sim_answer_hash(h, s->station_position_m, 2 * L * sizeof(double));
    h = sim_answer_hash(h, s->target_position_m, 2 * J * sizeof(double));
    return sim_answer_hash(h, s->reflection, L * J * L * sizeof(beam_complex));
}

uint64_t sim_scene_hash(const beam_scene *s)
{
    const size_t L = (size_t)s->dims.stations, U = (size_t)s->dims.users;
    uint64_t h = geometry_hash(s);
    h = sim_answer_hash(h, &s->dims.users, sizeof s->dims.users);
    h = sim_answer_hash(h, s->station_power_w, L * sizeof(double));
    h = sim_answer_hash(h, s->user_station, U * sizeof(int));
    h = sim_answer_hash(h, s->user_weight, U * sizeof(double));
    h = sim_answer_hash(h, s->user_noise_w, U * sizeof(double));
    h = sim_answer_hash(h, s->user_min_rate_bps_hz, U * sizeof(double));
    h = sim_answer_hash(h, s->error_radius, L * U * sizeof(double));
    return sim_answer_hash(h, s->channel, L * U * (size_t)s->dims.antennas * sizeof(beam_complex));
}

/* --- Normalising values and rows --- */

static void set_options(beam_solver *solver)
{
    beam_solver_options options = beam_solver_options_default();
    options.max_iterations = ITERATIONS;
    beam_solver_set_options(solver, &options);
}

static double *rows_of(const beam_scene *scene, uint64_t *key)
{
    *key = geometry_hash(scene) | 1;
    for (unsigned k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        if (rows[k].key == *key) {
            return rows[k].rows;
        }
    }
    return NULL;
}

static void keep_rows(const beam_solver *solver, const beam_scene *scene, uint64_t key)
{
    for (unsigned k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        if (rows[k].key == 0) {
            rows[k].rows = test_memory(beam_solver_sensing_bytes(&scene->dims));
            if (beam_solver_export_sensing(solver, rows[k].rows)) {
                rows[k].key = key;
            } else {
                free(rows[k].rows);
                rows[k].rows = NULL;
            }
            return;
        }
    }
}

static void load(beam_solver *solver, const beam_scene *scene)
{
    beam_error err;
    uint64_t key;
    set_options(solver);
    test_must(beam_solver_load(solver, scene, &err), &err, "load");
    const double *known = rows_of(scene, &key);
    if (known) {
        (void)beam_solver_import_sensing(solver, known, false);
    }
}

/* Of one scene, computed once. */
static beam_ideal ends_of(beam_solver *solver, const beam_scene *scene)
{
    const uint64_t key = sim_scene_hash(scene) | 1;
    unsigned at = (unsigned)(key >> 7) % KEPT;
    for (; ends[at].key != 0; at = (at + 1) % KEPT) {
        if (ends[at].key == key) {
            return ends[at].ideal;
        }
    }
    beam_error err;
    uint64_t geometry;
    load(solver, scene);
    test_must(beam_solver_compute_sensing_end(solver, &err), &err, "sensing end");
    if (!rows_of(scene, &geometry)) {
        keep_rows(solver, scene, geometry);
    }
    test_must(beam_solver_compute_rate_end(solver, &err), &err, "rate end");
    const beam_ideal ideal = beam_solver_ideal(solver);
    if (ends_kept < KEPT / 2) {
        ends[at] = (kept_ends){key, ideal};
        ends_kept++;
    }
    return ideal;
}

void sim_answer_ends(beamd_task *task, int i, beamd_effort effort, uint64_t sensing_ns)
{
    const beam_scene *scene = &task->slot[i].view.scene;
    beam_ideal found = task->ideal[i];
    uint64_t key;
    if (task->need_sensing_end || task->need_rate_end[i]) {
        const beam_ideal both = ends_of(task->slot[i].solver, scene);
        found.crlb_min_m2 = task->need_sensing_end ? both.crlb_min_m2 : found.crlb_min_m2;
        found.wsr_ideal_bps_hz =
            task->need_rate_end[i] ? both.wsr_ideal_bps_hz : found.wsr_ideal_bps_hz;
        task->rate_end_cut[i] = task->need_rate_end[i] && effort != BEAMD_EFFORT_SOLVER;
    }
    const double *known = rows_of(scene, &key);
    if (task->need_sensing_end && !task->has_sensing_rows_out && !task->sensing_rows_moved &&
        known) {
        memcpy(task->rows, known, beam_solver_sensing_bytes(&scene->dims));
        task->has_sensing_rows_out = true;
        task->sensing_ns = sensing_ns;
    }
    task->ideal_found[i] = found;
    task->ideal_known[i] = true;
}

void sim_answer_refresh(beamd_refresh_job *job, uint64_t sensing_ns)
{
    const beam_scene *scene = &job->view.scene;
    const beam_ideal both = ends_of(job->solver, scene);
    uint64_t key;
    const double *known = rows_of(scene, &key);
    job->sensing_ns = job->has_rows ? 0 : sensing_ns;
    if (known) {
        memcpy(job->rows, known, beam_solver_sensing_bytes(&scene->dims));
    }
    job->has_rows = known != NULL;
    job->ideal.crlb_min_m2 = both.crlb_min_m2;
    if (!job->sensing_only) {
        job->ideal.wsr_ideal_bps_hz = both.wsr_ideal_bps_hz;
    }
}

/* --- Designs --- */

static void propose(beam_solver *solver, beamd_answer *a, beamd_effort effort)
{
    beam_error err;
    beam_result checked;
    beam_code code =
        beam_solver_recheck(solver, a->tradeoff, NULL, &a->out.design, &a->result, &err);
    test_must(code, &err, "recheck");
    checked = a->result;
    if (effort == BEAMD_EFFORT_NETWORK) {
        code = beam_solver_classical(solver, BEAM_CLASSICAL_WMMSE, BEAM_SENSING_LEAST_CRLB,
                                     a->tradeoff, &a->out.design, &a->result, &err);
        a->result.method = BEAM_METHOD_NETWORK;
        a->result.classical_merit = checked.classical_merit;
    } else if (effort != BEAMD_EFFORT_CHECK) {
        code = beam_solver_solve(solver, a->tradeoff, NULL, &a->out.design, &a->result, &err);
    }
    test_must(code, &err, "design");
}

static void scale(beam_design *d, double by)
{
    const size_t N = (size_t)d->dims.antennas;
    for (size_t k = 0; k < (size_t)d->dims.users * N; k++) {
        d->beams[k] = (beam_complex){d->beams[k].re * by, d->beams[k].im * by};
    }
    for (size_t k = 0; k < (size_t)d->dims.stations * (size_t)d->sensing_max * N; k++) {
        d->sensing[k] = (beam_complex){d->sensing[k].re * by, d->sensing[k].im * by};
    }
}

static void spoil(beamd_answer *a, sim_flavour flavour)
{
    beam_design *d = &a->out.design;
    switch (flavour) {
    case SIM_NAN:
        if (d->dims.users > 0) {
            d->beams[0].re = NAN;
        } else if (d->sensing_count[0] > 0) {
            d->sensing[0].im = NAN;
        }
        break;
    case SIM_OVER:
        scale(d, 30);
        break;
    case SIM_WORSE:
        scale(d, 1e-2);
        break;
    case SIM_USERS: /* not those of the scene */
        if (d->dims.users > 0) {
            beam_dims fewer = d->dims;
            fewer.users--;
            beamd_design_lay(&a->out, &fewer, d->sensing_max);
        }
        break;
    case SIM_GOOD:
    case SIM_FAILS:
        break;
    }
}

static void answer_by_check(beamd_task *task, int i, beamd_answer *a)
{
    const beam_scene *scene = &task->slot[i].view.scene;
    beamd_design_lay(&a->out, &scene->dims, task->scratch_columns);
    propose(task->slot[i].solver, a, BEAMD_EFFORT_CHECK);
    a->backend = BEAMD__BACKEND__BACKEND_CHECK;
    a->service = BEAMD__SERVICE__SERVICE_CHECKED;
    beamd_check_run(task, i, a);
}

/* As batch.c does: what the backend gives is checked, and what fails is replaced by the check's own
 * answer. Returns whether it stood. */
static bool compute(beamd_task *task, int i, beamd_answer *a, beamd_effort effort,
                    sim_flavour flavour)
{
    const beam_scene *scene = &task->slot[i].view.scene;
    beam_solver *solver = task->slot[i].solver;
    beam_error err;
    load(solver, scene);
    test_must(beam_solver_set_ideal(solver, &task->ideal_found[i], &err), &err, "ideal");
    test_must(beam_solver_compute_sensing_end(solver, &err), &err, "sensing end");
    test_must(beamd_check_load(task, i, &err), &err, "check load");
    task->slot[i].loaded = true; /* the check needs the solver of what falls behind */
    task->slot[i].code = BEAM_OK;
    beamd_design_lay(&a->out, &scene->dims, task->scratch_columns);
    a->error = (beam_error){.code = BEAM_OK};
    if (flavour == SIM_FAILS) {
        a->present = false;
        a->code = beam_fail(&a->error, BEAM_E_NUMERIC, NULL, "made to fail");
        return false;
    }
    propose(solver, a, effort);
    spoil(a, flavour);
    a->backend = beamd_core_backend_of(effort);
    a->service = effort == BEAMD_EFFORT_CHECK ? BEAMD__SERVICE__SERVICE_CHECKED
                                              : BEAMD__SERVICE__SERVICE_FULL;
    beamd_check_run(task, i, a);
    if (a->code == BEAM_OK) {
        return true;
    }
    a->error = (beam_error){.code = BEAM_OK};
    answer_by_check(task, i, a);
    return false;
}

/* What a check says of a design; not whose it is. */
static void copy_answer(beamd_answer *to, const beamd_answer *from)
{
    beam_error err;
    to->present = from->present;
    to->service = from->service;
    to->backend = from->backend;
    to->code = from->code;
    to->error = from->error;
    to->quality = from->quality;
    to->result = from->result;
    to->ideal = from->ideal;
    to->merit = from->merit;
    to->below_classical = from->below_classical;
    if (!from->present) {
        return;
    }
    beamd_design_lay(&to->out, &from->out.design.dims, from->out.design.sensing_max);
    test_must(beam_design_copy(&to->out.design, &from->out.design, &err), &err, "copy");
    to->beams = from->beams;
    to->sensing = from->sensing;
    memcpy(to->beams_shape, from->beams_shape, sizeof to->beams_shape);
    memcpy(to->sensing_shape, from->sensing_shape, sizeof to->sensing_shape);
    to->beams.shape = to->beams_shape;
    to->sensing.shape = to->sensing_shape;
    to->beams.data.data = to->beam_bytes;
    to->sensing.data.data = to->sensing_bytes;
    memcpy(to->beam_bytes, from->beams.data.data, from->beams.data.len);
    memcpy(to->sensing_bytes, from->sensing.data.data, from->sensing.data.len);
}

static uint64_t key_of(const beamd_task *task, int i, const beamd_answer *a, beamd_effort effort,
                       sim_flavour flavour)
{
    const int how[] = {(int)effort, (int)flavour, (int)task->format.element, task->format.bits,
                       task->scratch_columns};
    uint64_t h = sim_scene_hash(&task->slot[i].view.scene);
    h = sim_answer_hash(h, &a->tradeoff, sizeof a->tradeoff);
    h = sim_answer_hash(h, &task->ideal_found[i], sizeof task->ideal_found[i]);
    return sim_answer_hash(h, how, sizeof how) | 1;
}

bool sim_answer_problem(beamd_task *task, int i, int p, beamd_effort effort, sim_flavour flavour)
{
    beamd_answer *a = task->answer[beamd_problem_index(i, p)];
    const uint64_t key = key_of(task, i, a, effort, flavour);
    unsigned at = (unsigned)(key >> 9) % KEPT;
    a->ideal = task->ideal_found[i];
    for (; answers[at].key != 0; at = (at + 1) % KEPT) {
        if (answers[at].key == key) {
            hits++;
            copy_answer(a, answers[at].answer);
            return answers[at].good;
        }
    }
    misses++;
    const bool good = compute(task, i, a, effort, flavour);
    if (answers_kept >= KEPT / 2) { /* scenes that age: forget them all */
        for (unsigned k = 0; k < KEPT; k++) {
            beamd_answer_destroy(&answers[k].answer);
            answers[k].key = 0;
        }
        answers_kept = 0;
        at = (unsigned)(key >> 9) % KEPT;
    }
    const beam_dims *dims = &task->slot[i].view.scene.dims;
    answers[at].key = key;
    answers[at].good = good;
    answers[at].answer = beamd_answer_create(dims, task->scratch_columns);
    if (!answers[at].answer) {
        abort();
    }
    copy_answer(answers[at].answer, a);
    answers_kept++;
    return good;
}
