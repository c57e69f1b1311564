/* beamd-solution/1 and beamd-reference/1 */
#include "lab/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/json_read.h"
#include "lab/output.h"

#define LARGEST_AMPLITUDE 1e20 /* square-root watt; what a scene may hold as a channel */

/* The format's name, and the scene's (optional). */
static beam_code read_header(const lab_node *root, const char *wanted, char *scene, beam_error *err)
{
    lab_node node;
    beam_code code = lab_node_format(root, wanted, err);
    if (!code) {
        code = lab_node_find(root, "scene", &node, err);
    }
    if (!code && node.value) {
        code = lab_node_text(&node, scene, LAB_NAME_SIZE, err);
    }
    return code;
}

static int users_of(const beam_scene *scene, int station)
{
    int count = 0;
    for (int u = 0; u < scene->dims.users; u++) {
        count += scene->user_station[u] == station;
    }
    return count;
}

/* The rows of sensing beams that station `node` needs; absent means none. */
static beam_code sensing_rows(const lab_node *node, size_t *rows, beam_error *err)
{
    lab_node sensing;
    *rows = 0;
    beam_code code = lab_node_find(node, "sensing", &sensing, err);
    if (!code && sensing.value) {
        code = lab_node_complex_rows(&sensing, rows, err);
        if (!code && *rows > LAB_MAX_SENSING_ROWS) {
            return beam_fail(err, BEAM_E_LIMIT, sensing.path, "has %zu rows, the limit is %d",
                             *rows, LAB_MAX_SENSING_ROWS);
        }
    }
    return code;
}

/* Far beyond any budget, and the evaluator's squares would overflow. */
static beam_code check_size(const lab_node *node, const beam_complex *values, size_t count,
                            beam_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (fabs(values[i].re) > LARGEST_AMPLITUDE || fabs(values[i].im) > LARGEST_AMPLITUDE) {
            return beam_fail(err, BEAM_E_INVALID, node->path,
                             "holds a number beyond %g square-root watt", LARGEST_AMPLITUDE);
        }
    }
    return BEAM_OK;
}

static beam_code read_station(const lab_node *node, const beam_scene *scene, int l,
                              beam_design *design, beam_complex *row_memory, beam_error *err)
{
    const size_t N = (size_t)scene->dims.antennas;
    const int K = users_of(scene, l);
    lab_node child;
    beam_code code = lab_node_get(node, "beams", &child, err);
    if (!code) {
        code = lab_node_complex_matrix(&child, K, (long)N, row_memory, err);
        code = code ? code : check_size(&child, row_memory, (size_t)K * N, err);
    }
    const beam_complex *row = row_memory;
    for (int u = 0; !code && u < scene->dims.users; u++) {
        if (scene->user_station[u] == l) {
            memcpy(design->beams + (size_t)u * N, row, N * sizeof *row);
            row += N;
        }
    }
    size_t rows = 0;
    if (!code) {
        code = sensing_rows(node, &rows, err);
    }
    if (!code) {
        code = lab_node_find(node, "sensing", &child, err);
    }
    if (!code && child.value) {
        beam_complex *first = design->sensing + (size_t)l * (size_t)design->sensing_max * N;
        code = lab_node_complex_matrix(&child, (long)rows, (long)N, first, err);
        code = code ? code : check_size(&child, first, rows * N, err);
    }
    design->sensing_count[l] = (int)rows;
    return code;
}

static beam_code read_design(const lab_node *entry, const beam_scene *scene, lab_design *beams,
                             beam_error *err)
{
    const int L = scene->dims.stations;
    lab_node stations;
    size_t most = 0;
    beam_code code = lab_node_get(entry, "stations", &stations, err);
    if (!code) {
        code = lab_node_array(&stations, L, NULL, err);
    }
    for (int l = 0; !code && l < L; l++) {
        const lab_node node = lab_node_at(&stations, (size_t)l);
        size_t rows;
        code = sensing_rows(&node, &rows, err);
        most = !code && rows > most ? rows : most;
    }
    if (!code) {
        const int least = beam_design_sensing_max(&scene->dims);
        code = lab_design_init(beams, &scene->dims, (int)most > least ? (int)most : least, err);
    }
    if (code) {
        return code;
    }
    beam_complex *rows =
        calloc((size_t)scene->dims.users * (size_t)scene->dims.antennas + 1, sizeof *rows);
    if (!rows) {
        return beam_fail(err, BEAM_E_LIMIT, entry->path, "out of memory");
    }
    for (int l = 0; !code && l < L; l++) {
        const lab_node node = lab_node_at(&stations, (size_t)l);
        code = read_station(&node, scene, l, &beams->design, rows, err);
    }
    free(rows);
    return code;
}

