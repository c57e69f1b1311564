/* Beside the hot path: the best rate of a subband, the least-CRLB rows of new targets, whole
 * fronts. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "work.h"

static bool refresh_expired(void *arg)
{
    const beamd_refresh_job *self = arg;
    return atomic_load_explicit(self->abandon, memory_order_relaxed) ||
           beamd_clock_ns() >= self->stop_at_ns;
}

static bool front_expired(void *arg)
{
    const beamd_front_job *self = arg;
    return atomic_load_explicit(self->abandon, memory_order_relaxed) ||
           beamd_clock_ns() >= self->stop_at_ns;
}

static void *carve_refresh(beamd_refresh_job *job, beamd_arena *a, const beamd_cluster *c)
{
    beamd_view_carve(&job->view, a, &c->max);
    job->rows = beamd_arena_take(a, beam_solver_sensing_bytes(&c->max));
    return beamd_arena_take(a, beam_solver_memsize(&c->max));
}

size_t beamd_refresh_bytes(const beamd_cluster *cluster)
{
    beamd_refresh_job probe;
    beamd_arena count = {NULL, 0};
    (void)carve_refresh(&probe, &count, cluster);
    return beamd_arena_size(&count) + sizeof probe;
}

beamd_refresh_job *beamd_refresh_create(beamd_cluster *cluster)
{
    beamd_refresh_job *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    beamd_arena count = {NULL, 0};
    (void)carve_refresh(self, &count, cluster);
    self->bytes = beamd_refresh_bytes(cluster);
    self->job.run = beamd_refresh_run;
    self->cluster = cluster;
    self->block = beamd_block_create(beamd_arena_size(&count));
    beamd_arena real = {self->block, 0};
    void *memory = self->block ? carve_refresh(self, &real, cluster) : NULL;
    if (!memory || beam_solver_init(&self->solver, &cluster->max, memory,
                                    beam_solver_memsize(&cluster->max), NULL) != BEAM_OK) {
        beamd_refresh_destroy(&self);
    }
    return self;
}

void beamd_refresh_destroy(beamd_refresh_job **self)
{
    if (*self) {
        free((*self)->block);
        free(*self);
        *self = NULL;
    }
}

static beam_code run_refresh(beamd_refresh_job *self)
{
    beam_code code = beam_solver_load(self->solver, &self->view.scene, &self->error);
    if (code != BEAM_OK) {
        return code;
    }
    const uint64_t begin_ns = beamd_clock_ns();
    self->has_rows = self->has_rows && beam_solver_import_sensing(self->solver, self->rows, false);
    code = beam_solver_set_ideal(self->solver, &self->ideal, &self->error);
    if (code == BEAM_OK) {
        code = beam_solver_compute_sensing_end(self->solver, &self->error);
    }
    self->sensing_ns = self->has_rows ? 0 : beamd_clock_ns() - begin_ns;
    self->has_rows = code == BEAM_OK && beam_solver_export_sensing(self->solver, self->rows);
    if (code == BEAM_OK && !self->sensing_only) {
        code = beam_solver_compute_rate_end(self->solver, &self->error);
    }
    if (code == BEAM_OK) {
        self->ideal = beam_solver_ideal(self->solver);
    }
    return code;
}

static beam_solver_options options_of(int iterations, double tolerance, bool (*expired)(void *arg),
                                      void *arg)
{
    beam_solver_options options = beam_solver_options_default();
    options.max_iterations = iterations > 0 ? iterations : options.max_iterations;
    options.tolerance = tolerance > 0 ? tolerance : options.tolerance;
    options.expired = expired;
    options.expired_arg = arg;
    return options;
}

void beamd_refresh_run(beamd_job *job)
{
    beamd_refresh_job *self = (beamd_refresh_job *)job;
    self->start_ns = beamd_clock_ns();
    self->error = (beam_error){.code = BEAM_OK};
    const beam_solver_options options =
        options_of(self->iterations, self->tolerance, refresh_expired, self);
    beam_solver_set_options(self->solver, &options);
    self->code = run_refresh(self);
    self->end_ns = beamd_clock_ns();
}

/* --- Fronts --- */

typedef struct front_blocks {
    void *solver, *design;
    size_t solver_bytes, design_bytes; /* of one */
} front_blocks;

