/* The memory of answers and tasks. */
#include <stdlib.h>
#include <string.h>

#include "work.h"

void *beamd_block_create(size_t bytes)
{
    void *block = aligned_alloc(64, bytes ? bytes : 64);
    if (block) {
        memset(block, 0, bytes);
    }
    return block;
}

void beamd_view_carve(beamd_view *view, beamd_arena *a, const beam_dims *max)
{
    view->size = beam_scene_memsize(max);
    view->memory = beamd_arena_take(a, view->size);
    view->user_id = beamd_arena_take(a, (size_t)max->users * sizeof(uint64_t));
}

int beamd_view_lay(beamd_view *view, const beam_dims *dims, beam_wire_error *err)
{
    beam_error error;
    return beam_scene_init(&view->scene, dims, view->memory, view->size, &error) == BEAM_OK
               ? 0
               : beamd_engine_error(err, &error);
}

void beamd_design_carve(beamd_held_design *held, beamd_arena *a, const beam_dims *max,
                        int sensing_max)
{
    held->size = beam_design_memsize(max, sensing_max);
    held->memory = beamd_arena_take(a, held->size);
}

/* Sizes fit by construction; were one to fail, the check of the answer would report it. */
void beamd_design_lay(beamd_held_design *held, const beam_dims *dims, int sensing_max)
{
    (void)beam_design_init(&held->design, dims, sensing_max, held->memory, held->size, NULL);
}

bool beamd_format_served(Beamd__ElementType element)
{
    return beam_wire_complex_bytes(element, BEAM_WIRE_BFP_BITS_MAX, 1) > 0;
}

/* --- Answers --- */

static void carve_answer(beamd_answer *self, beamd_arena *a, const beam_dims *max, int sensing_max)
{
    const size_t users = (size_t)max->users, antennas = (size_t)max->antennas;
    beamd_design_carve(&self->out, a, max, sensing_max);
    self->user_id = beamd_arena_take(a, users * sizeof *self->user_id);
    self->user_station = beamd_arena_take(a, users * sizeof *self->user_station);
    self->user_min_rate_bps_hz = beamd_arena_take(a, users * sizeof *self->user_min_rate_bps_hz);
    self->beam_capacity = users * antennas * 16u; /* complex float64, the widest element */
    self->sensing_capacity = (size_t)max->stations * (size_t)sensing_max * antennas * 16u;
    self->beam_bytes = beamd_arena_take(a, self->beam_capacity);
    self->sensing_bytes = beamd_arena_take(a, self->sensing_capacity);
}

size_t beamd_answer_bytes(const beam_dims *max, int sensing_max)
{
    beamd_answer probe;
    beamd_arena count = {NULL, 0};
    (void)beamd_arena_take(&count, sizeof probe);
    carve_answer(&probe, &count, max, sensing_max);
    return beamd_arena_size(&count);
}

beamd_answer *beamd_answer_create(const beam_dims *max, int sensing_max)
{
    void *block = beamd_block_create(beamd_answer_bytes(max, sensing_max));
    if (!block) {
        return NULL;
    }
    beamd_arena real = {block, 0};
    beamd_answer *self = beamd_arena_take(&real, sizeof *self);
    carve_answer(self, &real, max, sensing_max);
    return self;
}

void beamd_answer_destroy(beamd_answer **self)
{
    free(*self);
    *self = NULL;
}

/* --- Tasks --- */

typedef struct solver_blocks {
    void *solver[BEAMD_SLOTS];
    size_t size;
} solver_blocks;

static solver_blocks carve_task(beamd_task *t, beamd_arena *a, const beamd_cluster *c)
{
    const beam_dims *max = &c->max;
    solver_blocks blocks = {.size = beam_solver_memsize(max)};
    for (int i = 0; i < t->slots; i++) {
        beamd_slot *slot = &t->slot[i];
        beamd_view_carve(&slot->view, a, max);
        for (int p = 0; p < BEAM_WIRE_MAX_PREFERENCES; p++) {
            beamd_design_carve(&slot->warm[p], a, max, c->sensing_max);
        }
        blocks.solver[i] =
            i > 0 && t->one_solver ? blocks.solver[0] : beamd_arena_take(a, blocks.size);
    }
    beamd_design_carve(&t->scratch, a, max, c->sensing_max);
    t->scratch_columns = c->sensing_max;
    t->compact = beamd_arena_take(a, (size_t)max->stations * (size_t)c->sensing_max *
                                         (size_t)max->antennas * sizeof *t->compact);
    t->rows = beamd_arena_take(a, beam_solver_sensing_bytes(max));
    t->evaluator_size = beam_evaluator_memsize(max, c->sensing_max);
    t->evaluator_memory = beamd_arena_take(a, t->evaluator_size);
    return blocks;
}

size_t beamd_task_bytes(const beamd_cluster *cluster, int slots, bool one_solver)
{
    beamd_task probe = {.slots = slots, .one_solver = one_solver};
    beamd_arena count = {NULL, 0};
    (void)carve_task(&probe, &count, cluster);
    return beamd_arena_size(&count) + sizeof probe +
           (size_t)slots * (size_t)cluster->preferences_room *
               beamd_answer_bytes(&cluster->max, cluster->sensing_max);
}

int beamd_task_take_answers(beamd_task *self, const beamd_cluster *cluster, int preference)
{
    for (int i = 0; i < self->slots; i++) {
        beamd_answer **answer = &self->answer[i * BEAM_WIRE_MAX_PREFERENCES + preference];
        if (!*answer) {
            *answer = beamd_answer_create(&cluster->max, cluster->sensing_max);
        }
        if (!*answer) {
            return -1;
        }
    }
    return 0;
}

beamd_task *beamd_task_create(beamd_cluster *cluster, int slots, bool one_solver)
{
    beamd_task *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    t->slots = slots;
    t->one_solver = one_solver;
    t->bytes = beamd_task_bytes(cluster, slots, one_solver);
    t->cluster = cluster;
    t->evaluator_users = -1;
    beamd_arena count = {NULL, 0};
    (void)carve_task(t, &count, cluster);
    t->block = beamd_block_create(beamd_arena_size(&count));
    bool good = t->block != NULL;
    if (good) {
        beamd_arena real = {t->block, 0};
        const solver_blocks blocks = carve_task(t, &real, cluster);
        for (int i = 0; good && i < slots; i++) {
            beamd_slot *slot = &t->slot[i];
            slot->solver_memory = blocks.solver[i];
            slot->solver = t->slot[0].solver;
            good = (i > 0 && one_solver) ||
                   beam_solver_init(&slot->solver, &cluster->max, slot->solver_memory, blocks.size,
                                    NULL) == BEAM_OK;
        }
    }
    for (int p = 0; good && p < cluster->preferences_room; p++) {
        good = beamd_task_take_answers(t, cluster, p) == 0;
    }
    if (!good) {
        beamd_task_destroy(&t);
    }
    return t;
}

void beamd_task_destroy(beamd_task **self)
{
    if (*self) {
        for (size_t k = 0; k < sizeof(*self)->answer / sizeof(*self)->answer[0]; k++) {
            beamd_answer_destroy(&(*self)->answer[k]);
        }
        free((*self)->block);
        free(*self);
        *self = NULL;
    }
}