static beam_code read_claim(const lab_node *entry, const char *key, double *out, beam_error *err)
{
    lab_node node;
    const beam_code code = lab_node_find(entry, key, &node, err);
    if (code || !node.value) {
        return code; /* stays NAN: not claimed */
    }
    return lab_node_number(&node, out, err);
}

static beam_code read_entry(const lab_node *node, const beam_scene *scene, lab_entry *entry,
                            beam_error *err)
{
    lab_node child;
    beam_code code = read_design(node, scene, &entry->beams, err);
    if (!code) {
        code = read_claim(node, "tradeoff", &entry->tradeoff, err);
    }
    if (!code) {
        code = read_claim(node, "wsr_nominal_bps_hz", &entry->wsr_nominal_bps_hz, err);
    }
    if (!code) {
        code = read_claim(node, "wsr_worst_case_bps_hz", &entry->wsr_worst_case_bps_hz, err);
    }
    if (!code) {
        code = read_claim(node, "crlb_m2", &entry->crlb_m2, err);
    }
    if (!code) {
        code = read_claim(node, "solve_us", &entry->solve_us, err);
    }
    if (!code) {
        code = lab_node_find(node, "method", &child, err);
    }
    if (!code && child.value) {
        code = lab_node_text(&child, entry->method, sizeof entry->method, err);
    }
    return code;
}

static lab_solution *solution_from_json(const json_t *json, const beam_scene *scene,
                                        beam_error *err)
{
    const lab_node root = lab_node_root(json);
    char name[LAB_NAME_SIZE] = "";
    lab_node array;
    size_t count;
    if (read_header(&root, "beamd-solution/1", name, err) ||
        lab_node_get(&root, "solutions", &array, err) || lab_node_array(&array, -1, &count, err)) {
        return NULL;
    }
    if (count > LAB_MAX_ENTRIES) {
        beam_fail(err, BEAM_E_LIMIT, "solutions", "has more than %d elements", LAB_MAX_ENTRIES);
        return NULL;
    }
    lab_solution *self = lab_solution_create(NULL, (int)count, 0, err);
    if (!self) {
        return NULL;
    }
    memcpy(self->scene, name, sizeof name);
    for (size_t k = 0; k < count; k++) {
        const lab_node node = lab_node_at(&array, k);
        if (read_entry(&node, scene, &self->entries[k], err)) {
            lab_solution_destroy(&self);
            return NULL;
        }
    }
    return self;
}

lab_solution *lab_solution_read(const char *path, const beam_scene *scene, beam_error *err)
{
    json_t *json = lab_json_load(path, err);
    lab_solution *self = json ? solution_from_json(json, scene, err) : NULL;
    json_decref(json);
    return self;
}

lab_solution *lab_solution_parse(const char *text, size_t size, const beam_scene *scene,
                                 beam_error *err)
{
    json_t *json = lab_json_parse(text, size, err);
    lab_solution *self = json ? solution_from_json(json, scene, err) : NULL;
    json_decref(json);
    return self;
}

static void put_part(FILE *f, const double *first, size_t count)
{
    fputc('[', f);
    for (size_t n = 0; n < count; n++) {
        fprintf(f, "%s%.12g", n ? "," : "", first[2 * n]);
    }
    fputc(']', f);
}

/* {"re":[[..],..],"im":[[..],..]} of the rows whose first elements `row` holds. */
static void put_rows(FILE *f, const beam_complex *const *row, int count, size_t N)
{
    for (int part = 0; part < 2; part++) {
        fputs(part ? ",\"im\":[" : "{\"re\":[", f);
        for (int k = 0; k < count; k++) {
            fputs(k ? "," : "", f);
            put_part(f, part ? &row[k]->im : &row[k]->re, N);
        }
        fputc(']', f);
    }
    fputc('}', f);
}

static void put_station(FILE *f, const beam_design *design, const beam_scene *scene, int l)
{
    const beam_complex *row[LAB_MAX_SENSING_ROWS];
    const size_t N = (size_t)design->dims.antennas;
    int count = 0;
    for (int u = 0; u < scene->dims.users; u++) {
        if (scene->user_station[u] == l) {
            row[count++] = design->beams + (size_t)u * N;
        }
    }
    fputs("{\"beams\":", f);
    put_rows(f, row, count, N);
    const int sensing = design->sensing_count[l];
    for (int k = 0; k < sensing; k++) {
        row[k] = design->sensing + ((size_t)l * (size_t)design->sensing_max + (size_t)k) * N;
    }
    fputs(",\"sensing\":", f);
    put_rows(f, row, sensing, N);
    fputc('}', f);
}