static front_blocks carve_front(beamd_front_job *job, beamd_arena *a, const beamd_cluster *c)
{
    const size_t points = (size_t)job->points;
    front_blocks blocks = {.solver_bytes = beam_solver_memsize(&c->max),
                           .design_bytes =
                               (beam_design_memsize(&c->max, c->sensing_max) + 63u) & ~(size_t)63u};
    beamd_view_carve(&job->view, a, &c->max);
    job->tradeoff = beamd_arena_take(a, points * sizeof *job->tradeoff);
    job->result = beamd_arena_take(a, points * sizeof *job->result);
    job->design = beamd_arena_take(a, points * sizeof *job->design);
    blocks.solver = beamd_arena_take(a, blocks.solver_bytes);
    blocks.design = beamd_arena_take(a, points * blocks.design_bytes);
    return blocks;
}

static beam_code lay_front(beamd_front_job *self, const front_blocks *blocks, beam_error *error)
{
    const beamd_cluster *c = self->cluster;
    beam_code code =
        beam_solver_init(&self->solver, &c->max, blocks->solver, blocks->solver_bytes, error);
    for (int k = 0; code == BEAM_OK && k < self->points; k++) {
        code = beam_design_init(&self->design[k], &self->view.scene.dims, c->sensing_max,
                                (unsigned char *)blocks->design + (size_t)k * blocks->design_bytes,
                                blocks->design_bytes, error);
    }
    return code;
}

static int check_front(const beamd_cluster *c, int subband, int points, beam_wire_error *err)
{
    if (points < 2 || points > BEAM_WIRE_MAX_FRONT_POINTS) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "points",
                              "is %d, must be between 2 and %d", points,
                              BEAM_WIRE_MAX_FRONT_POINTS);
    }
    if (subband < 0 || subband >= c->subbands) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "subband",
                              "is %d, the cluster has %d", subband, c->subbands);
    }
    if (!c->has_csi || !c->has_targets) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_NOT_READY,
                              c->has_csi ? "targets" : "users", "are not known yet");
    }
    return 0;
}

beamd_front_job *beamd_front_create(beamd_cluster *cluster, int subband, int points,
                                    size_t bytes_max, uint64_t now_ns, beam_wire_error *err)
{
    if (check_front(cluster, subband, points, err) < 0) {
        return NULL;
    }
    beamd_front_job *self = calloc(1, sizeof *self);
    if (!self) {
        beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "points", "out of memory");
        return NULL;
    }
    self->points = points;
    self->cluster = cluster;
    self->subband = subband;
    self->job.run = beamd_front_run;
    self->csi_sequence = cluster->band[subband].csi_sequence;
    self->target_sequence = cluster->target_sequence;
    beamd_arena count = {NULL, 0};
    (void)carve_front(self, &count, cluster);
    const size_t need = beamd_arena_size(&count);
    if (need > bytes_max) {
        beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "points",
                       "a front of %d points needs %zu MiB, %zu MiB are allowed", points,
                       (need >> 20) + 1, bytes_max >> 20);
        beamd_front_destroy(&self);
        return NULL;
    }
    self->block = beamd_block_create(need);
    beam_error error = {.code = BEAM_E_LIMIT, .field = "points", .text = "out of memory"};
    bool good = self->block != NULL;
    if (good) {
        beamd_arena real = {self->block, 0};
        const front_blocks blocks = carve_front(self, &real, cluster);
        (void)beamd_view_copy_band(cluster, &self->view, subband, now_ns);
        good = lay_front(self, &blocks, &error) == BEAM_OK;
    }
    if (!good) {
        beamd_engine_error(err, &error);
        beamd_front_destroy(&self);
    }
    return self;
}

void beamd_front_destroy(beamd_front_job **self)
{
    if (*self) {
        free((*self)->block);
        free(*self);
        *self = NULL;
    }
}

void beamd_front_run(beamd_job *job)
{
    beamd_front_job *self = (beamd_front_job *)job;
    self->start_ns = beamd_clock_ns();
    self->error = (beam_error){.code = BEAM_OK};
    const beam_solver_options options = options_of(0, 0, front_expired, self);
    beam_solver_set_options(self->solver, &options);
    self->code = beam_solver_load(self->solver, &self->view.scene, &self->error);
    if (self->code == BEAM_OK) {
        self->code = beam_solver_front(self->solver, self->points, false, self->tradeoff,
                                       self->design, self->result, NULL, NULL, &self->error);
    }
    if (self->code == BEAM_OK) {
        self->ideal = beam_solver_ideal(self->solver);
    }
    self->end_ns = beamd_clock_ns();
}
