/* libbeamformat: scenes, solutions and references as JSON files (docs/beamlab.md; formats
 * beamd-scene/1, beamd-solution/1, beamd-reference/1) and owned memory for beam_scene and
 * beam_design. For tools and tests, hence malloc.
 *
 * Reading is strict: err->field is the JSON path of what is wrong ("users[2].error_radius[0]") or
 * "line 3 column 5", err->text the reason. Unknown members are ignored. Writing gives 12
 * significant digits (scenes 10). "-" is standard input or output. */
#ifndef LAB_FORMAT_H
#define LAB_FORMAT_H

#include "beam/design.h"
#include "beam/error.h"
#include "beam/scene.h"

enum { LAB_NAME_SIZE = 128, LAB_MAX_SENSING_ROWS = BEAM_MAX_ANTENNAS, LAB_MAX_ENTRIES = 100000 };

/* A scene that owns its arrays. */
typedef struct lab_scene {
    beam_scene scene;
    char name[LAB_NAME_SIZE];
    double carrier_hz;  /* enters nothing: the wavelength is already in the reflections */
    int tradeoff_count; /* 0: the file has none */
    double *tradeoffs;  /* [tradeoff_count] in [0,1] */
    void *memory;
} lab_scene;

/* NULL on error. Zeroed, as beam_scene_init leaves it. */
lab_scene *lab_scene_create(const beam_dims *dims, beam_error *err);
void lab_scene_destroy(lab_scene **self);
beam_code lab_scene_set_tradeoffs(lab_scene *self, int count, const double *tradeoffs,
                                  beam_error *err);

/* Reads and validates (beam_scene_validate). */
lab_scene *lab_scene_read(const char *path, beam_error *err);
lab_scene *lab_scene_parse(const char *text, size_t size, beam_error *err);
beam_code lab_scene_write(const lab_scene *self, const char *path, beam_error *err);

/* Rounds every number of the scene to what lab_scene_write prints, so that memory and file agree.
 */
void lab_scene_round(lab_scene *self);

/* A design that owns its arrays. */
typedef struct lab_design {
    beam_design design;
    void *memory;
} lab_design;
beam_code lab_design_init(lab_design *self, const beam_dims *dims, int sensing_max,
                          beam_error *err);
void lab_design_clear(lab_design *self);

/* Fits the design inside every budget by 1 - 1e-11 and rounds it to the 12 digits that a file
 * holds: what is evaluated afterwards is exactly what the file says. */
void lab_design_settle(beam_design *design, const beam_scene *scene);

/* One entry of a solution file. A number that the file does not claim is NAN. */
typedef struct lab_entry {
    double tradeoff;
    lab_design beams;
    double wsr_nominal_bps_hz;
    double wsr_worst_case_bps_hz;
    double crlb_m2; /* NAN also when not identifiable */
    double solve_us;
    char method[32];
} lab_entry;

typedef struct lab_solution {
    char scene[LAB_NAME_SIZE];
    int count;
    lab_entry *entries;
} lab_solution;

/* `count` entries with zeroed designs of sensing_max columns and NAN numbers; NULL on error. */
lab_solution *lab_solution_create(const lab_scene *scene, int count, int sensing_max,
                                  beam_error *err);
void lab_solution_destroy(lab_solution **self);
/* Beams are in the order of the scene's users, hence the scene. Numbers may be absent or null,
 * designs must be finite. */
lab_solution *lab_solution_read(const char *path, const beam_scene *scene, beam_error *err);
lab_solution *lab_solution_parse(const char *text, size_t size, const beam_scene *scene,
                                 beam_error *err);
beam_code lab_solution_write(const lab_solution *self, const beam_scene *scene, const char *path,
                             beam_error *err);

/* A reference front. */
typedef struct lab_reference {
    char scene[LAB_NAME_SIZE];
    double wsr_ideal_bps_hz;
    double crlb_min_m2;
    int count;
    double (*front)[2]; /* [count] (wsr_worst_case_bps_hz, crlb_m2), WSR falling */
} lab_reference;
lab_reference *lab_reference_read(const char *path, beam_error *err);
void lab_reference_destroy(lab_reference **self);

/* The value after printing with `digits` significant digits and reading back. */
double lab_round_digits(double value, int digits);

#endif