static void put_claim(FILE *f, const char *key, double value)
{
    if (isfinite(value)) {
        fprintf(f, ",\"%s\":%.12g", key, value);
    }
}

static void put_entry(FILE *f, const lab_entry *entry, const beam_scene *scene)
{
    fputc('{', f);
    if (isfinite(entry->tradeoff)) {
        fprintf(f, "\"tradeoff\":%.12g,", entry->tradeoff);
    }
    fputs("\"stations\":[", f);
    for (int l = 0; l < scene->dims.stations; l++) {
        fputs(l ? "," : "", f);
        put_station(f, &entry->beams.design, scene, l);
    }
    fputc(']', f);
    put_claim(f, "wsr_nominal_bps_hz", entry->wsr_nominal_bps_hz);
    put_claim(f, "wsr_worst_case_bps_hz", entry->wsr_worst_case_bps_hz);
    put_claim(f, "crlb_m2", entry->crlb_m2);
    put_claim(f, "solve_us", entry->solve_us);
    fputs(",\"method\":", f);
    lab_put_text(f, entry->method);
    fputc('}', f);
}

static beam_code check_writable(const lab_solution *self, beam_error *err)
{
    for (int k = 0; k < self->count; k++) {
        const beam_design *d = &self->entries[k].beams.design;
        for (int l = 0; l < d->dims.stations; l++) {
            if (d->sensing_count[l] > LAB_MAX_SENSING_ROWS) {
                return beam_fail(err, BEAM_E_LIMIT, NULL,
                                 "solutions[%d].stations[%d] has more than %d sensing rows", k, l,
                                 LAB_MAX_SENSING_ROWS);
            }
        }
    }
    return BEAM_OK;
}

beam_code lab_solution_write(const lab_solution *self, const beam_scene *scene, const char *path,
                             beam_error *err)
{
    lab_output output;
    beam_code code = check_writable(self, err);
    if (!code) {
        code = lab_output_open(&output, path, err);
    }
    if (code) {
        return code;
    }
    FILE *f = output.file;
    fputs("{\"format\":\"beamd-solution/1\",\"scene\":", f);
    lab_put_text(f, self->scene);
    fputs(",\"solutions\":[", f);
    for (int k = 0; k < self->count; k++) {
        fputs(k ? ",\n" : "\n", f);
        put_entry(f, &self->entries[k], scene);
    }
    fputs("]}\n", f);
    return lab_output_commit(&output, err);
}

static beam_code read_front(const lab_node *root, lab_reference *self, beam_error *err)
{
    lab_node array;
    size_t count;
    beam_code code = lab_node_get(root, "front", &array, err);
    if (!code) {
        code = lab_node_array(&array, -1, &count, err);
    }
    if (code) {
        return code;
    }
    if (count == 0 || count > LAB_MAX_ENTRIES) {
        return beam_fail(err, BEAM_E_LIMIT, "front", "must have 1 to %d points", LAB_MAX_ENTRIES);
    }
    self->front = calloc(count, sizeof *self->front);
    if (!self->front) {
        return beam_fail(err, BEAM_E_LIMIT, "front", "out of memory");
    }
    self->count = (int)count;
    for (size_t k = 0; !code && k < count; k++) {
        const lab_node point = lab_node_at(&array, k);
        code = lab_node_numbers(&point, 2, self->front[k], err);
        if (!code && !(self->front[k][1] > 0)) {
            return beam_fail(err, BEAM_E_INVALID, point.path, "must have a positive CRLB");
        }
    }
    return code;
}

lab_reference *lab_reference_read(const char *path, beam_error *err)
{
    json_t *json = lab_json_load(path, err);
    lab_reference *self = json ? calloc(1, sizeof *self) : NULL;
    if (!self) {
        if (json) {
            beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        }
        json_decref(json);
        return NULL;
    }
    const lab_node root = lab_node_root(json);
    beam_code code = read_header(&root, "beamd-reference/1", self->scene, err);
    if (!code) {
        code = lab_get_number(&root, "wsr_ideal", &self->wsr_ideal_bps_hz, err);
    }
    if (!code) {
        code = lab_get_number(&root, "crlb_min", &self->crlb_min_m2, err);
    }
    if (!code && !(self->wsr_ideal_bps_hz > 0)) {
        code = beam_fail(err, BEAM_E_INVALID, "wsr_ideal", "must be positive");
    }
    if (!code && !(self->crlb_min_m2 > 0)) {
        code = beam_fail(err, BEAM_E_INVALID, "crlb_min", "must be positive");
    }
    if (!code) {
        code = read_front(&root, self, err);
    }
    if (code) {
        lab_reference_destroy(&self);
    }
    json_decref(json);
    return self;
}
