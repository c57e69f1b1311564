/* Ownership: scenes, designs and solutions over malloc. */
#include "lab/format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *aligned_zeroed(size_t size)
{
    const size_t rounded = (size + 63) & ~(size_t)63;
    void *memory = aligned_alloc(64, rounded ? rounded : 64);
    if (memory) {
        memset(memory, 0, rounded);
    }
    return memory;
}

double lab_round_digits(double value, int digits)
{
    char text[64];
    snprintf(text, sizeof text, "%.*g", digits, value);
    return strtod(text, NULL);
}

lab_scene *lab_scene_create(const beam_dims *dims, beam_error *err)
{
    if (beam_dims_check(dims, err)) {
        return NULL;
    }
    const size_t size = beam_scene_memsize(dims);
    lab_scene *self = calloc(1, sizeof *self);
    if (self) {
        self->memory = aligned_zeroed(size);
    }
    if (!self || !self->memory) {
        free(self);
        beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        return NULL;
    }
    if (beam_scene_init(&self->scene, dims, self->memory, size, err)) {
        lab_scene_destroy(&self);
    }
    return self;
}

void lab_scene_destroy(lab_scene **self)
{
    if (*self) {
        free((*self)->tradeoffs);
        free((*self)->memory);
        free(*self);
        *self = NULL;
    }
}

beam_code lab_scene_set_tradeoffs(lab_scene *self, int count, const double *tradeoffs,
                                  beam_error *err)
{
    double *copy = NULL;
    if (count > 0) {
        copy = malloc((size_t)count * sizeof *copy);
        if (!copy) {
            return beam_fail(err, BEAM_E_LIMIT, "tradeoffs", "out of memory");
        }
        memcpy(copy, tradeoffs, (size_t)count * sizeof *copy);
    }
    free(self->tradeoffs);
    self->tradeoffs = copy;
    self->tradeoff_count = count;
    return BEAM_OK;
}

static void round_all(double *values, size_t count, int digits)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = lab_round_digits(values[i], digits);
    }
}

void lab_scene_round(lab_scene *self)
{
    beam_scene *s = &self->scene;
    const size_t L = (size_t)s->dims.stations, U = (size_t)s->dims.users;
    const size_t J = (size_t)s->dims.targets, N = (size_t)s->dims.antennas;
    round_all(s->station_position_m, 2 * L, 10);
    round_all(s->station_axis_rad, L, 10);
    round_all(s->station_power_w, L, 10);
    round_all(s->station_echo_noise_w, L, 10);
    round_all(s->user_weight, U, 10);
    round_all(s->user_noise_w, U, 10);
    round_all(s->user_min_rate_bps_hz, U, 10);
    round_all((double *)s->channel, 2 * L * U * N, 10);
    round_all(s->error_radius, L * U, 10);
    round_all(s->target_position_m, 2 * J, 10);
    round_all((double *)s->reflection, 2 * L * J * L, 10);
    round_all(&s->bandwidth_hz, 1, 10);
    round_all(&s->snapshots, 1, 10);
    round_all(&self->carrier_hz, 1, 10);
    round_all(self->tradeoffs, (size_t)self->tradeoff_count, 10);
}

beam_code lab_design_init(lab_design *self, const beam_dims *dims, int sensing_max, beam_error *err)
{
    const size_t size = beam_design_memsize(dims, sensing_max);
    *self = (lab_design){.memory = aligned_zeroed(size)};
    if (!self->memory) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
    }
    const beam_code code =
        beam_design_init(&self->design, dims, sensing_max, self->memory, size, err);
    if (code) {
        lab_design_clear(self);
    }
    return code;
}

void lab_design_clear(lab_design *self)
{
    free(self->memory);
    *self = (lab_design){.memory = NULL};
}

void lab_design_settle(beam_design *design, const beam_scene *scene)
{
    const size_t L = (size_t)design->dims.stations, N = (size_t)design->dims.antennas;
    beam_design_fit_budget(design, scene->user_station, scene->station_power_w, 1 - 1e-11);
    round_all((double *)design->beams, 2 * N * (size_t)design->dims.users, 12);
    round_all((double *)design->sensing, 2 * N * L * (size_t)design->sensing_max, 12);
}

lab_solution *lab_solution_create(const lab_scene *scene, int count, int sensing_max,
                                  beam_error *err)
{
    lab_solution *self = calloc(1, sizeof *self);
    lab_entry *entries = calloc((size_t)count + 1, sizeof *entries);
    if (!self || !entries) {
        free(self);
        free(entries);
        beam_fail(err, BEAM_E_LIMIT, "solutions", "out of memory");
        return NULL;
    }
    snprintf(self->scene, sizeof self->scene, "%s", scene ? scene->name : "");
    self->entries = entries;
    self->count = count;
    for (int k = 0; k < count; k++) {
        entries[k].tradeoff = entries[k].wsr_nominal_bps_hz = NAN;
        entries[k].wsr_worst_case_bps_hz = entries[k].crlb_m2 = entries[k].solve_us = NAN;
    }
    for (int k = 0; scene && k < count; k++) {
        if (lab_design_init(&entries[k].beams, &scene->scene.dims, sensing_max, err)) {
            lab_solution_destroy(&self);
            return NULL;
        }
    }
    return self;
}

void lab_solution_destroy(lab_solution **self)
{
    if (*self) {
        for (int k = 0; k < (*self)->count; k++) {
            lab_design_clear(&(*self)->entries[k].beams);
        }
        free((*self)->entries);
        free(*self);
        *self = NULL;
    }
}

void lab_reference_destroy(lab_reference **self)
{
    if (*self) {
        free((*self)->front);
        free(*self);
        *self = NULL;
    }
}
