/* Designs: layout in one block, copying, power per station. */
#include "beam/design.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "model/arena.h"

int beam_design_sensing_max(const beam_dims *dims)
{
    const int columns = 2 * dims->targets;
    return columns < dims->antennas ? columns : dims->antennas;
}

static bool sensing_max_admissible(int sensing_max)
{
    return sensing_max >= 0 && sensing_max <= BEAM_MAX_ANTENNAS;
}

typedef struct design_layout {
    int *count;
    beam_complex *beams, *sensing;
} design_layout;

static design_layout design_carve(beam_arena *arena, const beam_dims *dims, int sensing_max)
{
    const size_t L = (size_t)dims->stations, N = (size_t)dims->antennas;
    design_layout at;
    at.count = BEAM_TAKE(arena, int, L);
    at.beams = BEAM_TAKE(arena, beam_complex, (size_t)dims->users * N);
    at.sensing = BEAM_TAKE(arena, beam_complex, L * (size_t)sensing_max * N);
    return at;
}

size_t beam_design_memsize(const beam_dims *dims, int sensing_max)
{
    if (beam_dims_check(dims, NULL) != BEAM_OK || !sensing_max_admissible(sensing_max)) {
        return 0;
    }
    beam_arena arena = {NULL, 0};
    (void)design_carve(&arena, dims, sensing_max);
    return arena.used;
}

beam_code beam_design_init(beam_design *design, const beam_dims *dims, int sensing_max,
                           void *memory, size_t size, beam_error *err)
{
    const beam_code code = beam_dims_check(dims, err);
    if (code != BEAM_OK) {
        return code;
    }
    if (!sensing_max_admissible(sensing_max)) {
        return beam_fail(err, BEAM_E_LIMIT, "sensing_max",
                         "%d sensing columns per station, must be between 0 and %d", sensing_max,
                         (int)BEAM_MAX_ANTENNAS);
    }
    const size_t need = beam_design_memsize(dims, sensing_max);
    if (!design || !memory) {
        return beam_fail(err, BEAM_E_INVALID, "memory", "no memory given for the design");
    }
    if ((uintptr_t)memory % 64u != 0) {
        return beam_fail(err, BEAM_E_INVALID, "memory", "memory is not aligned to 64 bytes");
    }
    if (size < need) {
        return beam_fail(err, BEAM_E_LIMIT, "memory", "%zu bytes given, a design needs %zu", size,
                         need);
    }
    memset(memory, 0, need);
    beam_arena arena = {memory, 0};
    const design_layout at = design_carve(&arena, dims, sensing_max);
    *design = (beam_design){
        .dims = *dims,
        .sensing_max = sensing_max,
        .sensing_count = at.count,
        .beams = at.beams,
        .sensing = at.sensing,
    };
    return BEAM_OK;
}

beam_code beam_design_copy(beam_design *to, const beam_design *from, beam_error *err)
{
    const beam_dims *a = &to->dims, *b = &from->dims;
    if (a->stations != b->stations || a->antennas != b->antennas || a->users != b->users ||
        a->targets != b->targets) {
        return beam_fail(err, BEAM_E_INVALID, "dims",
                         "designs of different sizes cannot be copied");
    }
    for (int l = 0; l < b->stations; l++) {
        const int count = from->sensing_count[l];
        if (count < 0 || count > from->sensing_max || count > to->sensing_max) {
            return beam_fail(err, BEAM_E_INVALID, "sensing_count",
                             "station %d has %d sensing columns, the target holds %d", l, count,
                             to->sensing_max);
        }
    }
    if (to == from) {
        return BEAM_OK;
    }
    const size_t N = (size_t)a->antennas;
    if (a->users > 0) {
        memcpy(to->beams, from->beams, (size_t)a->users * N * sizeof(beam_complex));
    }
    for (int l = 0; l < a->stations; l++) {
        const size_t count = (size_t)from->sensing_count[l];
        beam_complex *columns = to->sensing + (size_t)l * (size_t)to->sensing_max * N;
        to->sensing_count[l] = from->sensing_count[l];
        if (count > 0) {
            memcpy(columns, from->sensing + (size_t)l * (size_t)from->sensing_max * N,
                   count * N * sizeof(beam_complex));
        }
        if (count < (size_t)to->sensing_max) {
            memset(columns + count * N, 0,
                   ((size_t)to->sensing_max - count) * N * sizeof(beam_complex));
        }
    }
    return BEAM_OK;
}

static double row_power(const beam_complex *row, int antennas)
{
    double sum = 0;
    for (int n = 0; n < antennas; n++) {
        sum += row[n].re * row[n].re + row[n].im * row[n].im;
    }
    return sum;
}

static beam_complex *beam_row(const beam_design *design, int user)
{
    return design->beams + (size_t)user * (size_t)design->dims.antennas;
}

static beam_complex *sensing_row(const beam_design *design, int station, int column)
{
    const size_t row = (size_t)station * (size_t)design->sensing_max + (size_t)column;
    return design->sensing + row * (size_t)design->dims.antennas;
}

double beam_design_power_w(const beam_design *design, const int *user_station, int station)
{
    const int N = design->dims.antennas;
    double sum = 0;
    for (int u = 0; u < design->dims.users; u++) {
        if (user_station[u] == station) {
            sum += row_power(beam_row(design, u), N);
        }
    }
    for (int k = 0; k < design->sensing_count[station]; k++) {
        sum += row_power(sensing_row(design, station, k), N);
    }
    return sum;
}

static void row_scale(beam_complex *row, int antennas, double factor)
{
    for (int n = 0; n < antennas; n++) {
        row[n].re *= factor;
        row[n].im *= factor;
    }
}

static void station_scale(beam_design *design, const int *user_station, int station, double factor)
{
    for (int u = 0; u < design->dims.users; u++) {
        if (user_station[u] == station) {
            row_scale(beam_row(design, u), design->dims.antennas, factor);
        }
    }
    for (int k = 0; k < design->sensing_count[station]; k++) {
        row_scale(sensing_row(design, station, k), design->dims.antennas, factor);
    }
}

void beam_design_fit_budget(beam_design *design, const int *user_station, const double *power_w,
                            double inside)
{
    for (int l = 0; l < design->dims.stations; l++) {
        const double budget = inside * power_w[l];
        double power = beam_design_power_w(design, user_station, l);
        if (isinf(power)) { /* finite rows whose squares overflow: bring them into range first */
            station_scale(design, user_station, l, 0x1p-520);
            power = beam_design_power_w(design, user_station, l);
        }
        if (power > budget) {
            station_scale(design, user_station, l, sqrt(budget / power));
        }
    }
}
